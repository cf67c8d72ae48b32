// SPDX-License-Identifier: Apache-2.0
// Kernels in plain C++, for processors without the instructions of the other paths.
#include "training/cpu/kernels_impl.hpp"

namespace trainyard::training::cpu {
namespace {

struct Scalar {
    using F = float;
    using I = int32_t;
    static constexpr size_t W = 1;
    static constexpr size_t kElementBytes = 1, kGroup = 1, kPanel = 16, kLeftPanel = 16;
    static constexpr size_t kRows = 1, kTileCols = kPanel;
    static constexpr bool kFlips = false;
    using Packing = PlainPacking<int8_t, 1, 16>;

    static F zero() { return 0.0F; }
    static F set1(float x) { return x; }
    static F load(const float* p, size_t = 1) { return *p; }
    static void store(float* p, F x, size_t = 1) { *p = x; }
    static F add(F a, F b) { return a + b; }
    static F sub(F a, F b) { return a - b; }
    static F mul(F a, F b) { return a * b; }
    static F div(F a, F b) { return a / b; }
    static F sqrt(F a) { return __builtin_sqrtf(a); }
    static F fma(F a, F b, F c) { return __builtin_fmaf(a, b, c); }
    static F max(F a, F b) { return a > b ? a : b; }
    static F min(F a, F b) { return a < b ? a : b; }
    static F negate(F a) { return -a; }
    static F number_or(F other, F x) { return x == x ? x : other; }
    static F first(size_t, F yes, F) { return yes; }
    static F power_of_two(F n) {
        const int32_t e = n == n ? static_cast<int32_t>(n) : 0;
        return from_bits(static_cast<uint32_t>(e + 127) << 23);
    }

    static I zero_int() { return 0; }
    static I set1_int(uint32_t x) { return static_cast<I>(x); }
    static I iota() { return 0; }
    static I load_int(const uint32_t* p, size_t) { return static_cast<I>(*p); }
    static void store_int(uint32_t* p, I x, size_t) { *p = static_cast<uint32_t>(x); }
    static I add_int(I a, I b) { return a + b; }
    static I exclusive_or(I a, I b) { return a ^ b; }
    static I shift_right_16(I a) { return a >> 16; }
    static I round(F x) { return static_cast<I>(__builtin_lrintf(x)); }
    static float fold(F a) { return a; }
    static float largest(F a) { return a; }
    static int32_t largest_int(I a) { return a; }
    static I max_int(I a, I b) { return a > b ? a : b; }
    static I max_abs_bits(I top, F x) {
        int32_t bits;
        __builtin_memcpy(&bits, &x, sizeof(bits));
        bits &= 0x7fffffff;
        return bits > top ? bits : top;
    }
    static F as_floats(I x) { return from_bits(static_cast<uint32_t>(x)); }
    static F zero_below(uint32_t floor, I bits, F x) {
        return static_cast<uint32_t>(bits) < floor ? 0.0F : x;
    }
    static I load_words(const uint16_t* p, size_t) { return *p; }
    static void store_element(void* q, size_t i, I x, size_t) {
        static_cast<int8_t*>(q)[i] = static_cast<int8_t>(x);
    }
    static void multiply_wide(I x, uint32_t factor, I& high, I& low) {
        const uint64_t p = uint64_t{factor} * static_cast<uint32_t>(x);
        high = static_cast<I>(p >> 32);
        low = static_cast<I>(static_cast<uint32_t>(p));
    }
    static void store_transposed(uint32_t* out, I x0, I x1, I x2, I x3) {
        const I all[4] = {x0, x1, x2, x3};
        __builtin_memcpy(out, all, sizeof(all));
    }

    static size_t panel_bytes(size_t k) { return Packing::panel_bytes(k); }
    static size_t left_panel_bytes(size_t k) { return Packing::panel_bytes(k); }
    static void flip_sums(int32_t*, const uint8_t*, size_t) {}
    static void pack_cols(uint8_t* out, const void* q, size_t k, size_t n) {
        for (size_t p = 0; p * kPanel < n; ++p)
            Packing::pack(out + p * panel_bytes(k), static_cast<const int8_t*>(q), k, n, n, 1, p);
    }
    static void pack_rows(uint8_t* out, const void* q, size_t k, size_t n) {
        for (size_t p = 0; p * kPanel < n; ++p)
            Packing::pack(out + p * panel_bytes(k), static_cast<const int8_t*>(q), k, n, 1, k, p);
    }

    static void row_sums(uint32_t* out, const ProductArgs& args, size_t g0, size_t g1) {
        Packing::row_sums(out, args, g0, g1);
    }
    static void due_sums(uint32_t* out, const uint32_t* rows, const ProductArgs& args, size_t p0,
                         size_t p1) {
        Packing::due_sums(out, rows, args, p0, p1);
    }
    static void product(const ProductArgs& args, size_t m0, size_t m1, size_t n0, size_t n1) {
        for (size_t n = n0; n < n1; n += kPanel)
            for (size_t m = m0; m < m1; ++m)
                if (!args.causal || n <= m + args.diagonal) one_row(args, m, n);
    }
    static void one_row(const ProductArgs& args, size_t m, size_t n) {
        const int8_t* b = reinterpret_cast<const int8_t*>(args.b + n / kPanel * args.b_panel);
        const uint8_t* a = args.a + m / kPanel * args.a_panel + m % kPanel;
        int32_t acc[kPanel] = {};
        for (size_t k = 0; k < args.groups; ++k, b += kPanel) {
            const int32_t left = static_cast<int8_t>(a[k * kPanel]);
            for (size_t c = 0; c < kPanel; ++c) acc[c] += left * b[c];
        }
        if (args.column_sums != nullptr)
            for (size_t c = 0; c < kPanel; ++c)
                args.column_sums[n + c] += static_cast<uint32_t>(acc[c]);
        for (size_t c = 0; c < kPanel && n + c < args.n; ++c) {
            const float value = (static_cast<float>(acc[c]) * args.sa[m]) * args.sb[n + c];
            args.c[m * args.c_stride + n + c] = args.alpha != nullptr ? value * *args.alpha : value;
        }
    }
};

}  // namespace

const Kernels& scalar_kernels() {
    static const Kernels kTable = Kernel<Scalar>::table("scalar");
    return kTable;
}

}  // namespace trainyard::training::cpu
