// SPDX-License-Identifier: Apache-2.0
// Proposals and blocks: reading, notarizing, certifying, finalizing, proposing (rules 2 to 4 and
// 7).
#include <algorithm>

#include "consensus/bft/machine.hpp"
#include "core/assert.hpp"

namespace trainyard::consensus::bft {

void Machine::on_message(const Peer& from, const Propose& message) {
    if (!message.block || message.leader >= set_.size()) return;
    const auto seal = decode_seal(message.block->header.extra_data);
    if (!seal || seal->epoch != epoch_ || seal->view <= tree_.root().view) return;
    if (!is_near(seal->view)) return;
    if (message.justification.size() > kJustificationMax) return;
    const Vote vote{VoteKind::notarize,  seal->epoch,    seal->view,
                    message.block->hash, message.leader, message.signature};
    if (!book_.holds(vote) && !is_signed_right(vote)) return;
    const bool body_fits = checks_.is_body_of(message.block->header, message.block->body);
    // A wrong body is the leader's fault only if it came from the leader: the signature does not
    // cover it.
    if (!body_fits && from != peer_of(message.leader)) return;
    take_vote(vote);
    if (!body_fits) {
        if (seal->view == view_ && message.leader == current_leader()) nullify(Cause::bad_proposal);
        return;
    }
    // Only one justification a view and proposer is worth the signatures in it.
    if (!store_proposal(message, *seal)) return;
    for (const auto& certificate : message.justification) take_certificate(from, certificate);
}

bool Machine::is_near(View view) const {
    return view > tree_.root().view && view <= view_ + kProposalViewsKept &&
           view + kProposalViewsKept >= view_;
}

void Machine::on_message(const Peer& from, const Repropose& message) {
    const Vote& vote = message.vote;
    if (vote.epoch != epoch_ || vote.signer >= set_.size() || !is_near(vote.view)) return;
    if (vote.kind != VoteKind::notarize || message.justification.size() > kJustificationMax) return;
    if (!book_.holds(vote) && !is_signed_right(vote)) return;
    take_vote(vote);
    auto& kept = book_.open(vote.view).reproposals;
    const bool expected = vote.signer == tree_.leader_above(tip(), vote.view);
    if (!expected && kept.size() >= kProposalsPerViewMax) return;
    if (!kept.try_emplace(vote.signer, vote.block).second) return;
    for (const auto& certificate : message.justification) take_certificate(from, certificate);
}

bool Machine::store_proposal(const Propose& message, const Seal& seal) {
    auto& proposals = book_.open(seal.view).proposals;
    const bool expected = message.leader == tree_.leader_above(tip(), seal.view);
    if (!expected && proposals.size() >= kProposalsPerViewMax) return false;
    return proposals.try_emplace(message.leader, PendingProposal{message, seal}).second;
}

BlockPtr Machine::find_body(const Hash& hash) const {
    if (const auto* entry = tree_.find(hash)) return entry->block;
    if (const auto it = orphans_.find(hash); it != orphans_.end()) return it->second;
    for (const auto& [view, record] : book_.all())
        for (const auto& [leader, proposal] : record.proposals)
            if (proposal.message.block->hash == hash) return proposal.message.block;
    return nullptr;
}

bool Machine::connect_blocks() {
    bool changed = false;
    for (auto it = open_.begin(); it != open_.end();) {
        const auto outcome = connect_block(it->second);
        changed = changed || outcome == Connecting::added;
        it = outcome == Connecting::hopeless ? open_.erase(it) : std::next(it);
    }
    if (!final_target_) return changed;
    const auto outcome = connect_block(final_target_);
    if (outcome == Connecting::hopeless) {
        diverged_ = true;
        emit(Diverged{find_body(final_target_->block), final_target_});
    }
    return changed || outcome == Connecting::added;
}

/// Brings the block of a certificate and its ancestors into the tree as far as their bodies are
/// here.
Machine::Connecting Machine::connect_block(const CertPtr& certificate) {
    if (tree_.find(certificate->block)) return Connecting::known;
    BlockPtr at = find_body(certificate->block);
    if (!at) {
        want(certificate->block, Peer{}, certificate);
        return Connecting::waiting;
    }
    std::vector<BlockPtr> chain{at};
    while (!tree_.find(at->header.parent_hash)) {
        if (at->header.number <= tree_.root().block->header.number + 1) return Connecting::hopeless;
        const BlockPtr parent = find_body(at->header.parent_hash);
        if (!parent) {
            walk_back(at, certificate);
            return Connecting::waiting;
        }
        at = parent;
        chain.push_back(at);
    }
    for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
        if (!tree_.insert(*it)) return Connecting::hopeless;
        orphans_.erase((*it)->hash);
    }
    return Connecting::added;
}

void Machine::start_executions() {
    for (const auto& hash : tree_.executable()) {
        tree_.set_execution(hash, Execution::running);
        emit(Execute{tree_.find(hash)->block});
    }
}

bool Machine::certify_ready() {
    std::vector<std::pair<View, Hash>> good, bad;
    for (auto it = open_.begin(); it != open_.end();) {
        auto* entry = tree_.find(it->second->block);
        const auto execution = entry ? entry->execution : Execution::unasked;
        if (execution != Execution::valid && execution != Execution::invalid) {
            ++it;
            continue;
        }
        auto& list = execution == Execution::valid ? good : bad;
        list.emplace_back(it->first, it->second->block);
        if (execution == Execution::valid) {
            if (!entry->certificate) emit(Certified{entry->block, it->second});
            tree_.set_certificate(*entry, it->second);
        }
        it = open_.erase(it);
    }
    for (const auto& [view, hash] : good) certified(view, hash);
    for (const auto& [view, hash] : bad)
        if (view == view_) nullify(Cause::bad_block);
    return !good.empty() || !bad.empty();
}

void Machine::certified(View view, const Hash& hash) {
    if (view > tip().view) tip_ = hash;
    if (view < view_) return;
    const auto& entry = *tree_.find(hash);
    const auto leader = tree_.is_last(entry) ? tree_.leader_above(entry, view) : entry.leader;
    const auto& offenders = book_.open(view).offenders;
    const bool equivocated = offenders.count({leader, Offence::two_notarize}) > 0;
    if (may_vote() && !equivocated && !has_cast(VoteKind::nullify, view) &&
        !has_cast(VoteKind::finalize, view) && checks_.may_vote_for(entry.block->header))
        cast(VoteKind::finalize, view, hash, true);
    enter(view + 1, true);
}

bool Machine::finalize_ready() {
    if (!final_target_) return false;
    const CertPtr target = final_target_;
    auto* entry = tree_.find(target->block);
    if (!entry) return false;
    const auto path = tree_.path_to(target->block);
    if (entry->execution == Execution::invalid || path.empty()) {
        diverged_ = true;
        emit(Diverged{entry->block, target});
        return false;
    }
    if (entry->execution != Execution::valid) return false;
    for (const auto& block : path) emit(Finalized{block, target});
    entry->certificate = target;
    tree_.advance_root(target->block);
    finished_ = tree_.is_last(tree_.root());
    if (!finished_) forget_finalized();
    return true;
}

/// Drops what the new root makes needless, and looks again at what was above an old one.
void Machine::forget_finalized() {
    const auto& root = tree_.root();
    book_.forget_below(root.view + 1);
    open_.erase(open_.begin(), open_.upper_bound(root.view));
    if (final_target_ && final_target_->view <= root.view) final_target_.reset();
    for (auto it = orphans_.begin(); it != orphans_.end();) {
        const bool old = it->second->header.number <= root.block->header.number;
        it = old ? orphans_.erase(it) : std::next(it);
    }
    wanted_.clear();
    if (tip().view <= root.view) tip_ = root.block->hash;
    highest_notarized_ = std::max(highest_notarized_, root.view);
    for (const auto& [view, record] : book_.all()) {
        const CertPtr certificate = record.block_certificate();
        if (certificate && is_news(*certificate)) open_.emplace(view, certificate);
    }
    emit(Forget{epoch_, root.view + 1});
    enter(root.view + 1, true);
}

/// Its block was not certified here by one of this view or a later one.
bool Machine::is_news(const Certificate& certificate) const {
    const auto* entry = tree_.find(certificate.block);
    return !entry || !entry->certificate || entry->view < certificate.view;
}

bool Machine::notarize_ready() {
    if (!may_vote() || has_cast(VoteKind::notarize, view_)) return false;
    if (is_withheld(VoteKind::notarize)) return false;
    if (has_cast(VoteKind::nullify, view_) || has_cast(VoteKind::finalize, view_)) return false;
    auto* record = book_.find(view_);
    if (!record) return false;
    for (auto it = record->proposals.begin(); it != record->proposals.end();) {
        switch (read_proposal(it->second)) {
            case Reading::wait:
                ++it;
                continue;
            case Reading::drop:
                it = record->proposals.erase(it);
                continue;
            case Reading::invalid:
                return nullify(Cause::bad_proposal);
            case Reading::good:
                return notarize(it->second);
        }
    }
    for (const auto& [leader, hash] : record->reproposals) {
        const auto reading = read_reproposal(leader, hash);
        if (reading == Reading::invalid) return nullify(Cause::bad_proposal);
        if (reading == Reading::good) return notarize_again(hash);
    }
    return false;
}

Machine::Reading Machine::read_proposal(PendingProposal& proposal) {
    const auto& header = proposal.message.block->header;
    const auto* parent = tree_.find(header.parent_hash);
    if (!parent) {
        if (header.number <= tree_.root().block->header.number) return Reading::drop;
        request_views(proposal.seal.parent_view, peer_of(proposal.message.leader));
        return Reading::wait;
    }
    if (!proposal.examined) {
        const auto leader = tree_.leader_above(*parent, proposal.seal.view);
        if (leader != proposal.message.leader) return Reading::drop;
        if (!follows_rules(proposal, *parent)) return Reading::invalid;
        proposal.examined = true;
    }
    if (!checks_.may_vote_for(header)) return Reading::wait;
    return read_ancestry(*parent, proposal.seal.view, proposal.message.leader);
}

/// Rule 10: only the epoch's last block is proposed again.
Machine::Reading Machine::read_reproposal(ValidatorIndex leader, const Hash& hash) {
    const auto* entry = tree_.find(hash);
    if (!entry) return Reading::wait;
    if (tree_.leader_above(*entry, view_) != leader) return Reading::drop;
    if (!tree_.is_last(*entry)) return Reading::invalid;
    if (!checks_.may_vote_for(entry->block->header)) return Reading::wait;
    return read_ancestry(*entry, view_, leader);
}

/// Rule 3: the parent, or the block proposed again, is certified here, and every view between was
/// nullified.
Machine::Reading Machine::read_ancestry(const TreeBlock& parent, View view, ValidatorIndex leader) {
    if (parent.execution == Execution::invalid) return Reading::invalid;
    if (parent.execution != Execution::valid) return Reading::wait;
    const bool is_root = parent.block->hash == tree_.root().block->hash;
    if (!is_root && !parent.certificate) {
        request_views(parent.view, peer_of(leader));
        return Reading::wait;
    }
    if (const auto gap = book_.first_gap(parent.view, view)) {
        request_views(*gap, peer_of(leader));
        return Reading::wait;
    }
    return Reading::good;
}

bool Machine::follows_rules(const PendingProposal& proposal, const TreeBlock& parent) const {
    const auto& header = proposal.message.block->header;
    const auto& seal = proposal.seal;
    if (tree_.is_last(parent)) return false;
    if (seal.parent_view != parent.view || seal.view <= parent.view) return false;
    if (header.number != parent.block->header.number + 1) return false;
    const Bytes alpha = beacon_alpha(params_.chain.chain_id, params_.chain.genesis_hash,
                                     {header.number}, parent.beacon.tip());
    const auto beta =
        checks_.verify_vrf(set_.at(proposal.message.leader).vrf_key, alpha, seal.vrf_proof);
    if (!beta || header.prev_randao != next_beacon(parent.beacon.tip(), *beta)) return false;
    return checks_.is_plausible(parent.block->header, header, proposal.message.block->body);
}

bool Machine::notarize(const PendingProposal& proposal) {
    const BlockPtr block = proposal.message.block;
    if (!tree_.find(block->hash)) tree_.insert(block);
    ASSERT(tree_.find(block->hash));
    // With the vote, so that whoever voted can give the block after a restart.
    persist(view_, BlockMessage{block}, false);
    start_pace(view_ + 1);
    return cast(VoteKind::notarize, view_, block->hash, true);
}

bool Machine::notarize_again(const Hash& hash) {
    start_pace(view_ + 1);
    return cast(VoteKind::notarize, view_, hash, true);
}

void Machine::start_pace(View view) {
    if (params_.block_interval_ms == 0) return;
    paced_view_ = view;
    emit(SetTimer{{TimerKind::pace, epoch_, view}, params_.block_interval_ms});
}

bool Machine::propose_ready() {
    if (!may_vote() || requested_ || proof_withheld_ || paced_view_ == view_) return false;
    if (current_leader() != *self_) return false;
    for (const auto kind : {VoteKind::notarize, VoteKind::nullify, VoteKind::finalize})
        if (has_cast(kind, view_)) return false;
    const auto& parent = tip();
    if (const auto gap = book_.first_gap(parent.view, view_)) {
        request_views(*gap, some_peer());
        return false;
    }
    if (tree_.is_last(parent)) return propose_again(parent);
    Header child;
    child.number = parent.block->header.number + 1;
    child.timestamp = parent.block->header.timestamp;
    return checks_.may_vote_for(child) && request_build(parent);
}

/// Rule 10: nothing follows the epoch's last block in its epoch, so it is voted for once more.
bool Machine::propose_again(const TreeBlock& last) {
    if (!checks_.may_vote_for(last.block->header) || is_withheld(VoteKind::notarize)) return false;
    const View view = view_;
    Repropose proposal{{}, justify(last, view)};
    if (!cast(VoteKind::notarize, view, last.block->hash, false)) return false;
    proposal.vote = *book_.open(view).vote(VoteKind::notarize, *self_);
    emit(Broadcast{std::move(proposal)});
    start_pace(view + 1);
    return true;
}

bool Machine::request_build(const TreeBlock& parent) {
    const auto& header = parent.block->header;
    const Bytes alpha = beacon_alpha(params_.chain.chain_id, params_.chain.genesis_hash,
                                     {header.number + 1}, parent.beacon.tip());
    const auto output = signer_->prove(alpha);
    proof_withheld_ = !output.has_value();
    if (!output) return false;
    const Seal seal{epoch_, view_, parent.view, output->proof};
    requested_ = Requested{view_, parent.block->hash, encode_seal(seal),
                           next_beacon(parent.beacon.tip(), output->beta)};
    emit(Build{.epoch = epoch_,
               .view = view_,
               .parent = header,
               .parent_hash = parent.block->hash,
               .extra_data = requested_->extra_data,
               .prev_randao = requested_->prev_randao});
    return true;
}

bool Machine::is_as_requested(const BlockData& block) const {
    const auto& header = block.header;
    return header.parent_hash == requested_->parent &&
           header.extra_data == requested_->extra_data &&
           header.prev_randao == requested_->prev_randao;
}

/// The parent's certificate, and the newest nullifications of the views between.
std::vector<CertPtr> Machine::justify(const TreeBlock& parent, View view) const {
    std::vector<CertPtr> out;
    if (parent.certificate) out.push_back(parent.certificate);
    const uint64_t between = view - parent.view - 1;
    const uint64_t count = std::min<uint64_t>(between, kNullificationsPerProposalMax);
    for (uint64_t back = 1; back <= count; ++back)
        if (const auto* record = book_.find(view - back))
            if (const auto& held = record->certificate(VoteKind::nullify)) out.push_back(held);
    return out;
}

}  // namespace trainyard::consensus::bft
