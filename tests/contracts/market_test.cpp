// SPDX-License-Identifier: Apache-2.0
// Jobs from post to close: who is paid, fined, slashed and refunded, to the wei.
#include "market.hpp"

#include <gtest/gtest.h>

#include "core/hash.hpp"

namespace trainyard::contracts {
namespace {

const Address kClient = actor("client");
const Address kProvider = actor("provider");
const Address kRival = actor("rival");
const Address kAnyone = actor("anyone");

struct MarketFixture : testing::Test {
    Market market;
    JobSpec spec;

    MarketFixture() {
        market.add_provider(kProvider, kCoin * 100);
        market.add_provider(kRival, kCoin * 100);
    }
    FakeSegment honest(uint32_t seg) const { return {spec, seg, "truth"}; }
    FakeSegment fake(uint32_t seg) const { return {spec, seg, "lie"}; }
    uint64_t taken_job() {
        const uint64_t job = market.post(kClient, spec);
        EXPECT_TRUE(market.take(kProvider, job).ok);
        return job;
    }
    /// A job whose first segment is committed, drawn and served.
    uint64_t served_job(const FakeSegment& made) {
        const uint64_t job = taken_job();
        EXPECT_TRUE(market.commit(kProvider, job, 0, made).ok);
        market.open_audit(job, 0);
        EXPECT_TRUE(market.serve(kProvider, job, 0).ok);
        return job;
    }
    Uint256 reserved(const Address& p) { return market.provider_money(p)[1]; }
    Uint256 stake(const Address& p) { return market.provider_money(p)[0]; }
    /// The balance of the market is what it owes: escrow of the jobs and credit of everyone known.
    void expect_solvent(uint64_t jobs) {
        Uint256 owed;
        for (uint64_t job = 0; job < jobs; ++job) owed += market.job(job).escrow;
        for (const Address& v : market.validators) owed += market.credit(v);
        for (const Address& who : {kClient, kProvider, kRival}) owed += market.credit(who);
        EXPECT_EQ(to_decimal(owed), to_decimal(market.chain.balance(market.at())));
    }
};
using market_job = MarketFixture;
using market_audit = MarketFixture;

TEST_F(market_job, three_honest_segments_are_paid_to_the_wei_and_mint_a_token) {
    const uint64_t job = taken_job();
    EXPECT_EQ(reserved(kProvider), kCoin * 8);
    for (uint32_t seg = 0; seg < 3; ++seg) ASSERT_TRUE(market.commit(kProvider, job, seg, honest(seg)).ok);
    EXPECT_EQ(market.job(job).state, JobState::draining);
    for (uint32_t seg = 0; seg < 3; ++seg) market.audit_honestly(job, seg, honest(seg));
    ASSERT_TRUE(market.finalize(job).ok);
    ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
    const JobView j = market.job(job);
    EXPECT_EQ(j.state, JobState::closed);
    EXPECT_EQ(j.outcome, Outcome::complete);
    EXPECT_EQ(j.model_token, 1u);
    const Uint256 fee = kCoin / 20;
    EXPECT_EQ(market.credit(kProvider), (kCoin - fee) * 3);
    EXPECT_EQ(market.burned(), fee * 3);
    EXPECT_EQ(market.credit(kClient), market.quote(spec) - kCoin * 3 - spec.audit_fee * 9);
    EXPECT_EQ(reserved(kProvider), 0);
    expect_solvent(1);
    ASSERT_TRUE(market.withdraw(kProvider).ok);
    EXPECT_EQ(market.chain.balance(kProvider), (kCoin - fee) * 3);
    EXPECT_EQ(market.withdraw(kProvider).error(), "NothingToDo");
}

}  // namespace
}  // namespace trainyard::contracts
