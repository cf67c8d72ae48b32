// SPDX-License-Identifier: Apache-2.0
// Leading a view: when to build and on what, and proposing (rules 2 and 10).
#include <algorithm>

#include "consensus/bft/machine.hpp"

namespace trainyard::consensus::bft {

/// The answer waits until its view has begun: the next leader builds while this view lasts.
void Machine::on(const BuiltBlock& input) {
    if (input.epoch != epoch_ || !requested_) return;
    if (requested_->view != input.view || requested_->parent != input.parent) return;
    requested_->answer = input.block;
}

void Machine::start_pace(View view) {
    if (params_.block_interval_ms == 0) return;
    paced_view_ = view;
    emit(SetTimer{{TimerKind::pace, epoch_, view}, params_.block_interval_ms});
}

bool Machine::lead() {
    if (!may_vote()) return false;
    return current_leader() == *self_ && !has_voted(view_) ? propose() : build_early();
}

bool Machine::propose() {
    if (paced_view_ == view_) return false;
    if (requested_ && requested_->view == view_) return requested_->answer && propose_built();
    const auto& parent = tip();
    if (const auto gap = book_.first_gap(parent.view, view_)) {
        request_views(*gap, some_peer());
        return false;
    }
    return tree_.is_last(parent) ? propose_again(parent) : request_build(view_, parent);
}

/// The leader of the next view builds on the block that it voted for, once it is executed here and
/// while the votes of the others are on their way. It proposes in its view only, on what is then
/// the certified block: if that is another, this was in vain.
bool Machine::build_early() {
    const View next = view_ + 1;
    const Vote* own = own_vote(VoteKind::notarize, view_);
    if (!own || paced_view_ == next || has_cast(VoteKind::nullify, view_)) return false;
    if (requested_ && requested_->view == next) return false;
    const auto* parent = tree_.find(own->block);
    if (!parent || parent->execution != Execution::valid || tree_.is_last(*parent)) return false;
    return tree_.leader_above(*parent, next) == *self_ && request_build(next, *parent);
}

bool Machine::request_build(View view, const TreeBlock& parent) {
    const auto& header = parent.block->header;
    Header child;
    child.number = header.number + 1;
    child.timestamp = header.timestamp;
    if (proof_withheld_ || !checks_.may_vote_for(child)) return false;
    const Bytes alpha = beacon_alpha(params_.chain.chain_id, params_.chain.genesis_hash,
                                     {child.number}, parent.beacon.tip());
    const auto output = signer_->prove(alpha);
    proof_withheld_ = !output.has_value();
    if (!output) return false;
    const Seal seal{epoch_, view, parent.view, output->proof};
    requested_ = Requested{view,
                           parent.block->hash,
                           encode_seal(seal),
                           next_beacon(parent.beacon.tip(), output->beta),
                           {}};
    emit(Build{.epoch = epoch_,
               .view = view,
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

bool Machine::propose_built() {
    const BlockPtr block = *requested_->answer;
    if (!block || !is_as_requested(*block)) return nullify(Cause::cannot_build);
    if (is_withheld(VoteKind::notarize) || !checks_.may_vote_for(block->header)) return false;
    if (!tree_.find(block->hash) && !add_block(block)) return nullify(Cause::cannot_build);
    tree_.set_execution(block->hash, Execution::valid);
    Propose proposal{block, justify(*tree_.find(requested_->parent), view_), *self_, {}};
    const View view = view_;
    if (!cast(VoteKind::notarize, view, block->hash, false)) return false;
    proposal.signature = book_.open(view).vote(VoteKind::notarize, proposal.leader)->signature;
    emit(Broadcast{std::move(proposal)});
    start_pace(view + 1);
    return true;
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
