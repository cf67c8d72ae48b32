// SPDX-License-Identifier: Apache-2.0
// Whose votes these are, and how long to listen.
#include "node/signer/doppelganger.hpp"

#include <algorithm>
#include <utility>

#include "consensus/bft/view_book.hpp"

namespace trainyard::node::signer {
namespace {

namespace cb = consensus::bft;

/// Collects what one signer has signed in one epoch.
struct Collector {
    Epoch epoch;
    consensus::ValidatorIndex signer;
    std::vector<cb::Vote> found;

    void take(const cb::Vote& vote) {
        if (vote.signer == signer && vote.epoch == epoch) found.push_back(vote);
    }
    void take(const cb::CertPtr& certificate) {
        if (certificate == nullptr || !certificate->has_signer(signer)) return;
        for (const auto& vote : cb::votes_of(*certificate)) take(vote);
    }
    void take(const std::vector<cb::CertPtr>& justification) {
        for (const auto& certificate : justification) take(certificate);
    }
    void take_leaders(const Header& header, const Hash& block, consensus::ValidatorIndex leader,
                      const CompactSig& signature) {
        const auto seal = cb::decode_seal(header.extra_data);
        if (seal) take({cb::VoteKind::notarize, seal->epoch, seal->view, block, leader, signature});
    }
    void operator()(const cb::Vote& m) { take(m); }
    void operator()(const cb::Cert& m) { take(m.certificate); }
    void operator()(const cb::Propose& m) {
        take(m.justification);
        if (m.block != nullptr && m.leader == signer)
            take_leaders(m.block->header, m.block->hash, m.leader, m.signature);
    }
    void operator()(const cb::Scatter& m) {
        take(m.justification);
        if (m.leader == signer)
            take_leaders(m.header, hash_header(m.header), m.leader, m.signature);
    }
    void operator()(const cb::Repropose& m) {
        take(m.vote);
        take(m.justification);
    }
    template <class Other>
    void operator()(const Other&) {}
};

}  // namespace

std::vector<cb::Vote> votes_in(const cb::Message& message, Epoch epoch,
                               consensus::ValidatorIndex signer) {
    Collector collector{epoch, signer, {}};
    std::visit(collector, message);
    return std::move(collector.found);
}

Doppelganger::Peer* Doppelganger::room_for(const PublicKey& peer) {
    if (peers_.size() >= kPeersMax && peers_.count(peer) == 0) return nullptr;
    return &peers_[peer];
}

void Doppelganger::meet(const PublicKey& peer, const Moment& moment) {
    if (!moment.set->find_p2p_key(peer) && !moment.next->find_p2p_key(peer)) return;
    Peer* known = room_for(peer);
    if (known == nullptr) return;
    known->was_met = true;
    known->since_ms = moment.now_ms;
}

/// Any peer may have been the sentry through which others spoke.
void Doppelganger::lose(const PublicKey& peer, bool to_another) {
    in_contention_ = in_contention_ || to_another;
    for (auto& [key, known] : peers_) {
        if (key != peer && known.was_met) continue;
        known.speaks = false;
        known.since_ms.reset();
    }
}

void Doppelganger::hear(const PublicKey& from, const cb::Message& message, const Moment& moment) {
    if (state_ == State::found) return;
    note_peer(from, message, moment);
    (void)update(moment);
    if (options_.is_vouched_for) return;
    for (const bool is_next : {false, true}) {
        const auto self = (is_next ? moment.next : moment.set)->find_consensus_key(options_.key);
        if (!self) continue;
        const Epoch epoch = is_next ? moment.epoch + 1 : moment.epoch;
        for (const auto& vote : votes_in(message, epoch, *self)) {
            if (!is_anothers(vote)) continue;
            evidence_ = vote;
            state_ = State::found;
            return;
        }
    }
}

/// Whatever a validator sends shows that it is there; STATUS and its own votes show where.
void Doppelganger::note_peer(const PublicKey& from, const cb::Message& message,
                             const Moment& moment) {
    const auto* vote = std::get_if<cb::Vote>(&message);
    const auto& set = vote && vote->epoch > moment.epoch ? *moment.next : *moment.set;
    const auto index = set.find_p2p_key(from);
    if (!index || set.at(*index).consensus_key == options_.key) return;
    Peer* peer = room_for(from);
    if (peer == nullptr) return;
    peer->speaks = true;
    if (!peer->was_met && !peer->since_ms) peer->since_ms = moment.now_ms;
    if (const auto* status = std::get_if<cb::Status>(&message)) {
        if (status->final_height.value > 0 || status->epoch.value > 0) chain_is_new_ = false;
        peer->at = {status->epoch, status->view};
        peer->has_told = true;
    } else if (vote && vote->signer == *index) {
        peer->at = std::max(peer->at, Position{vote->epoch, vote->view});
    }
}

uint64_t Doppelganger::weight(const consensus::ValidatorSet& set,
                              const std::function<bool(const Peer&)>& is_so) const {
    uint64_t gwei = 0;
    for (const auto& v : set.all()) {
        const auto found = peers_.find(v.p2p_key);
        const bool counts = found != peers_.end() && is_so(found->second);
        if (counts || v.consensus_key == options_.key) gwei += v.stake_gwei;
    }
    return gwei;
}

Position Doppelganger::beyond_old_votes(const consensus::ValidatorSet& set) const {
    std::vector<std::pair<Position, uint64_t>> stand;
    for (const auto& v : set.all())
        if (const auto found = peers_.find(v.p2p_key); found != peers_.end())
            stand.emplace_back(found->second.at, v.stake_gwei);
    std::sort(stand.rbegin(), stand.rend());
    uint64_t gwei = 0;
    for (const auto& [at, stake] : stand) {
        gwei += stake;
        if (gwei <= set.fault_bound()) continue;
        return {at.epoch, {at.view.value + std::min<uint64_t>(2, UINT64_MAX - 1 - at.view.value)}};
    }
    return {};
}

bool Doppelganger::is_anothers(const cb::Vote& vote) const {
    const Hash digest = cb::vote_digest(options_.chain, vote);
    if (!verify(options_.key, digest, vote.signature)) return false;
    // Asked after the signature: a forger may not make us ask.
    const auto newest = options_.newest();
    return newest && Position{vote.epoch, vote.view} > *newest;
}

bool Doppelganger::is_behind(const Moment& moment) const {
    uint64_t gwei = 0;
    for (const auto& v : moment.set->all()) {
        const auto found = peers_.find(v.p2p_key);
        if (found != peers_.end() && found->second.at.epoch > moment.epoch + 1)
            gwei += v.stake_gwei;
    }
    return gwei > moment.set->fault_bound();
}

Doppelganger::State Doppelganger::judge(const Moment& moment) {
    if (!std::exchange(has_started_, true) || is_behind(moment)) deaf_until_ms_ = moment.now_ms;
    const auto& set = *moment.set;
    const uint64_t quiet_ms = in_contention_ ? options_.contention_ms : options_.listen_ms;
    const auto speaks = [](const Peer& p) { return p.speaks && p.since_ms; };
    const auto has_told = [&](const Peer& p) { return speaks(p) && p.has_told; };
    const auto is_over = [&](uint64_t since_ms) { return moment.now_ms - since_ms >= quiet_ms; };
    const auto was_quiet = [&](const Peer& p) { return speaks(p) && is_over(*p.since_ms); };
    if (weight(set, speaks) < set.quorum()) return State::connecting;
    const bool all_new = chain_is_new_ && !in_contention_ && weight(set, has_told) >= set.quorum();
    const bool is_quiet = is_over(deaf_until_ms_) && weight(set, was_quiet) >= set.quorum();
    if (!all_new && !is_quiet) return State::listening;
    chain_is_new_ = all_new;
    return State::clear;
}

Doppelganger::State Doppelganger::update(const Moment& moment) {
    if (state_ != State::clear && state_ != State::found) state_ = judge(moment);
    return state_;
}

}  // namespace trainyard::node::signer
