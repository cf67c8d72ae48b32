// SPDX-License-Identifier: Apache-2.0
// An index of entries that live elsewhere: open addressing in one array, for lookups alone.
#pragma once

#include <bit>
#include <cstring>
#include <map>
#include <vector>

#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard::consensus {

/// Spreads all bytes of a key. It has no secret, so that keys can be chosen to crowd one place.
struct KeyHasher {
    static uint64_t mix(uint64_t h, uint64_t limb) {
        const auto wide = static_cast<unsigned __int128>(h ^ limb) * 0xd6e8feb86659fd93;
        return static_cast<uint64_t>(wide) ^ static_cast<uint64_t>(wide >> 64);
    }
    size_t operator()(const Uint256& v) const {
        uint64_t h = 0x9e3779b97f4a7c15;
        for (const uint64_t limb : v.limbs) h = mix(h, limb);
        return h;
    }
    size_t operator()(const Address& a) const {
        uint64_t first, second;
        uint32_t third;
        std::memcpy(&first, a.data(), 8);
        std::memcpy(&second, a.data() + 8, 8);
        std::memcpy(&third, a.data() + 16, 4);
        return mix(mix(mix(0x9e3779b97f4a7c15, first), second), third);
    }
};

/// `kKey` is the member of an entry that it is found by. Entries must outlive the index. Where a
/// search passes kCrowd entries, somebody chose the keys: from then on a tree is searched instead,
/// so that no contract can make its accesses slower than their gas pays for.
template <class Entry, class Key, Key Entry::*kKey>
class FlatIndex {
public:
    /// The entry of `key`, or null.
    [[nodiscard]] const Entry* find(const Key& key) const {
        if (crowded_) {
            const auto found = ordered_.find(key);
            return found == ordered_.end() ? nullptr : found->second;
        }
        return places_.empty() ? nullptr : places_[place_of(key).at];
    }
    /// The place of `key`: its entry, or null, to be filled at once with an entry of that key.
    [[nodiscard]] Entry*& place(const Key& key) {
        if (crowded_) return ordered_[key];
        if (2 * (size_ + 1) > places_.size()) grow();
        const Place place = place_of(key);
        if (place.passed > kCrowd) {
            leave_table();
            return ordered_[key];
        }
        Entry*& found = places_[place.at];
        if (found == nullptr) ++size_;
        return found;
    }
    void clear() {
        places_.clear();
        ordered_.clear();
        crowded_ = false;
        size_ = 0;
    }
    [[nodiscard]] bool is_crowded() const { return crowded_; }

private:
    /// Far more than chance makes of a table that is half full, and still quick to pass.
    static constexpr size_t kCrowd = 128;

    struct Place {
        size_t at = 0, passed = 0;
    };
    [[nodiscard]] Place place_of(const Key& key) const {
        const size_t mask = places_.size() - 1;
        Place place{KeyHasher()(key) & mask, 0};
        while (places_[place.at] != nullptr && places_[place.at]->*kKey != key)
            place = {(place.at + 1) & mask, place.passed + 1};
        return place;
    }
    void leave_table() {
        for (Entry* entry : places_)
            if (entry != nullptr) ordered_.emplace(entry->*kKey, entry);
        places_.clear();
        crowded_ = true;
    }
    void grow() {
        std::vector<Entry*> old(std::max<size_t>(8, 2 * places_.size()));
        old.swap(places_);
        for (Entry* entry : old)
            if (entry != nullptr) places_[place_of(entry->*kKey).at] = entry;
    }

    std::vector<Entry*> places_;  ///< a power of two of them, at most half of them taken
    size_t size_ = 0;
    std::map<Key, Entry*> ordered_;  ///< instead of the table, once it is crowded
    bool crowded_ = false;
};

}  // namespace trainyard::consensus
