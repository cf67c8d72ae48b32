// SPDX-License-Identifier: Apache-2.0
// Trie nodes and codes by their hash, in the order they came; found through a flat table.
#pragma once

#include <bit>
#include <utility>
#include <vector>

#include "core/bytes.hpp"

namespace trainyard::state {

/// Trie nodes and contract codes by their Keccak-256; one space, since equal hash means equal
/// bytes. Nothing is ever taken out.
class NodeMap {
public:
    using Entry = std::pair<Hash, Bytes>;
    using const_iterator = std::vector<Entry>::const_iterator;

    [[nodiscard]] const_iterator begin() const { return entries_.begin(); }
    [[nodiscard]] const_iterator end() const { return entries_.end(); }
    [[nodiscard]] size_t size() const { return entries_.size(); }
    [[nodiscard]] bool empty() const { return entries_.empty(); }

    [[nodiscard]] const_iterator find(const Hash& hash) const {
        if (places_.empty()) return end();
        const uint32_t place = places_[place_of(hash)];
        return place == kFree ? end() : begin() + place;
    }
    /// Keeps what is there already: it is the same.
    void emplace(const Hash& hash, Bytes bytes) {
        if (2 * (entries_.size() + 1) > places_.size()) rehash(4 * (entries_.size() + 8));
        uint32_t& place = places_[place_of(hash)];
        if (place != kFree) return;
        place = static_cast<uint32_t>(entries_.size());
        entries_.emplace_back(hash, std::move(bytes));
    }
    /// Takes over all of `other`.
    void merge(NodeMap& other) {
        if (empty()) return std::swap(*this, other);
        for (auto& [hash, bytes] : other.entries_) emplace(hash, std::move(bytes));
        other = {};
    }

private:
    static constexpr uint32_t kFree = ~uint32_t{0};

    /// Where `hash` is, or the free place where it belongs.
    [[nodiscard]] size_t place_of(const Hash& hash) const {
        const size_t mask = places_.size() - 1;
        size_t at = FixedBytesHasher()(hash) & mask;
        while (places_[at] != kFree && entries_[places_[at]].first != hash) at = (at + 1) & mask;
        return at;
    }
    void rehash(size_t least) {
        places_.assign(std::bit_ceil(least), kFree);
        for (size_t i = 0; i < entries_.size(); ++i)
            places_[place_of(entries_[i].first)] = static_cast<uint32_t>(i);
    }

    std::vector<Entry> entries_;
    std::vector<uint32_t> places_;  ///< index into entries_ or kFree; at most half are taken
};

}  // namespace trainyard::state
