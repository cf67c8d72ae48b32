// SPDX-License-Identifier: Apache-2.0
// Votes and certificates: taking, casting, counting (rules 4 to 9 and 11).
#include "consensus/bft/machine.hpp"
#include "core/assert.hpp"

namespace trainyard::consensus::bft {

void Machine::on_message(const Peer& from, const Vote& vote) {
    if (vote.epoch != epoch_ || vote.signer >= set_.size()) return;
    if (vote.kind == VoteKind::nullify && !vote.block.is_zero()) return;
    if (vote.view <= tree_.root().view) return;
    if (vote.view > view_ + kViewsAheadMax) {
        // Too far ahead to count. Saying where we stand makes the sender help.
        if (is_answered(from)) emit(Send{from, own_status()});
        return;
    }
    if (book_.is_stale(vote)) return;
    if (!is_signed_right(vote)) return accuse(from);
    take_vote(vote);
}

void Machine::on_message(const Peer& from, const Cert& message) {
    take_certificate(from, message.certificate);
}

const Vote* Machine::own_vote(VoteKind kind, View view) const {
    const auto* record = self_ ? book_.find(view) : nullptr;
    return record ? record->vote(kind, *self_) : nullptr;
}

bool Machine::has_voted(View view) const {
    return has_cast(VoteKind::notarize, view) || has_cast(VoteKind::nullify, view) ||
           has_cast(VoteKind::finalize, view);
}

bool Machine::cast(VoteKind kind, View view, const Hash& block, bool tell) {
    ASSERT(may_vote() && !has_cast(kind, view));
    if (is_withheld(kind)) return false;
    Vote vote{kind, epoch_, view, block, *self_, {}};
    const auto signature = signer_->sign(params_.chain, vote);
    withheld_[static_cast<size_t>(kind) - 1] = !signature.has_value();
    if (!signature) return false;
    vote.signature = *signature;
    persist(view, vote, true);
    if (tell) emit(Broadcast{vote});
    take_vote(vote);
    return true;
}

bool Machine::nullify(Cause cause) {
    if (!may_vote() || has_cast(VoteKind::finalize, view_) || has_cast(VoteKind::nullify, view_))
        return false;
    const View view = view_;  // the vote may complete a certificate, which leads on
    if (!cast(VoteKind::nullify, view, Hash{}, true)) return false;
    emit(GaveUp{view, cause});
    return true;
}

void Machine::take_vote(const Vote& vote) {
    note_activity(vote.signer, vote.view);
    const auto recorded = book_.record(vote);
    report(recorded.evidence);
    if (!recorded.is_new) return;
    if (auto certificate = book_.form_certificate(vote.kind, vote.view, vote.block))
        act_on_certificate(Peer{}, certificate);
    const bool gives_up = vote.kind == VoteKind::nullify && vote.view == view_;
    if (gives_up && vote.signer == current_leader()) nullify(Cause::leader_quit);
}

void Machine::take_certificate(const Peer& from, const CertPtr& certificate) {
    if (certificate->epoch != epoch_ || certificate->view <= tree_.root().view) return;
    const auto* record = book_.find(certificate->view);
    if (record && record->certificate(certificate->kind)) return;
    if (!is_well_formed(*certificate, set_) || !is_signed_right(*certificate)) return accuse(from);
    for (const auto& vote : votes_of(*certificate)) {
        note_activity(vote.signer, vote.view);
        report(book_.record(vote).evidence);
    }
    act_on_certificate(from, certificate);
}

void Machine::act_on_certificate(const Peer& from, const CertPtr& certificate) {
    const View view = certificate->view;
    auto& record = book_.open(view);
    record.certificates[static_cast<size_t>(certificate->kind) - 1] = certificate;
    persist(view, Cert{certificate}, false);
    if (certificate->kind == VoteKind::nullify) {
        if (view >= view_) enter(view + 1, false);
        return;
    }
    if (is_news(*certificate)) open_.emplace(view, certificate);
    if (!find_body(certificate->block)) want(certificate->block, from, certificate);
    if (certificate->kind != VoteKind::finalize) return;
    highest_certified_ = std::max(highest_certified_, view);
    if (!final_target_ || view > final_target_->view) final_target_ = certificate;
    if (view >= view_) enter(view + 1, true);
}

const Hash& Machine::digest_of(VoteKind kind, View view, const Hash& block) const {
    const bool is_known =
        view.value > 0 && digest_.kind == kind && digest_.view == view && digest_.block == block;
    if (!is_known)
        digest_ = {kind, view, block, vote_digest(params_.chain, kind, epoch_, view, block)};
    return digest_.digest;
}

bool Machine::is_signed_right(const Vote& vote) const {
    return checks_.verify(set_.at(vote.signer).consensus_key,
                          digest_of(vote.kind, vote.view, vote.block), vote.signature);
}

bool Machine::is_signed_right(const Certificate& certificate) const {
    const Hash digest = digest_of(certificate.kind, certificate.view, certificate.block);
    for (const auto& vote : votes_of(certificate)) {
        if (book_.holds(vote)) continue;
        if (!checks_.verify(set_.at(vote.signer).consensus_key, digest, vote.signature))
            return false;
    }
    return true;
}

/// Nobody who follows the rules passes on what it has not checked, and a check costs much.
void Machine::accuse(const Peer& from) {
    emit(Misbehaved{from, "a vote, certificate or proposal that is not what it says"});
}

void Machine::report(const std::vector<Evidence>& evidence) {
    for (const auto& e : evidence) emit(e);
}

void Machine::note_activity(ValidatorIndex who, View view) {
    auto& seen = last_seen_[who];
    seen = std::max(seen.value_or(View{}), std::min(view, view_));
}

}  // namespace trainyard::consensus::bft
