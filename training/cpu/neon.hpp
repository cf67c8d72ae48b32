// SPDX-License-Identifier: Apache-2.0
// Kernels for AArch64: four lanes; products by sdot where the file is compiled for it, else by
// widening multiplications.
#pragma once

#include <arm_neon.h>

#include "training/cpu/kernels_impl.hpp"

namespace trainyard::training::cpu {
namespace {

struct NeonVectors {
    using F = float32x4_t;
    using I = int32x4_t;
    static constexpr size_t W = 4;

    static uint32x4_t mask(size_t n) {
        return vcltq_u32(vreinterpretq_u32_s32(iota()), vdupq_n_u32(static_cast<uint32_t>(n)));
    }
    static F zero() { return vdupq_n_f32(0.0F); }
    static F set1(float x) { return vdupq_n_f32(x); }
    static F load(const float* p, size_t n = W) {
        if (n == W) return vld1q_f32(p);
        float some[W] = {};
        __builtin_memcpy(some, p, n * sizeof(float));
        return vld1q_f32(some);
    }
    static void store(float* p, F x, size_t n = W) {
        if (n == W) return vst1q_f32(p, x);
        float some[W];
        vst1q_f32(some, x);
        __builtin_memcpy(p, some, n * sizeof(float));
    }
    static F add(F a, F b) { return vaddq_f32(a, b); }
    static F sub(F a, F b) { return vsubq_f32(a, b); }
    static F mul(F a, F b) { return vmulq_f32(a, b); }
    static F div(F a, F b) { return vdivq_f32(a, b); }
    static F sqrt(F a) { return vsqrtq_f32(a); }
    static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
    static F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
    static F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
    static F negate(F a) { return vnegq_f32(a); }
    static F number_or(F other, F x) { return vbslq_f32(vceqq_f32(x, x), x, other); }
    static F first(size_t n, F yes, F no) { return n == W ? yes : vbslq_f32(mask(n), yes, no); }
    static F power_of_two(F n) {
        return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(round(n), vdupq_n_s32(127)), 23));
    }

    static I zero_int() { return vdupq_n_s32(0); }
    static I set1_int(uint32_t x) { return vreinterpretq_s32_u32(vdupq_n_u32(x)); }
    static I iota() {
        constexpr int32_t kLane[W] = {0, 1, 2, 3};
        return vld1q_s32(kLane);
    }
    static I load_int(const uint32_t* p, size_t n) {
        uint32_t some[W] = {};
        __builtin_memcpy(some, p, n * sizeof(uint32_t));
        return vreinterpretq_s32_u32(vld1q_u32(some));
    }
    static void store_int(uint32_t* p, I x, size_t n) {
        uint32_t some[W];
        vst1q_u32(some, vreinterpretq_u32_s32(x));
        __builtin_memcpy(p, some, n * sizeof(uint32_t));
    }
    static I add_int(I a, I b) { return vaddq_s32(a, b); }
    static I exclusive_or(I a, I b) { return veorq_s32(a, b); }
    static I shift_right_16(I a) { return vshrq_n_s32(a, 16); }
    static I round(F x) { return vcvtnq_s32_f32(x); }
    /// a[i] + a[i + s] for s = 2, 1.
    static float fold(F a) {
        const float32x2_t two = vadd_f32(vget_low_f32(a), vget_high_f32(a));
        return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
    }
    static float largest(F a) { return vmaxvq_f32(a); }
    static int32_t largest_int(I a) { return vmaxvq_s32(a); }
    static I max_int(I a, I b) { return vmaxq_s32(a, b); }
    static I max_abs_bits(I top, F x) {
        return vmaxq_s32(top, vandq_s32(vreinterpretq_s32_f32(x), vdupq_n_s32(0x7fffffff)));
    }
    static F as_floats(I x) { return vreinterpretq_f32_s32(x); }
    /// Magnitudes have no sign bit: the signed comparison is the unsigned one.
    static F zero_below(uint32_t floor, I bits, F x) {
        const uint32x4_t keep = vcgeq_s32(bits, set1_int(floor));
        return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), keep));
    }
    static I load_words(const uint16_t* p, size_t n) {
        uint16_t some[W] = {};
        __builtin_memcpy(some, p, n * sizeof(uint16_t));
        return vreinterpretq_s32_u32(vmovl_u16(vld1_u16(some)));
    }
    static void store_element(void* q, size_t i, I x, size_t n) {
        const int16x4_t half = vmovn_s32(x);
        const int8x8_t bytes = vmovn_s16(vcombine_s16(half, half));
        int8_t some[2 * W];
        vst1_s8(some, bytes);
        __builtin_memcpy(static_cast<int8_t*>(q) + i, some, n);
    }
    static void multiply_wide(I x, uint32_t factor, I& high, I& low) {
        const uint32x4_t a = vreinterpretq_u32_s32(x), f = vdupq_n_u32(factor);
        const uint32x4_t first = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a), vget_low_u32(f)));
        const uint32x4_t last = vreinterpretq_u32_u64(vmull_high_u32(a, f));
        high = vreinterpretq_s32_u32(vuzp2q_u32(first, last));
        low = vreinterpretq_s32_u32(vuzp1q_u32(first, last));
    }
    static void store_transposed(uint32_t* out, I x0, I x1, I x2, I x3) {
        vst4q_u32(out, {{vreinterpretq_u32_s32(x0), vreinterpretq_u32_s32(x1),
                         vreinterpretq_u32_s32(x2), vreinterpretq_u32_s32(x3)}});
    }
};

struct Neon : NeonVectors {
    static constexpr size_t kElementBytes = 1, kGroup = 4, kPanel = 8, kLeftPanel = 8;
    static constexpr size_t kTileCols = kPanel;
    static constexpr size_t kGroupBytes = 32;  ///< of one panel, of either side
    static constexpr bool kFlips = false;
    using Packing = PlainPacking<int8_t, 4, 8>;

    static size_t panel_bytes(size_t k) { return Packing::panel_bytes(k); }
    static size_t left_panel_bytes(size_t k) { return Packing::panel_bytes(k); }
    static void flip_sums(int32_t*, const uint8_t*, size_t) {}
    static void pack_cols(uint8_t* out, const void* q, size_t k, size_t n) {
        const auto* from = static_cast<const int8_t*>(q);
        for (size_t p = 0; p * kPanel < n; ++p) {
            uint8_t* to = out + p * panel_bytes(k);
            if (k % kGroup != 0 || (p + 1) * kPanel > n) {
                Packing::pack(to, from, k, n, n, 1, p);
                continue;
            }
            for (size_t row = 0; row < k; row += kGroup, to += kGroupBytes) {
                const int8_t* at = from + row * n + p * kPanel;
                const int8x8x4_t rows{
                    {vld1_s8(at), vld1_s8(at + n), vld1_s8(at + 2 * n), vld1_s8(at + 3 * n)}};
                vst4_s8(reinterpret_cast<int8_t*>(to), rows);
            }
        }
    }
    static void pack_rows(uint8_t* out, const void* q, size_t k, size_t n) {
        const auto* from = static_cast<const int8_t*>(q);
        for (size_t p = 0; p * kPanel < n; ++p) {
            uint8_t* to = out + p * panel_bytes(k);
            if (k % kGroup != 0 || (p + 1) * kPanel > n) {
                Packing::pack(to, from, k, n, 1, k, p);
                continue;
            }
            for (size_t at = 0; at < k; at += kGroup)
                for (size_t r = 0; r < kPanel; ++r, to += kGroup)
                    __builtin_memcpy(to, from + (p * kPanel + r) * k + at, kGroup);
        }
    }
    static void row_sums(uint32_t* out, const ProductArgs& args, size_t g0, size_t g1) {
        Packing::row_sums(out, args, g0, g1);
    }
    static void due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args, size_t p0,
                         size_t p1) {
        Packing::due_sums(out, rows, args, p0, p1);
    }

#if defined(__ARM_FEATURE_DOTPROD)
    static constexpr size_t kRows = 8;
    using Sums = I[kRows][2];
    /// sums[r][j] = the integers of row r and columns 4 j to 4 j + 3 of a panel.
    static void multiply(Sums& sums, const uint8_t* a, const uint8_t* b, size_t groups) {
        for (auto& row : sums) row[0] = row[1] = zero_int();
        for (size_t g = 0; g < groups; ++g, a += kGroupBytes, b += kGroupBytes) {
            int8x16_t left[2], right[2];
            for (size_t i = 0; i < 2; ++i) {
                left[i] = vreinterpretq_s8_u8(vld1q_u8(a + 16 * i));
                right[i] = vreinterpretq_s8_u8(vld1q_u8(b + 16 * i));
            }
#pragma GCC unroll 2
            for (size_t h = 0; h < 2; ++h)
#pragma GCC unroll 2
                for (size_t j = 0; j < 2; ++j) {
                    auto* row = sums + 4 * h;
                    row[0][j] = vdotq_laneq_s32(row[0][j], right[j], left[h], 0);
                    row[1][j] = vdotq_laneq_s32(row[1][j], right[j], left[h], 1);
                    row[2][j] = vdotq_laneq_s32(row[2][j], right[j], left[h], 2);
                    row[3][j] = vdotq_laneq_s32(row[3][j], right[j], left[h], 3);
                }
        }
    }
#else
    static constexpr size_t kRows = 4;
    using Sums = I[kRows][2];
    /// sums[r][j] = the integers of row r and columns 4 j to 4 j + 3 of a panel. Each vector of
    /// `some` holds two halves of the sums of two columns.
    static void multiply(Sums& sums, const uint8_t* a, const uint8_t* b, size_t groups) {
        I some[kRows][4];
        for (auto& row : some)
            for (I& s : row) s = zero_int();
        for (size_t g = 0; g < groups; ++g, a += kGroupBytes, b += kGroupBytes)
#pragma GCC unroll 4
            for (size_t r = 0; r < kRows; ++r) {
                uint32_t four;
                __builtin_memcpy(&four, a + 4 * r, sizeof(four));
                const int8x8_t left = vreinterpret_s8_u32(vdup_n_u32(four));
#pragma GCC unroll 4
                for (size_t i = 0; i < 4; ++i) {
                    const int8x8_t right = vreinterpret_s8_u8(vld1_u8(b + 8 * i));
                    some[r][i] = vpadalq_s16(some[r][i], vmull_s8(right, left));
                }
            }
        for (size_t r = 0; r < kRows; ++r)
            for (size_t j = 0; j < 2; ++j)
                sums[r][j] = vpaddq_s32(some[r][2 * j], some[r][2 * j + 1]);
    }
#endif

    static void product(const ProductArgs& args, size_t m0, size_t m1, size_t n0, size_t n1) {
        for (size_t n = n0; n < n1; n += kPanel)
            for (size_t m = m0; m < m1; m += kRows)
                if (!args.causal || n <= m + kRows - 1 + args.diagonal) block(args, m, n, m1 - m);
    }
    static void block(const ProductArgs& args, size_t m, size_t n, size_t rows) {
        Sums sums;
        multiply(sums, args.a + m / kLeftPanel * args.a_panel + m % kLeftPanel * 4,
                 args.b + n / kPanel * args.b_panel, args.groups);
        const F alpha = set1(args.alpha != nullptr ? *args.alpha : 1.0F);  // times 1 is exact
        for (size_t j = 0; j < 2; ++j) {
            const size_t col = n + j * W;
            if (args.column_sums != nullptr) {
                I sum = load_int(args.column_sums + col, W);
                for (size_t r = 0; r < kRows; ++r) sum = add_int(sum, sums[r][j]);
                store_int(args.column_sums + col, sum, W);
            }
            if (col >= args.n) continue;
            const size_t some = left(args.n, col);
            const F sb = load(args.sb + col, some);
            for (size_t r = 0; r < kRows && r < rows; ++r) {
                const F value = mul(mul(vcvtq_f32_s32(sums[r][j]), set1(args.sa[m + r])), sb);
                store(args.c + (m + r) * args.c_stride + col, mul(value, alpha), some);
            }
        }
    }
    static size_t left(size_t n, size_t i) {
        return n - i < W ? n - i : W;
    }
};

}  // namespace
}  // namespace trainyard::training::cpu
