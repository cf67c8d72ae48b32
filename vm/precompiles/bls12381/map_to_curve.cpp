// SPDX-License-Identifier: Apache-2.0
// Field elements to points of the groups: the simplified SWU map to an isogenous curve, the
// isogeny, and multiplication by the cofactor.
//
// Sources: RFC 9380, sections 6.6.2, 6.6.3, 8.8.1, 8.8.2; Budroni and Pintore, "Efficient hash maps
// to G2 on BLS curves", ePrint 2017/419 (cofactor of G2).
#include "vm/precompiles/bls12381/isogenies.hpp"
#include "vm/precompiles/bls12381/twist.hpp"

namespace trainyard::vm::bls12381 {
namespace {

using field::Limbs;

/// y^2 = x^3 + a x + b, and the z of the map.
template <class F>
struct SwuCurve {
    F a, b, z;
    F minus_b_over_a = -b * a.inverse();
    F b_over_za = b * (z * a).inverse();
};
constexpr SwuCurve<Fp> kCurve1 = {
    .a = fp("00144698a3b8e9433d693a02c96d4982b0ea985383ee66a8"
            "d8e8981aefd881ac98936f8da0e0f97f5cf428082d584c1d"),
    .b = fp("12e2908d11688030018b12e8753eee3b2016c1f0f24f4070"
            "a0b9c14fcef35ef55a23215a316ceaa5d1cc48e98e172be0"),
    .z = Fp::from_int(11),
};
constexpr SwuCurve<Fp2> kCurve2 = {
    .a = {{}, Fp::from_int(240)},
    .b = {Fp::from_int(1012), Fp::from_int(1012)},
    .z = {-Fp::from_int(2), -Fp::one()},
};

bool sgn0(const Fp& a) {
    return (a.to_number()[0] & 1) != 0;
}
bool sgn0(const Fp2& a) {
    return a.re.is_zero() ? sgn0(a.im) : sgn0(a.re);
}

template <class F>
curve::Affine<F> map_by_swu(const F& u, const SwuCurve<F>& e) {
    const F zuu = e.z * u.squared(), t = zuu.squared() + zuu;
    const auto right_side = [&e](const F& x) { return (x.squared() + e.a) * x + e.b; };
    F x = t.is_zero() ? e.b_over_za : e.minus_b_over_a * (F::one() + t.inverse());
    auto y = right_side(x).root();
    if (!y) {  // then z u^2 x is the x of a point
        x = zuu * x;
        y = right_side(x).root();
    }
    return {x, sgn0(u) == sgn0(*y) ? *y : -*y};
}

template <class F, size_t N>
F evaluate(const F (&polynomial)[N], const F& x) {
    F r = polynomial[N - 1];
    for (size_t i = N - 1; i-- > 0;) r = r * x + polynomial[i];
    return r;
}

/// With z = x_denominator y_denominator no division is needed. z = 0, infinity, is the kernel.
template <class F, class Isogeny>
curve::Jacobian<F> apply(const Isogeny& isogeny, const curve::Affine<F>& p) {
    const F xd = evaluate(isogeny.x_denominator, p.x), yd = evaluate(isogeny.y_denominator, p.x);
    const F z = xd * yd, zz = z.squared();
    return {evaluate(isogeny.x_numerator, p.x) * yd * z,
            p.y * evaluate(isogeny.y_numerator, p.x) * xd * zz, z};
}

Jacobian2 times_z(const Jacobian2& q) {
    return -(Limbs<1>{kMinusZ} * q);
}

}  // namespace

/// The cofactor is cleared by 1 - z.
Jacobian1 map_to_group(const Fp& u) {
    const Jacobian1 p = apply(kIsogeny1, map_by_swu(u, kCurve1));
    return Limbs<1>{kMinusZ} * p + p;
}

/// The cofactor is cleared by (z^2 - z - 1) q + (z - 1) psi(q) + psi^2(2 q).
Jacobian2 map_to_group(const Fp2& u) {
    const Jacobian2 q = apply(kIsogeny2, map_by_swu(u, kCurve2));
    const Jacobian2 zq = times_z(q), psi_q = psi(q);
    return times_z(zq + psi_q) + -zq + -psi_q + -q + psi(psi(q.doubled()));
}

}  // namespace trainyard::vm::bls12381
