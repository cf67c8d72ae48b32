// SPDX-License-Identifier: Apache-2.0
// Arithmetic modulo an odd prime p on Montgomery forms a R, R = 2^(64 N): the portable version,
// which is also what the compiler evaluates.
//
// Source: P. L. Montgomery, "Modular multiplication without trial division", 1985; row by row as in
// Koc, Acar, Kaliski, "Analyzing and comparing Montgomery multiplication algorithms", 1996 (CIOS).
#pragma once

#include "vm/precompiles/field/limbs.hpp"

namespace trainyard::vm::field {

/// What follows from the modulus. p < 2^(64 N - 2), so that sums of two products stay below p R.
template <size_t N>
struct Modulus {
    Limbs<N> p;
    uint64_t minus_inverse;  ///< -1/p mod 2^64
    Limbs<N> one;            ///< R mod p, the form of 1
    Limbs<N> r_squared;      ///< R^2 mod p
};

namespace portable {

template <size_t N>
constexpr void reduce_once(Limbs<N>& a, const Limbs<N>& p) {
    Limbs<N> less = a;
    if (sub_from(less, p) == 0) a = less;
}

template <size_t N>
constexpr Limbs<N> add(const Limbs<N>& a, const Limbs<N>& b, const Modulus<N>& m) {
    Limbs<N> r = a;
    add_to(r, b);
    reduce_once(r, m.p);
    return r;
}

template <size_t N>
constexpr Limbs<N> subtract(const Limbs<N>& a, const Limbs<N>& b, const Modulus<N>& m) {
    Limbs<N> r = a;
    if (sub_from(r, b) != 0) add_to(r, m.p);
    return r;
}

/// sum += a b at limb `at`; gives the carry out of limb at + N - 1.
template <size_t N, size_t M>
constexpr uint64_t multiply_add(Limbs<M>& sum, size_t at, const Limbs<N>& a, uint64_t b) {
    uint64_t carry = 0;
    for (size_t j = 0; j < N; ++j) {
        const auto t = static_cast<unsigned __int128>(a[j]) * b + sum[at + j] + carry;
        sum[at + j] = static_cast<uint64_t>(t);
        carry = static_cast<uint64_t>(t >> 64);
    }
    return carry;
}

/// a b / R mod p.
template <size_t N>
constexpr Limbs<N> multiply(const Limbs<N>& a, const Limbs<N>& b, const Modulus<N>& m) {
    Limbs<N + 1> t{};
    for (size_t i = 0; i < N; ++i) {
        t[N] = multiply_add(t, 0, a, b[i]);
        t[N] += multiply_add(t, 0, m.p, t[0] * m.minus_inverse);
        for (size_t j = 0; j < N; ++j) t[j] = t[j + 1];
    }
    Limbs<N> r{};
    for (size_t j = 0; j < N; ++j) r[j] = t[j];
    reduce_once(r, m.p);
    return r;
}

/// a / R mod p, where a < p R.
template <size_t N>
constexpr Limbs<N> reduce(const Limbs<2 * N>& a, const Modulus<N>& m) {
    Limbs<2 * N> t = a;
    uint64_t carry = 0;
    for (size_t i = 0; i < N; ++i) {
        const uint64_t high = multiply_add(t, i, m.p, t[i] * m.minus_inverse);
        const auto sum = static_cast<unsigned __int128>(t[i + N]) + high + carry;
        t[i + N] = static_cast<uint64_t>(sum);
        carry = static_cast<uint64_t>(sum >> 64);
    }
    Limbs<N> r{};
    for (size_t j = 0; j < N; ++j) r[j] = t[N + j];
    reduce_once(r, m.p);
    return r;
}

/// a - b, or a - b + p R where that is negative; a, b < p R.
template <size_t M>
constexpr Limbs<M> subtract_wide(const Limbs<M>& a, const Limbs<M>& b, const Modulus<M / 2>& m) {
    Limbs<M> r = a, high{};
    for (size_t i = 0; i < M / 2; ++i) high[M / 2 + i] = m.p[i];
    if (sub_from(r, b) != 0) add_to(r, high);
    return r;
}

}  // namespace portable

template <size_t N>
consteval Modulus<N> make_modulus(const Limbs<N>& p) {
    uint64_t inverse = 1;  // Newton: each step doubles the bits that are right
    for (int i = 0; i < 6; ++i) inverse *= 2 - p[0] * inverse;
    Modulus<N> m{p, 0 - inverse, {1}, {}};
    for (size_t i = 0; i < 64 * N; ++i) m.one = portable::add(m.one, m.one, m);
    m.r_squared = m.one;
    for (size_t i = 0; i < 64 * N; ++i) m.r_squared = portable::add(m.r_squared, m.r_squared, m);
    return m;
}

}  // namespace trainyard::vm::field
