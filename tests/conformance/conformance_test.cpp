// SPDX-License-Identifier: Apache-2.0
// The readers of the official vectors, on vectors small enough to stand here.
#include <gtest/gtest.h>

#include "consensus/rules/work.hpp"
#include "core/block.hpp"
#include "core/hash.hpp"
#include "tests/conformance/blocktest.hpp"
#include "tests/conformance/fixture.hpp"
#include "tests/conformance/refusals.hpp"
#include "tests/conformance/statetest.hpp"

namespace trainyard::conformance {
namespace {

using consensus::BlockFault;
using consensus::TxInvalid;
using vm::Revision;

Refusal refused(BlockFault fault) {
    return refusal_of(consensus::BlockInvalid{fault, 0, {}});
}

TEST(refusals, names_of_headers_that_break_one_rule) {
    EXPECT_TRUE(is_refused_as(
        "BlockException.INCORRECT_BLOB_GAS_USED|BlockException.BLOB_GAS_USED_ABOVE_LIMIT",
        refused(BlockFault::bad_blob_gas)));
    EXPECT_TRUE(is_refused_as("BlockException.INVALID_RECEIPTS_ROOT",
                              refused(BlockFault::bad_receipts_root)));
    EXPECT_TRUE(
        is_refused_as("BlockException.INVALID_UNCLES_HASH", refused(BlockFault::bad_ommers)));
    EXPECT_TRUE(is_refused_as("BlockException.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS",
                              refused(BlockFault::bad_difficulty)));
    EXPECT_TRUE(is_refused_as("BlockException.RLP_BLOCK_LIMIT_EXCEEDED",
                              refused(BlockFault::block_too_large)));
    EXPECT_FALSE(
        is_refused_as("BlockException.INVALID_RECEIPTS_ROOT", refused(BlockFault::bad_state_root)));
}

TEST(refusals, names_of_transactions) {
    EXPECT_TRUE(
        is_refused_as("TransactionException.NONCE_IS_MAX", refusal_of(TxInvalid::nonce_max)));
    EXPECT_TRUE(is_refused_as("TransactionException.GASLIMIT_PRICE_PRODUCT_OVERFLOW",
                              refusal_of(TxInvalid::insufficient_funds)));
    EXPECT_TRUE(is_refused_as("TransactionException.RLP_LEADING_ZEROS_R", undecodable("")));
    EXPECT_FALSE(is_refused_as("TransactionException.RLP_LEADING_ZEROS_R",
                               refusal_of(TxInvalid::bad_signature)));
    EXPECT_FALSE(is_refused_as("TransactionException.OF_NO_KIND", undecodable("")));
}

TEST(networks, forks_begin_at_the_fifth_block_or_after_15000_seconds) {
    const auto early = config_named("EIP158ToByzantiumAt5", nullptr);
    ASSERT_TRUE(early);
    EXPECT_EQ(early->revision_at(4, 1'000'000), Revision::spurious_dragon);
    EXPECT_EQ(early->revision_at(5, 0), Revision::byzantium);
    const auto late = config_named("ParisToShanghaiAtTime15k", nullptr);
    ASSERT_TRUE(late);
    EXPECT_EQ(late->revision_at(9, 14'999), Revision::paris);
    EXPECT_EQ(late->revision_at(9, 15'000), Revision::shanghai);
    EXPECT_FALSE(config_named("HomesteadToDaoAt5", nullptr));
    EXPECT_FALSE(config_named("At5", nullptr));
}

// Roots, hash and signature are those of BlockchainTests/TransitionTests/bcFrontierToHomestead/
// UncleFromFrontierInHomestead of ethereum/tests: empty blocks, one with a transfer, and one that
// names two ommers.
class frontier_to_homestead : public testing::Test {
protected:
    static constexpr std::string_view kStateRoots[] = {
        "cafd881ab193703b83816c49ff6c2bf6ba6f464a1be560c42106128c8dbc35e7",
        "8503769bb14067be7c5e438c353094e5a9a6c72f375fad4a76878a8882ceb496",
        "326587c5310ecdbd0c8d36c471eef6595a6046ad46ee90bf0db88e691223ee38",
        "c662553363b8624b50cd8f83a2a28ec38b6cf0c029db61cb21e06d7df87fb256",
        "6b6c82551219d30f4168674006e3e1ece38eb055d9575f63e6dcce05f4a610af",
        "5cf72f01972bb65f7080e4ea27e19cc7150bf8117fe4044b337b7e35101d3446",
        "767155c1eee7ff696171fcb0e6a24488dc13aea8748590ec3da7460eeee094eb"};

    static Header header_at(uint64_t number, const Hash& parent, std::string_view state_root) {
        Header h;
        h.parent_hash = parent;
        h.ommers_hash = kEmptyListHash;
        h.beneficiary = *fixed_from_hex<Address>("8888f1f195afa192cfee860698584c030f4c9db1");
        h.state_root = *fixed_from_hex<Hash>(state_root);
        h.transactions_root = h.receipts_root = kEmptyTrieRoot;
        h.difficulty = 0x20000;
        h.number = number;
        h.gas_limit = 0x2fefd8;
        h.timestamp = 0x54c98c81 + 1000 * number;
        h.extra_data = {0x42};
        return h;
    }
    static Tx transfer() {
        Tx tx;
        tx.max_fee_per_gas = tx.max_priority_fee_per_gas = 1;
        tx.gas_limit = 0x1fbd0;
        tx.to = *fixed_from_hex<Address>("b94f5374fce5edbc8e2a8697c15331677e6ebf0b");
        tx.value = 10;
        tx.r = *parse_uint256("0x6738f4afb7c14330fbdd9d3c2ac20b9e12755bbf873edd70962820b3041d50c7");
        tx.s = *parse_uint256("0x2094fd79dba23f99f79cadcda90aa4545c380a6363f6462d842bd77a921a1d58");
        return tx;
    }
    static std::vector<Header> ommers(const Hash& fourth) {
        Header first = header_at(
            5, fourth, "d7fbf4bf063a6e4a506777007a071e16d4dc6cc18f9ced7b29261942b35409a3");
        Header second = first;
        first.beneficiary = *fixed_from_hex<Address>("b94f5374fce5ed0000000097c15331677e6ebf0b");
        first.extra_data = {0x22};
        second.beneficiary = *fixed_from_hex<Address>("0000000000000000000000000000000000000011");
        return {first, second};
    }
    static std::vector<Block> chain() {
        std::vector<Block> blocks;
        for (uint64_t i = 0; i < std::size(kStateRoots); ++i) {
            const Hash parent = i == 0 ? Hash{} : hash_header(blocks.back().header);
            Block block{header_at(i, parent, kStateRoots[i]), {}, {}, {}};
            Header& h = block.header;
            if (i == 5) {
                block.txs = {transfer()};
                h.gas_used = 21000;
                h.transactions_root = *fixed_from_hex<Hash>(
                    "b049e948f958fd4f29ff8d237dcf93ad958042c49b5515e2330f1652ae5cc7ec");
                h.receipts_root = *fixed_from_hex<Hash>(
                    "5b4749af198baa08becb063326fd49d5ec23d73a80a74d8ab4781029f8bc0d69");
            }
            if (i == 6) {
                block.ommers = ommers(hash_header(blocks[4].header));
                h.ommers_hash = *fixed_from_hex<Hash>(
                    "8924f183c35baa081a77be4d640262d3f5762e7c76bbff2d2cec1adb3d7b1dd4");
            }
            blocks.push_back(std::move(block));
        }
        return blocks;
    }
    static json::object vector_of(const std::vector<Block>& blocks) {
        json::object test = {
            {"network", "FrontierToHomesteadAt5"},
            {"pre",
             {{"0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b", {{"balance", "0x02540be400"}}}}},
            {"genesisRLP", json::string(to_hex0x(encode_block(blocks[0])))},
            {"blocks", json::array()},
            {"lastblockhash",
             "0x603ef9dd1e196f4af5c1c3a0d4b1a5bc66689010addfb3dc6af8221eb3f3e353"}};
        for (size_t i = 1; i < blocks.size(); ++i)
            test["blocks"].as_array().push_back(
                json::object{{"rlp", json::string(to_hex0x(encode_block(blocks[i])))}});
        return test;
    }
};

TEST_F(frontier_to_homestead, takes_receipts_with_state_roots_and_ommers) {
    const Tally tally = run_block_file(json::object{{"t", vector_of(chain())}}, "", {});
    EXPECT_EQ(tally.failures, std::vector<std::string>());
    EXPECT_EQ(tally.passed, 1u);
}

TEST_F(frontier_to_homestead, refuses_an_ommer_named_twice) {
    auto blocks = chain();
    Block& last = blocks.back();
    last.ommers[1] = last.ommers[0];
    last.header.ommers_hash = consensus::ommers_hash(last.ommers);
    auto test = vector_of(blocks);
    test["lastblockhash"] = to_hex0x(hash_header(blocks[5].header));
    test["blocks"].as_array().back().as_object()["expectException"] =
        "BlockException.UNCLE_IS_BROTHER";
    const Tally tally = run_block_file(json::object{{"t", test}}, "", {});
    EXPECT_EQ(tally.failures, std::vector<std::string>());
    EXPECT_EQ(tally.passed, 1u);
}

/// One account that creates a contract with the gas of a transfer, or gives more than there is.
json::value state_vector() {
    json::value test = json::parse(R"({
        "env": {"currentCoinbase": "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba",
                "currentGasLimit": "0x05f5e100", "currentNumber": "0x01",
                "currentTimestamp": "0x03e8", "currentDifficulty": "0x020000"},
        "pre": {"0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b": {"balance": "0x0de0b6b3a7640000"}},
        "transaction": {"nonce": "0x00", "gasPrice": "0x0a", "gasLimit": ["0x5208"], "to": null,
            "value": ["0x00", ""],
            "data": ["0x"],
            "secretKey": "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"},
        "post": {"London": [{"indexes": {"data": 0, "gas": 0, "value": 0},
                             "expectException": "TransactionException.INTRINSIC_GAS_TOO_LOW"}]}
    })");
    test.at("transaction").at("value").as_array()[1] =
        json::string("0x:bigint 0x1" + std::string(64, '0'));
    MemoryWorld world;
    world.apply(accounts_of(test.at("pre").as_object()));
    auto& post = test.at("post").at("London").as_array()[0].as_object();
    post["hash"] = to_hex0x(world.root());
    post["logs"] = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347";
    return test;
}

Tally run_state(const json::value& test) {
    return run_state_file(json::object{{"t", test}}, "", {});
}

TEST(statetest, reads_null_as_no_address_and_the_sender_from_its_key) {
    const Tally tally = run_state(state_vector());
    EXPECT_EQ(tally.failures, std::vector<std::string>());
    EXPECT_EQ(tally.passed, 1u);
}

TEST(statetest, a_value_beyond_256_bits_is_refused) {
    auto test = state_vector();
    auto& post = test.at("post").at("London").as_array()[0].as_object();
    post["indexes"].as_object()["value"] = 1;
    post["expectException"] = "TransactionException.VALUE_OVERFLOW";
    EXPECT_EQ(run_state(test).passed, 1u);
    post["expectException"] = "TransactionException.NONCE_IS_MAX";
    EXPECT_EQ(run_state(test).failures.size(), 1u);
}

TEST(statetest, a_case_without_a_key_fails_alone) {
    auto test = state_vector();
    auto& posts = test.at("post").at("London").as_array();
    json::object without = posts[0].as_object();
    without.erase("hash");
    posts.insert(posts.begin(), without);
    const Tally tally = run_state(test);
    EXPECT_EQ(tally.passed, 1u);
    EXPECT_EQ(tally.failures.size(), 1u);
}

}  // namespace
}  // namespace trainyard::conformance
