// SPDX-License-Identifier: Apache-2.0
// Each transaction rule broken alone.
#include "consensus/rules/tx.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace trainyard::consensus {
namespace {

constexpr uint64_t kChain = 7117;

Tx plain() {
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = kChain;
    tx.max_fee_per_gas = 20;
    tx.max_priority_fee_per_gas = 2;
    tx.gas_limit = 21000;
    tx.to = Address{};
    return tx;
}

std::optional<TxInvalid> shape_error(const Tx& tx, vm::Revision revision = vm::Revision::osaka,
                                     bool ethereum = false) {
    ChainConfig config = ethereum ? ethereum_config(kChain, {}) : ChainConfig{.chain_id = kChain};
    const ForkAt fork{revision, 0, 0, ethereum_blobs(revision)};
    auto result = check_tx_shape(tx, fork, config);
    if (result) result = check_tx_gas(tx, vm::rules_of(revision));
    return result ? std::nullopt : std::optional(result.error());
}

TEST(tx_rules, accept_a_plain_transfer) {
    EXPECT_EQ(shape_error(plain()), std::nullopt);
}

TEST(tx_rules, rejects_gas_below_intrinsic) {
    Tx tx = plain();
    tx.gas_limit = 20999;
    EXPECT_EQ(shape_error(tx), TxInvalid::intrinsic_gas_too_low);
}

TEST(tx_rules, intrinsic_gas_counts_data_lists_and_init_code) {
    Tx tx = plain();
    tx.data = {0, 1};  // 4 + 16; floor tokens 1 + 4
    tx.access_list = {{Address{}, {Hash{}, Hash{}}}};
    const auto due = intrinsic_gas(tx, vm::rules_of(vm::Revision::osaka));
    EXPECT_EQ(due.intrinsic, 21000u + 20 + 2400 + 2 * 1900);
    EXPECT_EQ(due.floor, 21000u + 50);
    tx.to.reset();
    EXPECT_EQ(intrinsic_gas(tx, vm::rules_of(vm::Revision::osaka)).intrinsic,
              due.intrinsic + 32000 + 2);
    EXPECT_EQ(intrinsic_gas(tx, vm::rules_of(vm::Revision::cancun)).floor, 0u);
}

TEST(tx_rules, rejects_gas_below_the_floor_of_its_data) {  // EIP-7623
    Tx tx = plain();
    tx.data = Bytes(1000, 1);
    tx.gas_limit = 21000 + 16 * 1000;
    EXPECT_EQ(shape_error(tx), TxInvalid::floor_gas_too_low);
    EXPECT_EQ(shape_error(tx, vm::Revision::cancun), std::nullopt);
}

TEST(tx_rules, rejects_gas_above_two_to_the_24) {  // EIP-7825
    Tx tx = plain();
    tx.gas_limit = 1u << 24;
    EXPECT_EQ(shape_error(tx), std::nullopt);
    ++tx.gas_limit;
    EXPECT_EQ(shape_error(tx), TxInvalid::gas_above_tx_cap);
    EXPECT_EQ(shape_error(tx, vm::Revision::prague), std::nullopt);
}

TEST(tx_rules, rejects_another_chain) {
    Tx tx = plain();
    tx.chain_id = kChain + 1;
    EXPECT_EQ(shape_error(tx), TxInvalid::wrong_chain);
    tx.chain_id.reset();
    EXPECT_EQ(shape_error(tx), TxInvalid::wrong_chain);
    tx.type = TxType::legacy;
    EXPECT_EQ(shape_error(tx), std::nullopt);
}

TEST(tx_rules, rejects_types_before_their_fork) {
    Tx tx = plain();
    EXPECT_EQ(shape_error(tx, vm::Revision::berlin), TxInvalid::type_not_supported);
    tx.type = TxType::access_list;
    EXPECT_EQ(shape_error(tx, vm::Revision::istanbul), TxInvalid::type_not_supported);
    tx.type = TxType::set_code;
    EXPECT_EQ(shape_error(tx, vm::Revision::cancun), TxInvalid::type_not_supported);
}

TEST(tx_rules, rejects_blobs_on_our_chains_only) {
    Tx tx = plain();
    tx.type = TxType::blob;
    tx.blob_hashes.emplace_back()[0] = 1;
    EXPECT_EQ(shape_error(tx), TxInvalid::type_not_supported);
    EXPECT_EQ(shape_error(tx, vm::Revision::osaka, true), std::nullopt);
    tx.blob_hashes.resize(7, tx.blob_hashes[0]);
    EXPECT_EQ(shape_error(tx, vm::Revision::osaka, true), TxInvalid::blob_too_many);
    EXPECT_EQ(shape_error(tx, vm::Revision::prague, true), std::nullopt);
    tx.blob_hashes = {Hash{}};
    EXPECT_EQ(shape_error(tx, vm::Revision::osaka, true), TxInvalid::blob_bad_version);
}

TEST(tx_rules, rejects_set_code_without_list_or_target) {  // EIP-7702
    Tx tx = plain();
    tx.type = TxType::set_code;
    EXPECT_EQ(shape_error(tx), TxInvalid::set_code_without_list);
    tx.authorizations.emplace_back();
    tx.gas_limit += 25000;
    EXPECT_EQ(shape_error(tx), std::nullopt);
    tx.to.reset();
    EXPECT_EQ(shape_error(tx), TxInvalid::set_code_creates);
}

TEST(tx_rules, rejects_init_code_above_two_code_sizes) {  // EIP-3860
    Tx tx = plain();
    tx.to.reset();
    tx.gas_limit = 10'000'000;
    tx.data = Bytes(49152);
    EXPECT_EQ(shape_error(tx), std::nullopt);
    tx.data.push_back(0);
    EXPECT_EQ(shape_error(tx), TxInvalid::init_code_too_large);
}

TEST(tx_rules, rejects_a_tip_above_the_cap_and_a_cap_below_the_base_fee) {
    Tx tx = plain();
    tx.max_priority_fee_per_gas = 21;
    EXPECT_EQ(shape_error(tx), TxInvalid::tip_above_fee_cap);
    const auto fees = check_tx_fees(plain(), vm::rules_of(vm::Revision::osaka), {21, 1});
    ASSERT_FALSE(fees);
    EXPECT_EQ(fees.error(), TxInvalid::fee_cap_below_base_fee);
}

std::optional<TxInvalid> sender_error(const Tx& tx, const SenderState& sender) {
    const auto result = check_tx_sender(tx, sender);
    return result ? std::nullopt : std::optional(result.error());
}

TEST(tx_rules, rejects_wrong_nonces_contracts_and_the_poor) {
    Tx tx = plain();
    tx.nonce = 5;
    const Uint256 enough = 20 * 21000;
    EXPECT_EQ(sender_error(tx, {5, enough, false}), std::nullopt);
    EXPECT_EQ(sender_error(tx, {6, enough, false}), TxInvalid::nonce_too_low);
    EXPECT_EQ(sender_error(tx, {4, enough, false}), TxInvalid::nonce_too_high);
    EXPECT_EQ(sender_error(tx, {5, enough - 1, false}), TxInvalid::insufficient_funds);
    EXPECT_EQ(sender_error(tx, {5, enough, true}), TxInvalid::sender_is_contract);
    tx.nonce = std::numeric_limits<uint64_t>::max();
    EXPECT_EQ(sender_error(tx, {tx.nonce, enough, false}), TxInvalid::nonce_max);
}

TEST(tx_rules, rejects_costs_beyond_256_bits) {
    Tx tx = plain();
    tx.max_fee_per_gas = Uint256::max();
    EXPECT_EQ(max_cost_wei(tx), std::nullopt);
    EXPECT_EQ(sender_error(tx, {0, Uint256::max(), false}), TxInvalid::insufficient_funds);
}

TEST(tx_rules, price_is_base_fee_and_tip_up_to_the_cap) {
    EXPECT_EQ(effective_gas_price(plain(), 10), Uint256(12));
    EXPECT_EQ(effective_gas_price(plain(), 19), Uint256(20));
}

}  // namespace
}  // namespace trainyard::consensus
