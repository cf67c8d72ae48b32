// SPDX-License-Identifier: Apache-2.0
// Brings a late or restarted node up to the final blocks of its peers, and serves those of its own.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "node/p2p/messages.hpp"
#include "node/p2p/network.hpp"
#include "node/runtime/log.hpp"
#include "node/runtime/runtime.hpp"
#include "node/sync/sync_plan.hpp"

namespace trainyard::sync {

/// What sync needs from the ledger. Thread-safe; `apply_final` is called from the pool, one block
/// at a time, in the order of heights, everything else from any thread.
class SyncTarget {
public:
    virtual ~SyncTarget() = default;
    [[nodiscard]] virtual p2p::Status status() const = 0;
    /// A final block with a certificate that covers it, or nullopt above our height.
    [[nodiscard]] virtual std::optional<p2p::FinalisedBlock> final_block(Height height) const = 0;
    /// Any block that is here, final or not.
    [[nodiscard]] virtual std::optional<Bytes> block(const Hash& hash) const = 0;
    struct Refusal {
        std::string why;
        bool is_own = false;  ///< this node takes no more blocks; the sender is not at fault
    };
    /// Checks and takes the next final block; passes over one that is final already.
    [[nodiscard]] virtual Result<Done, Refusal> apply_final(const p2p::FinalisedBlock& block) = 0;
};

class BlockSync {
public:
    struct Parts {
        runtime::Runtime& runtime;
        p2p::Network& network;
        SyncTarget& target;
        runtime::Logger log;
    };
    struct Options {
        SyncLimits limits;
        runtime::Duration answer_timeout{10'000};
        runtime::Duration status_interval{1'000};
        /// On the sync's strand, after blocks were applied; `is_done` when nobody is known to be
        /// ahead.
        std::function<void(Height finalised, bool is_done)> on_progress;
    };

    /// Registers its handlers: construct before Network::start.
    BlockSync(Parts parts, Options options);
    explicit BlockSync(Parts parts) : BlockSync(std::move(parts), Options{}) {}
    ~BlockSync();
    BlockSync(const BlockSync&) = delete;
    BlockSync& operator=(const BlockSync&) = delete;

    void start();  ///< after Network::start
    /// Consensus saw proof of a final block at `height`; from any thread.
    void catch_up(Height height);

    struct Progress {
        Height finalised;
        Height best_shown;
        bool is_behind = false;  ///< and something shows it: what a peer claims alone does not
    };
    [[nodiscard]] Progress progress() const;

    /// Asks `prefer` first, if connected, then others, for the block with this hash. `on_block` is
    /// called once on `strand` with bytes whose header has that hash, or nullopt when nobody gave
    /// it.
    void fetch_block(const Hash& hash, std::optional<p2p::PeerId> prefer,
                     const runtime::Strand& strand,
                     std::function<void(std::optional<Bytes>)> on_block);

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace trainyard::sync
