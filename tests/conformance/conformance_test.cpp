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

TEST(networks, forks_begin_at_the_fifth_block_after_15000_seconds_or_with_the_merge) {
    const auto early = config_named("EIP158ToByzantiumAt5", nullptr);
    ASSERT_TRUE(early);
    EXPECT_EQ(early->revision_at(4, 1'000'000), Revision::spurious_dragon);
    EXPECT_EQ(early->revision_at(5, 0), Revision::byzantium);
    const auto late = config_named("ParisToShanghaiAtTime15k", nullptr);
    ASSERT_TRUE(late);
    EXPECT_EQ(late->revision_at(9, 14'999), Revision::paris);
    EXPECT_EQ(late->revision_at(9, 15'000), Revision::shanghai);
    auto merging = config_named("ArrowGlacierToParisAtDiffC0000", nullptr);
    ASSERT_TRUE(merging);
    EXPECT_EQ(merging->terminal_total_difficulty, Uint256(0xc0000));
    EXPECT_EQ(merging->revision_at(6, 0), Revision::london);
    merging->set_merge_block(6);
    EXPECT_EQ(merging->revision_at(6, 0), Revision::paris);
    EXPECT_FALSE(config_named("HomesteadToDaoAt5", nullptr));
    EXPECT_FALSE(config_named("At5", nullptr));
}

/// A block test of `blocks`, the first of which is the genesis block.
json::object vector_of(std::string_view network, json::object pre, const std::vector<Block>& blocks,
                       std::string_view last_block_hash) {
    json::array rest;
    for (size_t i = 1; i < blocks.size(); ++i)
        rest.push_back(json::object{{"rlp", json::string(to_hex0x(encode_block(blocks[i])))}});
    return {{"network", network},
            {"pre", std::move(pre)},
            {"genesisRLP", json::string(to_hex0x(encode_block(blocks[0])))},
            {"blocks", std::move(rest)},
            {"lastblockhash", last_block_hash}};
}
void expect_refusal(json::object& test, size_t block, std::string_view name) {
    test["blocks"].as_array()[block].as_object()["expectException"] = name;
}
void expect_pass(const json::object& test) {
    const Tally tally = run_block_file(json::object{{"t", test}}, "", {});
    EXPECT_EQ(tally.failures, std::vector<std::string>());
    EXPECT_EQ(tally.passed, 1u);
}

Header header_at(uint64_t number, const Hash& parent, std::string_view state_root) {
    Header h;
    h.parent_hash = parent;
    h.ommers_hash = kEmptyListHash;
    h.state_root = *fixed_from_hex<Hash>(state_root);
    h.transactions_root = h.receipts_root = kEmptyTrieRoot;
    h.difficulty = 0x20000;
    h.number = number;
    h.extra_data = {0x42};
    return h;
}

// Roots, hashes and signatures in the next two chains are those of BlockchainTests/TransitionTests
// in ethereum/tests. bcFrontierToHomestead/UncleFromFrontierInHomestead: empty blocks, one with a
// transfer, and one that names two ommers.
constexpr std::string_view kHomesteadRoots[] = {
    "cafd881ab193703b83816c49ff6c2bf6ba6f464a1be560c42106128c8dbc35e7",
    "8503769bb14067be7c5e438c353094e5a9a6c72f375fad4a76878a8882ceb496",
    "326587c5310ecdbd0c8d36c471eef6595a6046ad46ee90bf0db88e691223ee38",
    "c662553363b8624b50cd8f83a2a28ec38b6cf0c029db61cb21e06d7df87fb256",
    "6b6c82551219d30f4168674006e3e1ece38eb055d9575f63e6dcce05f4a610af",
    "5cf72f01972bb65f7080e4ea27e19cc7150bf8117fe4044b337b7e35101d3446",
    "767155c1eee7ff696171fcb0e6a24488dc13aea8748590ec3da7460eeee094eb"};
constexpr std::string_view kHomesteadHash =
    "0x603ef9dd1e196f4af5c1c3a0d4b1a5bc66689010addfb3dc6af8221eb3f3e353";

Header homestead_header(uint64_t number, const Hash& parent, std::string_view state_root) {
    Header h = header_at(number, parent, state_root);
    h.beneficiary = *fixed_from_hex<Address>("8888f1f195afa192cfee860698584c030f4c9db1");
    h.gas_limit = 0x2fefd8;
    h.timestamp = 0x54c98c81 + 1000 * number;
    return h;
}

void add_transfer(Block& block) {
    Tx tx;
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = 1;
    tx.gas_limit = 0x1fbd0;
    tx.to = *fixed_from_hex<Address>("b94f5374fce5edbc8e2a8697c15331677e6ebf0b");
    tx.value = 10;
    tx.r = *parse_uint256("0x6738f4afb7c14330fbdd9d3c2ac20b9e12755bbf873edd70962820b3041d50c7");
    tx.s = *parse_uint256("0x2094fd79dba23f99f79cadcda90aa4545c380a6363f6462d842bd77a921a1d58");
    block.txs = {tx};
    block.header.gas_used = 21000;
    block.header.transactions_root =
        *fixed_from_hex<Hash>("b049e948f958fd4f29ff8d237dcf93ad958042c49b5515e2330f1652ae5cc7ec");
    block.header.receipts_root =
        *fixed_from_hex<Hash>("5b4749af198baa08becb063326fd49d5ec23d73a80a74d8ab4781029f8bc0d69");
}

void add_ommers(Block& block, const Hash& fourth) {
    Header first = homestead_header(
        5, fourth, "d7fbf4bf063a6e4a506777007a071e16d4dc6cc18f9ced7b29261942b35409a3");
    Header second = first;
    first.beneficiary = *fixed_from_hex<Address>("b94f5374fce5ed0000000097c15331677e6ebf0b");
    first.extra_data = {0x22};
    second.beneficiary = *fixed_from_hex<Address>("0000000000000000000000000000000000000011");
    block.ommers = {first, second};
    block.header.ommers_hash =
        *fixed_from_hex<Hash>("8924f183c35baa081a77be4d640262d3f5762e7c76bbff2d2cec1adb3d7b1dd4");
}

std::vector<Block> homestead_chain() {
    std::vector<Block> blocks;
    for (const auto& root : kHomesteadRoots) {
        const Hash parent = blocks.empty() ? Hash{} : hash_header(blocks.back().header);
        blocks.push_back({homestead_header(blocks.size(), parent, root), {}, {}, {}});
        if (blocks.size() == 6) add_transfer(blocks.back());
    }
    add_ommers(blocks.back(), hash_header(blocks[4].header));
    return blocks;
}

json::object homestead_vector(const std::vector<Block>& blocks, std::string_view last) {
    return vector_of(
        "FrontierToHomesteadAt5",
        {{"0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b", json::object{{"balance", "0x02540be400"}}}},
        blocks, last);
}

TEST(blocktest, takes_receipts_with_state_roots_and_ommers) {
    expect_pass(homestead_vector(homestead_chain(), kHomesteadHash));
}

TEST(blocktest, refuses_an_ommer_named_twice) {
    auto blocks = homestead_chain();
    Block& last = blocks.back();
    last.ommers[1] = last.ommers[0];
    last.header.ommers_hash = consensus::ommers_hash(last.ommers);
    auto test = homestead_vector(blocks, to_hex0x(last.header.parent_hash));
    expect_refusal(test, 5, "BlockException.UNCLE_IS_BROTHER");
    expect_pass(test);
}

// bcArrowGlacierToParis/powToPosBlockRejection, its main branch: five empty blocks of proof of
// work, and one of proof of stake that calls a contract.
struct MergeBlock {
    std::string_view state_root;
    uint64_t base_fee;
};
constexpr MergeBlock kMergeBlocks[] = {
    {"637f8e0db8cc2ce2be1daf927f7f4e4fee0b2bd0340af7b612213f2205f90b3a", 0x042c1d80},
    {"f61e8b2b518f7d1eafa6fc155af6ff05bf508b4ac0591dd37879668414ecbc0d", 0x03a699d0},
    {"efc12b9d7500fa478d0dc4b28e24360ff46ea635ad94025b2aaea9868622fa0b", 0x0331c696},
    {"c12abcfb89a64a1e6ecdadf787f3a67fe6806fe473a10028765fac97a13da975", 0x02cb8dc4},
    {"3b770e80ddff4923f52f5433653eb41cdb56bef089ac3b6687d214c1a956217c", 0x02721c0c},
    {"4bf08d33854e0997bdebf087f3af46897e6197821ddc2476b930e81db5770ddf", 0x0223d88b},
    {"2525c10579ff8c33408b0597d2fff71246aa1db3bd8ca676a98354270c61d66b", 0x01df5d7a}};

void add_call(Block& block) {
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = 1;
    tx.max_priority_fee_per_gas = 1;
    tx.max_fee_per_gas = 0x3b9aca00;
    tx.gas_limit = 0x61a80;
    tx.to = *fixed_from_hex<Address>("b94f5374fce5edbc8e2a8697c15331677e6ebf0b");
    tx.y_parity = 1;
    tx.r = *parse_uint256("0xbf98b96fd4a900434b5b19bd72ff68945e21cffbd7ada3e41335be498874608c");
    tx.s = *parse_uint256("0x4385ac96c56fae5eac6c84e11baf8dedf34052d30844d2016c32c218c5dab52a");
    block.txs = {tx};
    block.header.gas_used = 0xa862;
    block.header.transactions_root =
        *fixed_from_hex<Hash>("79b68166ff34c241c8bec0f79b146a8b1b6b5dd72d48d9229b090de2151bb9f8");
    block.header.receipts_root =
        *fixed_from_hex<Hash>("9bccb3ee1654854801c305a383acbd6b2e39485d9171eb3f25d377211a71c995");
}

std::vector<Block> merge_chain() {
    std::vector<Block> blocks;
    for (const auto& [root, base_fee] : kMergeBlocks) {
        const Hash parent = blocks.empty() ? Hash{} : hash_header(blocks.back().header);
        Header h = header_at(blocks.size(), parent, root);
        h.beneficiary = *fixed_from_hex<Address>("00dc25665018aa1fe0e6bc666dac8fc2697ff9ba");
        h.gas_limit = 0x7fffffffffffffff;
        h.timestamp = 0x3b6 + 1000 * blocks.size();
        h.base_fee_per_gas = base_fee;
        blocks.push_back({h, {}, {}, {}});
    }
    blocks.back().header.difficulty = 0;
    add_call(blocks.back());
    return blocks;
}

TEST(blocktest, the_merge_comes_with_the_terminal_total_difficulty) {
    auto blocks = merge_chain();
    const Block too_late = [&] {
        Block block = blocks[6];
        block.header.difficulty = 0x20000;
        return block;
    }();
    const Block too_early = [&] {
        Block block = blocks[5];
        block.header.difficulty = 0;
        return block;
    }();
    blocks.insert(blocks.begin() + 6, too_late);
    blocks.insert(blocks.begin() + 5, too_early);
    auto test = vector_of(
        "ArrowGlacierToParisAtDiffC0000",
        {{"0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba", json::object{{"balance", "0x00"}}},
         {"0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b",
          json::object{{"balance", "0x016345785d8a0000"}}},
         {"0xb94f5374fce5edbc8e2a8697c15331677e6ebf0b",
          json::object{{"balance", "0x016345785d8a0000"}, {"code", "0x6001600c5500"}}}},
        blocks, "0x829ec4b61f5216e2d94597819253bc62fc1c06720b38cb68a2304d6832422912");
    expect_refusal(test, 4, "BlockException.IMPORT_IMPOSSIBLE_PARIS_WRONG_POS");
    expect_refusal(test, 6, "BlockException.IMPORT_IMPOSSIBLE_PARIS_WRONG_POW");
    expect_pass(test);
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
