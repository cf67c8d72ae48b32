// SPDX-License-Identifier: Apache-2.0
// What one replay finds wrong counts only if a second one finds the same.
#include "node/verify/claim_check.hpp"

#include <gtest/gtest.h>

#include "node/wallet/market.hpp"

namespace trainyard::node::verify {
namespace {

class Scripted final : public Verifier {
public:
    explicit Scripted(AuditResult answer) : answer_(std::move(answer)) {}
    std::string name() override { return "scripted"; }
    Result<std::vector<AuditResult>, VerifyError> audit(const AuditRequest&) override {
        return std::vector<AuditResult>{};
    }
    AuditResult replay(const ReplayRequest&) override {
        ++replays;
        return answer_;
    }
    Result<Pick, VerifyError> pick(const PickRequest&) override { return Pick(); }
    int replays = 0;

private:
    AuditResult answer_;
};

Hash digest(uint8_t n) {
    Hash out;
    out.bytes.fill(n);
    return out;
}
AuditResult says(bool matches, const Hash& answer) {
    return VerifyAnswer{matches, {answer}, matches ? "match" : "another state"};
}
AuditResult fails(VerifyErrorCode code) {
    return unexpected(VerifyError{code, "this machine"});
}
Finding found(AuditResult first, AuditResult second) {
    Scripted one(std::move(first)), two(std::move(second));
    return check_claim(one, [&]() -> Verifier& { return two; }, {}).finding;
}

TEST(claim_check, a_mismatch_counts_where_both_replays_have_one_digest) {
    EXPECT_EQ(found(says(false, digest(5)), says(false, digest(5))), Finding::mismatch);
    EXPECT_EQ(found(says(false, digest(5)), says(false, digest(6))), Finding::unjudged);
    EXPECT_EQ(found(says(false, digest(5)), says(true, digest(5))), Finding::unjudged);
}

TEST(claim_check, a_match_needs_no_second_replay) {
    Scripted one(says(true, digest(5)));
    const auto none = [&]() -> Verifier& {
        ADD_FAILURE() << "asked for a second replay";
        return one;
    };
    EXPECT_EQ(check_claim(one, none, {}).finding, Finding::match);
    EXPECT_EQ(one.replays, 1);
}

TEST(claim_check, one_replay_is_enough_where_no_money_hangs_on_it) {
    Scripted one(says(false, digest(5)));
    EXPECT_EQ(check_claim(one, {}, {}).finding, Finding::mismatch);
}

TEST(claim_check, a_machine_that_cannot_judge_convicts_nobody) {
    for (const auto code :
         {VerifyErrorCode::bad_request, VerifyErrorCode::out_of_memory, VerifyErrorCode::timed_out,
          VerifyErrorCode::died, VerifyErrorCode::unavailable, VerifyErrorCode::device_failed}) {
        EXPECT_EQ(found(fails(code), says(false, digest(5))), Finding::unjudged);
        EXPECT_EQ(found(says(false, digest(5)), fails(code)), Finding::unjudged);
    }
    for (const Hash& none : {wallet::kUnsound, wallet::kWithheld})
        EXPECT_EQ(found(says(false, none), says(false, none)), Finding::unjudged);
    EXPECT_EQ(found(VerifyAnswer{false, {}, "no answer"}, VerifyAnswer{}), Finding::unjudged);
}

}  // namespace
}  // namespace trainyard::node::verify
