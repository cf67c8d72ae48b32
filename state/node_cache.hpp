// SPDX-License-Identifier: Apache-2.0
// The trie nodes last used, up to a number of bytes: two generations, of which the older goes when
// the younger has filled its half.
#pragma once

#include <array>
#include <mutex>
#include <string_view>
#include <utility>

#include "core/bytes.hpp"
#include "state/flat_map.hpp"
#include "state/node_map.hpp"

namespace trainyard::state {

/// Thread-safe. Nodes are named by their hash, so that nothing in here can grow stale.
class NodeCache {
public:
    explicit NodeCache(size_t bytes_max) : bytes_max_(bytes_max / kShards / 2) {}

    /// Null if it is not here.
    [[nodiscard]] NodePtr find(const Hash& hash, std::string_view place) {
        Shard& shard = shard_of(hash, place);
        const std::scoped_lock lock(shard.mutex);
        if (const NodePtr* young = shard.young.find(hash)) return *young;
        const NodePtr* old = shard.old.find(hash);
        if (old == nullptr) return nullptr;
        NodePtr node = *old;
        insert(shard, hash, node);  // used again: it stays for another generation
        return node;
    }
    void put(const Hash& hash, std::string_view place, const NodePtr& node) {
        if (node->size() > kNodeBytesMax) return;
        Shard& shard = shard_of(hash, place);
        const std::scoped_lock lock(shard.mutex);
        insert(shard, hash, node);
    }

private:
    static constexpr size_t kNodeBytesMax = 532;  ///< a full branch; codes stay outside
    static constexpr size_t kEntryBytes = 160;    ///< what an entry takes beside the node
    static constexpr size_t kShards = 16 * 4;
    struct Shard {
        std::mutex mutex;
        FlatMap<Hash, NodePtr> young, old;
        size_t young_bytes = 0;
    };

    Shard& shard_of(const Hash& hash, std::string_view place) {
        return shards_[part_of(place) * 4 + hash[0] % 4];
    }

    void insert(Shard& shard, const Hash& hash, const NodePtr& node) const {
        NodePtr& place = shard.young[hash];
        if (place) return;
        place = node;
        shard.young_bytes += node->size() + kEntryBytes;
        if (shard.young_bytes <= bytes_max_) return;
        shard.old = std::exchange(shard.young, {});
        shard.young_bytes = 0;
    }

    const size_t bytes_max_;  ///< of one generation in one shard
    std::array<Shard, kShards> shards_;
};

}  // namespace trainyard::state
