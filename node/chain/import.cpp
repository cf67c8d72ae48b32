// SPDX-License-Identifier: Apache-2.0
// Importing: decode, check, execute, commit.
#include "node/chain/import.hpp"

#include "consensus/rules/work.hpp"

namespace trainyard::node::chain {
namespace {

ChainError at_block(const Block& block, std::string_view what) {
    return {"block " + std::to_string(block.header.number) + " (" +
            to_hex0x(hash_header(block.header).bytes) + "): " + std::string(what)};
}

std::string describe(const consensus::BlockInvalid& invalid) {
    std::string text(to_text(invalid.fault));
    if (invalid.tx_error)
        text += ": transaction " + std::to_string(invalid.tx_index) + ", " +
                std::string(to_text(*invalid.tx_error));
    return text;
}

Result<Done, ChainError> write_first(state::World& world, const config::ChainSpec& spec) {
    auto update = state::state_root(kEmptyTrieRoot, spec.alloc, state::NoNodes());
    if (!update) return unexpected(ChainError{state::to_text(update.error())});
    const auto done =
        world.commit_block({spec.genesis,
                            {},
                            std::make_shared<const state::StateDiff>(spec.alloc),
                            std::make_shared<const state::StateUpdate>(*std::move(update)),
                            {},
                            nullptr});
    if (!done) return unexpected(ChainError{state::to_text(done.error())});
    return Done{};
}

/// Adds one block's difficulty to `total`; true if it thereby reaches the terminal one.
bool reaches_merge(const Header& header, Uint256& total, const consensus::ChainConfig& config) {
    const auto& terminal = config.terminal_total_difficulty;
    if (!terminal || total >= *terminal) return false;
    total += header.difficulty;
    return total >= *terminal;
}

}  // namespace

void find_merge(const state::World& world, consensus::ChainConfig& config) {
    const auto head = world.head();
    Uint256 total;
    for (uint64_t number = 0; head && number <= head->header.number; ++number) {
        const auto header = world.header_by_number(number);
        if (!header || (number > 0 && header->difficulty.is_zero())) return;
        if (reaches_merge(*header, total, config)) return config.set_merge_block(number + 1);
    }
}

Importer::Importer(std::unique_ptr<state::World> world, config::ChainSpec spec)
    : world_(std::move(world)), spec_(std::move(spec)) {
    const uint64_t last = world_->head()->header.number;
    for (uint64_t number = 0; number <= last; ++number) {
        const auto header = world_->header_by_number(number);
        if (header) count_difficulty(*header);
    }
}

void Importer::count_difficulty(const Header& header) {
    if (reaches_merge(header, total_difficulty_, spec_.config))
        spec_.config.set_merge_block(header.number + 1);
}

Result<std::unique_ptr<Importer>, ChainError> Importer::open(state::Kv& kv,
                                                             config::ChainSpec spec) {
    auto world = state::World::open(kv);
    if (!world) return unexpected(ChainError{state::to_text(world.error())});
    if (!(*world)->head())
        if (auto done = write_first(**world, spec); !done) return unexpected(done.error());
    const auto first = (*world)->header_by_number(0);
    const Hash expected = hash_header(spec.genesis.header);
    if (!first || hash_header(*first) != expected)
        return unexpected(ChainError{"the data folder holds another chain (its block 0 is not " +
                                     to_hex0x(expected.bytes) + "): use another --datadir"});
    return std::unique_ptr<Importer>(new Importer(std::move(*world), std::move(spec)));
}

Result<consensus::BlockOutcome, consensus::BlockInvalid> Importer::apply(const Header& parent,
                                                                         const Block& block) const {
    const auto hashes = [&](uint64_t number) {
        const auto header = world_->header_by_number(number);
        return header ? hash_header(*header) : Hash{};
    };
    const auto ancestors = [&] {
        std::vector<Block> blocks;
        for (uint64_t back = 0; back < consensus::kOmmerDepthMax && back <= parent.number; ++back)
            if (auto found = world_->block_by_number(parent.number - back))
                blocks.push_back(std::move(*found));
        return blocks;
    };
    const auto root_after = [&](const state::StateDiff& diff) {
        const auto update = state::state_root(parent.state_root, diff, world_->nodes());
        return update ? update->root : Hash{};
    };
    const auto flat = world_->flat_at(parent);
    return consensus::apply_block(*flat, parent, block, {hashes, ancestors, root_after},
                                  spec_.config);
}

Result<Importer::Added, ChainError> Importer::add(BytesView encoded) {
    const auto block = decode_block(encoded);
    if (!block)
        return unexpected(ChainError{"after block " + std::to_string(head().header.number) +
                                     ": not a block (" + std::string(rlp::to_text(block.error())) +
                                     ")"});
    const auto parent = head().header;
    if (block->header.number <= parent.number) {
        const auto known = world_->header_by_number(block->header.number);
        if (known && *known == block->header) return Added::known;
        return unexpected(at_block(*block, "the store has another block of this number"));
    }
    auto outcome = apply(parent, *block);
    if (!outcome) return unexpected(at_block(*block, describe(outcome.error())));
    auto update = state::state_root(parent.state_root, outcome->diff, world_->nodes());
    if (!update) return unexpected(ChainError{state::to_text(update.error())});
    if (const auto damage = world_->damage()) return unexpected(ChainError{to_text(*damage)});
    if (update->root != block->header.state_root)
        return unexpected(at_block(*block, "the state root is " + to_hex0x(update->root.bytes) +
                                               ", the header has " +
                                               to_hex0x(block->header.state_root.bytes)));
    auto done =
        world_->commit_block({*block,
                              outcome->receipts,
                              std::make_shared<const state::StateDiff>(std::move(outcome->diff)),
                              std::make_shared<const state::StateUpdate>(*std::move(update)),
                              {},
                              nullptr});
    if (done && world_->is_flush_due()) done = world_->flush();
    if (!done) return unexpected(ChainError{state::to_text(done.error())});
    count_difficulty(block->header);
    gas_used_ += outcome->gas_used;
    txs_ += block->txs.size();
    return Added::taken;
}

}  // namespace trainyard::node::chain
