// SPDX-License-Identifier: Apache-2.0
// Proposals and blocks: reading, notarizing, certifying, finalizing (rules 3, 4 and 7).
#include <algorithm>

#include "consensus/bft/machine.hpp"
#include "core/assert.hpp"

namespace trainyard::consensus::bft {

void Machine::on_message(const Peer& from, const Propose& message) {
    if (!message.block) return;
    take_proposal(from, {message.block, message.leader, Body::here, {}, false}, message.signature,
                  message.justification);
}

void Machine::on_message(const Peer& from, const Scatter& message) {
    take_proposal(from, {make_block(message.header, {}), message.leader, Body::coming, {}, false},
                  message.signature, message.justification);
}

void Machine::take_proposal(const Peer& from, PendingProposal proposal, const CompactSig& signature,
                            const std::vector<CertPtr>& justification) {
    const auto& block = *proposal.block;
    const auto seal = decode_seal(block.header.extra_data);
    if (!seal || seal->epoch != epoch_ || !is_near(seal->view)) return;
    if (proposal.leader >= set_.size() || justification.size() > kJustificationMax) return;
    proposal.seal = *seal;
    const Vote vote{VoteKind::notarize, seal->epoch,     seal->view,
                    block.hash,         proposal.leader, signature};
    if (is_whole_here(seal->view, proposal.leader, block.hash)) return;
    if (book_.is_stale(vote) && !has_place_for(proposal)) return;
    if (!book_.holds(vote) && !is_signed_right(vote)) return accuse(from);
    const bool fits = proposal.body != Body::here || checks_.is_body_of(block.header, block.body);
    if (!fits) accuse(from);
    // A wrong body is the leader's fault only if it came from the leader: the signature does not
    // cover it.
    if (!fits && from != peer_of(proposal.leader)) return;
    take_vote(vote);
    if (!fits) return refuse(seal->view, proposal.leader, block.hash);
    // Only one justification a view and proposer is worth the signatures in it.
    if (!store_proposal(std::move(proposal))) return;
    for (const auto& certificate : justification) take_certificate(from, certificate);
}

/// Then it is not worth another look at its body.
bool Machine::is_whole_here(View view, ValidatorIndex leader, const Hash& block) const {
    const auto* record = book_.find(view);
    if (record == nullptr) return false;
    const auto held = record->proposals.find(leader);
    return held != record->proposals.end() && held->second.block->hash == block &&
           held->second.body == Body::here;
}

/// What its leader sent as the body of a block is none. The block may have one all the same, and
/// be notarized: then it is fetched.
void Machine::refuse(View view, ValidatorIndex leader, const Hash& block) {
    if (auto* record = book_.find(view))
        if (const auto it = record->proposals.find(leader); it != record->proposals.end())
            if (it->second.block->hash == block && it->second.body == Body::coming)
                it->second.body = Body::refused;
    if (view == view_ && leader == current_leader()) nullify(Cause::bad_proposal);
}

std::vector<Effect> Machine::refuse_body(View view, ValidatorIndex leader, const Hash& block) {
    refuse(view, leader, block);
    settle();
    return std::exchange(out_, {});
}

bool Machine::is_near(View view) const {
    return view > tree_.root().view && view <= view_ + kProposalViewsKept &&
           view + kProposalViewsKept >= view_;
}

void Machine::on_message(const Peer& from, const Repropose& message) {
    const Vote& vote = message.vote;
    if (vote.epoch != epoch_ || vote.signer >= set_.size() || !is_near(vote.view)) return;
    if (vote.kind != VoteKind::notarize || message.justification.size() > kJustificationMax) return;
    const auto* record = book_.find(vote.view);
    const bool is_new = !record || (!record->reproposals.contains(vote.signer) &&
                                    may_keep(vote.signer, vote.view, record->reproposals.size()));
    if (book_.is_stale(vote) && !is_new) return;
    if (!book_.holds(vote) && !is_signed_right(vote)) return accuse(from);
    take_vote(vote);
    if (!is_new) return;
    book_.open(vote.view).reproposals.emplace(vote.signer, vote.block);
    for (const auto& certificate : message.justification) take_certificate(from, certificate);
}

/// A view has room for its leader's proposal, and for some of others.
bool Machine::may_keep(ValidatorIndex proposer, View view, size_t kept) const {
    return kept < kProposalsPerViewMax || proposer == tree_.leader_above(tip(), view);
}

/// The first of its proposer in its view, or the body that was missing.
bool Machine::has_place_for(const PendingProposal& proposal) const {
    const auto* record = book_.find(proposal.seal.view);
    if (record == nullptr) return true;
    const auto held = record->proposals.find(proposal.leader);
    if (held == record->proposals.end())
        return may_keep(proposal.leader, proposal.seal.view, record->proposals.size());
    return proposal.body == Body::here && held->second.body != Body::here &&
           held->second.block->hash == proposal.block->hash;
}

/// True for a proposal that is new; a body that was missing is kept, too.
bool Machine::store_proposal(PendingProposal proposal) {
    if (!has_place_for(proposal)) return false;
    auto& kept = book_.open(proposal.seal.view).proposals;
    if (const auto it = kept.find(proposal.leader); it != kept.end()) {
        it->second.block = proposal.block;
        it->second.body = Body::here;
        return false;
    }
    return kept.emplace(proposal.leader, std::move(proposal)).second;
}

/// A whole block that is not final, wherever it waits.
BlockPtr Machine::find_body(const Hash& hash) const {
    if (const auto* entry = tree_.find(hash)) return entry->block;
    if (const auto it = orphans_.find(hash); it != orphans_.end()) return it->second;
    const auto* proposal = book_.find_proposal(hash);
    return proposal && proposal->body == Body::here ? proposal->block : nullptr;
}

/// Into the tree, and onto the disk before any vote that follows: whoever leaves a view through a
/// block can give it to others, restarts included.
TreeBlock* Machine::add_block(const BlockPtr& block) {
    auto* entry = tree_.insert(block);
    if (entry) persist(entry->view, BlockMessage{block}, false);
    return entry;
}

/// The block voted for is executed while the votes of the others are on their way.
bool Machine::connect_voted() {
    const Vote* own = own_vote(VoteKind::notarize, view_);
    if (!own || tree_.find(own->block)) return false;
    const BlockPtr block = find_body(own->block);
    return block && add_block(block);
}

bool Machine::connect_blocks() {
    bool changed = connect_voted();
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
        if (!add_block(*it)) return Connecting::hopeless;
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
            // What is certified late, beside a branch that went on without it, is no new head.
            if (!entry->certificate && it->first > tip().view)
                emit(Certified{entry->block, it->second});
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
    highest_certified_ = std::max(highest_certified_, view);
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
    std::erase_if(wanted_, [&](const auto& w) { return w.second.source->view <= root.view; });
    if (tip().view <= root.view) tip_ = root.block->hash;
    highest_certified_ = std::max(highest_certified_, root.view);
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
    if (!may_vote() || has_voted(view_) || is_withheld(VoteKind::notarize)) return false;
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
                return notarize(it->second.block->hash);
        }
    }
    for (const auto& [leader, hash] : record->reproposals) {
        const auto reading = read_reproposal(leader, hash);
        if (reading == Reading::invalid) return nullify(Cause::bad_proposal);
        if (reading == Reading::good) return notarize(hash);
    }
    return false;
}

Machine::Reading Machine::read_proposal(PendingProposal& proposal) {
    const auto& header = proposal.block->header;
    const auto* parent = tree_.find(header.parent_hash);
    if (!parent) {
        if (header.number <= tree_.root().block->header.number) return Reading::drop;
        request_views(proposal.seal.parent_view, peer_of(proposal.leader));
        return Reading::wait;
    }
    if (!proposal.examined) {
        const auto leader = tree_.leader_above(*parent, proposal.seal.view);
        if (leader != proposal.leader) return Reading::drop;
        if (!follows_rules(proposal, *parent)) return Reading::invalid;
        proposal.examined = true;
    }
    if (proposal.body == Body::refused) return Reading::invalid;
    if (!checks_.may_vote_for(header)) return Reading::wait;
    if (!checks_.is_timely(parent->block->header, header)) return Reading::wait;
    return read_ancestry(*parent, proposal.seal.view, proposal.leader);
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
    const auto& header = proposal.block->header;
    const auto& seal = proposal.seal;
    if (tree_.is_last(parent)) return false;
    if (seal.parent_view != parent.view || seal.view <= parent.view) return false;
    if (header.number != parent.block->header.number + 1) return false;
    const Bytes alpha = beacon_alpha(params_.chain.chain_id, params_.chain.genesis_hash,
                                     {header.number}, parent.beacon.tip());
    const auto beta = checks_.verify_vrf(set_.at(proposal.leader).vrf_key, alpha, seal.vrf_proof);
    if (!beta || header.prev_randao != next_beacon(parent.beacon.tip(), *beta)) return false;
    return checks_.is_plausible(parent.block->header, header);
}

bool Machine::notarize(const Hash& block) {
    start_pace(view_ + 1);
    return cast(VoteKind::notarize, view_, block, true);
}

}  // namespace trainyard::consensus::bft
