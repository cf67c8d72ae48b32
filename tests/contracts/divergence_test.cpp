// SPDX-License-Identifier: Apache-2.0
// Runs that diverge: what the claim of one brings, and what it costs where it is false.
#include "market_fixture.hpp"

namespace trainyard::contracts {
namespace {

struct market_divergence : MarketFixture {
    using MarketFixture::MarketFixture;
    FakeSegment diverging(uint32_t seg, uint32_t step) const {
        return honest(seg).diverging_at(step);
    }
};

TEST_F(market_divergence, an_honest_claim_is_cleared_by_two_and_paid_by_its_steps) {
    const uint64_t job = taken_job();
    const FakeSegment made = diverging(0, 2);
    ASSERT_TRUE(market.commit(kProvider, job, 0, made).ok);
    EXPECT_EQ(market.job(job).state, JobState::draining);
    EXPECT_EQ(market.job(job).outcome, Outcome::diverged);
    market.open_audit(job, 0);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::l1);
    EXPECT_EQ(market.auditors(job, 0).size(), 2u);
    market.run_level1(job, 0, made);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    ASSERT_TRUE(market.finalize(job).ok);
    ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
    EXPECT_EQ(market.job(job).outcome, Outcome::diverged);
    EXPECT_EQ(market.job(job).model_token, 0u);
    const Uint256 price = spec.price * Uint256(2) / Uint256(5);
    EXPECT_EQ(market.credit(kProvider), price - price * Uint256(500) / Uint256(10'000));
    EXPECT_EQ(market.credit(kClient), market.quote(spec) - price - spec.audit_fee * 2);
    EXPECT_EQ(reserved(kProvider), 0);
    expect_solvent(1);
}

TEST_F(market_divergence, a_false_claim_costs_half_a_price_and_reopens_the_job) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, diverging(0, 2)).ok);
    market.open_audit(job, 0);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).round, 1u);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(market.job(job).state, JobState::open);
    EXPECT_EQ(market.job(job).outcome, Outcome::none);
    EXPECT_EQ(stake(kProvider), kCoin * 100 - spec.price / Uint256(2));
    EXPECT_EQ(market.credit(kClient), spec.price / Uint256(4));
    expect_solvent(1);
}

}  // namespace
}  // namespace trainyard::contracts
