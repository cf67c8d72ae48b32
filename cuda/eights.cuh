// SPDX-License-Identifier: Apache-2.0
// Eight elements of a row that one thread quantises: as many as share a Philox block.
#pragma once

#include "cuda/floats.cuh"

namespace trainyard::cuda {

struct Eight {
    float x[8];
};

/// Their rounding words, two in each of four.
struct EightWords {
    uint32_t pair[4];

    [[nodiscard]] __device__ __forceinline__ uint32_t of(uint32_t i) const {
        return i % 2 != 0 ? pair[i / 2] >> 16 : pair[i / 2] & 0xffffU;
    }
};
/// Those of the elements from 8 * block on.
__device__ __forceinline__ PhiloxWords philox_block(const Words& words, uint64_t block) {
    return philox({static_cast<uint32_t>(block), words.tensor, words.step, 0}, words.seed,
                  training::kPhiloxRounding);
}

/// Their bytes.
struct alignas(8) EightBytes {
    uint32_t low, high;
};

}  // namespace trainyard::cuda
