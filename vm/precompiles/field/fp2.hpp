// SPDX-License-Identifier: Apache-2.0
// Fp2 = Fp[u] / (u^2 + 1), and xi = kXi + u, which is neither a square nor a cube in it.
#pragma once

#include "vm/precompiles/field/prime_field.hpp"

namespace trainyard::vm::field {

template <class F>
struct Fp2 {
    using Base = F;
    F re, im;  ///< re + im u

    static constexpr Fp2 one() { return {F::one(), {}}; }
    static constexpr Fp2 xi() { return {F::from_int(F::Params::kXi), F::one()}; }
    [[nodiscard]] constexpr bool is_zero() const { return re.is_zero() && im.is_zero(); }
    constexpr bool operator==(const Fp2&) const = default;

    friend constexpr Fp2 operator+(const Fp2& a, const Fp2& b) {
        return {a.re + b.re, a.im + b.im};
    }
    friend constexpr Fp2 operator-(const Fp2& a, const Fp2& b) {
        return {a.re - b.re, a.im - b.im};
    }
    constexpr Fp2 operator-() const { return {-re, -im}; }

    /// Karatsuba with three products and two reductions (Aranha et al., ePrint 2010/526, section
    /// 4).
    [[gnu::noinline]] friend constexpr Fp2 operator*(const Fp2& a, const Fp2& b) {
        const auto low = F::product(a.re, b.re), high = F::product(a.im, b.im);
        const auto cross = F::product(a.re + a.im, b.re + b.im);
        return {F::reduce(F::subtract(low, high)),
                F::reduce(F::subtract(F::subtract(cross, low), high))};
    }
    friend constexpr Fp2 operator*(const Fp2& a, const F& b) { return {a.re * b, a.im * b}; }

    [[nodiscard]] constexpr Fp2 squared() const {
        return {(re + im) * (re - im), re.doubled() * im};
    }
    [[nodiscard]] constexpr Fp2 doubled() const { return {re.doubled(), im.doubled()}; }
    [[nodiscard]] constexpr Fp2 halved() const { return {re.halved(), im.halved()}; }
    [[nodiscard]] constexpr Fp2 conjugate() const { return {re, -im}; }  // its p-th power
    [[nodiscard]] constexpr F norm() const { return re.squared() + im.squared(); }
    [[nodiscard]] constexpr Fp2 inverse() const { return conjugate() * norm().inverse(); }

    [[nodiscard]] constexpr Fp2 times_xi() const {
        if constexpr (F::Params::kXi == 1) return {re - im, re + im};
        static_assert(F::Params::kXi == 1 || F::Params::kXi == 9);
        const Fp2 eightfold = doubled().doubled().doubled();
        return {eightfold.re + re - im, eightfold.im + im + re};
    }

    [[nodiscard]] constexpr Fp2 power(const typename F::Number& exponent) const {
        Fp2 r = one();
        for (size_t i = 64 * F::kLimbs; i-- > 0;) {
            r = r.squared();
            if (bit_of(exponent, i)) r = r * *this;
        }
        return r;
    }

    [[nodiscard]] std::optional<Fp2> root() const {
        const auto n = norm().root();
        if (!n) return std::nullopt;
        return root_by(*n);
    }

    /// A root of this square by n, a root of its norm: one of (re + n) / 2 and (re - n) / 2 is the
    /// square of the root's real part.
    [[nodiscard]] Fp2 root_by(const F& n) const {
        if (im.is_zero()) {  // a root of re is real or, where re has none, imaginary
            const F r = re.root_of_this_or_minus();
            return r.squared() == re ? Fp2{r, {}} : Fp2{{}, r};
        }
        const F half = (re + n).halved();
        const F r = half.root_of_this_or_minus();
        const F other = im * r.doubled().inverse();
        // r^2 = -half means that (re - n) / 2 = -(im / 2)^2 / half = (im / (2 r))^2.
        return r.squared() == half ? Fp2{r, other} : Fp2{other, r};
    }
};

}  // namespace trainyard::vm::field
