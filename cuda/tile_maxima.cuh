// SPDX-License-Identifier: Apache-2.0
// Largest magnitudes of rows and columns, tile by tile: docs/spec/numerics.md, section 5.
#pragma once

#include "cuda/launches.cuh"
#include "cuda/products.cuh"
#include "cuda/shared_memory.cuh"

namespace trainyard::cuda {

/// Blocks take tiles of 128 rows x 64 columns: their bytes fill whole lines of both operands.
inline constexpr uint32_t kTileCols = 64;
inline constexpr uint32_t kTileRows = 128;

/// What a load of 16 bytes brings.
inline constexpr uint32_t kFloatsAtOnce = sizeof(float4) / sizeof(float);

/// Rows of a tile that one thread looks at.
inline constexpr uint32_t kPartRows = 8;

/// The running thread's part of a tile: four columns of eight rows, neighbours for one load of 16
/// bytes; where rows begin anywhere, such that neighbouring lanes load neighbours.
template <bool kAligned>
struct TilePart {
    static constexpr uint32_t rows = kPartRows, lanes = kTileCols / kFloatsAtOnce;

    uint32_t first_row, lane;

    __device__ __forceinline__ TilePart()
        : first_row(blockIdx.y * kTileRows + threadIdx.x / lanes * rows),
          lane(threadIdx.x % lanes) {}
    [[nodiscard]] __device__ __forceinline__ uint32_t row(uint32_t i) const {
        return first_row + i;
    }
    /// Of its j-th column in the tile.
    [[nodiscard]] __device__ __forceinline__ uint32_t col(uint32_t j) const {
        return kAligned ? lane * kFloatsAtOnce + j : lane + j * lanes;
    }
};

/// Of a part, as bits.
struct PartMaxima {
    uint32_t of_col[kFloatsAtOnce] = {}, of_row[kPartRows] = {};

    __device__ __forceinline__ void take(uint32_t i, const float4& x) {
        const uint32_t m[] = {magnitude(x.x), magnitude(x.y), magnitude(x.z), magnitude(x.w)};
#pragma unroll
        for (uint32_t j = 0; j < kFloatsAtOnce; ++j) {
            of_col[j] = larger(of_col[j], m[j]);
            of_row[i] = larger(of_row[i], m[j]);
        }
    }
};

/// Eight numbers of each of sixteen lanes: lane l gets the largest of number l mod 8. After each of
/// three exchanges a lane has half of them.
__device__ __forceinline__ uint32_t largest_of_eight(uint32_t (&x)[8], uint32_t lane) {
#pragma unroll
    for (uint32_t n = 4; n > 0; n /= 2)
#pragma unroll
        for (uint32_t k = 0; k < n; ++k) {
            const bool takes_upper = (lane & n) != 0;
            const uint32_t given = takes_upper ? x[k] : x[k + n];
            x[k] = larger(takes_upper ? x[k + n] : x[k], __shfl_xor_sync(kAllLanes, given, n));
        }
    return larger(x[0], __shfl_xor_sync(kAllLanes, x[0], 8));
}

struct ColumnMaxima {
    uint32_t of[kWarpsPerBlock][kTileCols];
};

/// Joins the parts of a tile of matrix z: each of its columns and rows is compared in memory once.
template <bool kRows, class Part>
__device__ __forceinline__ void join_maxima(PartMaxima& part, const Part& at, uint32_t rows,
                                            uint32_t cols, uint32_t z, const Maxima& out) {
    ColumnMaxima& columns = *shared_memory<ColumnMaxima>();
    uint32_t* const of_warp = columns.of[threadIdx.x / kWarp];
#pragma unroll
    for (uint32_t j = 0; j < kFloatsAtOnce; ++j) {
        const uint32_t other = __shfl_xor_sync(kAllLanes, part.of_col[j], Part::lanes);
        if (lane_id() < Part::lanes) of_warp[at.col(j)] = larger(part.of_col[j], other);
    }
    if constexpr (kRows) {
        const uint32_t most = largest_of_eight(part.of_row, at.lane), row = at.row(at.lane);
        if (at.lane < Part::rows && row < rows) atomicMax(out.rows + size_t{z} * rows + row, most);
    }
    __syncthreads();
    const uint32_t col = blockIdx.x * kTileCols + threadIdx.x;
    if (threadIdx.x >= kTileCols || col >= cols) return;
    uint32_t most = 0;
#pragma unroll
    for (uint32_t w = 0; w < kWarpsPerBlock; ++w) most = larger(most, columns.of[w][threadIdx.x]);
    atomicMax(out.cols + size_t{z} * cols + col, most);
}

}  // namespace trainyard::cuda
