// SPDX-License-Identifier: Apache-2.0
// KZG proofs that a committed polynomial has a value at a point, with Ethereum's trusted setup.
#pragma once

#include "core/bytes.hpp"

namespace trainyard::vm::bls12381 {

/// The polynomial behind `commitment` has the value y at z; nullopt where an input is malformed: a
/// point is 48 bytes, compressed and in G1, a number 32 bytes, below r, most significant byte
/// first.
///
/// Source: EIP-4844, verify_kzg_proof of the consensus specifications,
/// deneb/polynomial-commitments.md.
[[nodiscard]] std::optional<bool> verify_kzg_proof(BytesView commitment, BytesView z, BytesView y,
                                                   BytesView proof);

}  // namespace trainyard::vm::bls12381
