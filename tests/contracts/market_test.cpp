// SPDX-License-Identifier: Apache-2.0
// Jobs from post to close: who is paid, fined, slashed and refunded, to the wei.
#include "market_fixture.hpp"

#include "core/hash.hpp"

namespace trainyard::contracts {
namespace {

using market_job = MarketFixture;
using market_audit = MarketFixture;

TEST_F(market_job, three_honest_segments_are_paid_to_the_wei_and_mint_a_token) {
    const uint64_t job = taken_job();
    EXPECT_EQ(reserved(kProvider), kCoin * 8);
    for (uint32_t seg = 0; seg < 3; ++seg)
        ASSERT_TRUE(market.commit(kProvider, job, seg, honest(seg)).ok);
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
    EXPECT_EQ(market.withdraw(kProvider).error(), "NothingDue");
}

TEST_F(market_job, rejects_specs_and_escrows_that_are_wrong) {
    const Uint256 plenty = kCoin * 1000;
    market.chain.give(kClient, plenty);
    const auto reason = [&](auto change) {
        JobSpec wrong = spec;
        change(wrong);
        return market.post(kClient, wrong, kCoin * 100).error();
    };
    EXPECT_EQ(reason([](JobSpec& s) { s.segments = 0; }), "BadValue(segments)");
    EXPECT_EQ(reason([](JobSpec& s) { s.segments = 65'537; }), "BadValue(segments)");
    EXPECT_EQ(reason([](JobSpec& s) { s.steps = 257; }), "BadValue(stepsPerSegment)");
    EXPECT_EQ(reason([](JobSpec& s) { s.micro_batches = 1025; }), "BadValue(microBatches)");
    EXPECT_EQ(reason([](JobSpec& s) { s.micro_batches = 1; }), "BadValue(microBatches)");
    EXPECT_EQ(reason([](JobSpec& s) { s.segment_blocks = 19; }), "BadValue(segmentBlocks)");
    EXPECT_EQ(reason([](JobSpec& s) { s.deadline = 1; }), "BadValue(deadline)");
    EXPECT_EQ(reason([](JobSpec& s) { s.price = 1; }), "BadValue(pricePerSegment)");
    EXPECT_EQ(reason([](JobSpec& s) { s.price = Uint256::max(); }), "BadValue(pricePerSegment)");
    EXPECT_EQ(reason([](JobSpec& s) { s.licence = "MIT\"<script>"; }), "BadValue(licence)");
    EXPECT_EQ(reason([](JobSpec& s) { s.licence = ""; }), "BadValue(licence)");
    EXPECT_EQ(market.post(kClient, spec, market.quote(spec) - 1).error(), "BadValue(escrow)");
    EXPECT_EQ(market.chain.balance(kClient), plenty);
}

TEST_F(market_job, what_is_sent_above_the_quote_is_credited) {
    const Uint256 escrow = market.quote(spec);
    market.chain.give(kClient, escrow + 7);
    ASSERT_TRUE(market.post(kClient, spec, escrow + 7).ok);
    EXPECT_EQ(market.credit(kClient), 7);
}

TEST_F(market_job, cancelled_while_open_is_refunded_at_once) {
    const uint64_t job = market.post(kClient, spec);
    EXPECT_EQ(market.simple(kRival, "cancel", job).error(), "NotAllowed");
    ASSERT_TRUE(market.simple(kClient, "cancel", job).ok);
    EXPECT_EQ(market.job(job).state, JobState::closed);
    EXPECT_EQ(market.job(job).outcome, Outcome::cancelled);
    EXPECT_EQ(market.job(job).model_token, 0u);
    EXPECT_EQ(market.credit(kClient), market.quote(spec));
    EXPECT_EQ(market.take(kProvider, job).error(), "WrongState");
}

TEST_F(market_job, cancelled_while_active_pays_the_segment_that_comes_in_time) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.simple(kClient, "cancel", job).ok);
    EXPECT_EQ(market.job(job).state, JobState::active);
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    EXPECT_EQ(market.commit(kProvider, job, 1, honest(1)).error(), "WrongState");
    market.audit_honestly(job, 0, honest(0));
    EXPECT_EQ(market.simple(kAnyone, "close", job).error(), "NotYet");
    ASSERT_TRUE(market.finalize(job).ok);
    ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
    EXPECT_EQ(market.job(job).outcome, Outcome::cancelled);
    EXPECT_EQ(market.credit(kProvider), kCoin - kCoin / 20);
    EXPECT_EQ(market.job(job).model_token, 1u);
    expect_solvent(1);
}

TEST_F(market_job, late_provider_is_evicted_fined_and_another_goes_on) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    EXPECT_EQ(market.simple(kAnyone, "evict", job).error(), "NotYet");
    market.chain.mine(spec.segment_blocks + 1);
    EXPECT_EQ(market.commit(kProvider, job, 1, honest(1)).error(), "TooLate");
    ASSERT_TRUE(market.simple(kAnyone, "evict", job).ok);
    EXPECT_EQ(market.job(job).state, JobState::open);
    EXPECT_EQ(market.credit(kClient), kCoin / 4);
    ASSERT_TRUE(market.take(kRival, job).ok);
    for (uint32_t seg = 1; seg < 3; ++seg)
        ASSERT_TRUE(market.commit(kRival, job, seg, honest(seg)).ok);
    for (uint32_t seg = 0; seg < 3; ++seg) market.audit_honestly(job, seg, honest(seg));
    const auto free_bond = [&](const Address& who) {
        return market.call(kAnyone, "freeBond(uint256,address)", Abi().word(job).address(who));
    };
    ASSERT_TRUE(free_bond(kProvider).ok);
    EXPECT_EQ(reserved(kProvider), kCoin * 8 - kCoin / 2) << "its segment is not final yet";
    ASSERT_TRUE(market.finalize(job).ok);
    ASSERT_TRUE(free_bond(kProvider).ok);
    EXPECT_EQ(reserved(kProvider), 0);
    EXPECT_EQ(free_bond(kProvider).error(), "NothingDue");
    ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
    EXPECT_EQ(market.credit(kProvider), kCoin - kCoin / 20);
    EXPECT_EQ(market.credit(kRival), (kCoin - kCoin / 20) * 2);
    EXPECT_EQ(stake(kProvider), kCoin * 100 - kCoin / 2);
    expect_solvent(1);
}

TEST_F(market_job, released_job_costs_half_of_being_late) {
    const uint64_t job = taken_job();
    EXPECT_EQ(market.simple(kRival, "release", job).error(), "NotAllowed");
    ASSERT_TRUE(market.simple(kProvider, "release", job).ok);
    EXPECT_EQ(stake(kProvider), kCoin * 100 - kCoin / 4);
    EXPECT_EQ(market.job(job).state, JobState::open);
    ASSERT_TRUE(market.take(kProvider, job).ok) << "the bond is filled up again";
    EXPECT_EQ(reserved(kProvider), kCoin * 8);
}

TEST_F(market_job, expired_job_refunds_what_was_not_trained) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    EXPECT_EQ(market.simple(kAnyone, "expire", job).error(), "NotYet");
    market.chain.skip_seconds(86'401);
    EXPECT_EQ(market.commit(kProvider, job, 1, honest(1)).error(), "TooLate");
    market.chain.mine(spec.segment_blocks + 1);
    EXPECT_EQ(market.simple(kClient, "evict", job).error(), "TooLate") << "it is not late";
    ASSERT_TRUE(market.simple(kAnyone, "expire", job).ok);
    market.audit_honestly(job, 0, honest(0));
    ASSERT_TRUE(market.finalize(job).ok);
    ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
    EXPECT_EQ(market.job(job).outcome, Outcome::expired);
    EXPECT_EQ(market.credit(kClient), market.quote(spec) - kCoin - spec.audit_fee * 3);
    EXPECT_EQ(reserved(kProvider), 0);
    expect_solvent(1);
}

TEST_F(market_job, one_stake_bonds_as_many_jobs_as_it_covers) {
    for (int i = 0; i < 12; ++i) ASSERT_TRUE(market.take(kProvider, market.post(kClient, spec)).ok);
    EXPECT_EQ(market.take(kProvider, market.post(kClient, spec)).error(), "NotEnoughStake");
    const Bytes unstake = call_data("requestUnstake(uint256)", Abi().word(kCoin * 5));
    EXPECT_EQ(
        market.chain.send(kProvider, market.chain.address("ProviderRegistry"), unstake).error(),
        "NotEnoughStake");
}

TEST_F(market_job, only_the_chosen_and_registered_may_take) {
    spec.provider = kRival;
    const uint64_t job = market.post(kClient, spec);
    EXPECT_EQ(market.take(kProvider, job).error(), "NotAllowed");
    EXPECT_TRUE(market.take(kRival, job).ok);
    spec.provider = {};
    EXPECT_EQ(market.take(kAnyone, market.post(kClient, spec)).error(), "NotRegistered");
}

TEST_F(market_job, rejects_commits_out_of_order_with_a_seam_or_by_others) {
    const uint64_t job = taken_job();
    EXPECT_EQ(market.commit(kRival, job, 0, honest(0)).error(), "NotAllowed");
    EXPECT_EQ(market.commit(kProvider, job, 1, honest(1)).error(), "BadValue(segment)");
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    EXPECT_EQ(market.commit(kProvider, job, 0, honest(0)).error(), "BadValue(segment)");
    EXPECT_EQ(market.commit(kProvider, job, 1, fake(1)).error(), "BadValue(first)");
    EXPECT_TRUE(market.commit(kProvider, job, 1, honest(1)).ok);
}

TEST_F(market_job,
       the_same_commitment_has_another_root_in_every_job_attempt_and_for_every_provider) {
    std::set<Hash> roots, seeds;
    for (const Address& who : {kProvider, kRival}) {
        for (int i = 0; i < 2; ++i) {
            const uint64_t job = market.post(kClient, spec);
            ASSERT_TRUE(market.take(who, job).ok);
            ASSERT_TRUE(market.commit(who, job, 0, honest(0)).ok);
            roots.insert(market.segment(job, 0).root);
            seeds.insert(market.job(job).run_seed);
        }
    }
    EXPECT_EQ(roots.size(), 4u);
    EXPECT_EQ(seeds.size(), 4u);
    const JobView j = market.job(0);
    const SegmentView s = market.segment(0, 0);
    const Abi preimage = Abi()
                             .hash(keccak256(as_bytes("trainyard.segment.1")))
                             .word(market.chain.chain_id())
                             .address(market.at())
                             .word(0)
                             .hash(j.run_seed)
                             .word(0)
                             .word(0)
                             .address(kProvider);
    const Bytes rest = Abi()
                           .hash(s.first)
                           .hash(s.last)
                           .hash(s.steps_root)
                           .word(honest(0).loss_bits())
                           .word(0)
                           .encode();
    Bytes all = preimage.encode();
    append(all, rest);
    EXPECT_EQ(keccak256(all), s.root);
}

TEST_F(market_job, a_full_pipeline_waits_for_final_segments) {
    spec.segments = 70;
    const uint64_t job = taken_job();
    for (uint32_t seg = 0; seg < 64; ++seg)
        ASSERT_TRUE(market.commit(kProvider, job, seg, honest(seg)).ok);
    EXPECT_EQ(market.commit(kProvider, job, 64, honest(64)).error(), "BadValue(in flight)");
    market.audit_honestly(job, 0, honest(0));
    market.chain.mine(spec.segment_blocks * 2);
    EXPECT_EQ(market.simple(kAnyone, "evict", job).error(), "NotYet") << "it could not commit";
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_TRUE(market.commit(kProvider, job, 64, honest(64)).ok);
}

TEST_F(market_audit, nobody_can_draw_before_the_seed_is_known) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    const uint64_t committed = market.chain.number();
    EXPECT_EQ(market.on_segment(kAnyone, "openAudit", job, 0).error(), "NotYet");
    market.open_audit(job, 0);
    EXPECT_EQ(market.segment(job, 0).seed_epoch, (committed - 1 + 2) / 8);
    EXPECT_EQ(market.chain.number(), (market.segment(job, 0).seed_epoch + 3) * 8 + 1)
        << "the first block after epoch e+2";
    EXPECT_EQ(market.on_segment(kAnyone, "openAudit", job, 0).error(), "WrongState");
    EXPECT_EQ(market.auditors(job, 0).size(), 3u);
    for (const Address& a : market.auditors(job, 0)) {
        EXPECT_EQ(market.units_of(job, 0, a).size(), 4u);
        for (const UnitAt& unit : market.units_of(job, 0, a)) EXPECT_TRUE(unit.t < 5 && unit.j < 4);
    }
}

TEST_F(market_audit, a_wrong_answer_is_contradicted_by_the_committee_and_fined) {
    const uint64_t job = served_job(honest(0));
    const Address liar = market.auditors(job, 0)[1];
    const Uint256 before = market.stake_of(liar);
    market.run_round(job, 0, honest(0), {{liar, Manners::wrong}});
    ASSERT_TRUE(market.open(kProvider, job, 0, honest(0)).ok);
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::l1);
    EXPECT_EQ(market.auditors(job, 0).size(), 7u);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(before - market.stake_of(liar), spec.audit_fee * 10);
    EXPECT_EQ(market.credit(kProvider), spec.audit_fee * 5);
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.credit(liar), spec.audit_fee) << "paid for level 1 only";
    expect_solvent(1);
}

TEST_F(market_audit, a_fraud_is_slashed_and_the_job_goes_on_with_another) {
    const uint64_t job = served_job(fake(0));
    const std::vector<Address> first_three = market.auditors(job, 0);
    market.run_round(job, 0, honest(0));
    ASSERT_TRUE(market.open(kProvider, job, 0, fake(0)).ok);
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::l1);
    const std::vector<Address> committee = market.auditors(job, 0);
    for (size_t i = 0; i < 3; ++i)
        EXPECT_EQ(committee[i], first_three[i]) << "level 0's auditors take part";
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stake(kProvider), kCoin * 92);
    EXPECT_EQ(reserved(kProvider), 0);
    const Uint256 share = kCoin * 8 / 5 / 10;
    EXPECT_EQ(market.credit(first_three[0]), share * 2);
    EXPECT_EQ(market.credit(committee[6]), share);
    EXPECT_EQ(market.burned(), kCoin * 8 - share * 10);
    EXPECT_EQ(market.job(job).state, JobState::open);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec));
    EXPECT_EQ(market.take(kProvider, job).error(), "NotAllowed");
    ASSERT_TRUE(market.take(kRival, job).ok);
    ASSERT_TRUE(market.commit(kRival, job, 0, honest(0)).ok);
    EXPECT_EQ(market.segment(job, 0).attempt, 1u);
    market.audit_honestly(job, 0, honest(0));
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.credit(kRival), kCoin - kCoin / 20);
    expect_solvent(1);
}

TEST_F(market_audit, an_alarm_goes_to_the_committee_without_openings) {
    const uint64_t job = served_job(fake(0));
    market.run_round(job, 0, honest(0), {{market.auditors(job, 0)[0], Manners::alarm}});
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::l1);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stake(kProvider), kCoin * 92);
}

TEST_F(market_audit, an_auditor_that_got_a_malformed_bundle_is_not_fined) {
    const uint64_t job = served_job(honest(0));
    const Address victim = market.auditors(job, 0)[0];
    const Uint256 before = market.stake_of(victim);
    market.run_round(job, 0, honest(0), {{victim, Manners::bad_bundle}});
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(market.stake_of(victim), before);
}

TEST_F(market_audit, silent_auditors_are_fined_and_replaced_with_fresh_units) {
    const uint64_t job = served_job(honest(0));
    const std::vector<Address> first = market.auditors(job, 0);
    const Uint256 before = market.stake_of(first[0]);
    market.run_round(job, 0, honest(0),
                     {{first[0], Manners::silent}, {first[1], Manners::no_reveal}});
    EXPECT_EQ(before - market.stake_of(first[0]), spec.audit_fee * 2);
    EXPECT_EQ(market.segment(job, 0).round, 1u);
    EXPECT_EQ(market.phase(job, 0), Phase::serve)
        << "the substitutes' steps must be served as well";
    const std::vector<Address> second = market.auditors(job, 0);
    ASSERT_EQ(second.size(), 2u);
    for (const Address& a : second) EXPECT_EQ(std::count(first.begin(), first.end(), a), 0);
    EXPECT_NE(market.units_of(job, 0, second[0]), market.units_of(job, 0, first[0]));
    ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
    market.run_round(job, 0, honest(0));
    EXPECT_EQ(market.units_to_open(job, 0).size(), 12u);
    ASSERT_TRUE(market.open(kProvider, job, 0, honest(0)).ok);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.credit(first[0]), 0);
    EXPECT_EQ(market.credit(second[0]), spec.audit_fee);
    expect_solvent(1);
}

TEST_F(market_audit, a_pool_that_stays_silent_cannot_keep_the_provider_from_its_pay) {
    const uint64_t job = served_job(honest(0));
    for (int round = 0; round < 3; ++round) {
        std::map<Address, Manners> manners;
        for (const Address& a : market.auditors(job, 0)) manners[a] = Manners::silent;
        market.run_round(job, 0, honest(0), manners);
        if (round == 2) break;
        ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
    }
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.credit(kProvider), kCoin - kCoin / 20);
    expect_solvent(1);
}

TEST_F(market_audit, a_provider_that_serves_nothing_meets_the_committee) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, fake(0)).ok);
    market.open_audit(job, 0);
    EXPECT_EQ(market.on_segment(kAnyone, "advance", job, 0).error(), "NotYet");
    market.pass_deadline(job, 0);
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::l1);
    EXPECT_EQ(market.serve(kProvider, job, 0).error(), "WrongState");
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stake(kProvider), kCoin * 92);
    expect_solvent(1);
}

TEST_F(market_audit, a_provider_that_opens_nothing_meets_the_committee_and_is_paid_if_right) {
    const uint64_t job = served_job(honest(0));
    market.run_round(job, 0, honest(0));
    ASSERT_EQ(market.phase(job, 0), Phase::open);
    market.pass_deadline(job, 0);
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::l1);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(stake(kProvider), kCoin * 100);
}

TEST_F(market_audit, without_a_majority_the_segment_is_void_and_nobody_is_slashed) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    market.open_audit(job, 0);
    market.pass_deadline(job, 0);
    std::map<Address, Manners> manners;
    for (const Address& a : market.auditors(job, 0)) manners[a] = Manners::wrong;
    market.run_level1(job, 0, honest(0), manners);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stake(kProvider), kCoin * 100);
    EXPECT_EQ(market.job(job).state, JobState::open);
    EXPECT_TRUE(market.take(kProvider, job).ok) << "undecided is not guilty";
    EXPECT_EQ(reserved(kProvider), kCoin * 8) << "the first bond counts";
    expect_solvent(1);
}

TEST_F(market_audit, an_unsound_job_voids_the_segment_for_a_fine) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    market.open_audit(job, 0);
    market.pass_deadline(job, 0);
    std::map<Address, Manners> manners;
    for (const Address& a : market.auditors(job, 0)) manners[a] = Manners::bad_bundle;
    const Address lucky = market.auditors(job, 0)[2];
    const Uint256 before = market.stake_of(lucky);
    manners.erase(lucky);
    market.run_level1(job, 0, honest(0), manners);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stake(kProvider), kCoin * 100 - kCoin / 2);
    EXPECT_EQ(market.credit(kClient), kCoin / 4);
    EXPECT_EQ(market.stake_of(lucky), before) << "nobody in the minority is wrong";
    EXPECT_TRUE(market.take(kProvider, job).ok);
    expect_solvent(1);
}

TEST_F(market_audit, a_provider_that_withholds_what_it_committed_to_loses_what_a_fraud_loses) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    market.open_audit(job, 0);
    market.pass_deadline(job, 0);
    std::map<Address, Manners> manners;
    for (const Address& a : market.auditors(job, 0)) manners[a] = Manners::withheld;
    const Address lucky = market.auditors(job, 0)[2];
    const Uint256 before = market.stake_of(lucky);
    manners.erase(lucky);
    market.run_level1(job, 0, honest(0), manners);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stake(kProvider), kCoin * 92);
    EXPECT_EQ(market.burned(), kCoin * 8) << "nobody gains by saying so";
    EXPECT_EQ(market.stake_of(lucky), before) << "nor loses who could fetch it";
    EXPECT_EQ(market.take(kProvider, job).error(), "NotAllowed");
    EXPECT_TRUE(market.take(kRival, job).ok);
    expect_solvent(1);
}

TEST_F(market_audit, what_a_minority_cannot_fetch_costs_the_provider_nothing) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    market.open_audit(job, 0);
    market.pass_deadline(job, 0);
    std::map<Address, Manners> manners;
    for (size_t i = 0; i < 3; ++i) manners[market.auditors(job, 0)[6 - i]] = Manners::withheld;
    market.run_level1(job, 0, honest(0), manners);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(stake(kProvider), kCoin * 100);
}

TEST_F(market_audit, the_minority_of_the_committee_is_fined) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    market.open_audit(job, 0);
    market.pass_deadline(job, 0);
    const Address odd = market.auditors(job, 0)[3];
    const Uint256 before = market.stake_of(odd);
    market.run_level1(job, 0, honest(0), {{odd, Manners::wrong}});
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(before - market.stake_of(odd), spec.audit_fee * 10);
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.credit(odd), 0);
}

/// A replay of a long segment takes longer than an exit.
TEST_F(market_audit, stake_of_the_committee_to_be_cannot_leave_before_it_can_be_fined) {
    spec.segment_blocks = 400;
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    market.open_audit(job, 0);
    const Address& staking = market.chain.address("Staking");
    const auto leave = [&](const Address& who) {
        const Abi all = Abi().word(market.stake_of(who));
        return market.chain.send(who, staking, call_data("unbond(uint256)", all));
    };
    const auto withdraw = [&](const Address& who) {
        const Abi args = Abi().address(who).word(9);
        return market.chain.send(who, staking, call_data("withdraw(address,uint256)", args));
    };
    // Not seated yet: substitutes and committee know from the seed on that they may be.
    for (const Address& v : market.validators) ASSERT_TRUE(leave(v).ok);
    market.chain.mine(401);
    std::map<Address, bool> left;
    size_t stayed = 0;
    for (const Address& v : market.validators) {
        left[v] = withdraw(v).ok;
        if (!left[v]) ++stayed;
    }
    EXPECT_EQ(stayed, 9u);
    ASSERT_TRUE(market.on_segment(kAnyone, "advance", job, 0).ok);
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::l1);
    for (const Address& a : market.auditors(job, 0)) EXPECT_FALSE(left[a]);
    market.chain.mine(400);
    const Address liar = market.auditors(job, 0)[6];
    EXPECT_FALSE(withdraw(liar).ok);
    const Uint256 burned = market.burned();
    market.run_level1(job, 0, honest(0), {{liar, Manners::wrong}});
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(market.credit(kProvider), spec.audit_fee * 5);
    EXPECT_EQ(market.burned() - burned, spec.audit_fee * 5);
    market.chain.mine(8000);
    for (const Address& a : market.auditors(job, 0)) EXPECT_TRUE(withdraw(a).ok);
}

TEST_F(market_audit, a_silent_member_of_the_committee_is_fined_once) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    market.open_audit(job, 0);
    market.pass_deadline(job, 0);
    const std::vector<Address> committee = market.auditors(job, 0);
    const Uint256 before = market.stake_of(committee[5]) + market.stake_of(committee[6]);
    market.run_level1(job, 0, honest(0),
                      {{committee[5], Manners::silent}, {committee[6], Manners::no_reveal}});
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(before - market.stake_of(committee[5]) - market.stake_of(committee[6]),
              spec.audit_fee * 4);
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.credit(committee[0]), spec.audit_fee);
    expect_solvent(1);
}

TEST_F(market_audit, a_committee_that_stays_silent_acquits_only_a_provider_that_served) {
    std::map<Address, Manners> silent;
    for (const Address& v : market.validators) silent[v] = Manners::silent;
    const uint64_t hidden = taken_job();
    ASSERT_TRUE(market.commit(kProvider, hidden, 0, honest(0)).ok);
    market.open_audit(hidden, 0);
    market.pass_deadline(hidden, 0);
    market.run_level1(hidden, 0, honest(0), silent);
    EXPECT_EQ(market.segment(hidden, 0).state, SegmentState::void_proven);
    const uint64_t served = served_job(honest(0));
    market.run_round(served, 0, honest(0), {{market.auditors(served, 0)[0], Manners::bad_bundle}});
    ASSERT_EQ(market.segment(served, 0).state, SegmentState::l1);
    market.run_level1(served, 0, honest(0), silent);
    EXPECT_EQ(market.segment(served, 0).state, SegmentState::accepted);
    EXPECT_EQ(stake(kProvider), kCoin * 100);
    expect_solvent(2);
}

TEST_F(market_audit, a_void_segment_takes_the_later_ones_with_it_and_frees_the_heir) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, fake(0)).ok);
    ASSERT_TRUE(market.simple(kProvider, "release", job).ok);
    ASSERT_TRUE(market.take(kRival, job).ok);
    ASSERT_TRUE(market.commit(kRival, job, 1, fake(1)).ok);
    market.open_audit(job, 0);
    market.pass_deadline(job, 0);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(market.segment(job, 1).state, SegmentState::void_proven);
    EXPECT_EQ(market.job(job).tip, 0u);
    EXPECT_EQ(market.on_segment(kAnyone, "openAudit", job, 1).error(), "WrongState");
    ASSERT_TRUE(
        market.call(kAnyone, "freeBond(uint256,address)", Abi().word(job).address(kRival)).ok);
    EXPECT_EQ(reserved(kRival), 0);
    EXPECT_EQ(stake(kRival), kCoin * 100);
    expect_solvent(1);
}

TEST_F(market_audit, a_slashed_provider_forfeits_the_pay_of_its_other_segments) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    ASSERT_TRUE(market.commit(kProvider, job, 1, honest(1)).ok);
    market.audit_honestly(job, 0, honest(0));
    market.open_audit(job, 1);
    market.pass_deadline(job, 1);
    market.run_level1(job, 1, fake(1));
    ASSERT_EQ(market.segment(job, 1).state, SegmentState::void_proven);
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.credit(kProvider), 0);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec) - spec.audit_fee * 3);
    expect_solvent(1);
}

TEST_F(market_audit, rejects_openings_that_are_wrong_in_any_part) {
    const uint64_t job = served_job(honest(0));
    market.run_round(job, 0, honest(0));
    EXPECT_EQ(market.open(kRival, job, 0, honest(0)).error(), "NotAllowed");
    EXPECT_EQ(market.open(kProvider, job, 0, fake(0)).error(), "BadOpening(step path)");
    EXPECT_TRUE(market.open(kProvider, job, 0, honest(0)).ok);
    EXPECT_EQ(market.open(kProvider, job, 0, honest(0)).error(), "WrongState");
}

TEST_F(market_audit, rejects_copied_commitments_and_answers_of_the_wrong_shape) {
    const uint64_t job = served_job(honest(0));
    const std::vector<Address> who = market.auditors(job, 0);
    std::vector<Hash> answers;
    for (const UnitAt& unit : market.units_of(job, 0, who[0]))
        answers.push_back(honest(0).unit_leaf(unit));
    EXPECT_EQ(market.reveal_answer(who[0], job, 0, Verdict::match, answers).error(), "WrongState");
    EXPECT_EQ(market.commit_answer(kAnyone, job, 0, Verdict::match, answers).error(), "NotAllowed");
    const Sent sent = market.commit_answer(who[0], job, 0, Verdict::match, answers);
    ASSERT_TRUE(sent.ok);
    const Hash copied = hash_at(sent.logs[0].data, 0);
    const Abi args = Abi().word(job).word(0).hash(copied);
    ASSERT_TRUE(market.call(who[1], "commitAnswer(uint256,uint32,bytes32)", args).ok);
    EXPECT_EQ(market.commit_answer(who[0], job, 0, Verdict::match, answers).error(), "WrongState");
    ASSERT_TRUE(market.commit_answer(who[2], job, 0, Verdict::match, {answers[0]}).ok);
    ASSERT_EQ(market.phase(job, 0), Phase::reveal);
    EXPECT_EQ(market.reveal_answer(who[1], job, 0, Verdict::match, answers).error(),
              "BadValue(commitment)");
    EXPECT_EQ(market.reveal_answer(who[2], job, 0, Verdict::match, {answers[0]}).error(),
              "BadValue(answers)");
    EXPECT_EQ(market.reveal_answer(who[0], job, 0, Verdict::mismatch, answers).error(),
              "BadValue(commitment)");
    EXPECT_TRUE(market.reveal_answer(who[0], job, 0, Verdict::match, answers).ok);
}

TEST_F(market_audit, rejects_every_move_after_its_deadline) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    market.open_audit(job, 0);
    const auto pass = [&] {
        market.chain.mine(market.segment(job, 0).phase_deadline + 1 - market.chain.number());
    };
    market.chain.mine(market.segment(job, 0).phase_deadline - market.chain.number());
    ASSERT_TRUE(market.serve(kProvider, job, 0).ok) << "the last block is in time";
    const Address auditor = market.auditors(job, 0)[0];
    ASSERT_TRUE(market.commit_answer(auditor, job, 0, Verdict::mismatch, {}).ok);
    pass();
    EXPECT_EQ(
        market.commit_answer(market.auditors(job, 0)[1], job, 0, Verdict::mismatch, {}).error(),
        "TooLate");
    ASSERT_TRUE(market.on_segment(kAnyone, "advance", job, 0).ok);
    pass();
    EXPECT_EQ(market.reveal_answer(auditor, job, 0, Verdict::mismatch, {}).error(), "TooLate");
}

TEST(small_network, two_validators_audit_as_well_as_they_can) {
    Market market(2);
    market.add_provider(kProvider, kCoin * 100);
    const JobSpec spec;
    const uint64_t job = market.post(kClient, spec);
    ASSERT_TRUE(market.take(kProvider, job).ok);
    const FakeSegment made(spec, 0, "truth");
    ASSERT_TRUE(market.commit(kProvider, job, 0, made).ok);
    market.open_audit(job, 0);
    EXPECT_EQ(market.auditors(job, 0).size(), 2u);
    ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
    market.run_round(job, 0, made, {{market.auditors(job, 0)[0], Manners::silent}});
    EXPECT_EQ(market.phase(job, 0), Phase::open) << "there is no substitute";
    ASSERT_TRUE(market.open(kProvider, job, 0, made).ok);
}

TEST(small_network, the_only_validator_as_client_or_provider_audits_nothing) {
    Market market(1);
    market.add_provider(kProvider, kCoin * 100);
    const JobSpec spec;
    const uint64_t job = market.post(market.validators[0], spec);
    ASSERT_TRUE(market.take(kProvider, job).ok);
    ASSERT_TRUE(market.commit(kProvider, job, 0, {spec, 0, "truth"}).ok);
    market.open_audit(job, 0);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
}

}  // namespace
}  // namespace trainyard::contracts
