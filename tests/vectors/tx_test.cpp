// SPDX-License-Identifier: Apache-2.0
// The transaction and key vectors of ethereum/tests and execution-spec-tests.
#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "core/block.hpp"
#include "core/hash.hpp"
#include "core/tx.hpp"
#include "tests/vectors/vectors.hpp"

namespace trainyard {
namespace {

namespace json = boost::json;

class vectors_basic : public vectors::VectorTest {};
class vectors_tx : public vectors::VectorTest {};

/// The verdict of the newest fork that the case speaks of.
const json::value& newest(const json::value& results) {
    for (const char* fork : {"Osaka", "Prague", "Cancun", "Shanghai", "Paris", "London"})
        if (const auto* found = results.as_object().if_contains(fork)) return *found;
    return results.at("no fork that is tested");
}

/// Refusals that follow from rules on a well-formed, signed transaction: consensus/rules, not
/// core/.
constexpr std::array<std::string_view, 6> kRules{
    "GASLIMIT_PRICE_PRODUCT_OVERFLOW", "INITCODE_SIZE_EXCEEDED",
    "INTRINSIC_GAS_TOO_LOW",           "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS",
    "TYPE_4_EMPTY_AUTHORIZATION_LIST", "INVALID_CHAINID"};

bool is_of_the_rules(std::string_view exception, const Tx& tx) {
    if (exception.find("INVALID_CHAINID") != std::string_view::npos)
        return tx.chain_id && *tx.chain_id != 1;
    // EIP-2681 forbids the last nonce; all others that overflow do not fit the field.
    if (exception.find("NONCE_OVERFLOW") != std::string_view::npos) return tx.nonce == ~0ull;
    return std::any_of(kRules.begin(), kRules.end(), [&](std::string_view rule) {
        return exception.find(rule) != std::string_view::npos;
    });
}

void run_tx(const std::string& name, const json::value& c) {
    const json::value& expected = newest(c.at("result"));
    const auto encoded = from_hex(c.at("txbytes").as_string());
    ASSERT_TRUE(encoded) << name;
    const auto tx = decode_tx(*encoded);
    const auto sender = tx ? recover_sender(*tx) : Result<Address, TxError>(unexpected(tx.error()));
    if (const auto* exception = expected.as_object().if_contains("exception")) {
        EXPECT_TRUE(!sender || is_of_the_rules(exception->as_string(), *tx)) << name << *exception;
        return;
    }
    ASSERT_TRUE(sender) << name << " " << to_text(sender.error());
    EXPECT_EQ(to_hex0x(*sender), std::string_view(expected.at("sender").as_string())) << name;
    EXPECT_EQ(to_hex0x(hash_tx(*tx)), std::string_view(expected.at("hash").as_string())) << name;
    EXPECT_EQ(encode_tx(*tx), *encoded) << name;
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
