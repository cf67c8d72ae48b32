// SPDX-License-Identifier: Apache-2.0
// Appeals: a provider that a committee has convicted asks for the referee in its place.
#include "appeal_fixture.hpp"

namespace trainyard::contracts {
namespace {

constexpr std::string_view kAppealSettled = "AppealSettled(uint256,uint32,address,bool,uint256)";
constexpr std::string_view kChallengeSettled =
    "ChallengeSettled(uint256,uint32,address,bool,uint256)";
constexpr std::string_view kDisputeSettled = "DisputeSettled(uint256,uint32,address,bool,uint256)";

using appeal = MarketAppeal;
struct appeal_with_pair : MarketAppeal {
    appeal_with_pair() : MarketAppeal({{"windowBlocks", kWindow}, {"replayBps", 10'000}}) {}
};

TEST_F(appeal, that_nobody_disputes_turns_the_conviction_against_those_who_said_it) {
    const uint64_t job = convicted_job(honest(0), kAgreed);
    const auto before = stakes();
    const Uint256 burned = market.burned();
    const Sent appealed = market.appeal(kProvider, job, 0, bond + 7);
    ASSERT_TRUE(appealed.ok);
    EXPECT_EQ(told(appealed, "SegmentAppealed(uint256,uint32,address,uint256)", kProvider),
              Words{bond});
    EXPECT_EQ(market.credit(kProvider), 7);
    EXPECT_EQ(market.segment(job, 0).phase_deadline, market.chain.number() + 2 * kWindow);
    expect_solvent(1, first_challenge + bond);
    market.chain.mine(2 * kWindow);
    EXPECT_EQ(market.on_segment(kAnyone, "advance", job, 0).error(), "NotYet");
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
    EXPECT_EQ(stakes(), before);
    market.chain.mine();
    const Sent acquitted = market.on_segment(kAnyone, "advance", job, 0);
    ASSERT_TRUE(acquitted.ok);
    EXPECT_EQ(told(acquitted, kAppealSettled, kProvider), (Words{1, bond}));
    EXPECT_EQ(told(acquitted, kChallengeSettled, kOutsider), (Words{0, 0}));
    EXPECT_EQ(told(acquitted, "SegmentAccepted(uint256,uint32,bool)"), Words{1});

    std::map<Address, Uint256> fines;
    for (const Address& a : committee) fines[a] = a == committee[5] ? Uint256(0) : deviation;
    expect_fined(before, fines);
    EXPECT_EQ(market.credit(kProvider), bond + kCoin + deviation * 3 + 7)
        << "its bond, half of the challenge's and half of six fines";
    EXPECT_EQ(market.burned() - burned, kCoin + deviation * 3);
    EXPECT_EQ(market.credit(kOutsider), 0);
    EXPECT_EQ(market.challenge_of(job, 0), (ChallengeView{{}, 1, 0}));
    EXPECT_EQ(stake(kProvider), kCoin * 100);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec) + fee * 7);
    expect_solvent(1);

    EXPECT_EQ(market.segment(job, 0).phase_deadline, market.chain.number());
    EXPECT_EQ(contest(kOutsider, job).error(), "TooLate");
    EXPECT_EQ(market.challenge(kOutsider, job, 0, kCoin * 9).error(), "TooLate");
    ASSERT_TRUE(market.finalize(job).ok) << "payable at once";
    EXPECT_EQ(market.credit(kProvider), bond + kCoin + deviation * 3 + 7 + kCoin - kCoin / 20);
    std::vector<Address> earners = level0;
    earners.push_back(committee[5]);
    expect_earned(earners, fee);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec) + fee * 7 - kCoin - fee * 4);
    EXPECT_EQ(market.reclaim(job, 0, 0).error(), "WrongState");
    expect_solvent(1);
}

TEST_F(appeal, that_nobody_disputes_fines_false_alarms_of_level_0_too) {
    const uint64_t job = served_job(honest(0));
    const std::vector<Address> first = market.auditors(job, 0);
    finish_level0(job, honest(0), {{first[0], Manners::alarm}, {first[1], Manners::bad_bundle}});
    ASSERT_EQ(committee.size(), 7u);
    const auto before = stakes();
    convict(job, 0, kAgreed);
    make_appeal(job);
    acquit(job);
    std::map<Address, Uint256> fines;
    for (const Address& a : committee) fines[a] = a == committee[5] ? Uint256(0) : deviation;
    fines[first[0]] += deviation;
    expect_fined(before, fines);
    EXPECT_EQ(market.credit(kProvider), bond + deviation * 7 / 2);
    EXPECT_EQ(market.burned(), deviation * 7 / 2);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec));
    ASSERT_TRUE(market.finalize(job).ok);
    expect_earned({first[2], committee[5]}, fee);
    expect_solvent(1);
}

TEST_F(appeal_with_pair, that_nobody_disputes_fines_whoever_of_the_pair_said_mismatch) {
    const uint64_t job = served_job(honest(0));
    finish_level0(job, honest(0));
    const std::vector<Address> pair = committee;
    ASSERT_EQ(pair.size(), 2u);
    const auto before = stakes();
    answer(job, 0,
           {{pair[0], {Verdict::mismatch, sha256(kAgreed.bytes)}},
            {pair[1], {Verdict::mismatch, to_hash(Uint256(1))}}});
    committee = market.auditors(job, 0);
    std::map<Address, Said> said;
    for (size_t i = 0; i < 4; ++i) said[committee[i]] = {Verdict::mismatch, kAgreed};
    said[committee[4]] = {Verdict::mismatch, {}};
    said[committee[5]] = {Verdict::match, honest(0).digest()};
    answer(job, 0, said);
    EXPECT_EQ(market.burned(), silence);
    make_appeal(job);
    acquit(job);
    std::map<Address, Uint256> fines{{committee[4], silence}, {committee[6], silence}};
    for (size_t i = 0; i < 4; ++i) fines[committee[i]] = deviation;
    fines[pair[0]] += deviation;
    fines[pair[1]] += silence;
    expect_fined(before, fines);
    EXPECT_EQ(market.credit(kProvider), bond + (deviation * 5 + silence * 2) / 2);
    EXPECT_EQ(market.burned(), (deviation * 5 + silence * 2) / 2 + silence);
    ASSERT_TRUE(market.finalize(job).ok);
    std::vector<Address> earners = level0;
    earners.push_back(committee[5]);
    expect_earned(earners, fee);
    expect_solvent(1);
}

TEST_F(appeal, that_nobody_disputes_leaves_an_earlier_committee_its_pay) {
    const uint64_t job = served_job(honest(0));
    finish_level0(job, honest(0));
    challenge_and_draw(job);
    market.run_level1(job, 0, honest(0), {{committee[0], Manners::wrong}});
    const Uint256 half = deviation / 2;  // of the fine that it has paid for that
    std::vector<Address> earners = level0;
    earners.insert(earners.end(), committee.begin() + 1, committee.end());
    challenge_and_draw(job, 0, kRival);
    const auto before = stakes();
    convict(job, 0, kAgreed);
    make_appeal(job);
    acquit(job);
    std::map<Address, Uint256> fines;
    for (const Address& a : committee) fines[a] = a == committee[5] ? Uint256(0) : deviation;
    expect_fined(before, fines);
    EXPECT_EQ(market.credit(kProvider),
              half + bond + kCoin + (first_challenge * 2 - fee * 7) / 2 + deviation * 3);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec) + fee * 14);
    ASSERT_TRUE(market.finalize(job).ok);
    earners.push_back(committee[5]);
    expect_earned(earners, fee);
    expect_solvent(1);
}

TEST_F(appeal, of_a_fraud_that_is_proven_costs_both_bonds_and_rewards_all_who_said_so) {
    const uint64_t job = convicted_job(liar(), honest(0).digest());
    const auto before = stakes();
    make_appeal(job);
    ASSERT_TRUE(contest(kRival, job).ok);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::disputed);
    expect_solvent(1, first_challenge + bond * 2);
    let_deadline_pass(job, 0);
    const Sent proven = market.timeout(job, 0);
    ASSERT_TRUE(proven.ok);
    EXPECT_EQ(told(proven, kAppealSettled, kProvider), (Words{0, 0}));
    EXPECT_EQ(told(proven, kChallengeSettled, kOutsider), (Words{1, first_challenge}));
    EXPECT_EQ(told(proven, kDisputeSettled, kRival), (Words{1, bond}));
    EXPECT_EQ(told(proven, "SegmentVoid(uint256,uint32,address,uint256)", kProvider),
              Words{provider_bond});
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    const Uint256 bounty = provider_bond / 5, share = bounty / 2 / 6;
    EXPECT_EQ(stake(kProvider), kCoin * 100 - provider_bond);
    EXPECT_EQ(reserved(kProvider), 0);
    EXPECT_EQ(market.credit(kProvider), 0);
    EXPECT_EQ(market.credit(kRival), bond + bounty / 2 + bond) << "and the appeal's bond";
    EXPECT_EQ(market.credit(kOutsider), first_challenge + share) << "it had asked the committee";
    expect_earned({committee.begin(), committee.begin() + 5}, share);
    expect_fined(before, {{committee[5], deviation}});
    EXPECT_EQ(market.burned(), provider_bond - bounty / 2 - share * 6 + deviation);
    EXPECT_EQ(market.challenge_of(job, 0), (ChallengeView{{}, 1, 0}));
    EXPECT_EQ(market.dispute_of(job, 0).challenger, Address{});
    EXPECT_EQ(market.reclaim(job, 0, 0).error(), "NothingDue");
    EXPECT_EQ(market.job(job).state, JobState::open);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec));
    expect_solvent(1);
}

TEST_F(appeal_with_pair, of_a_proven_fraud_rewards_alarms_and_the_pair_as_a_conviction_does) {
    const uint64_t job = served_job(liar());
    finish_level0(job, liar());
    const std::vector<Address> pair = committee;
    const auto before = stakes();
    answer(job, 0,
           {{pair[0], {Verdict::mismatch, sha256(honest(0).digest().bytes)}},
            {pair[1], {Verdict::match, sha256(kAgreed.bytes)}}});
    committee = market.auditors(job, 0);
    convict(job, 0, honest(0).digest());
    make_appeal(job);
    prove(kOutsider, job);
    const Uint256 bounty = provider_bond / 5, share = bounty / 2 / 6;
    EXPECT_EQ(market.credit(kOutsider), bond * 2 + bounty / 2);
    std::vector<Address> winners(committee.begin(), committee.begin() + 5);
    winners.push_back(pair[0]);
    expect_earned(winners, share);
    std::map<Address, Uint256> fines{{committee[5], deviation}};
    fines[pair[1]] += deviation;
    expect_fined(before, fines);
    EXPECT_EQ(market.burned(), provider_bond - bounty / 2 - share * 6 + deviation * 2);
    expect_solvent(1);
}

TEST_F(appeal, of_a_proven_fraud_rewards_who_raised_the_alarm_at_level_0) {
    const uint64_t job = served_job(liar());
    const Address alarmed = market.auditors(job, 0)[0];
    finish_level0(job, liar(), {{alarmed, Manners::alarm}});
    convict(job, 0, honest(0).digest());
    make_appeal(job);
    prove(kOutsider, job);
    const Uint256 share = provider_bond / 10 / 6;
    std::vector<Address> winners(committee.begin(), committee.begin() + 5);
    winners.push_back(alarmed);
    expect_earned(winners, share);
    EXPECT_EQ(market.burned(), provider_bond - provider_bond / 10 - share * 6 + deviation);
    expect_solvent(1);
}

TEST_F(appeal, waits_again_after_a_dispute_that_was_lost_and_then_acquits) {
    const uint64_t job = convicted_job(honest(0), kAgreed);
    const auto before = stakes();
    const Uint256 burned = market.burned();
    make_appeal(job);
    const Sent begun = contest(kOutsider, job);
    ASSERT_TRUE(begun.ok);
    ASSERT_TRUE(market.play(kProvider, job, 0, moved_in(begun)->state, honest(0).show_steps()).ok);
    let_deadline_pass(job, 0);
    const Sent lost = market.timeout(job, 0);
    EXPECT_EQ(told(lost, kDisputeSettled, kOutsider), (Words{0, 0}));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::appealed);
    EXPECT_EQ(market.segment(job, 0).phase_deadline, market.chain.number() + 2 * kWindow);
    EXPECT_EQ(market.credit(kProvider), bond / 2);
    EXPECT_EQ(market.credit(kOutsider), 0);
    EXPECT_EQ(market.burned() - burned, bond / 2);
    EXPECT_EQ(stakes(), before) << "nobody is right or wrong yet";
    EXPECT_EQ(market.challenge_of(job, 0).bond, first_challenge);
    EXPECT_EQ(market.dispute_bond(job, 0), bond * 2);
    EXPECT_EQ(market.dispute(kRival, job, 0, bond * 2 - 1).error(), "BadValue(bond)");
    expect_solvent(1, first_challenge + bond);
    acquit(job);
    EXPECT_EQ(market.credit(kProvider), bond / 2 + bond + kCoin + deviation * 3);
    EXPECT_EQ(market.burned() - burned, bond / 2 + kCoin + deviation * 3);
    EXPECT_TRUE(market.finalize(job).ok);
    expect_solvent(1);
}

TEST_F(appeal, that_one_challenger_lost_to_can_be_lost_to_the_next) {
    const uint64_t job = convicted_job(liar(), honest(0).digest());
    make_appeal(job);
    const Sent begun = contest(kOutsider, job);
    ASSERT_TRUE(market.play(kProvider, job, 0, moved_in(begun)->state, liar().show_steps()).ok);
    let_deadline_pass(job, 0);
    ASSERT_TRUE(market.timeout(job, 0).ok);
    prove(kRival, job);
    const Uint256 bounty = provider_bond / 5, share = bounty / 2 / 6;
    EXPECT_EQ(market.credit(kRival), bond * 2 + bounty / 2 + bond);
    EXPECT_EQ(market.credit(kOutsider), first_challenge + share)
        << "as challenger, not as disputer";
    EXPECT_EQ(market.credit(kProvider), bond / 2);
    EXPECT_EQ(market.burned(), bond / 2 + provider_bond - bounty / 2 - share * 6 + deviation);
    expect_solvent(1);
}

/// A cheat loses disputes against itself, so that nobody can afford the next one.
TEST_F(appeal, can_be_disputed_once_at_the_first_price_by_each_who_called_it_wrong) {
    const uint64_t job = convicted_job(liar(), honest(0).digest());
    const auto lose = [&](const Address& by) {
        const Sent begun = contest(by, job);
        ASSERT_TRUE(begun.ok);
        ASSERT_TRUE(market.play(kProvider, job, 0, moved_in(begun)->state, liar().show_steps()).ok);
        let_deadline_pass(job, 0);
        ASSERT_TRUE(market.timeout(job, 0).ok);
    };
    const Address right = committee[0], wrong = committee[5];
    EXPECT_EQ(market.dispute_bond(job, 0, right), bond);
    make_appeal(job);
    for (int i = 0; i < 3; ++i) lose(kOutsider);
    EXPECT_EQ(market.dispute_bond(job, 0, right), bond);
    EXPECT_EQ(market.dispute_bond(job, 0, wrong), bond * 8) << "it said Match";
    EXPECT_EQ(market.dispute_bond(job, 0, kRival), bond * 8);
    lose(right);
    EXPECT_EQ(market.dispute_bond(job, 0, right), bond * 16);
    EXPECT_EQ(market.dispute_bond(job, 0, committee[1]), bond);
    EXPECT_EQ(market.dispute(committee[1], job, 0, bond - 1).error(), "BadValue(bond)");
    prove(committee[1], job);
    expect_solvent(1);
}

TEST_F(appeal, is_for_the_provider_alone_with_its_bond_while_it_has_time) {
    const uint64_t job = convicted_job(honest(0), kAgreed);
    EXPECT_EQ(market.appeal_bond(job), bond);
    for (const Address& other : {kOutsider, kRival, kClient, committee[0]})
        EXPECT_EQ(market.appeal(other, job, 0, bond).error(), "NotAllowed");
    EXPECT_EQ(market.appeal(kProvider, job, 0, bond - 1).error(), "BadValue(bond)");
    EXPECT_EQ(market.appeal(kProvider, job, 0, 0).error(), "BadValue(bond)");
    EXPECT_EQ(market.appeal(kProvider, job, 1, bond).error(), "WrongState");
    expect_solvent(1, first_challenge);
    market.chain.mine(kWindow);
    ASSERT_EQ(market.segment(job, 0).phase_deadline, market.chain.number());
    make_appeal(job);
    EXPECT_EQ(market.appeal(kProvider, job, 0, bond).error(), "WrongState") << "once";
}

TEST_F(appeal, comes_too_late_when_the_window_has_passed) {
    const uint64_t job = convicted_job(honest(0), kAgreed);
    let_deadline_pass(job, 0);
    EXPECT_EQ(market.appeal(kProvider, job, 0, bond).error(), "TooLate");
    ASSERT_TRUE(market.on_segment(kAnyone, "advance", job, 0).ok);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(market.appeal(kProvider, job, 0, bond).error(), "WrongState");
}

TEST_F(appeal, finds_the_committee_closed) {
    const uint64_t job = served_job(honest(0));
    finish_level0(job, honest(0));
    challenge_and_draw(job);
    const Said lie{Verdict::mismatch, kAgreed};
    for (const Address& a : committee)
        ASSERT_TRUE(market.commit_answer(a, job, 0, lie.verdict, {lie.digest}).ok);
    for (const Address& a : committee)
        if (a != committee[2]) market.reveal_answer(a, job, 0, lie.verdict, {lie.digest});
    market.pass_deadline(job, 0);
    for (const SegmentState state : {SegmentState::convicted, SegmentState::appealed}) {
        ASSERT_EQ(market.segment(job, 0).state, state);
        EXPECT_EQ(market.phase(job, 0), Phase::done);
        EXPECT_EQ(market.reveal_answer(committee[2], job, 0, lie.verdict, {lie.digest}).error(),
                  "WrongState");
        market.appeal(kProvider, job, 0, bond);
    }
}

TEST_F(appeal, is_for_convicted_segments_only) {
    const uint64_t job = taken_job();
    const auto refused = [&] { return market.appeal(kProvider, job, 0, bond).error(); };
    EXPECT_EQ(refused(), "WrongState");
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    EXPECT_EQ(refused(), "WrongState") << "committed";
    market.open_audit(job, 0);
    EXPECT_EQ(refused(), "WrongState") << "at level 0";
    ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
    finish_level0(job, honest(0));
    EXPECT_EQ(refused(), "WrongState") << "accepted";
    challenge_and_draw(job);
    EXPECT_EQ(refused(), "WrongState") << "at level 1";
    market.run_level1(job, 0, honest(0));
    ASSERT_TRUE(contest(kOutsider, job).ok);
    EXPECT_EQ(refused(), "WrongState") << "disputed";
}

/// An unsound job and one that cannot be had are nothing that a referee could judge.
TEST_F(appeal, stands_not_against_unsound_and_withheld) {
    for (const uint64_t digest : {0, 1}) {
        const uint64_t job = served_job(honest(0));
        finish_level0(job, honest(0));
        challenge_and_draw(job);
        std::map<Address, Said> said;
        for (const Address& a : committee) said[a] = {Verdict::mismatch, to_hash(Uint256(digest))};
        answer(job, 0, said);
        EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven) << "at once";
        EXPECT_EQ(market.appeal(kProvider, job, 0, bond).error(), "WrongState");
        EXPECT_EQ(contest(kOutsider, job).error(), "WrongState");
    }
}

TEST_F(appeal, that_is_not_made_lets_the_conviction_stand) {
    const uint64_t job = convicted_job(liar(), honest(0).digest());
    const auto before = stakes();
    let_conviction_stand(job, 0, kWindow);
    const Uint256 bounty = provider_bond / 5;
    EXPECT_EQ(stake(kProvider), kCoin * 100 - provider_bond);
    EXPECT_EQ(market.credit(kOutsider), first_challenge + bounty / 2);
    expect_earned({committee.begin(), committee.begin() + 5}, bounty / 10);
    expect_fined(before, {{committee[5], deviation}, {committee[6], deviation}});
    EXPECT_EQ(market.burned(), provider_bond - bounty + deviation * 2);
    EXPECT_EQ(market.reclaim(job, 0, 0).error(), "NothingDue");
    expect_solvent(1);
}

TEST_F(appeal, leaves_nothing_to_do_but_to_dispute) {
    const uint64_t job = convicted_job(honest(0), kAgreed);
    const auto refused = [&](const Sent& sent) { EXPECT_EQ(sent.error(), "WrongState"); };
    const Uint256 plenty = kCoin * 99;
    refused(market.challenge(kRival, job, 0, plenty));
    refused(market.dispute(kRival, job, 0, plenty));
    refused(market.timeout(job, 0));
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
    make_appeal(job);
    refused(market.challenge(kRival, job, 0, plenty));
    refused(market.timeout(job, 0));
    refused(market.reclaim(job, 0, 0));
    EXPECT_EQ(market.dispute(kProvider, job, 0, plenty).error(), "NotAllowed");
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
    market.chain.mine(2 * kWindow - 1);
    ASSERT_EQ(market.segment(job, 0).phase_deadline, market.chain.number() + 1);
    ASSERT_TRUE(contest(kRival, job).ok) << "up to the last block before the deadline";
    refused(market.challenge(kRival, job, 0, plenty));
    refused(market.on_segment(kAnyone, "advance", job, 0));
}

TEST_F(appeal, can_be_disputed_before_its_deadline_not_in_it) {
    const uint64_t job = convicted_job(honest(0), kAgreed);
    make_appeal(job);
    market.chain.mine(2 * kWindow);
    EXPECT_EQ(contest(kRival, job).error(), "TooLate");
    EXPECT_EQ(market.on_segment(kAnyone, "advance", job, 0).error(), "NotYet");
    acquit(job);
}

struct long_appeal : MarketAppeal {
    long_appeal() : MarketAppeal({{"windowBlocks", 500}}) {}
    /// Convicted, while the same provider's later segment is committed.
    uint64_t job_with_a_convicted_first_segment() {
        const uint64_t job = served_job(honest(0));
        EXPECT_TRUE(market.commit(kProvider, job, 1, honest(1)).ok);
        const Address alarmed = market.auditors(job, 0)[0];
        finish_level0(job, honest(0), {{alarmed, Manners::alarm}});
        convict(job, 0, kAgreed);
        return job;
    }
    /// Of the later one, which was accepted.
    void challenge_and_convict(uint64_t job) {
        market.audit_honestly(job, 1, honest(1));
        challenge_and_draw(job, 1);
        convict(job, 1, kAgreed);
    }
    void let_the_first_fall(uint64_t job) {
        EXPECT_EQ(market.reclaim(job, 1, 0).error(), "WrongState") << "not yet";
        let_deadline_pass(job, 0);
        ASSERT_TRUE(market.on_segment(kAnyone, "advance", job, 0).ok);
        ASSERT_EQ(market.segment(job, 1).state, SegmentState::void_proven);
        for (const auto& [name, sent] : {std::pair{"timeout", market.timeout(job, 1)},
                                         {"advance", market.on_segment(kAnyone, "advance", job, 1)},
                                         {"dispute", market.dispute(kRival, job, 1, kCoin * 9)},
                                         {"appeal", market.appeal(kProvider, job, 1, kCoin * 9)}})
            EXPECT_EQ(sent.error(), "WrongState") << name;
    }
    void expect_reclaimed_once(uint64_t job, const std::map<std::string_view, Uint256>& bonds) {
        const Sent sent = market.reclaim(job, 1, 0);
        ASSERT_TRUE(sent.ok);
        EXPECT_EQ(sent.logs.size(), bonds.size());
        for (const auto& [event, wei] : bonds) EXPECT_EQ(told(sent, event), (Words{0, wei}));
        EXPECT_EQ(market.reclaim(job, 1, 0).error(), "NothingDue");
        expect_solvent(1);
    }
};

TEST_F(long_appeal, whose_segment_falls_with_an_earlier_one_is_paid_back) {
    const uint64_t job = job_with_a_convicted_first_segment();
    market.open_audit(job, 1);
    ASSERT_TRUE(market.serve(kProvider, job, 1).ok);
    market.run_round(job, 1, honest(1), {{market.auditors(job, 1)[0], Manners::alarm}});
    committee = market.auditors(job, 1);
    convict(job, 1, kAgreed);
    make_appeal(job, 1);
    let_the_first_fall(job);
    const Uint256 before = market.credit(kProvider);
    expect_solvent(1, bond);
    expect_reclaimed_once(job, {{kAppealSettled, bond}});
    EXPECT_EQ(market.credit(kProvider) - before, bond);
}

TEST_F(long_appeal, with_challenge_and_dispute_gives_three_bonds_back) {
    const uint64_t job = job_with_a_convicted_first_segment();
    challenge_and_convict(job);
    make_appeal(job, 1);
    const Sent begun = contest(kRival, job, 1);
    ASSERT_TRUE(begun.ok);
    let_the_first_fall(job);
    EXPECT_EQ(
        market.play(kProvider, job, 1, moved_in(begun)->state, honest(1).show_steps()).error(),
        "WrongState");
    const Uint256 before = market.credit(kProvider);
    expect_solvent(1, first_challenge + bond * 2);
    expect_reclaimed_once(
        job,
        {{kChallengeSettled, first_challenge}, {kDisputeSettled, bond}, {kAppealSettled, bond}});
    EXPECT_EQ(market.credit(kProvider) - before, bond);
    EXPECT_EQ(market.credit(kOutsider), first_challenge);
    EXPECT_EQ(market.credit(kRival), bond);
}

TEST_F(long_appeal, that_was_still_possible_leaves_the_challengers_bond_to_reclaim) {
    const uint64_t job = job_with_a_convicted_first_segment();
    challenge_and_convict(job);
    let_the_first_fall(job);
    expect_solvent(1, first_challenge);
    expect_reclaimed_once(job, {{kChallengeSettled, first_challenge}});
    EXPECT_EQ(market.credit(kOutsider), first_challenge);
}

TEST_F(long_appeal, and_a_dispute_of_a_segment_that_falls_do_not_touch_the_heirs) {
    const uint64_t job = job_with_a_convicted_first_segment();
    market.audit_honestly(job, 1, honest(1));
    ASSERT_TRUE(contest(kRival, job, 1).ok);
    let_the_first_fall(job);
    ASSERT_TRUE(market.take(kRival, job).ok);
    ASSERT_TRUE(market.commit(kRival, job, 0, honest(0)).ok);
    ASSERT_TRUE(market.commit(kRival, job, 1, honest(1)).ok);
    EXPECT_EQ(market.dispute_of(job, 1).challenger, Address{});
    EXPECT_EQ(market.reclaim(job, 1, 1).error(), "WrongState");
    expect_solvent(1, bond);
    expect_reclaimed_once(job, {{kDisputeSettled, bond}});
    EXPECT_EQ(market.credit(kRival), bond);
}

}  // namespace
}  // namespace trainyard::contracts
