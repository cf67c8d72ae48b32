// SPDX-License-Identifier: Apache-2.0
// Fork ids of Ethereum's main network, as EIP-2124 and EIP-6122 list them.
#include "consensus/rules/fork_id.hpp"

#include <gtest/gtest.h>

namespace trainyard::consensus {
namespace {

using vm::Revision;

const GenesisId kMainnet{
    *fixed_from_hex<Hash>("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"), 0};

ChainConfig mainnet() {
    auto config = ethereum_config(1, {{Revision::frontier, 0, 0, {}},
                                      {Revision::homestead, 1'150'000, 0, {}},
                                      {Revision::tangerine_whistle, 2'463'000, 0, {}},
                                      {Revision::spurious_dragon, 2'675'000, 0, {}},
                                      {Revision::byzantium, 4'370'000, 0, {}},
                                      {Revision::constantinople, 7'280'000, 0, {}},
                                      {Revision::petersburg, 7'280'000, 0, {}},
                                      {Revision::istanbul, 9'069'000, 0, {}},
                                      {Revision::berlin, 12'244'000, 0, {}},
                                      {Revision::london, 12'965'000, 0, {}},
                                      {Revision::paris, 15'537'394, 0, {}},
                                      {Revision::shanghai, 15'537'394, 1'681'338'455, {}}});
    config.bomb_delays = {{4'370'000, 1},  {7'280'000, 2},  {9'200'000, 3},
                          {12'965'000, 4}, {13'773'000, 5}, {15'050'000, 6}};
    config.idle_fork_blocks = {1'920'000};  // the DAO's
    return config;
}

std::string id_at(uint64_t number, uint64_t time = 0) {
    return to_hex(fork_id(mainnet(), kMainnet, number, time).bytes);
}

TEST(fork_id, are_those_of_the_main_network_at_the_borders_of_its_forks) {
    EXPECT_EQ(id_at(0), "fc64ec04");
    EXPECT_EQ(id_at(1'149'999), "fc64ec04");
    EXPECT_EQ(id_at(1'150'000), "97c2c34c");
    EXPECT_EQ(id_at(1'920'000), "91d1f948");
    EXPECT_EQ(id_at(2'463'000), "7a64da13");
    EXPECT_EQ(id_at(2'675'000), "3edd5b10");
    EXPECT_EQ(id_at(4'370'000), "a00bc324");
    EXPECT_EQ(id_at(7'280'000), "668db0af");
    EXPECT_EQ(id_at(9'069'000), "879d6e30");
    EXPECT_EQ(id_at(9'200'000), "e029e991");
    EXPECT_EQ(id_at(12'244'000), "0eb440f6");
    EXPECT_EQ(id_at(12'965'000), "b715077d");
    EXPECT_EQ(id_at(13'773'000), "20c327fc");
    EXPECT_EQ(id_at(15'050'000), "f0afd0e3");
}

TEST(fork_id, counts_times_but_not_the_block_of_the_merge) {
    EXPECT_EQ(id_at(15'537'394, 1'681'338'454), "f0afd0e3");
    EXPECT_EQ(id_at(20'000'000, 1'681'338'455), "dce96c2d");
}

TEST(fork_id, passes_over_the_forks_of_genesis) {
    ChainConfig ours;  // Osaka from block 0
    const auto id = fork_id(ours, kMainnet, 1000, 1000);
    EXPECT_EQ(to_hex(id.bytes), "fc64ec04");  // the genesis hash alone
    EXPECT_EQ(fork_id(ours, {kMainnet.hash, 500}, 0, 0), id);
}

}  // namespace
}  // namespace trainyard::consensus
