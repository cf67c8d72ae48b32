// SPDX-License-Identifier: Apache-2.0
// Calls that change nothing, estimates, access lists and constructors.
#include "consensus/transition/simulate.hpp"

#include <gtest/gtest.h>

#include "tests/consensus/transition/test_world.hpp"

namespace trainyard::consensus {
namespace {

CallRequest call_of(const Address& to) {
    CallRequest request;
    request.from = account_number(1);
    request.to = to;
    return request;
}

TEST(simulate, call_returns_output_without_price_or_nonce) {
    TestWorld world;
    world.deploy(address_number(1),
                 "48"
                 "5f52"
                 "60205ff3");  // returns the base fee
    CallRequest request = call_of(address_number(1));
    request.from = address_number(77);  // has nothing
    const auto out = simulate_call(world.view(), world.context(), request);
    ASSERT_TRUE(out);
    EXPECT_EQ(from_be(out->output), Uint256(0));  // free calls see no base fee
    request.from = account_number(1);
    request.max_fee_per_gas = 5 * kGwei;
    EXPECT_EQ(from_be(simulate_call(world.view(), world.context(), request)->output),
              Uint256(kGwei));
}

TEST(simulate, rejects_calls_that_cannot_be_paid) {
    const TestWorld world;
    CallRequest request = call_of(account_number(2));
    request.from = address_number(77);
    request.value = 1;
    const auto out = simulate_call(world.view(), world.context(), request);
    ASSERT_FALSE(out);
    EXPECT_EQ(out.error(), TxInvalid::insufficient_funds);
}

TEST(simulate, ends_when_its_time_is_up) {
    TestWorld world;
    // Without a byte of input it calls itself with one, for ever; that ends at once.
    world.deploy(address_number(1), "366012575b5f5f60015f5f305af1506004565b00");
    for (const uint64_t so_often : {1, 30, 3000}) {
        uint64_t asked = 0;
        vm::Watch watch([&] { return ++asked == so_often; });
        auto context = world.context();
        context.env.gas_limit = uint64_t{1} << 50;
        context.watch = &watch;
        EXPECT_TRUE(simulate_call(world.view(), context, call_of(address_number(1))));
        EXPECT_TRUE(watch.is_over());
        EXPECT_EQ(asked, so_often);
    }
}

#if !defined(__SANITIZE_ADDRESS__)  // whose frames are too large for an ordinary stack
TEST(simulate, reaches_depth_1024_on_an_ordinary_stack_while_it_is_watched) {
    TestWorld world;
    world.deploy(address_number(1), "5f5f5f5f5f305af100");  // calls itself with all gas
    uint64_t asked = 0;
    vm::Watch watch([&] { return ++asked == 0; });
    auto context = world.context();
    context.env.gas_limit = uint64_t{1} << 50;
    context.watch = &watch;
    const auto out = simulate_call(world.view(), context, call_of(address_number(1)));
    ASSERT_TRUE(out);
    EXPECT_EQ(out->status, vm::Status::success);
    EXPECT_GE(asked, 1025U);
}
#endif

TEST(estimate, ends_when_its_time_is_up) {
    TestWorld world;
    world.deploy(address_number(1), "60015b600101806103e811600257");  // a thousand rounds
    uint64_t asked = 0;
    vm::Watch watch([&] { return ++asked == 3; });
    auto context = world.context();
    context.watch = &watch;
    (void)estimate_gas(world.view(), context, call_of(address_number(1)));
    EXPECT_TRUE(watch.is_over());
}

TEST(estimate, plain_transfer_takes_21000) {
    const TestWorld world;
    EXPECT_EQ(*estimate_gas(world.view(), world.context(), call_of(account_number(2))), 21000u);
}

TEST(estimate, is_enough_and_at_most_little_more) {
    TestWorld world;
    world.deploy(address_number(1), "6001600055600160015500");  // two slots: 44200 gas
    const auto gas = estimate_gas(world.view(), world.context(), call_of(address_number(1)));
    ASSERT_TRUE(gas);
    const uint64_t needed = 21000 + 12 + 44200;
    EXPECT_GE(*gas, needed);
    EXPECT_LE(*gas, needed + needed * 3 / 100);
}

TEST(estimate, gives_the_data_of_a_revert) {
    TestWorld world;
    world.deploy(address_number(1), "602a5f5260205ffd");
    const auto gas = estimate_gas(world.view(), world.context(), call_of(address_number(1)));
    ASSERT_FALSE(gas);
    EXPECT_EQ(gas.error().kind, EstimateError::Kind::reverted);
    EXPECT_EQ(from_be(gas.error().output), Uint256(42));
}

TEST(estimate, says_what_allowance_was_too_small) {
    TestWorld world;
    world.deploy(address_number(1), "5b5f56");  // for ever
    const auto gas = estimate_gas(world.view(), world.context(), call_of(address_number(1)));
    ASSERT_FALSE(gas);
    EXPECT_EQ(gas.error().kind, EstimateError::Kind::gas_exceeds_allowance);
    EXPECT_EQ(gas.error().allowance, kTxGasMax);
}

TEST(access_list, names_slots_and_foreign_accounts) {
    TestWorld world;
    world.deploy(address_number(1),
                 "600354"
                 "73"
                 "aa00000000000000000000000000000000000002"
                 "31"
                 "00");
    const auto result =
        create_access_list(world.view(), world.context(), call_of(address_number(1)));
    ASSERT_TRUE(result);
    ASSERT_EQ(result->access_list.size(), 2u);
    EXPECT_EQ(result->access_list[0].address, address_number(1));
    EXPECT_EQ(result->access_list[0].storage_keys, std::vector<Hash>{to_hash(Uint256(3))});
    EXPECT_EQ(result->access_list[1].address, address_number(2));
}

TEST(constructor, installs_code_and_storage_at_the_chosen_address) {
    const TestWorld world;
    const Bytes init = from_hex(
                           "60056001556001"
                           "5ff3")
                           .value();  // slot 1 := 5, returns one zero
    const auto diff = run_constructor(world.view(), world.context(), address_number(5), init);
    ASSERT_TRUE(diff);
    ASSERT_EQ(diff->accounts.size(), 1u);
    const auto& account = *diff->accounts.at(address_number(5));
    EXPECT_EQ(account.nonce, 1u);
    EXPECT_EQ(account.storage.at(1), Uint256(5));
    EXPECT_EQ(diff->codes.at(account.code_hash), Bytes{0});
}

TEST(constructor, rejects_code_above_the_limit_but_takes_long_init_code) {
    const TestWorld world;
    Bytes init = from_hex("6160015ff3").value();  // returns 24577 bytes
    EXPECT_EQ(
        run_constructor(world.view(), world.context(), address_number(5), init).error().status,
        vm::Status::code_too_large);
    init = from_hex("60015ff3").value();
    init.resize(100'000);
    EXPECT_TRUE(run_constructor(world.view(), world.context(), address_number(5), init));
}

}  // namespace
}  // namespace trainyard::consensus
