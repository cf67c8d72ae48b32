// SPDX-License-Identifier: Apache-2.0
// Runs that diverge: what the claim of one brings, and what it costs where it is false.
#include "market_fixture.hpp"

#include "books.hpp"
#include "core/hash.hpp"

namespace trainyard::contracts {
namespace {

constexpr uint64_t kWindow = 16;
constexpr uint32_t kStep = 2;  // of 5

struct market_divergence : MarketFixture {
    market_divergence() : MarketFixture({{"windowBlocks", kWindow}}) {}
    const Uint256 fee = spec.audit_fee;
    const Uint256 half_price = kCoin / 2;

    [[nodiscard]] FakeSegment diverging(uint32_t seg = 0, uint32_t step = kStep) const {
        return honest(seg).diverging_at(step);
    }
    [[nodiscard]] Uint256 price_of(uint32_t steps) const {
        return spec.price * Uint256(steps) / Uint256(spec.steps);
    }
    [[nodiscard]] Uint256 pay_of(uint32_t steps) const { return price_of(steps) * 95 / 100; }

    /// A job whose first segments are right and final, and whose last one claims to diverge.
    uint64_t claimed_job(uint32_t before = 0) {
        const uint64_t job = taken_job();
        for (uint32_t seg = 0; seg < before; ++seg) {
            EXPECT_TRUE(market.commit(kProvider, job, seg, honest(seg)).ok);
            market.audit_honestly(job, seg, honest(seg));
            market.chain.mine(kWindow);
            EXPECT_TRUE(market.finalize(job).ok);
        }
        EXPECT_TRUE(market.commit(kProvider, job, before, diverging(before)).ok);
        return job;
    }
    /// Two answer otherwise, so that seven are asked.
    void call_committee(uint64_t job, const FakeSegment& truth) {
        market.open_audit(job, 0);
        const Address one = market.auditors(job, 0)[0];
        market.run_level1(job, 0, truth, {{one, Manners::bad_bundle}});
        ASSERT_EQ(market.segment(job, 0).round, 1u);
        ASSERT_EQ(market.auditors(job, 0).size(), 7u);
    }
    std::map<Address, Manners> everybody(Manners how) const {
        std::map<Address, Manners> out;
        for (const Address& v : market.validators) out[v] = how;
        return out;
    }
    /// Nothing was slashed, and it is open again from this segment.
    void expect_reopened(uint64_t job, uint32_t seg) {
        EXPECT_EQ(market.segment(job, seg).state, SegmentState::void_proven);
        const JobView j = market.job(job);
        EXPECT_EQ(j.state, JobState::open);
        EXPECT_EQ(j.outcome, Outcome::none);
        EXPECT_EQ(j.tip, seg);
        EXPECT_TRUE(market.take(kProvider, job).ok) << "it lost no bond";
    }
    void pay_and_close(uint64_t job) {
        market.chain.mine(kWindow);
        ASSERT_TRUE(market.finalize(job).ok);
        ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
        EXPECT_EQ(market.job(job).outcome, Outcome::diverged);
        EXPECT_EQ(reserved(kProvider), 0);
    }
};

TEST_F(market_divergence, that_two_confirm_ends_the_job_and_is_paid_by_its_steps) {
    const uint64_t job = taken_job();
    const Sent sent = market.commit(kProvider, job, 0, diverging());
    ASSERT_TRUE(sent.ok);
    EXPECT_EQ(told(sent, "SegmentDiverged(uint256,uint32,address,uint32)", kProvider),
              Words{Uint256(kStep)});
    EXPECT_EQ(told(sent, "SegmentCommitted(uint256,uint32,address,bytes32,bytes32,uint32)").size(),
              3u);
    EXPECT_EQ(market.job(job).state, JobState::draining);
    EXPECT_EQ(market.job(job).tip_root, Hash{});
    const SegmentView s = market.segment(job, 0);
    EXPECT_EQ(s.first, honest(0).first());
    EXPECT_TRUE(s.last.is_zero() && s.steps_root.is_zero());
    EXPECT_EQ(s.diverges_at, kStep);
    market.open_audit(job, 0);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::l1) << "level 0 has nothing to replay";
    EXPECT_EQ(market.auditors(job, 0).size(), 2u);
    EXPECT_EQ(market.serve(kProvider, job, 0).error(), "WrongState");
    market.run_level1(job, 0, diverging());
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(market.finalize(job).error(), "NotYet") << "its window is open";
    EXPECT_EQ(earnings_of(market, kProvider, spec).segments.at(0).wei, pay_of(kStep));
    pay_and_close(job);
    EXPECT_EQ(market.job(job).model_token, 0u) << "nothing was trained";
    EXPECT_EQ(market.credit(kProvider), pay_of(kStep));
    EXPECT_EQ(market.burned(), price_of(kStep) - pay_of(kStep));
    EXPECT_EQ(market.credit(kClient), market.quote(spec) - price_of(kStep) - fee * 2);
    expect_solvent(1);
}

TEST_F(market_divergence,
       in_the_last_step_of_the_last_segment_is_paid_whole_but_completes_nothing) {
    spec.segments = 1;
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, diverging(0, 5)).ok);
    market.open_audit(job, 0);
    market.run_level1(job, 0, diverging(0, 5));
    pay_and_close(job);
    EXPECT_EQ(market.job(job).model_token, 0u);
    EXPECT_EQ(market.credit(kProvider), kCoin * 95 / 100);
    expect_solvent(1);
}

TEST_F(market_divergence, leaves_a_model_of_the_segments_before) {
    const uint64_t job = claimed_job(2);
    const uint64_t other = taken_job();
    market.open_audit(job, 2);
    market.run_level1(job, 2, diverging(2));
    market.chain.mine(kWindow);
    ASSERT_TRUE(market.finalize(job).ok);
    ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
    EXPECT_EQ(market.job(job).outcome, Outcome::diverged) << "though all segments are final";
    EXPECT_EQ(market.job(job).final_segments, 3u);
    ASSERT_EQ(market.job(job).model_token, 1u);
    EXPECT_EQ(market.segments_of_model(0), 2u);
    const Bytes record = market.chain.call(market.chain.address("ModelRegistry"),
                                           call_data("record(uint256)", Abi().word(0)));
    EXPECT_EQ(hash_at(record, 5), honest(1).last());
    const auto root_of = [&](uint32_t seg) {
        return market.chain.send(kAnyone, market.chain.address("ModelRegistry"),
                                 call_data("segmentRoot(uint256,uint32)", Abi().word(0).word(seg)));
    };
    EXPECT_TRUE(root_of(1).ok);
    EXPECT_EQ(root_of(2).error(), "BadValue(segment)") << "it is no part of the model";
    EXPECT_EQ(market.credit(kProvider), kCoin * 2 * 95 / 100 + pay_of(kStep));
    EXPECT_EQ(market.job(other).state, JobState::active);
    expect_solvent(2);
}

TEST_F(market_divergence, is_claimed_under_the_rules_of_a_commitment) {
    spec.segments = 70;
    const uint64_t job = taken_job();
    const Hash first = honest(0).first();
    const auto claim = [&](const Address& who, uint32_t seg, const Hash& from, uint32_t step) {
        return market.commit_divergence(who, job, seg, from, step).error();
    };
    EXPECT_EQ(claim(kProvider, 0, first, 0), "BadValue(step)");
    EXPECT_EQ(claim(kProvider, 0, first, 6), "BadValue(step)");
    EXPECT_EQ(claim(kProvider, 0, {}, 1), "BadValue(root)");
    EXPECT_EQ(claim(kProvider, 1, first, 1), "BadValue(segment)");
    EXPECT_EQ(claim(kRival, 0, first, 1), "NotAllowed");
    for (uint32_t seg = 0; seg < 63; ++seg)
        ASSERT_TRUE(market.commit(kProvider, job, seg, honest(seg)).ok);
    EXPECT_EQ(claim(kProvider, 63, first, 1), "BadValue(first)");
    ASSERT_TRUE(market.commit(kProvider, job, 63, honest(63)).ok);
    EXPECT_EQ(claim(kProvider, 64, honest(64).first(), 1), "BadValue(in flight)");
    market.audit_honestly(job, 0, honest(0));
    market.chain.mine(kWindow);
    ASSERT_TRUE(market.finalize(job).ok);
    market.chain.mine(spec.segment_blocks + 1);
    EXPECT_EQ(claim(kProvider, 64, honest(64).first(), 1), "TooLate");
    const uint64_t other = claimed_job();
    EXPECT_EQ(market.commit(kProvider, other, 1, honest(1)).error(), "WrongState")
        << "nothing can follow";
    EXPECT_EQ(market.simple(kProvider, "release", other).error(), "WrongState");
    EXPECT_EQ(market.simple(kClient, "cancel", other).error(), "WrongState");
    market.chain.mine(spec.segment_blocks + 1);
    EXPECT_EQ(market.simple(kAnyone, "evict", other).error(), "WrongState");
}

TEST_F(market_divergence, has_a_root_that_names_the_step) {
    const uint64_t job = claimed_job();
    const SegmentView s = market.segment(job, 0);
    const Bytes preimage = Abi()
                               .hash(keccak256(as_bytes("trainyard.segment.1")))
                               .word(market.chain.chain_id())
                               .address(market.at())
                               .word(job)
                               .hash(market.job(job).run_seed)
                               .word(0)
                               .word(0)
                               .address(kProvider)
                               .hash(s.first)
                               .hash({})
                               .hash({})
                               .word(0)
                               .word(kStep)
                               .encode();
    EXPECT_EQ(keccak256(preimage), s.root);
}

TEST_F(market_divergence, that_is_none_costs_half_a_price_and_reopens_the_job) {
    const uint64_t job = claimed_job();
    market.open_audit(job, 0);
    const std::vector<Address> pair = market.auditors(job, 0);
    market.run_level1(job, 0, honest(0), {{pair[0], Manners::lazy}});
    ASSERT_EQ(market.segment(job, 0).round, 1u) << "two alone refute nothing";
    const auto before = stakes();
    const Address liar = market.auditors(job, 0)[3];
    market.run_level1(job, 0, honest(0), {{liar, Manners::wrong}});
    EXPECT_EQ(stake(kProvider), kCoin * 100 - half_price);
    EXPECT_EQ(reserved(kProvider), kCoin * 8 - half_price);
    EXPECT_EQ(market.credit(kClient), half_price / 2) << "the other half is burned";
    Uint256 fines;
    for (const Address& v : market.validators) {
        const size_t wrong = (v == liar ? 1u : 0u) + (v == pair[0] ? 1u : 0u);
        EXPECT_EQ(before.at(v) - market.stake_of(v), fee * Uint256(10 * wrong));
        EXPECT_EQ(market.credit(v), 0) << "nobody is rewarded";
        fines += fee * Uint256(10 * wrong);
    }
    EXPECT_EQ(market.burned(), half_price / 2 + fines);
    EXPECT_EQ(market.credit(kProvider), 0);
    expect_reopened(job, 0);
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok) << "as it should have been";
    expect_solvent(1);
}

TEST_F(market_divergence, at_another_step_is_none) {
    const uint64_t job = claimed_job();
    market.open_audit(job, 0);
    market.run_level1(job, 0, diverging(0, kStep + 1));
    market.run_level1(job, 0, diverging(0, kStep + 1));
    EXPECT_EQ(stake(kProvider), kCoin * 100 - half_price);
    expect_reopened(job, 0);
}

TEST_F(market_divergence, that_the_committee_confirms_fines_those_who_denied_it) {
    const uint64_t job = claimed_job();
    market.open_audit(job, 0);
    const std::vector<Address> pair = market.auditors(job, 0);
    market.run_level1(job, 0, diverging(), {{pair[0], Manners::wrong}});
    const Address liar = market.auditors(job, 0)[3];
    const auto before = stakes();
    market.run_level1(job, 0, diverging(), {{liar, Manners::wrong}});
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    for (const Address& v : {pair[0], liar}) EXPECT_LT(market.stake_of(v), before.at(v));
    EXPECT_EQ(market.credit(kProvider), fee * 10) << "half of two fines";
    pay_and_close(job);
    EXPECT_EQ(market.credit(kProvider), pay_of(kStep) + fee * 10);
    EXPECT_EQ(market.credit(kClient), market.quote(spec) - price_of(kStep) - fee * 7)
        << "one of the pair and six of the committee are paid";
    expect_solvent(1);
}

TEST_F(market_divergence, of_an_unsound_job_or_a_withheld_state_is_judged_as_any_segment) {
    const uint64_t unsound = claimed_job();
    call_committee(unsound, diverging());
    market.run_level1(unsound, 0, diverging(), everybody(Manners::bad_bundle));
    EXPECT_EQ(stake(kProvider), kCoin * 100 - half_price);
    expect_reopened(unsound, 0);
    const uint64_t withheld = claimed_job();
    call_committee(withheld, diverging());
    market.run_level1(withheld, 0, diverging(), everybody(Manners::withheld));
    EXPECT_EQ(market.segment(withheld, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stake(kProvider), kCoin * 92 - half_price);
    expect_solvent(2);
}

TEST_F(market_divergence, that_nobody_replays_is_void_and_costs_nothing) {
    const uint64_t job = claimed_job();
    market.open_audit(job, 0);
    market.run_level1(job, 0, diverging(), everybody(Manners::silent));
    ASSERT_EQ(market.segment(job, 0).round, 1u);
    market.run_level1(job, 0, diverging(), everybody(Manners::silent));
    EXPECT_EQ(stake(kProvider), kCoin * 100);
    expect_reopened(job, 0);
    expect_solvent(1);
}

TEST_F(market_divergence, that_a_committee_cannot_agree_on_is_void_and_costs_nothing) {
    const uint64_t job = claimed_job();
    call_committee(job, diverging());
    market.run_level1(job, 0, diverging(), everybody(Manners::lazy));
    EXPECT_EQ(stake(kProvider), kCoin * 100);
    expect_reopened(job, 0);
    expect_solvent(1);
}

TEST_F(market_divergence, cannot_be_disputed_but_challenged) {
    const uint64_t job = claimed_job();
    market.open_audit(job, 0);
    market.run_level1(job, 0, diverging());
    EXPECT_EQ(market.dispute(kOutsider, job, 0, market.dispute_bond(job, 0)).error(), "WrongState");
    ASSERT_TRUE(market.challenge(kOutsider, job, 0, market.challenge_bond(job, 0)).ok);
    market.open_audit(job, 0);
    EXPECT_EQ(market.segment(job, 0).round, 2u);
    market.run_level1(job, 0, diverging());
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(market.credit(kOutsider), 0);
    EXPECT_EQ(market.credit(kProvider), kCoin) << "half of the bond without the committee's fees";
    pay_and_close(job);
    EXPECT_EQ(market.credit(kProvider), kCoin + pay_of(kStep));
    EXPECT_EQ(market.credit(kClient), market.quote(spec) - price_of(kStep) - fee * 2);
    expect_solvent(1);
}

TEST_F(market_divergence, that_a_bought_pair_confirmed_falls_to_a_challenge) {
    const uint64_t job = claimed_job();
    market.open_audit(job, 0);
    const std::vector<Address> pair = market.auditors(job, 0);
    market.run_level1(job, 0, diverging());  // what they were bought for
    const Uint256 bond = market.challenge_bond(job, 0);
    ASSERT_TRUE(market.challenge(kOutsider, job, 0, bond).ok);
    market.open_audit(job, 0);
    const auto before = stakes();
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.credit(kOutsider), bond);
    for (const Address& v : pair) EXPECT_EQ(before.at(v) - market.stake_of(v), fee * 10);
    EXPECT_EQ(stake(kProvider), kCoin * 100 - half_price);
    expect_reopened(job, 0);
    expect_solvent(1);
}

TEST_F(market_divergence, falls_if_the_committee_of_a_challenge_keeps_silent) {
    const uint64_t job = claimed_job();
    market.open_audit(job, 0);
    market.run_level1(job, 0, diverging());
    const Uint256 bond = market.challenge_bond(job, 0);
    ASSERT_TRUE(market.challenge(kOutsider, job, 0, bond).ok);
    market.open_audit(job, 0);
    market.run_level1(job, 0, diverging(), everybody(Manners::silent));
    EXPECT_EQ(market.credit(kOutsider), bond);
    EXPECT_EQ(stake(kProvider), kCoin * 100);
    expect_reopened(job, 0);
    expect_solvent(1);
}

TEST_F(market_divergence, falls_with_a_segment_before_it) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, fake(0)).ok);
    ASSERT_TRUE(market.commit(kProvider, job, 1, fake(1).diverging_at(1)).ok);
    market.open_audit(job, 1);
    market.run_level1(job, 1, fake(1).diverging_at(1));
    EXPECT_EQ(market.segment(job, 1).state, SegmentState::accepted);
    market.open_audit(job, 0);
    ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
    market.run_round(job, 0, honest(0));
    ASSERT_TRUE(market.open(kProvider, job, 0, fake(0)).ok);
    market.run_level1(job, 0, honest(0));
    let_conviction_stand(job, 0, kWindow);
    EXPECT_EQ(market.segment(job, 1).state, SegmentState::void_proven);
    EXPECT_EQ(market.job(job).state, JobState::open);
    EXPECT_EQ(market.job(job).outcome, Outcome::none);
    ASSERT_TRUE(market.take(kRival, job).ok);
    for (uint32_t seg = 0; seg < 3; ++seg)
        ASSERT_TRUE(market.commit(kRival, job, seg, honest(seg)).ok) << "the heir goes on";
    EXPECT_EQ(market.segment(job, 1).diverges_at, 0u);
    EXPECT_EQ(market.job(job).outcome, Outcome::complete);
    expect_solvent(1);
}

TEST_F(market_divergence, that_is_none_ends_a_job_that_was_cancelled_or_is_over) {
    const uint64_t cancelled = taken_job(), expired = taken_job();
    ASSERT_TRUE(market.simple(kClient, "cancel", cancelled).ok);
    for (const uint64_t job : {cancelled, expired}) {
        ASSERT_TRUE(market.commit(kProvider, job, 0, diverging()).ok);
        EXPECT_EQ(market.job(job).outcome, Outcome::diverged);
        market.open_audit(job, 0);
    }
    market.chain.skip_seconds(86'401);
    for (const uint64_t job : {cancelled, expired}) {
        market.run_level1(job, 0, honest(0));
        market.run_level1(job, 0, honest(0));
        EXPECT_EQ(market.job(job).state, JobState::draining);
        ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
        EXPECT_EQ(market.job(job).model_token, 0u);
        EXPECT_TRUE(
            market.call(kAnyone, "freeBond(uint256,address)", Abi().word(job).address(kProvider))
                .ok);
    }
    EXPECT_EQ(market.job(cancelled).outcome, Outcome::cancelled);
    EXPECT_EQ(market.job(expired).outcome, Outcome::expired);
    EXPECT_EQ(reserved(kProvider), 0);
    EXPECT_EQ(market.credit(kClient), market.quote(spec) * 2 + half_price);
    expect_solvent(2);
}

TEST_F(market_divergence, holds_pair_and_committee_from_the_seed_on) {
    spec.segment_blocks = 400;
    const uint64_t job = claimed_job();
    market.open_audit(job, 0);
    for (const Address& v : market.validators) ASSERT_TRUE(leave(v).ok);
    market.chain.mine(401);
    std::set<Address> left;
    for (const Address& v : market.validators)
        if (take_out(v).ok) left.insert(v);
    EXPECT_FALSE(left.empty());
    for (const Address& a : market.auditors(job, 0)) EXPECT_FALSE(left.contains(a));
    market.run_level1(job, 0, honest(0));
    ASSERT_EQ(market.auditors(job, 0).size(), 7u);
    for (const Address& a : market.auditors(job, 0)) EXPECT_FALSE(left.contains(a));
}

TEST_F(market_divergence, that_nobody_audits_in_time_is_drawn_anew) {
    const uint64_t job = claimed_job();
    const uint64_t epoch = market.segment(job, 0).seed_epoch;
    market.chain.mine(1000);
    const Sent late = market.on_segment(kAnyone, "openAudit", job, 0);
    ASSERT_TRUE(late.ok);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::committed);
    EXPECT_GT(market.segment(job, 0).seed_epoch, epoch);
    market.open_audit(job, 0);
    market.run_level1(job, 0, diverging());
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    pay_and_close(job);
    EXPECT_EQ(market.credit(kProvider), pay_of(kStep));
}

}  // namespace
}  // namespace trainyard::contracts
