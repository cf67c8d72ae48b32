// SPDX-License-Identifier: Apache-2.0
// What the vote machine waits for, for people who want to know why nothing moves.
#include "consensus/bft/machine.hpp"

namespace trainyard::consensus::bft {

Waiting Machine::waiting() const {
    if (final_target_ && !tree_.find(final_target_->block)) return {Need::final_blocks, 0, 0, {}};
    if (tree_.is_last(tip()))
        return waiting_for_votes(Need::finalizes, VoteKind::finalize, tip().view,
                                 tip().block->hash);
    const auto* record = book_.find(view_);
    const CertPtr certificate = record ? record->block_certificate() : nullptr;
    if (certificate) {
        const auto* entry = tree_.find(certificate->block);
        return {entry ? Need::execution : Need::block, 0, 0, {}};
    }
    if (has_cast(VoteKind::nullify, view_))
        return waiting_for_votes(Need::nullifies, VoteKind::nullify, view_, {});
    const auto* own = record && self_ ? record->vote(VoteKind::notarize, *self_) : nullptr;
    if (own) return waiting_for_votes(Need::notarizes, VoteKind::notarize, view_, own->block);
    if (record && !record->proposals.empty()) {
        const Hash& block = record->proposals.begin()->second.block->hash;
        // A follower never notarizes; it waits for those who do.
        if (!may_vote())
            return waiting_for_votes(Need::notarizes, VoteKind::notarize, view_, block);
        return {Need::ancestors, 0, 0, {}};
    }
    return {self_ == current_leader() ? Need::own_block : Need::proposal, 0, 0, {}};
}

Waiting Machine::waiting_for_votes(Need need, VoteKind kind, View view, const Hash& block) const {
    Waiting out{need, 0, set_.quorum(), {}};
    const auto* record = book_.find(view);
    for (ValidatorIndex i = 0; i < set_.size(); ++i) {
        const auto* vote = record ? record->vote(kind, i) : nullptr;
        if (vote && vote->block == block)
            out.weight_gwei += set_.at(i).stake_gwei;
        else
            out.missing.push_back(i);
    }
    return out;
}

}  // namespace trainyard::consensus::bft
