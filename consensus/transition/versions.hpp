// SPDX-License-Identifier: Apache-2.0
// What the transactions of a block have written so far, each value by the place of its writer.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "consensus/transition/world.hpp"
#include "core/bytes.hpp"
#include "core/seeded_hasher.hpp"
#include "core/uint256.hpp"
#include "state/view.hpp"

namespace trainyard::consensus {

/// An account without its slots, or one slot.
struct Place {
    Address address;
    std::optional<Uint256> slot;
    bool operator==(const Place&) const = default;
};
struct PlaceHasher {
    SeededHasher hash;
    size_t operator()(const Place& place) const {
        return hash(place.address) ^ (place.slot ? hash(*place.slot) : 0);
    }
};

/// What stands at a place before some transaction.
struct Found {
    enum class Kind : uint8_t { below, account, slot };
    Kind kind = Kind::below;                ///< below: none of the block wrote it; ask the view
    std::optional<state::Account> account;  ///< nullopt: it is gone
    Uint256 slot;
    std::optional<size_t> guessed_by;  ///< its writer is to run again: the value is a guess
    /// Guesses count as what they are guessed to be.
    [[nodiscard]] bool is_same_as(const Found& other) const {
        return kind == other.kind && account == other.account && slot == other.slot;
    }
};

/// Not thread-safe.
class Versions {
public:
    /// The value that the last writer before `index` left; `index` is noted as a reader.
    [[nodiscard]] Found read(const Place& place, size_t index);
    [[nodiscard]] Found look(const Place& place, size_t index) const;

    /// Replaces what `index` wrote by `diff`. `bases`: the accounts as `index` found them; where a
    /// diff leaves an account's own fields as they were, only its slots count as written. Gives the
    /// readers behind `index` of all places that it wrote now or before, in order.
    std::vector<size_t> write(size_t index, const state::StateDiff& diff,
                              const std::map<Address, std::optional<state::Account>>& bases);
    /// What `index` wrote becomes a guess.
    void make_guesses(size_t index);

private:
    struct Entry {
        std::optional<state::Account> account;
        Uint256 slot;
        bool clears = false;  ///< the account's older slots are gone
        bool guessed = false;
    };
    struct History {
        std::map<size_t, Entry> entries;  ///< by writer
        std::vector<size_t> readers;      ///< in no order, some perhaps twice
    };
    void put(size_t index, const Place& place, Entry entry);
    [[nodiscard]] const std::pair<const size_t, Entry>* last_before(const Place& place,
                                                                    size_t index) const;

    std::unordered_map<Place, History, PlaceHasher> places_;
    std::unordered_map<size_t, std::vector<Place>> written_;  ///< by writer
};

}  // namespace trainyard::consensus
