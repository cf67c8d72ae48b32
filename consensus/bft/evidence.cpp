// SPDX-License-Identifier: Apache-2.0
// Judging two votes without any validator set: a key, a chain and two signatures.
#include "consensus/bft/evidence.hpp"

namespace trainyard::consensus::bft {
namespace {

std::optional<Vote> decode_vote(BytesView bytes) {
    auto message = decode_message(bytes);
    if (!message) return std::nullopt;
    const Vote* vote = std::get_if<Vote>(&*message);
    return vote == nullptr ? std::nullopt : std::optional(*vote);
}

}  // namespace

std::optional<Offence> offence_of(const Vote& first, const Vote& second) {
    if (first.epoch != second.epoch || first.view != second.view) return std::nullopt;
    if (first.kind == second.kind) {
        if (first.block == second.block) return std::nullopt;
        if (first.kind == VoteKind::notarize) return Offence::two_notarize;
        if (first.kind == VoteKind::finalize) return Offence::two_finalize;
        return std::nullopt;
    }
    if (first.kind == VoteKind::notarize || second.kind == VoteKind::notarize) return std::nullopt;
    return Offence::nullify_and_finalize;
}

Bytes encode_evidence(const Vote& first, const Vote& second) {
    Bytes out = encode_message(first);
    append(out, encode_message(second));
    return out;
}

std::optional<Offence> judge_evidence(BytesView votes, const PublicKey& key,
                                      const ChainIdentity& chain) {
    if (votes.size() != kEvidenceBytes) return std::nullopt;
    const auto first = decode_vote(votes.first(kVoteBytes));
    const auto second = decode_vote(votes.subspan(kVoteBytes));
    if (!first || !second) return std::nullopt;
    const auto offence = offence_of(*first, *second);
    if (!offence) return std::nullopt;
    for (const Vote* vote : {&*first, &*second})
        if (!verify(key, vote_digest(chain, *vote), vote->signature)) return std::nullopt;
    return offence;
}

}  // namespace trainyard::consensus::bft
