// SPDX-License-Identifier: Apache-2.0
// The transaction and key vectors of ethereum/tests and execution-spec-tests.
#include <algorithm>

#include <gtest/gtest.h>

#include "consensus/rules/tx.hpp"
#include "core/block.hpp"
#include "core/hash.hpp"
#include "core/old_tx.hpp"
#include "core/tx.hpp"
#include "tests/conformance/fixture.hpp"
#include "tests/vectors/vectors.hpp"

namespace trainyard {
namespace {

namespace json = boost::json;

class vectors_basic : public vectors::VectorTest {};
class vectors_tx : public vectors::VectorTest {};

/// The sender if the transaction is valid in itself at this fork, whatever the block's limit and
/// the account's funds; nullopt if any rule of core/ or consensus/rules refuses it.
std::optional<Address> sender_of_valid(const Tx& tx, vm::Revision revision) {
    const auto& rules = vm::rules_of(revision);
    const consensus::ForkAt fork{revision, 0, 0, consensus::ethereum_blobs(revision)};
    const auto config = consensus::ethereum_config(1, {fork});
    const auto sender = recover_sender(tx, rules.low_s_only ? SRange::low_s : SRange::any_s);
    if (!sender || !consensus::check_tx_shape(tx, fork, config)) return std::nullopt;
    const auto gas = consensus::check_tx_gas(tx, rules);
    if (!gas && gas.error() != consensus::TxInvalid::gas_above_block_limit) return std::nullopt;
    const auto sent = consensus::check_tx_sender(tx, {tx.nonce, Uint256::max(), false});
    if (!sent && sent.error() != consensus::TxInvalid::insufficient_funds) return std::nullopt;
    if (!checked_mul(tx.max_fee_per_gas, tx.gas_limit)) return std::nullopt;
    return *sender;
}

/// Every fork that the case speaks of.
void run_tx(const std::string& name, const json::value& c) {
    const auto encoded = from_hex(c.at("txbytes").as_string());
    ASSERT_TRUE(encoded) << name;
    const auto tx = decode_tx(*encoded);
    if (tx) {
        EXPECT_EQ(encode_tx(*tx), *encoded) << name;
    }
    for (const auto& [fork, expected] : c.at("result").as_object()) {
        const std::string at = name + " " + std::string(fork);
        const auto revision = conformance::revision_named(fork);
        ASSERT_TRUE(revision) << at;
        const auto sender = tx ? sender_of_valid(*tx, *revision) : std::nullopt;
        if (const auto* exception = expected.as_object().if_contains("exception")) {
            EXPECT_FALSE(sender) << at << " " << *exception;
            continue;
        }
        ASSERT_TRUE(sender) << at;
        EXPECT_EQ(to_hex0x(*sender), std::string_view(expected.at("sender").as_string())) << at;
        EXPECT_EQ(to_hex0x(hash_tx(*tx)), std::string_view(expected.at("hash").as_string())) << at;
        const auto due = consensus::intrinsic_gas(*tx, vm::rules_of(*revision)).intrinsic;
        EXPECT_EQ(Uint256(due), parse_uint256(expected.at("intrinsicGas").as_string())) << at;
    }
}

TEST_F(vectors_tx, all_cases) {
    EXPECT_GE(vectors::for_each_case("tx", run_tx), 170u);
}

TEST_F(vectors_basic, keys_addresses_and_signatures) {
    const auto count =
        vectors::for_each_case("basic/keyaddrtest.json", [](const auto& name, const auto& c) {
            const auto key = fixed_from_hex<SecretKey>(c.at("key").as_string()).value();
            EXPECT_EQ(keccak256(as_bytes(c.at("seed").as_string())).bytes, key.bytes) << name;
            EXPECT_EQ(to_hex(*address_of(key)), std::string_view(c.at("addr").as_string()));
        });
    EXPECT_GE(count, 2u);
}

TEST_F(vectors_basic, signed_transactions) {
    const auto count =
        vectors::for_each_case("basic/txtest.json", [](const auto& name, const auto& c) {
            const Bytes encoded = from_hex(c.at("signed").as_string()).value();
            const auto key = fixed_from_hex<SecretKey>(c.at("key").as_string()).value();
            const auto tx = decode_tx(encoded);
            ASSERT_TRUE(tx) << name;
            EXPECT_EQ(encode_tx(*tx), encoded);
            // These are older than EIP-2; its bound on s is all that may stand against them.
            RecoverableSig sig;
            const Hash r = to_hash(tx->r), s = to_hash(tx->s);
            std::copy(r.begin(), r.end(), sig.rs.begin());
            std::copy(s.begin(), s.end(), sig.rs.begin() + 32);
            sig.y_parity = tx->y_parity;
            EXPECT_EQ(recover(signing_hash(*tx), sig), address_of(key)) << name;
        });
    EXPECT_GE(count, 2u);
}

// basic/crypto.json holds AES and ECIES of a peer-to-peer protocol that the ledger does not speak,
// and basic/blockgenesistest.json headers of thirteen fields from before Frontier.
TEST_F(vectors_basic, mainnet_genesis_block) {
    bool found = false;
    vectors::for_each_case("basic/genesishashestest.json", [&](const auto& name, const auto& c) {
        if (!name.ends_with("genesis_rlp_hex")) return;
        found = true;
        const Bytes encoded = from_hex(c.as_string()).value();
        const auto block = decode_block(encoded);
        ASSERT_TRUE(block);
        EXPECT_EQ(encode_block(*block), encoded);
        EXPECT_EQ(to_hex(hash_header(block->header)),
                  "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
    });
    EXPECT_TRUE(found);
}

}  // namespace
}  // namespace trainyard
