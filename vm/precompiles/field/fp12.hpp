// SPDX-License-Identifier: Apache-2.0
// The tower Fp6 = Fp2[v] / (v^3 - xi), Fp12 = Fp6[w] / (w^2 - v), with the sparse products and the
// squarings of the cyclotomic subgroup that pairings live on.
//
// Sources: Devegili et al., "Multiplication and squaring on pairing-friendly fields", ePrint
// 2006/471; Granger and Scott, "Faster squaring in the cyclotomic subgroup", ePrint 2009/565.
#pragma once

#include "vm/precompiles/field/fp2.hpp"

namespace trainyard::vm::field {

template <class F>
struct Fp6 {
    Fp2<F> a, b, c;  ///< a + b v + c v^2

    static constexpr Fp6 one() { return {Fp2<F>::one(), {}, {}}; }
    constexpr bool operator==(const Fp6&) const = default;

    friend constexpr Fp6 operator+(const Fp6& x, const Fp6& y) {
        return {x.a + y.a, x.b + y.b, x.c + y.c};
    }
    friend constexpr Fp6 operator-(const Fp6& x, const Fp6& y) {
        return {x.a - y.a, x.b - y.b, x.c - y.c};
    }
    constexpr Fp6 operator-() const { return {-a, -b, -c}; }

    friend constexpr Fp6 operator*(const Fp6& x, const Fp6& y) {
        const Fp2<F> aa = x.a * y.a, bb = x.b * y.b, cc = x.c * y.c;
        return {((x.b + x.c) * (y.b + y.c) - bb - cc).times_xi() + aa,
                (x.a + x.b) * (y.a + y.b) - aa - bb + cc.times_xi(),
                (x.a + x.c) * (y.a + y.c) - aa - cc + bb};
    }
    friend constexpr Fp6 operator*(const Fp6& x, const Fp2<F>& y) {
        return {x.a * y, x.b * y, x.c * y};
    }

    /// this (l + m v)
    [[nodiscard]] constexpr Fp6 times(const Fp2<F>& l, const Fp2<F>& m) const {
        const Fp2<F> al = a * l, bm = b * m;
        return {((b + c) * m - bm).times_xi() + al, (a + b) * (l + m) - al - bm,
                (a + c) * l - al + bm};
    }

    [[nodiscard]] constexpr Fp6 times_v() const { return {c.times_xi(), a, b}; }

    [[nodiscard]] constexpr Fp6 inverse() const {
        const Fp2<F> p = a.squared() - (b * c).times_xi(), q = c.squared().times_xi() - a * b,
                     r = b.squared() - a * c;
        const Fp2<F> norm = a * p + (c * q + b * r).times_xi();
        return Fp6{p, q, r} * norm.inverse();
    }
};

/// xi^(i (p - 1) / 6) for i < 6: w^(i p) = w^i times this.
template <class F>
struct Frobenius {
    std::array<Fp2<F>, 6> gamma;
    std::array<F, 6> gamma_norm;  ///< xi^(i (p^2 - 1) / 6)
};

template <class F>
consteval Frobenius<F> make_frobenius() {
    auto exponent = F::Params::kModulus;
    exponent[0] -= 1;
    divide(exponent, 6);
    Frobenius<F> r;
    r.gamma[0] = Fp2<F>::one();
    r.gamma[1] = Fp2<F>::xi().power(exponent);
    for (size_t i = 2; i < 6; ++i) r.gamma[i] = r.gamma[i - 1] * r.gamma[1];
    for (size_t i = 0; i < 6; ++i) r.gamma_norm[i] = r.gamma[i].norm();
    return r;
}
/// Each curve defines its own, in one file: the compiler needs seconds for it.
template <class F>
struct Tower {
    static const Frobenius<F> kFrobenius;
};

template <class F>
struct Fp12 {
    Fp6<F> a, b;  ///< a + b w

    static constexpr Fp12 one() { return {Fp6<F>::one(), {}}; }
    constexpr bool operator==(const Fp12&) const = default;

    friend constexpr Fp12 operator*(const Fp12& x, const Fp12& y) {
        const Fp6<F> aa = x.a * y.a, bb = x.b * y.b;
        return {bb.times_v() + aa, (x.a + x.b) * (y.a + y.b) - aa - bb};
    }

    [[nodiscard]] constexpr Fp12 squared() const {
        const Fp6<F> ab = a * b;
        return {(a + b) * (a + b.times_v()) - ab - ab.times_v(), ab + ab};
    }

    /// this (k + l w^2 + m w^3): a line on a twist of type M.
    [[nodiscard]] constexpr Fp12 times_023(const Fp2<F>& k, const Fp2<F>& l,
                                           const Fp2<F>& m) const {
        const Fp6<F> low = a.times(k, l);
        const Fp6<F> high = (b * m).times_v();  // b m w^3 = (b m v) w
        const Fp6<F> cross = (a + b).times(k, l + m);
        return {high.times_v() + low, cross - low - high};
    }

    /// this (k + l w + m w^3): a line on a twist of type D.
    [[nodiscard]] constexpr Fp12 times_013(const Fp2<F>& k, const Fp2<F>& l,
                                           const Fp2<F>& m) const {
        const Fp6<F> low = a * k;
        const Fp6<F> high = b.times(l, m);
        const Fp6<F> cross = (a + b).times(k + l, m);
        return {high.times_v() + low, cross - low - high};
    }

    /// Its p^6-th power; the inverse of an element of the cyclotomic subgroup.
    [[nodiscard]] constexpr Fp12 conjugate() const { return {a, -b}; }

    [[nodiscard]] constexpr Fp12 inverse() const {
        const Fp6<F> inverse_norm = (a * a - (b * b).times_v()).inverse();
        return {a * inverse_norm, -(b * inverse_norm)};
    }

    /// Its p-th power.
    [[nodiscard]] Fp12 frobenius() const {
        const auto& g = Tower<F>::kFrobenius.gamma;
        return {{a.a.conjugate(), a.b.conjugate() * g[2], a.c.conjugate() * g[4]},
                {b.a.conjugate() * g[1], b.b.conjugate() * g[3], b.c.conjugate() * g[5]}};
    }
    /// Its p^2-th power.
    [[nodiscard]] Fp12 frobenius_squared() const {
        const auto& g = Tower<F>::kFrobenius.gamma_norm;
        return {{a.a, a.b * g[2], a.c * g[4]}, {b.a * g[1], b.b * g[3], b.c * g[5]}};
    }

    /// The square of an element of the cyclotomic subgroup.
    [[nodiscard]] Fp12 cyclotomic_squared() const {
        const auto [p, q] = square_in_fp4(a.a, b.b);
        const auto [r, s] = square_in_fp4(b.a, a.c);
        const auto [t, u] = square_in_fp4(a.b, b.c);
        return {
            {three_minus_two(p, a.a), three_minus_two(r, a.b), three_minus_two(t, a.c)},
            {three_plus_two(u.times_xi(), b.a), three_plus_two(q, b.b), three_plus_two(s, b.c)}};
    }

private:
    struct Fp4 {
        Fp2<F> low, high;
    };
    /// (x + y s)^2 where s^2 = xi.
    static Fp4 square_in_fp4(const Fp2<F>& x, const Fp2<F>& y) {
        const Fp2<F> xx = x.squared(), yy = y.squared();
        return {yy.times_xi() + xx, (x + y).squared() - xx - yy};
    }
    static Fp2<F> three_minus_two(const Fp2<F>& x, const Fp2<F>& y) {
        return (x - y).doubled() + x;
    }
    static Fp2<F> three_plus_two(const Fp2<F>& x, const Fp2<F>& y) { return (x + y).doubled() + x; }
};

}  // namespace trainyard::vm::field
