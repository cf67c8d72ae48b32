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

/// A root of g or, where g has none, of z^3 u^6 g, which has one then because z is no square.
template <class F>
struct EitherRoot {
    F root;
    bool is_of_g;
};

/// A root of -n^3, for n without a root: then -n has one.
Fp root_of_minus_cube(const Fp& n) {
    return n * (-n).root_of_this_or_minus();
}

/// One power serves both: it gives a root of g or of -g.
EitherRoot<Fp> root_of_either(const Fp& g, const Fp& u) {
    static const Fp kFactor = root_of_minus_cube(kCurve1.z);
    const Fp r = g.root_of_this_or_minus();
    if (r.squared() == g) return {r, true};
    return {kFactor * u.squared() * u * r, false};
}

/// g has a root if its norm has one; the root of the other norm follows as above.
EitherRoot<Fp2> root_of_either(const Fp2& g, const Fp2& u) {
    static const Fp kFactor = root_of_minus_cube(kCurve2.z.norm());
    const Fp n = g.norm(), r = n.root_of_this_or_minus();
    if (r.squared() == n) return {g.root_by(r), true};
    const Fp2 zuu = kCurve2.z * u.squared();
    const Fp u_norm = u.norm();
    const Fp root_of_norm = kFactor * u_norm.squared() * u_norm * r;
    return {(zuu.squared() * zuu * g).root_by(root_of_norm), false};
}

template <class F>
curve::Affine<F> map_by_swu(const F& u, const SwuCurve<F>& e) {
    const F zuu = e.z * u.squared(), t = zuu.squared() + zuu;
    const F x = t.is_zero() ? e.b_over_za : e.minus_b_over_a * (F::one() + t.inverse());
    const auto y = root_of_either((x.squared() + e.a) * x + e.b, u);
    // Otherwise the point has the x z u^2 x: there the right side is z^3 u^6 times as large.
    return {y.is_of_g ? x : zuu * x, sgn0(u) == sgn0(y.root) ? y.root : -y.root};
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
