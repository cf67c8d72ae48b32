// SPDX-License-Identifier: Apache-2.0
// The twist of BLS12-381: its b, and the map that the p-th power of the curve over Fp12 becomes on
// it.
#pragma once

#include "vm/precompiles/bls12381/curve.hpp"

namespace trainyard::vm::bls12381 {

inline constexpr Fp2 kTwistB = {Fp::from_int(4), Fp::from_int(4)};

/// What psi multiplies x and y with: xi^((1 - p) / 3), xi^((1 - p) / 2).
struct PsiFactors {
    Fp2 x, y;
};
extern const PsiFactors kPsi;

/// psi(x, y) = (x^p xi^((1 - p) / 3), y^p xi^((1 - p) / 2)); it multiplies by z in the group.
inline G2 psi(const G2& q) {
    return {q.x.conjugate() * kPsi.x, q.y.conjugate() * kPsi.y};
}
inline Jacobian2 psi(const Jacobian2& q) {
    return {q.x.conjugate() * kPsi.x, q.y.conjugate() * kPsi.y, q.z.conjugate()};
}

}  // namespace trainyard::vm::bls12381
