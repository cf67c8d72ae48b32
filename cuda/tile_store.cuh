// SPDX-License-Identifier: Apache-2.0
// The way of a warpgroup's sums to memory. In registers a lane holds two neighbours of each of
// eight rows, so that plain stores would touch many lines for few bytes: where four neighbours of a
// row are one store, lanes exchange pairs; else each warp turns 16 rows x 64 columns at a time in
// shared memory and stores whole pieces of rows.
#pragma once

#include "cuda/fragments.cuh"
#include "cuda/product_tile.cuh"

namespace trainyard::cuda {

/// The scales of the 128 rows and 256 columns of a tile; zeros where there are none.
struct TileScales {
    static constexpr uint32_t rows = 128, cols = 256, count = rows + cols;

    alignas(16) float all[count];

    [[nodiscard]] __device__ __forceinline__ float row(uint32_t i) const { return all[i]; }
    [[nodiscard]] __device__ __forceinline__ float col(uint32_t i) const { return all[rows + i]; }
    [[nodiscard]] __device__ __forceinline__ float4 four_cols(uint32_t first) const {
        return *reinterpret_cast<const float4*>(all + rows + first);
    }
};
/// Scale `i` of TileScales.
__device__ __forceinline__ float scale_of_tile(const Product& p, const Tile& tile, uint32_t i) {
    if (p.out.folded != nullptr) return 0.0F;
    const bool is_row = i < TileScales::rows;
    const Operand& x = is_row ? p.a : p.b;
    const uint32_t at = is_row ? tile.row + i : tile.col + i - TileScales::rows;
    return at < x.groups ? x.scale[size_t{tile.z} * x.groups + at] : 0.0F;
}

/// How sums leave.
enum class Way : uint8_t {
    fours,   ///< four neighbours of a row are one store
    ones,    ///< each by itself: rows begin anywhere
    added,   ///< to sums that blocks share
    folded,  ///< or turned: what finish_pair knows
};
/// Whether four neighbours of a row can be one store in all matrices of floats.
__host__ __device__ inline bool leave_in_fours(const Product& p) {
    const ProductOut& out = p.out;
    const size_t begin = reinterpret_cast<uintptr_t>(out.c) / sizeof(float);
    return (begin | out.spread.per_sequence | out.spread.per_head | out.stride | p.b.groups) % 4 ==
           0;
}
__device__ __forceinline__ Way way_of(const Product& p) {
    if (p.partial != nullptr) return Way::added;
    if (p.out.folded != nullptr || p.out.turned) return Way::folded;
    return leave_in_fours(p) ? Way::fours : Way::ones;
}

/// Where the first of a lane's four columns lies among 16, after it has exchanged pairs with its
/// neighbour: even lanes then have the first eight columns, odd ones the others.
__host__ __device__ constexpr uint32_t exchanged_column(uint32_t lane) {
    return lane % 2 * 8 + lane % 4 / 2 * 4;
}
/// Of the lane's pairs of two neighbouring tiles of eight columns it keeps one and gets its
/// neighbour's of the same tile: four sums in order.
__device__ __forceinline__ int4 exchange_pairs(const int32_t* left, const int32_t* right) {
    const bool is_odd = lane_id() % 2 != 0;
    const int32_t x = __shfl_xor_sync(kAllLanes, is_odd ? left[0] : right[0], 1);
    const int32_t y = __shfl_xor_sync(kAllLanes, is_odd ? left[1] : right[1], 1);
    return is_odd ? int4{x, y, right[0], right[1]} : int4{left[0], left[1], x, y};
}

__device__ __forceinline__ float4 dequantised(const int4& sums, float of_row,
                                              const float4& of_columns) {
    return {dequantised(sums.x, of_row, of_columns.x), dequantised(sums.y, of_row, of_columns.y),
            dequantised(sums.z, of_row, of_columns.z), dequantised(sums.w, of_row, of_columns.w)};
}

/// Where a lane's first four of a tile go, and what is left of rows and columns from there on.
struct FoursPlace {
    float* at = nullptr;
    uint32_t rows = 0, cols = 0;

    [[nodiscard]] __device__ __forceinline__ static uint32_t row_of_lane() {
        return threadIdx.x / kWarp * 16 + lane_id() / 4;
    }
    FoursPlace() = default;
    __device__ __forceinline__ FoursPlace(const Product& p, const Tile& tile) {
        const uint32_t row = tile.row + row_of_lane(), col = tile.col + exchanged_column(lane_id());
        at = p.out.c + p.out.spread.offset(tile.z) + row * p.out.stride + col;
        rows = row < p.a.groups ? p.a.groups - row : 0;
        cols = col < p.b.groups ? p.b.groups - col : 0;
    }
};

/// Sums [kFirst, kLast) of each lane: eight rows at a time, 16 columns of each.
template <uint32_t kFirst, uint32_t kLast, int kSums>
__device__ __forceinline__ void store_fours(const Product& p, const FoursPlace& to,
                                            const int32_t (&acc)[kSums], const TileScales& scales) {
    const uint32_t row = FoursPlace::row_of_lane(), col = exchanged_column(lane_id());
    const float low_scale = scales.row(row), high_scale = scales.row(row + 8);
    float* const high = to.at + 8 * p.out.stride;
#pragma unroll
    for (uint32_t i = kFirst; i < kLast; i += 8) {
        const uint32_t c = i * 2;
        const float4 of_columns = scales.four_cols(col + c);
        const float4 x = dequantised(exchange_pairs(acc + i, acc + i + 4), low_scale, of_columns);
        const float4 y =
            dequantised(exchange_pairs(acc + i + 2, acc + i + 6), high_scale, of_columns);
        const bool has_cols = c < to.cols;
        if (has_cols && to.rows > 0) *reinterpret_cast<float4*>(to.at + c) = x;
        if (has_cols && to.rows > 8) *reinterpret_cast<float4*>(high + c) = y;
    }
}

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

/// The warp's 16 rows x 64 columns in matrix z, and what belongs to its first row and column.
struct Piece16 {
    uint32_t z, row, col;
    uint32_t first_row, first_col;  ///< of the tile's
};

/// Rows that are read from the outlet before the first of them is stored.
constexpr uint32_t kRowsAtOnce = 4;

/// One row at a time, a lane to every 32nd element.
template <bool kAdds>
__device__ __forceinline__ void store_ones(const Product& p, const Piece16& at,
                                           const Outlet& outlet, const TileScales& scales) {
    const uint32_t left = at.row < p.a.groups ? p.a.groups - at.row : 0;
    const uint32_t col = at.col + lane_id();
    const bool has[2] = {col < p.b.groups, col + kWarp < p.b.groups};
    const float of_columns[2] = {scales.col(at.first_col + lane_id()),
                                 scales.col(at.first_col + lane_id() + kWarp)};
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
            const float s = scales.row(at.first_row + first + k);
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
                                            const Outlet& outlet, const TileScales& scales) {
#pragma unroll 1
    for (uint32_t i = lane_id(); i < Outlet::rows * Outlet::cols; i += kWarp) {
        const uint32_t row = i / Outlet::cols, col = i % Outlet::cols;
        if (at.row + row >= p.a.groups || at.col + col >= p.b.groups) continue;
        const int32_t sums[2] = {outlet.sums[Outlet::place(row, col)], 0};
        finish_pair(p, {at.z, at.row + row, scales.row(at.first_row + row)},
                    {at.col + col, 1, {scales.col(at.first_col + col), 0.0F}}, sums);
    }
}

/// What a warp turns: sums [kFirst, kFirst + 32) of each lane, 64 columns of the tile.
template <uint32_t kFirst>
struct TurnedSums {
    Outlet outlet;
    Piece16 at;

    /// `outlets`: of all warps.
    __device__ __forceinline__ TurnedSums(const Tile& tile, const int32_t (&acc)[128],
                                          int8_t* outlets)
        : outlet{reinterpret_cast<int32_t*>(outlets + threadIdx.x / kWarp * Outlet::bytes)} {
        const uint32_t row = threadIdx.x / kWarp * Outlet::rows, col = kFirst * 2;
        at = {tile.z, tile.row + row, tile.col + col, row, col};
        put_sums<kFirst>(outlet, acc);
        __syncwarp();
    }
    __device__ __forceinline__ ~TurnedSums() { __syncwarp(); }  // before the next sums come
};

template <uint32_t kFirst>
__device__ __forceinline__ void store_turned(const Product& p, const Tile& tile, Way way,
                                             const int32_t (&acc)[128], int8_t* outlets,
                                             const TileScales& scales) {
    const TurnedSums<kFirst> sums(tile, acc, outlets);
    if (way == Way::ones)
        store_ones<false>(p, sums.at, sums.outlet, scales);
    else if (way == Way::added)
        store_ones<true>(p, sums.at, sums.outlet, scales);
    else
        finish_ones(p, sums.at, sums.outlet, scales);
}

/// Stores the sums of a warp, 16 rows of the tile.
__device__ __forceinline__ void store_sums(const Product& p, const Tile& tile,
                                           const int32_t (&acc)[128], int8_t* outlets,
                                           const TileScales& scales) {
    const Way way = way_of(p);
    if (way == Way::fours) return store_fours<0, 128>(p, FoursPlace(p, tile), acc, scales);
    store_turned<0>(p, tile, way, acc, outlets, scales);
    store_turned<32>(p, tile, way, acc, outlets, scales);
    store_turned<64>(p, tile, way, acc, outlets, scales);
    store_turned<96>(p, tile, way, acc, outlets, scales);
}

}  // namespace trainyard::cuda
