// SPDX-License-Identifier: Apache-2.0
// Whether the sums of a product are what its operands give. The sum of a row of A B is that row of
// A times the sums of the rows of B, exactly, modulo 2^32: a kernel of products adds the sums that
// it has in registers, row by row, to words from which what they must add up to was taken before.
// So all of these words are zero again unless a product was wrong, whatever the number of products.
// Source: Huang and Abraham, "Algorithm-based fault tolerance for matrix operations", 1984.
#pragma once

#include "cuda/product_tile.cuh"

namespace trainyard::cuda {

/// Of a kernel of products: one that checks nothing has none of the code.
enum class Checks : uint8_t { none, sums };

/// The word of a row of matrix z. Rows share words: errors would have to cancel each other.
__device__ __forceinline__ uint32_t* residue_of(const Product& p, uint32_t z, uint32_t row) {
    return p.residues + (z * p.a.groups + row) % kResidues;
}

/// Adds what four neighbouring lanes have of a row; all lanes of the warp call it.
__device__ __forceinline__ void add_to_residue(const Product& p, uint32_t z, uint32_t row,
                                               uint32_t sum) {
    for (uint32_t s = 1; s < 4; s *= 2) sum += __shfl_xor_sync(kAllLanes, sum, s);
    if (lane_id() % 4 == 0 && row < p.a.groups) atomicAdd(residue_of(p, z, row), sum);
}

/// Adds the sums of a warp of a warpgroup, 16 rows of the tile: see `warpgroup_sum`. What lies
/// behind the last row or column may be anything and counts for nothing.
template <int kSums>
__device__ __forceinline__ void check_sums(const Product& p, const Tile& tile,
                                           const int32_t (&acc)[kSums]) {
    const uint32_t left = tile.col < p.b.groups ? p.b.groups - tile.col : 0;
    uint32_t low = 0, high = 0;
#pragma unroll
    for (uint32_t i = 0; i < kSums; ++i) {
        const uint32_t col = i / 4 * 8 + lane_id() % 4 * 2 + i % 2;
        const uint32_t sum = col < left ? static_cast<uint32_t>(acc[i]) : 0;
        (i / 2 % 2 == 0 ? low : high) += sum;
    }
    const uint32_t row = tile.row + threadIdx.x / kWarp * 16 + lane_id() / 4;
    add_to_residue(p, tile.z, row, low);
    add_to_residue(p, tile.z, row + 8, high);
}

/// Takes from p.residues what the rows of the product must add up to. Takes scratch memory.
void foresee_sums(Context& on, const Product& p);

/// Raises the flags where a product since the last call was wrong.
void settle_sums(Context& on);

}  // namespace trainyard::cuda
