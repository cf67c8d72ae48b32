// SPDX-License-Identifier: Apache-2.0
// An index of entries that live elsewhere: open addressing in one array, for lookups alone.
#pragma once

#include <bit>
#include <cstring>
#include <vector>

#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard::consensus {

/// Spreads all bytes of a key, so that chosen keys do not crowd one place.
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

/// `kKey` is the member of an entry that it is found by. Entries must outlive the index.
template <class Entry, class Key, Key Entry::*kKey>
class FlatIndex {
public:
    /// The entry of `key`, or null.
    [[nodiscard]] const Entry* find(const Key& key) const {
        return places_.empty() ? nullptr : places_[place_of(key)];
    }
    /// The place of `key`: its entry, or null, to be filled at once with an entry of that key.
    [[nodiscard]] Entry*& place(const Key& key) {
        if (2 * (size_ + 1) > places_.size()) grow();
        Entry*& found = places_[place_of(key)];
        if (found == nullptr) ++size_;
        return found;
    }
    void clear() {
        places_.clear();
        size_ = 0;
    }

private:
    [[nodiscard]] size_t place_of(const Key& key) const {
        const size_t mask = places_.size() - 1;
        size_t at = KeyHasher()(key) & mask;
        while (places_[at] != nullptr && places_[at]->*kKey != key) at = (at + 1) & mask;
        return at;
    }
    void grow() {
        std::vector<Entry*> old(std::max<size_t>(8, 2 * places_.size()));
        old.swap(places_);
        for (Entry* entry : old)
            if (entry != nullptr) places_[place_of(entry->*kKey)] = entry;
    }

    std::vector<Entry*> places_;  ///< a power of two of them, at most half of them taken
    size_t size_ = 0;
};

}  // namespace trainyard::consensus
