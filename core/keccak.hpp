// SPDX-License-Identifier: Apache-2.0
// What the one-message and the many-message form of Keccak-256 share; private to core.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace trainyard::keccak {

inline constexpr size_t kRate = 136;  ///< bytes absorbed per permutation at 256 bits of output

inline constexpr std::array<uint64_t, 24> kRoundConstants{
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

}  // namespace trainyard::keccak
