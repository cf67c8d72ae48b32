// SPDX-License-Identifier: Apache-2.0
// Genesis files: round trip, identity of block 0, and what is refused.
#include "node/config/genesis.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::config {
namespace {

PublicKey key_of(uint8_t fill) {
    SecretKey secret;
    secret.bytes.fill(fill);
    return *public_key(secret);
}

Genesis example() {
    Genesis g;
    g.chain_id = 7777;
    g.timestamp = 1'700'000'000;
    g.gas_limit = 60'000'000;
    g.base_fee_wei = 1'000'000'000;
    g.prev_randao.bytes.fill(5);
    g.mini_epoch_length = 8;
    g.epoch_length = 64;
    g.cutoff = 2;
    g.block_interval_ms = 250;
    g.delta_ms = 400;
    GenesisValidator v;
    v.address.bytes.fill(1);
    v.consensus_key = key_of(1);
    v.vrf_key = key_of(2);
    v.p2p_key = key_of(3);
    v.stake_wei = *parse_uint256("32000000000000000000");
    v.endpoint = "127.0.0.1:30303";
    g.validators.push_back(v);
    Address rich;
    rich.bytes.fill(9);
    g.alloc[rich].balance = *parse_uint256("10000000000000000000000");
    Address contract;
    contract.bytes.fill(8);
    g.alloc[contract] = {Uint256{}, 1, {0x60, 0x00}, {{Uint256(3), Uint256(4)}}};
    return g;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

ConfigError error_of(const std::string& text) {
    const auto parsed = parse_genesis(text);
    EXPECT_FALSE(parsed) << text.substr(0, 200);
    return parsed ? ConfigError{} : parsed.error();
}

TEST(genesis, what_is_written_reads_back_the_same) {
    auto genesis = example();
    const auto hash = check_genesis(genesis);
    ASSERT_TRUE(hash);
    genesis.block_hash = *hash;
    const auto text = write_genesis(genesis);
    const auto again = parse_genesis(text);
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(*again, genesis);
    EXPECT_EQ(write_genesis(*again), text);
    EXPECT_TRUE(check_genesis(*again));
}

TEST(genesis, block_zero_depends_on_the_allocation) {
    auto other = example();
    other.alloc.begin()->second.balance += 1;
    EXPECT_NE(*check_genesis(example()), *check_genesis(other));
}

TEST(genesis, block_zero_depends_on_what_nodes_must_agree_on_but_not_on_endpoints) {
    const Hash hash = *check_genesis(example());
    const auto changed = [&](auto change) {
        Genesis g = example();
        g.block_hash = Hash{};
        change(g);
        return *check_genesis(g) != hash;
    };
    EXPECT_TRUE(changed([](Genesis& g) { ++g.chain_id; }));
    EXPECT_TRUE(changed([](Genesis& g) { ++g.mini_epoch_length; }));
    EXPECT_TRUE(changed([](Genesis& g) { ++g.epoch_length; }));
    EXPECT_TRUE(changed([](Genesis& g) { ++g.cutoff; }));
    EXPECT_TRUE(changed([](Genesis& g) { ++g.block_interval_ms; }));
    EXPECT_TRUE(changed([](Genesis& g) { ++g.delta_ms; }));
    EXPECT_TRUE(changed([](Genesis& g) { g.validators[0].stake_wei += 1; }));
    EXPECT_TRUE(changed([](Genesis& g) { g.validators[0].vrf_key[5] ^= 1; }));
    EXPECT_TRUE(changed([](Genesis& g) { g.validators.pop_back(); }));
    EXPECT_FALSE(changed([](Genesis& g) { g.validators[0].endpoint = "10.1.1.1:9"; }));
}

TEST(genesis, rejects_a_hash_that_is_not_block_zero) {
    auto genesis = example();
    genesis.block_hash.bytes.fill(1);
    const auto checked = check_genesis(genesis);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ConfigErrorCode::mismatch);
}

TEST(genesis, rejects_unknown_keys_and_names_the_nearest) {
    const auto text = write_genesis(example());
    const auto error = error_of(replaced(text, "\"epochLength\"", "\"epochLenght\""));
    EXPECT_EQ(error.code, ConfigErrorCode::unknown_key);
    EXPECT_NE(error.text().find("epochLength"), std::string::npos) << error.text();
}

TEST(genesis, rejects_epochs_that_are_not_two_mini_epochs_or_more) {
    const auto with = [](uint64_t epoch_length) {
        auto genesis = example();
        genesis.epoch_length = epoch_length;
        return write_genesis(genesis);
    };
    EXPECT_TRUE(parse_genesis(with(16)));
    for (const uint64_t wrong : {0, 8, 20})
        EXPECT_EQ(error_of(with(wrong)).code, ConfigErrorCode::bad_value) << wrong;
}

TEST(genesis, rejects_wrong_types_and_missing_fields) {
    const auto text = write_genesis(example());
    EXPECT_EQ(error_of(replaced(text, "\"0x3938700\"", "\"lots\"")).code,
              ConfigErrorCode::bad_value);
    EXPECT_EQ(error_of(replaced(text, "\"chainId\": 7777", "\"chainId\": -1")).code,
              ConfigErrorCode::bad_value);
    EXPECT_EQ(error_of(replaced(text, "\"osakaTime\": 0", "\"osakaTime\": 5")).code,
              ConfigErrorCode::bad_value);
    EXPECT_EQ(error_of(replaced(text, "\"cutoff\": 2", "\"cutoff\": 8")).code,
              ConfigErrorCode::bad_value);
    for (const auto* broken : {"", "[]", "{", "{}", "null", "{\"config\":{}}"})
        EXPECT_FALSE(parse_genesis(broken)) << broken;
}

TEST(genesis, rejects_one_account_written_twice) {
    auto text = write_genesis(example());
    text =
        replaced(text, "\"alloc\": {",
                 "\"alloc\": {\"0x0909090909090909090909090909090909090909\": {\"balance\": \"1\"},"
                 "\"0909090909090909090909090909090909090909\": {\"balance\": \"1\"},");
    EXPECT_EQ(error_of(text).code, ConfigErrorCode::bad_value);
}

TEST(genesis, has_a_schedule_of_forks_that_is_no_part_of_block_0) {
    Genesis g = example();
    const auto before = genesis_block(g);
    EXPECT_EQ(first_unknown_fork(g), std::nullopt);
    g.forks = {{"osaka", 0, "0.1.0"},
               {"rails", 1'900'000'000, "0.9.0"},
               {"steam", 1'950'000'000, "1.0.0"}};
    EXPECT_EQ(hash_header(genesis_block(g).header), hash_header(before.header));
    const auto read = parse_genesis(write_genesis(g));
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_EQ(*read, g);
    EXPECT_EQ(first_unknown_fork(*read), (Fork{"rails", 1'900'000'000, "0.9.0"}));
    g.forks = {{"osaka", 0, "0.1.0"}};
    EXPECT_EQ(first_unknown_fork(g), std::nullopt);
}

TEST(genesis, refuses_a_schedule_that_is_none) {
    Genesis g = example();
    g.forks = {{"rails", 1'900'000'000, "0.9.0"}, {"steam", 1'950'000'000, "1.0.0"}};
    const std::string good = write_genesis(g);
    for (const auto& [from, to] :
         {std::pair{"\"rails\"", "\"\""}, std::pair{"1950000000", "1"}, std::pair{"\"0.9.0\"", "9"},
          std::pair{"\"time\": 19", "\"at\": 19"}, std::pair{"\"time\":19", "\"at\":19"}}) {
        std::string text = good;
        const auto at = text.find(from);
        if (at == std::string::npos) continue;
        EXPECT_FALSE(parse_genesis(text.replace(at, std::string(from).size(), to))) << from;
    }
    g.forks.assign(65, {"rails", 1, "0.9.0"});
    EXPECT_FALSE(parse_genesis(write_genesis(g)));
}

}  // namespace
}  // namespace trainyard::node::config
