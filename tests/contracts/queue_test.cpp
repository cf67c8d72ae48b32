// SPDX-License-Identifier: Apache-2.0
// What auditors have no time for is not posted, and who would have too much to do is not seated.
#include "market_fixture.hpp"
#include "queue_books.hpp"

namespace trainyard::contracts {
namespace {

constexpr uint64_t kWorkPerBlock = 1'000, kCommit = 40, kCommitL1 = 60;
/// Of the validators of a test: their stakes are 32 to 41 coins.
constexpr uint64_t kLargest = 41, kTotal = 365;

struct Queue : MarketFixture {
    explicit Queue(std::map<std::string, Uint256> overrides = {})
        : MarketFixture(with_defaults(std::move(overrides))) {
        spec.segments = 2;
        spec.segment_blocks = 20;
        spec.unit_work = 2'500;  // the most that a replay of 20 units may take
    }
    static std::map<std::string, Uint256> with_defaults(std::map<std::string, Uint256> overrides) {
        overrides.insert({{"workPerBlock", kWorkPerBlock},
                          {"commitBlocks", kCommit},
                          {"commitBlocksL1", kCommitL1},
                          {"serveBlocks", 20},
                          {"revealBlocks", 20},
                          {"openBlocks", 20},
                          {"substRounds", 1}});
        return overrides;
    }
    /// (1 + substRounds) * (serve + commit + reveal) + open + 2 * (commitL1 + 2 * segment + reveal)
    static constexpr uint64_t kAuditBlocks = 2 * 80 + 20 + 2 * 120;

    /// Jobs whose first segments are committed in one block, and whose seed is known.
    std::vector<uint64_t> committed_jobs(size_t count) {
        std::vector<uint64_t> out;
        for (size_t i = 0; i < count; ++i) {
            out.push_back(taken_job());
            EXPECT_TRUE(market.commit(kProvider, out.back(), 0, honest(0)).ok);
        }
        know_seed(out.back());
        return out;
    }
    void know_seed(uint64_t job) {
        const uint64_t known = (market.segment(job, 0).seed_epoch + 3) * 8 + 1;
        if (market.chain.number() < known) market.chain.mine(known - market.chain.number());
    }
    Sent open_audit(uint64_t job, uint32_t seg = 0) {
        return market.on_segment(kAnyone, "openAudit", job, seg);
    }
    std::string busy_until(uint64_t block) { return "AuditorsBusy(" + std::to_string(block) + ")"; }
    SegmentState state(uint64_t job) { return market.segment(job, 0).state; }
    /// The provider serves nothing, so the committee is called.
    void let_serve_fail(uint64_t job) { market.pass_deadline(job, 0); }
    void wait_for_room(uint64_t job) { market.chain.mine(market.audit_wait(job, 0)); }
    /// Opened in time, served by nobody: all of a committee's replays.
    void fill_replays(uint64_t job) {
        ASSERT_TRUE(open_audit(job).ok);
        let_serve_fail(job);
        ASSERT_EQ(state(job), SegmentState::l1);
    }
};
using queue = Queue;

TEST_F(queue, refuses_jobs_whose_audits_would_take_more_than_half_of_the_time_for_them) {
    market.chain.give(kClient, kCoin * 1000);
    const auto reason = [&](uint32_t steps, uint32_t micro_batches, uint64_t unit_work,
                            const Uint256& price) {
        JobSpec s = spec;
        s.steps = steps, s.micro_batches = micro_batches, s.unit_work = unit_work;
        s.price = price, s.audit_fee = 0;
        return market.post(kClient, s, kCoin * 100).error();
    };
    EXPECT_EQ(reason(5, 4, 0, kCoin), "BadValue(unitWork)");
    EXPECT_EQ(reason(1, 2, 5'000, kCoin), "") << "four units in 20 of 40 blocks";
    EXPECT_EQ(reason(1, 2, 5'001, kCoin), "BeyondAudit(20004, 20000)");
    EXPECT_EQ(reason(5, 4, 2'500, kCoin), "") << "20 units in 50 of 100 blocks";
    EXPECT_EQ(reason(5, 4, 2'501, kCoin), "BeyondAudit(50020, 50000)");
    EXPECT_EQ(reason(256, 1024, UINT64_MAX, kCoin).substr(0, 12), "BeyondAudit(");
}

TEST_F(queue, takes_a_price_for_each_block_of_work) {
    market.chain.give(kClient, kCoin);
    const Uint256 least = 1'000'000'000;
    const auto reason = [&](uint64_t unit_work, const Uint256& price) {
        JobSpec s = spec;
        s.unit_work = unit_work, s.price = price, s.audit_fee = 0;
        return market.post(kClient, s, market.quote(s)).error();
    };
    EXPECT_EQ(reason(2'500, least * 50), "");
    EXPECT_EQ(reason(2'500, least * 50 - 1), "BadValue(pricePerSegment)");
    EXPECT_EQ(reason(2'451, least * 50), "") << "a part of a block counts as one";
    EXPECT_EQ(reason(2'451, least * 49), "BadValue(pricePerSegment)");
    EXPECT_EQ(reason(1, least - 1), "BadValue(pricePerSegment)");
}

TEST_F(queue, seats_no_more_auditors_than_have_time) {
    const std::vector<uint64_t> jobs = committed_jobs(3);
    QueueBooks books(market);
    const uint64_t now = market.chain.number(), work = 4 * spec.unit_work;
    for (size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(market.audit_queue(), QueueView{}) << "each finds less than 20 blocks of work";
        ASSERT_TRUE(open_audit(jobs[i]).ok);
        EXPECT_EQ(state(jobs[i]), SegmentState::l0);
        books.seat(QueueKind::audits, 3, work, kLargest, kTotal, now);
    }
    const uint64_t blocks = books.blocks_to_room(QueueKind::audits, now);
    EXPECT_EQ(blocks, 7u) << "26.96 blocks of work less 20";
    EXPECT_EQ(market.audit_queue(), (QueueView{blocks, 0}));
    EXPECT_EQ(market.audit_wait(jobs[2], 0), blocks);
    EXPECT_EQ(market.audit_wait(jobs[1], 0), 0u) << "it waits for its provider";
    const Sent drawn = open_audit(jobs[2]);
    ASSERT_TRUE(drawn.ok);
    EXPECT_EQ(told(drawn, "AuditWaits(uint256,uint32,uint256)"), Words{now + blocks});
    EXPECT_EQ(state(jobs[2]), SegmentState::committed);
    EXPECT_EQ(open_audit(jobs[2]).error(), busy_until(now + blocks));
    market.chain.mine(blocks - 1);
    EXPECT_EQ(market.audit_wait(jobs[2], 0), 1u);
    EXPECT_EQ(open_audit(jobs[2]).error(), busy_until(now + blocks));
    EXPECT_EQ(market.on_segment(kAnyone, "advance", jobs[2], 0).error(), busy_until(now + blocks));
    market.chain.mine();
    ASSERT_TRUE(open_audit(jobs[2]).ok);
    EXPECT_EQ(state(jobs[2]), SegmentState::l0);
    EXPECT_EQ(market.auditors(jobs[2], 0).size(), 3u);
    ASSERT_TRUE(market.serve(kProvider, jobs[2], 0).ok);
    market.run_round(jobs[2], 0, honest(0));
    ASSERT_TRUE(market.open(kProvider, jobs[2], 0, honest(0)).ok);
    EXPECT_EQ(state(jobs[2]), SegmentState::accepted);
    ASSERT_TRUE(market.finalize(jobs[2]).ok);
    expect_solvent(3);
}

TEST_F(queue, forgets_what_was_done_long_ago) {
    const std::vector<uint64_t> jobs = committed_jobs(3);
    ASSERT_TRUE(open_audit(jobs[0]).ok);
    market.chain.mine(100);
    for (size_t i = 1; i < 3; ++i) {
        ASSERT_TRUE(open_audit(jobs[i]).ok);
        EXPECT_EQ(state(jobs[i]), SegmentState::l0);
    }
    EXPECT_EQ(market.audit_queue(), (QueueView{7, 0}));
}

TEST_F(queue, who_waits_is_drawn_and_cannot_leave) {
    for (const Address& v : market.validators) ASSERT_TRUE(leave(v).ok);
    const std::vector<uint64_t> jobs = committed_jobs(3);
    market.chain.mine(380 - market.chain.number());
    for (const uint64_t job : jobs) ASSERT_TRUE(open_audit(job).ok);
    ASSERT_EQ(state(jobs[2]), SegmentState::committed);
    wait_for_room(jobs[2]);
    market.chain.mine(402 - market.chain.number());
    ASSERT_TRUE(open_audit(jobs[2]).ok) << "all stake that is not held may leave since block 400";
    ASSERT_EQ(state(jobs[2]), SegmentState::l0) << "it was drawn before";
    for (const Address& a : market.auditors(jobs[2], 0)) EXPECT_EQ(take_out(a).error(), "Held");
}

TEST_F(queue, a_draw_that_finds_no_room_for_as_long_as_an_audit_takes_is_made_anew) {
    spec.price = kCoin / 100;  // the provider has a bond for each of them
    std::vector<uint64_t> jobs = committed_jobs(40);
    const uint64_t patient = jobs.back();
    jobs.pop_back();
    const auto keep_full = [&] {
        for (; market.audit_queue().audits == 0; jobs.pop_back())
            ASSERT_TRUE(open_audit(jobs.back()).ok);
    };
    keep_full();
    for (const uint64_t job : jobs) ASSERT_TRUE(open_audit(job).ok);
    ASSERT_TRUE(open_audit(patient).ok);
    const uint64_t drawn_at = market.chain.number();
    const uint64_t seed_epoch = market.segment(patient, 0).seed_epoch;
    while (market.chain.number() + 1 < drawn_at + kAuditBlocks) {
        market.chain.mine();
        keep_full();
    }
    EXPECT_EQ(open_audit(patient).error().substr(0, 13), "AuditorsBusy(");
    market.chain.mine();
    ASSERT_TRUE(open_audit(patient).ok);
    EXPECT_EQ(state(patient), SegmentState::committed);
    EXPECT_GT(market.segment(patient, 0).seed_epoch, seed_epoch);
    EXPECT_EQ(open_audit(patient).error(), "NotYet") << "its seed is not known";
    market.audit_honestly(patient, 0, honest(0));
    ASSERT_TRUE(market.finalize(patient).ok);
}

TEST_F(queue, a_committee_waits_for_the_replays_before_it) {
    const std::vector<uint64_t> jobs = committed_jobs(2);
    ASSERT_TRUE(open_audit(jobs[1]).ok);
    const std::vector<Address> first_three = market.auditors(jobs[1], 0);
    fill_replays(jobs[0]);
    const uint64_t now = market.chain.number();
    QueueBooks books(market);
    books.seat(QueueKind::replays, 7, 20 * spec.unit_work, kLargest, kTotal, now);
    const uint64_t blocks = books.blocks_to_room(QueueKind::replays, now);
    EXPECT_EQ(market.audit_queue(), (QueueView{0, blocks}));
    let_serve_fail(jobs[1]);
    const SegmentView s = market.segment(jobs[1], 0);
    EXPECT_EQ(s.state, SegmentState::committed);
    EXPECT_EQ(s.round, 1u);
    EXPECT_EQ(s.phase_deadline, 0u);
    EXPECT_EQ(market.phase(jobs[1], 0), Phase::none);
    EXPECT_EQ(market.audit_wait(jobs[1], 0), blocks);
    EXPECT_EQ(market.serve(kProvider, jobs[1], 0).error(), "WrongState") << "it had its chance";
    EXPECT_EQ(market.commit_answer(first_three[0], jobs[1], 0, Verdict::match, {}).error(),
              "WrongState");
    market.chain.mine(blocks - 1);
    EXPECT_EQ(open_audit(jobs[1]).error(), busy_until(now + blocks));
    market.chain.mine();
    ASSERT_TRUE(open_audit(jobs[1]).ok);
    ASSERT_EQ(state(jobs[1]), SegmentState::l1);
    const std::vector<Address> committee = market.auditors(jobs[1], 0);
    ASSERT_EQ(committee.size(), 7u);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(committee[i], first_three[i]) << "level 0's draw";
    market.run_level1(jobs[1], 0, honest(0));
    EXPECT_EQ(state(jobs[1]), SegmentState::accepted);
    expect_solvent(2);
}

TEST_F(queue, whoever_raised_an_alarm_is_held_to_it_while_the_committee_waits) {
    for (const Address& v : market.validators) ASSERT_TRUE(leave(v).ok);
    const std::vector<uint64_t> jobs = committed_jobs(2);
    ASSERT_TRUE(open_audit(jobs[1]).ok);
    const Address liar = market.auditors(jobs[1], 0)[0];
    ASSERT_TRUE(market.serve(kProvider, jobs[1], 0).ok);
    fill_replays(jobs[0]);
    market.run_round(jobs[1], 0, honest(0), {{liar, Manners::alarm}});
    ASSERT_EQ(state(jobs[1]), SegmentState::committed);
    const uint64_t waits_since = market.chain.number();
    market.chain.mine(waits_since + 2 * kAuditBlocks - market.chain.number());
    EXPECT_EQ(take_out(liar).error(), "Held");
    market.chain.mine();
    EXPECT_TRUE(take_out(liar).ok);
}

struct QueueWithLots : Queue {
    QueueWithLots() : Queue({{"replayBps", 10'000}}) {}
};
using queue_with_lots = QueueWithLots;

TEST_F(queue_with_lots, a_pair_waits_and_then_the_committee_that_it_calls) {
    const std::vector<uint64_t> jobs = committed_jobs(2);
    ASSERT_TRUE(open_audit(jobs[1]).ok);
    ASSERT_TRUE(market.serve(kProvider, jobs[1], 0).ok);
    fill_replays(jobs[0]);
    market.run_round(jobs[1], 0, honest(0));
    ASSERT_TRUE(market.open(kProvider, jobs[1], 0, honest(0)).ok);
    EXPECT_EQ(state(jobs[1]), SegmentState::committed) << "not accepted: it was drawn";
    EXPECT_EQ(market.segment(jobs[1], 0).round, 0u);
    EXPECT_EQ(market.finalize(jobs[1]).error(), "NotYet");
    wait_for_room(jobs[1]);
    ASSERT_TRUE(open_audit(jobs[1]).ok);
    ASSERT_EQ(state(jobs[1]), SegmentState::l1);
    const std::vector<Address> pair = market.auditors(jobs[1], 0);
    ASSERT_EQ(pair.size(), 2u);
    market.run_level1(jobs[1], 0, honest(0), {{pair[0], Manners::wrong}});
    ASSERT_EQ(state(jobs[1]), SegmentState::committed) << "the pair's own work fills the queue";
    EXPECT_EQ(market.segment(jobs[1], 0).round, 1u);
    wait_for_room(jobs[1]);
    ASSERT_TRUE(open_audit(jobs[1]).ok);
    EXPECT_EQ(market.auditors(jobs[1], 0).size(), 7u);
    market.run_level1(jobs[1], 0, honest(0));
    EXPECT_EQ(state(jobs[1]), SegmentState::accepted);
    expect_solvent(2);
}

TEST_F(queue, a_claim_of_divergence_waits_with_the_replays) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit_divergence(kProvider, job, 0, honest(0).first(), 3).ok);
    const uint64_t other = committed_jobs(1)[0];
    fill_replays(other);
    EXPECT_GT(market.audit_wait(job, 0), 0u);
    ASSERT_TRUE(open_audit(job).ok);
    EXPECT_EQ(state(job), SegmentState::committed);
    wait_for_room(job);
    ASSERT_TRUE(open_audit(job).ok);
    EXPECT_EQ(state(job), SegmentState::l1);
    market.run_level1(job, 0, honest(0).diverging_at(3));
    EXPECT_EQ(state(job), SegmentState::accepted);
}

struct QueueWithWindow : Queue {
    QueueWithWindow() : Queue({{"windowBlocks", 30}}) {}
};
using queue_with_window = QueueWithWindow;

TEST_F(queue_with_window, a_challenge_waits_and_nobody_is_paid_meanwhile) {
    const uint64_t job = taken_job();
    ASSERT_TRUE(market.commit(kProvider, job, 0, fake(0)).ok);
    const uint64_t other = committed_jobs(1)[0];
    market.audit_honestly(job, 0, fake(0));  // the auditors were bought
    fill_replays(other);
    ASSERT_EQ(state(job), SegmentState::accepted);
    ASSERT_TRUE(market.challenge(kOutsider, job, 0, market.challenge_bond(job, 0)).ok);
    know_seed(job);
    const Sent drawn = open_audit(job);
    ASSERT_TRUE(drawn.ok);
    told(drawn, "AuditWaits(uint256,uint32,uint256)");
    market.chain.mine(90);  // windows would be over
    EXPECT_EQ(open_audit(job).error().substr(0, 13), "AuditorsBusy(");
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
    EXPECT_EQ(state(job), SegmentState::committed);
    wait_for_room(job);
    ASSERT_TRUE(open_audit(job).ok);
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(state(job), SegmentState::convicted);
}

TEST_F(queue, substitutes_are_seated_at_once_and_others_wait_for_them) {
    const std::vector<uint64_t> jobs = committed_jobs(3);
    ASSERT_TRUE(open_audit(jobs[0]).ok);
    ASSERT_TRUE(market.serve(kProvider, jobs[0], 0).ok);
    market.chain.mine(kCommit);
    ASSERT_TRUE(open_audit(jobs[1]).ok);
    ASSERT_TRUE(open_audit(jobs[2]).ok);
    EXPECT_EQ(market.audit_queue(), (QueueView{7, 0}));
    market.pass_deadline(jobs[0], 0);
    EXPECT_EQ(market.segment(jobs[0], 0).round, 1u);
    EXPECT_EQ(market.auditors(jobs[0], 0).size(), 3u);
    EXPECT_EQ(market.audit_queue(), (QueueView{7 + 13 - 1 + 1, 0})) << "13.48 more, a block later";
}

struct QueueOfOne : Queue {
    QueueOfOne() : Queue({{"maxInFlight", 1}}) {}
};
using queue_of_one = QueueOfOne;

TEST_F(queue_of_one, a_provider_whose_pipeline_waits_for_auditors_is_not_late) {
    const std::vector<uint64_t> jobs = committed_jobs(4);
    for (const uint64_t job : jobs) ASSERT_TRUE(open_audit(job).ok);
    ASSERT_EQ(state(jobs[3]), SegmentState::committed);
    market.chain.mine(spec.segment_blocks * 2);
    EXPECT_EQ(market.simple(kAnyone, "evict", jobs[3]).error(), "NotYet");
    market.audit_honestly(jobs[3], 0, honest(0));
    ASSERT_TRUE(market.finalize(jobs[3]).ok);
    EXPECT_EQ(market.job(jobs[3]).segment_deadline, market.chain.number() + spec.segment_blocks);
    EXPECT_EQ(reserved(kProvider), market.bond_of(jobs[3], kProvider) * 4);
}

TEST_F(queue, a_job_whose_deadline_passes_while_it_waits_is_audited_paid_and_closed) {
    const std::vector<uint64_t> jobs = committed_jobs(3);
    for (const uint64_t job : jobs) ASSERT_TRUE(open_audit(job).ok);
    ASSERT_EQ(state(jobs[2]), SegmentState::committed);
    market.chain.skip_seconds(86'401);
    ASSERT_TRUE(market.simple(kAnyone, "expire", jobs[2]).ok);
    market.audit_honestly(jobs[2], 0, honest(0));
    ASSERT_TRUE(market.finalize(jobs[2]).ok);
    ASSERT_TRUE(market.simple(kAnyone, "close", jobs[2]).ok);
    EXPECT_EQ(market.credit(kProvider), kCoin - kCoin / 20);
    EXPECT_EQ(market.bond_of(jobs[2], kProvider), 0);
    expect_solvent(3);
}

TEST_F(queue, a_set_knows_its_sum_and_its_heaviest) {
    const Address& staking = market.chain.address("Staking");
    market.chain.give(market.validators[3], kCoin * 20);
    const Abi to = Abi().address(market.validators[3]);
    const Bytes deposit = call_data("deposit(address)", to);
    ASSERT_TRUE(market.chain.send(market.validators[3], staking, deposit, kCoin * 20).ok);
    market.chain.mine(64 * 3);
    std::set<Uint256> seen;
    for (const uint64_t mini_epoch : {0u, 8u, 16u, 24u}) {
        Uint256 total, largest;
        for (const Address& v : market.validators) {
            const Uint256 weight = market.weight_of(v, mini_epoch);
            total += weight;
            largest = std::max(largest, weight);
        }
        const Bytes out =
            market.chain.call(staking, call_data("spread(uint256)", Abi().word(mini_epoch)));
        EXPECT_EQ(word_at(out, 0), total);
        EXPECT_EQ(word_at(out, 1), largest);
        seen.insert(largest);
    }
    EXPECT_EQ(seen.size(), 2u) << "the deposit counts from some epoch on";
}

}  // namespace
}  // namespace trainyard::contracts
