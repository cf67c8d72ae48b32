// SPDX-License-Identifier: Apache-2.0
// The trie nodes last used, up to a number of bytes: two generations, of which the older goes when
// the younger has filled its half.
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <utility>

#include "core/bytes.hpp"
#include "state/node_map.hpp"

namespace trainyard::state {

/// Thread-safe. Nodes are named by their hash, so that nothing in here can grow stale.
class NodeCache {
public:
    explicit NodeCache(size_t bytes_max) : bytes_max_(bytes_max / kShards / 2) {}

    [[nodiscard]] std::optional<Bytes> find(const Hash& hash) {
        Shard& shard = shard_of(hash);
        const std::scoped_lock lock(shard.mutex);
        if (const auto at = shard.young.find(hash); at != shard.young.end()) return at->second;
        const auto at = shard.old.find(hash);
        if (at == shard.old.end()) return std::nullopt;
        Bytes node = at->second;
        insert(shard, hash, node);  // used again: it stays for another generation
        return node;
    }
    void put(const Hash& hash, const Bytes& node) {
        if (node.size() > kNodeBytesMax) return;
        Shard& shard = shard_of(hash);
        const std::scoped_lock lock(shard.mutex);
        insert(shard, hash, node);
    }

private:
    static constexpr size_t kNodeBytesMax = 532;  ///< a full branch; codes stay outside
    static constexpr size_t kEntryBytes = 96;     ///< what an entry takes beside the node
    static constexpr size_t kShards = 64;
    struct Shard {
        std::mutex mutex;
        NodeMap young, old;
        size_t young_bytes = 0;
    };

    /// By the first byte; the tables inside go by the last ones.
    Shard& shard_of(const Hash& hash) { return shards_[hash[0] % kShards]; }

    void insert(Shard& shard, const Hash& hash, const Bytes& node) const {
        const size_t before = shard.young.size();
        shard.young.emplace(hash, node);
        if (shard.young.size() == before) return;
        shard.young_bytes += node.size() + kEntryBytes;
        if (shard.young_bytes <= bytes_max_) return;
        shard.old = std::exchange(shard.young, {});
        shard.young_bytes = 0;
    }

    const size_t bytes_max_;  ///< of one generation in one shard
    std::array<Shard, kShards> shards_;
};

}  // namespace trainyard::state
