// SPDX-License-Identifier: Apache-2.0
// The way of a warpgroup's sums to memory. In registers a lane holds two neighbours of each of
// eight rows; stored from there, every instruction would touch eight lines of memory. So each warp
// turns 16 rows x 64 columns at a time in shared memory and stores whole pieces of rows.
#pragma once

#include "cuda/fragments.cuh"
#include "cuda/product_tile.cuh"

namespace trainyard::cuda {

/// What one warp turns at a time.
struct Outlet {
    static constexpr uint32_t rows = 16, cols = 64, bytes = rows * cols * sizeof(int32_t);

    int32_t* sums;

    /// Groups of eight columns are exchanged by row, so that neither writes by fragments nor reads
    /// by rows meet in a bank.
    [[nodiscard]] __host__ __device__ static constexpr uint32_t place(uint32_t row, uint32_t col) {
        return row * cols + (col / 8 ^ row % 8) * 8 + col % 8;
    }
};

/// Sums [first, first + 32) of each lane, which are 64 columns of the warp's rows.
template <uint32_t kFirst>
__device__ __forceinline__ void put_sums(const Outlet& outlet, const int32_t (&acc)[128]) {
#pragma unroll
    for (uint32_t i = 0; i < Outlet::cols / 2; i += 2) {
        const Place at = warpgroup_sum(lane_id(), i);
        auto* const to = reinterpret_cast<int2*>(outlet.sums + Outlet::place(at.row, at.col));
        *to = {acc[kFirst + i], acc[kFirst + i + 1]};
    }
}

/// Where the warp's 16 rows x 64 columns lie in matrix z, and the scale of row `lane_id() % 16`.
struct Piece16 {
    uint32_t z, row, col;
    float row_scale;
};

/// True if four neighbours of a row are one store, with nothing to ask.
__device__ __forceinline__ bool is_plain(const Product& p, uint32_t z) {
    const ProductOut& out = p.out;
    const auto at = reinterpret_cast<uintptr_t>(out.c + out.spread.offset(z));
    const auto scales = reinterpret_cast<uintptr_t>(p.b.scale + size_t{z} * p.b.groups);
    return p.partial == nullptr && out.folded == nullptr && !out.turned && out.stride % 4 == 0 &&
           p.b.groups % 4 == 0 && at % sizeof(float4) == 0 && scales % sizeof(float4) == 0;
}

/// Two rows at a time, a half of the warp to each.
__device__ __forceinline__ void store_fours(const Product& p, const Piece16& at,
                                            const Outlet& outlet) {
    const uint32_t c = lane_id() % 16 * 4, half = lane_id() / 16;
    const bool has_columns = at.col + c < p.b.groups;
    const float* const scales = p.b.scale + size_t{at.z} * p.b.groups + at.col + c;
    const float4 of_columns = has_columns ? *reinterpret_cast<const float4*>(scales) : float4{};
    float* to = p.out.c + p.out.spread.offset(at.z) + (at.row + half) * p.out.stride + at.col + c;
#pragma unroll 4
    for (uint32_t r = 0; r < Outlet::rows; r += 2) {
        const uint32_t row = r + half;
        const float s = __shfl_sync(kAllLanes, at.row_scale, row);
        const int4 x = *reinterpret_cast<const int4*>(outlet.sums + Outlet::place(row, c));
        const float4 y = {dequantised(x.x, s, of_columns.x), dequantised(x.y, s, of_columns.y),
                          dequantised(x.z, s, of_columns.z), dequantised(x.w, s, of_columns.w)};
        if (has_columns && at.row + row < p.a.groups) *reinterpret_cast<float4*>(to) = y;
        to += 2 * p.out.stride;
    }
}

/// One row at a time, a lane to every 32nd element.
__device__ __forceinline__ void store_ones(const Product& p, const Piece16& at,
                                           const Outlet& outlet) {
    float of_columns[2];
#pragma unroll
    for (uint32_t h = 0; h < 2; ++h)
        of_columns[h] = column_scale(p, at.z, at.col + h * kWarp + lane_id());
#pragma unroll 4
    for (uint32_t row = 0; row < Outlet::rows; ++row) {
        const float s = __shfl_sync(kAllLanes, at.row_scale, row);
        if (at.row + row >= p.a.groups) continue;
#pragma unroll
        for (uint32_t h = 0; h < 2; ++h) {
            const uint32_t c = h * kWarp + lane_id();
            if (at.col + c >= p.b.groups) continue;
            const int32_t sum = outlet.sums[Outlet::place(row, c)];
            store_one(p, {at.z, at.row + row, s}, {at.col + c, of_columns[h]}, sum);
        }
    }
}

/// Stores the sums of a warp, 16 rows of its warpgroup's 64 of the tile. `outlets`: of all warps.
template <class W>
__device__ __forceinline__ void store_sums(const Product& p, const Tile& tile,
                                           const int32_t (&acc)[128], int8_t* outlets) {
    const uint32_t warp = threadIdx.x / kWarp;
    const Outlet outlet{reinterpret_cast<int32_t*>(outlets + warp * Outlet::bytes)};
    const uint32_t first = tile.row + warp * Outlet::rows;
    const float row_scale = row_of(p, tile.z, first + lane_id() % Outlet::rows).scale;
    const bool plain = is_plain(p, tile.z);
    const auto store = [&](uint32_t col) {
        __syncwarp();
        const Piece16 at{tile.z, first, tile.col + col, row_scale};
        if (plain)
            store_fours(p, at, outlet);
        else
            store_ones(p, at, outlet);
        __syncwarp();  // before the next sums come
    };
    put_sums<0>(outlet, acc);
    store(0);
    put_sums<32>(outlet, acc);
    store(64);
    put_sums<64>(outlet, acc);
    store(128);
    put_sums<96>(outlet, acc);
    store(192);
}

}  // namespace trainyard::cuda
