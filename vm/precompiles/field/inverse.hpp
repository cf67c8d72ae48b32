// SPDX-License-Identifier: Apache-2.0
// Inverses modulo an odd number, by a binary GCD that looks at 64 bits for 31 steps at a time.
//
// Source: T. Pornin, "Optimized binary GCD for modular inversion", ePrint 2020/972, algorithm 2.
#pragma once

#include <algorithm>
#include <bit>
#include <utility>

#include "vm/precompiles/field/montgomery.hpp"

namespace trainyard::vm::field {
namespace detail {

inline constexpr unsigned kSteps = 31;

/// What kSteps steps do: a' = (f0 a + g0 b) / 2^kSteps, b' = (f1 a + g1 b) / 2^kSteps.
struct Steps {
    int64_t f0, g0, f1, g1;
};

/// The lowest kSteps and the highest 33 of `length` >= 64 bits.
template <size_t N>
uint64_t ends_of(const Limbs<N>& a, size_t length) {
    return bits_of(a, 0, kSteps) | bits_of(a, length - 33, 33) << kSteps;
}

/// f and g of a row share a word, so that one operation serves both.
inline Steps run_steps(uint64_t a, uint64_t b) {
    constexpr uint64_t kBias = 0x7fffffff7fffffff;  // makes both halves unsigned
    uint64_t row0 = 1, row1 = uint64_t{1} << 32;
    for (unsigned i = 0; i < kSteps; ++i) {
        const uint64_t odd = 0 - (a & 1), swap = odd & (0 - uint64_t{a < b});
        const uint64_t ab = (a ^ b) & swap, rows = (row0 ^ row1) & swap;
        a ^= ab, b ^= ab, row0 ^= rows, row1 ^= rows;
        a = (a - (b & odd)) >> 1;
        row0 -= row1 & odd;
        row1 <<= 1;
    }
    row0 += kBias, row1 += kBias;
    const auto low = [](uint64_t row) {
        return static_cast<int64_t>(row & 0xffffffff) - 0x7fffffff;
    };
    return {low(row0), low(row0 >> 32), low(row1), low(row1 >> 32)};
}

/// f a + g b + q p in two's complement, shifted right by kSteps.
template <size_t N>
Limbs<N + 1> combine(const Limbs<N>& a, const Limbs<N>& b, int64_t f, int64_t g, const Limbs<N>& p,
                     uint64_t q) {
    Limbs<N + 1> r;
    __int128 carry = 0;
    for (size_t i = 0; i < N; ++i) {  // each product is below 2^95
        carry += static_cast<__int128>(a[i]) * f + static_cast<__int128>(b[i]) * g +
                 static_cast<__int128>(p[i]) * static_cast<int64_t>(q);
        r[i] = static_cast<uint64_t>(carry);
        carry >>= 64;
    }
    r[N] = static_cast<uint64_t>(carry);
    for (size_t i = 0; i < N; ++i) r[i] = r[i] >> kSteps | r[i + 1] << (64 - kSteps);
    r[N] = static_cast<uint64_t>(static_cast<int64_t>(r[N]) >> kSteps);
    return r;
}

template <size_t N>
Limbs<N> low_limbs(const Limbs<N + 1>& a) {
    Limbs<N> r;
    std::copy_n(a.begin(), N, r.begin());
    return r;
}

/// |(f a + g b) / 2^kSteps|, which has no remainder; where it was negative, f and g change their
/// signs.
template <size_t N>
Limbs<N> absolute(const Limbs<N>& a, const Limbs<N>& b, int64_t& f, int64_t& g) {
    const auto wide = combine(a, b, f, g, Limbs<N>{}, 0);
    const auto r = low_limbs<N>(wide);
    if (static_cast<int64_t>(wide[N]) >= 0) return r;
    f = -f, g = -g;
    Limbs<N> positive{};
    sub_from(positive, r);
    return positive;
}

/// (f a + g b) / 2^kSteps mod p, in [0, p).
template <size_t N>
Limbs<N> modular(const Limbs<N>& a, const Limbs<N>& b, int64_t f, int64_t g, const Modulus<N>& m) {
    const uint64_t low = a[0] * static_cast<uint64_t>(f) + b[0] * static_cast<uint64_t>(g);
    const uint64_t q = low * m.minus_inverse & ((uint64_t{1} << kSteps) - 1);
    const auto wide = combine(a, b, f, g, m.p, q);  // between -p and 2 p
    auto r = low_limbs<N>(wide);
    if (static_cast<int64_t>(wide[N]) < 0)
        add_to(r, m.p);
    else
        portable::reduce_once(r, m.p);
    return r;
}

}  // namespace detail

/// 1/y mod p, where 0 < y < p and p is prime.
template <size_t N>
[[nodiscard]] Limbs<N> inverse_of(const Limbs<N>& y, const Modulus<N>& m) {
    Limbs<N> a = y, b = m.p, u{1}, v{};  // a = u y, b = v y mod p
    while (!is_zero(a)) {
        size_t top = N - 1;
        while (top > 0 && (a[top] | b[top]) == 0) --top;
        const size_t length =
            std::max<size_t>(64, 64 * top + static_cast<size_t>(std::bit_width(a[top] | b[top])));
        auto s = detail::run_steps(detail::ends_of(a, length), detail::ends_of(b, length));
        const auto next_a = detail::absolute(a, b, s.f0, s.g0);
        b = detail::absolute(a, b, s.f1, s.g1);
        a = next_a;
        const auto next_u = detail::modular(u, v, s.f0, s.g0, m);
        v = detail::modular(u, v, s.f1, s.g1, m);
        u = next_u;
    }
    return v;
}

}  // namespace trainyard::vm::field
