// SPDX-License-Identifier: Apache-2.0
// Kernels for AVX2 with AVX-VNNI: eight lanes, products by vpdpbusd in its VEX form.
#include "training/cpu/kernels.hpp"

#if defined(__AVX2__) && defined(__FMA__) && defined(__AVXVNNI__)

#include "training/cpu/avx2.hpp"

namespace trainyard::training::cpu {
namespace {

struct AvxVnni : Avx2Vectors {
    // vpdpbusd multiplies unsigned by signed bytes: A is stored with 128 added (the flip), and each
    // panel of B ends with 128 times its column sums, which the product subtracts.
    static constexpr size_t kElementBytes = 1, kGroup = 4, kPanel = 8, kLeftPanel = 8, kRows = 4;
    static constexpr size_t kTileCols = 3 * kPanel;
    static constexpr bool kFlips = true;
    static constexpr size_t kGroupBytes = 32;  ///< of one panel, of either side

    static size_t groups_of(size_t k) { return (k + kGroup - 1) / kGroup; }
    static size_t panel_bytes(size_t k) { return groups_of(k) * kGroupBytes + 32; }
    static size_t left_panel_bytes(size_t k) { return groups_of(k) * kGroupBytes; }
    template <bool Left>
    static size_t bytes_of(size_t k) {
        return Left ? left_panel_bytes(k) : panel_bytes(k);
    }

    static I load_bytes(const void* p) {
        return _mm256_loadu_si256(static_cast<const __m256i*>(p));
    }
    static void store_bytes(void* p, I x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
    /// Adds 128 times the four bytes of each 32-bit word.
    static I plus_flip(I acc, I bytes) {
        return _mm256_dpbusd_avx_epi32(acc, _mm256_set1_epi8(INT8_MIN), bytes);
    }
    template <bool Left>
    static void put(uint8_t* out, size_t group, I bytes) {
        if constexpr (Left) bytes = _mm256_xor_si256(bytes, _mm256_set1_epi8(INT8_MIN));
        store_bytes(out + group * kGroupBytes, bytes);
    }
    static void flip_sums(int32_t* sums, const uint8_t* panel, size_t groups) {
        I acc = load_bytes(sums);
        for (size_t g = 0; g < groups; ++g)
            acc = plus_flip(acc, load_bytes(panel + g * kGroupBytes));
        store_bytes(sums, acc);
    }

    /// The bytes of four vectors of numbers: of each half, the lower four of every vector.
    static I join(const I (&q)[4]) {
        return _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    }
    /// In each half, byte i of word j and byte j of word i change places.
    static I turned(I x) {
        return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(_mm_setr_epi8(
                                          0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)));
    }
    template <bool Words>
    static I quantised(const float* x, F f, const uint16_t* words, size_t n = W) {
        const I q = round(mul(load(x, n), f));
        if constexpr (!Words) return q;
        return shift_right_16(add_int(q, load_words(words, n)));
    }

    static void quantise_cols(uint8_t* out, const QuantiseArgs& a, size_t k, size_t n) {
        if (a.left)
            a.words != nullptr ? all_columns<true, true>(out, a, k, n)
                               : all_columns<false, true>(out, a, k, n);
        else
            a.words != nullptr ? all_columns<true, false>(out, a, k, n)
                               : all_columns<false, false>(out, a, k, n);
    }
    template <bool Words, bool Left>
    static void all_columns(uint8_t* out, const QuantiseArgs& a, size_t k, size_t n) {
        size_t c = 0;
        for (; c + 4 * W <= n; c += 4 * W)
            columns<Words, Left, 4>(out + c / W * bytes_of<Left>(k), a, k, c, W);
        for (; c < n; c += W)
            columns<Words, Left, 1>(out + c / W * bytes_of<Left>(k), a, k, c,
                                    n - c < W ? n - c : W);
    }
    /// N panels of columns from column c on; `some` columns are there where N is 1.
    template <bool Words, bool Left, size_t N>
    static void columns(uint8_t* out, const QuantiseArgs& a, size_t k, size_t c, size_t some) {
        const size_t bytes = bytes_of<Left>(k), groups = groups_of(k);
        const F unit = set1(Words ? 65536.0F : 1.0F);  // a power of two: exact
        F f[N];
        I sums[N];
#pragma GCC unroll 4
        for (size_t p = 0; p < N; ++p) {
            f[p] = a.inv_of_rows ? zero() : mul(load(a.inv + c + p * W, some), unit);
            sums[p] = zero_int();
        }
        for (size_t g = 0; g < groups; ++g)
#pragma GCC unroll 4
            for (size_t p = 0; p < N; ++p) {
                const I quad = four_rows<Words>(a, {4 * g, k}, c + p * W, f[p], some);
                if constexpr (!Left) sums[p] = plus_flip(sums[p], quad);
                put<Left>(out + p * bytes, g, quad);
            }
        if constexpr (!Left)
            for (size_t p = 0; p < N; ++p)
                store_bytes(out + p * bytes + groups * kGroupBytes, sums[p]);
    }
    struct Rows {
        size_t first, end;
    };
    /// Up to four rows of eight columns, the four bytes of a column side by side.
    template <bool Words>
    static I four_rows(const QuantiseArgs& a, Rows rows, size_t c, F f, size_t some) {
        I q[4];
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i) {
            const size_t row = rows.first + i;
            q[i] = zero_int();
            if (row >= rows.end) continue;
            if (a.inv_of_rows) f = set1(Words ? a.inv[row] * 65536.0F : a.inv[row]);
            const uint16_t* words = Words ? a.words + row * a.words_stride + c : nullptr;
            q[i] = quantised<Words>(a.x + row * a.stride + c, f, words, some);
        }
        return turned(join(q));
    }

    static void quantise_rows(uint8_t* out, const QuantiseArgs& a, size_t n, size_t k) {
        for (size_t r = 0; r < n; r += W)
            a.left ? panel_of_rows<true>(out + r / W * left_panel_bytes(k), a, {r, n}, k)
                   : panel_of_rows<false>(out + r / W * panel_bytes(k), a, {r, n}, k);
    }
    template <bool Left>
    static void panel_of_rows(uint8_t* out, const QuantiseArgs& a, Rows rows, size_t k) {
        const size_t groups = groups_of(k);
        I sum = zero_int();
        for (size_t g = 0; g < groups; g += 8) {
            I part[8], turn[8];
            const size_t at = 4 * g, some = k - at < 32 ? k - at : 32;
            for (size_t i = 0; i < 8; ++i)
                part[i] = rows.first + i < rows.end ? some_of_row(a, rows.first + i, at, some)
                                                    : zero_int();
            transpose(turn, part);
            for (size_t i = 0; i < 8 && g + i < groups; ++i) {
                put<Left>(out, g + i, turn[i]);
                if constexpr (!Left) sum = plus_flip(sum, turn[i]);
            }
        }
        if constexpr (!Left) store_bytes(out + groups * kGroupBytes, sum);
    }
    static I some_of_row(const QuantiseArgs& a, size_t r, size_t at, size_t some) {
        const float* x = a.x + r * a.stride + at;
        const uint16_t* words = a.words != nullptr ? a.words + r * a.words_stride + at : nullptr;
        float padded[32] = {};
        uint16_t padded_words[32] = {};
        if (some < 32) {
            __builtin_memcpy(padded, x, some * sizeof(float));
            if (words != nullptr) __builtin_memcpy(padded_words, words, some * sizeof(uint16_t));
            x = padded;
            words = words != nullptr ? padded_words : nullptr;
        }
        I q[4];
        const F f = set1(words != nullptr ? a.inv[r] * 65536.0F : a.inv[r]);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j)
            q[j] = words != nullptr ? quantised<true>(x + 8 * j, f, words + 8 * j)
                                    : quantised<false>(x + 8 * j, f, nullptr);
        return join(q);
    }
    /// Eight rows of eight groups, where `join` left group 2 j at word j and group 2 j + 1 at word
    /// 4 + j, to eight groups of eight rows.
    static void transpose(I (&out)[8], const I (&row)[8]) {
        I half[2][4];
        for (size_t i = 0; i < 2; ++i) {
            const I* from = row + 4 * i;
            const I p = _mm256_unpacklo_epi32(from[0], from[1]);
            const I q = _mm256_unpackhi_epi32(from[0], from[1]);
            const I s = _mm256_unpacklo_epi32(from[2], from[3]);
            const I t = _mm256_unpackhi_epi32(from[2], from[3]);
            half[i][0] = _mm256_unpacklo_epi64(p, s), half[i][1] = _mm256_unpackhi_epi64(p, s);
            half[i][2] = _mm256_unpacklo_epi64(q, t), half[i][3] = _mm256_unpackhi_epi64(q, t);
        }
        for (size_t j = 0; j < 4; ++j) {
            out[2 * j] = _mm256_permute2x128_si256(half[0][j], half[1][j], 0x20);
            out[2 * j + 1] = _mm256_permute2x128_si256(half[0][j], half[1][j], 0x31);
        }
    }

    static uint32_t stored_rows(const ProductArgs& args) {
        return static_cast<uint32_t>((args.m + kLeftPanel - 1) / kLeftPanel * kLeftPanel);
    }
    static void row_sums(uint32_t* out, const ProductArgs& args, size_t g0, size_t g1) {
        size_t g = g0;
        for (; g + 4 <= g1; g += 4) some_row_sums<4>(out + g * 4, args, g);
        for (; g < g1; ++g) some_row_sums<1>(out + g * 4, args, g);
    }
    template <size_t N>
    static void some_row_sums(uint32_t* out, const ProductArgs& args, size_t g) {
        const I ones = _mm256_set1_epi8(1);
        I sum[N];
        for (I& s : sum) s = zero_int();
        for (size_t p = 0; p * kLeftPanel < args.m; ++p) {
            const uint8_t* a = args.a + p * args.a_panel + g * kGroupBytes;
#pragma GCC unroll 4
            for (size_t i = 0; i < N; ++i)
                sum[i] =
                    _mm256_dpbusd_avx_epi32(sum[i], turned(load_bytes(a + i * kGroupBytes)), ones);
        }
        // Each stored row has its offset.
        const __m128i less = _mm_set1_epi32(static_cast<int>(128 * stored_rows(args)));
        for (size_t i = 0; i < N; ++i) {
            const I both = add_int(sum[i], _mm256_permute2x128_si256(sum[i], sum[i], 1));
            auto* to = reinterpret_cast<__m128i*>(out + i * 4);
            const __m128i four = _mm_sub_epi32(_mm256_castsi256_si128(both), less);
            _mm_storeu_si128(to, _mm_add_epi32(_mm_loadu_si128(to), four));
        }
    }
    static void due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args, size_t p0,
                         size_t p1) {
        for (size_t p = p0; p < p1; ++p)
            if (args.m <= kRowsOfTwoBytes)
                some_due_sums<2>(out + p * kPanel, rows, args, p);
            else
                some_due_sums<4>(out + p * kPanel, rows, args, p);
    }
    /// Of so many rows of numbers from -128 on the sums have two bytes, with 2^15 added.
    static constexpr size_t kRowsOfTwoBytes = (1U << 15) / 128;
    template <size_t Bytes>
    static void some_due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args,
                              size_t p) {
        const uint8_t* b = args.b + p * args.b_panel;
        const I more = set1_int(Bytes == 2 ? 1U << 15 : 0);
        I sum[4] = {zero_int(), zero_int(), zero_int(), zero_int()};
        for (size_t g = 0; g < args.groups; ++g) {
            const I bytes = load_bytes(b + g * kGroupBytes);
            const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows + 4 * g));
            // 32-bit word i holds byte i of the four sums.
            const I split = turned(add_int(_mm256_broadcastsi128_si256(four), more));
            sum[0] = _mm256_dpbusd_avx_epi32(sum[0], _mm256_shuffle_epi32(split, 0x00), bytes);
            sum[1] = _mm256_dpbusd_avx_epi32(sum[1], _mm256_shuffle_epi32(split, 0x55), bytes);
            if constexpr (Bytes == 2) continue;
            sum[2] = _mm256_dpbusd_avx_epi32(sum[2], _mm256_shuffle_epi32(split, 0xAA), bytes);
            sum[3] = _mm256_dpbusd_avx_epi32(sum[3], _mm256_shuffle_epi32(split, 0xFF), bytes);
        }
        I all = sum[0];
        for (int i = 1; i < static_cast<int>(Bytes); ++i)
            all = add_int(all, _mm256_slli_epi32(sum[i], 8 * i));
        // The sums of B's columns are there, times 128.
        if constexpr (Bytes == 2) {
            const I flips = load_bytes(args.sums + p * args.sums_panel);
            all = _mm256_sub_epi32(all, _mm256_slli_epi32(flips, 8));
        }
        store_bytes(out, all);
    }

    static void product(const ProductArgs& args, size_t m0, size_t m1, size_t n0, size_t n1) {
        for (size_t n = n0; n < n1; n += kTileCols)
            for (size_t m = m0; m < m1; m += kRows) {
                if (args.causal && n > m + kRows - 1 + args.diagonal) continue;
                const size_t rows = m1 - m < kRows ? m1 - m : kRows;
                if (n1 - n > 2 * kPanel)
                    block<3>(args, m, n, rows);
                else if (n1 - n > kPanel)
                    block<2>(args, m, n, rows);
                else
                    block<1>(args, m, n, rows);
            }
    }
    /// acc += left (unsigned) times right (signed), four bytes at a time. In assembly, because GCC
    /// 12 copies the sums of the intrinsic from register to register.
    static void multiply_add(I& acc, I left, I right) {
        asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(left), "x"(right));
    }
    /// kRows by N panels: twelve sums, three vectors of B and one of A are the sixteen registers.
    template <size_t N>
    static void block(const ProductArgs& args, size_t m, size_t n, size_t rows) {
        const size_t panel = args.b_panel;
        const uint8_t* b = args.b + n / kPanel * panel;
        const int32_t* sums = args.sums + n / kPanel * args.sums_panel;
        const uint8_t* a = args.a + m / kLeftPanel * args.a_panel + m % kLeftPanel * 4;
        I acc[kRows][N];
#pragma GCC unroll 3
        for (size_t j = 0; j < N; ++j) {
            const I less = _mm256_sub_epi32(zero_int(), load_bytes(sums + j * args.sums_panel));
#pragma GCC unroll 4
            for (size_t r = 0; r < kRows; ++r) acc[r][j] = less;
        }
        for (size_t g = 0; g < args.groups; ++g) {
            I right[N];
#pragma GCC unroll 3
            for (size_t j = 0; j < N; ++j) right[j] = load_bytes(b + j * panel + g * kGroupBytes);
#pragma GCC unroll 4
            for (size_t r = 0; r < kRows; ++r) {
                int32_t four;
                __builtin_memcpy(&four, a + r * 4, 4);
                const I left = _mm256_set1_epi32(four);
#pragma GCC unroll 3
                for (size_t j = 0; j < N; ++j) multiply_add(acc[r][j], left, right[j]);
            }
            a += kGroupBytes;
        }
        if (args.column_sums != nullptr) add_sums(args.column_sums + n, acc);
        finish(acc, args, m, n, rows);
    }
};

}  // namespace

const Kernels& avxvnni_kernels() {
    static const Kernels kTable = Kernel<AvxVnni>::table("avxvnni");
    return kTable;
}

}  // namespace trainyard::training::cpu

#else

namespace trainyard::training::cpu {
const Kernels& avxvnni_kernels() {
    static const Kernels kNone{};
    return kNone;
}
}  // namespace trainyard::training::cpu

#endif
