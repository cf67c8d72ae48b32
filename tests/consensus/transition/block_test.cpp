// SPDX-License-Identifier: Apache-2.0
// Blocks: what is built can be applied, and what is changed afterwards is refused.
#include "consensus/transition/block.hpp"

#include <gtest/gtest.h>

#include "tests/consensus/transition/test_world.hpp"

namespace trainyard::consensus {
namespace {

/// A source that gives these transactions, each with the account that signed it.
std::function<std::optional<Candidate>()> source_of(std::vector<Tx> txs) {
    return [txs = std::move(txs), next = size_t{0}]() mutable -> std::optional<Candidate> {
        if (next == txs.size()) return std::nullopt;
        const Tx& tx = txs[next++];
        return Candidate{tx, *recover_sender(tx)};
    };
}

BuiltBlock build(const TestWorld& world, std::vector<Tx> txs) {
    const HeaderChoice choice{address_number(9), world.parent.timestamp + 1, Hash{}, {}};
    const BuildInput input{world.parent,
                           make_header(world.parent, choice, world.config),
                           {},
                           world.config,
                           source_of(std::move(txs)),
                           {}};
    auto built = build_block(world.view(), input);
    EXPECT_TRUE(built);
    return std::move(*built);
}

std::optional<BlockInvalid> apply_error(const TestWorld& world, const Block& block) {
    const auto result = apply_block(world.view(), world.parent, block, {}, world.config);
    return result ? std::nullopt : std::optional(result.error());
}

std::vector<Tx> three_transfers() {
    return {TestWorld::make_tx(1, account_number(2)),
            TestWorld::make_tx(1, account_number(3), {}, 1),
            TestWorld::make_tx(2, account_number(3))};
}

TEST(block, what_is_built_is_accepted_with_the_same_outcome) {
    const TestWorld world;
    const auto built = build(world, three_transfers());
    EXPECT_EQ(built.block.txs.size(), 3u);
    EXPECT_EQ(built.outcome.gas_used, 63000u);
    const auto applied = apply_block(world.view(), world.parent, built.block, {}, world.config);
    ASSERT_TRUE(applied) << to_text(applied.error().fault);
    EXPECT_EQ(applied->diff, built.outcome.diff);
    EXPECT_EQ(applied->receipts, built.outcome.receipts);
    EXPECT_EQ(applied->receipts[2].cumulative_gas_used, 63000u);
    EXPECT_EQ(applied->senders[2], account_number(2));
}

TEST(block, building_skips_what_breaks_a_rule_and_says_why) {
    const TestWorld world;
    auto txs = three_transfers();
    std::swap(txs[0], txs[1]);  // nonce 1 before nonce 0
    const auto built = build(world, txs);
    EXPECT_EQ(built.block.txs.size(), 2u);
    ASSERT_EQ(built.skipped.size(), 1u);
    EXPECT_EQ(built.skipped[0].why, TxInvalid::nonce_too_high);
    EXPECT_EQ(apply_error(world, built.block), std::nullopt);
}

TEST(block, the_hash_of_a_block_is_asked_for_once_however_often_code_wants_it) {
    TestWorld world;
    const Address looks = address_number(7);
    world.deploy(looks, "5b600340506000565b00");  // for ever: BLOCKHASH(3)
    Tx tx = TestWorld::make_tx(1, looks);
    tx.gas_limit = 1'000'000;
    sign_tx(tx, key_number(1));
    int asked = 0;
    const BlockHashes hashes = [&](uint64_t number) {
        ++asked;
        return to_hash(Uint256(number));
    };
    const BuildInput input{world.parent,    make_header(world.parent, {}, world.config),
                           hashes,          world.config,
                           source_of({tx}), {}};
    const auto built = build_block(world.view(), input);
    EXPECT_EQ(built->outcome.gas_used, 1'000'000u);
    const int to_build = std::exchange(asked, 0);
    EXPECT_LE(to_build, 2);
    ASSERT_TRUE(apply_block(world.view(), world.parent, built->block, {hashes}, world.config));
    EXPECT_LE(asked, 2);
}

TEST(block, building_stops_when_time_is_up) {
    const TestWorld world;
    int asked = 0;
    const BuildInput input{world.parent,
                           make_header(world.parent, {}, world.config),
                           {},
                           world.config,
                           source_of(three_transfers()),
                           [&] { return ++asked > 1; }};
    EXPECT_EQ(build_block(world.view(), input)->block.txs.size(), 1u);
}

TEST(block, rejects_every_changed_commitment) {
    const TestWorld world;
    const auto built = build(world, three_transfers());
    const auto fault_of = [&](auto change) {
        Block block = built.block;
        change(block);
        return apply_error(world, block)->fault;
    };
    using enum BlockFault;
    EXPECT_EQ(fault_of([](Block& b) { b.header.gas_used -= 1; }), bad_gas_used);
    EXPECT_EQ(fault_of([](Block& b) { b.header.receipts_root[0] ^= 1; }), bad_receipts_root);
    EXPECT_EQ(fault_of([](Block& b) { b.header.logs_bloom[0] ^= 1; }), bad_bloom);
    EXPECT_EQ(fault_of([](Block& b) { (*b.header.requests_hash)[0] ^= 1; }), bad_requests);
    EXPECT_EQ(fault_of([](Block& b) { b.txs.pop_back(); }), bad_transactions_root);
    EXPECT_EQ(fault_of([](Block& b) { b.ommers.emplace_back(); }), bad_ommers);
    EXPECT_EQ(fault_of([](Block& b) { b.withdrawals.reset(); }), bad_withdrawals);
    EXPECT_EQ(fault_of([](Block& b) {
                  b.withdrawals->emplace_back();
                  b.header.withdrawals_root = withdrawals_root(*b.withdrawals);
              }),
              bad_withdrawals);
}

TEST(block, rejects_a_transaction_that_breaks_a_rule_and_names_it) {
    const TestWorld world;
    Block block = build(world, three_transfers()).block;
    std::swap(block.txs[0], block.txs[1]);
    block.header.transactions_root = transactions_root(block.txs);
    const auto error = apply_error(world, block);
    ASSERT_TRUE(error);
    EXPECT_EQ(*error, (BlockInvalid{BlockFault::bad_transaction, 0, TxInvalid::nonce_too_high}));
}

TEST(block, tells_the_beacon_contract_the_end_of_each_mini_epoch) {
    TestWorld world;
    // Stores its two words of input: slot[word 0 + 1] := word 1.
    world.deploy(kBeaconAddress,
                 "6020355f3560010155"
                 "00");
    world.parent.number = 16;
    const auto built = build(world, {});
    ASSERT_TRUE(built.outcome.diff.accounts.contains(kBeaconAddress));
    // Block 17 is the first of mini-epoch 2; R_end(1) is the randomness of block 16.
    EXPECT_EQ(built.outcome.diff.accounts.at(kBeaconAddress)->storage.at(2),
              from_hash(world.parent.prev_randao));
    EXPECT_FALSE(built.outcome.diff.accounts.contains(kSystemAddress));
    world.parent.number = 17;
    EXPECT_TRUE(build(world, {}).outcome.diff.accounts.empty());
}

TEST(block, a_beacon_contract_that_fails_makes_the_block_invalid) {
    TestWorld world;
    world.deploy(kBeaconAddress, "fe");
    world.parent.number = 16;
    const BuildInput input{
        world.parent, make_header(world.parent, {}, world.config), {}, world.config, {}, {}};
    const auto built = build_block(world.view(), input);
    ASSERT_FALSE(built);
    EXPECT_EQ(built.error().fault, BlockFault::system_call_failed);
}

}  // namespace
}  // namespace trainyard::consensus
