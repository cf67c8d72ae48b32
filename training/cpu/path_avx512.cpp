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
    static constexpr size_t kElementBytes = 1, kGroup = 4, kPanel = 16, kLeftPanel = 8, kRows = 8;
    static constexpr size_t kTileCols = 2 * kPanel;
    static constexpr bool kFlips = true;

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
    static F number_or(F other, F x) {
        return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x, other);
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
    static I load_int(const uint32_t* p, size_t n) {
        return n == W ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi32(mask(n), p);
    }
    static void store_int(uint32_t* p, I x, size_t n) {
        if (n == W)
            _mm512_storeu_si512(p, x);
        else
            _mm512_mask_storeu_epi32(p, mask(n), x);
    }
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
    static F as_floats(I x) { return _mm512_castsi512_ps(x); }
    static F zero_below(uint32_t floor, I bits, F x) {
        return _mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(bits, set1_int(floor)), x);
    }
    static I load_words(const uint16_t* p, size_t n) {
        if (n == W)
            return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
        const I some = _mm512_maskz_loadu_epi16((1U << n) - 1, p);
        return _mm512_cvtepu16_epi32(_mm512_castsi512_si256(some));
    }
    static void store_element(void* q, size_t i, I x, size_t n) {
        _mm512_mask_cvtepi32_storeu_epi8(static_cast<int8_t*>(q) + i, mask(n), x);
    }

    /// Philox with a block in each 64-bit lane, its words in the low halves: what the products
    /// leave in the high halves is never read.
    static void words(uint16_t* out, uint64_t first, size_t blocks, const PhiloxArgs& args) {
        size_t b = 0;
        for (; b + 32 <= blocks; b += 32) philox<4>(out + b * 8, first + b, args);
        uint16_t some[64];
        for (; b < blocks; b += 8) {
            philox<1>(some, first + b, args);
            __builtin_memcpy(out + b * 8, some, (blocks - b < 8 ? blocks - b : 8) * 16);
        }
    }
    template <size_t N>
    static void philox(uint16_t* out, uint64_t first, const PhiloxArgs& args) {
        const I lanes = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
        I x0[N], x1[N], x2[N], x3[N];
#pragma GCC unroll 4
        for (size_t i = 0; i < N; ++i) {
            x0[i] = _mm512_add_epi32(set1_int(static_cast<uint32_t>(first + 8 * i)), lanes);
            x1[i] = set1_int(args.tensor), x2[i] = set1_int(args.step), x3[i] = zero_int();
        }
        const I m0 = set1_int(0xD2511F53U), m1 = set1_int(0xCD9E8D57U);
        I k0 = set1_int(args.seed), k1 = set1_int(0x52A5);
        for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 4
            for (size_t i = 0; i < N; ++i) {
                const I p0 = _mm512_mul_epu32(x0[i], m0), p1 = _mm512_mul_epu32(x2[i], m1);
                x0[i] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), x1[i], k0, 0x96);
                x1[i] = p1;
                x2[i] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), x3[i], k1, 0x96);
                x3[i] = p0;
            }
            k0 = _mm512_add_epi32(k0, set1_int(0x9E3779B9U));
            k1 = _mm512_add_epi32(k1, set1_int(0xBB67AE85U));
        }
        const I left = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
        const I right = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
#pragma GCC unroll 4
        for (size_t i = 0; i < N; ++i) {
            const I a = _mm512_mask_blend_epi32(0xAAAA, x0[i], _mm512_slli_epi64(x1[i], 32));
            const I b = _mm512_mask_blend_epi32(0xAAAA, x2[i], _mm512_slli_epi64(x3[i], 32));
            const I even = _mm512_unpacklo_epi64(a, b), odd = _mm512_unpackhi_epi64(a, b);
            _mm512_storeu_si512(out + 64 * i, _mm512_permutex2var_epi64(even, left, odd));
            _mm512_storeu_si512(out + 64 * i + 32, _mm512_permutex2var_epi64(even, right, odd));
        }
    }

    static size_t groups_of(size_t k) {
        return (k + kGroup - 1) / kGroup;
    }
    static size_t panel_bytes(size_t k) {
        return groups_of(k) * 64 + 64;
    }
    static size_t left_panel_bytes(size_t k) {
        return groups_of(k) * 32;
    }
    /// Group `at` of sixteen columns: of one panel, or with the offset of two panels of A.
    template <bool Left>
    static void put(uint8_t* out, size_t at, size_t k, I bytes) {
        if constexpr (Left) {
            bytes = _mm512_xor_si512(bytes, _mm512_set1_epi8(INT8_MIN));
            auto* low = reinterpret_cast<__m256i*>(out + at * 32);
            auto* high = reinterpret_cast<__m256i*>(out + left_panel_bytes(k) + at * 32);
            _mm256_storeu_si256(low, _mm512_castsi512_si256(bytes));
            _mm256_storeu_si256(high, _mm512_extracti64x4_epi64(bytes, 1));
        } else {
            _mm512_storeu_si512(out + at * 64, bytes);
        }
    }

    static void flip_sums(int32_t* sums, const uint8_t* panel, size_t groups) {
        I acc = _mm512_loadu_si512(sums);
        for (size_t g = 0; g < groups; ++g)
            acc = plus_flip(acc, _mm512_loadu_si512(panel + g * 64));
        _mm512_storeu_si512(sums, acc);
    }
    /// Adds 128 times the four bytes of each 32-bit word.
    static I plus_flip(I acc, I bytes) {
        return _mm512_dpbusd_epi32(acc, _mm512_set1_epi8(INT8_MIN), bytes);
    }

    /// The quantised bytes of four vectors of numbers, inside lanes of 128 bits: four of the first,
    /// four of the second and so on.
    template <bool Words>
    static I narrow(const I (&q)[4]) {
        if constexpr (Words)
            return narrow<false>({shift_right_16(q[0]), shift_right_16(q[1]), shift_right_16(q[2]),
                                  shift_right_16(q[3])});
        else
            return _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]),
                                      _mm512_packs_epi32(q[2], q[3]));
    }
    /// `some` of 64 elements of a row: 32-bit word 4 j + i of the result lies at 4 i + j.
    template <bool Words>
    [[gnu::always_inline]] static I part_of_row(const float* x, float inv, const uint16_t* words,
                                                size_t some) {
        const F f = set1(Words ? inv * 65536.0F : inv);
        I q[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j) {
            const size_t before = 16 * j, rest = some > before ? some - before : 0;
            const size_t n = rest < W ? rest : W;
            q[j] = round(mul(load(x + before, n), f));
            if constexpr (Words) q[j] = add_int(q[j], load_words(words + before, n));
        }
        return narrow<Words>(q);
    }

    static void quantise_cols(uint8_t* out, const QuantiseArgs& a, size_t k, size_t n) {
        if (a.left)
            a.words != nullptr ? all_columns<true, true>(out, a, k, n)
                               : all_columns<false, true>(out, a, k, n);
        else
            a.words != nullptr ? all_columns<true, false>(out, a, k, n)
                               : all_columns<false, false>(out, a, k, n);
    }
    /// Four rows of all columns at a time: the processor fetches ahead along a row, not from row to
    /// row.
    template <bool Words, bool Left>
    static void all_columns(uint8_t* out, const QuantiseArgs& a, size_t k, size_t n) {
        const size_t bytes = Left ? 2 * left_panel_bytes(k) : panel_bytes(k);
        const size_t groups = groups_of(k);
        if constexpr (!Left)
            for (size_t p = 0; p * W < n; ++p)
                _mm512_storeu_si512(out + p * bytes + groups * 64, zero_int());
        const size_t full = k / 4, whole = n / W * W;
        columns<Words, Left>(out, a, k, {0, full, 4}, {0, whole, W});
        if (whole < n)
            columns<Words, Left>(out + whole / W * bytes, a, k, {0, full, 4},
                                 {whole, n, n - whole});
        if (full == groups) return;
        for (size_t c = 0; c < n; c += W)
            columns<Words, Left>(out + c / W * bytes, a, k, {full, groups, k % 4},
                                 {c, c + 1, n - c < W ? n - c : W});
    }
    struct Groups {
        size_t first, last;
        size_t rows;  ///< in each
    };
    struct Columns {
        size_t first, last;
        size_t width;  ///< of a vector
    };
    /// Groups of k of the panels from `cols` on, which `out` is the first of.
    template <bool Words, bool Left>
    [[gnu::always_inline]] static void columns(uint8_t* out, const QuantiseArgs& a, size_t k,
                                               Groups groups, Columns cols) {
        const float* inv = a.inv;
        const size_t stride = a.stride, words_stride = a.words_stride;
        const size_t bytes = Left ? 2 * left_panel_bytes(k) : panel_bytes(k);
        const size_t sums = groups_of(k) * 64;
        const float unit = Words ? 65536.0F : 1.0F;  // a power of two: exact
        const bool of_rows = a.inv_of_rows;
        for (size_t g = groups.first; g < groups.last; ++g) {
            const float* x = a.x + 4 * g * stride;
            const uint16_t* words = Words ? a.words + 4 * g * words_stride : nullptr;
            F f[4] = {zero(), zero(), zero(), zero()};
            I q[4] = {zero_int(), zero_int(), zero_int(), zero_int()};
            if (of_rows)
                for (size_t i = 0; i < groups.rows; ++i) f[i] = set1(inv[4 * g + i] * unit);
            uint8_t* to = out;
            for (size_t c = cols.first; c < cols.last; c += W, to += bytes) {
                if (!of_rows)
                    f[0] = f[1] = f[2] = f[3] = mul(load(inv + c, cols.width), set1(unit));
#pragma GCC unroll 4
                for (size_t i = 0; i < 4; ++i) {
                    if (i >= groups.rows) break;
                    q[i] = round(mul(load(x + i * stride + c, cols.width), f[i]));
                    if constexpr (Words)
                        q[i] = add_int(q[i], load_words(words + i * words_stride + c, cols.width));
                }
                const I quad = turned(narrow<Words>(q));
                put<Left>(to, g, k, quad);
                if constexpr (!Left)
                    _mm512_storeu_si512(to + sums, plus_flip(_mm512_loadu_si512(to + sums), quad));
            }
        }
    }

    static void quantise_rows(uint8_t* out, const QuantiseArgs& a, size_t n, size_t k) {
        if (a.left)
            a.words != nullptr ? all_rows<true, true>(out, a, n, k)
                               : all_rows<false, true>(out, a, n, k);
        else
            a.words != nullptr ? all_rows<true, false>(out, a, n, k)
                               : all_rows<false, false>(out, a, n, k);
    }
    template <bool Words, bool Left>
    static void all_rows(uint8_t* out, const QuantiseArgs& a, size_t n, size_t k) {
        const size_t bytes = Left ? 2 * left_panel_bytes(k) : panel_bytes(k);
        for (size_t r = 0; r < n; r += W, out += bytes) {
            I sums = zero_int();
            for (size_t at = 0; at < k; at += 64) {
                const QuantiseArgs part = part_of(a, r, at);
                if (n - r >= W && k - at >= 64)
                    turn<Words, Left>(out, sums, part, at, k, {W, 64});
                else
                    turn<Words, Left>(out, sums, part, at, k,
                                      {n - r < W ? n - r : W, k - at < 64 ? k - at : 64});
            }
            if constexpr (!Left) _mm512_storeu_si512(out + groups_of(k) * 64, sums);
        }
    }
    struct Part {
        size_t rows, cols;
    };
    static QuantiseArgs part_of(QuantiseArgs a, size_t row, size_t col) {
        a.x += row * a.stride + col;
        a.inv += row;
        if (a.words != nullptr) a.words += row * a.words_stride + col;
        return a;
    }
    /// What there is of sixteen rows by 64 columns, with zeros beyond, transposed in units of four
    /// becomes the groups from element `at` of k on.
    template <bool Words, bool Left>
    [[gnu::always_inline]] static void turn(uint8_t* out, I& sums, const QuantiseArgs& a, size_t at,
                                            size_t k, Part there) {
        I quarter[4][4];
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i) {
            I row[4];
#pragma GCC unroll 4
            for (size_t j = 0; j < 4; ++j) {
                const size_t r = 4 * i + j;
                row[j] = zero_int();
                if (r >= there.rows) continue;
                const uint16_t* words = Words ? a.words + r * a.words_stride : nullptr;
                row[j] = part_of_row<Words>(a.x + r * a.stride, a.inv[r], words, there.cols);
            }
            const I p = _mm512_unpacklo_epi32(row[0], row[1]);
            const I q = _mm512_unpackhi_epi32(row[0], row[1]);
            const I s = _mm512_unpacklo_epi32(row[2], row[3]);
            const I t = _mm512_unpackhi_epi32(row[2], row[3]);
            quarter[0][i] = _mm512_unpacklo_epi64(p, s);
            quarter[1][i] = _mm512_unpackhi_epi64(p, s);
            quarter[2][i] = _mm512_unpacklo_epi64(q, t);
            quarter[3][i] = _mm512_unpackhi_epi64(q, t);
        }
        const size_t first = at / 4, groups = groups_of(k);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j) {
            const I* u = quarter[j];
            const I p = _mm512_shuffle_i32x4(u[0], u[1], 0x44);
            const I q = _mm512_shuffle_i32x4(u[2], u[3], 0x44);
            const I s = _mm512_shuffle_i32x4(u[0], u[1], 0xEE);
            const I t = _mm512_shuffle_i32x4(u[2], u[3], 0xEE);
            // Narrowing left 32-bit word 4 j + i of a row at 4 i + j.
            const I done[4] = {_mm512_shuffle_i32x4(p, q, 0x88), _mm512_shuffle_i32x4(p, q, 0xDD),
                               _mm512_shuffle_i32x4(s, t, 0x88), _mm512_shuffle_i32x4(s, t, 0xDD)};
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; ++i) {
                const size_t group = first + 4 * j + i;
                if (group >= groups) continue;
                put<Left>(out, group, k, done[i]);
                if constexpr (!Left) sums = plus_flip(sums, done[i]);
            }
        }
    }

    /// Four rows of four k in each 128-bit lane, or the four bytes of four numbers, change places.
    static I turned(I x) {
        return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(_mm_setr_epi8(
                                          0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)));
    }
    static uint32_t stored_rows(const ProductArgs& args) {
        return static_cast<uint32_t>((args.m + kLeftPanel - 1) / kLeftPanel * kLeftPanel);
    }
    static void row_sums(uint32_t* out, const ProductArgs& args, size_t g0, size_t g1) {
        size_t g = g0;
        for (; g + 16 <= g1; g += 16) some_row_sums<8>(out + g * 4, args, g);
        for (; g + 2 <= g1; g += 2) some_row_sums<1>(out + g * 4, args, g);
        if (g == g1) return;
        uint32_t last[4] = {};
        for (size_t p = 0; p * kLeftPanel < args.m; ++p)
            for (size_t i = 0; i < 32; ++i) last[i % 4] += args.a[p * args.a_panel + g * 32 + i];
        for (size_t i = 0; i < 4; ++i) out[g * 4 + i] += last[i] - 128 * stored_rows(args);
    }
    /// 2 N groups from g on; each vector holds two halves of the sums of two groups.
    template <size_t N>
    static void some_row_sums(uint32_t* out, const ProductArgs& args, size_t g) {
        const I ones = _mm512_set1_epi8(1);
        I sum[N];
        for (I& s : sum) s = zero_int();
        for (size_t p = 0; p * kLeftPanel < args.m; ++p) {
            const uint8_t* a = args.a + p * args.a_panel + g * 32;
#pragma GCC unroll 8
            for (size_t i = 0; i < N; ++i)
                sum[i] = _mm512_dpbusd_epi32(sum[i], turned(_mm512_loadu_si512(a + i * 64)), ones);
        }
        // Each stored row has its offset.
        const __m256i less = _mm256_set1_epi32(static_cast<int>(128 * stored_rows(args)));
        for (size_t i = 0; i < N; ++i) {
            const I both = add_int(sum[i], _mm512_shuffle_i32x4(sum[i], sum[i], 0xB1));
            const I two = _mm512_shuffle_i32x4(both, both, 0x08);
            auto* to = reinterpret_cast<__m256i*>(out + i * 8);
            const __m256i eight = _mm256_sub_epi32(_mm512_castsi512_si256(two), less);
            _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), eight));
        }
    }
    static void due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args, size_t p0,
                         size_t p1) {
        // With half of 2^16 or 2^24 added, sums of so many numbers from -128 on have two or three
        // bytes.
        if (args.m <= (1U << 15) / 128)
            all_due_sums<2>(out, rows, args, p0, p1);
        else if (args.m <= (1U << 23) / 128)
            all_due_sums<3>(out, rows, args, p0, p1);
        else
            all_due_sums<4>(out, rows, args, p0, p1);
    }
    template <size_t Bytes>
    static void all_due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args,
                             size_t p0, size_t p1) {
        size_t p = p0;
        for (; p + 2 <= p1; p += 2) some_due_sums<Bytes, 2>(out + p * kPanel, rows, args, p);
        if (p < p1) some_due_sums<Bytes, 1>(out + p * kPanel, rows, args, p);
    }
    template <size_t Bytes, size_t N>
    static void some_due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args,
                              size_t p) {
        const uint8_t* b = args.b + p * args.b_panel;
        const I more = set1_int(Bytes < 4 ? 1U << (8 * Bytes - 1) : 0);
        I sum[Bytes][N];
        for (auto& of_byte : sum)
            for (I& s : of_byte) s = zero_int();
        for (size_t g = 0; g < args.groups; ++g) {
            const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows + 4 * g));
            // 32-bit word i holds byte i of the four sums.
            const I split = turned(add_int(_mm512_broadcast_i32x4(four), more));
            const I byte[4] = {_mm512_shuffle_epi32(split, _MM_PERM_AAAA),
                               _mm512_shuffle_epi32(split, _MM_PERM_BBBB),
                               _mm512_shuffle_epi32(split, _MM_PERM_CCCC),
                               _mm512_shuffle_epi32(split, _MM_PERM_DDDD)};
#pragma GCC unroll 2
            for (size_t j = 0; j < N; ++j) {
                const I bytes = _mm512_loadu_si512(b + j * args.b_panel + g * 64);
#pragma GCC unroll 4
                for (size_t i = 0; i < Bytes; ++i)
                    sum[i][j] = _mm512_dpbusd_epi32(sum[i][j], byte[i], bytes);
            }
        }
        for (size_t j = 0; j < N; ++j) {
            I all = sum[0][j];
            for (unsigned i = 1; i < Bytes; ++i)
                all = add_int(all, _mm512_slli_epi32(sum[i][j], 8 * i));
            // The sums of B's columns are there, times 128.
            if constexpr (Bytes < 4) {
                const I flips = _mm512_loadu_si512(args.sums + (p + j) * args.sums_panel);
                all = _mm512_sub_epi32(all, _mm512_slli_epi32(flips, 8 * (Bytes - 1)));
            }
            _mm512_storeu_si512(out + j * kPanel, all);
        }
    }
    static void product(const ProductArgs& args, size_t m0, size_t m1, size_t n0, size_t n1) {
        for (size_t n = n0; n < n1; n += kTileCols)
            for (size_t m = m0; m < m1; m += kRows) {
                if (args.causal && n > m + kRows - 1 + args.diagonal) continue;
                const size_t rows = m1 - m < kRows ? m1 - m : kRows;
                if (n1 - n > kPanel)
                    block<2>(args, m, n, rows);
                else
                    block<1>(args, m, n, rows);
            }
    }
    /// acc += left (unsigned) times right (signed), four bytes at a time. In assembly, because GCC
    /// 12 copies the sums of the intrinsic from register to register, which halves the speed.
    static void multiply_add(I& acc, I left, I right) {
        asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(left), "v"(right));
    }
    /// The lines of C that this block ends with: their stores would else wait for memory.
    template <size_t N>
    static void fetch_for_writing(const ProductArgs& args, size_t m, size_t n) {
        for (size_t r = 0; r < kRows; ++r)
            for (size_t j = 0; j < N; ++j)
                asm volatile("prefetchw %0"
                             :
                             : "m"(args.c[(m + r) * args.c_stride + n + j * kPanel]));
    }
    template <size_t N>
    static void block(const ProductArgs& args, size_t m, size_t n, size_t rows) {
        const uint8_t* b = args.b + n / kPanel * args.b_panel;
        const int32_t* sums = args.sums + n / kPanel * args.sums_panel;
        const uint8_t* a = args.a + m / kLeftPanel * args.a_panel;
        const size_t panel = args.b_panel;
        I acc[kRows][N];
#pragma GCC unroll 2
        for (size_t j = 0; j < N; ++j) {
            const I less =
                _mm512_sub_epi32(zero_int(), _mm512_loadu_si512(sums + j * args.sums_panel));
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) acc[r][j] = less;
        }
        fetch_for_writing<N>(args, m, n);
        for (size_t g = 0; g < args.groups; ++g) {
            I right[N];
#pragma GCC unroll 2
            for (size_t j = 0; j < N; ++j) right[j] = _mm512_loadu_si512(b + j * panel + g * 64);
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) {
                int32_t four;
                __builtin_memcpy(&four, a + r * 4, 4);
                const I left = _mm512_set1_epi32(four);
#pragma GCC unroll 2
                for (size_t j = 0; j < N; ++j) multiply_add(acc[r][j], left, right[j]);
            }
            a += kLeftPanel * 4;
        }
        if (args.column_sums != nullptr)
#pragma GCC unroll 2
            for (size_t j = 0; j < N; ++j) {
                uint32_t* at = args.column_sums + n + j * kPanel;
                I sum = _mm512_loadu_si512(at);
#pragma GCC unroll 8
                for (size_t r = 0; r < kRows; ++r) sum = add_int(sum, acc[r][j]);
                _mm512_storeu_si512(at, sum);
            }
        float* c = args.c + m * args.c_stride + n;
        F sb[N];
        __mmask16 wanted[N];
#pragma GCC unroll 2
        for (size_t j = 0; j < N; ++j) {
            const size_t some = args.n - n - j * kPanel;
            wanted[j] = some < kPanel ? mask(some) : static_cast<__mmask16>(0xFFFF);
            sb[j] = _mm512_maskz_loadu_ps(wanted[j], args.sb + n + j * kPanel);
        }
        const F alpha = set1(args.alpha != nullptr ? *args.alpha : 1.0F);  // times 1 is exact
#pragma GCC unroll 8
        for (size_t r = 0; r < kRows; ++r) {
            if (r >= rows) break;
            const F sa = set1(args.sa[m + r]);
#pragma GCC unroll 2
            for (size_t j = 0; j < N; ++j) {
                const F value = mul(mul(_mm512_cvtepi32_ps(acc[r][j]), sa), sb[j]);
                _mm512_mask_storeu_ps(c + r * args.c_stride + j * kPanel, wanted[j],
                                      mul(value, alpha));
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
