// SPDX-License-Identifier: Apache-2.0
// Trie nodes and codes with the places where they stand, in the order they came; found by their
// hash through a flat table.
#pragma once

#include <bit>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/seeded_hasher.hpp"

namespace trainyard::state {

/// The encoding of a node, shared by all that keep it; null: nobody has it.
using NodePtr = std::shared_ptr<const Bytes>;

/// Where a node stands, as the start of its record's key: the letter of its table, for storage the
/// keccak of the address, then the nibbles on the way from the root, one a byte. In memory a node
/// is found by its hash alone, since equal hash means equal bytes.
inline constexpr std::string_view kAccountPlace = "A", kCodePlace = "c";
[[nodiscard]] inline std::string storage_place(const Hash& key_of_account) {
    return "S" + std::string(as_text(key_of_account.bytes));
}

/// The part, of 16, in which a table keeps what stands at a place: threads that work below
/// different nibbles of a trie's root do not meet.
[[nodiscard]] inline size_t part_of(std::string_view place) {
    const size_t root = place.starts_with('S') ? 1 + Hash::size() : 1;
    return static_cast<size_t>(place.size() > root ? place[root] : place.back()) % 16;
}

/// Nodes may come twice in different places; nothing is ever taken out.
class NodeMap {
public:
    struct Entry {
        Hash hash;
        NodePtr node;
        std::string place;
    };
    using const_iterator = std::vector<Entry>::const_iterator;

    [[nodiscard]] const_iterator begin() const { return entries_.begin(); }
    [[nodiscard]] const_iterator end() const { return entries_.end(); }
    [[nodiscard]] size_t size() const { return entries_.size(); }
    [[nodiscard]] bool empty() const { return entries_.empty(); }
    /// Of all nodes, without what the tables take.
    [[nodiscard]] size_t bytes() const { return bytes_; }

    [[nodiscard]] NodePtr find(const Hash& hash) const {
        if (places_.empty()) return nullptr;
        const uint32_t place = places_[place_of(hash)];
        return place == kFree ? nullptr : entries_[place].node;
    }
    [[nodiscard]] bool contains(const Hash& hash, std::string_view place) const {
        if (places_.empty()) return false;
        const uint32_t first = places_[place_of(hash)];
        if (first == kFree) return false;
        if (entries_[first].place == place) return true;
        for (size_t i = first; i < entries_.size(); ++i)
            if (entries_[i].hash == hash && entries_[i].place == place) return true;
        return false;
    }
    void emplace(const Hash& hash, NodePtr node, std::string place) {
        if (2 * (entries_.size() + 1) > places_.size()) rehash(4 * (entries_.size() + 8));
        uint32_t& at = places_[place_of(hash)];
        if (at == kFree) at = static_cast<uint32_t>(entries_.size());
        bytes_ += node->size();
        entries_.push_back({hash, std::move(node), std::move(place)});
    }
    /// Takes over all of `other`.
    void merge(NodeMap& other) {
        if (empty()) return std::swap(*this, other);
        reserve(size() + other.size());
        for (Entry& e : other.entries_) emplace(e.hash, std::move(e.node), std::move(e.place));
        other = {};
    }
    void reserve(size_t count) {
        entries_.reserve(count);
        if (2 * count > places_.size()) rehash(2 * count);
    }

private:
    static constexpr uint32_t kFree = ~uint32_t{0};

    /// Where `hash` is, or the free place where it belongs.
    [[nodiscard]] size_t place_of(const Hash& hash) const {
        const size_t mask = places_.size() - 1;
        size_t at = hasher_(hash) & mask;
        while (places_[at] != kFree && entries_[places_[at]].hash != hash) at = (at + 1) & mask;
        return at;
    }
    void rehash(size_t least) {
        places_.assign(std::bit_ceil(least), kFree);
        for (size_t i = 0; i < entries_.size(); ++i) {
            uint32_t& at = places_[place_of(entries_[i].hash)];
            if (at == kFree) at = static_cast<uint32_t>(i);
        }
    }

    SeededHasher hasher_;
    std::vector<Entry> entries_;
    std::vector<uint32_t> places_;  ///< index into entries_ or kFree; at most half are taken
    size_t bytes_ = 0;
};

}  // namespace trainyard::state
