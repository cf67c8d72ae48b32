// SPDX-License-Identifier: Apache-2.0
// The upper nodes of the account trie, found by where they stand instead of by their hash: nearly
// every walk begins with them.
#pragma once

#include <array>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "state/node_map.hpp"

namespace trainyard::state {

/// Thread-safe. Each place has room for the node that was put there last.
class TopNodes {
public:
    TopNodes() : slots_(kFirst[kDepths]) {}

    [[nodiscard]] static bool has_room_for(std::string_view place) {
        return place.size() <= kDepths && place.starts_with(kAccountPlace);
    }
    /// Null if another node or none is there. Precondition: has_room_for(place).
    [[nodiscard]] NodePtr find(const Hash& hash, std::string_view place) {
        const size_t at = slot_of(place);
        const std::scoped_lock lock(lock_of(place));
        const Slot& slot = slots_[at];
        return slot.hash == hash ? slot.node : nullptr;
    }
    /// Precondition: has_room_for(place).
    void put(const Hash& hash, std::string_view place, NodePtr node) {
        const size_t at = slot_of(place);
        const std::scoped_lock lock(lock_of(place));
        slots_[at] = {hash, std::move(node)};
    }

private:
    /// The root, and what is up to four nibbles below it: 35 MB when all of it is there.
    static constexpr size_t kDepths = 5, kLocks = 16 * 16;
    static constexpr std::array<size_t, kDepths + 1> kFirst{0, 1, 17, 273, 4369, 69905};

    struct Slot {
        Hash hash;
        NodePtr node;
    };

    [[nodiscard]] static size_t slot_of(std::string_view place) {
        size_t at = 0;
        for (const char nibble : place.substr(1)) at = at * 16 + static_cast<size_t>(nibble);
        return kFirst[place.size() - 1] + at;
    }

    /// By the first two nibbles, so that threads below different ones do not meet.
    [[nodiscard]] std::mutex& lock_of(std::string_view place) {
        const auto nibble = [&](size_t i) {
            return i < place.size() ? static_cast<size_t>(place[i]) : 0;
        };
        return locks_[16 * nibble(1) + nibble(2)];
    }

    std::vector<Slot> slots_;
    std::array<std::mutex, kLocks> locks_;
};

}  // namespace trainyard::state
