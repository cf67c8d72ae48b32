// SPDX-License-Identifier: Apache-2.0
// Sums of products n_1 P_1 + ... + n_k P_k of points and short numbers. Time depends on the values.
//
// Sources: few points: Straus' method with signed windows (Moeller, "Algorithms for multi-
// exponentiation", 2001); many points: Pippenger's buckets, as in Bernstein et al., "Faster batch
// forgery identification", ePrint 2012/549, section 4, with signed digits.
#pragma once

#include <algorithm>
#include <bit>

#include "vm/precompiles/curve/point.hpp"

namespace trainyard::vm::curve {

template <class F, size_t N>
struct Term {
    Affine<F> point;
    field::Limbs<N> number;  ///< below 2^(64 N)
};

namespace detail {

/// Digits of n, least significant first: zero or odd and below 2^(width - 1) in size; of any
/// `width` neighbours at most one is not zero.
template <size_t N>
std::array<int8_t, 64 * N + 1> sparse_digits(const field::Limbs<N>& n, unsigned width) {
    std::array<int8_t, 64 * N + 1> digits{};
    uint64_t carry = 0;
    for (size_t i = 0; i <= 64 * N;) {
        if ((field::bits_of(n, i, 1) ^ carry) == 0) {
            ++i;
            continue;
        }
        auto digit = static_cast<int>(field::bits_of(n, i, width) + carry);
        carry = digit >= 1 << (width - 1) ? 1 : 0;
        if (carry != 0) digit -= 1 << width;
        digits[i] = static_cast<int8_t>(digit);
        i += width;
    }
    return digits;
}

/// P, 3 P, 5 P, ... for each term, `count` of them.
template <class F, size_t N>
std::vector<Affine<F>> odd_multiples(std::span<const Term<F, N>> terms, size_t count) {
    std::vector<Jacobian<F>> multiples;
    multiples.reserve(terms.size() * count);
    for (const auto& term : terms) {
        const Jacobian<F> twice = Jacobian<F>(term.point).doubled();
        multiples.push_back(term.point);
        for (size_t i = 1; i < count; ++i) multiples.push_back(multiples.back() + twice);
    }
    return to_affine<F>(multiples);
}

template <class F, size_t N>
Jacobian<F> sum_by_windows(std::span<const Term<F, N>> terms) {
    constexpr unsigned kWidth = N == 1 ? 4 : 5;
    constexpr size_t kOdd = size_t{1} << (kWidth - 2);
    const auto multiples = odd_multiples(terms, kOdd);
    std::vector<std::array<int8_t, 64 * N + 1>> digits;
    digits.reserve(terms.size());
    for (const auto& term : terms) digits.push_back(sparse_digits(term.number, kWidth));
    Jacobian<F> sum;
    for (size_t i = 64 * N + 1; i-- > 0;) {
        sum = sum.doubled();
        for (size_t k = 0; k < terms.size(); ++k) {
            const int digit = digits[k][i];
            if (digit > 0) sum = sum + multiples[k * kOdd + static_cast<size_t>(digit / 2)];
            if (digit < 0) sum = sum + -multiples[k * kOdd + static_cast<size_t>(-digit / 2)];
        }
    }
    return sum;
}

/// The window that needs the fewest additions: 64 N / c windows of k + 2^(c - 1) * 2 each.
template <size_t N>
unsigned window_for(size_t terms) {
    unsigned best = 2;
    uint64_t least = UINT64_MAX;
    for (unsigned c = 2; c <= 16; ++c) {
        const uint64_t cost = (64 * N + c) / c * (terms + (uint64_t{2} << (c - 1)));
        if (cost < least) least = cost, best = c;
    }
    return best;
}

template <class F, size_t N>
Jacobian<F> sum_by_buckets(std::span<const Term<F, N>> terms) {
    const unsigned width = window_for<N>(terms.size());
    const size_t windows = (64 * N + width) / width;  // one more bit, for the last carry
    const uint64_t half = uint64_t{1} << (width - 1);
    std::vector<uint8_t> carries(terms.size());
    std::vector<Jacobian<F>> buckets(half), sums(windows);
    for (size_t w = 0; w < windows; ++w) {
        std::fill(buckets.begin(), buckets.end(), Jacobian<F>());
        for (size_t k = 0; k < terms.size(); ++k) {
            const uint64_t digit = field::bits_of(terms[k].number, w * width, width) + carries[k];
            carries[k] = digit > half ? 1 : 0;  // it stands for digit - 2^width
            if (digit == 0 || digit == 2 * half) continue;
            auto& bucket = buckets[carries[k] != 0 ? 2 * half - digit - 1 : digit - 1];
            bucket = bucket + (carries[k] != 0 ? -terms[k].point : terms[k].point);
        }
        Jacobian<F> running;
        for (size_t b = half; b-- > 0;) {
            running = running + buckets[b];
            sums[w] = sums[w] + running;
        }
    }
    Jacobian<F> sum;
    for (size_t w = windows; w-- > 0;) {
        for (unsigned i = 0; i < width; ++i) sum = sum.doubled();
        sum = sum + sums[w];
    }
    return sum;
}

}  // namespace detail

/// Above this many terms buckets are faster than windows (bench/results/precompiles.md).
inline constexpr size_t kWindowTermsMax = 32;

template <class F, size_t N>
[[nodiscard]] Jacobian<F> sum_of_products(std::span<const Term<F, N>> terms) {
    return terms.size() <= kWindowTermsMax ? detail::sum_by_windows(terms)
                                           : detail::sum_by_buckets(terms);
}

}  // namespace trainyard::vm::curve
