// SPDX-License-Identifier: Apache-2.0
// What `trainyard status` says of a node, and with which exit code.
#include "node/cli/health.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace trainyard::node::cli {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kNow = 1'800'000'000;

NodeFacts well() {
    NodeFacts facts;
    facts.version = "trainyard/v0.1.0/linux/cpp20";
    facts.role = "validator";
    facts.waits_for = "votes";
    facts.head = 12, facts.head_time_s = kNow;
    facts.final = 11, facts.final_time_s = kNow - 1;
    facts.peers_in = 1, facts.peers_out = 2;
    facts.operator_address = Address{};
    facts.disk_free_bytes = 50'000'000'000;
    facts.clock_ahead_ms = -3;
    facts.stake = wallet::Candidate{};
    facts.stake->known = true;
    facts.stake->weight_gwei = 1;
    facts.stake->led = 10;
    return facts;
}

/// The worst trouble, or nothing.
std::optional<Trouble> trouble(const std::function<void(NodeFacts&)>& change) {
    auto facts = well();
    change(facts);
    const auto findings = judge(facts, kNow);
    return findings.empty() ? std::nullopt : std::optional(findings.front().trouble);
}

TEST(health, each_trouble_has_a_code_and_a_well_node_has_none) {
    EXPECT_FALSE(trouble([](NodeFacts&) {}));
    EXPECT_EQ(trouble([](NodeFacts& f) { f.halted = "the disk is full"; }), Trouble::halted);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.stake->tombstoned = true; }), Trouble::punished);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.stake->jailed_until = 7; }), Trouble::punished);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.why_not_voting = "listens"; }), Trouble::not_voting);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.final_time_s = kNow - 31; }), Trouble::stalled);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.highest = 100; }), Trouble::behind);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.peers_in = f.peers_out = 0; }), Trouble::warning);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.disk_free_bytes = 9'999'999'999; }), Trouble::warning);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.clock_ahead_ms = 500; }), Trouble::warning);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.clock_ahead_ms = -500; }), Trouble::warning);
    EXPECT_EQ(trouble([](NodeFacts& f) { f.stake->missed = 6; }), Trouble::warning);
}

TEST(health, borders_and_what_is_not_known_are_no_trouble) {
    EXPECT_FALSE(trouble([](NodeFacts& f) { f.final_time_s = kNow - 30; }));
    EXPECT_FALSE(trouble([](NodeFacts& f) { f.final_time_s = kNow + 5; }));
    EXPECT_FALSE(trouble([](NodeFacts& f) { f.clock_ahead_ms = 499; }));
    EXPECT_FALSE(trouble([](NodeFacts& f) { f.stake->missed = 5; }));
    EXPECT_FALSE(trouble([](NodeFacts& f) {
        f.clock_ahead_ms.reset(), f.disk_free_bytes.reset(), f.stake.reset();
    }));
    EXPECT_FALSE(trouble([](NodeFacts& f) {
        f.role = "candidate";
        f.why_not_voting = "is in no set";
    })) << "who is in no set need not vote";
}

TEST(health, the_worst_comes_first) {
    auto facts = well();
    facts.clock_ahead_ms = 9000;
    facts.stake->jailed_until = 70;
    facts.final_time_s = kNow - 600;
    const auto findings = judge(facts, kNow);
    ASSERT_EQ(findings.size(), 3u);
    EXPECT_EQ(findings[0].trouble, Trouble::punished);
    EXPECT_EQ(findings[1].trouble, Trouble::stalled);
    EXPECT_EQ(findings[2].trouble, Trouble::warning);
    EXPECT_THAT(findings[0].words, HasSubstr("from block 70"));
    EXPECT_THAT(findings[1].words, HasSubstr("10m 00s: it waits for votes"));
    EXPECT_THAT(findings[2].words, HasSubstr("9000 ms behind"));
}

TEST(health, each_finding_belongs_to_a_row_of_the_screen) {
    auto facts = well();
    facts.halted = "no disk";
    facts.stake->jailed_until = 7;
    facts.stake->missed = 9;
    facts.why_not_voting = "listens";
    facts.highest = 100;
    facts.peers_in = facts.peers_out = 0;
    facts.disk_free_bytes = 0;
    facts.clock_ahead_ms = 9000;
    const auto findings = judge(facts, kNow);
    EXPECT_EQ(findings.size(), 8u);
    const auto screen = screen_of(facts, findings, kNow);
    for (const auto& finding : findings)
        EXPECT_THAT("\n" + screen, HasSubstr("\n" + finding.row + " "));
    EXPECT_EQ(findings.front().row, "node");
}

TEST(health, is_shown_on_one_screen_and_as_json) {
    const auto facts = well();
    const auto screen = screen_of(facts, {}, kNow);
    for (const char* part : {"head       12, 0s old", "final      11, 1s old", "in step", "50 GB",
                             "3 ms ahead of", "missed 0 of 10", "well"})
        EXPECT_THAT(screen, HasSubstr(part));
    EXPECT_LE(std::count(screen.begin(), screen.end(), '\n'), 24);
    const auto json = json_of(facts, judge(facts, kNow));
    EXPECT_THAT(json, HasSubstr("\"well\":true"));
    EXPECT_THAT(json, HasSubstr("\"clockAheadMs\":-3"));
    auto ill = facts;
    ill.halted = "no disk";
    const auto found = judge(ill, kNow);
    EXPECT_THAT(screen_of(ill, found, kNow), HasSubstr("trouble: stands still: no disk"));
    EXPECT_THAT(json_of(ill, found), HasSubstr("\"code\":3"));
}

TEST(health, reads_the_nodes_answers_and_refuses_other_ones) {
    const auto facts = facts_from(
        R"({"version":"trainyard/v1","chainId":"0x7","head":{"number":"0x9","timestamp":"0x5"},
            "finalized":{"number":"0x8","timestamp":"0x4"},"epoch":"0x1","view":"0x2",
            "role":"validator","uptime":"0x3c","halted":null,"whyNotVoting":"listens",
            "operator":"0x0000000000000000000000000000000000000001","waitsFor":"votes",
            "diskFree":"0x10","clockAheadMs":-12,
            "peers":[{"inbound":true},{"inbound":false},{"inbound":false}]})",
        R"({"startingBlock":"0x0","currentBlock":"0x8","highestBlock":"0x64"})");
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->head, 9u);
    EXPECT_EQ(facts->final_time_s, 4u);
    EXPECT_EQ(facts->highest, 100u);
    EXPECT_EQ(facts->peers_in, 1u);
    EXPECT_EQ(facts->peers_out, 2u);
    EXPECT_EQ(facts->clock_ahead_ms, -12);
    EXPECT_EQ(facts->disk_free_bytes, 16u);
    EXPECT_TRUE(facts->halted.empty());
    EXPECT_EQ(facts->why_not_voting, "listens");
    EXPECT_TRUE(facts->operator_address);
    EXPECT_FALSE(facts_from(R"({"version":"Geth"})", "false"));
    EXPECT_FALSE(facts_from("[]", "false"));
    EXPECT_FALSE(facts_from("", ""));
}

}  // namespace
}  // namespace trainyard::node::cli
