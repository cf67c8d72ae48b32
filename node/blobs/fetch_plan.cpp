// SPDX-License-Identifier: Apache-2.0
// The order of questions for one blob.
#include "node/blobs/fetch_plan.hpp"

#include <iterator>
#include <utility>

#include "core/assert.hpp"

namespace trainyard::blobs {

bool FetchPlan::may_ask(const Peer& peer, uint64_t now_ms) const {
    return peer.is_connected && !peer.is_bad && peer.strikes < limits_.strikes_max &&
           now_ms >= peer.again_at_ms;
}

std::vector<Ask> FetchPlan::next(const std::vector<PublicKey>& connected, uint64_t now_ms) {
    for (auto at = peers_.begin(); at != peers_.end();) {
        Peer& peer = at->second;
        const bool was_connected = std::exchange(peer.is_connected, false);
        const bool is_awaited = peer.in_flight > 0 || peer.answer == Peer::Answer::asked;
        // Who comes back after a restart may have it now, and starts with a clean sheet of losses.
        const bool is_forgotten = !was_connected && !is_awaited && !peer.is_bad;
        at = is_forgotten ? peers_.erase(at) : std::next(at);
    }
    for (const PublicKey& id : connected) peers_[id].is_connected = true;
    std::vector<Ask> asks;
    ask_who_has(asks, now_ms);
    if (has_manifest_) {
        for (const bool slow_ones : {false, true}) ask_chunks(asks, slow_ones, now_ms);
    } else if (!is_manifest_asked_) {
        ask_manifest(asks, now_ms);
    }
    return asks;
}

void FetchPlan::ask_who_has(std::vector<Ask>& asks, uint64_t now_ms) {
    for (auto& [id, peer] : peers_) {
        const bool is_open =
            peer.answer == Peer::Answer::unknown || peer.answer == Peer::Answer::has_not;
        if (!is_open || !may_ask(peer, now_ms)) continue;
        peer.answer = Peer::Answer::asked;
        asks.push_back({Ask::What::have, id});
    }
}

void FetchPlan::ask_manifest(std::vector<Ask>& asks, uint64_t now_ms) {
    for (auto& [id, peer] : peers_) {
        if (peer.answer != Peer::Answer::has || !may_ask(peer, now_ms)) continue;
        is_manifest_asked_ = true;
        ++peer.in_flight;
        asks.push_back({Ask::What::manifest, id});
        return;
    }
}

// One chunk to each peer in turn, so that a small blob too comes from several. A few that answer
// just in time must not hold all questions that may be open.
void FetchPlan::ask_chunks(std::vector<Ask>& asks, bool slow_ones, uint64_t now_ms) {
    const size_t at_once = slow_ones ? 1 : limits_.in_flight_per_peer;
    for (bool found = true; found && !missing_.empty() && in_flight_ < limits_.in_flight_max;) {
        found = false;
        for (auto& [id, peer] : peers_) {
            if (missing_.empty() || in_flight_ >= limits_.in_flight_max) return;
            if (peer.answer != Peer::Answer::has || !may_ask(peer, now_ms)) continue;
            if (peer.is_slow != slow_ones || peer.in_flight >= at_once) continue;
            const uint64_t chunk = *missing_.begin();
            missing_.erase(missing_.begin());
            peer.asked_at_ms[chunk] = now_ms;
            ++peer.in_flight;
            ++in_flight_;
            asks.push_back({Ask::What::chunk, id, chunk});
            found = true;
        }
    }
}

void FetchPlan::on_have(const PublicKey& id, std::optional<bool> has, uint64_t now_ms) {
    Peer& peer = peers_[id];
    ASSERT(peer.answer == Peer::Answer::asked);
    peer.answer = has.value_or(false) ? Peer::Answer::has : Peer::Answer::has_not;
    if (peer.answer == Peer::Answer::has_not) peer.again_at_ms = now_ms + limits_.reask_ms;
}

void FetchPlan::note(Peer& peer, Outcome outcome, uint64_t now_ms) {
    ASSERT(peer.in_flight > 0);
    --peer.in_flight;
    switch (outcome) {
        case Outcome::good:
            peer.strikes = 0;
            progress_at_ms_ = now_ms;
            break;
        case Outcome::lost:
            ++peer.strikes;
            break;
        case Outcome::throttled:
            peer.again_at_ms = now_ms + limits_.throttle_ms;
            break;
        case Outcome::wrong:
            peer.is_bad = true;
            break;
    }
}

void FetchPlan::on_manifest(const PublicKey& id, Outcome outcome, uint64_t chunks,
                            uint64_t now_ms) {
    note(peers_[id], outcome, now_ms);
    is_manifest_asked_ = false;
    if (outcome != Outcome::good) return;
    has_manifest_ = true;
    total_ = chunks;
    for (uint64_t i = 0; i < chunks; ++i) missing_.insert(missing_.end(), i);
}

void FetchPlan::on_chunk(const PublicKey& id, uint64_t chunk, Outcome outcome, uint64_t now_ms) {
    Peer& peer = peers_[id];
    note(peer, outcome, now_ms);
    const auto asked = peer.asked_at_ms.extract(chunk);
    ASSERT(!asked.empty());
    const bool is_late = now_ms - asked.mapped() > limits_.slow_ms;
    if (is_late || outcome == Outcome::good) peer.is_slow = is_late;
    --in_flight_;
    if (outcome == Outcome::good) {
        ++done_;
    } else {
        missing_.insert(chunk);
    }
}

}  // namespace trainyard::blobs
