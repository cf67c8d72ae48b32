// SPDX-License-Identifier: Apache-2.0
// The flat map against a plain one, through all its growth and erasure.
#include "state/flat_map.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "state/node_map.hpp"

namespace trainyard::state {
namespace {

Hash hash_number(uint64_t n) {
    return keccak256(to_hash(Uint256(n)).bytes);
}

/// Everybody has one home, and half of them one tag.
struct Crowding {
    size_t operator()(const Hash& hash) const { return size_t{hash[0] % 2u} << 40 | 5; }
};

template <class Map>
void expect_like_a_map(uint32_t seed, uint64_t keys) {
    std::mt19937 random(seed);
    Map table;
    std::map<Hash, std::vector<int>> model;
    std::vector<Hash> all;
    for (uint64_t i = 0; i < keys; ++i) all.push_back(hash_number(i));
    for (int step = 0; step < 1500; ++step) {
        const Hash& key = all[random() % keys];
        if (random() % 2 == 0) {
            table.prefetch(key);
            table[key].push_back(step);
            model[key].push_back(step);
        } else {
            table.erase(key);
            model.erase(key);
        }
        ASSERT_EQ(table.size(), model.size());
        for (const Hash& other : all) {
            const auto* const found = table.find(other);
            const auto due = model.find(other);
            ASSERT_EQ(found != nullptr, due != model.end());
            if (found != nullptr) {
                ASSERT_EQ(*found, due->second);
            }
        }
    }
}

TEST(flat_map, equals_a_map_after_any_changes) {
    for (uint32_t seed = 1; seed <= 20; ++seed) {
        const uint64_t keys = 8 << (seed % 5);  // up to full tables, where searches wrap
        expect_like_a_map<FlatMap<Hash, std::vector<int>>>(seed, keys);
        expect_like_a_map<FlatMap<Hash, std::vector<int>, Crowding>>(seed, keys);
    }
}

TEST(flat_map, holds_nothing_once_cleared) {
    FlatMap<Hash, int> table;
    for (uint64_t i = 0; i < 100; ++i) table[hash_number(i)] = 1;
    table.clear();
    EXPECT_EQ(table.size(), 0u);
    EXPECT_EQ(table.find(hash_number(1)), nullptr);
    table[hash_number(1)] = 2;
    EXPECT_EQ(*table.find(hash_number(1)), 2);
}

TEST(part_of, is_that_of_the_first_nibble_below_the_root) {
    const std::string account = storage_place(hash_number(1));
    for (char nibble = 0; nibble < 16; ++nibble) {
        EXPECT_EQ(part_of(std::string(kAccountPlace) + nibble + '\7'), size_t(nibble));
        EXPECT_EQ(part_of(account + nibble + '\7'), size_t(nibble));
    }
    EXPECT_LT(part_of(kAccountPlace), 16u);
    EXPECT_LT(part_of(kCodePlace), 16u);
    EXPECT_LT(part_of(account), 16u);
}

}  // namespace
}  // namespace trainyard::state
