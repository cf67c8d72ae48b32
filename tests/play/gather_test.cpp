// SPDX-License-Identifier: Apache-2.0
// What a replay takes is gathered from nodes and providers that need not be honest.
#include <utility>

#include <gtest/gtest.h>

#include "fake_market.hpp"
#include "node/verify/case_builder.hpp"
#include "node/wallet/blob.hpp"
#include "small_job.hpp"
#include "tests/training/small_program.hpp"

namespace trainyard::test {
namespace {

using node::verify::gather_replay;

/// Two committed segments of which only the bytes that a replay is made from are real.
struct Case {
    std::shared_ptr<FakeLedger> ledger = std::make_shared<FakeLedger>();
    std::unique_ptr<wallet::MarketApi> market = fake_market(ledger, {});
    node::verify::CaseRequest request;
    Hash state;

    Case() {
        state = *market->put_blob(Bytes(100, 7));
        request.spec = publish_small_job(*market);
        const uint64_t id = ledger->post(request.spec, {});
        ledger->jobs[id].segments.resize(2);
        ledger->jobs[id].segments[0].segment.state_blob = state;
        request.seat.seg = 1;
        request.limits = ledger->limits;
        request.trusts_node = false;
    }
    std::string gap() {
        const auto found = gather_replay(*market, request);
        return found ? "" : found.error().text;
    }
};

TEST(gather_replay, brings_program_data_and_the_state_before) {
    Case c;
    const auto replay = gather_replay(*c.market, c.request);
    ASSERT_TRUE(replay) << c.gap();
    EXPECT_EQ(replay->job.data, training::make_text(4000));
    EXPECT_EQ(replay->first_state, Bytes(100, 7));
    EXPECT_EQ(replay->claim.first_step, c.request.spec.steps_per_segment);
    c.request.seat.seg = 0;
    EXPECT_TRUE(gather_replay(*c.market, c.request)->first_state.empty())
        << "the run seed gives it";
}

TEST(gather_replay, takes_what_this_machine_holds_and_asks_the_node_for_the_rest) {
    Case c;
    const Bytes other(50, 3);
    std::vector<uint64_t> limits;
    c.request.map_blob = [&](const Hash& id,
                             uint64_t bytes_max) -> std::optional<node::verify::Content> {
        limits.push_back(bytes_max);
        if (id != c.state) return std::nullopt;
        return node::verify::Content(std::make_shared<int>(), other);
    };
    c.request.blob_bytes_max = 5000;
    c.ledger->blobs.erase(c.state);
    const auto replay = gather_replay(*c.market, c.request);
    ASSERT_TRUE(replay) << c.gap();
    EXPECT_EQ(replay->first_state.data(), other.data()) << "not copied";
    EXPECT_EQ(replay->job.data, training::make_text(4000));
    EXPECT_EQ(limits, std::vector<uint64_t>(3, 5000)) << "program, data, state";
}

TEST(gather_replay, a_node_that_gives_other_bytes_is_named_and_blames_nobody_else) {
    Case c;
    for (const Hash& id : {c.state, c.request.spec.data, c.request.spec.program}) {
        const Bytes honest = std::exchange(c.ledger->blobs[id], Bytes(9, 1));
        EXPECT_NE(c.gap().find("the node gave another"), std::string::npos) << c.gap();
        c.ledger->blobs[id] = honest;
    }
    EXPECT_EQ(c.gap(), "");
}

TEST(gather_replay, says_what_is_not_to_be_had_and_whether_the_node_is_away) {
    Case c;
    const Bytes kept = c.ledger->blobs[c.state];
    c.ledger->blobs.erase(c.state);
    EXPECT_NE(c.gap().find("state before the segment is not to be had"), std::string::npos);
    EXPECT_FALSE(gather_replay(*c.market, c.request).error().node_is_away);
    c.ledger->is_away = true;
    EXPECT_TRUE(gather_replay(*c.market, c.request).error().node_is_away);
}

TEST(gather_replay, refuses_a_job_that_no_auditor_could_check) {
    Case c;
    c.request.limits.work_per_block = 0;
    EXPECT_NE(c.gap(), "");
    c.request.limits = c.ledger->limits;
    ++c.request.spec.micro_batches;
    EXPECT_NE(c.gap(), "");
    --c.request.spec.micro_batches;
    EXPECT_EQ(c.gap(), "");
    --c.request.spec.unit_work;
    EXPECT_NE(c.gap().find("work of a unit"), std::string::npos);
}

/// A verifier process in strange hands.
class Brings final : public node::verify::Verifier {
public:
    explicit Brings(Bytes state) : state_(std::move(state)) {}
    std::string name() override { return "taken over"; }
    Result<std::vector<node::verify::AuditResult>, node::verify::VerifyError> audit(
        const node::verify::AuditRequest&) override {
        return unexpected(node::verify::VerifyError{});
    }
    node::verify::AuditResult replay(const node::verify::ReplayRequest& request) override {
        asked = request;
        return node::verify::VerifyAnswer{true, {Hash{}}, "match", state_};
    }
    Result<node::verify::Pick, node::verify::VerifyError> pick(
        const node::verify::PickRequest&) override {
        return unexpected(node::verify::VerifyError{});
    }
    node::verify::ReplayRequest asked;  ///< last

private:
    Bytes state_;
};

TEST(judge_cases, brings_no_state_but_the_one_that_the_chain_names) {
    Case c;
    c.request.seat.level = wallet::SegmentState::l1;
    c.request.segment.phase_deadline = 1'000;
    const Bytes named(50, 3);
    c.request.segment.state_blob = wallet::blob_id(named);
    for (const Bytes& brought : {named, Bytes(50, 4), Bytes{}}) {
        Brings verifier(brought);
        node::verify::Content unserved;
        judge_cases(*c.market, verifier, {c.request}, [&](size_t, node::verify::CaseResult result) {
            ASSERT_TRUE(result) << result.error().text;
            unserved = result->unserved;
        });
        EXPECT_EQ(unserved, node::verify::Content(brought == named ? named : Bytes{}));
    }
}

TEST(judge_cases, asks_for_no_end_of_a_segment_that_claims_to_diverge) {
    Case c;
    c.request.seat.level = wallet::SegmentState::l1;
    c.request.segment.phase_deadline = 1'000;
    c.request.waits = false;
    for (const uint32_t diverges_at : {0U, 2U}) {
        c.request.segment.diverges_at = diverges_at;
        Brings verifier({});
        bool is_judged = false;
        judge_cases(*c.market, verifier, {c.request}, [&](size_t, node::verify::CaseResult result) {
            is_judged = result && result->answer.verdict == wallet::Verdict::match;
        });
        EXPECT_TRUE(is_judged);
        EXPECT_EQ(verifier.asked.diverges_at, diverges_at);
        EXPECT_EQ(verifier.asked.last_bytes_max > 0, diverges_at == 0)
            << "nobody has the state of an end";
    }
}

}  // namespace
}  // namespace trainyard::test
