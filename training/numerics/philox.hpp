// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 and the 16-bit words of stochastic rounding: docs/spec/numerics.md, section 4.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace trainyard::training {

using PhiloxBlock = std::array<uint32_t, 4>;

/// Second key words of the uses of Philox; the first key word is the run's seed.
inline constexpr uint32_t kPhiloxRounding = 0x52A5;
inline constexpr uint32_t kPhiloxInit = 0x1A17;
inline constexpr uint32_t kPhiloxOrder = 0x0DE2;
inline constexpr uint32_t kPhiloxSample = 0x5A3B;
inline constexpr uint32_t kPhiloxNoise = 0x0153;

/// 1 / sqrt(8 * (2^32 - 1) / 12).
inline constexpr uint32_t kUnitNoiseBits = 0x379cc471;

/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11.
constexpr PhiloxBlock philox(PhiloxBlock x, uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = uint64_t{0xD2511F53U} * x[0];
        const uint64_t p1 = uint64_t{0xCD9E8D57U} * x[2];
        x = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<uint32_t>(p1),
             static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<uint32_t>(p0)};
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    return x;
}

/// The rounding word of element `idx` (below 2^35) of gradient `tensor` at `step`.
constexpr uint32_t rounding_word(uint64_t idx, uint32_t tensor, uint32_t step, uint32_t seed) {
    const PhiloxBlock word =
        philox({static_cast<uint32_t>(idx >> 3), tensor, step, 0}, seed, kPhiloxRounding);
    return (word[(idx >> 1) & 3] >> (16 * (idx & 1))) & 0xffffU;
}

/// The sum of eight uniform 16-bit words around zero, an integer; deviation 53509.9.
constexpr float centred_sum(const PhiloxBlock& words) {
    uint32_t sum = 0;
    for (const uint32_t w : words) sum += (w & 0xffffU) + (w >> 16);
    return static_cast<float>(static_cast<int32_t>(sum) - 262140);
}

/// Element `i` of noise `tensor`: nearly normal, of deviation 1.
constexpr float unit_noise(uint64_t i, uint32_t tensor, uint32_t step, uint32_t seed) {
    const PhiloxBlock words =
        philox({static_cast<uint32_t>(i), tensor, step, 0}, seed, kPhiloxNoise);
    return centred_sum(words) * std::bit_cast<float>(kUnitNoiseBits);
}

}  // namespace trainyard::training
