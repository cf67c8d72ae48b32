// SPDX-License-Identifier: Apache-2.0
// What is told of the chain's head, also to those who hear of it late.
#include "node/chain/head_feed.hpp"

#include <gtest/gtest.h>

#include "tests/node/chain/small_chain.hpp"

namespace trainyard::node::chain {
namespace {

using Blocks = std::vector<ChainBlockPtr>;

struct Fork {
    SmallChain small;
    HeadFeed feed{small.chain()};
    const ChainBlockPtr root = small.head();

    /// A payment of `who` tells blocks on one parent apart.
    ChainBlockPtr on(const ChainBlockPtr& parent, uint8_t who = 0) {
        std::vector<Tx> txs;
        if (who != 0) txs.push_back(payment_of(who));
        return small.add_block(txs, parent);
    }
    void finalise(const ChainBlockPtr& block) {
        consensus::bft::Certificate certificate;
        certificate.block = block->hash;
        EXPECT_TRUE(small.chain().finalise(block->hash, certificate));
    }
    static Tx payment_of(uint8_t who) {
        Tx tx;
        tx.type = TxType::dynamic_fee;
        tx.chain_id = 7777;
        tx.max_fee_per_gas = Uint256(10'000'000'000);
        tx.gas_limit = 21'000;
        tx.to = account_of(9);
        sign_tx(tx, key_of(who));
        return tx;
    }
};

TEST(head_feed, tells_blocks_of_both_branches) {
    Fork f;
    const auto a1 = f.on(f.root), a2 = f.on(a1);
    auto change = f.feed.move_to(a2);
    EXPECT_EQ(change.added, (Blocks{a1, a2}));
    EXPECT_TRUE(change.removed.empty());
    EXPECT_TRUE(f.feed.move_to(a2).is_empty());
    const auto b1 = f.on(f.root, 1), b2 = f.on(b1), b3 = f.on(b2);
    change = f.feed.move_to(b3);
    EXPECT_EQ(change.removed, (Blocks{a2, a1}));
    EXPECT_EQ(change.added, (Blocks{b1, b2, b3}));
    change = f.feed.move_to(b1);
    EXPECT_EQ(change.removed, (Blocks{b3, b2}));
    EXPECT_TRUE(change.added.empty());
}

TEST(head_feed, tells_the_end_of_a_branch_that_the_chain_has_forgotten) {
    Fork f;
    const auto a1 = f.on(f.root), a2 = f.on(a1);
    EXPECT_EQ(f.feed.move_to(a2).added, (Blocks{a1, a2}));
    const auto b1 = f.on(f.root, 1), b2 = f.on(b1);
    f.finalise(b1);
    ASSERT_EQ(f.small.chain().by_hash(a1->hash), nullptr);
    const auto change = f.feed.move_to(b2);
    EXPECT_EQ(change.removed, (Blocks{a2, a1}));
    EXPECT_EQ(change.added, (Blocks{b1, b2}));
}

TEST(head_feed, says_nothing_of_a_head_that_is_forgotten_when_its_turn_comes) {
    Fork f;
    const auto a1 = f.on(f.root), a2 = f.on(a1);
    const auto b1 = f.on(f.root, 1), b2 = f.on(b1);
    f.finalise(b1);
    EXPECT_TRUE(f.feed.move_to(a2).is_empty());
    const auto change = f.feed.move_to(b2);
    EXPECT_TRUE(change.removed.empty());
    EXPECT_EQ(change.added, (Blocks{b1, b2}));
}

TEST(head_feed, tells_the_last_blocks_of_a_long_jump) {
    Fork f;
    const auto a1 = f.on(f.root);
    EXPECT_EQ(f.feed.move_to(a1).added, Blocks{a1});
    auto head = f.on(f.root, 1);
    const auto first = head;
    for (int i = 0; i < 299; ++i) head = f.on(head);
    f.finalise(first);
    const auto change = f.feed.move_to(head);
    EXPECT_EQ(change.removed, Blocks{a1});
    ASSERT_EQ(change.added.size(), 256u);
    EXPECT_EQ(change.added.back(), head);
    EXPECT_EQ(change.added.front()->height(), 45u);
    const auto next = f.on(head);
    EXPECT_EQ(f.feed.move_to(next).added, Blocks{next});
}

TEST(head_feed, lets_go_of_what_is_final) {
    constexpr size_t kFeeds = 50;  // more than all others who may hold a block
    Fork f;
    std::vector<HeadFeed> feeds(kFeeds, f.feed);
    const auto a1 = f.on(f.root), a2 = f.on(a1);
    for (auto& feed : feeds) (void)feed.move_to(a2);
    EXPECT_GE(a1.use_count(), static_cast<long>(kFeeds));
    f.finalise(a1);
    f.finalise(a2);
    const auto a3 = f.on(a2);
    for (auto& feed : feeds) EXPECT_EQ(feed.move_to(a3).added, Blocks{a3});
    EXPECT_LT(a1.use_count(), static_cast<long>(kFeeds));
}

}  // namespace
}  // namespace trainyard::node::chain
