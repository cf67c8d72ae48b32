// SPDX-License-Identifier: Apache-2.0
// Repair: retries, catch-up, answers to others, and starting again from the disk (rules 5, 9 and
// 10).
#include <algorithm>

#include "consensus/bft/machine.hpp"

namespace trainyard::consensus::bft {

bool Machine::is_peer(ValidatorIndex index) const {
    return index < set_.size() && params_.self != index;
}

bool Machine::may_answer(ValidatorIndex peer) {
    if (!is_peer(peer) || answers_[peer] >= kAnswersPerRepairMax) return false;
    ++answers_[peer];
    return true;
}

ValidatorIndex Machine::some_peer() const {
    for (size_t step = 0; step < set_.size(); ++step) {
        const auto index = static_cast<ValidatorIndex>((rotation_ + step) % set_.size());
        if (is_peer(index)) return index;
    }
    return kNoValidator;
}

ValidatorIndex Machine::some_signer(const Certificate& certificate) const {
    for (size_t step = 0; step < set_.size(); ++step) {
        const auto index = static_cast<ValidatorIndex>((rotation_ + step) % set_.size());
        if (is_peer(index) && certificate.has_signer(index)) return index;
    }
    return some_peer();
}

Status Machine::own_status() const {
    const auto& root = tree_.root();
    return {params_.epoch, view_, root.view, {root.block->header.number}};
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

void Machine::on_message(ValidatorIndex from, const Status& message) {
    if (message.epoch != params_.epoch || !may_answer(from)) return;
    help(from, message);
    const bool knows_more = message.view > view_ || message.final_view > tree_.root().view;
    if (knows_more) emit(Send{from, own_status()});
}

void Machine::help(ValidatorIndex peer, const Status& theirs) {
    const auto& root = tree_.root();
    if (theirs.final_view < root.view && root.certificate) emit(Send{peer, Cert{root.certificate}});
    if (theirs.view >= view_) return;
    if (const auto entry = entry_certificate(); entry && entry != root.certificate)
        emit(Send{peer, Cert{entry}});
    const auto& best = tip();
    if (best.view > root.view && best.certificate && best.view + 1 != view_)
        emit(Send{peer, Cert{best.certificate}});
}

void Machine::on_message(ValidatorIndex from, const GetCert& message) {
    if (message.epoch != params_.epoch || message.count > kCertsPerRequestMax) return;
    if (message.from > view_ + kViewsAheadMax || !may_answer(from)) return;
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
        if (found || !params_.self) continue;
        for (const auto kind : {VoteKind::notarize, VoteKind::nullify, VoteKind::finalize})
            if (const auto* vote = record->vote(kind, *params_.self)) emit(Send{from, *vote});
    }
}

void Machine::on_message(ValidatorIndex from, const GetBlock& message) {
    if (!may_answer(from)) return;
    if (const BlockPtr block = find_block(message.hash))
        emit(Send{from, BlockMessage{block}});
    else
        emit(ServeBlock{from, message.hash});
}

void Machine::on_message(ValidatorIndex, const BlockMessage& message) {
    const auto& block = message.block;
    if (!block || wanted_.count(block->hash) == 0) return;
    if (!checks_.is_body_of(block->header, block->body)) return;
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
    emit(SetTimer{{TimerKind::retry, view_}, 2 * scaled_delta_ms() + params_.execute_ms});
    if (owes_nullify) nullify(Cause::too_slow);
}

void Machine::arm_repair() {
    emit(SetTimer{{TimerKind::repair, kEveryView}, 3 * params_.delta_ms});
}

/// Rule 10: asks somebody else for what did not come. It has its own timer, because a node that
/// certificates carry from view to view never stays long enough in one to retry.
void Machine::repair() {
    ++rotation_;
    std::fill(answers_.begin(), answers_.end(), 0u);
    asked_views_.clear();
    behind_view_ = {};
    for (auto& [hash, wanted] : wanted_) {
        wanted.asked = some_signer(*wanted.source);
        if (is_peer(wanted.asked)) emit(Send{wanted.asked, GetBlock{hash}});
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
    if (!params_.self) return;
    const auto resend = [&](VoteKind kind, const ViewRecord& record) {
        const auto* vote = record.vote(kind, *params_.self);
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

void Machine::want(const Hash& hash, ValidatorIndex from, const CertPtr& source) {
    if (wanted_.count(hash) != 0) return;
    const auto asked = is_peer(from) ? from : some_signer(*source);
    wanted_.emplace(hash, Wanted{source, asked});
    if (is_peer(asked)) emit(Send{asked, GetBlock{hash}});
}

void Machine::walk_back(const BlockPtr& orphan, const CertPtr& source) {
    const uint64_t gap = orphan->header.number - tree_.root().block->header.number;
    if (gap <= kWalkBackMax) return want(orphan->header.parent_hash, kNoValidator, source);
    if (source->kind != VoteKind::finalize || behind_view_ >= source->view) return;
    behind_view_ = source->view;
    emit(Behind{source, orphan, some_signer(*source)});
}

void Machine::request_views(View first, ValidatorIndex peer) {
    const auto* record = book_.find(first);
    if (record && record->block_certificate()) return;
    if (first <= tree_.root().view || !is_peer(peer)) return;
    if (!asked_views_.insert(first).second) return;
    emit(Send{peer, GetCert{params_.epoch, first, kCertsPerRequestMax}});
}

void Machine::recover(const std::vector<Bytes>& records) {
    std::vector<Message> messages;
    for (const auto& record : records)
        if (auto message = decode_message(record)) messages.push_back(std::move(*message));
    recover_blocks(messages);
    recover_votes_and_certificates(messages);
    // The requests made meanwhile leave with nobody; Start makes them again.
    wanted_.clear();
    asked_views_.clear();
    behind_view_ = {};
}

void Machine::recover_blocks(const std::vector<Message>& records) {
    std::vector<BlockPtr> blocks;
    for (const auto& record : records)
        if (const auto* message = std::get_if<BlockMessage>(&record))
            blocks.push_back(message->block);
    std::sort(blocks.begin(), blocks.end(), [](const BlockPtr& a, const BlockPtr& b) {
        return a->header.number < b->header.number;
    });
    for (const auto& block : blocks) {
        if (block->header.number <= tree_.root().block->header.number) continue;
        const bool added = !tree_.find(block->hash) && tree_.insert(block, set_);
        if (!added && orphans_.size() < kOrphansMax) orphans_.emplace(block->hash, block);
    }
}

void Machine::recover_votes_and_certificates(const std::vector<Message>& records) {
    const View final_view = tree_.root().view;
    for (const auto& record : records) {
        const auto* vote = std::get_if<Vote>(&record);
        if (!vote || params_.self != vote->signer || vote->view <= final_view) continue;
        (void)book_.record(*vote);
        enter(vote->view, false);
    }
    for (const auto& record : records) {
        const auto* message = std::get_if<Cert>(&record);
        if (!message || message->certificate->view <= final_view) continue;
        if (!is_well_formed(*message->certificate, set_)) continue;
        for (const auto& vote : votes_of(*message->certificate)) (void)book_.record(vote);
        act_on_certificate(kNoValidator, message->certificate);
    }
}

}  // namespace trainyard::consensus::bft
