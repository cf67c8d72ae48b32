// SPDX-License-Identifier: Apache-2.0
// Importing a chain of proof of work that is made here: taken, gone on with, and refused.
#include "node/chain/import.hpp"

#include <gtest/gtest.h>

#include "consensus/rules/work.hpp"
#include "core/hash.hpp"

namespace trainyard::node::chain {
namespace {

constexpr const char* kSpec = R"({"config":{"chainId":5,"homesteadBlock":0,"eip150Block":0,
    "eip155Block":0,"eip158Block":0,"byzantiumBlock":2,"constantinopleBlock":2,"istanbulBlock":2,
    "berlinBlock":2,"londonBlock":3,"terminalTotalDifficulty":500000,"shanghaiTime":60},
    "difficulty":"0x20000","gasLimit":"0x1c9c380","alloc":{}})";

/// Empty blocks, ten seconds apart; the miner's rewards are their only effect.
std::vector<Block> make_chain(const config::ChainSpec& spec, size_t count, uint64_t merge) {
    auto config = spec.config;
    config.set_merge_block(merge);
    std::vector<Block> blocks{spec.genesis};
    uint64_t ether = 0;
    for (uint64_t number = 1; number <= count; ++number) {
        const Header& parent = blocks.back().header;
        Block block;
        Header& h = block.header;
        h = consensus::make_header(parent, {{}, parent.timestamp + 10, {}, {}}, config);
        h.beneficiary[19] = 1;
        h.gas_limit = consensus::next_gas_limit(
            parent.gas_limit * (number == 3 ? consensus::kElasticity : 1), parent.gas_limit);
        h.difficulty = consensus::next_difficulty(parent, h.timestamp, config);
        h.transactions_root = h.receipts_root = kEmptyTrieRoot;
        const auto& rules = vm::rules_of(config.revision_at(number, h.timestamp));
        if (rules.withdrawals) block.withdrawals.emplace();
        ether += rules.block_reward_ether;
        state::StateDiff rewards;
        rewards.accounts[h.beneficiary].emplace().balance =
            Uint256(ether) * Uint256(1'000'000'000) * Uint256(1'000'000'000);
        h.state_root = state::state_root(kEmptyTrieRoot, rewards, state::NoNodes())->root;
        blocks.push_back(std::move(block));
    }
    return blocks;
}

/// Difficulties 131072, 131072 + 64 · …: the fourth block reaches 500000 in total.
constexpr uint64_t kMerge = 4;

TEST(import, takes_a_chain_over_the_merge_and_goes_on_where_it_ended) {
    const auto spec = config::parse_chain_spec(kSpec);
    ASSERT_TRUE(spec) << spec.error().text();
    const auto blocks = make_chain(*spec, 9, kMerge);
    EXPECT_FALSE(blocks[kMerge - 1].header.difficulty.is_zero());
    EXPECT_TRUE(blocks[kMerge].header.difficulty.is_zero());
    EXPECT_TRUE(blocks[9].header.withdrawals_root);
    const auto kv = state::make_memory_kv();
    for (const size_t until : {6, 9}) {
        const auto importer = std::move(*Importer::open(*kv, *spec));
        for (size_t i = 1; i <= until; ++i) {
            const auto added = importer->add(encode_block(blocks[i]));
            ASSERT_TRUE(added) << added.error().what;
            EXPECT_EQ(*added == Importer::Added::known, until == 9 && i <= 6) << i;
        }
        EXPECT_EQ(importer->head().hash, hash_header(blocks[until].header));
    }
    const auto world = std::move(*state::World::open(*kv));
    auto config = spec->config;
    find_merge(*world, config);
    EXPECT_EQ(config.revision_at(kMerge - 1, 1000), vm::Revision::london);
    EXPECT_EQ(config.revision_at(kMerge, 0), vm::Revision::paris);
}

TEST(import, rejects_blocks_that_break_a_rule_and_keeps_the_store_as_it_was) {
    const auto spec = config::parse_chain_spec(kSpec);
    const auto blocks = make_chain(*spec, 2, kMerge);
    const auto kv = state::make_memory_kv();
    const auto importer = std::move(*Importer::open(*kv, *spec));
    ASSERT_TRUE(importer->add(encode_block(blocks[1])));
    const auto error_of = [&](const Bytes& bytes) {
        const auto added = importer->add(bytes);
        EXPECT_FALSE(added);
        return added ? "" : added.error().what;
    };
    const auto broken = [&](auto change) {
        Block block = blocks[2];
        change(block.header);
        return error_of(encode_block(block));
    };
    EXPECT_NE(error_of({0x01}).find("not a block"), std::string::npos);
    EXPECT_NE(broken([](Header& h) { h.difficulty += 1; }).find("difficulty"), std::string::npos);
    EXPECT_NE(broken([](Header& h) { h.state_root[0] ^= 1; }).find("state root"),
              std::string::npos);
    EXPECT_NE(broken([](Header& h) { h.parent_hash[0] ^= 1; }).find("parent"), std::string::npos);
    EXPECT_NE(broken([](Header& h) { h.number = 1; }).find("another block"), std::string::npos);
    EXPECT_EQ(importer->head().header.number, 1u);
    EXPECT_TRUE(importer->add(encode_block(blocks[2])));
    auto other = *spec;
    other.genesis.header.gas_limit += 1;
    EXPECT_FALSE(Importer::open(*kv, other));
}

}  // namespace
}  // namespace trainyard::node::chain
