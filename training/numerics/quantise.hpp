// SPDX-License-Identifier: Apache-2.0
// Quantisation of one group of elements to int8: docs/spec/numerics.md, section 5.
#pragma once

#include <cmath>
#include <cstdint>

#include "training/numerics/functions.hpp"

namespace trainyard::training {

/// 2^-100: a group whose largest magnitude is below this quantises to zeros.
inline constexpr uint32_t kQuantiseFloorBits = 0x0d800000;

struct Scale {
    float s = 0.0F;
    float inv = 0.0F;
};

/// `amax_bits` is the largest (bits & 7fffffff) of the group.
inline Scale scale_of(uint32_t amax_bits) {
    if (amax_bits < kQuantiseFloorBits) return {};
    const float a = as_float(amax_bits);
    return {a / 127.0F, 127.0F / a};
}

inline float clamp127(float t) {
    t = t > 127.0F ? 127.0F : t;
    return t < -127.0F ? -127.0F : t;
}

/// Precondition: x is finite and the mode rounds to nearest even.
inline int8_t quantise_nearest(float x, float inv) {
    return static_cast<int8_t>(std::lrint(clamp127(x * inv)));
}

/// `word` is the element's 16-bit rounding word.
inline int8_t quantise_stochastic(float x, float inv, uint32_t word) {
    const auto fixed = static_cast<int32_t>(std::lrint(clamp127(x * inv) * 65536.0F));
    return static_cast<int8_t>((fixed + static_cast<int32_t>(word)) >> 16);
}

}  // namespace trainyard::training
