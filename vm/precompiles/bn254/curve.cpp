// SPDX-License-Identifier: Apache-2.0
// The groups of BN254: membership, and multiplication through the endomorphism of G1.
#include "vm/precompiles/bn254/curve.hpp"

#include "vm/precompiles/bn254/twist.hpp"
#include "vm/precompiles/curve/multiply.hpp"

namespace trainyard::vm::bn254 {
namespace {

using Jacobian1 = curve::Jacobian<Fp>;
using Jacobian2 = curve::Jacobian<Fp2>;
using field::Limbs;

/// n = low + lambda high, where (x, y) -> (beta x, y) multiplies by lambda = 36 x^3 + 18 x^2 + 6 x
/// + 1.
struct Halves {
    Limbs<2> low, high;
    bool is_high_negative;
};

Limbs<4> low_limbs(const Limbs<6>& a) {
    return {a[0], a[1], a[2], a[3]};
}

/// GLV: (n, 0) minus the nearby point m (s, t) + k (u, -s) of the lattice of all (a, b) with
/// a + lambda b = 0 mod r. m and k are rounded down, so that low lies in [0, s + u) and high in
/// (-t, s), up to the error 2^-64 of the quotients. Source: Gallant, Lambert, Vanstone, CRYPTO
/// 2001.
Halves halve(const Scalar& n) {
    constexpr auto kS = field::from_hex_digits<2>("89d3256894d213e3");  // 2x + 1
    constexpr auto kT =
        field::from_hex_digits<2>("6f4d8248eeb859fd0be4e1541221250b");  // 6x^2 + 4x + 1
    constexpr auto kU = field::from_hex_digits<2>("6f4d8248eeb859fc8211bbeb7d4f1128");  // 6x^2 + 2x
    constexpr auto kSOverR = field::from_hex_digits<4>(  // floor(2^320 s / r)
        "2d91d232ec7e0b3d76eb9c714773a6ef2");
    constexpr auto kTOverR = field::from_hex_digits<4>(  // floor(2^320 t / r)
        "24ccef014a773d2d25398fd0300ff6565149d540fd5e495cc");
    const auto ns = field::multiply(n, kSOverR), nt = field::multiply(n, kTOverR);
    const Limbs<4> m = {ns[5], ns[6], ns[7]}, k = {nt[5], nt[6], nt[7]};

    Limbs<4> low = n, high = low_limbs(field::multiply(k, kS));
    field::sub_from(low, low_limbs(field::multiply(m, kS)));
    field::sub_from(low, low_limbs(field::multiply(k, kU)));
    const bool is_negative = field::sub_from(high, low_limbs(field::multiply(m, kT))) != 0;
    if (is_negative) {
        Limbs<4> positive{};
        field::sub_from(positive, high);
        high = positive;
    }
    return {{low[0], low[1]}, {high[0], high[1]}, is_negative};
}

}  // namespace

bool is_on_curve(const G1& p) {
    return curve::is_on_curve(p, Fp::from_int(3));
}

bool is_on_twist(const G2& q) {
    return curve::is_on_curve(q, kTwistB);
}

/// [x + 1] Q + psi([x] Q) + psi^2([x] Q) = psi^3([2 x] Q) holds in the group only.
/// Source: Dai, Lin, Zhao, Zhou, "Fast subgroup membership testings", ePrint 2022/348, section 4.3.
bool is_in_group(const G2& q) {
    if (q.is_infinity()) return true;
    const Jacobian2 xq = Limbs<1>{kX} * q;
    const Jacobian2 psi = untwist_frobenius(xq), psi2 = untwist_frobenius(psi);
    return xq + q + psi + psi2 == untwist_frobenius(psi2).doubled();
}

Jacobian1 multiply(const G1& p, const Scalar& n) {
    const Halves halves = halve(n);
    const Fp beta = field::Tower<Fp>::kFrobenius.gamma_norm[2];
    const G1 image = {p.x * beta, halves.is_high_negative ? -p.y : p.y};
    const curve::Term<Fp, 2> terms[] = {{p, halves.low}, {image, halves.high}};
    return curve::sum_of_products<Fp, 2>(terms);
}

}  // namespace trainyard::vm::bn254
