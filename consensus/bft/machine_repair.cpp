// SPDX-License-Identifier: Apache-2.0
// Repair: retries, catch-up, answers to others, and starting again from the disk (rules 5, 9 and
// 10).
#include <algorithm>
#include <utility>

#include "consensus/bft/machine.hpp"

namespace trainyard::consensus::bft {

/// Members of this epoch's set and of the one before.
bool Machine::is_peer(const Peer& peer) const {
    if (const auto index = set_.find_p2p_key(peer)) return self_ != index;
    return previous_ && previous_->find_p2p_key(peer);
}

bool Machine::is_answered(const Peer& peer) {
    if (!is_peer(peer)) return false;
    return ++answers_[peer] <= kAnswersPerRepairMax;
}

/// The first other validator from `start` on, round the set, that fits; zero where none does.
template <class Predicate>
Peer Machine::next_peer(uint64_t start, const Predicate& fits) const {
    for (size_t step = 0; step < set_.size(); ++step) {
        const auto index = static_cast<ValidatorIndex>((start + step) % set_.size());
        if (self_ != index && fits(index)) return peer_of(index);
    }
    return {};
}

Peer Machine::some_peer() const {
    return next_peer(rotation_, [](ValidatorIndex) { return true; });
}

/// Who has a notarized block. Those who finalize it surely have, and those who voted for a child;
/// of those who voted for the block itself some may have shards only. Liars say what they like: so
/// everybody's turn comes.
Peer Machine::some_holder(const Hash& block, const Certificate& source) const {
    const auto* record = book_.find(source.view);
    const auto finalizes = [&](ValidatorIndex i) {
        const Vote* vote = record ? record->vote(VoteKind::finalize, i) : nullptr;
        return vote && vote->block == block;
    };
    const auto signs = [&](ValidatorIndex i) { return source.has_signer(i); };
    const uint64_t turn = rotation_ % 3, start = rotation_ / 3;
    Peer out{};
    if (turn == 0) out = next_peer(start, finalizes);
    if (turn <= 1 && out == Peer{}) out = next_peer(start, signs);
    return out == Peer{} ? next_peer(start, [](ValidatorIndex) { return true; }) : out;
}

Status Machine::own_status() const {
    const auto& root = tree_.root();
    return {epoch_, view_, root.view, {root.block->header.number}};
}

/// Some certificate that lets another validator into the current view.
CertPtr Machine::entry_certificate() const {
    const View before = view_ - 1;
    const auto& root = tree_.root();
    if (root.view == before) return root.certificate;
    const auto* record = book_.find(before);
    if (!record) return nullptr;
    for (const auto kind : {VoteKind::finalize, VoteKind::nullify, VoteKind::notarize})
        if (const auto& held = record->certificate(kind)) return held;
    return nullptr;
}

void Machine::on_message(const Peer& from, const Status& message) {
    if (message.epoch != epoch_ || !is_answered(from)) return;
    help(from, message);
    const bool knows_more = message.view > view_ || message.final_view > tree_.root().view;
    if (knows_more) emit(Send{from, own_status()});
}

void Machine::help(const Peer& peer, const Status& theirs) {
    const auto& root = tree_.root();
    if (theirs.final_view < root.view && root.certificate) emit(Send{peer, Cert{root.certificate}});
    if (theirs.view >= view_) return;
    if (const auto entry = entry_certificate(); entry && entry != root.certificate)
        emit(Send{peer, Cert{entry}});
    const auto& best = tip();
    if (best.view > root.view && best.certificate && best.view + 1 != view_)
        emit(Send{peer, Cert{best.certificate}});
}

void Machine::on_message(const Peer& from, const GetCert& message) {
    if (message.epoch != epoch_ || message.count > kCertsPerRequestMax) return;
    if (message.from > view_ + kViewsAheadMax || !is_answered(from)) return;
    const auto& root = tree_.root();
    if (message.from <= root.view && root.certificate) emit(Send{from, Cert{root.certificate}});
    for (uint64_t i = 0; i < message.count; ++i) {
        const auto* record = book_.find(message.from + i);
        if (!record) continue;
        bool found = false;
        for (const auto& certificate : record->certificates) {
            if (certificate) emit(Send{from, Cert{certificate}});
            found = found || certificate;
        }
        if (found || !self_) continue;
        for (const auto kind : {VoteKind::notarize, VoteKind::nullify, VoteKind::finalize})
            if (const auto* vote = record->vote(kind, *self_)) emit(Send{from, *vote});
    }
}

void Machine::on_message(const Peer& from, const GetBlock& message) {
    if (!is_answered(from)) return;
    if (const BlockPtr block = find_block(message.hash))
        emit(Send{from, BlockMessage{block}});
    else
        emit(ServeBlock{from, message.hash});
}

void Machine::on_message(const Peer& from, const BlockMessage& message) {
    const auto& block = message.block;
    if (!block || wanted_.count(block->hash) == 0) return;
    if (!checks_.is_body_of(block->header, block->body)) return accuse(from);
    wanted_.erase(block->hash);
    if (block->header.number <= tree_.root().block->header.number) return;
    if (orphans_.size() >= kOrphansMax) orphans_.clear();
    orphans_.emplace(block->hash, block);
}

/// Rule 5: a view that lasts is spoken of again, with what lets others into it.
void Machine::retry() {
    const bool owes_nullify = is_withheld(VoteKind::nullify);
    withheld_ = {};
    proof_withheld_ = false;
    resend_votes();
    if (const auto entry = entry_certificate()) emit(Broadcast{Cert{entry}});
    emit(Broadcast{own_status()});
    emit(SetTimer{{TimerKind::retry, epoch_, view_}, 2 * scaled_delta_ms() + params_.execute_ms});
    if (owes_nullify) nullify(Cause::too_slow);
}

void Machine::arm_repair() {
    emit(SetTimer{{TimerKind::repair, epoch_, kEveryView}, 3 * params_.delta_ms});
}

/// Rule 10: asks somebody else for what did not come. It has its own timer, because a node that
/// certificates carry from view to view never stays long enough in one to retry.
void Machine::repair() {
    ++rotation_;
    answers_.clear();
    asked_views_.clear();
    behind_view_ = {};
    std::erase_if(wanted_, [&](const auto& w) { return find_body(w.first) != nullptr; });
    for (auto& [hash, wanted] : wanted_) {
        const Peer holder = some_holder(hash, *wanted.source);
        if (std::exchange(wanted.is_due, true) && is_peer(holder))
            emit(Send{holder, GetBlock{hash}});
    }
    std::vector<Hash> again;
    for (const auto& [hash, entry] : tree_.all())
        if (entry.execution == Execution::unavailable) again.push_back(hash);
    for (const auto& hash : again) tree_.set_execution(hash, Execution::unasked);
    if (const auto gap = book_.first_gap(tip().view, view_)) request_views(*gap, some_peer());
    arm_repair();
}

/// All of this view, and the newest FINALIZE that did not lead to finality yet.
void Machine::resend_votes() {
    if (!self_) return;
    const auto resend = [&](VoteKind kind, const ViewRecord& record) {
        const auto* vote = record.vote(kind, *self_);
        if (vote) emit(Broadcast{*vote});
        return vote != nullptr;
    };
    bool finalize_sent = false;
    for (auto it = book_.all().rbegin(); it != book_.all().rend() && !finalize_sent; ++it) {
        if (it->first > view_) continue;
        finalize_sent = resend(VoteKind::finalize, it->second);
        if (it->first != view_) continue;
        resend(VoteKind::notarize, it->second);
        resend(VoteKind::nullify, it->second);
    }
}

/// A block whose shards are on their way is only asked for when they do not come.
void Machine::want(const Hash& hash, const Peer& from, const CertPtr& source) {
    if (wanted_.count(hash) != 0) return;
    const auto* proposal = book_.find_proposal(hash);
    const bool is_due = !proposal || proposal->body != Body::coming;
    wanted_.emplace(hash, Wanted{source, is_due});
    const auto asked = is_peer(from) ? from : some_holder(hash, *source);
    if (is_due && is_peer(asked)) emit(Send{asked, GetBlock{hash}});
}

void Machine::walk_back(const BlockPtr& orphan, const CertPtr& source) {
    const uint64_t gap = orphan->header.number - tree_.root().block->header.number;
    if (gap <= kWalkBackMax) return want(orphan->header.parent_hash, Peer{}, source);
    if (source->kind != VoteKind::finalize || behind_view_ >= source->view) return;
    behind_view_ = source->view;
    emit(Behind{source, orphan, some_holder(source->block, *source)});
}

void Machine::request_views(View first, const Peer& peer) {
    const auto* record = book_.find(first);
    if (record && record->block_certificate()) return;
    if (first <= tree_.root().view || !is_peer(peer)) return;
    if (!asked_views_.insert(first).second) return;
    emit(Send{peer, GetCert{epoch_, first, kCertsPerRequestMax}});
}

void Machine::recover(const std::vector<Message>& records) {
    recover_blocks(records);
    recover_votes_and_certificates(records);
    // The requests made meanwhile leave with nobody; Start makes them again.
    wanted_.clear();
    asked_views_.clear();
    behind_view_ = {};
}

void Machine::recover_blocks(const std::vector<Message>& records) {
    std::vector<BlockPtr> blocks;
    for (const auto& record : records) {
        const auto* message = std::get_if<BlockMessage>(&record);
        if (!message) continue;
        const auto seal = decode_seal(message->block->header.extra_data);
        if (seal && seal->epoch == epoch_) blocks.push_back(message->block);
    }
    std::sort(blocks.begin(), blocks.end(), [](const BlockPtr& a, const BlockPtr& b) {
        return a->header.number < b->header.number;
    });
    for (const auto& block : blocks) {
        if (block->header.number <= tree_.root().block->header.number) continue;
        const bool added = !tree_.find(block->hash) && tree_.insert(block);
        if (!added && orphans_.size() < kOrphansMax) orphans_.emplace(block->hash, block);
    }
}

void Machine::recover_votes_and_certificates(const std::vector<Message>& records) {
    const View final_view = tree_.root().view;
    for (const auto& record : records) {
        const auto* vote = std::get_if<Vote>(&record);
        if (!vote || vote->epoch != epoch_ || vote->view <= final_view) continue;
        if (self_ != vote->signer) continue;
        (void)book_.record(*vote);
        enter(vote->view, false);
    }
    for (const auto& record : records) {
        const auto* message = std::get_if<Cert>(&record);
        if (!message || message->certificate->epoch != epoch_) continue;
        if (message->certificate->view <= final_view) continue;
        if (!is_well_formed(*message->certificate, set_)) continue;
        for (const auto& vote : votes_of(*message->certificate)) (void)book_.record(vote);
        act_on_certificate(Peer{}, message->certificate);
    }
}

}  // namespace trainyard::consensus::bft
