// SPDX-License-Identifier: Apache-2.0
// The order of questions of a state sync.
#include "node/sync/state_plan.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/assert.hpp"
#include "state/snapshot.hpp"

namespace trainyard::sync {
namespace {

constexpr size_t kProvenMax = 64;  ///< boundaries whose snapshots may be taken
constexpr size_t kRejectedMax = 1024;

uint64_t parts_of(uint64_t bytes) {
    return (bytes + p2p::kSnapshotPartBytes - 1) / p2p::kSnapshotPartBytes;
}

}  // namespace

bool StatePlan::may_ask(const Peer& peer, uint64_t now_ms) const {
    return peer.is_connected && !peer.is_bad && now_ms >= peer.not_before_ms;
}

std::vector<StateAsk> StatePlan::next(const std::vector<PublicKey>& connected, uint64_t now_ms) {
    for (auto& [id, peer] : peers_) peer.is_connected = false;
    for (const PublicKey& id : connected) {
        const auto [at, is_new] = peers_.try_emplace(id);
        if (is_new) at->second.since_ms = now_ms;
        at->second.is_connected = true;
    }
    if (!connected.empty()) {
        hope(now_ms);
        if (!boundary_at_ms_) boundary_at_ms_ = now_ms;
    }
    std::erase_if(peers_, [](const auto& entry) {
        const Peer& peer = entry.second;
        return !peer.is_connected && !peer.is_bad && !peer.is_idle && !peer.is_asked_for_offers &&
               peer.in_flight == 0;
    });
    std::vector<StateAsk> asks;
    ask_offers(asks, now_ms);
    watch_target(now_ms);
    if (!target_) ask_boundaries(asks, now_ms);
    if (!target_) choose_target(now_ms);
    if (!target_) return asks;
    if (!has_manifest_) return ask_manifest(asks, now_ms), asks;
    give_up_slow_chunks(now_ms);
    for (const bool slow_ones : {false, true}) ask_chunks(asks, slow_ones, now_ms);
    return asks;
}

// --- what there is

void StatePlan::ask_offers(std::vector<StateAsk>& asks, uint64_t now_ms) {
    for (auto& [id, peer] : peers_) {
        if (peer.is_asked_for_offers || !may_ask(peer, now_ms)) continue;
        if (peer.offers_at_ms && now_ms - *peer.offers_at_ms < limits_.reask_ms) continue;
        peer.is_asked_for_offers = true;
        asks.push_back({StateAsk::What::offers, id});
    }
}

void StatePlan::on_offers(const StateAsk& ask, Outcome outcome,
                          std::vector<p2p::SnapshotOffer> offers, uint64_t now_ms) {
    Peer& peer = peers_[ask.peer];
    ASSERT(peer.is_asked_for_offers);
    peer.is_asked_for_offers = false;
    peer.offers_at_ms = now_ms;
    if (outcome == Outcome::wrong) peer.is_bad = true;
    peer.offers = std::move(offers);
    if (peer.is_idle) peer.offers.clear();
    if (!peer.offers.empty() && !first_offer_at_ms_) first_offer_at_ms_ = now_ms;
    judge_offers(ask.peer, peer);
}

/// Nobody can know of another final block at a height that is proven.
void StatePlan::judge_offers(const PublicKey& id, Peer& peer) {
    for (const auto& offer : peer.offers) {
        const auto found = proven_.find(offer.height);
        if (peer.is_bad || found == proven_.end() || found->second == offer.block) continue;
        peer.is_bad = true;
        liars_.push_back(id);
    }
}

void StatePlan::on_proven(Height height, const Hash& block) {
    proven_[height] = block;
    if (proven_.size() > kProvenMax) proven_.erase(proven_.begin());
    for (auto& [id, peer] : peers_) judge_offers(id, peer);
}

std::vector<PublicKey> StatePlan::take_liars() {
    return std::exchange(liars_, {});
}

// --- boundaries

void StatePlan::ask_boundaries(std::vector<StateAsk>& asks, uint64_t now_ms) {
    if (is_asking_boundaries_) return;
    for (auto& [id, peer] : peers_) {
        if (!may_ask(peer, now_ms)) continue;
        const bool has_none = peer.has_no_boundary == next_epoch_ &&
                              now_ms - peer.no_boundary_at_ms < limits_.reask_ms;
        if (has_none) continue;
        is_asking_boundaries_ = true;
        ++peer.in_flight;
        asks.push_back({StateAsk::What::boundaries, id, {}, next_epoch_.value});
        return;
    }
}

void StatePlan::on_boundaries(const StateAsk& ask, Outcome outcome, Epoch next, uint64_t now_ms) {
    ASSERT(is_asking_boundaries_);
    is_asking_boundaries_ = false;
    Peer& peer = peers_[ask.peer];
    note(peer, outcome, now_ms);
    if (next > next_epoch_) boundary_at_ms_ = now_ms;
    next_epoch_ = std::max(next_epoch_, next);
    if (outcome == Outcome::throttled || next.value > ask.index) return;
    peer.has_no_boundary = Epoch{ask.index};
    peer.no_boundary_at_ms = now_ms;
}

/// Everybody who is here has said that there are no more, or none has come for long: nobody can
/// hold the rest up by being busy, or by coming anew.
bool StatePlan::has_all_boundaries(uint64_t now_ms) const {
    bool has_asked = false;
    const bool is_late = boundary_at_ms_ && now_ms - *boundary_at_ms_ > limits_.patience_ms;
    for (const auto& [id, peer] : peers_) {
        if (!peer.is_connected || peer.is_bad) continue;
        if (!is_late && peer.has_no_boundary != next_epoch_) return false;
        has_asked = true;
    }
    return has_asked;
}

// --- which snapshot

bool StatePlan::may_take(const p2p::SnapshotOffer& offer) const {
    const auto found = proven_.find(offer.height);
    return found != proven_.end() && found->second == offer.block && offer.chunks > 0 &&
           offer.chunks <= limits_.chunks_max && offer.manifest_bytes > 0 &&
           offer.manifest_bytes <= state::kManifestBytesMax && !rejected_.contains(offer.id);
}

/// Time that a target took which turned out to be a lie does not count.
void StatePlan::hope(uint64_t now_ms) {
    bool has_some = target_.has_value() || !hope_at_ms_;
    for (const auto& [id, peer] : peers_)
        if (peer.is_connected && !peer.is_bad)
            has_some = has_some || std::any_of(peer.offers.begin(), peer.offers.end(),
                                               [this](const auto& o) { return may_take(o); });
    if (has_some) hope_at_ms_ = now_ms;
}

/// An offer says nothing that must be believed: its block is proven, and its chunks are compared
/// with that block's state root in the end. The number of peers only keeps one liar's from being
/// the first to be tried.
void StatePlan::choose_target(uint64_t now_ms) {
    if (!first_offer_at_ms_ || now_ms - *first_offer_at_ms_ < limits_.gather_ms) return;
    if (!has_all_boundaries(now_ms)) return;
    std::map<Hash, size_t> votes;
    std::map<Hash, uint64_t> since;
    std::map<Hash, p2p::SnapshotOffer> offers;
    for (const auto& [id, peer] : peers_) {
        if (!may_ask(peer, now_ms)) continue;
        std::set<Hash> own;
        for (const auto& offer : peer.offers) {
            if (!may_take(offer) || !own.insert(offer.id).second) continue;
            ++votes[offer.id];
            auto& earliest = since.try_emplace(offer.id, peer.since_ms).first->second;
            earliest = std::min(earliest, peer.since_ms);
            offers.emplace(offer.id, offer);
        }
    }
    const p2p::SnapshotOffer* best = nullptr;
    const auto rank = [&](const p2p::SnapshotOffer& offer) {
        const uint64_t age_ms = has_stalled_ ? now_ms - since[offer.id] : 0;
        return std::tuple(offer.id == preferred_, age_ms, offer.height, votes[offer.id]);
    };
    for (const auto& [id, offer] : offers)
        if (best == nullptr || rank(*best) < rank(offer)) best = &offer;
    if (best == nullptr) return;
    drop_target();
    target_ = *best;
    offered_at_ms_ = now_ms;
}

const p2p::SnapshotOffer* StatePlan::offer_of_target(const Peer& peer) const {
    const auto found = std::find_if(peer.offers.begin(), peer.offers.end(),
                                    [&](const auto& offer) { return offer.id == target_->id; });
    return found == peer.offers.end() ? nullptr : &*found;
}

/// Peers drop old snapshots; when nobody has the target any more a newer one is due.
void StatePlan::watch_target(uint64_t now_ms) {
    if (!target_) return;
    for (const auto& [id, peer] : peers_)
        if (peer.is_connected && !peer.is_bad && offer_of_target(peer)) offered_at_ms_ = now_ms;
    if (!moved_at_ms_ || is_complete() || has_manifest_parts()) moved_at_ms_ = now_ms;
    if (now_ms - offered_at_ms_ > limits_.orphaned_ms)
        drop_target();
    else if (now_ms - *moved_at_ms_ > limits_.stalled_ms)
        give_up_target();
}

/// Nobody has lied for certain, so nobody is banned; but an offer is not to hold up the others.
void StatePlan::give_up_target() {
    has_stalled_ = true;
    for (auto& [id, peer] : peers_) {
        if (!offer_of_target(peer)) continue;
        peer.is_idle = true;
        peer.offers.clear();
    }
    if (preferred_ == target_->id) preferred_.reset();
    if (rejected_.size() < kRejectedMax) rejected_.insert(target_->id);
    drop_target();
}

void StatePlan::drop_target() {
    target_.reset();
    moved_at_ms_.reset();
    hope_at_ms_.reset();
    ++round_;
    manifest_parts_ = manifest_parts_due_ = 0;
    is_asking_manifest_ = has_manifest_ = false;
    wanted_.clear();
    missing_.clear();
    open_ = 0;
}

std::vector<PublicKey> StatePlan::reject_target() {
    std::vector<PublicKey> out;
    for (auto& [id, peer] : peers_) {
        if (peer.is_bad || !offer_of_target(peer)) continue;
        peer.is_bad = true;
        out.push_back(id);
    }
    if (rejected_.size() < kRejectedMax) rejected_.insert(target_->id);
    drop_target();
    return out;
}

bool StatePlan::is_hopeless(uint64_t now_ms) const {
    return !target_ && hope_at_ms_ && now_ms - *hope_at_ms_ > limits_.patience_ms &&
           has_all_boundaries(now_ms);
}

// --- its parts

bool StatePlan::has_manifest_parts() const {
    return target_ && !has_manifest_ && manifest_parts_due_ > 0 &&
           manifest_parts_ == manifest_parts_due_;
}

void StatePlan::ask_manifest(std::vector<StateAsk>& asks, uint64_t now_ms) {
    if (is_asking_manifest_ || has_manifest_parts()) return;
    const auto held = peers_.find(manifest_peer_);
    const bool goes_on = manifest_parts_ > 0 && held != peers_.end() &&
                         may_ask(held->second, now_ms) && offer_of_target(held->second) &&
                         (!held->second.is_slow || !has_fast_one(now_ms));
    if (!goes_on) {
        manifest_parts_ = manifest_parts_due_ = 0;
        const bool has_fast = has_fast_one(now_ms);
        for (const auto& [id, peer] : peers_) {
            const auto* offer = may_ask(peer, now_ms) ? offer_of_target(peer) : nullptr;
            if (offer == nullptr || !may_take(*offer) || (peer.is_slow && has_fast)) continue;
            manifest_peer_ = id;
            manifest_parts_due_ = parts_of(offer->manifest_bytes);
            break;
        }
        if (manifest_parts_due_ == 0) return;
    }
    is_asking_manifest_ = true;
    ++peers_[manifest_peer_].in_flight;
    peers_[manifest_peer_].manifest_asked_at_ms = now_ms;
    asks.push_back(
        {StateAsk::What::manifest, manifest_peer_, target_->id, manifest_parts_, round_});
}

/// Else a liar could have a manifest of any number of parts, and nothing in them.
bool StatePlan::is_manifest_part(uint64_t index, uint64_t size_bytes) const {
    const bool is_last = index + 1 == manifest_parts_due_;
    return is_last ? size_bytes > 0 : size_bytes == p2p::kSnapshotPartBytes;
}

void StatePlan::on_manifest_part(const StateAsk& ask, Outcome outcome, uint64_t size_bytes,
                                 uint64_t now_ms) {
    const bool is_current = target_ && round_ == ask.round;
    if (is_current && outcome == Outcome::good && !is_manifest_part(ask.index, size_bytes))
        outcome = Outcome::wrong;
    Peer& peer = peers_[ask.peer];
    note(peer, outcome, now_ms);
    if (now_ms - peer.manifest_asked_at_ms > limits_.slow_ms) peer.is_slow = true;
    if (!is_current) return;
    is_asking_manifest_ = false;
    if (outcome == Outcome::good)
        ++manifest_parts_, moved_at_ms_ = now_ms;
    else if (outcome != Outcome::throttled)
        manifest_parts_ = manifest_parts_due_ = 0;
}

void StatePlan::on_manifest(std::set<uint64_t> missing) {
    ASSERT(target_ && !has_manifest_);
    has_manifest_ = true;
    moved_at_ms_.reset();
    wanted_ = missing;
    missing_ = std::move(missing);
}

void StatePlan::on_wrong_manifest() {
    ASSERT(has_manifest_parts());
    peers_[manifest_peer_].is_bad = true;
    manifest_parts_ = manifest_parts_due_ = 0;
}

bool StatePlan::has_fast_one(uint64_t now_ms) const {
    return std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
        const Peer& peer = entry.second;
        return !peer.is_slow && may_ask(peer, now_ms) && offer_of_target(peer);
    });
}

/// One chunk to each peer in turn, so that a small state too comes from several.
void StatePlan::ask_chunks(std::vector<StateAsk>& asks, bool slow_ones, uint64_t now_ms) {
    const size_t at_once = slow_ones ? 1 : limits_.in_flight_per_peer;
    for (bool found = true; found && !missing_.empty();) {
        found = false;
        for (auto& [id, peer] : peers_) {
            if (missing_.empty() || open_ >= limits_.in_flight_max) return;
            if (peer.is_slow != slow_ones || peer.in_flight >= at_once) continue;
            if (!may_ask(peer, now_ms) || !offer_of_target(peer)) continue;
            const uint64_t index = *missing_.begin();
            if (peer.owes.contains({round_, index})) continue;
            asks.push_back({StateAsk::What::chunk, id, target_->id, index, round_});
            missing_.erase(missing_.begin());
            peer.owes[{round_, index}] = {now_ms};
            ++peer.in_flight;
            ++open_;
            found = true;
        }
    }
}

/// Else a few peers that let each chunk drip could hold all questions that may be open.
void StatePlan::give_up_slow_chunks(uint64_t now_ms) {
    for (auto& [id, peer] : peers_)
        for (const auto& [what, owed] : peer.owes)
            if (now_ms - owed.since_ms > limits_.slow_ms) peer.is_slow = true;
    if (!has_fast_one(now_ms)) return;
    for (auto& [id, peer] : peers_) {
        for (auto& [what, owed] : peer.owes) {
            const bool is_late = now_ms - owed.since_ms > limits_.slow_ms;
            if (what.first != round_ || owed.is_given_up || !is_late) continue;
            owed.is_given_up = true;
            --open_;
            if (wanted_.contains(what.second)) missing_.insert(what.second);
        }
    }
}

void StatePlan::on_chunk(const StateAsk& ask, Outcome outcome, uint64_t now_ms) {
    Peer& peer = peers_[ask.peer];
    note(peer, outcome, now_ms);
    const auto found = peer.owes.find({ask.round, ask.index});
    ASSERT(found != peer.owes.end());
    const Owed owed = found->second;
    peer.owes.erase(found);
    const bool is_late = now_ms - owed.since_ms > limits_.slow_ms;
    if (is_late || outcome == Outcome::good) peer.is_slow = is_late;
    if (!target_ || round_ != ask.round) return;
    if (!owed.is_given_up) {
        ASSERT(open_ > 0);
        --open_;
    }
    if (outcome == Outcome::good) {
        moved_at_ms_ = now_ms;
        wanted_.erase(ask.index);
        missing_.erase(ask.index);
    } else if (!owed.is_given_up && wanted_.contains(ask.index)) {
        missing_.insert(ask.index);
    }
}

void StatePlan::note(Peer& peer, Outcome outcome, uint64_t now_ms) {
    ASSERT(peer.in_flight > 0);
    --peer.in_flight;
    switch (outcome) {
        case Outcome::good:
            peer.strikes = 0;
            break;
        case Outcome::lost:
            if (++peer.strikes < limits_.strikes_max) break;
            peer.strikes = 0;
            peer.not_before_ms = now_ms + limits_.rest_ms;
            break;
        case Outcome::throttled:
            peer.not_before_ms = now_ms + limits_.throttle_ms;
            break;
        case Outcome::wrong:
            peer.is_bad = true;
            break;
    }
}

}  // namespace trainyard::sync
