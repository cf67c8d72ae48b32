// SPDX-License-Identifier: Apache-2.0
// Difficulty, ommers and rewards of chains from before the Merge.
#include "consensus/rules/work.hpp"

#include <gtest/gtest.h>

#include "core/hash.hpp"

namespace trainyard::consensus {
namespace {

using vm::Revision;

ChainConfig chain_of(Revision revision) {
    return ethereum_config(1, {{revision, 0, 0, {}}});
}

Uint256 difficulty_after(Revision revision, uint64_t parent_difficulty, uint64_t seconds,
                         bool parent_has_ommers = false, uint64_t parent_number = 10) {
    Header parent;
    parent.number = parent_number;
    parent.timestamp = 1000;
    parent.difficulty = parent_difficulty;
    parent.ommers_hash = parent_has_ommers ? Hash{} : kEmptyListHash;
    return next_difficulty(parent, 1000 + seconds, chain_of(revision));
}

TEST(work, first_block_of_the_main_network_has_the_difficulty_that_it_has) {
    Header genesis;
    genesis.ommers_hash = kEmptyListHash;
    genesis.difficulty = 17'179'869'184;
    EXPECT_EQ(next_difficulty(genesis, 1'438'269'988, chain_of(Revision::frontier)),
              Uint256(17'171'480'576));
}

TEST(work, difficulty_moves_by_the_formula_of_the_fork) {
    constexpr uint64_t kParent = 2048 * 1000;
    EXPECT_EQ(difficulty_after(Revision::frontier, kParent, 12), Uint256(kParent + 1000));
    EXPECT_EQ(difficulty_after(Revision::frontier, kParent, 13), Uint256(kParent - 1000));
    EXPECT_EQ(difficulty_after(Revision::homestead, kParent, 9), Uint256(kParent + 1000));
    EXPECT_EQ(difficulty_after(Revision::homestead, kParent, 19), Uint256(kParent));
    EXPECT_EQ(difficulty_after(Revision::homestead, kParent, 35), Uint256(kParent - 2000));
    EXPECT_EQ(difficulty_after(Revision::homestead, kParent, 100'000),
              Uint256(kParent - 99 * 1000));
    EXPECT_EQ(difficulty_after(Revision::byzantium, kParent, 8), Uint256(kParent + 1000));
    EXPECT_EQ(difficulty_after(Revision::byzantium, kParent, 8, true), Uint256(kParent + 2000));
    EXPECT_EQ(difficulty_after(Revision::byzantium, kParent, 9), Uint256(kParent));
    EXPECT_EQ(difficulty_after(Revision::byzantium, 131'072, 100'000), Uint256(131'072));
    EXPECT_EQ(difficulty_after(Revision::paris, kParent, 9), Uint256());
}

TEST(work, ice_age_adds_a_power_of_two_and_can_be_delayed) {
    Header parent;
    parent.number = 499'999;
    parent.ommers_hash = kEmptyListHash;
    parent.difficulty = 2048 * 1000;
    ChainConfig config = chain_of(Revision::homestead);
    EXPECT_EQ(next_difficulty(parent, 10, config), Uint256(2048 * 1000 + 8));
    config.bomb_delays = {{1'000'000, 1}};
    EXPECT_EQ(next_difficulty(parent, 10, config), Uint256(2048 * 1000 + 8));
    config.bomb_delays = {{0, 300'000}};
    EXPECT_EQ(next_difficulty(parent, 10, config), Uint256(2048 * 1000 + 1));
}

TEST(work, rewards_follow_the_fork_and_the_distance_of_ommers) {
    Header header, ommer;
    header.number = 10;
    header.beneficiary[0] = 1;
    ommer.number = 8;
    ommer.beneficiary[0] = 2;
    const Uint256 ether = *parse_uint256("1000000000000000000");
    const auto frontier = block_rewards(header, {ommer}, vm::rules_of(Revision::frontier));
    ASSERT_EQ(frontier.size(), 2u);
    EXPECT_EQ(frontier[0], (Reward{ommer.beneficiary, ether * 5 * 6 / 8}));
    EXPECT_EQ(frontier[1], (Reward{header.beneficiary, ether * 5 + ether * 5 / 32}));
    const auto byzantium = block_rewards(header, {}, vm::rules_of(Revision::byzantium));
    EXPECT_EQ(byzantium, (std::vector<Reward>{{header.beneficiary, ether * 3}}));
    EXPECT_EQ(block_rewards(header, {}, vm::rules_of(Revision::london))[0].wei, ether * 2);
    EXPECT_TRUE(block_rewards(header, {}, vm::rules_of(Revision::paris)).empty());
}

/// Block 0 and three empty blocks above it, newest first, and a sibling of each.
class Ommers : public ::testing::Test {
protected:
    Ommers() {
        Block genesis;
        genesis.header.difficulty = 131'072;
        genesis.header.gas_limit = 1'000'000;
        genesis.header.ommers_hash = kEmptyListHash;
        blocks.push_back(genesis);
        for (int i = 0; i < 3; ++i) blocks.insert(blocks.begin(), child_of(blocks[0].header, 10));
        block = child_of(blocks[0].header, 10);
    }
    [[nodiscard]] Block child_of(const Header& parent, uint64_t seconds) const {
        Block made;
        made.header.parent_hash = hash_header(parent);
        made.header.number = parent.number + 1;
        made.header.timestamp = parent.timestamp + seconds;
        made.header.gas_limit = parent.gas_limit;
        made.header.ommers_hash = kEmptyListHash;
        made.header.difficulty = next_difficulty(parent, made.header.timestamp, config);
        return made;
    }
    [[nodiscard]] bool is_allowed(std::vector<Header> ommers) const {
        Block with = block;
        with.ommers = std::move(ommers);
        return check_ommers(with, blocks, config).has_value();
    }
    ChainConfig config = chain_of(Revision::homestead);
    std::vector<Block> blocks;
    Block block;
};

TEST_F(Ommers, children_of_ancestors_are_taken) {
    EXPECT_TRUE(is_allowed({child_of(blocks[1].header, 11).header}));
    EXPECT_TRUE(
        is_allowed({child_of(blocks[1].header, 11).header, child_of(blocks[3].header, 12).header}));
}

TEST_F(Ommers, rejects_what_is_no_ommer) {
    const Header good = child_of(blocks[1].header, 11).header;
    EXPECT_FALSE(is_allowed({good, good}));
    EXPECT_FALSE(is_allowed(
        {good, child_of(blocks[1].header, 12).header, child_of(blocks[1].header, 13).header}));
    EXPECT_FALSE(is_allowed({blocks[0].header}));                       // an ancestor
    EXPECT_FALSE(is_allowed({child_of(blocks[0].header, 11).header}));  // a sibling
    Header stranger = good;
    stranger.parent_hash = Hash{};
    EXPECT_FALSE(is_allowed({stranger}));
    Header wrong = good;
    wrong.difficulty += 1;
    EXPECT_FALSE(is_allowed({wrong}));
    blocks[0].ommers = {good};  // named before
    EXPECT_FALSE(is_allowed({good}));
}

}  // namespace
}  // namespace trainyard::consensus
