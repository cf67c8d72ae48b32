// SPDX-License-Identifier: Apache-2.0
// The trie nodes last used, in a table of fixed size: one place per hash, the newer node wins.
#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "core/bytes.hpp"

namespace trainyard::state {

/// Thread-safe. Nodes are named by their hash, so that nothing in here can grow stale.
class NodeCache {
public:
    NodeCache() : places_(kPlaces) {}

    [[nodiscard]] std::optional<Bytes> find(const Hash& hash) const {
        const size_t at = place_of(hash);
        const std::scoped_lock lock(locks_[at % kLocks]);
        const Place& place = places_[at];
        return place.hash == hash && !place.node.empty() ? std::optional(place.node) : std::nullopt;
    }
    void put(const Hash& hash, const Bytes& node) {
        if (node.size() > kNodeBytesMax) return;
        const size_t at = place_of(hash);
        const std::scoped_lock lock(locks_[at % kLocks]);
        places_[at] = {hash, node};
    }

private:
    static constexpr size_t kPlaces = 1u << 17;   ///< at most 76 MiB in all
    static constexpr size_t kNodeBytesMax = 532;  ///< a full branch; codes stay outside
    static constexpr size_t kLocks = 64;
    struct Place {
        Hash hash;
        Bytes node;
    };
    static size_t place_of(const Hash& hash) { return FixedBytesHasher()(hash) % kPlaces; }

    std::vector<Place> places_;
    mutable std::array<std::mutex, kLocks> locks_;
};

}  // namespace trainyard::state
