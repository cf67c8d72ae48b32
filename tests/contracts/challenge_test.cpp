// SPDX-License-Identifier: Apache-2.0
// Challenges of accepted segments: who may, what becomes of bonds, who pays for having been wrong.
#include "market_fixture.hpp"

#include "core/hash.hpp"

namespace trainyard::contracts {
namespace {

constexpr uint64_t kWindow = 16;

struct MarketChallenge : MarketFixture {
    explicit MarketChallenge(std::map<std::string, Uint256> parameters = {{"windowBlocks",
                                                                           kWindow}})
        : MarketFixture(std::move(parameters)) {}
    const Uint256 fee = spec.audit_fee;
    const Uint256 first_bond = kCoin * 2 + fee * 7;
    const Uint256 provider_bond = kCoin * 8;

    /// Right units, wrong sums: level 0 finds nothing.
    FakeSegment liar(uint32_t seg = 0) const { return honest(seg).with_other_sums(); }
    /// A job whose first segment is accepted.
    uint64_t accepted_job(const FakeSegment& made) {
        const uint64_t job = taken_job();
        EXPECT_TRUE(market.commit(kProvider, job, 0, made).ok);
        market.audit_honestly(job, 0, made);
        return job;
    }
    Sent contest(uint64_t job, uint32_t seg = 0) {
        return market.challenge(kOutsider, job, seg, market.challenge_bond(job, seg));
    }
    /// Challenged, and its committee is seated.
    void challenge_and_draw(uint64_t job, uint32_t seg = 0) {
        ASSERT_TRUE(contest(job, seg).ok);
        market.open_audit(job, seg);
        ASSERT_EQ(market.segment(job, seg).state, SegmentState::l1);
        ASSERT_EQ(market.auditors(job, seg).size(), 7u);
    }
    /// All of the committee say the same, but `others` nothing but the truth.
    void bought_committee_says(Verdict verdict, const Hash& digest, uint64_t job,
                               const std::set<Address>& others = {}) {
        std::map<Address, Said> said;
        for (const Address& a : market.auditors(job, 0))
            said[a] = others.contains(a) ? Said{Verdict::mismatch, honest(0).digest()}
                                         : Said{verdict, digest};
        answer(job, 0, said);
    }
    std::map<Address, Manners> everybody(Manners how) {
        std::map<Address, Manners> out;
        for (const Address& v : market.validators) out[v] = how;
        return out;
    }
    uint64_t backed_until(uint64_t mini_epoch) {
        return word_at(market.chain.call(market.chain.address("Staking"),
                                         call_data("backedUntil(uint256)", Abi().word(mini_epoch))),
                       0)
            .low();
    }
};
using challenge = MarketChallenge;
struct late_challenge : MarketChallenge {
    /// An audit and its window take less than 1,400 blocks.
    late_challenge()
        : MarketChallenge({{"windowBlocks", 400},
                           {"serveBlocks", 8},
                           {"commitBlocks", 8},
                           {"commitBlocksL1", 8},
                           {"revealBlocks", 8},
                           {"openBlocks", 8}}) {}
};

TEST_F(challenge, by_one_outsider_has_a_fraud_slashed_that_every_auditor_matched) {
    const uint64_t job = accepted_job(liar());
    ASSERT_EQ(market.finalize(job).error(), "NotYet") << "its window is open";
    ASSERT_TRUE(contest(job).ok);
    expect_solvent(1, first_bond);
    market.open_audit(job, 0);
    EXPECT_EQ(market.segment(job, 0).round, 2u);
    market.run_level1(job, 0, honest(0));
    expect_solvent(1, first_bond);
    let_conviction_stand(job, 0, kWindow);
    EXPECT_EQ(market.job(job).state, JobState::open);
    EXPECT_EQ(stake(kProvider), kCoin * 100 - provider_bond);
    const Uint256 bounty = provider_bond / 5, share = bounty / 2 / 7;
    EXPECT_EQ(market.credit(kOutsider), first_bond + bounty / 2);
    for (const Address& v : market.validators) {
        const bool sat = market.credit(v) > 0;
        EXPECT_EQ(market.credit(v), sat ? share : Uint256(0));
    }
    EXPECT_EQ(market.burned(), provider_bond - bounty / 2 - share * 7);
    EXPECT_EQ(market.challenge_of(job, 0), (ChallengeView{{}, 1, 0}));
    expect_solvent(1);
}

TEST_F(challenge, of_a_right_segment_pays_committee_and_provider_and_opens_another_window) {
    const uint64_t job = accepted_job(honest(0));
    challenge_and_draw(job);
    const auto before = stakes();
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(market.segment(job, 0).phase_deadline, market.chain.number() + kWindow);
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
    EXPECT_EQ(market.credit(kOutsider), 0);
    EXPECT_EQ(market.credit(kProvider), kCoin) << "half of the bond without the committee's fees";
    EXPECT_EQ(market.burned(), kCoin);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec) + fee * 7);
    EXPECT_EQ(stakes(), before);
    expect_solvent(1);
    market.chain.mine(kWindow);
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.credit(kProvider), kCoin * 2 - kCoin / 20);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec) - kCoin - fee * 3)
        << "level 0 from the escrow, the committee from the bond";
    expect_solvent(1);
}

TEST_F(challenge, comes_in_time_up_to_the_last_block_of_the_window_and_not_later) {
    const uint64_t late = accepted_job(honest(0));
    market.chain.mine(market.segment(late, 0).phase_deadline - market.chain.number());
    EXPECT_EQ(contest(late).error(), "TooLate");
    ASSERT_TRUE(market.finalize(late).ok);
    EXPECT_EQ(contest(late).error(), "WrongState") << "it is paid";
    const uint64_t job = accepted_job(honest(0));
    market.chain.mine(market.segment(job, 0).phase_deadline - market.chain.number() - 1);
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
    EXPECT_TRUE(contest(job).ok);
    market.chain.mine(kWindow);
    EXPECT_EQ(market.finalize(job).error(), "NotYet") << "it waits for its committee";
}

TEST_F(challenge, is_for_everyone_but_the_provider_once_the_segment_is_accepted) {
    const uint64_t job = taken_job();
    EXPECT_EQ(contest(job).error(), "WrongState");
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    EXPECT_EQ(contest(job).error(), "WrongState");
    market.audit_honestly(job, 0, honest(0));
    EXPECT_EQ(market.challenge(kProvider, job, 0, first_bond).error(), "NotAllowed");
    EXPECT_EQ(market.challenge(kOutsider, job, 0, first_bond - 1).error(), "BadValue(bond)");
    EXPECT_EQ(market.challenge(kOutsider, job, 1, first_bond).error(), "WrongState");
    ASSERT_TRUE(market.challenge(kRival, job, 0, first_bond + 5).ok);
    EXPECT_EQ(market.credit(kRival), 5);
    EXPECT_EQ(market.challenge_of(job, 0), (ChallengeView{kRival, 1, first_bond}));
    EXPECT_EQ(contest(job).error(), "WrongState") << "one at a time";
    expect_solvent(1, first_bond);
}

TEST_F(challenge, costs_twice_as_much_each_time_and_comes_four_times_at_most) {
    const uint64_t job = accepted_job(honest(0));
    Uint256 paid_to_provider;
    for (unsigned n = 0; n < 4; ++n) {
        EXPECT_EQ(market.challenge_bond(job, 0), first_bond << n);
        EXPECT_EQ(market.challenge(kOutsider, job, 0, (first_bond << n) - 1).error(),
                  "BadValue(bond)");
        challenge_and_draw(job);
        EXPECT_EQ(market.segment(job, 0).round, 2u + n);
        market.run_level1(job, 0, honest(0));
        paid_to_provider += ((first_bond << n) - fee * 7) / 2;
    }
    EXPECT_EQ(contest(job).error(), "BadValue(challenges)");
    EXPECT_EQ(market.credit(kProvider), paid_to_provider);
    market.chain.mine(kWindow);
    ASSERT_TRUE(market.finalize(job).ok);
    Uint256 fees;
    for (const Address& v : market.validators) fees += market.credit(v);
    EXPECT_EQ(fees, fee * (3 + 4 * 7));
    EXPECT_EQ(market.job(job).escrow, market.quote(spec) - kCoin - fee * 3);
    expect_solvent(1);
}

/// Attack C5: who loses on purpose before a bought committee shields nothing.
TEST_F(challenge, that_was_lost_on_purpose_does_not_bless_a_fraud) {
    const uint64_t job = accepted_job(liar());
    challenge_and_draw(job);
    const std::vector<Address> bought = market.auditors(job, 0);
    const Address faithful = bought[3];
    auto before = stakes();
    const Hash agreed = keccak256(as_bytes("agreed beforehand"));
    bought_committee_says(Verdict::match, agreed, job, {faithful});
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(before[faithful] - market.stake_of(faithful), fee * 10) << "in the minority";
    before = stakes();
    const Uint256 burned = market.burned();
    challenge_and_draw(job);
    const std::vector<Address> fresh = market.auditors(job, 0);
    EXPECT_NE(fresh, bought);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(stakes(), before) << "nobody pays before the provider had its say";
    let_conviction_stand(job, 0, kWindow);
    const Uint256 bounty = provider_bond / 5, share = bounty / 2 / 8;
    EXPECT_EQ(market.credit(kOutsider), first_bond * 2 + bounty / 2);
    for (const Address& a : bought) {
        const Uint256 fine = a == faithful ? Uint256(0) : fee * 10;
        EXPECT_EQ(before[a] - market.stake_of(a), fine) << "all that said Match pay, once";
    }
    EXPECT_GE(market.credit(faithful), share) << "it was right all along";
    EXPECT_EQ(market.burned() - burned, provider_bond - bounty / 2 - share * 8 + fee * 60);
    expect_solvent(1);
}

TEST_F(challenge, fines_nobody_again_whom_an_earlier_round_has_fined) {
    const uint64_t job = served_job(honest(0));
    const Address deviator = market.auditors(job, 0)[0];
    auto before = stakes();
    market.run_round(job, 0, honest(0), {{deviator, Manners::wrong}});
    ASSERT_TRUE(market.open(kProvider, job, 0, honest(0)).ok);
    const std::vector<Address> committee = market.auditors(job, 0);
    const Address minority = committee[5], mute = committee[6];
    market.run_level1(job, 0, honest(0), {{minority, Manners::wrong}, {mute, Manners::silent}});
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(before[deviator] - market.stake_of(deviator), fee * 10);
    EXPECT_EQ(before[minority] - market.stake_of(minority), fee * 10);
    EXPECT_EQ(before[mute] - market.stake_of(mute), fee * 2);
    before = stakes();
    challenge_and_draw(job);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(stakes(), before);
    market.chain.mine(kWindow);
    ASSERT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec) - kCoin - fee * (2 + 5))
        << "the fresh committee is paid by the bond";
    expect_solvent(1);
}

TEST_F(challenge, fines_a_false_alarm_that_no_committee_had_judged) {
    const uint64_t job = served_job(honest(0));
    const Address liar = market.auditors(job, 0)[0];
    market.run_round(job, 0, honest(0), {{liar, Manners::alarm}});
    market.run_level1(job, 0, honest(0), everybody(Manners::silent));
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    const Uint256 before = market.stake_of(liar);
    challenge_and_draw(job);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(before - market.stake_of(liar), fee * 10);
    EXPECT_EQ(market.credit(kProvider), kCoin + fee * 5);
    expect_solvent(1);
}

TEST_F(challenge, gives_the_bond_back_where_the_committee_does_not_decide) {
    const uint64_t job = accepted_job(honest(0));
    challenge_and_draw(job);
    std::map<Address, Manners> split;
    for (const Address& a : market.auditors(job, 0)) split[a] = Manners::lazy;  // each its own
    market.run_level1(job, 0, honest(0), split);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(market.credit(kOutsider), first_bond);
    EXPECT_EQ(stake(kProvider), kCoin * 100);
    EXPECT_EQ(market.burned(), 0);
    EXPECT_EQ(market.job(job).escrow, market.quote(spec));
    expect_solvent(1);
}

TEST_F(challenge, gives_the_bond_back_where_the_job_is_unsound_or_withheld) {
    for (const Manners how : {Manners::bad_bundle, Manners::withheld}) {
        const Uint256 credit = market.credit(kOutsider), stake_before = stake(kProvider);
        const Uint256 burned = market.burned(), refunded = market.credit(kClient);
        const uint64_t job = accepted_job(honest(0));
        challenge_and_draw(job);
        market.run_level1(job, 0, honest(0), everybody(how));
        EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
        EXPECT_EQ(market.credit(kOutsider) - credit, first_bond);
        const bool is_withheld = how == Manners::withheld;
        const Uint256 lost = is_withheld ? provider_bond : kCoin / 2;
        EXPECT_EQ(stake_before - stake(kProvider), lost);
        EXPECT_EQ(market.burned() - burned, is_withheld ? lost : lost / 2);
        EXPECT_EQ(market.credit(kClient) - refunded, is_withheld ? Uint256(0) : lost / 2);
    }
    expect_solvent(2);
}

TEST_F(challenge, that_nobody_answers_leaves_the_segment_accepted_and_the_bond_whole) {
    for (const bool serves : {true, false}) {
        const uint64_t job = taken_job();
        ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
        if (serves) {
            market.audit_honestly(job, 0, honest(0));
        } else {  // a committee clears it
            market.open_audit(job, 0);
            market.pass_deadline(job, 0);
            market.run_level1(job, 0, honest(0));
        }
        const Uint256 credit = market.credit(kOutsider);
        challenge_and_draw(job);
        const auto before = stakes();
        market.run_level1(job, 0, honest(0), everybody(Manners::silent));
        const SegmentView s = market.segment(job, 0);
        EXPECT_EQ(s.state, SegmentState::accepted);
        EXPECT_EQ(s.phase_deadline, market.chain.number() + 2 * kWindow) << "unaudited";
        EXPECT_EQ(market.credit(kOutsider) - credit, first_bond);
        for (const Address& a : market.auditors(job, 0))
            EXPECT_EQ(before.at(a) - market.stake_of(a), fee * 2);
        EXPECT_EQ(market.challenge_bond(job, 0), first_bond * 2);
        EXPECT_EQ(market.job(job).escrow, market.quote(spec));
    }
    expect_solvent(2);
}

TEST_F(challenge, is_what_stands_against_a_segment_that_nobody_audited_twice_as_long) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, liar()).ok);
    market.open_audit(job, 0);
    while (market.segment(job, 0).state == SegmentState::l0) {
        ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
        market.run_round(job, 0, honest(0), everybody(Manners::silent));
    }
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    EXPECT_EQ(market.segment(job, 0).phase_deadline, market.chain.number() + 2 * kWindow);
    market.chain.mine(2 * kWindow - 1);
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
    challenge_and_draw(job);
    market.run_level1(job, 0, honest(0));
    let_conviction_stand(job, 0, kWindow);
    EXPECT_EQ(market.credit(kOutsider), first_bond + provider_bond / 10);
    expect_solvent(1);
}

TEST_F(challenge, whose_segment_falls_with_an_earlier_one_is_paid_back) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, liar(0)).ok);
    ASSERT_TRUE(market.commit(kProvider, job, 1, honest(1)).ok);
    market.audit_honestly(job, 1, honest(1));
    ASSERT_TRUE(contest(job, 1).ok);
    EXPECT_EQ(market.reclaim(job, 1, 0).error(), "WrongState") << "its committee will decide";
    market.open_audit(job, 0);
    market.pass_deadline(job, 0);  // nothing served
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.reclaim(job, 1, 0).error(), "WrongState") << "the earlier one may be right";
    let_conviction_stand(job, 0, kWindow);
    expect_solvent(1, first_bond);
    EXPECT_EQ(market.reclaim(job, 0, 0).error(), "NothingDue") << "nobody challenged it";
    // The heir's segment of the same number has an attempt of its own.
    ASSERT_TRUE(market.take(kRival, job).ok);
    ASSERT_TRUE(market.commit(kRival, job, 0, honest(0)).ok);
    ASSERT_TRUE(market.commit(kRival, job, 1, honest(1)).ok);
    EXPECT_EQ(market.challenge_of(job, 1), ChallengeView{});
    EXPECT_EQ(market.reclaim(job, 1, 1).error(), "WrongState");
    ASSERT_TRUE(market.reclaim(job, 1, 0).ok);
    EXPECT_EQ(market.credit(kOutsider), first_bond);
    EXPECT_EQ(market.reclaim(job, 1, 0).error(), "NothingDue");
    expect_solvent(1);
}

/// The committee follows from a seed that nobody knew when the challenge was made, and a set that
/// holds stake now.
TEST_F(late_challenge, is_judged_by_those_who_have_stake_now) {
    const uint64_t job = accepted_job(honest(0));
    for (size_t i = 0; i < 3; ++i) ASSERT_TRUE(leave(market.validators[i]).ok);
    market.chain.mine(200);
    const uint64_t mini_epoch = (market.chain.number() - 1 + 2) / 8;
    challenge_and_draw(job);
    const SegmentView s = market.segment(job, 0);
    EXPECT_EQ(s.seed_epoch, mini_epoch);
    const std::vector<Address> committee = market.auditors(job, 0);
    for (size_t i = 0; i < 3; ++i)
        EXPECT_EQ(std::count(committee.begin(), committee.end(), market.validators[i]), 0);
    const Bytes sigma = market.chain.call(market.chain.address("Beacon"),
                                          call_data("seed(uint256)", Abi().word(mini_epoch + 2)));
    const Hash seed = keccak256(Abi()
                                    .hash(keccak256(as_bytes("trainyard.challenge.1")))
                                    .hash(hash_at(sigma, 0))
                                    .word(job)
                                    .word(0)
                                    .word(0)
                                    .encode());
    const Abi args = Abi().hash(seed).word(mini_epoch).address(kProvider).address(kClient).word(7);
    const Bytes drawn =
        market.chain.call(market.chain.address("Staking"),
                          call_data("draw(bytes32,uint256,address,address,uint256)", args));
    ASSERT_EQ(array_at(drawn, 0).size(), 7u);
    for (size_t i = 0; i < 7; ++i) EXPECT_EQ(address_at(drawn, 2 + i), committee[i]);
}

TEST_F(late_challenge, that_nobody_opens_is_drawn_anew_and_earlier_judges_answer_for_so_long) {
    const uint64_t job = served_job(liar());
    const Address alarmed = market.auditors(job, 0)[0];
    market.run_round(job, 0, honest(0), {{alarmed, Manners::alarm}});
    const std::vector<Address> bought = market.auditors(job, 0);
    bought_committee_says(Verdict::match, keccak256(as_bytes("agreed")), job);
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    for (const Address& a : bought) ASSERT_TRUE(leave(a).ok);
    market.chain.mine(399);
    ASSERT_TRUE(contest(job).ok);
    for (int i = 0; i < 4; ++i) {
        const uint64_t mini_epoch = market.segment(job, 0).seed_epoch;
        market.chain.mine(backed_until(mini_epoch) - market.chain.number());
        for (const Address& a : bought) EXPECT_EQ(take_out(a).error(), "Held") << i;
        ASSERT_TRUE(market.on_segment(kAnyone, "openAudit", job, 0).ok);
        EXPECT_EQ(market.segment(job, 0).state, SegmentState::committed);
        EXPECT_GT(market.segment(job, 0).seed_epoch, mini_epoch);
    }
    market.open_audit(job, 0);
    ASSERT_EQ(market.auditors(job, 0).size(), 3u) << "the others have left";
    const Uint256 burned = market.burned();
    market.run_level1(job, 0, honest(0));
    let_conviction_stand(job, 0, 400);
    const size_t winners = 3 + (alarmed == bought[0] ? 1 : 0);
    const Uint256 bounty = provider_bond / 5, share = bounty / 2 / winners;
    EXPECT_EQ(market.burned() - burned, provider_bond - bounty / 2 - share * winners + fee * 70)
        << "seven that said Match are fined though they left";
    expect_solvent(1);
}

struct long_window : MarketChallenge {
    long_window() : MarketChallenge({{"windowBlocks", 4000}}) {}
};

TEST_F(long_window, keeps_the_stake_of_those_who_may_be_proven_wrong_in_it) {
    const uint64_t job = served_job(liar());
    market.run_round(job, 0, honest(0), {{market.auditors(job, 0)[0], Manners::alarm}});
    const std::vector<Address> bought = market.auditors(job, 0);
    bought_committee_says(Verdict::match, keccak256(as_bytes("agreed")), job);
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    for (const Address& a : bought) ASSERT_TRUE(leave(a).ok);
    market.chain.mine(3900);
    for (const Address& a : bought) EXPECT_EQ(take_out(a).error(), "Held");
    EXPECT_TRUE(contest(job).ok);
}

TEST_F(challenge, leaves_what_level_0_drew_as_it_was) {
    const uint64_t job = accepted_job(honest(0));
    std::map<Address, std::vector<UnitAt>> units;
    for (const Address& v : market.validators) units[v] = market.units_of(job, 0, v);
    const auto opened = market.units_to_open(job, 0);
    challenge_and_draw(job);
    EXPECT_EQ(market.units_to_open(job, 0), opened);
    const std::vector<Address> committee = market.auditors(job, 0);
    for (const Address& v : market.validators) {
        const bool sits = std::count(committee.begin(), committee.end(), v) > 0;
        EXPECT_TRUE(sits || market.units_of(job, 0, v) == units[v]);
    }
}

}  // namespace
}  // namespace trainyard::contracts
