// SPDX-License-Identifier: Apache-2.0
// The index of accounts and slots, with keys that somebody chose to collide.
#include "consensus/transition/flat_index.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace trainyard::consensus {
namespace {

struct Slot {
    Uint256 key;
    uint64_t value = 0;
};
using Index = FlatIndex<Slot, Uint256, &Slot::key>;

constexpr uint64_t kStart = 0x9e3779b97f4a7c15;

Uint256 spread_key(uint64_t i) {
    Uint256 key;
    key.limbs[0] = i * 0x9e3779b97f4a7c15;
    key.limbs[3] = i;
    return key;
}

/// Different keys of one hash: the last limb undoes what the others made.
Uint256 colliding_key(uint64_t i) {
    Uint256 key;
    key.limbs[0] = i;
    uint64_t h = kStart;
    for (size_t limb = 0; limb < 3; ++limb) h = KeyHasher::mix(h, key.limbs[limb]);
    key.limbs[3] = h ^ 1;
    return key;
}

void fill_and_find(Index& index, Uint256 (*key_of)(uint64_t), uint64_t count) {
    std::deque<Slot> slots;
    for (uint64_t i = 0; i < count; ++i) {
        Slot*& place = index.place(key_of(i));
        ASSERT_EQ(place, nullptr);
        place = &slots.emplace_back(Slot{key_of(i), i});
    }
    for (uint64_t i = 0; i < count; ++i) {
        const Slot* found = index.find(key_of(i));
        ASSERT_NE(found, nullptr);
        EXPECT_EQ(found->value, i);
    }
    EXPECT_EQ(index.find(key_of(count)), nullptr);
}

TEST(flat_index, finds_what_was_put_in) {
    Index index;
    fill_and_find(index, spread_key, 100'000);
    EXPECT_FALSE(index.is_crowded());
}

TEST(flat_index, chosen_keys_are_searched_in_a_tree) {
    EXPECT_EQ(KeyHasher()(colliding_key(1)), KeyHasher()(colliding_key(2)));
    Index index;
    fill_and_find(index, colliding_key, 5'000);
    EXPECT_TRUE(index.is_crowded());
    index.clear();
    EXPECT_EQ(index.find(colliding_key(1)), nullptr);
    EXPECT_FALSE(index.is_crowded());
}

}  // namespace
}  // namespace trainyard::consensus
