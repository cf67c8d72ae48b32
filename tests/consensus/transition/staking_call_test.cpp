// SPDX-License-Identifier: Apache-2.0
// What the protocol tells the Staking contract, where tips go, and the precompile inside a call.
#include <gtest/gtest.h>

#include "consensus/bft/evidence.hpp"
#include "consensus/bft/seal.hpp"
#include "consensus/transition/own_precompiles.hpp"
#include "test_world.hpp"

namespace trainyard::consensus {
namespace {

/// Stores its three words of input in slots 0, 1 and 2.
constexpr std::string_view kKeeper = "5f355f556020356001556040356002555f5ffd";

Bytes seal(uint64_t epoch, uint64_t view) {
    return bft::encode_seal({{epoch}, {view}, {}, {}});
}

struct StakingWorld : TestWorld {
    explicit StakingWorld(std::string_view code) {
        config.staking_contract = true;
        if (!code.empty()) deploy(address::kStaking, code);
    }
    [[nodiscard]] Result<BuiltBlock, BlockInvalid> build_with(
        const Bytes& extra_data, const std::vector<Tx>& txs = {}) const {
        size_t next = 0;
        const BuildInput input{parent,
                               make_header(parent, {address_number(9), 0, {}, extra_data}, config),
                               {},
                               config,
                               [&]() -> std::optional<Candidate> {
                                   if (next == txs.size()) return std::nullopt;
                                   const Tx& tx = txs[next++];
                                   return Candidate{tx, *recover_sender(tx)};
                               },
                               {}};
        return build_block(view(), input);
    }
};

std::vector<Uint256> told(const StakingWorld& world, const Bytes& extra_data) {
    const auto built = world.build_with(extra_data);
    EXPECT_TRUE(built.has_value());
    const auto& storage = built->outcome.diff.accounts.at(address::kStaking)->storage;
    std::vector<Uint256> out;
    for (uint64_t slot = 0; slot < 3; ++slot)
        out.push_back(storage.contains(slot) ? storage.at(slot) : Uint256());
    return out;
}

TEST(staking_call, names_the_view_the_parents_view_and_the_parents_beacon) {
    StakingWorld world(kKeeper.substr(0, 32));
    world.parent.extra_data = seal(3, 40);
    const Uint256 randao = from_hash(world.parent.prev_randao);
    EXPECT_EQ(told(world, seal(3, 44)), (std::vector<Uint256>{44, 40, randao}));
    EXPECT_EQ(told(world, seal(4, 2)), (std::vector<Uint256>{2, 0, randao})) << "another epoch";
    world.parent.number = 0;
    EXPECT_EQ(told(world, seal(3, 1)), (std::vector<Uint256>{1, 0, randao})) << "genesis";
}

TEST(staking_call, needs_a_seal_and_must_not_fail) {
    const StakingWorld world(kKeeper.substr(0, 32));
    EXPECT_EQ(world.build_with({}).error().fault, BlockFault::bad_seal);
    EXPECT_EQ(world.build_with(Bytes(20, 0xff)).error().fault, BlockFault::bad_seal);
    const StakingWorld failing(kKeeper);  // ends in REVERT
    EXPECT_EQ(failing.build_with(seal(0, 1)).error().fault, BlockFault::system_call_failed);
    const StakingWorld without("");
    EXPECT_TRUE(without.build_with({}).has_value()) << "a chain without the contract";
}

TEST(staking_call, tips_go_to_the_contract_whoever_the_header_names) {
    const StakingWorld world(kKeeper.substr(0, 32));
    const auto built = world.build_with(seal(0, 1), {StakingWorld::make_tx(1, address_number(5))});
    ASSERT_TRUE(built.has_value());
    const auto& accounts = built->outcome.diff.accounts;
    EXPECT_EQ(accounts.at(address::kStaking)->balance, Uint256(21'000) * kGwei);
    EXPECT_FALSE(accounts.contains(address_number(9)));
    EXPECT_EQ(built->block.header.beneficiary, address_number(9));
}

TEST(own_precompile, answers_calls_of_contracts_and_costs_what_the_table_says) {
    StakingWorld world("");
    CallRequest request;
    request.from = account_number(1);
    request.to = kDoubleVoteAddress;
    const auto on_ours = simulate_call(world.view(), world.context(), request);
    ASSERT_TRUE(on_ours.has_value());
    EXPECT_EQ(on_ours->output, Bytes(32, 0));
    EXPECT_EQ(on_ours->gas_used, 21'000u + kDoubleVoteGas);
    world.config.staking_contract = false;
    const auto elsewhere = simulate_call(world.view(), world.context(), request);
    ASSERT_TRUE(elsewhere.has_value());
    EXPECT_EQ(elsewhere->output, Bytes());
    EXPECT_EQ(elsewhere->gas_used, 21'000u);
}

}  // namespace
}  // namespace trainyard::consensus
