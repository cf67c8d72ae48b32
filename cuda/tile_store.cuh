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

/// How sums leave.
enum class Way : uint8_t {
    fours,   ///< four neighbours of a row are one store
    ones,    ///< each by itself: rows begin anywhere
    added,   ///< to sums that blocks share
    folded,  ///< or turned: what finish_pair knows
};
__device__ __forceinline__ Way way_of(const Product& p, uint32_t z) {
    const ProductOut& out = p.out;
    if (p.partial != nullptr) return Way::added;
    if (out.folded != nullptr || out.turned) return Way::folded;
    const auto at = reinterpret_cast<uintptr_t>(out.c + out.spread.offset(z));
    const auto scales = reinterpret_cast<uintptr_t>(p.b.scale + size_t{z} * p.b.groups);
    const bool is_whole = out.stride % 4 == 0 && p.b.groups % 4 == 0;
    return is_whole && (at | scales) % sizeof(float4) == 0 ? Way::fours : Way::ones;
}

/// Rows that are read from the outlet before the first of them is stored.
constexpr uint32_t kRowsAtOnce = 4;

/// Two rows at a time, a half of the warp to each.
__device__ __forceinline__ void store_fours(const Product& p, const Piece16& at,
                                            const Outlet& outlet) {
    const uint32_t c = lane_id() % 16 * 4, half = lane_id() / 16;
    const uint32_t left = at.col + c < p.b.groups && at.row < p.a.groups ? p.a.groups - at.row : 0;
    const float* const scales = p.b.scale + size_t{at.z} * p.b.groups + at.col + c;
    const float4 of_columns = left > 0 ? *reinterpret_cast<const float4*>(scales) : float4{};
    float* to = p.out.c + p.out.spread.offset(at.z) + (at.row + half) * p.out.stride + at.col + c;
#pragma unroll
    for (uint32_t turn = 0; turn < Outlet::rows; turn += 2 * kRowsAtOnce) {
        int4 sums[kRowsAtOnce];
#pragma unroll
        for (uint32_t k = 0; k < kRowsAtOnce; ++k) {
            const uint32_t row = turn + 2 * k + half;
            sums[k] = *reinterpret_cast<const int4*>(outlet.sums + Outlet::place(row, c));
        }
#pragma unroll
        for (uint32_t k = 0; k < kRowsAtOnce; ++k) {
            const uint32_t row = turn + 2 * k + half;
            const float s = __shfl_sync(kAllLanes, at.row_scale, row);
            const int4 x = sums[k];
            const float4 y = {dequantised(x.x, s, of_columns.x), dequantised(x.y, s, of_columns.y),
                              dequantised(x.z, s, of_columns.z), dequantised(x.w, s, of_columns.w)};
            if (row < left) *reinterpret_cast<float4*>(to) = y;
            to += 2 * p.out.stride;
        }
    }
}

/// One row at a time, a lane to every 32nd element.
template <bool kAdds>
__device__ __forceinline__ void store_ones(const Product& p, const Piece16& at,
                                           const Outlet& outlet) {
    const uint32_t left = at.row < p.a.groups ? p.a.groups - at.row : 0;
    const uint32_t col = at.col + lane_id();
    const bool has[2] = {col < p.b.groups, col + kWarp < p.b.groups};
    const float of_columns[2] = {kAdds ? 0.0F : column_scale(p, at.z, col),
                                 kAdds ? 0.0F : column_scale(p, at.z, col + kWarp)};
    const size_t stride = kAdds ? p.b.groups : p.out.stride;
    const size_t matrix = kAdds ? size_t{at.z} * p.a.groups * stride : p.out.spread.offset(at.z);
    size_t to = matrix + at.row * stride + col;
#pragma unroll
    for (uint32_t first = 0; first < Outlet::rows; first += kRowsAtOnce) {
        int32_t sums[kRowsAtOnce][2];
#pragma unroll
        for (uint32_t k = 0; k < 2 * kRowsAtOnce; ++k)
            sums[k / 2][k % 2] =
                outlet.sums[Outlet::place(first + k / 2, k % 2 * kWarp + lane_id())];
#pragma unroll
        for (uint32_t k = 0; k < kRowsAtOnce; ++k) {
            const float s = __shfl_sync(kAllLanes, at.row_scale, first + k);
#pragma unroll
            for (uint32_t h = 0; h < 2; ++h) {
                if (first + k >= left || !has[h]) continue;
                if constexpr (kAdds)
                    atomicAdd(p.partial + to + h * kWarp, sums[k][h]);
                else
                    p.out.c[to + h * kWarp] = dequantised(sums[k][h], s, of_columns[h]);
            }
            to += stride;
        }
    }
}

/// The same for what is no plain matrix of floats.
__device__ __forceinline__ void finish_ones(const Product& p, const Piece16& at,
                                            const Outlet& outlet) {
#pragma unroll 1
    for (uint32_t row = 0; row < Outlet::rows; ++row) {
        const float s = __shfl_sync(kAllLanes, at.row_scale, row);
        if (at.row + row >= p.a.groups) continue;
#pragma unroll 1
        for (uint32_t c = lane_id(); c < Outlet::cols; c += kWarp) {
            if (at.col + c >= p.b.groups) continue;
            const int32_t sums[2] = {outlet.sums[Outlet::place(row, c)], 0};
            const float of_column = column_scale(p, at.z, at.col + c);
            finish_pair(p, {at.z, at.row + row, s}, {at.col + c, 1, {of_column, 0.0F}}, sums);
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
    const Way way = way_of(p, tile.z);
    const auto store = [&](uint32_t col) {
        __syncwarp();
        const Piece16 at{tile.z, first, tile.col + col, row_scale};
        if (way == Way::fours)
            store_fours(p, at, outlet);
        else if (way == Way::ones)
            store_ones<false>(p, at, outlet);
        else if (way == Way::added)
            store_ones<true>(p, at, outlet);
        else
            finish_ones(p, at, outlet);
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
