// SPDX-License-Identifier: Apache-2.0
// What a node says that consensus waits for.
#include "node/cli/node_report.hpp"

#include <gtest/gtest.h>

#include "rpc/contract_view.hpp"
#include "tests/rpc/fake_chain.hpp"

namespace trainyard::node::cli {
namespace {

namespace cb = consensus::bft;

consensus::ValidatorSet four_validators() {
    std::vector<consensus::Validator> validators;
    for (uint8_t i = 1; i <= 4; ++i) {
        consensus::Validator v;
        v.address.bytes.fill(i);
        v.consensus_key.bytes.fill(i);
        v.vrf_key.bytes.fill(static_cast<uint8_t>(10 + i));
        v.p2p_key.bytes.fill(static_cast<uint8_t>(20 + i));
        v.stake_gwei = 10'000'000'000;
        validators.push_back(v);
    }
    return *consensus::ValidatorSet::make(validators);
}

TEST(node_report, names_epoch_view_weight_and_who_is_missing) {
    cb::Standing at;
    at.epoch = {3};
    at.view = {7};
    at.leader = 2;
    const auto set = four_validators();
    const cb::Waiting votes{cb::Need::notarizes, 20'000'000'000, 27'000'000'000, {0, 3}};
    EXPECT_EQ(words_of(votes, at, set),
              "votes for the block of view 7 of epoch 3: 20 of the 27 coins of stake it takes, "
              "missing 0x0101010101010101010101010101010101010101, "
              "0x0404040404040404040404040404040404040404");
    EXPECT_EQ(words_of({cb::Need::proposal, 0, 0, {}}, at, set),
              "the proposal of view 7 of epoch 3 by its leader "
              "0x0303030303030303030303030303030303030303");
}

TEST(node_report, says_that_the_last_block_of_an_epoch_waits_to_be_final) {
    cb::Standing at;
    at.epoch = {3};
    const cb::Waiting votes{cb::Need::finalizes, 30'000'000'000, 27'000'000'000, {}};
    EXPECT_EQ(words_of(votes, at, four_validators()),
              "votes that make the last block of epoch 3 final: 30 of the 27 coins of stake it "
              "takes");
}

TEST(node_report, one_line_tells_height_and_peers_and_what_is_wrong) {
    rpc::NodeStatus status;
    status.role = "validator";
    EXPECT_EQ(one_line(status, 812, 7), "block 812 final, 7 peers, validator");
    status.why_not_voting = "the signer is away";
    EXPECT_EQ(one_line(status, 812, 1),
              "block 812 final, 1 peer, validator, does not vote: the signer is away");
    status.halted = "the disk is full";
    EXPECT_EQ(one_line(status, 812, 0),
              "stands still: the disk is full; block 812 final, 0 peers, validator");
}

TEST(node_report, tells_for_how_long_the_auditors_of_the_chain_are_busy) {
    rpc::test::FakeChain chain;
    chain.add_block({}, {});
    Bytes words(64);
    words[31] = 7;
    words[62] = 1;
    chain.on_call = [&](const rpc::CallRequest& request, const rpc::Overrides&) {
        EXPECT_EQ(request.to, rpc::kComputeMarket);
        EXPECT_EQ(request.data.size(), 4u);
        rpc::CallOutcome out;
        out.output = words;
        return Result<rpc::CallOutcome, rpc::CallError>(out);
    };
    EXPECT_EQ(audit_queue_of(chain), (AuditQueue{7, 256}));
    words.clear();
    EXPECT_EQ(audit_queue_of(chain), std::nullopt) << "a chain without the market";
}

TEST(node_report, its_metrics_tell_audits_and_replays_that_wait_apart) {
    metrics::Metrics metrics;
    add_queue(metrics, {7, 256});
    const std::string text = metrics::to_prometheus_text(metrics);
    for (const char* line : {"# TYPE trainyard_audit_queue_blocks gauge\n",
                             "\ntrainyard_audit_queue_blocks{what=\"audits\"} 7\n",
                             "\ntrainyard_audit_queue_blocks{what=\"replays\"} 256\n"})
        EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

}  // namespace
}  // namespace trainyard::node::cli
