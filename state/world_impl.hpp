// SPDX-License-Identifier: Apache-2.0
// What World is made of; private to this folder.
#pragma once

#include <atomic>
#include <mutex>
#include <shared_mutex>

#include "state/dirty.hpp"
#include "state/node_cache.hpp"
#include "state/records.hpp"
#include "state/top_nodes.hpp"
#include "state/world.hpp"

namespace trainyard::state {

struct World::Impl final : NodeSource {
    Impl(Kv& store, const Options& o) : kv(store), options(o), cache(o.node_cache_bytes) {}

    // --- reads: what is in memory comes first, so that a flush between two looks hides nothing
    [[nodiscard]] NodePtr node(const Hash& hash, std::string_view place) const override;
    [[nodiscard]] NodePtr find_node(const Hash& hash, std::string_view place) const;
    void report(const TrieError& error) const override {
        note(malformed(to_text(error), "state trie"));
    }
    /// Keeps the first fault.
    void note(StoreError error) const {
        const std::unique_lock lock(mutex);
        if (!fault) fault = std::move(error);
    }

    // --- commits
    /// Runs beside the write of the block. Nodes are named by their hash and changes by their
    /// block: nothing is wrong if it does not get to disk. `is_dirty`: the tables do not have the
    /// state yet.
    void note_in_memory(const Dirty::Layer& layer, bool is_dirty);

    // --- opening (recovery.cpp)
    [[nodiscard]] Result<Done, StoreError> recover(const SideBySide& side_by_side);
    [[nodiscard]] Result<std::optional<Head>, StoreError> read_head() const;
    [[nodiscard]] std::optional<StoreError> check_block(const Head& at) const;
    [[nodiscard]] Result<Done, StoreError> read_state(uint64_t head);
    [[nodiscard]] Result<Done, StoreError> replay(uint64_t number, const Hash& parent_root,
                                                  const SideBySide& side_by_side);
    [[nodiscard]] Result<Hash, StoreError> root_of(uint64_t number) const;

    [[nodiscard]] Result<Done, StoreError> read_kept();
    [[nodiscard]] bool keeps_state(uint64_t number) const { return number >= first_state; }

    // --- pruning (prune.cpp)
    [[nodiscard]] Retention retention() const {
        return options.retention ? *options.retention : retention_of(kept.mode);
    }
    [[nodiscard]] Result<bool, StoreError> prune_states(uint64_t head_number);
    [[nodiscard]] Result<bool, StoreError> prune_blocks(uint64_t head_number);
    void compact_if_due();

    // --- writing (flush.cpp)
    void put_first_state(Batch& batch, const Commit& commit) const;
    /// Precondition: flush_mutex is held.
    [[nodiscard]] Result<Done, StoreError> flush_to(uint64_t number);
    [[nodiscard]] Result<Done, StoreError> write_states(const std::vector<Dirty::Layer>& layers);

    Kv& kv;
    const Options options;
    mutable TopNodes top;
    mutable NodeCache cache;
    Dirty dirty;
    std::mutex flush_mutex;  ///< one flush or deletion at a time
    KeptRecord kept;         ///< changed by the thread that prunes, under flush_mutex
    size_t erased = 0;       ///< records since space was given back
    std::atomic<uint64_t> first_state = 0, first_block = 0;  ///< for readers
    /// The tables hold the state after this block, or are on their way to it.
    std::atomic<uint64_t> tables_at = 0;
    /// A flush that was cut off may have left flat records of states up to this block; fixed at
    /// opening.
    uint64_t torn_to = 0;

    mutable std::shared_mutex mutex;  ///< guards what follows
    std::optional<Head> head;
    mutable std::optional<StoreError> fault;
};

}  // namespace trainyard::state
