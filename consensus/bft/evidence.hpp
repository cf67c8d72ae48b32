// SPDX-License-Identifier: Apache-2.0
// Two signed votes that prove an offence, as bytes that a contract can carry.
#pragma once

#include <optional>

#include "consensus/bft/bft.hpp"
#include "core/bytes.hpp"

namespace trainyard::consensus::bft {

/// A vote as docs/spec/consensus.md section 3 lays it out, with its first byte.
inline constexpr size_t kVoteBytes = 116;
inline constexpr size_t kEvidenceBytes = 2 * kVoteBytes;

/// Which rule two votes of one signer break (docs/spec/consensus.md section 6); nullopt: none.
/// The votes' signer indexes, which no signature covers, are not looked at.
[[nodiscard]] std::optional<Offence> offence_of(const Vote& first, const Vote& second);

[[nodiscard]] Bytes encode_evidence(const Vote& first, const Vote& second);
/// The offence that `votes` prove of the owner of `key`: both decode, contradict each other, and
/// are signed by it for this chain. nullopt: they prove nothing.
[[nodiscard]] std::optional<Offence> judge_evidence(BytesView votes, const PublicKey& key,
                                                    const ChainIdentity& chain);

}  // namespace trainyard::consensus::bft
