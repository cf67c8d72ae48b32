// SPDX-License-Identifier: Apache-2.0
// State overrides: what they change, what they create, and where precompiles move.
#include "consensus/transition/overrides.hpp"

#include <gtest/gtest.h>

#include "tests/consensus/transition/test_world.hpp"

namespace trainyard::consensus {
namespace {

const auto& kRules = vm::rules_of(vm::Revision::osaka);

Address precompile(uint8_t n) {
    Address a;
    a[19] = n;
    return a;
}

TEST(overrides, change_what_they_name_and_keep_the_rest) {
    TestWorld world;
    world.deploy(address_number(1), "00");
    StateOverrides wanted;
    wanted[address_number(1)].balance = Uint256(7);
    wanted[address_number(1)].state_diff = {{1, 2}};
    const auto done = apply_overrides(world.view(), wanted, kRules);
    ASSERT_TRUE(done);
    const auto& account = *done->diff.accounts.at(address_number(1));
    EXPECT_EQ(account.balance, Uint256(7));
    EXPECT_EQ(account.nonce, 1u);
    EXPECT_EQ(account.code_hash, keccak256(Bytes{0}));
    EXPECT_FALSE(account.storage_cleared);
    EXPECT_TRUE(done->moved.empty());
}

TEST(overrides, that_say_nothing_create_nothing) {
    const TestWorld world;
    StateOverrides wanted;
    wanted[address_number(5)];
    const auto done = apply_overrides(world.view(), wanted, kRules);
    ASSERT_TRUE(done);
    EXPECT_TRUE(done->diff.accounts.empty());
}

TEST(overrides, move_a_precompile_and_free_its_address_for_code) {
    TestWorld world;
    StateOverrides wanted;
    wanted[precompile(4)].move_precompile_to = address_number(7);
    wanted[precompile(4)].code = *from_hex("602a5f5260205ff3");
    const auto done = apply_overrides(world.view(), wanted, kRules);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->moved.at(address_number(7)), precompile(4));
    EXPECT_EQ(done->moved.at(precompile(4)), std::nullopt);
    const auto base = world.view();
    const state::OverlayView view(base, done->diff);
    auto context = world.context();
    context.moved = &done->moved;
    CallRequest request;
    request.data = {1, 2, 3};
    request.to = address_number(7);
    EXPECT_EQ(simulate_call(view, context, request)->output, (Bytes{1, 2, 3}));
    request.to = precompile(4);
    EXPECT_EQ(from_be(simulate_call(view, context, request)->output), Uint256(42));
}

TEST(overrides, rejects_moves_that_make_no_sense) {
    const TestWorld world;
    const auto error_of = [&](const StateOverrides& wanted) {
        return apply_overrides(world.view(), wanted, kRules).error().kind;
    };
    StateOverrides wanted;
    wanted[address_number(1)].move_precompile_to = address_number(2);
    EXPECT_EQ(error_of(wanted), OverrideError::Kind::not_a_precompile);
    wanted.clear();
    wanted[precompile(1)].move_precompile_to = precompile(1);
    EXPECT_EQ(error_of(wanted), OverrideError::Kind::moves_to_itself);
    wanted.clear();
    wanted[precompile(1)].move_precompile_to = precompile(2);
    wanted[precompile(2)].balance = Uint256(1);
    EXPECT_EQ(error_of(wanted), OverrideError::Kind::target_overridden);
}

}  // namespace
}  // namespace trainyard::consensus
