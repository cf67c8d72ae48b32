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

    static void row_sums(uint32_t* out, const ProductArgs& args, size_t g0, size_t g1) {
        Packing::row_sums(out, args, g0, g1);
    }
    static void due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args, size_t p0,
                         size_t p1) {
        Packing::due_sums(out, rows, args, p0, p1);
    }
    static void product(const ProductArgs& args, size_t m0, size_t m1, size_t n0, size_t n1) {
        for (size_t n = n0; n < n1; n += 2 * kPanel)
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
