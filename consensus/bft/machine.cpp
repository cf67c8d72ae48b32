// SPDX-License-Identifier: Apache-2.0
// Inputs of the vote machine, its views and its timers (rules 1, 8 and 12).
#include "consensus/bft/machine.hpp"

#include <algorithm>

#include "core/assert.hpp"

namespace trainyard::consensus::bft {

Machine::Machine(const Params& params, Beginning beginning, const std::vector<Message>& records,
                 Signer* signer, const Checks& checks)
    : params_(params),
      epoch_(beginning.epoch),
      last_(boundary_of(beginning.epoch, params.epoch_length)),
      set_ptr_(std::move(beginning.set)),
      previous_(std::move(beginning.previous)),
      set_(*set_ptr_),
      self_(params.self ? set_.find_consensus_key(*params.self) : std::nullopt),
      signer_(signer),
      checks_(checks),
      tree_(beginning.root, set_, epoch_, last_),
      book_(set_),
      tip_(beginning.root.hash),
      last_seen_(set_.size()) {
    ASSERT(beginning.root.header.number < last_.value);
    view_ = tree_.root().view + 1;
    highest_certified_ = tree_.root().view;
    recover(records);
    for (ValidatorIndex i = 0; i < set_.size(); ++i)
        if (beginning.silent.count(set_.at(i).consensus_key) == 0) last_seen_[i] = view_;
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
    return {.epoch = epoch_,
            .view = view_,
            .leader = current_leader(),
            .final_view = root.view,
            .final_height = {root.block->header.number},
            .final_hash = root.block->hash,
            .certified_view = best.view,
            .certified_height = {best.block->header.number},
            .certified_hash = best.block->hash,
            .set_size = set_.size(),
            .total_gwei = set_.total_weight(),
            .own_gwei = self_ ? set_.at(*self_).stake_gwei : 0};
}

FinalPoint Machine::final_point() const {
    const auto& root = tree_.root();
    return {root.block->header, root.block->hash, root.beacon, root.certificate};
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

std::vector<Effect> Machine::begin(bool paced) {
    if (paced) paced_view_ = view_;
    arm_timers(true);
    arm_repair();
    settle();
    return std::exchange(out_, {});
}

void Machine::on(const Received& input) {
    std::visit([&](const auto& message) { on_message(input.from, message); }, input.message);
}

void Machine::on(const PeerConnected& input) {
    if (is_peer(input.peer)) emit(Send{input.peer, own_status()});
}

void Machine::on(const Timeout& input) {
    const auto& id = input.id;
    if (id.epoch != epoch_) return;
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
    const bool built_early =
        requested_ && requested_->view == view_ && requested_->parent == tip().block->hash;
    if (!built_early) requested_.reset();
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
    emit(SetTimer{{TimerKind::lead, epoch_, view_}, lead_ms});
    emit(SetTimer{{TimerKind::advance, epoch_, view_}, advance_ms});
    emit(SetTimer{{TimerKind::retry, epoch_, view_}, advance_ms + 2 * delta_ms});
}

uint64_t Machine::scaled_delta_ms() const {
    const View below = std::min(highest_certified_, view_ - 1);
    const uint64_t failed = view_ - below - 1;
    return params_.delta_ms * std::min<uint64_t>(4 + failed, 32) / 4;
}

bool Machine::is_active(ValidatorIndex validator) const {
    const auto& seen = last_seen_[validator];
    return self_ == validator || (seen && *seen + params_.skip_after_views >= view_);
}

bool Machine::is_long_silent(ValidatorIndex leader) const {
    if (is_active(leader)) return false;
    uint64_t weight = 0;
    for (ValidatorIndex i = 0; i < set_.size(); ++i)
        if (is_active(i)) weight += set_.at(i).stake_gwei;
    return weight >= set_.quorum();
}

std::set<PublicKey> Machine::silent() const {
    std::set<PublicKey> out;
    for (ValidatorIndex i = 0; i < set_.size(); ++i)
        if (!is_active(i)) out.insert(set_.at(i).consensus_key);
    return out;
}

std::optional<Hash> Machine::next_epochs_seed() const {
    if (!tree_.is_last(tip())) return std::nullopt;
    return tip().beacon.next_seed();
}

ValidatorIndex Machine::current_leader() const {
    return tree_.leader_above(tip(), view_);
}

bool Machine::is_leader(ValidatorIndex who, const Hash& parent, View view) const {
    const auto* known = tree_.find(parent);
    return tree_.leader_above(known ? *known : tip(), view) == who;
}

const Peer& Machine::peer_of(ValidatorIndex validator) const {
    return set_.at(validator).p2p_key;
}

const TreeBlock& Machine::tip() const {
    const auto* best = tree_.find(tip_);
    return best ? *best : tree_.root();
}

void Machine::settle() {
    bool changed = true;
    while (changed && !diverged_ && !finished_) {
        changed = connect_blocks();
        start_executions();
        changed = certify_ready() || changed;
        changed = finalize_ready() || changed;
        if (finished_) return;
        changed = notarize_ready() || changed;
        changed = lead() || changed;
    }
}

void Machine::persist(View view, const Message& record, bool sync) {
    emit(Persist{epoch_, view, encode_message(record), sync});
}

}  // namespace trainyard::consensus::bft
