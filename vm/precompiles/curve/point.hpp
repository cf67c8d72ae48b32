// SPDX-License-Identifier: Apache-2.0
// Points of curves y^2 = x^3 + b over a field F.
//
// Formulas: Bernstein and Lange, Explicit-Formulas Database, short Weierstrass curves with a = 0:
// dbl-2009-l, add-2007-bl, madd-2007-bl.
#pragma once

#include <span>
#include <vector>

#include "vm/precompiles/field/limbs.hpp"

namespace trainyard::vm::curve {

/// (0, 0) is the point at infinity, as in the EIPs: b != 0, so that it is not on the curve.
template <class F>
struct Affine {
    F x, y;

    [[nodiscard]] constexpr bool is_infinity() const { return x.is_zero() && y.is_zero(); }
    constexpr bool operator==(const Affine&) const = default;
    constexpr Affine operator-() const { return {x, -y}; }
};

/// True for infinity too.
template <class F>
[[nodiscard]] constexpr bool is_on_curve(const Affine<F>& p, const F& b) {
    return p.is_infinity() || p.y.squared() == p.x.squared() * p.x + b;
}

/// (x / z^2, y / z^3); z = 0 is infinity.
template <class F>
struct Jacobian {
    F x, y, z;

    constexpr Jacobian() = default;
    constexpr Jacobian(const F& x_, const F& y_, const F& z_) : x(x_), y(y_), z(z_) {}
    constexpr Jacobian(const Affine<F>& p) : x(p.x), y(p.y) {
        if (!p.is_infinity()) z = F::one();
    }

    [[nodiscard]] constexpr bool is_infinity() const { return z.is_zero(); }
    constexpr Jacobian operator-() const { return {x, -y, z}; }

    [[nodiscard]] constexpr Jacobian doubled() const {
        const F xx = x.squared(), yy = y.squared(), yyyy = yy.squared();
        const F s = ((x + yy).squared() - xx - yyyy).doubled();
        const F m = xx.doubled() + xx;
        const F x3 = m.squared() - s.doubled();
        return {x3, m * (s - x3) - yyyy.doubled().doubled().doubled(), (y * z).doubled()};
    }

    friend constexpr Jacobian operator+(const Jacobian& p, const Jacobian& q) {
        if (p.is_infinity()) return q;
        if (q.is_infinity()) return p;
        const F pzz = p.z.squared(), qzz = q.z.squared();
        const F u1 = p.x * qzz, u2 = q.x * pzz;
        const F s1 = p.y * q.z * qzz, s2 = q.y * p.z * pzz;
        const F h = u2 - u1, r = (s2 - s1).doubled();
        if (h.is_zero()) return r.is_zero() ? p.doubled() : Jacobian();
        const F i = h.doubled().squared(), j = h * i, v = u1 * i;
        const F x3 = r.squared() - j - v.doubled();
        return {x3, r * (v - x3) - (s1 * j).doubled(), (p.z * q.z * h).doubled()};
    }

    friend constexpr Jacobian operator+(const Jacobian& p, const Affine<F>& q) {
        if (q.is_infinity()) return p;
        if (p.is_infinity()) return q;
        const F zz = p.z.squared();
        const F h = q.x * zz - p.x, r = (q.y * p.z * zz - p.y).doubled();
        if (h.is_zero()) return r.is_zero() ? p.doubled() : Jacobian();
        const F hh = h.squared(), i = hh.doubled().doubled(), j = h * i, v = p.x * i;
        const F x3 = r.squared() - j - v.doubled();
        return {x3, r * (v - x3) - (p.y * j).doubled(), (p.z + h).squared() - zz - hh};
    }

    /// The same point, whatever its z.
    friend constexpr bool operator==(const Jacobian& p, const Jacobian& q) {
        if (p.is_infinity() || q.is_infinity()) return p.is_infinity() == q.is_infinity();
        const F pzz = p.z.squared(), qzz = q.z.squared();
        return p.x * qzz == q.x * pzz && p.y * q.z * qzz == q.y * p.z * pzz;
    }
    friend constexpr bool operator==(const Jacobian& p, const Affine<F>& q) {
        return p == Jacobian(q);
    }

    [[nodiscard]] constexpr Affine<F> to_affine() const { return to_affine(z.inverse()); }
    [[nodiscard]] constexpr Affine<F> to_affine(const F& inverse_z) const {
        const F squared = inverse_z.squared();
        return {x * squared, y * squared * inverse_z};
    }
};

/// All of them in affine form, with one inversion (Montgomery's trick).
template <class F>
[[nodiscard]] std::vector<Affine<F>> to_affine(std::span<const Jacobian<F>> points) {
    std::vector<F> products;  // of all z that are not 0 before this one
    products.reserve(points.size());
    F product = F::one();
    for (const auto& p : points) {
        products.push_back(product);
        if (!p.is_infinity()) product = product * p.z;
    }
    F inverse = product.inverse();
    std::vector<Affine<F>> r(points.size());
    for (size_t i = points.size(); i-- > 0;) {
        if (points[i].is_infinity()) continue;
        r[i] = points[i].to_affine(inverse * products[i]);
        inverse = inverse * points[i].z;
    }
    return r;
}

/// n p, bit by bit: for few set bits, and as the plain reference.
template <class P, class F, size_t N>
[[nodiscard]] constexpr Jacobian<F> times(const Jacobian<F>& start, const P& p,
                                          const field::Limbs<N>& n) {
    Jacobian<F> r = start;
    for (size_t i = 64 * N; i-- > 0;) {
        r = r.doubled();
        if (field::bit_of(n, i)) r = r + p;
    }
    return r;
}
template <class F, size_t N>
[[nodiscard]] constexpr Jacobian<F> operator*(const field::Limbs<N>& n, const Affine<F>& p) {
    return times(Jacobian<F>(), p, n);
}
template <class F, size_t N>
[[nodiscard]] constexpr Jacobian<F> operator*(const field::Limbs<N>& n, const Jacobian<F>& p) {
    return times(Jacobian<F>(), p, n);
}

}  // namespace trainyard::vm::curve
