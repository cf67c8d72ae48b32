// SPDX-License-Identifier: Apache-2.0
// Trie nodes by their hash in one array with open addressing: a look at what is not there costs one
// read of memory.
#pragma once

#include <vector>

#include "core/bytes.hpp"
#include "core/seeded_hasher.hpp"
#include "state/node_map.hpp"

namespace trainyard::state {

class NodeTable {
public:
    [[nodiscard]] NodePtr find(const Hash& hash) const {
        return size_ == 0 ? nullptr : slots_[place_of(hash)].node;
    }
    /// False if it is there already.
    bool insert(const Hash& hash, const NodePtr& node) {
        Slot& slot = slot_of(hash);
        if (slot.node) return false;
        put(slot, hash, node);
        return true;
    }
    /// Takes the place of what is there under this hash.
    void assign(const Hash& hash, const NodePtr& node) {
        Slot& slot = slot_of(hash);
        if (slot.node)
            slot.node = node;
        else
            put(slot, hash, node);
    }
    /// Forgets this very node; one that came later under the same hash stays.
    void erase(const Hash& hash, const NodePtr& node) {
        if (size_ == 0) return;
        size_t hole = place_of(hash);
        if (slots_[hole].node != node) return;
        // Whoever was pushed past the hole moves up, so that searches still end at a free slot.
        const size_t mask = slots_.size() - 1;
        for (size_t at = (hole + 1) & mask; slots_[at].node; at = (at + 1) & mask) {
            const size_t home = hasher_(slots_[at].hash) & mask;
            if (((at - home) & mask) < ((at - hole) & mask)) continue;
            slots_[hole] = std::move(slots_[at]);
            hole = at;
        }
        slots_[hole] = {};
        --size_;
    }
    /// Tells the processor that `hash` comes soon.
    void prefetch(const Hash& hash) const {
        if (!slots_.empty()) __builtin_prefetch(&slots_[hasher_(hash) & (slots_.size() - 1)], 1);
    }
    [[nodiscard]] size_t size() const { return size_; }

private:
    struct Slot {
        Hash hash;
        NodePtr node;  ///< null: the slot is free
    };

    [[nodiscard]] size_t place_of(const Hash& hash) const {
        const size_t mask = slots_.size() - 1;
        size_t at = hasher_(hash) & mask;
        while (slots_[at].node && slots_[at].hash != hash) at = (at + 1) & mask;
        return at;
    }
    [[nodiscard]] Slot& slot_of(const Hash& hash) {
        if (4 * (size_ + 1) > 3 * slots_.size()) grow();
        return slots_[place_of(hash)];
    }
    void put(Slot& slot, const Hash& hash, const NodePtr& node) {
        slot = {hash, node};
        ++size_;
    }
    void grow() {
        std::vector<Slot> old(slots_.empty() ? 16 : 2 * slots_.size());
        old.swap(slots_);
        for (Slot& slot : old)
            if (slot.node) slots_[place_of(slot.hash)] = std::move(slot);
    }

    SeededHasher hasher_;
    std::vector<Slot> slots_;  ///< a power of two of them, at most three quarters of them taken
    size_t size_ = 0;
};

}  // namespace trainyard::state
