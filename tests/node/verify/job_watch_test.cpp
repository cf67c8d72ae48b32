// SPDX-License-Identifier: Apache-2.0
// What a watcher does at which state of a job.
#include "node/verify/job_watch.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace trainyard::node::verify {
namespace {

using wallet::JobState;
using wallet::SegmentState;

/// A job whose segments the test sets, and a watch over it.
class Watching {
public:
    explicit Watching(WatchRules rules) : watch(rules) { job.state = JobState::active; }

    void commit(uint32_t count, SegmentState state = SegmentState::committed) {
        for (uint32_t i = 0; i < count; ++i, ++job.tip) {
            segments[job.tip] = {};
            segments[job.tip].state = state;
            segments[job.tip].attempt = job.attempt;
            segments[job.tip].phase_deadline = 1000;
        }
    }
    void pay(uint32_t until) {
        for (; job.final_segments < until; ++job.final_segments)
            segments[job.final_segments].state = SegmentState::final_;
    }
    /// As the contract does: what follows falls with it when it is committed anew.
    void make_void(uint32_t seg) {
        segments[seg].state = SegmentState::void_;
        job.tip = seg;
        ++job.attempt;
    }
    WatchTask step() {
        WatchView view{head, job, {}};
        for (const uint32_t seg : watch.wanted(head, job)) view.segments[seg] = segments[seg];
        asked_max = std::max(asked_max, view.segments.size());
        return watch.step(view);
    }
    void answer(uint32_t seg, Finding finding) {
        watch.on_replayed(seg, segments[seg].attempt, finding, head);
    }
    /// Answers replays with a match until there is something else to do; what was replayed.
    std::vector<uint32_t> replay_all() {
        std::vector<uint32_t> out;
        for (;;) {
            last = step();
            const auto* replay = std::get_if<Replay>(&last);
            if (replay == nullptr) return out;
            out.push_back(replay->seg);
            answer(replay->seg, Finding::match);
        }
    }

    uint64_t head = 100;
    wallet::Job job;
    std::map<uint32_t, wallet::Segment> segments;
    JobWatch watch;
    WatchTask last;
    size_t asked_max = 0;
};

using Segs = std::vector<uint32_t>;
const WatchTask kWait = Wait{}, kStop = Stop{};

TEST(job_watch, replays_what_is_not_final_and_stops) {
    Watching w({});
    w.commit(5);
    w.pay(2);
    EXPECT_EQ(w.replay_all(), (Segs{2, 3, 4}));
    EXPECT_EQ(w.last, kStop);
    EXPECT_EQ(w.watch.counts(), (WatchCounts{3, 0, 0}));
}

TEST(job_watch, takes_what_may_still_be_challenged_before_what_is_paid) {
    Watching w({.final_too = true});
    w.commit(5);
    w.pay(2);
    EXPECT_EQ(w.replay_all(), (Segs{2, 3, 4, 0, 1}));
    EXPECT_EQ(w.last, kStop);
}

TEST(job_watch, keeps_to_its_range) {
    Watching w({.from = 1, .to = 4, .final_too = true});
    w.commit(9);
    w.pay(2);
    EXPECT_EQ(w.replay_all(), (Segs{2, 3, 1}));
    EXPECT_EQ(w.last, kStop);
}

TEST(job_watch, stops_at_once_where_nothing_is_committed) {
    Watching w({});
    EXPECT_EQ(w.step(), kStop);
    EXPECT_EQ(w.watch.counts(), WatchCounts{});
}

TEST(job_watch, follows_to_the_end_of_the_job_with_what_is_paid_meanwhile) {
    Watching w({.follows = true});
    w.commit(2);
    EXPECT_EQ(w.replay_all(), (Segs{0, 1}));
    EXPECT_EQ(w.last, kWait);
    w.commit(2);
    w.pay(4);
    EXPECT_EQ(w.replay_all(), (Segs{2, 3}));
    EXPECT_EQ(w.last, kWait);
    w.job.state = JobState::closed;
    EXPECT_EQ(w.step(), kStop);
    EXPECT_EQ(w.watch.counts(), (WatchCounts{4, 0, 0}));
}

TEST(job_watch, remembers_no_more_than_what_is_not_final) {
    Watching w({.follows = true});
    for (uint32_t i = 0; i < 1000; ++i) {
        w.commit(1);
        w.replay_all();
        w.pay(w.job.tip > 3 ? w.job.tip - 3 : 0);
        EXPECT_LE(w.watch.remembered(), 5U);
    }
    EXPECT_LE(w.asked_max, 3U) << "segments asked for in a step";
    EXPECT_EQ(w.watch.counts().matches, 1000U);
}

TEST(job_watch, replays_again_what_is_committed_anew_after_a_void) {
    Watching w({.follows = true});
    w.commit(4);
    w.pay(1);
    w.replay_all();
    w.make_void(2);
    w.commit(1);
    EXPECT_EQ(w.replay_all(), Segs{2});
    w.commit(2);
    EXPECT_EQ(w.replay_all(), (Segs{3, 4}));
}

TEST(job_watch, without_leave_to_challenge_it_tells_and_goes_on) {
    Watching w({.follows = true});
    w.commit(2, SegmentState::accepted);
    EXPECT_EQ(w.step(), WatchTask(Replay{0}));
    w.answer(0, Finding::mismatch);
    EXPECT_EQ(w.step(), WatchTask(Replay{1}));
    w.answer(1, Finding::match);
    EXPECT_EQ(w.step(), kWait);
    w.pay(1);
    EXPECT_EQ(w.step(), WatchTask(Tell{0, 0, false, Ending::paid}));
    EXPECT_EQ(w.step(), kWait);
    EXPECT_EQ(w.watch.counts(), (WatchCounts{1, 1, 0}));
}

TEST(job_watch, challenges_a_mismatch_once_it_is_accepted_and_before_any_other_replay) {
    Watching w({.follows = true, .court = Court::committee});
    w.commit(3);
    EXPECT_EQ(w.step(), WatchTask(Replay{0}));
    w.answer(0, Finding::mismatch);
    EXPECT_EQ(w.step(), kWait) << "it is not accepted yet, and what follows would fall with it";
    w.segments[0].state = SegmentState::l0;
    EXPECT_EQ(w.step(), kWait);
    w.segments[0].state = SegmentState::accepted;
    EXPECT_EQ(w.step(), WatchTask(Contest{0, 0}));
    EXPECT_EQ(w.step(), WatchTask(Contest{0, 0})) << "until it is told that it was sent";
    w.watch.on_contested(0, w.head + 1);
    EXPECT_EQ(w.step(), kWait) << "this node has not seen it yet";
    ++w.head;
    w.segments[0].state = SegmentState::l1;
    EXPECT_EQ(w.step(), kWait);
    w.make_void(0);
    EXPECT_EQ(w.step(), WatchTask(Tell{0, 0, true, Ending::fell}));
    w.commit(1);
    EXPECT_EQ(w.replay_all(), Segs{0});
    EXPECT_EQ(w.watch.counts(), (WatchCounts{1, 1, 0}));
}

TEST(job_watch, knows_that_its_challenge_won_though_the_segment_is_there_again) {
    Watching w({.follows = true, .court = Court::committee});
    w.commit(1, SegmentState::accepted);
    w.step();
    w.answer(0, Finding::mismatch);
    w.watch.on_contested(0, w.head);
    w.make_void(0);
    w.commit(1, SegmentState::accepted);
    EXPECT_EQ(w.step(), WatchTask(Tell{0, 0, true, Ending::fell}));
    EXPECT_EQ(w.replay_all(), Segs{0});
}

TEST(job_watch, a_dismissed_challenge_is_told_and_not_repeated) {
    Watching w({.court = Court::committee});
    w.commit(2, SegmentState::accepted);
    w.step();
    w.answer(0, Finding::mismatch);
    EXPECT_EQ(w.step(), WatchTask(Contest{0, 0}));
    w.watch.on_contested(0, w.head);
    w.segments[0].state = SegmentState::l1;
    EXPECT_EQ(w.step(), kWait) << "for its outcome, though it does not follow";
    w.segments[0].state = SegmentState::accepted;
    EXPECT_EQ(w.step(), WatchTask(Tell{0, 0, true, Ending::dismissed}));
    EXPECT_EQ(w.replay_all(), Segs{1});
    EXPECT_EQ(w.last, kStop);
}

TEST(job_watch, the_last_block_of_the_window_is_too_late) {
    for (const uint64_t left : {0U, 1U, 2U}) {
        Watching w({.court = Court::committee});
        w.commit(1, SegmentState::accepted);
        w.step();
        w.answer(0, Finding::mismatch);
        w.segments[0].phase_deadline = w.head + left;
        const WatchTask late = Tell{0, 0, false, Ending::window_over};
        EXPECT_EQ(w.step(), left == 2 ? WatchTask(Contest{0, 0}) : late) << left;
    }
}

TEST(job_watch, never_challenges_what_it_could_not_judge_or_what_matches) {
    for (const Finding finding : {Finding::match, Finding::unjudged}) {
        Watching w({.court = Court::committee});
        w.commit(1, SegmentState::accepted);
        w.step();
        w.answer(0, finding);
        EXPECT_EQ(w.step(), kStop);
    }
}

TEST(job_watch, a_mismatch_under_audit_is_told_where_it_does_not_follow) {
    Watching w({.court = Court::committee});
    w.commit(2, SegmentState::l0);
    w.step();
    w.answer(0, Finding::mismatch);
    EXPECT_EQ(w.step(), WatchTask(Tell{0, 0, false, Ending::too_early}));
    EXPECT_EQ(w.step(), WatchTask(Replay{1}));
}

TEST(job_watch, a_challenge_that_was_refused_is_not_tried_again) {
    Watching w({.follows = true, .court = Court::committee});
    w.commit(2, SegmentState::accepted);
    w.step();
    w.answer(0, Finding::mismatch);
    w.watch.on_not_contested(0);
    EXPECT_EQ(w.replay_all(), Segs{1});
    EXPECT_EQ(w.last, kWait);
}

TEST(job_watch, what_could_not_be_judged_is_tried_again_until_it_is_paid) {
    Watching w({.follows = true});
    w.commit(2);
    w.step();
    w.answer(0, Finding::unjudged);
    EXPECT_EQ(w.replay_all(), Segs{1});
    EXPECT_EQ(w.watch.counts(), (WatchCounts{1, 0, 1}));
    w.head += 16;
    EXPECT_EQ(w.step(), WatchTask(Replay{0}));
    w.answer(0, Finding::unjudged);
    EXPECT_EQ(w.step(), kWait);
    w.pay(2);
    w.head += 16;
    EXPECT_EQ(w.step(), kWait);
    EXPECT_EQ(w.watch.counts(), (WatchCounts{1, 0, 1}));
    EXPECT_EQ(w.watch.remembered(), 0U);
}

TEST(job_watch, a_dispute_is_played_until_the_segment_falls) {
    Watching w({.follows = true, .court = Court::referee});
    w.commit(2, SegmentState::accepted);
    w.step();
    w.answer(0, Finding::mismatch);
    EXPECT_EQ(w.step(), WatchTask(Contest{0, 0}));
    w.watch.on_contested(0, w.head);
    w.segments[0].state = SegmentState::disputed;
    EXPECT_EQ(w.step(), WatchTask(Play{0}));
    EXPECT_EQ(w.step(), WatchTask(Play{0})) << "the provider thinks";
    w.make_void(0);
    EXPECT_EQ(w.step(), WatchTask(Tell{0, 0, true, Ending::fell}));
}

TEST(job_watch, a_dispute_of_an_earlier_watch_is_played_on) {
    Watching w({.court = Court::referee});
    w.commit(1, SegmentState::disputed);
    EXPECT_EQ(w.step(), WatchTask(Replay{0}));
    w.answer(0, Finding::mismatch);
    EXPECT_EQ(w.step(), WatchTask(Play{0}));
    w.watch.on_contested(0, w.head);
    w.segments[0].state = SegmentState::accepted;
    EXPECT_EQ(w.step(), WatchTask(Tell{0, 0, true, Ending::dismissed}));
    EXPECT_EQ(w.step(), kStop) << "once for each claim";
}

TEST(job_watch, an_appealed_segment_is_for_the_referee_alone) {
    for (const Court court : {Court::committee, Court::referee}) {
        Watching w({.follows = true, .court = court});
        w.commit(1, SegmentState::convicted);
        w.step();
        w.answer(0, Finding::mismatch);
        EXPECT_EQ(w.step(), kWait) << "its provider may appeal";
        w.segments[0].state = SegmentState::appealed;
        EXPECT_EQ(w.step(), court == Court::referee ? WatchTask(Contest{0, 0}) : kWait);
    }
}

TEST(job_watch, tells_that_what_its_challenge_convicted_is_appealed) {
    Watching w({.follows = true, .court = Court::committee});
    w.commit(1, SegmentState::accepted);
    w.step();
    w.answer(0, Finding::mismatch);
    w.step();
    w.watch.on_contested(0, w.head);
    w.segments[0].state = SegmentState::convicted;
    EXPECT_EQ(w.step(), kWait);
    w.segments[0].state = SegmentState::appealed;
    EXPECT_EQ(w.step(), WatchTask(Tell{0, 0, true, Ending::appealed}));
}

TEST(job_watch, takes_a_claim_of_divergence_to_a_committee_and_never_before_the_referee) {
    for (const Court court : {Court::committee, Court::referee}) {
        Watching w({.follows = true, .court = court});
        w.commit(1, SegmentState::accepted);
        w.segments[0].diverges_at = 3;
        ASSERT_EQ(w.step(), WatchTask(Replay{0}));
        w.answer(0, Finding::mismatch);
        const WatchTask due = court == Court::committee
                                  ? WatchTask(Contest{0, 0})
                                  : WatchTask(Tell{0, 0, false, Ending::no_game});
        EXPECT_EQ(w.step(), due);
        if (court == Court::referee) {
            EXPECT_EQ(w.step(), kWait) << "told once";
        }
    }
}

}  // namespace
}  // namespace trainyard::node::verify
