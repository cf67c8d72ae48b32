// SPDX-License-Identifier: Apache-2.0
// The watch's decisions.
#include "node/verify/job_watch.hpp"

#include <algorithm>

namespace trainyard::node::verify {
namespace {

using wallet::Job;
using wallet::JobState;
using wallet::Segment;
using wallet::SegmentState;

/// What could not be judged is tried again: blobs arrive late, devices recover.
constexpr uint64_t kRetryBlocks = 16;

/// What stands at and behind the tip fell with a segment before it, and may not say so.
bool is_claim(const Job& job, uint32_t seg, const Segment& segment) {
    return seg < job.tip && segment.state != SegmentState::none &&
           segment.state != SegmentState::void_;
}

/// A segment that has no end has nothing to play for before the referee.
bool has_no_game(const Segment& segment, Court court) {
    return court == Court::referee && segment.diverges_at != 0;
}

/// A transaction that is sent at `head` stands in the next block at the earliest.
bool can_be_contested(const Segment& segment, Court court, uint64_t head) {
    const bool is_open = segment.state == SegmentState::accepted ||
                         (segment.state == SegmentState::appealed && court == Court::referee);
    return court != Court::none && is_open && head + 1 < segment.phase_deadline;
}

}  // namespace

void JobWatch::begin(const Job& job) {
    if (has_begun_) return;
    has_begun_ = true;
    attempt_ = job.attempt;
    done_ = std::max(rules_.from, rules_.final_too ? 0 : job.final_segments);
}

std::vector<uint32_t> JobWatch::wanted(uint64_t head, const Job& job) {
    begin(job);
    std::vector<uint32_t> out = candidates(head, job);
    for (const auto& [seg, claim] : claims_)
        if (claim.is_pending() || job.attempt != attempt_) out.push_back(seg);
    return out;
}

/// The segments that may be replayed next, best first.
std::vector<uint32_t> JobWatch::candidates(uint64_t head, const Job& job) const {
    const uint32_t end = std::min(job.tip, rules_.to);
    uint32_t held_from = UINT32_MAX;
    for (const auto& [seg, claim] : claims_)
        if (claim.is_pending() && rules_.court != Court::none) held_from = std::min(held_from, seg);
    std::vector<uint32_t> out;
    const auto add_first = [&](uint32_t from, uint32_t to) {
        while (from < to && claims_.contains(from)) ++from;
        if (from < std::min(to, held_from)) out.push_back(from);
    };
    add_first(std::max(done_, job.final_segments), end);
    for (const auto& [seg, claim] : claims_) {
        const bool is_due = claim.finding == Finding::unjudged && head >= claim.at + kRetryBlocks;
        if (!is_due || !rules_.follows || seg < job.final_segments) continue;
        if (seg < std::min(end, held_from)) out.push_back(seg);
    }
    add_first(done_, std::min(end, job.final_segments));
    return out;
}

WatchTask JobWatch::step(const WatchView& view) {
    begin(view.job);
    const WatchTask pending = look_at_pending(view);
    if (!std::holds_alternative<Wait>(pending)) return pending;
    forget_void(view);
    forget_paid(view.job);
    const auto next = candidates(view.head, view.job);
    for (const uint32_t seg : next) {
        const auto segment = view.segments.find(seg);
        if (segment != view.segments.end() && is_claim(view.job, seg, segment->second))
            return Replay{seg};
    }
    const bool is_idle =
        next.empty() && std::none_of(claims_.begin(), claims_.end(),
                                     [](const auto& c) { return c.second.is_pending(); });
    const bool is_over = !rules_.follows || view.job.state == JobState::closed;
    return is_over && is_idle ? WatchTask(Stop{}) : WatchTask(Wait{});
}

WatchTask JobWatch::look_at_pending(const WatchView& view) {
    for (auto at = claims_.begin(); at != claims_.end(); ++at) {
        if (!at->second.is_pending()) continue;
        WatchTask task = look_at(view, at);
        if (!std::holds_alternative<Wait>(task)) return task;
    }
    return Wait{};
}

WatchTask JobWatch::look_at(const WatchView& view, Claims::iterator at) {
    const auto found = view.segments.find(at->first);
    if (found == view.segments.end()) return Wait{};
    const Segment& segment = found->second;
    auto& [seg, claim] = *at;
    const bool is_ours = claim.stage == Stage::contested;
    const bool is_before_referee = rules_.court == Court::referee;
    Tell tell{seg, claim.attempt, is_ours, Ending::fell};
    if (!is_claim(view.job, seg, segment) || segment.attempt != claim.attempt) {
        claims_.erase(at);
        return tell;
    }
    if (is_ours && view.head < claim.at) return Wait{};  // a node that is behind
    if (segment.state == SegmentState::final_)
        tell.ending = is_ours ? Ending::dismissed : Ending::paid;
    else if (is_ours && segment.state == SegmentState::accepted)
        tell.ending = Ending::dismissed;
    else if (is_ours && segment.state == SegmentState::appealed)
        tell.ending = is_before_referee ? Ending::dismissed : Ending::appealed;
    else if (is_before_referee && segment.state == SegmentState::disputed)
        return Play{seg};  // perhaps ours, of before this watch was started
    else if (is_ours)
        return Wait{};
    else if (has_no_game(segment, rules_.court))
        tell.ending = Ending::no_game;
    else if (can_be_contested(segment, rules_.court, view.head))
        return Contest{seg, claim.attempt};
    else if (rules_.court != Court::none && segment.state == SegmentState::accepted)
        tell.ending = Ending::window_over;
    else if (!rules_.follows)
        tell.ending = Ending::too_early;
    else
        return Wait{};
    claim.stage = Stage::over;
    return tell;
}

/// After a void the segments from there on are committed anew, or will be.
void JobWatch::forget_void(const WatchView& view) {
    if (view.job.attempt == attempt_) return;
    attempt_ = view.job.attempt;
    std::erase_if(claims_, [&](const auto& entry) {
        const auto& [seg, claim] = entry;
        const auto now = view.segments.find(seg);
        return now == view.segments.end() || !is_claim(view.job, seg, now->second) ||
               now->second.attempt != claim.attempt;
    });
}

void JobWatch::forget_paid(const Job& job) {
    for (; done_ < std::min(job.final_segments, rules_.to); ++done_) {
        const auto claim = claims_.find(done_);
        if (claim == claims_.end() || claim->second.is_pending()) return;
        if (claim->second.finding == Finding::unjudged) ++counts_.unjudged;
        claims_.erase(claim);
    }
}

void JobWatch::on_replayed(uint32_t seg, uint32_t attempt, Finding finding, uint64_t head) {
    const bool may_change = rules_.follows || rules_.court != Court::none;
    const bool is_open = finding == Finding::mismatch && may_change;
    claims_[seg] = {attempt, finding, is_open ? Stage::open : Stage::over, head};
    if (finding == Finding::match) ++counts_.matches;
    if (finding == Finding::mismatch) ++counts_.mismatches;
}

void JobWatch::on_contested(uint32_t seg, uint64_t head) {
    const auto claim = claims_.find(seg);
    if (claim == claims_.end()) return;
    claim->second.stage = Stage::contested;
    claim->second.at = head;
}

void JobWatch::on_not_contested(uint32_t seg) {
    const auto claim = claims_.find(seg);
    if (claim != claims_.end()) claim->second.stage = Stage::over;
}

WatchCounts JobWatch::counts() const {
    WatchCounts out = counts_;
    for (const auto& [seg, claim] : claims_) out.unjudged += claim.finding == Finding::unjudged;
    return out;
}

}  // namespace trainyard::node::verify
