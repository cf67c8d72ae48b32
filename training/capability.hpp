// SPDX-License-Identifier: Apache-2.0
// The capability challenge: a chain of exact int8 products that shows how fast a machine is, and
// that a few rows show to have been computed: docs/spec/capability.md.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/backend.hpp"

namespace trainyard::training {

/// X_0 and B (both size x size, int8) come from the seed; X_{i+1} = fold(X_i * B), `links` times.
/// What is committed to are the rows of the last X.
struct Challenge {
    Hash seed;
    uint32_t size = 0;   ///< a multiple of 64
    uint32_t links = 0;  ///< products
};
inline constexpr uint32_t kChallengeSizeMax = 32768;
inline constexpr uint32_t kChallengeLinksMax = 65536;
/// Rows that a checker draws.
inline constexpr uint32_t kChallengeRows = 32;

[[nodiscard]] bool is_valid(const Challenge& challenge);
/// Multiply-adds of the whole chain.
[[nodiscard]] uint64_t challenge_macs(const Challenge& challenge);

/// One byte in [-127, 127] from an exact sum: the top byte of sum * 9E3779B1 modulo 2^32, less 128.
[[nodiscard]] constexpr int8_t fold(int32_t sum) {
    const uint32_t mixed = static_cast<uint32_t>(sum) * 0x9E3779B1U;
    const int value = static_cast<int>(mixed >> 24) - 128;
    return static_cast<int8_t>(value < -127 ? -127 : value);
}

/// The rows of X_0, one after another; the columns of B likewise.
[[nodiscard]] std::vector<int8_t> challenge_rows(const Challenge& challenge,
                                                 const std::vector<uint32_t>& rows);
[[nodiscard]] std::vector<int8_t> challenge_columns(const Challenge& challenge);
[[nodiscard]] std::vector<uint32_t> all_rows(const Challenge& challenge);

/// Takes rows of X_0 through the whole chain, in place; any number of rows.
using ChallengeChain = std::function<Result<Done, BackendError>(std::span<int8_t> rows)>;
/// On the CPU, in plain C++.
[[nodiscard]] ChallengeChain make_cpu_chain(const Challenge& challenge, unsigned threads);

/// What a prover computes: the root over all rows of the last X, and what opening them needs.
struct ChallengeProof {
    Hash root;
    std::vector<Hash> leaves;
};
[[nodiscard]] Result<ChallengeProof, BackendError> prove(const Challenge& challenge,
                                                         const ChallengeChain& chain);

/// The rows to open, from randomness that came after the root.
[[nodiscard]] std::vector<uint32_t> drawn_rows(const Challenge& challenge, const Hash& beacon);

/// The siblings of each drawn row; the rows themselves the checker computes.
using ChallengeOpening = std::vector<std::vector<Hash>>;
[[nodiscard]] ChallengeOpening open_rows(const ChallengeProof& proof,
                                         const std::vector<uint32_t>& rows);

/// Computes the drawn rows from the seed and compares them with the root.
[[nodiscard]] Result<bool, BackendError> verify_rows(const Challenge& challenge, const Hash& root,
                                                     const Hash& beacon,
                                                     const ChallengeOpening& opening,
                                                     const ChallengeChain& chain);

}  // namespace trainyard::training
