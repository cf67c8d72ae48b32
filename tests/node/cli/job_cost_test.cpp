// SPDX-License-Identifier: Apache-2.0
// What a client reads before paying.
#include "node/cli/job_cost.hpp"

#include <gtest/gtest.h>

#include "node/wallet/coins.hpp"

namespace trainyard::node::cli {
namespace {

JobCost ten_segments() {
    JobCost cost;
    cost.spec.segments = 10;
    cost.spec.segment_blocks = 480;
    cost.spec.price_wei = *wallet::parse_coins("2");
    cost.spec.audit_fee_wei = *wallet::parse_coins("0.01");
    cost.terms = {3, 12, Uint256(8)};
    cost.escrow_wei = *wallet::parse_coins("21.2");
    cost.balance_wei = *wallet::parse_coins("100");
    cost.now_s = 1'700'000'000;
    cost.spec.deadline_s = cost.now_s + 86'400;
    cost.block_seconds = 1;
    return cost;
}

void expect_words(const JobCost& cost, const std::vector<std::string>& words) {
    const auto text = to_text(cost);
    for (const auto& word : words) EXPECT_NE(text.find(word), std::string::npos) << word << text;
}

TEST(job_cost, the_sum_the_rest_and_the_bond_are_said) {
    EXPECT_EQ(least_spent_wei(ten_segments()), *wallet::parse_coins("20.3"));
    expect_words(ten_segments(), {"10 segments x (2 price + 12 x 0.01 audit fee) = 21.2 coins",
                                  "20.3 coins if no segment is replayed", "100 coins of 0x0000",
                                  "then 78.8 less gas", "480 blocks a segment (8m 00s)",
                                  "trained by 2023-11-14T23:33:20Z", "2023-11-15T22:13:20Z",
                                  "any with 16 coins of free stake"});
    const auto json = to_json(ten_segments());
    EXPECT_EQ(json.at("escrowWei").as_string(), "21200000000000000000");
    EXPECT_EQ(json.at("providerBondWei").as_string(), "16000000000000000000");
}

TEST(job_cost, a_deadline_before_the_slowest_end_is_said) {
    auto cost = ten_segments();
    cost.spec.deadline_s = cost.now_s + 4799;
    expect_words(cost, {"not done by the deadline"});
    cost.spec.deadline_s = cost.now_s + 4800;
    expect_words(cost, {"trained by 2023-11-14T23:33:20Z"});
}

TEST(job_cost, a_chain_too_young_to_have_a_pace_promises_no_time) {
    auto cost = ten_segments();
    cost.block_seconds = 0;
    EXPECT_EQ(to_text(cost).find("trained by"), std::string::npos);
    cost.spec.provider.bytes[0] = 0xab;
    expect_words(cost, {"480 blocks a segment\n", "0xab00"});
}

}  // namespace
}  // namespace trainyard::node::cli
