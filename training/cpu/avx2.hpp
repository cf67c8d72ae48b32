// SPDX-License-Identifier: Apache-2.0
// Vectors of eight lanes for the kernels, shared by the paths of 256-bit registers.
#pragma once

#include <immintrin.h>

#include "training/cpu/kernels_impl.hpp"

namespace trainyard::training::cpu {
namespace {

struct Avx2Vectors {
    using F = __m256;
    using I = __m256i;
    static constexpr size_t W = 8;

    static I mask(size_t n) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), iota());
    }
    static F zero() { return _mm256_setzero_ps(); }
    static F set1(float x) { return _mm256_set1_ps(x); }
    static F load(const float* p, size_t n = W) {
        return n == W ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, mask(n));
    }
    static void store(float* p, F x, size_t n = W) {
        if (n == W)
            _mm256_storeu_ps(p, x);
        else
            _mm256_maskstore_ps(p, mask(n), x);
    }
    static F add(F a, F b) { return _mm256_add_ps(a, b); }
    static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
    static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
    static F div(F a, F b) { return _mm256_div_ps(a, b); }
    static F sqrt(F a) { return _mm256_sqrt_ps(a); }
    static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
    static F max(F a, F b) { return _mm256_max_ps(a, b); }
    static F min(F a, F b) { return _mm256_min_ps(a, b); }
    static F negate(F a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0F)); }
    static F number_or(F other, F x) {
        return _mm256_blendv_ps(x, other, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    }
    static F first(size_t n, F yes, F no) {
        return n == W ? yes : _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(mask(n)));
    }
    static F power_of_two(F n) {
        const I e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
    }

    static I zero_int() { return _mm256_setzero_si256(); }
    static I set1_int(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
    static I iota() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
    static I load_int(const uint32_t* p, size_t n) {
        return _mm256_maskload_epi32(reinterpret_cast<const int*>(p), mask(n));
    }
    static void store_int(uint32_t* p, I x, size_t n) {
        _mm256_maskstore_epi32(reinterpret_cast<int*>(p), mask(n), x);
    }
    static I add_int(I a, I b) { return _mm256_add_epi32(a, b); }
    static I exclusive_or(I a, I b) { return _mm256_xor_si256(a, b); }
    static I shift_right_16(I a) { return _mm256_srai_epi32(a, 16); }
    static I round(F x) { return _mm256_cvtps_epi32(x); }
    /// a[i] + a[i + s] for s = 4, 2, 1.
    static float fold(F a) {
        const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
    static float largest(F a) {
        const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
    }
    static int32_t largest_int(I a) {
        const __m128i four =
            _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
        return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
    }
    static I max_int(I a, I b) { return _mm256_max_epi32(a, b); }
    static I max_abs_bits(I top, F x) {
        const I bits = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
        return _mm256_max_epi32(top, bits);
    }
    static F as_floats(I x) { return _mm256_castsi256_ps(x); }
    /// Magnitudes have no sign bit: the signed comparison is the unsigned one.
    static F zero_below(uint32_t floor, I bits, F x) {
        const I below = _mm256_cmpgt_epi32(set1_int(floor), bits);
        return _mm256_andnot_ps(_mm256_castsi256_ps(below), x);
    }
    static I load_words(const uint16_t* p, size_t n) {
        if (n == W)
            return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
        uint16_t some[W] = {};
        __builtin_memcpy(some, p, n * sizeof(uint16_t));
        return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(some)));
    }
    static void multiply_wide(I x, uint32_t factor, I& high, I& low) {
        const I f = set1_int(factor);
        const I even = _mm256_mul_epu32(x, f);
        const I odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), f);
        high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
        low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    }
    static void store_transposed(uint32_t* out, I x0, I x1, I x2, I x3) {
        const I a = _mm256_unpacklo_epi32(x0, x1), b = _mm256_unpackhi_epi32(x0, x1);
        const I c = _mm256_unpacklo_epi32(x2, x3), d = _mm256_unpackhi_epi32(x2, x3);
        const I rows[4] = {_mm256_unpacklo_epi64(a, c), _mm256_unpackhi_epi64(a, c),
                           _mm256_unpacklo_epi64(b, d), _mm256_unpackhi_epi64(b, d)};
        for (size_t i = 0; i < 4; ++i) {
            _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4 * i),
                             _mm256_castsi256_si128(rows[i]));
            _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4 * (4 + i)),
                             _mm256_extracti128_si256(rows[i], 1));
        }
    }

    /// Adds the columns of a block of products to the sums that its check compares.
    template <size_t kRows, size_t N>
    static void add_sums(uint32_t* sums, const I (&acc)[kRows][N]) {
#pragma GCC unroll 3
        for (size_t j = 0; j < N; ++j) {
            auto* at = reinterpret_cast<__m256i*>(sums + j * W);
            I sum = _mm256_loadu_si256(at);
#pragma GCC unroll 4
            for (size_t r = 0; r < kRows; ++r) sum = add_int(sum, acc[r][j]);
            _mm256_storeu_si256(at, sum);
        }
    }
    /// Scales the block at (m, n) and writes its first `rows` rows, as far as C goes.
    template <size_t kRows, size_t N>
    static void finish(const I (&acc)[kRows][N], const ProductArgs& args, size_t m, size_t n,
                       size_t rows) {
        const F alpha = set1(args.alpha != nullptr ? *args.alpha : 1.0F);  // times 1 is exact
#pragma GCC unroll 3
        for (size_t j = 0; j < N; ++j) {
            const size_t col = n + j * W;
            const size_t some = args.n - col < W ? args.n - col : W;
            const F sb = load(args.sb + col, some);
            float* c = args.c + m * args.c_stride + col;
#pragma GCC unroll 4
            for (size_t r = 0; r < kRows; ++r) {
                if (r >= rows) break;
                const F value = mul(mul(_mm256_cvtepi32_ps(acc[r][j]), set1(args.sa[m + r])), sb);
                store(c + r * args.c_stride, mul(value, alpha), some);
            }
        }
    }
};

}  // namespace
}  // namespace trainyard::training::cpu
