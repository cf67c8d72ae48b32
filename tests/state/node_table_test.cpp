// SPDX-License-Identifier: Apache-2.0
// The table of nodes by hash against a plain map, through all its growth and erasure.
#include "state/node_table.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "core/hash.hpp"

namespace trainyard::state {
namespace {

Hash hash_number(uint64_t n) {
    return keccak256(to_hash(Uint256(n)).bytes);
}
NodePtr node_of(uint64_t n) {
    return std::make_shared<const Bytes>(1, static_cast<uint8_t>(n));
}

TEST(node_table, equals_a_map_after_any_changes) {
    for (uint32_t seed = 1; seed <= 40; ++seed) {
        std::mt19937 random(seed);
        NodeTable table;
        std::map<uint64_t, NodePtr> model;
        const uint64_t keys = 8 << (seed % 5);  // up to full tables, where searches wrap
        for (int step = 0; step < 3000; ++step) {
            const uint64_t key = random() % keys;
            const Hash hash = hash_number(key);
            const NodePtr node = node_of(random());
            switch (random() % 4) {
                case 0:
                    ASSERT_EQ(table.insert(hash, node), model.try_emplace(key, node).second);
                    break;
                case 1:
                    table.assign(hash, node);
                    model[key] = node;
                    break;
                default:
                    const auto known = model.find(key);
                    table.erase(hash, known == model.end() ? node : known->second);
                    if (known != model.end()) model.erase(known);
            }
            ASSERT_EQ(table.size(), model.size());
            for (uint64_t i = 0; i < keys; ++i)
                ASSERT_EQ(table.find(hash_number(i)), model.contains(i) ? model[i] : nullptr);
        }
    }
}

TEST(node_table, erases_no_node_but_the_one_that_is_meant) {
    NodeTable table;
    const NodePtr old = node_of(1), young = node_of(1);
    table.erase(hash_number(1), old);
    table.assign(hash_number(1), old);
    table.assign(hash_number(1), young);
    table.erase(hash_number(1), old);
    EXPECT_EQ(table.find(hash_number(1)), young);
    table.erase(hash_number(1), young);
    EXPECT_EQ(table.find(hash_number(1)), nullptr);
    EXPECT_EQ(table.size(), 0u);
}

TEST(node_table, places_below_different_nibbles_are_in_different_parts) {
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
