// SPDX-License-Identifier: Apache-2.0
// The trie nodes last used, up to a number of bytes: two generations, of which the older goes when
// the younger has filled its half.
#pragma once

#include <array>
#include <mutex>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/seeded_hasher.hpp"
#include "state/node_map.hpp"

namespace trainyard::state {

/// Nodes by their hash in one array with open addressing: a look at what is not there costs one
/// read of memory. Nothing is ever taken out.
class NodeTable {
public:
    [[nodiscard]] NodePtr find(const Hash& hash) const {
        return slots_.empty() ? nullptr : slots_[place_of(hash)].node;
    }
    /// False if it is there already.
    bool insert(const Hash& hash, const NodePtr& node) {
        if (4 * (size_ + 1) > 3 * slots_.size()) grow();
        Slot& slot = slots_[place_of(hash)];
        if (slot.node) return false;
        slot = {hash, node};
        ++size_;
        return true;
    }

private:
    struct Slot {
        Hash hash;
        NodePtr node;  ///< null: the slot is free
    };

    [[nodiscard]] size_t place_of(const Hash& hash) const {
        const size_t mask = slots_.size() - 1;
        size_t at = hasher_(hash) & mask;
        while (slots_[at].node && slots_[at].hash != hash) at = (at + 1) & mask;
        return at;
    }
    void grow() {
        std::vector<Slot> old(slots_.empty() ? 16 : 2 * slots_.size());
        old.swap(slots_);
        for (Slot& slot : old)
            if (slot.node) slots_[place_of(slot.hash)] = std::move(slot);
    }

    SeededHasher hasher_;
    std::vector<Slot> slots_;  ///< a power of two of them, at most three quarters of them taken
    size_t size_ = 0;
};

/// Thread-safe. Nodes are named by their hash, so that nothing in here can grow stale.
class NodeCache {
public:
    explicit NodeCache(size_t bytes_max) : bytes_max_(bytes_max / kShards / 2) {}

    /// Null if it is not here.
    [[nodiscard]] NodePtr find(const Hash& hash) {
        Shard& shard = shard_of(hash);
        const std::scoped_lock lock(shard.mutex);
        if (auto node = shard.young.find(hash)) return node;
        auto node = shard.old.find(hash);
        if (node) insert(shard, hash, node);  // used again: it stays for another generation
        return node;
    }
    void put(const Hash& hash, const NodePtr& node) {
        if (node->size() > kNodeBytesMax) return;
        Shard& shard = shard_of(hash);
        const std::scoped_lock lock(shard.mutex);
        insert(shard, hash, node);
    }

private:
    static constexpr size_t kNodeBytesMax = 532;  ///< a full branch; codes stay outside
    static constexpr size_t kEntryBytes = 160;    ///< what an entry takes beside the node
    static constexpr size_t kShards = 64;
    struct Shard {
        std::mutex mutex;
        NodeTable young, old;
        size_t young_bytes = 0;
    };

    Shard& shard_of(const Hash& hash) { return shards_[hash[0] % kShards]; }

    void insert(Shard& shard, const Hash& hash, const NodePtr& node) const {
        if (!shard.young.insert(hash, node)) return;
        shard.young_bytes += node->size() + kEntryBytes;
        if (shard.young_bytes <= bytes_max_) return;
        shard.old = std::exchange(shard.young, {});
        shard.young_bytes = 0;
    }

    const size_t bytes_max_;  ///< of one generation in one shard
    std::array<Shard, kShards> shards_;
};

}  // namespace trainyard::state
