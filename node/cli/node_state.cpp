// SPDX-License-Identifier: Apache-2.0
// What joins state sync to the rest of a node.
#include "node/cli/node_state.hpp"

#include <chrono>
#include <filesystem>

#include "node/chain/sets.hpp"
#include "state/snapshot.hpp"

namespace trainyard::node::cli {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const config::NodeConfig& config) {
    return fs::path(config.datadir) / "sync";
}

bool is_empty(const state::Kv& kv) {
    bool empty = true;
    kv.scan({}, [&](BytesView, BytesView) { return empty = false; });
    return empty;
}

/// An age in seconds by this machine's clock, which may be behind.
double age_s(uint64_t time_s, uint64_t wall_ms) {
    return static_cast<double>(wall_ms) / 1000 - static_cast<double>(time_s);
}

}  // namespace

Result<bool, std::string> begins_with_state(const config::NodeConfig& config,
                                            state::Kv& chain_store) {
    const fs::path folder = folder_of(config);
    std::error_code error;
    if (state::holds_chain(chain_store)) return forget_state_sync(config), false;
    if (fs::exists(folder, error) && !is_empty(chain_store))
        if (const auto erased = state::erase_all(chain_store); !erased)
            return unexpected(folder.string() + ": " + std::string(state::to_text(erased.error())));
    if (config.sync != "state") {
        if (!config.trust.empty())
            return unexpected(std::string("--trust has a meaning with --sync state alone"));
        return false;
    }
    if (config.pruning == "archive")
        return unexpected(std::string(
            "an archive has all states, and --sync state brings one: leave --pruning archive away, "
            "or let the node sync blocks"));
    if (!config.trust.empty() && !sync::trusted_boundary_from(config.trust))
        return unexpected("--trust '" + config.trust +
                          "' must be EPOCH:HASH, an epoch's number and the hash of its last block");
    if (!is_empty(chain_store))
        return unexpected("'" + config.datadir +
                          "/chain' holds records and no chain, perhaps of an import that was cut "
                          "off: remove that folder");
    return true;
}

void forget_state_sync(const config::NodeConfig& config) {
    std::error_code error;
    fs::remove_all(folder_of(config), error);
}

sync::StateSync::Options state_options(const config::NodeConfig& config, const NodeSetup& setup) {
    return {.chain = setup.chain,
            .identity = {setup.chain.chain_id, setup.genesis_hash},
            .genesis_validators = *setup.validators,
            .genesis_block = config::genesis_block(setup.genesis),
            .folder = folder_of(config),
            .trust = sync::trusted_boundary_from(config.trust),
            .boundary_key = chain::boundary_key,
            .limits = {},
            .on_end = {}};
}

chain::MakeSnapshot make_on(sync::SnapshotShelf& shelf, const runtime::Logger& log) {
    return [&shelf, log](const chain::FrozenState& frozen) {
        const auto begun = std::chrono::steady_clock::now();
        const auto made = shelf.make(frozen.world, frozen.tables, frozen.number, frozen.stops);
        if (!made) {
            if (!frozen.stops) log.warn("no snapshot was made", {{"why", made.error()}});
            return;
        }
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - begun);
        log.info("snapshot", {{"height", made->offer.height.value},
                              {"chunks", made->offer.chunks},
                              {"bytes", made->offer.size_bytes},
                              {"ms", static_cast<uint64_t>(took.count())}});
    };
}

void add_state_metrics(metrics::Metrics& out, const sync::SnapshotShelf* shelf,
                       const sync::StateSync* state_sync, uint64_t wall_ms) {
    const auto number = [](uint64_t n) { return static_cast<double>(n); };
    const auto newest = shelf ? shelf->newest() : std::nullopt;
    if (newest) {
        out.gauge("trainyard_snapshot_age_seconds",
                  "This machine's clock minus the time of the newest snapshot's block.",
                  age_s(newest->time_s, wall_ms));
        out.gauge("trainyard_snapshot_height", "Block of the newest snapshot that is offered.",
                  number(newest->offer.height.value));
        out.gauge("trainyard_snapshot_bytes", "Size of the newest snapshot.",
                  number(newest->offer.size_bytes));
    }
    if (state_sync == nullptr) return;
    const auto progress = state_sync->progress();
    out.gauge("trainyard_state_sync_epoch", "First epoch whose last block is not proven yet.",
              number(progress.next_epoch.value));
    out.gauge("trainyard_state_sync_chunks", "Chunks of the snapshot that is fetched.",
              number(progress.chunks));
    out.gauge("trainyard_state_sync_chunks_here", "Those of them that are on disk.",
              number(progress.chunks_here));
    out.counter("trainyard_state_sync_received_bytes_total", "Received for the state sync.",
                number(progress.bytes_received));
    if (progress.height.value > 0)
        out.gauge("trainyard_state_sync_snapshot_age_seconds",
                  "This machine's clock minus the time of the block whose state is fetched.",
                  age_s(progress.time_s, wall_ms));
}

}  // namespace trainyard::node::cli
