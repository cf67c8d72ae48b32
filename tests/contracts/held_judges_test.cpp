// SPDX-License-Identifier: Apache-2.0
// Who has judged a segment cannot take its stake out while an appeal may fine it.
#include "appeal_fixture.hpp"
#include "training/referee/game.hpp"

namespace trainyard::contracts {
namespace {

/// Audits are so short that nothing but a hold of its own keeps stake from leaving.
struct ShortAudits : MarketAppeal {
    ShortAudits(uint64_t window, uint64_t move_blocks)
        : MarketAppeal({{"windowBlocks", window},
                        {"moveBlocks", move_blocks},
                        {"serveBlocks", 8},
                        {"commitBlocks", 8},
                        {"commitBlocksL1", 8},
                        {"revealBlocks", 8},
                        {"openBlocks", 8}}) {
        spec.segment_blocks = 20;
    }
    void expect_all_held() {
        for (const Address& a : committee) EXPECT_EQ(take_out(a).error(), "Held");
    }
    /// An honest segment whose provider appeals, and a bought committee that wants to leave.
    uint64_t appealed_job_of_leaving_judges() {
        const uint64_t job = convicted_job(honest(0), kAgreed);
        for (const Address& a : committee) EXPECT_TRUE(leave(a).ok);
        make_appeal(job);
        return job;
    }
    /// Up to the last block of a clock or window.
    void wait(uint64_t job) {
        market.chain.mine(market.segment(job, 0).phase_deadline - market.chain.number());
        expect_all_held();
    }
    /// Lost on purpose, each move as late as can be.
    void lose_slowly(uint64_t job) {
        market.chain.mine(market.segment(job, 0).phase_deadline - 1 - market.chain.number());
        expect_all_held();
        const Sent begun = contest(kRival, job);
        ASSERT_TRUE(begun.ok);
        wait(job);
        ASSERT_TRUE(
            market.play(kProvider, job, 0, moved_in(begun)->state, honest(0).show_steps()).ok);
        wait(job);
        market.chain.mine();
        ASSERT_TRUE(market.timeout(job, 0).ok);
    }
};
struct short_audits : ShortAudits {
    short_audits() : ShortAudits(400, 400) {}
};
struct long_windows : ShortAudits {
    long_windows() : ShortAudits(4000, 40) {}
};
struct long_segments : ShortAudits {
    long_segments() : ShortAudits(kWindow, 10) { spec.segment_blocks = 1000; }
};

TEST_F(short_audits, keep_the_stake_of_those_who_convicted_until_the_appeal_is_judged) {
    const uint64_t job = convicted_job(honest(0), kAgreed);
    for (const Address& a : committee) ASSERT_TRUE(leave(a).ok);
    market.chain.mine(400);
    expect_all_held();
    make_appeal(job);
    let_deadline_pass(job, 0);
    expect_all_held();
    const Uint256 burned = market.burned();
    ASSERT_TRUE(market.on_segment(kAnyone, "advance", job, 0).ok);
    EXPECT_EQ(market.burned() - burned, kCoin + deviation * 3);
    EXPECT_EQ(market.credit(kProvider), bond + kCoin + deviation * 3);
}

TEST_F(short_audits, keep_the_stake_of_who_raised_the_alarm_and_then_kept_silent) {
    const uint64_t job = served_job(honest(0));
    const Address alarmed = market.auditors(job, 0)[0];
    finish_level0(job, honest(0), {{alarmed, Manners::alarm}});
    std::map<Address, Said> said;
    for (const Address& a : committee) said[a] = {Verdict::mismatch, kAgreed};
    said.erase(alarmed);
    answer(job, 0, said);
    ASSERT_TRUE(leave(alarmed).ok);
    market.chain.mine(400);
    make_appeal(job);
    let_deadline_pass(job, 0);
    EXPECT_EQ(take_out(alarmed).error(), "Held");
    const Uint256 credit = market.credit(kProvider);
    ASSERT_TRUE(market.on_segment(kAnyone, "advance", job, 0).ok);
    EXPECT_EQ(market.credit(kProvider) - credit, bond + deviation * 7 / 2);
}

/// The fines of six, half of them burned, and half of the challenge that called them.
struct AllPay {
    MarketAppeal& m;
    const Uint256 burned = m.market.burned();
    explicit AllPay(MarketAppeal& market) : m(market) {}
    void expect() { EXPECT_EQ(m.market.burned() - burned, kCoin + m.deviation * 3); }
};

TEST_F(short_audits, keep_the_stake_of_those_who_convicted_while_a_dispute_is_played) {
    const uint64_t job = appealed_job_of_leaving_judges();
    lose_slowly(job);
    wait(job);
    AllPay all(*this);
    acquit(job);
    all.expect();
}

TEST_F(short_audits, let_those_go_whom_nothing_can_fine_any_more) {
    const uint64_t job = convicted_job(honest(0), kAgreed);
    const Address right = committee[5], wrong = committee[0];
    for (const Address& a : {right, wrong}) ASSERT_TRUE(leave(a).ok);
    make_appeal(job);
    acquit(job);
    market.chain.mine(1200);
    for (const Address& a : {right, wrong}) EXPECT_EQ(take_out(a).error(), "");
}

TEST_F(long_windows, keep_the_stake_of_those_who_convicted_until_the_last_one_has_passed) {
    const uint64_t job = appealed_job_of_leaving_judges();
    for (int i = 0; i < 2; ++i) lose_slowly(job);
    wait(job);
    AllPay all(*this);
    acquit(job);
    all.expect();
}

TEST_F(long_segments, keep_the_stake_while_each_side_has_time_to_run_them_again) {
    const uint64_t job = appealed_job_of_leaving_judges();
    const Sent begun = contest(kRival, job);
    wait(job);
    const Sent shown =
        market.play(kProvider, job, 0, moved_in(begun)->state, honest(0).show_steps());
    ASSERT_TRUE(shown.ok);
    wait(job);
    market.chain.mine();
    ASSERT_TRUE(market.timeout(job, 0).ok);
    wait(job);
    AllPay all(*this);
    acquit(job);
    all.expect();
}

}  // namespace
}  // namespace trainyard::contracts
