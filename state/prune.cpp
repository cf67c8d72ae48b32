// SPDX-License-Identifier: Apache-2.0
// Deleting what a mode does not keep: superseded nodes by the journals of their blocks, and old
// blocks; and giving the space back.
#include "state/pruning.hpp"

#include <array>

#include "state/world_impl.hpp"

namespace trainyard::state {
namespace {

struct Mode {
    std::string_view name;
    Retention retention;
};
/// By Pruning. 128 states reach back further than any vote; 1,024 are what explorers ask for.
/// Blocks of 32 epochs are a day and a half, longer than any market deadline.
constexpr std::array<Mode, 3> kModes{{{"archive", {std::nullopt, std::nullopt}},
                                      {"full", {1024, std::nullopt}},
                                      {"validator", {128, 32 * 4096}}}};

constexpr size_t kRecordsAtOnce = 8192;  ///< for which commits and flushes wait

void erase_block(Batch& batch, const Kv& kv, uint64_t number) {
    const auto header = kv.get(record_key(Table::header, number));
    const auto body = kv.get(record_key(Table::body, number));
    const auto block = header && body ? join_block(*header, *body) : std::nullopt;
    if (block)
        for (const Hash& hash : hash_txs(block->txs)) batch.erase(record_key(Table::tx, hash));
    batch.erase(record_key(Table::body, number));
    batch.erase(record_key(Table::receipts, number));
}

}  // namespace

std::string_view to_text(Pruning mode) {
    return kModes[static_cast<size_t>(mode)].name;
}

std::optional<Pruning> pruning_from(std::string_view text) {
    for (size_t i = 0; i < kModes.size(); ++i)
        if (kModes[i].name == text) return static_cast<Pruning>(i);
    return std::nullopt;
}

Retention retention_of(Pruning mode) {
    return kModes[static_cast<size_t>(mode)].retention;
}

/// A node goes with the block that superseded it, unless a later block has made it again: then that
/// block's number stands in its record.
Result<bool, StoreError> World::Impl::prune_states(uint64_t head_number) {
    const auto keep = retention().states;
    if (!keep || head_number < *keep) return false;
    const uint64_t first = std::min<uint64_t>(head_number - *keep, tables_at);
    if (kept.next_journal > first) return false;
    kept.first_state = std::max(kept.first_state, first);
    first_state = kept.first_state;  // before anything goes
    Batch batch;
    for (; kept.next_journal <= first && batch.entries.size() < kRecordsAtOnce;
         ++kept.next_journal) {
        const Bytes key = record_key(Table::journal, kept.next_journal);
        const auto record = kv.get(key);
        if (!record) continue;  // the first block supersedes nothing
        const auto stale = decode_journal(*record);
        if (!stale)
            return unexpected(
                malformed("malformed journal of nodes", block_name(kept.next_journal)));
        for (const StaleNode& node : *stale) {
            const Bytes of_node = node_key(node.place, node.hash);
            const auto stored = kv.get(of_node);
            const auto made = stored ? decode_node_record(*stored) : std::nullopt;
            if (made && made->made_by < kept.next_journal) batch.erase(of_node);
        }
        batch.erase(key);
    }
    erased += batch.entries.size();
    batch.put(meta_key("kept"), encode_kept(kept));
    if (const auto written = kv.write(batch, Durability::synced); !written)
        return unexpected(refused(written.error(), "pruning of states"));
    return true;
}

Result<bool, StoreError> World::Impl::prune_blocks(uint64_t head_number) {
    const auto keep = retention().blocks;
    if (!keep || head_number < *keep) return false;
    const uint64_t first = head_number - *keep;
    if (kept.first_block >= first) return false;
    Batch batch;
    uint64_t number = std::max<uint64_t>(kept.first_block, 1);
    for (; number < first && batch.entries.size() < kRecordsAtOnce; ++number)
        erase_block(batch, kv, number);
    kept.first_block = number;
    first_block = number;  // before anything goes
    erased += batch.entries.size();
    batch.put(meta_key("kept"), encode_kept(kept));
    if (const auto written = kv.write(batch, Durability::synced); !written)
        return unexpected(refused(written.error(), "pruning of blocks"));
    return true;
}

/// Erased records take space until the store merges its files.
void World::Impl::compact_if_due() {
    if (erased < options.compact_after) return;
    erased = 0;
    for (const Table table : {Table::account_node, Table::storage_node, Table::body,
                              Table::receipts, Table::tx, Table::journal}) {
        const auto letter = static_cast<uint8_t>(table);
        kv.compact(Bytes{letter}, Bytes{static_cast<uint8_t>(letter + 1)});
    }
}

Result<bool, StoreError> World::prune() {
    const auto at = head();
    if (!at || damage()) return false;
    const auto pruned = [&]() -> Result<bool, StoreError> {
        const std::lock_guard one(impl_->flush_mutex);
        const auto states = impl_->prune_states(at->header.number);
        if (!states) return states;
        const auto blocks = impl_->prune_blocks(at->header.number);
        return blocks ? Result<bool, StoreError>(*states || *blocks) : blocks;
    }();
    if (!pruned) impl_->note(pruned.error());
    if (pruned && !*pruned) impl_->compact_if_due();
    return pruned;
}

World::Kept World::kept() const {
    return {impl_->kept.mode, impl_->first_state, impl_->first_block};
}

}  // namespace trainyard::state
