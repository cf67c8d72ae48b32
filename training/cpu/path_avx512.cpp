// SPDX-License-Identifier: Apache-2.0
// Kernels for AVX-512 with VNNI: sixteen lanes, products by vpdpbusd.
#include "training/cpu/kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)

#include <immintrin.h>

#include "training/cpu/kernels_impl.hpp"

namespace trainyard::training::cpu {
namespace {

struct Avx512 {
    using F = __m512;
    using I = __m512i;
    static constexpr size_t W = 16;
    // vpdpbusd multiplies unsigned by signed bytes: A is stored with 128 added (the flip), and each
    // panel of B ends with 128 times its column sums, which the product subtracts.
    static constexpr size_t kElementBytes = 1, kGroup = 4, kPanel = 16, kRows = 8;
    static constexpr uint32_t kFlip = 0x80;
    using Packing = PlainPacking<int8_t, 4, 16, 64>;

    static __mmask16 mask(size_t n) { return static_cast<__mmask16>((1U << n) - 1); }
    static F zero() { return _mm512_setzero_ps(); }
    static F set1(float x) { return _mm512_set1_ps(x); }
    static F load(const float* p, size_t n = W) {
        return n == W ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(mask(n), p);
    }
    static void store(float* p, F x, size_t n = W) {
        if (n == W)
            _mm512_storeu_ps(p, x);
        else
            _mm512_mask_storeu_ps(p, mask(n), x);
    }
    static F add(F a, F b) { return _mm512_add_ps(a, b); }
    static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
    static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
    static F div(F a, F b) { return _mm512_div_ps(a, b); }
    static F sqrt(F a) { return _mm512_sqrt_ps(a); }
    static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
    static F max(F a, F b) { return _mm512_max_ps(a, b); }
    static F min(F a, F b) { return _mm512_min_ps(a, b); }
    static F negate(F a) {
        return _mm512_castsi512_ps(
            _mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN)));
    }
    static F first(size_t n, F yes, F no) {
        return n == W ? yes : _mm512_mask_blend_ps(mask(n), no, yes);
    }
    static F power_of_two(F n) {
        const I e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
        return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
    }

    static I zero_int() { return _mm512_setzero_si512(); }
    static I set1_int(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
    static I iota() {
        return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    }
    static I load_int(const uint32_t* p, size_t n) { return _mm512_maskz_loadu_epi32(mask(n), p); }
    static void store_int(uint32_t* p, I x, size_t n) { _mm512_mask_storeu_epi32(p, mask(n), x); }
    static I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
    static I exclusive_or(I a, I b) { return _mm512_xor_si512(a, b); }
    static I shift_right_16(I a) { return _mm512_srai_epi32(a, 16); }
    static I round(F x) { return _mm512_cvtps_epi32(x); }
    /// a[i] + a[i + s] for s = 8, 4, 2, 1.
    static float fold(F a) {
        const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
        const __m128 four =
            _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
    static float largest(F a) { return _mm512_reduce_max_ps(a); }
    static int32_t largest_int(I a) { return _mm512_reduce_max_epi32(a); }
    static I max_int(I a, I b) { return _mm512_max_epi32(a, b); }
    static I max_abs_bits(I top, F x) {
        const I bits = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
        return _mm512_max_epi32(top, bits);
    }
    static I load_words(const uint16_t* p, size_t n) {
        if (n == W)
            return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
        uint16_t some[W] = {};
        __builtin_memcpy(some, p, n * sizeof(uint16_t));
        return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(some)));
    }
    static I flip(I x, uint32_t by) { return _mm512_xor_si512(x, set1_int(by)); }
    static void store_element(void* q, size_t i, I x, size_t n) {
        _mm512_mask_cvtepi32_storeu_epi8(static_cast<int8_t*>(q) + i, mask(n), x);
    }
    static void multiply_wide(I x, uint32_t factor, I& high, I& low) {
        const I f = set1_int(factor);
        const I even = _mm512_mul_epu32(x, f);
        const I odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), f);
        high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
        low = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
    }
    static void store_transposed(uint32_t* out, I x0, I x1, I x2, I x3) {
        const I a = _mm512_unpacklo_epi32(x0, x1), b = _mm512_unpackhi_epi32(x0, x1);
        const I c = _mm512_unpacklo_epi32(x2, x3), d = _mm512_unpackhi_epi32(x2, x3);
        const I rows[4] = {_mm512_unpacklo_epi64(a, c), _mm512_unpackhi_epi64(a, c),
                           _mm512_unpacklo_epi64(b, d), _mm512_unpackhi_epi64(b, d)};
        for (size_t i = 0; i < 4; ++i) {
            store_lane(out + 4 * i, _mm512_extracti32x4_epi32(rows[i], 0));
            store_lane(out + 4 * (4 + i), _mm512_extracti32x4_epi32(rows[i], 1));
            store_lane(out + 4 * (8 + i), _mm512_extracti32x4_epi32(rows[i], 2));
            store_lane(out + 4 * (12 + i), _mm512_extracti32x4_epi32(rows[i], 3));
        }
    }
    static void store_lane(uint32_t* out, __m128i x) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), x);
    }

    static size_t panel_bytes(size_t k) { return Packing::panel_bytes(k); }

    /// 128 times the sum over k of each column, at the end of its panel.
    static void append_sums(uint8_t* panel, size_t groups) {
        I sums = zero_int();
        for (size_t g = 0; g < groups; ++g)
            sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(INT8_MIN),
                                       _mm512_loadu_si512(panel + g * 64));
        _mm512_storeu_si512(panel + groups * 64, sums);
    }

    static void pack_cols(void* out, const void* q, size_t k, size_t n, size_t stride,
                          uint32_t flip_mask, size_t first_panel, size_t last_panel) {
        const auto* from = static_cast<const int8_t*>(q);
        for (size_t p = first_panel; p < last_panel; ++p) {
            uint8_t* to = static_cast<uint8_t*>(out) + p * panel_bytes(k);
            if (k % kGroup != 0 || (p + 1) * kPanel > n)
                Packing::pack(to, from, k, n, stride, 1, flip_mask, p);
            else
                interleave(to, from + p * kPanel, k, stride, flip_mask);
            append_sums(to, Packing::groups(k));
        }
    }
    static void interleave(uint8_t* to, const int8_t* from, size_t k, size_t stride,
                           uint32_t flip_mask) {
        const I mask_all = _mm512_set1_epi8(static_cast<char>(flip_mask));
        for (size_t row = 0; row < k; row += 4, to += 64) {
            __m128i r[4];
            for (size_t i = 0; i < 4; ++i)
                r[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + (row + i) * stride));
            const __m128i a = _mm_unpacklo_epi8(r[0], r[1]), b = _mm_unpackhi_epi8(r[0], r[1]);
            const __m128i c = _mm_unpacklo_epi8(r[2], r[3]), d = _mm_unpackhi_epi8(r[2], r[3]);
            I all = _mm512_castsi128_si512(_mm_unpacklo_epi16(a, c));
            all = _mm512_inserti32x4(all, _mm_unpackhi_epi16(a, c), 1);
            all = _mm512_inserti32x4(all, _mm_unpacklo_epi16(b, d), 2);
            all = _mm512_inserti32x4(all, _mm_unpackhi_epi16(b, d), 3);
            _mm512_storeu_si512(to, _mm512_xor_si512(all, mask_all));
        }
    }
    static void pack_rows(void* out, const void* q, size_t k, size_t n, size_t stride,
                          size_t first_panel, size_t last_panel) {
        const auto* from = static_cast<const int8_t*>(q);
        const I at = _mm512_mullo_epi32(iota(), set1_int(static_cast<uint32_t>(stride)));
        for (size_t p = first_panel; p < last_panel; ++p) {
            uint8_t* to = static_cast<uint8_t*>(out) + p * panel_bytes(k);
            if (k % kGroup != 0 || (p + 1) * kPanel > n || stride > 0x7ffffff) {
                Packing::pack(to, from, k, n, 1, stride, 0, p);
            } else {
                const int8_t* rows = from + p * kPanel * stride;
                for (size_t g = 0; g < k / 4; ++g)
                    _mm512_storeu_si512(to + g * 64, _mm512_i32gather_epi32(at, rows + 4 * g, 1));
            }
            append_sums(to, Packing::groups(k));
        }
    }

    static void product(const ProductArgs& args, size_t m0, size_t m1, size_t n0, size_t n1) {
        for (size_t n = n0; n < n1; n += 2 * kPanel)
            for (size_t m = m0; m < m1; m += kRows) {
                if (args.causal && n > m + kRows - 1) continue;
                const size_t rows = m1 - m < kRows ? m1 - m : kRows;
                if (n1 - n > kPanel)
                    block<2>(args, m, n, rows);
                else
                    block<1>(args, m, n, rows);
            }
    }
    template <size_t N>
    static void block(const ProductArgs& args, size_t m, size_t n, size_t rows) {
        const size_t panel = panel_bytes(args.groups * kGroup);
        const uint8_t* b = args.b + n / kPanel * panel;
        const uint8_t* a = args.a_panel != 0
                               ? args.a + m / kPanel * args.a_panel + m % kPanel * args.a_row
                               : args.a + m * args.a_row;
        I acc[kRows][N];
#pragma GCC unroll 2
        for (size_t j = 0; j < N; ++j) {
            const I sums = _mm512_loadu_si512(b + j * panel + args.groups * 64);
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) acc[r][j] = _mm512_sub_epi32(zero_int(), sums);
        }
        const size_t row = args.a_row;
        for (size_t g = 0; g < args.groups; ++g) {
            I right[N];
#pragma GCC unroll 2
            for (size_t j = 0; j < N; ++j) right[j] = _mm512_loadu_si512(b + j * panel + g * 64);
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) {
                int32_t four;
                __builtin_memcpy(&four, a + r * row, 4);
                const I left = _mm512_set1_epi32(four);
#pragma GCC unroll 2
                for (size_t j = 0; j < N; ++j)
                    acc[r][j] = _mm512_dpbusd_epi32(acc[r][j], left, right[j]);
            }
            a += args.a_step;
        }
        const float* sa = args.sa + m;
        const F alpha = set1(args.alpha != nullptr ? *args.alpha : 1.0F);  // times 1 is exact
#pragma GCC unroll 2
        for (size_t j = 0; j < N; ++j) {
            const size_t col = n + j * kPanel;
            const size_t some = args.n - col < kPanel ? args.n - col : kPanel;
            const F sb = load(args.sb + col, some);
            float* c = args.c + m * args.c_stride + col;
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) {
                if (r >= rows) break;
                const F value = mul(mul(_mm512_cvtepi32_ps(acc[r][j]), set1(sa[r])), sb);
                store(c + r * args.c_stride, mul(value, alpha), some);
            }
        }
    }
};

}  // namespace

const Kernels& avx512_kernels() {
    static const Kernels kTable = Kernel<Avx512>::table("avx512");
    return kTable;
}

}  // namespace trainyard::training::cpu

#else

namespace trainyard::training::cpu {
const Kernels& avx512_kernels() {
    static const Kernels kNone{};
    return kNone;
}
}  // namespace trainyard::training::cpu

#endif
