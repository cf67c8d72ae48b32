// SPDX-License-Identifier: Apache-2.0
// The recipe's functions, quantisation and rounding words on a device: docs/spec/numerics.md.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::cuda {

// Every operation is spelled by its intrinsic, so that no compiler flag can fuse or approximate it.

__device__ __forceinline__ float add(float a, float b) {
    return __fadd_rn(a, b);
}
__device__ __forceinline__ float sub(float a, float b) {
    return __fsub_rn(a, b);
}
__device__ __forceinline__ float mul(float a, float b) {
    return __fmul_rn(a, b);
}
__device__ __forceinline__ float fused(float a, float b, float c) {
    return __fmaf_rn(a, b, c);
}
__device__ __forceinline__ float divide(float a, float b) {
    return __fdiv_rn(a, b);
}
__device__ __forceinline__ float root(float a) {
    return __fsqrt_rn(a);
}
__device__ __forceinline__ float as_float(uint32_t bits) {
    return __uint_as_float(bits);
}
__device__ __forceinline__ uint32_t bits_of(float x) {
    return __float_as_uint(x);
}
__device__ __forceinline__ uint32_t magnitude(float x) {
    return bits_of(x) & 0x7fffffffU;
}
__device__ __forceinline__ uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}
__device__ __forceinline__ bool is_nonfinite(float x) {
    return magnitude(x) >= 0x7f800000U;
}

/// One NaN for all of them, as training::one_nan.
__device__ __forceinline__ float one_nan(float x) {
    return x != x ? as_float(training::kNanBits) : x;
}

/// exp(x) as p * 2^n, for x from -87 to 87 or a NaN, which stays one.
struct ExpParts {
    float p;
    uint32_t n;  ///< its lowest nine bits only
};
__device__ __forceinline__ ExpParts exp_parts(float x) {
    const float shift = as_float(0x4b400000);
    const float shifted = fused(x, as_float(0x3fb8aa3b), shift);
    const float n = sub(shifted, shift);
    float r = fused(n, as_float(0xbf318000), x);
    r = fused(n, as_float(0x395e8083), r);
    float p = as_float(0x39506967);
    p = fused(p, r, as_float(0x3ab743ce));
    p = fused(p, r, as_float(0x3c088908));
    p = fused(p, r, as_float(0x3d2aa9c1));
    p = fused(p, r, as_float(0x3e2aaaaa));
    p = fused(p, r, as_float(0x3f000000));
    const float rr = mul(r, r);
    p = fused(p, rr, r);
    // The bits of `shifted` are 0x4b400000 + n, of which the shift by 23 places leaves n.
    return {add(p, 1.0F), bits_of(shifted)};
}
/// exp of a number that needs no clamp from above: it is at most 0, or a NaN, which stays one.
__device__ __forceinline__ float exp_of_falling(float x) {
    const ExpParts e = exp_parts(x < -87.0F ? -87.0F : x);
    return mul(e.p, as_float((e.n << 23) + 0x3f800000U));
}
/// The same where a NaN may become any number. Of what is not positive the larger bits are the
/// smaller number; and no result is subnormal, so that 2^n adds n to the exponent.
__device__ __forceinline__ float exp_of_nonpositive(float x) {
    constexpr uint32_t kLeast = 0xc2ae0000;  // -87
    const ExpParts e = exp_parts(as_float(bits_of(x) < kLeast ? bits_of(x) : kLeast));
    return as_float(bits_of(e.p) + (e.n << 23));
}
__device__ __forceinline__ float exp_of(float x) {
    return exp_of_falling(x > 87.0F ? 87.0F : x);
}

/// Precondition: x is a positive normal number, or a NaN, which stays one.
__device__ __forceinline__ float log_of(float x) {
    if (x != x) return x;
    const uint32_t v = bits_of(x) - 0x3f3504f3U;
    const float e = __int2float_rn(static_cast<int32_t>(v) >> 23);
    const float f = sub(as_float((v & 0x007fffffU) + 0x3f3504f3U), 1.0F);
    const float z = mul(f, f);
    float y = as_float(0x3d9021bb);
    y = fused(y, f, as_float(0xbdebd1b8));
    y = fused(y, f, as_float(0x3def251a));
    y = fused(y, f, as_float(0xbdfe5d4f));
    y = fused(y, f, as_float(0x3e11e9bf));
    y = fused(y, f, as_float(0xbe2aae50));
    y = fused(y, f, as_float(0x3e4cceac));
    y = fused(y, f, as_float(0xbe7ffffc));
    y = fused(y, f, as_float(0x3eaaaaaa));
    y = mul(y, f);
    y = mul(y, z);
    y = fused(e, as_float(0xb95e8083), y);
    y = fused(z, -0.5F, y);
    y = add(f, y);
    return fused(e, as_float(0x3f318000), y);
}

struct GeluParts {
    float t, s;
};
__device__ __forceinline__ GeluParts gelu_parts(float x) {
    const float t = mul(x, x);
    const float w = fused(t, as_float(0x3d922279), as_float(0x3fcc422a));
    const float z = mul(x, w);
    return {t, divide(1.0F, add(1.0F, exp_of(-z)))};
}
__device__ __forceinline__ float gelu_of(float x) {
    return mul(x, gelu_parts(x).s);
}
__device__ __forceinline__ float gelu_slope(float x) {
    const GeluParts parts = gelu_parts(x);
    const float slope = mul(x, mul(parts.s, sub(1.0F, parts.s)));
    return fused(slope, fused(parts.t, as_float(0x3e5b33b6), as_float(0x3fcc422a)), parts.s);
}

/// 1 / sqrt(mean + eps).
__device__ __forceinline__ float rms_scale(float squares, uint32_t cols) {
    const float mean = divide(squares, __uint2float_rn(cols));
    return divide(1.0F, root(add(mean, as_float(0x3727c5ac))));
}

struct Scale {
    float s, inv;
};
/// `amax_bits` is the largest magnitude of the group, as bits. One of the two is one division.
__device__ __forceinline__ float scale_or_inverse(uint32_t amax_bits, bool is_inverse) {
    if (amax_bits < 0x0d800000U) return 0.0F;
    const float a = as_float(amax_bits);
    return divide(is_inverse ? 127.0F : a, is_inverse ? a : 127.0F);
}
__device__ __forceinline__ Scale scale_of(uint32_t amax_bits) {
    return {scale_or_inverse(amax_bits, false), scale_or_inverse(amax_bits, true)};
}
/// Precondition: x is no larger than the maximum that `inv` came from. So the product is at most
/// 127 (1 + 2^-24)^2, which rounds to 127 without the clamp.
__device__ __forceinline__ int quantise_nearest(float x, float inv) {
    return __float2int_rn(mul(x, inv));
}
/// As quantise_nearest, with the result in the lowest byte: 3 * 2^22 leaves no place behind the
/// point, and what is added to it is added to its bits.
__device__ __forceinline__ uint32_t nearest_in_byte(float x, float inv) {
    return bits_of(add(mul(x, inv), 0x3p22F));
}
/// As the rule has it, in the third byte, with its factor of 2^16 in `inv` beforehand: a power of
/// two changes no digit, and what falls below the normal numbers rounds to 0 in either way. Same
/// precondition: the product is at most 127 * 2^16 + 0.5, which rounds to the even 127 * 2^16
/// without the clamp.
__device__ __forceinline__ uint32_t stochastic_in_byte(float x, float inv, uint32_t word) {
    return static_cast<uint32_t>(__float2int_rn(mul(x, mul(inv, 65536.0F)))) + word;
}

/// Which 16-bit words round a gradient; element at offset o of the view has index idx0 + o.
struct Words {
    uint32_t seed = 0, step = 0, tensor = 0;
    bool stochastic = false;
    uint64_t idx0 = 0;
};

struct PhiloxWords {
    uint32_t x0, x1, x2, x3;
};
/// Philox4x32-10 of one counter in registers.
__device__ __forceinline__ PhiloxWords philox(PhiloxWords x, uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; ++round) {
        const uint32_t high0 = __umulhi(0xD2511F53U, x.x0), low0 = 0xD2511F53U * x.x0;
        const uint32_t high1 = __umulhi(0xCD9E8D57U, x.x2), low1 = 0xCD9E8D57U * x.x2;
        x = {high1 ^ x.x1 ^ k0, low1, high0 ^ x.x3 ^ k1, low0};
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    return x;
}

/// The rounding words of a gradient; eight neighbouring elements share one block, which is kept.
class WordStream {
public:
    __device__ explicit WordStream(const Words& words) : words_(words) {}

    __device__ __forceinline__ uint32_t at(uint64_t offset) {
        const uint64_t idx = words_.idx0 + offset;
        if (idx >> 3 != block_) {
            block_ = idx >> 3;
            const auto low_half = static_cast<uint32_t>(block_);
            x_ = philox({low_half, words_.tensor, words_.step, 0}, words_.seed,
                        training::kPhiloxRounding);
        }
        const uint32_t low = (idx & 2) != 0 ? x_.x1 : x_.x0;
        const uint32_t high = (idx & 2) != 0 ? x_.x3 : x_.x2;
        const uint32_t word = (idx & 4) != 0 ? high : low;
        return ((idx & 1) != 0 ? word >> 16 : word) & 0xffffU;
    }

private:
    Words words_;
    uint64_t block_ = ~uint64_t{0};
    PhiloxWords x_ = {};
};

}  // namespace trainyard::cuda
