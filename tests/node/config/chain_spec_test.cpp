// SPDX-License-Identifier: Apache-2.0
// Foreign chain specs: what each key of the schedule gives, and what is refused.
#include "node/config/chain_spec.hpp"

#include <gtest/gtest.h>

#include "core/hash.hpp"

namespace trainyard::node::config {
namespace {

using vm::Revision;

std::string spec(const std::string& config, const std::string& rest = "") {
    return R"({"config":{"chainId":5)" + config + R"(},"gasLimit":"0x1c9c380","alloc":{})" + rest +
           "}";
}

std::string error_at(const std::string& text) {
    const auto parsed = parse_chain_spec(text);
    EXPECT_FALSE(parsed) << text;
    return parsed ? "" : parsed.error().where;
}

constexpr const char* kUntilLondon =
    R"(,"homesteadBlock":1,"eip150Block":2,"eip155Block":3,"eip158Block":3,"byzantiumBlock":4,
       "constantinopleBlock":5,"petersburgBlock":6,"istanbulBlock":7,"muirGlacierBlock":8,
       "berlinBlock":9,"londonBlock":10,"arrowGlacierBlock":11,"grayGlacierBlock":null)";
constexpr const char* kSchedule =
    R"("blobSchedule":{"cancun":{"target":3,"max":6,"baseFeeUpdateFraction":3338477},
       "prague":{"target":6,"max":9,"baseFeeUpdateFraction":5007716},
       "bpo1":{"target":10,"max":15,"baseFeeUpdateFraction":8346193}})";

TEST(chain_spec, keeps_the_blocks_that_count_for_the_fork_id_alone) {
    const auto parsed = parse_chain_spec(spec(R"(,"daoForkBlock":7,"mergeNetsplitBlock":36)"));
    ASSERT_TRUE(parsed) << parsed.error().text();
    EXPECT_EQ(parsed->config.idle_fork_blocks, (std::vector<uint64_t>{36, 7}));
    EXPECT_EQ(error_at(spec(R"(,"mergeNetsplitBlock":"x")")), "genesis.config.mergeNetsplitBlock");
}

TEST(chain_spec, every_fork_of_the_schedule_comes_at_its_block_or_time) {
    const auto parsed = parse_chain_spec(
        spec(std::string(kUntilLondon) +
             R"(,"terminalTotalDifficulty":1000,"shanghaiTime":100,"cancunTime":200,
                "pragueTime":300,"osakaTime":400,"bpo1Time":500,)" +
             kSchedule));
    ASSERT_TRUE(parsed) << parsed.error().text();
    auto config = parsed->config;
    const Revision expected[] = {
        Revision::frontier,        Revision::homestead, Revision::tangerine_whistle,
        Revision::spurious_dragon, Revision::byzantium, Revision::constantinople,
        Revision::petersburg,      Revision::istanbul,  Revision::istanbul,
        Revision::berlin,          Revision::london,    Revision::london};
    for (uint64_t number = 0; number < 12; ++number)
        EXPECT_EQ(config.revision_at(number, 0), expected[number]) << number;
    EXPECT_EQ(config.bomb_delays.back(), (consensus::BombDelay{11, 10'700'000}));
    EXPECT_EQ(config.revision_at(20, 450), Revision::london);  // before the Merge no time counts
    config.set_merge_block(20);
    EXPECT_EQ(config.revision_at(19, 450), Revision::london);
    EXPECT_EQ(config.revision_at(20, 0), Revision::paris);
    EXPECT_EQ(config.revision_at(20, 100), Revision::shanghai);
    EXPECT_EQ(config.fork_at(20, 200).blobs, (consensus::BlobSchedule{3, 6, 3338477}));
    EXPECT_EQ(config.revision_at(20, 300), Revision::prague);
    EXPECT_EQ(config.fork_at(20, 400).blobs, (consensus::BlobSchedule{6, 9, 5007716}));
    EXPECT_EQ(config.fork_at(20, 500).revision, Revision::osaka);
    EXPECT_EQ(config.fork_at(20, 500).blobs, (consensus::BlobSchedule{10, 15, 8346193}));
}

TEST(chain_spec, block_0_has_the_fields_of_its_fork) {
    const auto old = parse_chain_spec(spec("", R"(,"difficulty":"0x20000","nonce":"0x42")"));
    ASSERT_TRUE(old) << old.error().text();
    EXPECT_FALSE(old->genesis.header.base_fee_per_gas);
    EXPECT_EQ(old->genesis.header.difficulty, Uint256(0x20000));
    EXPECT_EQ(old->genesis.header.nonce[7], 0x42);
    const auto merged = parse_chain_spec(
        spec(R"(,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,
               "byzantiumBlock":0,"constantinopleBlock":0,"istanbulBlock":0,"berlinBlock":0,
               "londonBlock":0,"terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0)",
             R"(,"baseFeePerGas":"0x7")"));
    ASSERT_TRUE(merged) << merged.error().text();
    EXPECT_EQ(merged->genesis.header.base_fee_per_gas, Uint256(7));
    EXPECT_EQ(merged->genesis.header.excess_blob_gas, 0u);
    EXPECT_FALSE(merged->genesis.header.requests_hash);
    EXPECT_EQ(merged->config.revision_at(1, 1), Revision::cancun);
    EXPECT_EQ(merged->config.fork_at(1, 1).blobs, consensus::ethereum_blobs(Revision::cancun));
}

TEST(chain_spec, accounts_come_with_code_and_storage) {
    const auto parsed = parse_chain_spec(
        R"({"config":{"chainId":5},"gasLimit":"5000","alloc":{
           "0000000000000000000000000000000000000007":
           {"balance":"0x10","nonce":"0x2","code":"0x6000",
            "storage":{"0x01":"0x02","0x03":"0x0"}}}})");
    ASSERT_TRUE(parsed) << parsed.error().text();
    ASSERT_EQ(parsed->alloc.accounts.size(), 1u);
    const auto& change = *parsed->alloc.accounts.begin()->second;
    EXPECT_EQ(change.balance, Uint256(16));
    EXPECT_EQ(change.nonce, 2u);
    EXPECT_EQ(change.code_hash, keccak256(Bytes{0x60, 0x00}));
    EXPECT_EQ(change.storage, (std::map<Uint256, Uint256>{{Uint256(1), Uint256(2)}}));
}

TEST(chain_spec, rejects_schedules_that_contradict_themselves) {
    EXPECT_EQ(error_at(spec(R"(,"homesteadBlock":5,"eip150Block":4)")),
              "genesis.config.eip150Block");
    EXPECT_EQ(error_at(spec(R"(,"byzantiumBlock":4)")), "genesis.config.homesteadBlock");
    EXPECT_EQ(error_at(spec(R"(,"homesteadBlock":0,"eip150Block":0,"eip155Block":1,
                               "eip158Block":2)")),
              "genesis.config.eip155Block");
    EXPECT_EQ(error_at(spec(R"(,"shanghaiTime":4)")), "genesis.config.terminalTotalDifficulty");
    const std::string merged = R"(,"terminalTotalDifficulty":0,"shanghaiTime":9)";
    EXPECT_EQ(error_at(spec(merged + R"(,"cancunTime":8)")), "genesis.config.cancunTime");
    EXPECT_EQ(error_at(spec(merged + R"(,"pragueTime":10)")), "genesis.config.cancunTime");
    EXPECT_EQ(error_at(spec(merged + R"(,"cancunTime":10,"pragueTime":10,"osakaTime":11,
                                        "bpo1Time":12)")),
              "genesis.config.blobSchedule.bpo1");
    EXPECT_EQ(error_at(spec(merged + R"(,"cancunTime":10,
        "blobSchedule":{"cancun":{"target":9,"max":6,"baseFeeUpdateFraction":1}})")),
              "genesis.config.blobSchedule.cancun");
}

TEST(chain_spec, rejects_rules_that_are_unknown_here) {
    EXPECT_EQ(error_at(spec(R"(,"amsterdamTime":1)")), "genesis.config.amsterdamTime");
    EXPECT_EQ(error_at(spec(R"(,"daoForkSupport":true)")), "genesis.config.daoForkSupport");
    EXPECT_EQ(error_at(spec(R"(,"clique":{"period":1})")), "genesis.config.clique");
    EXPECT_TRUE(parse_chain_spec(spec(R"(,"daoForkSupport":false,"amsterdamTime":null)")));
}

TEST(chain_spec, rejects_what_is_no_genesis_file) {
    EXPECT_EQ(error_at(""), "genesis");
    EXPECT_EQ(error_at("[]"), "genesis");
    EXPECT_EQ(error_at("{}"), "genesis.config");
    EXPECT_EQ(error_at(spec(R"(,"londonBlock":-1)")), "genesis.config.londonBlock");
    EXPECT_EQ(error_at(spec("", R"(,"number":"0x1")")), "genesis.number");
    EXPECT_EQ(error_at(spec("", R"(,"difficulty":1e30)")), "genesis.difficulty");
}

}  // namespace
}  // namespace trainyard::node::config
