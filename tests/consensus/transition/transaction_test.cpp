// SPDX-License-Identifier: Apache-2.0
// Single transactions: fees, refunds, creations, delegations, and that failure leaves nothing but
// the fee.
#include "consensus/transition/transaction.hpp"

#include <gtest/gtest.h>

#include "consensus/transition/evm.hpp"
#include "core/rlp.hpp"
#include "tests/consensus/transition/test_world.hpp"

namespace trainyard::consensus {
namespace {

TxOutcome apply(const TestWorld& world, const Tx& tx, uint8_t from) {
    auto outcome = apply_transaction(world.view(), world.context(), tx, account_number(from));
    EXPECT_TRUE(outcome) << to_text(outcome.error());
    return std::move(*outcome);
}

TEST(transaction, transfer_moves_value_burns_the_base_fee_and_tips_the_beneficiary) {
    const TestWorld world;
    Tx tx = TestWorld::make_tx(1, account_number(2));
    tx.value = 5;
    const auto out = apply(world, tx, 1);
    EXPECT_EQ(out.gas_used, 21000u);
    EXPECT_TRUE(out.receipt.success);
    const Uint256 start = world.view().account(account_number(1))->balance;
    EXPECT_EQ(out.diff.accounts.at(account_number(1))->balance,
              start - 5 - Uint256(21000) * (2 * kGwei));
    EXPECT_EQ(out.diff.accounts.at(account_number(1))->nonce, 1u);
    EXPECT_EQ(out.diff.accounts.at(account_number(2))->balance, start + 5);
    EXPECT_EQ(out.diff.accounts.at(Address{})->balance, Uint256(21000) * kGwei);
    EXPECT_EQ(out.diff.accounts.size(), 3u);
}

TEST(transaction, revert_keeps_only_fee_and_nonce) {
    TestWorld world;
    world.deploy(address_number(1),
                 "6001600055"
                 "5f5ffd");  // writes a slot, then reverts
    const auto out = apply(world, TestWorld::make_tx(1, address_number(1)), 1);
    EXPECT_FALSE(out.receipt.success);
    EXPECT_EQ(out.status, vm::Status::revert);
    EXPECT_FALSE(out.diff.accounts.contains(address_number(1)));
    EXPECT_EQ(out.gas_used, 21000u + 3 + 3 + 22100 + 2 + 2);
}

TEST(transaction, failure_takes_all_gas) {
    TestWorld world;
    world.deploy(address_number(1), "fe");
    EXPECT_EQ(apply(world, TestWorld::make_tx(1, address_number(1)), 1).gas_used, 100'000u);
}

TEST(transaction, a_sender_with_code_is_refused_at_every_fork) {  // EIP-3607
    TestWorld world;
    world.config.forks = {{vm::Revision::frontier, 0, 0, {}}};
    world.deploy(account_number(1), "00");
    Tx tx;
    tx.nonce = 1;
    tx.gas_limit = 21'000;
    tx.to = address_number(1);
    const auto outcome = apply_transaction(world.view(), world.context(), tx, account_number(1));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), TxInvalid::sender_is_contract);
}

TEST(transaction, an_empty_ripemd160_vanishes_though_its_calls_failed) {  // Yellow Paper, K.1
    TestWorld world;
    world.config.forks = {{vm::Revision::spurious_dragon, 0, 0, {}}};
    Address sha256_address, ripemd160_address;
    sha256_address[19] = 2;
    ripemd160_address[19] = 3;
    state::StateDiff empty;
    empty.accounts[sha256_address].emplace();
    empty.accounts[ripemd160_address].emplace();
    world.apply(empty);
    world.deploy(address_number(1),
                 "600060006000600060006002"
                 "6000f1"  // calls each without gas
                 "600060006000600060006003"
                 "6000f1"
                 "fe");
    Tx tx;
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = kGwei;
    tx.gas_limit = 100'000;
    tx.to = address_number(1);
    const auto out = apply(world, tx, 1);
    EXPECT_FALSE(out.receipt.success);
    ASSERT_TRUE(out.diff.accounts.contains(ripemd160_address));
    EXPECT_FALSE(out.diff.accounts.at(ripemd160_address));
    EXPECT_FALSE(out.diff.accounts.contains(sha256_address));
}

TEST(transaction, clearing_a_slot_refunds_at_most_a_fifth) {  // EIP-3529
    TestWorld world;
    world.deploy(address_number(1), "5f5f5500");  // slot 0 := 0
    state::StateDiff stored;
    auto& change = stored.accounts[address_number(1)].emplace();
    change.nonce = 1;
    change.code_hash = world.view().account(address_number(1))->code_hash;
    change.storage[0] = 9;
    world.apply(stored);
    const auto out = apply(world, TestWorld::make_tx(1, address_number(1)), 1);
    EXPECT_EQ(out.gas_peak, 21000u + 2 + 2 + 5000);
    EXPECT_EQ(out.gas_used, out.gas_peak - 4800);
    EXPECT_EQ(out.diff.accounts.at(address_number(1))->storage.at(0), Uint256(0));
}

TEST(transaction, creation_stores_code_at_the_address_of_sender_and_nonce) {
    const TestWorld world;
    // Init code: MSTORE8 0x00 at 0, return 1 byte.
    const auto out =
        apply(world, TestWorld::make_tx(1, std::nullopt, from_hex("60015ff3").value()), 1);
    const Address expected = create_address(account_number(1), 0);
    EXPECT_EQ(out.created, expected);
    EXPECT_EQ(out.diff.accounts.at(expected)->nonce, 1u);
    EXPECT_EQ(out.diff.codes.at(keccak256(Bytes{0})), Bytes{0});
}

TEST(transaction, selfdestruct_deletes_only_what_this_transaction_made) {  // EIP-6780
    TestWorld world;
    world.deploy(address_number(1), "33ff");  // selfdestruct to the caller
    const auto kept = apply(world, TestWorld::make_tx(1, address_number(1)), 1);
    EXPECT_FALSE(kept.diff.accounts.contains(address_number(1)));
    const auto made =
        apply(world, TestWorld::make_tx(1, std::nullopt, from_hex("33ff").value()), 1);
    EXPECT_FALSE(made.diff.accounts.contains(create_address(account_number(1), 0)));
}

Tx delegating_tx(const Address& target) {  // account 1 pays for the delegation of account 2
    Tx tx = TestWorld::make_tx(1, account_number(2));
    tx.type = TxType::set_code;
    Authorization a;
    a.chain_id = kChainId;
    a.address = target;
    Bytes message = {0x05};
    rlp::Writer out;
    out.begin_list().number(a.chain_id).fixed(a.address).number(a.nonce).end_list();
    append(message, out.take());
    const auto sig = sign(key_number(2), keccak256(message));
    a.y_parity = sig.y_parity;
    a.r = from_be(BytesView(sig.rs.bytes).first(32));
    a.s = from_be(BytesView(sig.rs.bytes).subspan(32));
    tx.authorizations = {a};
    return tx;
}

TEST(transaction, delegation_runs_foreign_code_in_the_account_of_the_signer) {  // EIP-7702
    TestWorld world;
    world.deploy(address_number(1), "600760005500");  // slot 0 := 7
    const auto out = apply(world, delegating_tx(address_number(1)), 1);
    const auto& authority = *out.diff.accounts.at(account_number(2));
    EXPECT_EQ(authority.storage.at(0), Uint256(7));
    EXPECT_EQ(authority.nonce, 1u);
    Bytes designator = {0xef, 0x01, 0x00};
    append(designator, address_number(1).bytes);
    EXPECT_EQ(authority.code_hash, keccak256(designator));
}

TEST(transaction, delegation_of_another_nonce_is_skipped) {
    TestWorld world;
    Tx tx = delegating_tx(address_number(1));
    tx.authorizations[0].nonce = 1;
    const auto out = apply(world, tx, 1);
    EXPECT_FALSE(out.diff.accounts.contains(account_number(2)));
}

TEST(transaction, rejects_more_gas_than_the_block_has) {
    const TestWorld world;
    auto context = world.context();
    context.env.gas_limit = 99'999;
    const auto out = apply_transaction(world.view(), context,
                                       TestWorld::make_tx(1, account_number(2)), account_number(1));
    ASSERT_FALSE(out);
    EXPECT_EQ(out.error(), TxInvalid::gas_above_block_limit);
}

class DepthTracer final : public vm::Tracer {
public:
    int deepest = 0;
    void on_enter(const vm::Message& message) override {
        deepest = std::max(deepest, message.depth);
    }
    void on_exit(const vm::CallResult&) override {}
    void on_step(const vm::StepView&) override {}
    void on_fault(vm::Status) override {}
};

TEST(transaction, recursion_reaches_depth_1024_on_an_ordinary_stack) {
    TestWorld world;
    world.deploy(address_number(1), "5f5f5f5f5f305af100");  // calls itself with all gas
    auto context = world.context();
    DepthTracer tracer;
    context.tracer = &tracer;
    context.env.gas_limit = uint64_t{1} << 62;
    CallRequest request;
    request.to = address_number(1);
    const auto out = simulate_call(world.view(), context, request);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->status, vm::Status::success);
    EXPECT_EQ(tracer.deepest, 1024);
}

}  // namespace
}  // namespace trainyard::consensus
