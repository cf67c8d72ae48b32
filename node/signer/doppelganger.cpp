// SPDX-License-Identifier: Apache-2.0
// Whose votes these are, and how long to listen.
#include "node/signer/doppelganger.hpp"

#include <algorithm>

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

void Doppelganger::hear(const PublicKey& from, const cb::Message& message, const Moment& moment) {
    if (state_ == State::found) return;
    note_peer(from, message, *moment.set);
    (void)update(moment);
    const auto self = moment.set->find_consensus_key(options_.key);
    if (!self || options_.is_vouched_for) return;
    for (const auto& vote : votes_in(message, moment.epoch, *self)) {
        if (!is_anothers(vote)) continue;
        evidence_ = vote;
        state_ = State::found;
        return;
    }
}

/// Whatever a validator sends shows that it is there; STATUS and its own votes show where.
void Doppelganger::note_peer(const PublicKey& from, const cb::Message& message,
                             const consensus::ValidatorSet& set) {
    const auto index = set.find_p2p_key(from);
    if (!index || set.at(*index).consensus_key == options_.key) return;
    if (heard_.size() >= kPeersMax && heard_.count(from) == 0) return;
    Heard& peer = heard_[from];
    if (const auto* status = std::get_if<cb::Status>(&message)) {
        if (status->final_height.value > 0 || status->epoch.value > 0) chain_is_new_ = false;
        peer = {{status->epoch, status->view}, true};
    } else if (const auto* vote = std::get_if<cb::Vote>(&message)) {
        if (vote->signer == *index) peer.at = std::max(peer.at, Position{vote->epoch, vote->view});
    }
}

uint64_t Doppelganger::weight(const consensus::ValidatorSet& set, bool told) const {
    uint64_t gwei = 0;
    for (const auto& v : set.all()) {
        const auto found = heard_.find(v.p2p_key);
        const bool counts = found != heard_.end() && (!told || found->second.has_told);
        if (counts || v.consensus_key == options_.key) gwei += v.stake_gwei;
    }
    return gwei;
}

Position Doppelganger::beyond_old_votes(const consensus::ValidatorSet& set) const {
    std::vector<std::pair<Position, uint64_t>> stand;
    for (const auto& v : set.all())
        if (const auto found = heard_.find(v.p2p_key); found != heard_.end())
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

Doppelganger::State Doppelganger::update(const Moment& moment) {
    if (state_ == State::clear || state_ == State::found) return state_;
    const uint64_t quorum = moment.set->quorum();
    if (state_ == State::connecting && weight(*moment.set, false) >= quorum) {
        state_ = State::listening;
        listening_since_ms_ = moment.now_ms;
    }
    if (state_ != State::listening) return state_;
    const bool all_new = chain_is_new_ && weight(*moment.set, true) >= quorum;
    if (!all_new && moment.now_ms - *listening_since_ms_ < options_.listen_ms) return state_;
    state_ = State::clear;
    chain_is_new_ = all_new;
    return state_;
}

}  // namespace trainyard::node::signer
