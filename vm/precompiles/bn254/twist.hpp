// SPDX-License-Identifier: Apache-2.0
// The twist of BN254: its b, and the map that the p-th power of the curve over Fp12 becomes on it.
#pragma once

#include "vm/precompiles/bn254/curve.hpp"

namespace trainyard::vm::bn254 {

extern const Fp2 kTwistB;
extern const Fp2 kThreeTwistB;

/// psi(x, y) = (x^p xi^((p - 1) / 3), y^p xi^((p - 1) / 2)); it multiplies by p in the group.
inline G2 untwist_frobenius(const G2& q) {
    const auto& gamma = field::Tower<Fp>::kFrobenius.gamma;
    return {q.x.conjugate() * gamma[2], q.y.conjugate() * gamma[3]};
}
inline curve::Jacobian<Fp2> untwist_frobenius(const curve::Jacobian<Fp2>& q) {
    const auto& gamma = field::Tower<Fp>::kFrobenius.gamma;
    return {q.x.conjugate() * gamma[2], q.y.conjugate() * gamma[3], q.z.conjugate()};
}

}  // namespace trainyard::vm::bn254
