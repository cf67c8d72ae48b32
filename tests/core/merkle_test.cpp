// SPDX-License-Identifier: Apache-2.0
// Merkle trees of every small size, and paths that must not verify.
#include "core/merkle.hpp"

#include <gtest/gtest.h>

namespace trainyard::merkle {
namespace {

std::vector<Hash> leaves(size_t count) {
    std::vector<Hash> out;
    for (size_t i = 0; i < count; ++i) {
        const auto byte = static_cast<uint8_t>(i);
        out.push_back(leaf({&byte, 1}));
    }
    return out;
}

TEST(merkle, leaf_and_node_are_tagged) {
    const Bytes tagged_leaf{0, 'x'};
    EXPECT_EQ(leaf(as_bytes("x")), sha256(tagged_leaf));
    const auto two = leaves(2);
    Bytes tagged_node{1};
    append(tagged_node, two[0]);
    append(tagged_node, two[1]);
    EXPECT_EQ(node(two[0], two[1]), sha256(tagged_node));
    for (const size_t size : {0u, 1023u, 1024u, 1025u, 5000u}) {
        Bytes long_leaf(1 + size, 5);
        long_leaf[0] = 0;
        EXPECT_EQ(leaf(BytesView(long_leaf).subspan(1)), sha256(long_leaf)) << size;
    }
}

TEST(merkle, small_roots_have_the_shape_of_the_rule) {
    const auto l = leaves(7);
    EXPECT_EQ(root({}), Hash{});
    EXPECT_EQ(root({l[0]}), l[0]);
    EXPECT_EQ(root(leaves(3)), node(node(l[0], l[1]), l[2]));
    EXPECT_EQ(root(leaves(5)), node(node(node(l[0], l[1]), node(l[2], l[3])), l[4]));
    EXPECT_EQ(root(l),
              node(node(node(l[0], l[1]), node(l[2], l[3])), node(node(l[4], l[5]), l[6])));
}

TEST(merkle, every_path_of_every_size_verifies_in_its_place_only) {
    for (size_t count = 1; count <= 33; ++count) {
        const auto all = leaves(count);
        const Hash top = root(all);
        const auto together = paths(all);
        ASSERT_EQ(together.size(), count);
        for (size_t i = 0; i < count; ++i) {
            const auto siblings = path(all, i);
            ASSERT_EQ(together[i], siblings) << count << " " << i;
            ASSERT_TRUE(verify(top, all[i], i, count, siblings)) << count << " " << i;
            for (size_t j = 0; j < count; ++j) {
                ASSERT_EQ(verify(top, all[i], j, count, siblings), i == j);
                if (j != i) {
                    ASSERT_FALSE(verify(top, all[j], i, count, siblings));
                }
            }
        }
    }
}

TEST(merkle, rejects_paths_with_a_sibling_more_less_or_changed) {
    const auto all = leaves(11);
    const Hash top = root(all);
    const auto siblings = path(all, 10);
    ASSERT_TRUE(verify(top, all[10], 10, 11, siblings));
    EXPECT_FALSE(verify(top, all[10], 11, 11, siblings));
    EXPECT_FALSE(verify(top, all[10], 10, 10, siblings));
    auto more = siblings, less = siblings, other = siblings;
    more.push_back({});
    less.pop_back();
    other[0][5] ^= 1;
    for (const auto& wrong : {more, less, other}) EXPECT_FALSE(verify(top, all[10], 10, 11, wrong));
    EXPECT_FALSE(verify(top, top, 0, 11, {}));
    EXPECT_FALSE(verify({}, {}, 0, 0, {}));
}

}  // namespace
}  // namespace trainyard::merkle
