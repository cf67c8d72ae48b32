// SPDX-License-Identifier: Apache-2.0
// The checks behind every simulated run.
#include "tests/sim/checker.hpp"

#include <algorithm>

#include "consensus/bft/view_book.hpp"
#include "tests/sim/fake_keys.hpp"

namespace trainyard::sim {
namespace cb = consensus::bft;

void Checker::on_intent(const cb::Vote& vote) {
    const std::tuple view{vote.epoch, vote.signer, vote.view};
    if (vote.kind == cb::VoteKind::nullify) nullified_.insert(view);
    if (vote.kind == cb::VoteKind::notarize && nullified_.count(view) > 0)
        conflict(vote, "its earlier nullify");
}

void Checker::on_vote(const cb::Vote& vote) {
    const auto key = [&](cb::VoteKind kind) {
        return Slot{vote.epoch, vote.signer, vote.view, kind};
    };
    const auto [it, is_new] = votes_.emplace(key(vote.kind), vote.block);
    if (!is_new && it->second != vote.block) conflict(vote, "the same kind");
    if (vote.kind == cb::VoteKind::nullify && votes_.count(key(cb::VoteKind::finalize)) > 0)
        conflict(vote, "its finalize");
    if (vote.kind == cb::VoteKind::finalize && votes_.count(key(cb::VoteKind::nullify)) > 0)
        conflict(vote, "its nullify");
}

void Checker::conflict(const cb::Vote& vote, const char* with) {
    fail("honest validator " + std::to_string(vote.signer) + " contradicts " + with + " in view " +
         std::to_string(vote.view.value) + " of epoch " + std::to_string(vote.epoch.value));
}

consensus::SetPtr Checker::set_of(Epoch epoch) const {
    if (epoch.value < 2) return chain_.electorate.genesis();
    const auto fixed = finals_.find(consensus::boundary_of(epoch - 2, chain_.epoch_length).value);
    if (fixed == finals_.end()) return nullptr;
    return chain_.electorate.after(epoch, fixed->second.state);
}

/// A quorum of the set of the block's own epoch signed it.
bool Checker::is_proven(const cb::Certificate& certificate, uint64_t height) const {
    const auto set = set_of(certificate.epoch);
    if (certificate.epoch != consensus::epoch_of({height}, chain_.epoch_length) || !set)
        return false;
    const auto votes = cb::votes_of(certificate);
    const Hash digest = cb::vote_digest(chain_.identity, certificate.kind, certificate.epoch,
                                        certificate.view, certificate.block);
    return certificate.kind == cb::VoteKind::finalize && cb::is_well_formed(certificate, *set) &&
           std::all_of(votes.begin(), votes.end(), [&](const cb::Vote& vote) {
               return chain_.checks.verify(set->at(vote.signer).consensus_key, digest,
                                           vote.signature);
           });
}

void Checker::on_final(unsigned node, const cb::BlockData& block, const Hash& state,
                       const cb::Certificate* certificate) {
    const uint64_t height = block.header.number;
    if (certificate && !is_proven(*certificate, height))
        fail("height " + std::to_string(height) + " is final without a quorum of its epoch's set");
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
    const auto set = set_of(evidence.first.epoch);
    if (!set || evidence.first.signer >= set->size()) return fail("evidence against nobody");
    const unsigned owner = owner_of(set->at(evidence.first.signer));
    if (honest_[owner]) fail("evidence against honest node " + std::to_string(owner));
}

}  // namespace trainyard::sim
