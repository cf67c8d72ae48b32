// SPDX-License-Identifier: Apache-2.0
// Inputs of the vote machine, its views and its timers (rules 1, 8 and 12).
#include "consensus/bft/machine.hpp"

#include <algorithm>

#include "core/assert.hpp"

namespace trainyard::consensus::bft {

Machine::Machine(const Params& params, ValidatorSet validators, Recovered recovered, Signer* signer,
                 const Checks& checks)
    : params_(params),
      set_(std::move(validators)),
      signer_(signer),
      checks_(checks),
      tree_(recovered.final),
      book_(set_),
      tip_(recovered.final.hash),
      last_seen_(set_.size()),
      answers_(set_.size(), 0) {
    ASSERT(!params.self || *params.self < set_.size());
    view_ = tree_.root().view + 1;
    highest_notarized_ = tree_.root().view;
    recover(recovered.records);
    std::fill(last_seen_.begin(), last_seen_.end(), view_);
    out_.clear();
}

std::vector<Effect> Machine::step(const Input& input) {
    std::visit([this](const auto& i) { on(i); }, input);
    settle();
    return std::exchange(out_, {});
}

Standing Machine::standing() const {
    const auto& root = tree_.root();
    const auto& best = tip();
    return {.view = view_,
            .leader = current_leader(),
            .final_view = root.view,
            .final_height = {root.block->header.number},
            .final_hash = root.block->hash,
            .certified_view = best.view,
            .certified_height = {best.block->header.number},
            .certified_hash = best.block->hash};
}

BlockPtr Machine::find_block(const Hash& hash) const {
    if (hash == tree_.root().block->hash) return nullptr;
    return find_body(hash);
}

void Machine::on(const Start&) {
    arm_timers(false);
    arm_repair();
    emit(Broadcast{own_status()});
}

void Machine::on(const Received& input) {
    if (input.from != kNoValidator && input.from >= set_.size()) return;
    std::visit([&](const auto& message) { on_message(input.from, message); }, input.message);
}

void Machine::on(const PeerConnected& input) {
    if (is_peer(input.peer)) emit(Send{input.peer, own_status()});
}

void Machine::on(const Timeout& input) {
    const auto& id = input.id;
    if (id.kind == TimerKind::pace) {
        if (paced_view_ == id.view) paced_view_.reset();
        return;
    }
    if (id.kind == TimerKind::repair) return repair();
    if (id.view != view_) return;
    switch (id.kind) {
        case TimerKind::lead:
            if (!has_cast(VoteKind::notarize, view_)) nullify(Cause::no_proposal);
            return;
        case TimerKind::advance:
            nullify(Cause::too_slow);
            return;
        case TimerKind::retry:
            retry();
            return;
        case TimerKind::repair:
        case TimerKind::pace:
            return;
    }
}

void Machine::on(const BuiltBlock& input) {
    if (input.view != view_ || !requested_ || requested_->view != view_) return;
    if (has_cast(VoteKind::notarize, view_) || has_cast(VoteKind::nullify, view_)) return;
    if (!input.block || !is_as_requested(*input.block)) {
        nullify(Cause::cannot_build);
        return;
    }
    const BlockPtr block = input.block;
    if (!checks_.may_vote_for(block->header)) return;
    const auto* entry = tree_.insert(block, set_);
    if (!entry) {
        nullify(Cause::cannot_build);
        return;
    }
    const auto parent = tree_.find(block->header.parent_hash);
    tree_.set_execution(block->hash, Execution::valid);
    Propose proposal{block, justify(*parent, view_), *params_.self, {}};
    const View view = view_;
    persist(view, BlockMessage{block}, false);
    if (!cast(VoteKind::notarize, view, block->hash, false)) return;
    proposal.signature = book_.open(view).vote(VoteKind::notarize, proposal.leader)->signature;
    emit(Broadcast{std::move(proposal)});
    start_pace(view + 1);
}

void Machine::on(const BlockVerdict& input) {
    const auto* entry = tree_.find(input.block);
    if (!entry || entry->execution != Execution::running) return;
    switch (input.verdict) {
        case Verdict::valid:
            tree_.set_execution(input.block, Execution::valid);
            return;
        case Verdict::invalid:
            tree_.set_execution(input.block, Execution::invalid);
            return;
        case Verdict::unavailable:
            tree_.set_execution(input.block, Execution::unavailable);
            return;
    }
}

void Machine::on(const Synced& input) {
    if (input.final.header.number <= tree_.root().block->header.number) return;
    tree_.replace_root(input.final);
    forget_finalized();
}

void Machine::enter(View view, bool after_success) {
    if (view <= view_) return;
    view_ = view;
    requested_.reset();
    withheld_ = {};
    proof_withheld_ = false;
    asked_views_.clear();
    book_.drop_proposals_below(
        {view_.value > kProposalViewsKept ? view_.value - kProposalViewsKept : 0});
    if (!after_success) paced_view_.reset();
    arm_timers(after_success);
}

void Machine::arm_timers(bool after_success) {
    const uint64_t delta_ms = scaled_delta_ms();
    const uint64_t pace_ms = after_success ? params_.block_interval_ms : 0;
    const bool skip = is_long_silent(current_leader());
    const uint64_t lead_ms = skip ? 0 : 2 * delta_ms + pace_ms;
    const uint64_t advance_ms = skip ? 0 : 3 * delta_ms + params_.execute_ms + pace_ms;
    emit(SetTimer{{TimerKind::lead, view_}, lead_ms});
    emit(SetTimer{{TimerKind::advance, view_}, advance_ms});
    emit(SetTimer{{TimerKind::retry, view_}, advance_ms + 2 * delta_ms});
}

uint64_t Machine::scaled_delta_ms() const {
    const View below = std::min(highest_notarized_, view_ - 1);
    const uint64_t failed = view_ - below - 1;
    return params_.delta_ms * std::min<uint64_t>(4 + failed, 32) / 4;
}

bool Machine::is_long_silent(ValidatorIndex leader) const {
    if (params_.self == leader) return false;
    const auto is_active = [&](ValidatorIndex i) {
        return params_.self == i || last_seen_[i] + params_.skip_after_views >= view_;
    };
    if (is_active(leader)) return false;
    uint64_t weight = 0;
    for (ValidatorIndex i = 0; i < set_.size(); ++i)
        if (is_active(i)) weight += set_.at(i).stake_gwei;
    return weight >= set_.quorum();
}

ValidatorIndex Machine::current_leader() const {
    return leader_of(set_, tip().beacon.next_seed(), view_);
}

const TreeBlock& Machine::tip() const {
    const auto* best = tree_.find(tip_);
    return best ? *best : tree_.root();
}

void Machine::settle() {
    bool changed = true;
    while (changed && !diverged_) {
        changed = connect_blocks();
        start_executions();
        changed = certify_ready() || changed;
        changed = finalize_ready() || changed;
        changed = notarize_ready() || changed;
        changed = propose_ready() || changed;
    }
}

void Machine::persist(View view, const Message& record, bool sync) {
    emit(Persist{view, encode_message(record), sync});
}

Bft::Bft(const Params& params, ValidatorSet validators, Recovered recovered, Signer* signer,
         const Checks& checks)
    : machine_(std::make_unique<Machine>(params, std::move(validators), std::move(recovered),
                                         signer, checks)) {}
Bft::~Bft() = default;
Bft::Bft(Bft&&) noexcept = default;
Bft& Bft::operator=(Bft&&) noexcept = default;

std::vector<Effect> Bft::step(const Input& input) {
    return machine_->step(input);
}
Standing Bft::standing() const {
    return machine_->standing();
}
Waiting Bft::waiting() const {
    return machine_->waiting();
}
BlockPtr Bft::find_block(const Hash& hash) const {
    return machine_->find_block(hash);
}

}  // namespace trainyard::consensus::bft
