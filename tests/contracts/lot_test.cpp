// SPDX-License-Identifier: Apache-2.0
// Segments replayed by lot: what two may decide, and what they must leave to the committee.
#include "market_fixture.hpp"

#include <cmath>

#include "core/hash.hpp"

namespace trainyard::contracts {
namespace {

/// Every segment is drawn by lot.
struct market_lot : MarketFixture {
    market_lot() : MarketFixture({{"replayBps", 10'000}}) {}
    /// Right units, wrong sums: level 0 finds nothing.
    [[nodiscard]] FakeSegment liar() const { return honest(0).with_other_sums(); }
    /// A job whose first segment has passed level 0 and was drawn.
    uint64_t drawn_job(const FakeSegment& made) {
        const uint64_t job = served_job(made);
        market.run_round(job, 0, honest(0));
        EXPECT_TRUE(market.open(kProvider, job, 0, made).ok);
        EXPECT_EQ(market.segment(job, 0).state, SegmentState::l1);
        return job;
    }
    /// The number of auditors that answer at level 1: 2 or 7.
    size_t seated(uint64_t job) { return market.auditors(job, 0).size(); }
};

TEST_F(market_lot, a_drawn_segment_is_replayed_by_two_and_the_rest_of_the_escrow_stays) {
    const uint64_t job = drawn_job(honest(0));
    ASSERT_EQ(seated(job), 2u);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(market.quote(spec), (kCoin + spec.audit_fee * 12) * 3);
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec) - kCoin - spec.audit_fee * 5);
    expect_solvent(1);
}

TEST_F(market_lot, the_pair_is_drawn_apart_from_level_0) {
    int others = 0;
    for (int i = 0; i < 6; ++i) {
        const uint64_t job = served_job(honest(0));
        const std::vector<Address> first = market.auditors(job, 0);
        market.run_round(job, 0, honest(0));
        ASSERT_TRUE(market.open(kProvider, job, 0, honest(0)).ok);
        const std::vector<Address> pair = market.auditors(job, 0);
        others += pair[0] != first[0] || pair[1] != first[1] ? 1 : 0;
    }
    EXPECT_GE(others, 4);
}

TEST_F(market_lot, a_lie_that_level_0_cannot_see_is_slashed_by_the_committee_that_the_pair_calls) {
    const uint64_t job = drawn_job(liar());
    const std::vector<Address> pair = market.auditors(job, 0);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::l1) << "two alone convict nobody";
    EXPECT_EQ(market.segment(job, 0).round, 1u);
    EXPECT_EQ(seated(job), 7u);
    EXPECT_EQ(stake(kProvider), kCoin * 100);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stake(kProvider), kCoin * 92);
    const Uint256 share = kCoin * 8 / 5 / 9;
    EXPECT_GE(market.credit(pair[0]), share);
    EXPECT_GE(market.burned(), kCoin * 8 - share * 9);
    expect_solvent(1);
}

TEST_F(market_lot, one_of_the_pair_that_was_bought_cannot_acquit_and_pays) {
    for (const Manners how : {Manners::wrong, Manners::lazy}) {
        const uint64_t job = served_job(liar());
        market.run_round(job, 0, honest(0));
        ASSERT_TRUE(market.open(market.segment(job, 0).provider, job, 0, liar()).ok);
        const Address bought = market.auditors(job, 0)[1];
        const Uint256 before = market.stake_of(bought);
        market.run_level1(job, 0, honest(0), {{bought, how}});
        ASSERT_EQ(seated(job), 7u);
        market.run_level1(job, 0, honest(0));
        EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
        EXPECT_EQ(before - market.stake_of(bought), spec.audit_fee * 10);
    }
    expect_solvent(2);
}

TEST_F(market_lot, an_honest_provider_loses_nothing_by_a_false_alarm_of_the_pair) {
    for (const Manners how :
         {Manners::wrong, Manners::lazy, Manners::bad_bundle, Manners::withheld}) {
        const uint64_t job = drawn_job(honest(0));
        const Address liar = market.auditors(job, 0)[0];
        const Uint256 before = market.stake_of(liar);
        market.run_level1(job, 0, honest(0), {{liar, how}});
        ASSERT_EQ(seated(job), 7u);
        market.run_level1(job, 0, honest(0));
        EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
        EXPECT_EQ(stake(kProvider), kCoin * 100);
        const bool judged = how == Manners::wrong || how == Manners::lazy;
        const int factor = judged ? 10 : 2;
        EXPECT_EQ(before - market.stake_of(liar), spec.audit_fee * factor);
        ASSERT_TRUE(market.finalize(job).ok);
        EXPECT_EQ(market.job(job).escrow, market.quote(spec) - kCoin - spec.audit_fee * 11);
    }
    expect_solvent(4);
}

TEST_F(market_lot, two_that_agree_on_a_mismatch_do_not_convict_an_honest_provider) {
    const uint64_t job = drawn_job(honest(0));
    const std::vector<Address> pair = market.auditors(job, 0);
    const Hash same = keccak256(as_bytes("agreed beforehand"));
    for (const Address& a : pair)
        ASSERT_TRUE(market.commit_answer(a, job, 0, Verdict::mismatch, {same}).ok);
    for (const Address& a : pair)
        ASSERT_TRUE(market.reveal_answer(a, job, 0, Verdict::mismatch, {same}).ok);
    ASSERT_EQ(seated(job), 7u);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(stake(kProvider), kCoin * 100);
}

TEST_F(market_lot, silence_of_the_pair_passes_nothing_and_costs_the_provider_nothing) {
    for (const bool lies : {false, true}) {
        for (const size_t silent : {1, 2}) {
            const Uint256 bonded = stake(kProvider);
            const uint64_t job = drawn_job(lies ? liar() : honest(0));
            const std::vector<Address> pair = market.auditors(job, 0);
            std::map<Address, Manners> manners;
            for (size_t i = 0; i < silent; ++i)
                manners[pair[i]] = i == 0 ? Manners::silent : Manners::no_reveal;
            const Uint256 before = market.stake_of(pair[0]);
            market.run_level1(job, 0, honest(0), manners);
            ASSERT_EQ(seated(job), 7u);
            EXPECT_EQ(before - market.stake_of(pair[0]), spec.audit_fee * 2);
            market.run_level1(job, 0, honest(0));
            EXPECT_EQ(market.segment(job, 0).state,
                      lies ? SegmentState::void_proven : SegmentState::accepted);
            EXPECT_EQ(bonded - stake(kProvider), kCoin * (lies ? 8 : 0));
        }
    }
    expect_solvent(4);
}

TEST_F(market_lot, what_the_pair_revealed_is_no_answer_of_the_committee) {
    const uint64_t job = drawn_job(honest(0));
    const std::vector<Address> pair = market.auditors(job, 0);
    market.run_level1(job, 0, honest(0), {{pair[1], Manners::silent}});
    const std::vector<Address> committee = market.auditors(job, 0);
    const Address copier = committee[6];
    const Hash seen = sha256(honest(0).digest().bytes);
    const Uint256 before = market.stake_of(copier);
    for (const Address& a : committee)
        ASSERT_TRUE(
            market
                .commit_answer(a, job, 0, Verdict::match, {a == copier ? seen : honest(0).digest()})
                .ok);
    for (const Address& a : committee)
        ASSERT_TRUE(
            market
                .reveal_answer(a, job, 0, Verdict::match, {a == copier ? seen : honest(0).digest()})
                .ok);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(before - market.stake_of(copier), spec.audit_fee * 10);
}

TEST_F(market_lot, a_silent_pool_does_not_keep_a_drawn_segment_from_its_replay) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, fake(0)).ok);
    market.open_audit(job, 0);
    std::map<Address, Manners> silent;
    for (const Address& v : market.validators) silent[v] = Manners::silent;
    while (market.segment(job, 0).state == SegmentState::l0) {
        ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
        market.run_round(job, 0, honest(0), silent);
    }
    ASSERT_EQ(seated(job), 2u);
    market.run_level1(job, 0, honest(0), silent);
    ASSERT_EQ(seated(job), 7u);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
}

/// ADR 018: a fake is caught with the chance q (1 - beta alpha^k1) (1 - m), loses the bond less the
/// bounty then, and gains a price else.
TEST(devnet, a_fake_that_level_0_cannot_see_loses_on_average_up_to_a_third_of_the_stake) {
    Chain chain(make_validators(4));
    const Bytes params = chain.call(chain.address("ComputeMarket"), call_data("params()"));
    const auto param = [&](size_t at) { return static_cast<double>(word_at(params, at).low()); };
    const double k1 = param(1), k2 = param(2), bond = param(6), bounty = param(8) / 10'000;
    const double q = param(12) / 10'000;
    EXPECT_LE(q * k1, 0.2) << "replays must stay a small share of the training";
    for (const double alpha : {0.0, 0.1, 0.2, 1.0 / 3}) {
        double majority = 0;  // of the committee is the cheat's
        for (int k = 0; k <= k2; ++k) {
            const double ways =
                std::tgamma(k2 + 1) / (std::tgamma(k + 1) * std::tgamma(k2 - k + 1));
            if (2 * k > k2) majority += ways * std::pow(alpha, k) * std::pow(1 - alpha, k2 - k);
        }
        const double grinding = (1 - alpha) / (1 - 2 * alpha);
        const double caught = q * (1 - grinding * std::pow(alpha, k1)) * (1 - majority);
        EXPECT_GT(caught * bond * (1 - bounty), 1 - caught) << "with a share of " << alpha;
    }
}

TEST(small_network, some_segments_are_drawn_and_others_are_not) {
    Market market(10, {{"replayBps", 5000}});
    market.add_provider(kProvider, kCoin * 200);
    const JobSpec spec;
    const FakeSegment truth(spec, 0, "truth");
    std::map<SegmentState, int> seen;
    for (int i = 0; i < 16; ++i) {
        const uint64_t job = market.post(kClient, spec);
        ASSERT_TRUE(market.take(kProvider, job).ok);
        ASSERT_TRUE(market.commit(kProvider, job, 0, truth).ok);
        market.open_audit(job, 0);
        ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
        market.run_round(job, 0, truth);
        ASSERT_TRUE(market.open(kProvider, job, 0, truth).ok);
        ++seen[market.segment(job, 0).state];
    }
    EXPECT_GE(seen[SegmentState::l1], 3);
    EXPECT_GE(seen[SegmentState::accepted], 3);
}

}  // namespace
}  // namespace trainyard::contracts
