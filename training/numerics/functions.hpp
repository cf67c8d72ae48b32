// SPDX-License-Identifier: Apache-2.0
// exp, log, tanh and GELU as fixed chains of binary32 operations: docs/spec/numerics.md, section 3.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "training/numerics/strict.hpp"

namespace trainyard::training {

/// The binary32 value with these bits.
constexpr float as_float(uint32_t bits) {
    return std::bit_cast<float>(bits);
}
constexpr uint32_t bits_of(float x) {
    return std::bit_cast<uint32_t>(x);
}

/// a * b + c rounded once; the only fused operation, and only where the rules write it.
inline float fma(float a, float b, float c) {
    return std::fma(a, b, c);
}

/// True for Inf and NaN.
constexpr bool is_nonfinite(float x) {
    return (bits_of(x) & 0x7f800000U) == 0x7f800000U;
}

inline constexpr uint32_t kNanBits = 0x7fc00000;

/// The number itself, or the one NaN for all of them: which bits arithmetic gives a NaN is up to
/// the machine.
constexpr float one_nan(float x) {
    return x != x ? as_float(kNanBits) : x;
}
inline void write_one_nan(float* x, size_t count) {
    for (size_t i = 0; i < count; ++i) x[i] = one_nan(x[i]);
}

inline float exp(float x) {
    x = x < -87.0F ? -87.0F : x;
    x = x > 87.0F ? 87.0F : x;
    const float n = fma(x, as_float(0x3fb8aa3b), as_float(0x4b400000)) - as_float(0x4b400000);
    float r = fma(n, as_float(0xbf318000), x);
    r = fma(n, as_float(0x395e8083), r);
    float p = as_float(0x39506967);
    p = fma(p, r, as_float(0x3ab743ce));
    p = fma(p, r, as_float(0x3c088908));
    p = fma(p, r, as_float(0x3d2aa9c1));
    p = fma(p, r, as_float(0x3e2aaaaa));
    p = fma(p, r, as_float(0x3f000000));
    const float rr = r * r;
    p = fma(p, rr, r);
    p = p + 1.0F;
    if (n != n) return n;  // a NaN has no integral part; the result is NaN either way
    return p * as_float(static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23);
}

/// Precondition: x is a positive normal number, or a NaN, which stays one: its bits are up to a
/// machine, and would make any number.
inline float log(float x) {
    if (x != x) return x;
    const uint32_t v = bits_of(x) - 0x3f3504f3U;
    const auto e = static_cast<float>(static_cast<int32_t>(v) >> 23);
    const float f = as_float((v & 0x007fffffU) + 0x3f3504f3U) - 1.0F;
    const float z = f * f;
    float y = as_float(0x3d9021bb);
    for (const uint32_t c : {0xbdebd1b8U, 0x3def251aU, 0xbdfe5d4fU, 0x3e11e9bfU, 0xbe2aae50U,
                             0x3e4cceacU, 0xbe7ffffcU, 0x3eaaaaaaU})
        y = fma(y, f, as_float(c));
    y = y * f;
    y = y * z;
    y = fma(e, as_float(0xb95e8083), y);
    y = fma(z, -0.5F, y);
    y = f + y;
    return fma(e, as_float(0x3f318000), y);
}

inline float tanh(float x) {
    const float a = as_float(bits_of(x) & 0x7fffffffU);
    if (a < 0.625F) {
        const float z = x * x;
        float p = as_float(0xbbbaf0ea);
        for (const uint32_t c : {0x3ca9134eU, 0xbd5c1e2dU, 0x3e088393U, 0xbeaaaa99U})
            p = fma(p, z, as_float(c));
        p = p * z;
        return fma(p, x, x);
    }
    const float e = exp(a + a);
    const float b = 1.0F - 2.0F / (e + 1.0F);
    return as_float(bits_of(b) | (bits_of(x) & 0x80000000U));
}

namespace detail {
struct GeluParts {
    float t, s;
};
inline GeluParts gelu_parts(float x) {
    const float t = x * x;
    const float w = fma(t, as_float(0x3d922279), as_float(0x3fcc422a));
    const float z = x * w;
    return {t, 1.0F / (1.0F + exp(-z))};
}
}  // namespace detail

inline float gelu(float x) {
    return x * detail::gelu_parts(x).s;
}

inline float gelu_grad(float x) {
    const auto [t, s] = detail::gelu_parts(x);
    const float slope = x * (s * (1.0F - s));
    return fma(slope, fma(t, as_float(0x3e5b33b6), as_float(0x3fcc422a)), s);
}

}  // namespace trainyard::training
