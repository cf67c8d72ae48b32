// SPDX-License-Identifier: Apache-2.0
// Counting of votes and detection of offences.
#include "consensus/bft/view_book.hpp"

#include <algorithm>

namespace trainyard::consensus::bft {
namespace {

size_t slot(VoteKind kind) {
    return static_cast<size_t>(kind) - 1;
}

Offence offence_of_two(VoteKind kind) {
    return kind == VoteKind::notarize ? Offence::two_notarize : Offence::two_finalize;
}

}  // namespace

const Vote* ViewRecord::vote(VoteKind kind, ValidatorIndex signer) const {
    const auto& of_kind = votes[slot(kind)];
    const auto it = of_kind.find(signer);
    return it == of_kind.end() ? nullptr : &it->second;
}

CertPtr ViewRecord::block_certificate() const {
    const auto& notarization = certificate(VoteKind::notarize);
    return notarization ? notarization : certificate(VoteKind::finalize);
}

const ViewRecord* ViewBook::find(View view) const {
    const auto it = views_.find(view);
    return it == views_.end() ? nullptr : &it->second;
}

ViewRecord* ViewBook::find(View view) {
    const auto it = views_.find(view);
    return it == views_.end() ? nullptr : &it->second;
}

const PendingProposal* ViewBook::find_proposal(const Hash& block) const {
    for (const auto& [view, record] : views_)
        for (const auto& [leader, proposal] : record.proposals)
            if (proposal.block->hash == block) return &proposal;
    return nullptr;
}

void ViewBook::drop_proposals_below(View view) {
    const auto end = views_.lower_bound(view);
    for (auto it = views_.lower_bound(proposals_from_); it != end; ++it) {
        it->second.proposals.clear();
        it->second.reproposals.clear();
    }
    proposals_from_ = std::max(proposals_from_, view);
}

bool ViewBook::holds(const Vote& vote) const {
    const auto* record = find(vote.view);
    const auto* held = record ? record->vote(vote.kind, vote.signer) : nullptr;
    return held && held->block == vote.block && held->signature == vote.signature;
}

bool ViewBook::is_stale(const Vote& vote) const {
    const auto* record = find(vote.view);
    const auto* held = record ? record->vote(vote.kind, vote.signer) : nullptr;
    if (!held) return false;
    return held->block == vote.block ||
           record->offenders.contains({vote.signer, offence_of_two(vote.kind)});
}

bool ViewBook::has_nullification(View view) const {
    const auto* record = find(view);
    return record && record->certificate(VoteKind::nullify);
}

std::optional<View> ViewBook::first_gap(View above, View below) const {
    for (View view = above + 1; view < below; ++view)
        if (!has_nullification(view)) return view;
    return std::nullopt;
}

ViewBook::Recorded ViewBook::record(const Vote& vote) {
    Recorded out;
    auto& record = views_[vote.view];
    const auto accuse = [&](Offence offence, const Vote& other) {
        if (record.offenders.emplace(vote.signer, offence).second)
            out.evidence.push_back({offence, other, vote});
    };
    if (const auto* same_kind = record.vote(vote.kind, vote.signer)) {
        if (same_kind->block == vote.block) return out;
        accuse(offence_of_two(vote.kind), *same_kind);
        return out;
    }
    if (vote.kind != VoteKind::notarize) {
        const bool nullifies = vote.kind == VoteKind::nullify;
        const auto opposite = nullifies ? VoteKind::finalize : VoteKind::nullify;
        if (const auto* other = record.vote(opposite, vote.signer))
            accuse(Offence::nullify_and_finalize, *other);
    }
    record.votes[slot(vote.kind)].emplace(vote.signer, vote);
    out.is_new = true;
    return out;
}

CertPtr ViewBook::form_certificate(VoteKind kind, View view, const Hash& block) const {
    const auto* record = find(view);
    if (!record || record->certificate(kind)) return nullptr;
    Certificate out;
    out.kind = kind;
    out.view = view;
    out.block = block;
    out.set_size = static_cast<uint16_t>(set_.size());
    out.signers.assign((set_.size() + 7) / 8, 0);
    uint64_t weight = 0;
    for (const auto& [signer, vote] : record->votes[slot(kind)]) {
        if (vote.block != block) continue;
        out.epoch = vote.epoch;
        weight += set_.at(signer).stake_gwei;
        out.signers[signer / 8] |= static_cast<uint8_t>(1u << (signer % 8));
        out.signatures.push_back(vote.signature);
    }
    if (weight < set_.quorum()) return nullptr;
    return std::make_shared<const Certificate>(std::move(out));
}

std::vector<Vote> votes_of(const Certificate& certificate) {
    std::vector<Vote> out;
    for (size_t i = 0; i < certificate.set_size; ++i) {
        if (!certificate.has_signer(i)) continue;
        out.push_back({certificate.kind, certificate.epoch, certificate.view, certificate.block,
                       static_cast<ValidatorIndex>(i), certificate.signatures[out.size()]});
    }
    return out;
}

bool is_well_formed(const Certificate& certificate, const ValidatorSet& set) {
    if (certificate.set_size != set.size()) return false;
    if (certificate.signers.size() != (set.size() + 7) / 8) return false;
    if (certificate.kind == VoteKind::nullify && !certificate.block.is_zero()) return false;
    uint64_t weight = 0;
    size_t count = 0;
    for (size_t i = 0; i < certificate.signers.size() * 8; ++i) {
        if (!certificate.has_signer(i)) continue;
        if (i >= set.size()) return false;
        weight += set.at(static_cast<ValidatorIndex>(i)).stake_gwei;
        ++count;
    }
    return count == certificate.signatures.size() && weight >= set.quorum();
}

}  // namespace trainyard::consensus::bft
