// SPDX-License-Identifier: Apache-2.0
// Standing by segments that are called wrong: moves in disputes, appeals against convictions.
#include "node/provider/trials.hpp"

#include <algorithm>
#include <vector>

#include "node/wallet/coins.hpp"

namespace trainyard::node::provider {

using wallet::coins;
using wallet::in_coins;
using wallet::SegmentState;
using Nudge = wallet::MarketApi::Nudge;

namespace {

constexpr uint64_t kPatienceBlocks = 3;  // until what failed is tried again, then twice as many
constexpr uint32_t kDoublingsMax = 6;
constexpr uint64_t kLastBlocks = 4;  // in which an appeal does not wait for a replay any more

std::string account_of(const Address& who) {
    return to_hex0x(who.bytes);
}

/// What a replay gives other than was committed, in words; empty if nothing.
std::string difference(const training::ReplayResult& replay, const wallet::Segment& segment) {
    const bool is_step = replay.steps_root != segment.steps_root;
    if (replay.last_root == segment.last && !is_step)
        return replay.loss_bits == segment.loss_bits ? "" : "another loss";
    if (replay.last_root == segment.last) return "another step";
    return is_step ? "another step and another state after it" : "another state after it";
}

}  // namespace

Trials::Trials(wallet::MarketApi& market, TrialsOptions options)
    : market_(market), options_(std::move(options)), defence_(options_.defence) {}

bool Trials::look_after(uint32_t seg, const wallet::Segment& segment, uint64_t head) {
    head_ = head;
    switch (segment.state) {
        case SegmentState::disputed:
            answer_dispute(seg, segment, trials_[seg]);
            return true;
        case SegmentState::convicted:
            answer_conviction(seg, segment, trials_[seg]);
            return true;
        case SegmentState::appealed:
            await_disputes(seg, segment, trials_[seg]);
            return true;
        default:
            end(seg, true);
            return false;
    }
}

void Trials::end_settled(const wallet::Job& job) {
    std::vector<uint32_t> over;
    for (const auto& [seg, trial] : trials_)
        if (seg < job.final_segments || seg >= job.tip) over.push_back(seg);
    for (const uint32_t seg : over) end(seg, seg < job.final_segments);
}

void Trials::end(uint32_t seg, bool is_right) {
    const auto found = trials_.find(seg);
    if (found == trials_.end()) return;
    const SegmentState was = found->second.state;
    trials_.erase(found);
    defence_.forget(seg);
    if (!is_right || was == SegmentState::none) return;
    const bool was_disputed = was == SegmentState::disputed;
    options_.on_event(make_event(was_disputed ? Event::Kind::won : Event::Kind::acquitted, seg));
}

void Trials::note_dispute(uint32_t seg, const wallet::Segment& segment,
                          const wallet::Dispute& dispute, Trial& trial) {
    const bool was_disputed = trial.state == SegmentState::disputed;
    if (was_disputed && trial.lost == dispute.lost) return;
    if (was_disputed) options_.on_event(make_event(Event::Kind::won, seg));
    trial = {};
    trial.state = SegmentState::disputed;
    trial.lost = dispute.lost;
    Event event = make_event(Event::Kind::disputed, seg);
    if (dispute.moves == 0) event.block = dispute.moved_at;
    event.text = "by " + account_of(dispute.challenger) + " for " + in_coins(dispute.bond_wei) +
                 "; the next move is due in block " + std::to_string(segment.phase_deadline);
    options_.on_event(std::move(event));
}

void Trials::answer_dispute(uint32_t seg, const wallet::Segment& segment, Trial& trial) {
    const auto dispute = market_.dispute_of(options_.job, seg);
    if (!dispute || dispute->challenger == Address{}) return;
    note_dispute(seg, segment, *dispute, trial);
    const bool is_over = head_ > segment.phase_deadline;
    if (dispute->is_challengers) {
        if (is_over) options_.nudge(Nudge::timeout, seg, true);
        return;
    }
    if (is_over) {
        warn(seg, trial, "no move was made in time, which loses the dispute");
        return options_.nudge(Nudge::timeout, seg, false);
    }
    if (head_ < trial.wait_until) return;
    if (!defence_.is_asked(seg, dispute->state_hash))
        return ask_for_move(seg, segment, *dispute, trial);
    const auto answer = defence_.answer(seg, dispute->state_hash);
    if (!answer) return;
    if (answer->failure.empty()) return play(seg, *dispute, *answer, trial);
    compute_again(seg, trial, "there is no move in its dispute: " + answer->failure);
}

void Trials::ask_for_move(uint32_t seg, const wallet::Segment& segment,
                          const wallet::Dispute& dispute, Trial& trial) {
    auto state = market_.dispute_state(options_.job, seg, dispute);
    if (!state) {
        trial.wait_until = head_ + 1;
        return warn(seg, trial, "cannot read its dispute: " + state.error().text);
    }
    bring_state(seg, segment, trial);
    defence_.ask({seg, segment.phase_deadline, dispute.state_hash, std::move(*state)});
}

/// Before a second try: what the segment begins with may be damaged or gone.
void Trials::bring_state(uint32_t seg, const wallet::Segment& segment, Trial& trial) {
    if (trial.tries == 0) return;
    const auto reason = options_.fetch_state(seg, segment.first);
    if (!reason.empty()) warn(seg, trial, reason);
}

void Trials::play(uint32_t seg, const wallet::Dispute& dispute, const Defence::Answer& answer,
                  Trial& trial) {
    const auto sent = market_.play(options_.job, seg, answer.state, answer.move);
    if (!sent) {
        trial.wait_until = head_ + 1;
        return warn(seg, trial, "cannot send a move in its dispute: " + sent.error().text);
    }
    trial.tries = 0;
    trial.told.clear();
    Event event = make_event(Event::Kind::moved, seg);
    event.block = sent->block;
    event.tx = sent->tx;
    event.text = "move " + std::to_string(dispute.moves + 1) + ", " + answer.phase;
    options_.on_event(std::move(event));
}

/// Memory comes free, and a bit that flipped does not flip again.
void Trials::compute_again(uint32_t seg, Trial& trial, const std::string& why) {
    warn(seg, trial, why);
    trial.wait_until = head_ + (kPatienceBlocks << std::min(trial.tries++, kDoublingsMax));
    if (trial.last_call > head_) trial.wait_until = std::min(trial.wait_until, trial.last_call);
    defence_.forget(seg);
}

void Trials::note_conviction(uint32_t seg, const wallet::Segment& segment, Trial& trial) {
    if (trial.state == SegmentState::convicted) return;
    trial = {};
    trial.state = SegmentState::convicted;
    const uint64_t left = segment.phase_deadline - std::min(head_, segment.phase_deadline);
    trial.last_call = segment.phase_deadline - std::min(left, std::max(kLastBlocks, left / 8));
    Event event = make_event(Event::Kind::convicted, seg);
    event.text = "it is void after block " + std::to_string(segment.phase_deadline) +
                 " unless this account appeals; replaying it first";
    options_.on_event(std::move(event));
}

/// An appeal of what this machine cannot confirm costs its bond besides, so it replays first; what
/// it has no time to replay it has computed once.
void Trials::answer_conviction(uint32_t seg, const wallet::Segment& segment, Trial& trial) {
    note_conviction(seg, segment, trial);
    if (head_ > segment.phase_deadline) return options_.nudge(Nudge::advance, seg, false);
    if (trial.is_given_up || head_ < trial.wait_until) return;
    if (!defence_.is_asked(seg, {})) {
        bring_state(seg, segment, trial);
        defence_.ask({seg, segment.phase_deadline, {}, {}, segment.steps_root, segment.last});
    }
    const auto answer = defence_.answer(seg, {});
    if (answer && answer->replay) {
        const std::string other = difference(*answer->replay, segment);
        if (other.empty()) return appeal(seg, segment, "replaying it gives the same", trial);
        trial.is_given_up = true;
        return warn(seg, trial,
                    "this machine computed something else the first time: replaying it gives " +
                        other + "; it does not appeal");
    }
    const bool is_last_call =
        head_ >= trial.last_call && options_.defence.job->fault == training::Fault::none;
    if (is_last_call) return appeal(seg, segment, "it could not be replayed in time", trial);
    if (answer) compute_again(seg, trial, "it cannot be replayed: " + answer->failure);
}

void Trials::appeal(uint32_t seg, const wallet::Segment& segment, const std::string& why,
                    Trial& trial) {
    trial.wait_until = head_ + 1;
    const auto bond = market_.appeal_bond(options_.job);
    const auto balance = market_.balance(market_.self());
    if (!bond || !balance) return;
    if (*balance < *bond)
        return warn(seg, trial,
                    "cannot appeal: " + in_coins(*bond - *balance) + " missing of its bond of " +
                        coins(*bond) + ", and gas; send them to " + account_of(market_.self()) +
                        " before block " + std::to_string(segment.phase_deadline));
    options_.on_put_up(seg, segment.attempt);
    const auto sent = market_.appeal(options_.job, seg, *bond);
    if (!sent) return warn(seg, trial, "cannot appeal: " + sent.error().text);
    trial = {};
    trial.state = SegmentState::appealed;
    defence_.forget(seg);
    Event event = make_event(Event::Kind::appealed, seg);
    event.block = sent->block;
    event.tx = sent->tx;
    event.text = "for " + in_coins(*bond) + ": " + why;
    options_.on_event(std::move(event));
}

void Trials::await_disputes(uint32_t seg, const wallet::Segment& segment, Trial& trial) {
    if (trial.state == SegmentState::disputed) options_.on_event(make_event(Event::Kind::won, seg));
    if (trial.state != SegmentState::appealed) {
        options_.on_put_up(seg, segment.attempt);
        trial = {};
        trial.state = SegmentState::appealed;
        defence_.forget(seg);
    }
    if (head_ > segment.phase_deadline) options_.nudge(Nudge::advance, seg, false);
}

/// What may cost the bond, once for each text.
void Trials::warn(uint32_t seg, Trial& trial, const std::string& text) {
    if (trial.told == text) return;
    trial.told = text;
    Event event = make_event(Event::Kind::failed, seg);
    event.text = "segment " + std::to_string(seg) + ": " + text;
    options_.on_event(std::move(event));
}

}  // namespace trainyard::node::provider
