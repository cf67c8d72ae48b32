// SPDX-License-Identifier: Apache-2.0
// Kernels for AVX2 with FMA: eight lanes, products by vpmaddwd on 16-bit elements.
#include "training/cpu/kernels.hpp"

#if defined(__AVX2__) && defined(__FMA__)

#include "training/cpu/avx2.hpp"

namespace trainyard::training::cpu {
namespace {

struct Avx2 : Avx2Vectors {
    // Sixteen-bit elements: vpmaddubsw would be faster but saturates.
    static constexpr size_t kElementBytes = 2, kGroup = 2, kPanel = 8, kLeftPanel = 8, kRows = 4;
    static constexpr size_t kTileCols = 2 * kPanel;
    static constexpr bool kFlips = false;
    using Packing = PlainPacking<int16_t, 2, 8>;

    static void store_element(void* q, size_t i, I x, size_t n) {
        const __m128i packed =
            _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
        int16_t* to = static_cast<int16_t*>(q) + i;
        if (n == W) return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), packed);
        int16_t some[W];
        _mm_storeu_si128(reinterpret_cast<__m128i*>(some), packed);
        __builtin_memcpy(to, some, n * sizeof(int16_t));
    }
    static size_t panel_bytes(size_t k) { return Packing::panel_bytes(k); }
    static size_t left_panel_bytes(size_t k) { return Packing::panel_bytes(k); }
    static void flip_sums(int32_t*, const uint8_t*, size_t) {}
    static void pack_cols(uint8_t* out, const void* q, size_t k, size_t n) {
        const auto* from = static_cast<const int16_t*>(q);
        for (size_t p = 0; p * kPanel < n; ++p) {
            uint8_t* to = out + p * panel_bytes(k);
            if (k % kGroup != 0 || (p + 1) * kPanel > n) {
                Packing::pack(to, from, k, n, n, 1, p);
                continue;
            }
            for (size_t row = 0; row < k; row += 2, to += 32) {
                const int16_t* at = from + row * n + p * kPanel;
                const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
                const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + n));
                _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_unpacklo_epi16(a, b));
                _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16), _mm_unpackhi_epi16(a, b));
            }
        }
    }
    static void pack_rows(uint8_t* out, const void* q, size_t k, size_t n) {
        const auto* from = static_cast<const int16_t*>(q);
        const I at = _mm256_mullo_epi32(iota(), set1_int(static_cast<uint32_t>(k * 2)));
        for (size_t p = 0; p * kPanel < n; ++p) {
            uint8_t* to = out + p * panel_bytes(k);
            if (k % kGroup != 0 || (p + 1) * kPanel > n || k > 0x7ffffff) {
                Packing::pack(to, from, k, n, 1, k, p);
                continue;
            }
            const int16_t* rows = from + p * kPanel * k;
            for (size_t g = 0; g < k / 2; ++g)
                _mm256_storeu_si256(
                    reinterpret_cast<__m256i*>(to + g * 32),
                    _mm256_i32gather_epi32(reinterpret_cast<const int*>(rows + 2 * g), at, 1));
        }
    }

    // An operand with an Inf or NaN holds numbers of all 16 bits: sums are exact for these as well.
    static I load_pairs(const void* p) {
        return _mm256_loadu_si256(static_cast<const __m256i*>(p));
    }
    static void row_sums(uint32_t* out, const ProductArgs& args, size_t g0, size_t g1) {
        const size_t whole = g1 - (g1 - g0) % 4;
        for (size_t g = g0; g < whole; g += 4) add_row_sums(out + 2 * g, args, g);
        Packing::row_sums(out, args, whole, g1);
    }
    /// Of four groups.
    static void add_row_sums(uint32_t* out, const ProductArgs& args, size_t g) {
        I sum[4] = {zero_int(), zero_int(), zero_int(), zero_int()};
        for (size_t m = 0; m < args.m; m += 2 * kPanel) {
            const uint8_t* a = args.a + m / kPanel * args.a_panel + g * 32;
            const bool is_last = m + kPanel >= args.m;
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; ++i) {
                const I one = load_pairs(a + i * 32);
                const I other = is_last ? zero_int() : load_pairs(a + args.a_panel + i * 32);
                sum[i] = add_int(sum[i], first_and_second(_mm256_unpacklo_epi16(one, other)));
                sum[i] = add_int(sum[i], first_and_second(_mm256_unpackhi_epi16(one, other)));
            }
        }
        const I ab = add_int(_mm256_permute2x128_si256(sum[0], sum[1], 0x20),
                             _mm256_permute2x128_si256(sum[0], sum[1], 0x31));
        const I cd = add_int(_mm256_permute2x128_si256(sum[2], sum[3], 0x20),
                             _mm256_permute2x128_si256(sum[2], sum[3], 0x31));
        const I acbd = add_int(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
        auto* to = reinterpret_cast<__m256i*>(out);
        const I abcd = _mm256_permute4x64_epi64(acbd, 0xD8);
        _mm256_storeu_si256(to, add_int(_mm256_loadu_si256(to), abcd));
    }
    /// Of two rows, whose numbers alternate.
    static I first_and_second(I x) {
        return _mm256_madd_epi16(x, _mm256_set1_epi16(1));
    }

    static void due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args, size_t p0,
                         size_t p1) {
        uint32_t beyond = 0;
        for (size_t k = 0; k < 2 * args.groups; ++k) beyond |= (rows[k] + (1U << 15)) >> 16;
        if (beyond == 0)
            all_due_sums<1>(out, rows, args, p0, p1);
        else
            all_due_sums<2>(out, rows, args, p0, p1);
    }
    template <size_t Halves>
    static void all_due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args,
                             size_t p0, size_t p1) {
        size_t p = p0;
        for (; p + 2 <= p1; p += 2) some_due_sums<Halves, 2>(out + p * kPanel, rows, args, p);
        if (p < p1) some_due_sums<Halves, 1>(out + p * kPanel, rows, args, p);
    }
    /// Sums of rows are numbers of one or two halves of 16 bits, the lower one signed as well.
    template <size_t Halves, size_t N>
    static void some_due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args,
                              size_t p) {
        I sum[Halves][N];
        for (auto& of_half : sum)
            for (I& s : of_half) s = zero_int();
        size_t g = 0;
        for (; g + 4 <= args.groups; g += 4)
            add_due_sums<4>(sum, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows + 2 * g)),
                            args, p, g);
        for (; g < args.groups; ++g) add_due_sums<1>(sum, load_int(rows + 2 * g, 2), args, p, g);
        for (size_t j = 0; j < N; ++j) {
            I all = sum[0][j];
            if constexpr (Halves == 2) all = add_int(all, _mm256_slli_epi32(sum[1][j], 16));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + j * kPanel), all);
        }
    }
    template <size_t Groups, size_t Halves, size_t N>
    [[gnu::always_inline]] static void add_due_sums(I (&sum)[Halves][N], I rows,
                                                    const ProductArgs& args, size_t p, size_t g) {
        // The pair of each group, in the lower 32 of its 64 bits.
        I half[2];
        half[0] = _mm256_blend_epi16(rows, _mm256_srli_epi64(rows, 16), 0x22);
        const I upper = add_int(rows, set1_int(1U << 15));
        half[1] =
            _mm256_blend_epi16(_mm256_srli_epi64(upper, 16), _mm256_srli_epi64(upper, 32), 0x22);
#pragma GCC unroll 4
        for (uint32_t i = 0; i < Groups; ++i)
#pragma GCC unroll 2
            for (size_t h = 0; h < Halves; ++h) {
                const I left = _mm256_permutevar8x32_epi32(half[h], set1_int(2 * i));
#pragma GCC unroll 2
                for (size_t j = 0; j < N; ++j) {
                    const I b = load_pairs(args.b + (p + j) * args.b_panel + (g + i) * 32);
                    sum[h][j] = add_int(sum[h][j], _mm256_madd_epi16(left, b));
                }
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
    template <size_t N>
    static void block(const ProductArgs& args, size_t m, size_t n, size_t rows) {
        const size_t panel = args.b_panel;
        const uint8_t* b = args.b + n / kPanel * panel;
        const uint8_t* a = args.a + m / kPanel * args.a_panel + m % kPanel * 4;
        I acc[kRows][N];
#pragma GCC unroll 4
        for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
            for (size_t j = 0; j < N; ++j) acc[r][j] = zero_int();
        for (size_t g = 0; g < args.groups; ++g) {
            I right[N];
#pragma GCC unroll 2
            for (size_t j = 0; j < N; ++j)
                right[j] =
                    _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + j * panel + g * 32));
#pragma GCC unroll 4
            for (size_t r = 0; r < kRows; ++r) {
                int32_t two;
                __builtin_memcpy(&two, a + r * 4, 4);
                const I left = _mm256_set1_epi32(two);
#pragma GCC unroll 2
                for (size_t j = 0; j < N; ++j)
                    acc[r][j] = _mm256_add_epi32(acc[r][j], _mm256_madd_epi16(left, right[j]));
            }
            a += kPanel * 4;
        }
        if (args.column_sums != nullptr) add_sums(args.column_sums + n, acc);
        finish(acc, args, m, n, rows);
    }
};

}  // namespace

const Kernels& avx2_kernels() {
    static const Kernels kTable = Kernel<Avx2>::table("avx2");
    return kTable;
}

}  // namespace trainyard::training::cpu

#else

namespace trainyard::training::cpu {
const Kernels& avx2_kernels() {
    static const Kernels kNone{};
    return kNone;
}
}  // namespace trainyard::training::cpu

#endif
