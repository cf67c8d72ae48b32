// SPDX-License-Identifier: Apache-2.0
// The order of questions when catching up.
#include "node/sync/sync_plan.hpp"

#include <algorithm>

#include "core/assert.hpp"

namespace trainyard::sync {

void SyncPlan::on_status(const PublicKey& peer, Height finalised) {
    Peer& known = peers_[peer];
    known.finalised = finalised;
    known.is_up = true;
}

void SyncPlan::on_peer_down(const PublicKey& peer) {
    const auto found = peers_.find(peer);
    if (found == peers_.end()) return;
    found->second.is_up = false;  // kept while answers to it are open
    if (found->second.in_flight == 0) peers_.erase(found);
}

Height SyncPlan::best_known() const {
    Height best = applied_;
    for (const auto& [id, peer] : peers_) {
        if (peer.is_up) best = std::max(best, peer.finalised);
    }
    return best;
}

Height SyncPlan::best_shown() const {
    Height best = std::max(finalised_, wanted_);
    for (const auto& [id, peer] : peers_) {
        if (peer.is_up && peer.has_given) best = std::max(best, peer.finalised);
    }
    return best;
}

void SyncPlan::want(Height height) {
    wanted_ = std::max(wanted_, height);
}

// Consensus may have gone on past ranges that are planned; what is below is of no use any more.
void SyncPlan::on_own_height(Height finalised, uint64_t now_ms) {
    if (is_applying_) return;
    finalised_ = std::max(finalised_, finalised);
    if (finalised >= applied_) giver_.reset();
    if (finalised > applied_) {
        applied_ = finalised;
        behind_since_ms_ = now_ms;
        if (!ranges_.empty() && ranges_.begin()->first <= finalised) ranges_.clear();
    }
}

void SyncPlan::decide(uint64_t now_ms) {
    const Height best = best_known();
    if (best <= applied_) {
        behind_since_ms_.reset();
        is_active_ = false;
        return;
    }
    if (!behind_since_ms_) behind_since_ms_ = now_ms;
    is_active_ = is_active_ || best - applied_ >= limits_.lag_blocks || wanted_ > applied_ ||
                 now_ms - *behind_since_ms_ >= limits_.lag_ms;
}

void SyncPlan::plan_ranges() {
    const Height best = best_known();
    Height next = (is_applying_ ? std::max(applied_, taken_) : applied_) + 1;
    if (!ranges_.empty()) next = ranges_.rbegin()->first + ranges_.rbegin()->second.count;
    while (ranges_.size() < limits_.ranges_ahead && next <= best) {
        const uint64_t left = best - next + 1;
        const auto count = static_cast<uint32_t>(std::min<uint64_t>(left, limits_.range_blocks));
        ranges_[next] = Range{.count = count, .asked = {}, .given = {}, .blocks = {}};
        next = next + count;
    }
}

// The least busy peer that has the whole range, by id among equals.
SyncPlan::Peer* SyncPlan::pick(Height last, uint64_t now_ms, PublicKey& id) {
    Peer* best = nullptr;
    for (auto& [key, peer] : peers_) {
        if (!peer.is_up || peer.finalised < last || now_ms < peer.not_before_ms) continue;
        if (peer.in_flight >= limits_.in_flight_per_peer) continue;
        if (best != nullptr && best->in_flight <= peer.in_flight) continue;
        best = &peer;
        id = key;
    }
    return best;
}

/// Who gave blocks that wait for a certificate is asked for what follows, and nobody else: where
/// two parts do not fit each other, it would be unknown who lied. If he has no more, they are
/// dropped.
void SyncPlan::hold_to_giver(uint64_t now_ms) {
    if (!giver_ || is_applying_) return;
    const auto giver = peers_.find(*giver_);
    const bool goes_on = giver != peers_.end() && giver->second.is_up &&
                         giver->second.finalised > applied_ &&
                         now_ms >= giver->second.not_before_ms;
    if (!goes_on) {
        if (giver != peers_.end()) pause(giver->second, now_ms);
        return restart_at(finalised_);
    }
    if (ranges_.empty()) return;
    Range& next = ranges_.begin()->second;
    if (next.asked != giver_) next.asked.reset();
    if (next.given == giver_) return;
    next.given.reset();
    next.blocks.clear();
}

std::vector<RangeAsk> SyncPlan::next(uint64_t now_ms) {
    hold_to_giver(now_ms);
    decide(now_ms);
    if (!is_active_) return {};
    plan_ranges();
    std::vector<RangeAsk> asks;
    for (auto& [from, range] : ranges_) {
        if (range.asked || range.given) continue;
        PublicKey id;
        const bool is_next = giver_ && !is_applying_ && from == applied_ + 1;
        // Peers that claimed the end of a range may have gone: half of it is better than none.
        Peer* peer =
            is_next ? &peers_.at(id = *giver_) : pick(from + (range.count - 1), now_ms, id);
        if (peer == nullptr) peer = pick(from, now_ms, id);
        if (peer == nullptr) continue;
        ++peer->in_flight;
        range.asked = id;
        asks.push_back({id, from, range.count});
    }
    return asks;
}

/// A peer that failed us.
void SyncPlan::pause(Peer& peer, uint64_t now_ms) const {
    peer.not_before_ms = now_ms + limits_.pause_ms;
    peer.has_given = false;
}

SyncPlan::Peer* SyncPlan::release(const RangeAsk& ask) {
    const auto found = peers_.find(ask.peer);
    ASSERT(found != peers_.end() && found->second.in_flight > 0);
    --found->second.in_flight;
    if (found->second.is_up || found->second.in_flight > 0) return &found->second;
    peers_.erase(found);
    return nullptr;
}

// The range of an ask, unless a restart dropped it meanwhile.
SyncPlan::Range* SyncPlan::find(const RangeAsk& ask) {
    const auto found = ranges_.find(ask.from);
    if (found == ranges_.end() || found->second.asked != ask.peer) return nullptr;
    return &found->second;
}

void SyncPlan::on_blocks(const RangeAsk& ask, std::vector<p2p::FinalisedBlock> blocks,
                         uint64_t now_ms) {
    if (blocks.size() > ask.count) blocks.resize(ask.count);
    Peer* peer = release(ask);
    if (peer != nullptr && blocks.empty()) {
        peer->finalised = std::min(peer->finalised, ask.from - 1);
        pause(*peer, now_ms);
    }
    Range* range = find(ask);
    if (range == nullptr) return;
    range->asked.reset();
    if (blocks.empty()) return;
    if (blocks.size() > range->count) blocks.resize(range->count);  // planned anew, and shorter
    const auto got = static_cast<uint32_t>(blocks.size());
    const uint32_t rest = range->count - got;
    range->count = got;
    range->given = ask.peer;
    range->blocks = std::move(blocks);
    if (rest > 0) {
        ranges_[ask.from + got] = Range{.count = rest, .asked = {}, .given = {}, .blocks = {}};
    }
}

void SyncPlan::on_failed(const RangeAsk& ask, uint64_t now_ms) {
    if (Peer* peer = release(ask)) pause(*peer, now_ms);
    if (Range* range = find(ask)) range->asked.reset();
}

std::optional<Batch> SyncPlan::take_ready() {
    if (is_applying_ || ranges_.empty()) return std::nullopt;
    const auto first = ranges_.begin();
    if (!first->second.given || first->first != applied_ + 1) return std::nullopt;
    if (giver_ && first->second.given != giver_) return std::nullopt;
    Batch batch{*first->second.given, first->first, std::move(first->second.blocks)};
    ranges_.erase(first);
    taken_ = batch.from + (batch.blocks.size() - 1);
    is_applying_ = true;
    return batch;
}

void SyncPlan::on_applied(const Batch& batch, Height finalised, uint64_t now_ms) {
    const Height last = batch.from + (batch.blocks.size() - 1);
    is_applying_ = false;
    applied_ = std::max(applied_, last);
    const auto giver = peers_.find(batch.peer);
    if (giver != peers_.end() && finalised >= batch.from) giver->second.has_given = true;
    finalised_ = finalised;
    giver_.reset();
    if (finalised < last) giver_ = batch.peer;
    behind_since_ms_ = now_ms;
}

void SyncPlan::on_rejected(const Batch& batch, Height finalised, uint64_t now_ms) {
    is_applying_ = false;
    const auto found = peers_.find(batch.peer);
    if (found != peers_.end()) {
        found->second.finalised = std::min(found->second.finalised, finalised);
        pause(found->second, now_ms);
    }
    restart_at(finalised);
}

void SyncPlan::restart_at(Height finalised) {
    applied_ = finalised_ = finalised;
    giver_.reset();
    ranges_.clear();
}

}  // namespace trainyard::sync
