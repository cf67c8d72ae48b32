// SPDX-License-Identifier: Apache-2.0
// BN254 (alt_bn128): y^2 = x^3 + 3 over Fp, its twist y^2 = x^3 + 3 / (9 + u) over Fp2, and its
// pairing.
//
// Sources: EIP-196, EIP-197. x = 4965661367192848881, p = 36 x^4 + 36 x^3 + 24 x^2 + 6 x + 1,
// r = 36 x^4 + 36 x^3 + 18 x^2 + 6 x + 1.
#pragma once

#include <span>

#include "vm/precompiles/curve/point.hpp"
#include "vm/precompiles/field/fp12.hpp"

namespace trainyard::vm::bn254 {

struct FieldParams {
    static constexpr auto kModulus = field::from_hex_digits<4>(
        "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47");
    static constexpr uint64_t kXi = 9;
};
using Fp = field::PrimeField<FieldParams>;
using Fp2 = field::Fp2<Fp>;
using Fp12 = field::Fp12<Fp>;
using G1 = curve::Affine<Fp>;
using G2 = curve::Affine<Fp2>;
using Scalar = field::Limbs<4>;

inline constexpr uint64_t kX = 4965661367192848881;
inline constexpr Scalar kGroupOrder =
    field::from_hex_digits<4>("30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001");

[[nodiscard]] bool is_on_curve(const G1& p);
[[nodiscard]] bool is_on_twist(const G2& q);

/// True if `q`, which is on the twist, is of order r or infinity. G1 is the whole curve.
[[nodiscard]] bool is_in_group(const G2& q);

/// n p, for any n below 2^256.
[[nodiscard]] curve::Jacobian<Fp> multiply(const G1& p, const Scalar& n);

struct Pair {
    G1 p;
    G2 q;
};
/// e(p_1, q_1) ... e(p_k, q_k), up to a power that is prime to r. Each p is on the curve, each q in
/// the group. Pairs with infinity count as 1.
[[nodiscard]] Fp12 pairing_product(std::span<const Pair> pairs);

}  // namespace trainyard::vm::bn254

template <>
const trainyard::vm::field::Frobenius<trainyard::vm::bn254::Fp>
    trainyard::vm::field::Tower<trainyard::vm::bn254::Fp>::kFrobenius;
