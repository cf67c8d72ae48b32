// SPDX-License-Identifier: Apache-2.0
// A map in one array with open addressing, for the large tables in memory: a look at what is not
// there costs about one read of memory.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/seeded_hasher.hpp"

namespace trainyard::state {

/// References to values hold until the next change of the map.
template <class Key, class Value, class Hasher = SeededHasher>
class FlatMap {
public:
    /// Null if there is none.
    [[nodiscard]] const Value* find(const Key& key) const {
        if (size_ == 0) return nullptr;
        const size_t at = place_of(key);
        return tags_[at] == kFree ? nullptr : &slots_[at].value;
    }
    [[nodiscard]] Value* find(const Key& key) {
        return const_cast<Value*>(std::as_const(*this).find(key));
    }
    /// The value under `key`; an empty one if there was none.
    [[nodiscard]] Value& operator[](const Key& key) {
        if (4 * (size_ + 1) > 3 * slots_.size()) grow();
        const size_t at = place_of(key);
        if (tags_[at] == kFree) {
            tags_[at] = tag_of(hasher_(key));
            slots_[at] = {key, Value()};
            ++size_;
        }
        return slots_[at].value;
    }
    void erase(const Key& key) {
        if (size_ == 0) return;
        size_t hole = place_of(key);
        if (tags_[hole] == kFree) return;
        // Whoever was pushed past the hole moves up, so that searches still end at a free place.
        const size_t mask = slots_.size() - 1;
        for (size_t at = (hole + 1) & mask; tags_[at] != kFree; at = (at + 1) & mask) {
            const size_t home = hasher_(slots_[at].key) & mask;
            if (((at - home) & mask) < ((at - hole) & mask)) continue;
            move(at, hole);
            hole = at;
        }
        tags_[hole] = kFree;
        slots_[hole] = {};
        --size_;
    }
    /// Tells the processor that `key` comes soon.
    void prefetch(const Key& key) const {
        if (slots_.empty()) return;
        const size_t at = hasher_(key) & (slots_.size() - 1);
        __builtin_prefetch(&tags_[at], 1);
        __builtin_prefetch(&slots_[at], 1);
    }
    void clear() {
        tags_.clear();
        slots_.clear();
        size_ = 0;
    }
    [[nodiscard]] size_t size() const { return size_; }

private:
    static constexpr uint32_t kFree = 0;
    struct Slot {
        Key key{};
        Value value{};
    };

    [[nodiscard]] static uint32_t tag_of(size_t hash) {
        return static_cast<uint32_t>(hash >> 32) | 1;
    }
    /// Where `key` is, or the free place where it belongs.
    [[nodiscard]] size_t place_of(const Key& key) const {
        const size_t hash = hasher_(key), mask = slots_.size() - 1;
        const uint32_t tag = tag_of(hash);
        size_t at = hash & mask;
        while (tags_[at] != kFree && (tags_[at] != tag || !(slots_[at].key == key)))
            at = (at + 1) & mask;
        return at;
    }
    void move(size_t from, size_t to) {
        tags_[to] = tags_[from];
        slots_[to] = std::move(slots_[from]);
    }
    void grow() {
        std::vector<uint32_t> tags(slots_.empty() ? 16 : 2 * slots_.size(), kFree);
        std::vector<Slot> slots(tags.size());
        tags.swap(tags_);
        slots.swap(slots_);
        for (size_t i = 0; i < slots.size(); ++i) {
            if (tags[i] == kFree) continue;
            const size_t at = place_of(slots[i].key);
            tags_[at] = tags[i];
            slots_[at] = std::move(slots[i]);
        }
    }

    Hasher hasher_;
    std::vector<uint32_t> tags_;  ///< part of the hash of each slot, or kFree: small enough to stay
                                  ///< near the processor, so that few slots are looked at in vain
    std::vector<Slot> slots_;     ///< a power of two of them, at most three quarters of them taken
    size_t size_ = 0;
};

}  // namespace trainyard::state
