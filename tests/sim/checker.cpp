// SPDX-License-Identifier: Apache-2.0
// The checks behind every simulated run.
#include "tests/sim/checker.hpp"

namespace trainyard::sim {
namespace cb = consensus::bft;

void Checker::on_intent(const cb::Vote& vote) {
    const std::pair view{vote.signer, vote.view.value};
    if (vote.kind == cb::VoteKind::nullify) nullified_.insert(view);
    if (vote.kind == cb::VoteKind::notarize && nullified_.count(view) > 0)
        conflict(vote, "its earlier nullify");
}

void Checker::on_vote(const cb::Vote& vote) {
    const auto key = [&](cb::VoteKind kind) { return Slot{vote.signer, vote.view.value, kind}; };
    const auto [it, is_new] = votes_.emplace(key(vote.kind), vote.block);
    if (!is_new && it->second != vote.block) conflict(vote, "the same kind");
    if (vote.kind == cb::VoteKind::nullify && votes_.count(key(cb::VoteKind::finalize)) > 0)
        conflict(vote, "its finalize");
    if (vote.kind == cb::VoteKind::finalize && votes_.count(key(cb::VoteKind::nullify)) > 0)
        conflict(vote, "its nullify");
}

void Checker::conflict(const cb::Vote& vote, const char* with) {
    fail("honest node " + std::to_string(vote.signer) + " contradicts " + with + " in view " +
         std::to_string(vote.view.value));
}

void Checker::on_final(unsigned node, const cb::BlockData& block, const Hash& state) {
    const uint64_t height = block.header.number;
    const auto [it, is_new] = finals_.emplace(height, Final{block.hash, state});
    if (it->second != Final{block.hash, state})
        fail("two different final blocks at height " + std::to_string(height));
    const auto tip = tips_.find(node);
    const bool follows = tip == tips_.end() ? height == 1
                                            : height == tip->second.first + 1 &&
                                                  block.header.parent_hash == tip->second.second;
    if (!follows)
        fail("node " + std::to_string(node) + " finalized height " + std::to_string(height) +
             " out of order");
    tips_[node] = {height, block.hash};
}

void Checker::on_evidence(const cb::Evidence& evidence) {
    ++evidence_;
    if (honest_[evidence.first.signer])
        fail("evidence against honest node " + std::to_string(evidence.first.signer));
}

}  // namespace trainyard::sim
