// SPDX-License-Identifier: Apache-2.0
// What all kernels of products share: which tile a block makes, and what becomes of its sums.
#pragma once

#include "cuda/products.cuh"
#include "cuda/reduce.cuh"

namespace trainyard::cuda {

struct Product {
    Operand a, b;
    ProductOut out;
    uint32_t tiles_m = 0, tiles_n = 0;
    /// Blocks that share a tile, each with its part of the contraction. If there is more than one,
    /// they add to `partial`, batch x rows of A x columns of B: integers may arrive in any order.
    uint32_t splits = 1;
    int32_t* partial = nullptr;
    uint32_t batch = 1;
    uint32_t* stuck = nullptr;     ///< raised by a kernel that waits in vain
    uint32_t* residues = nullptr;  ///< where sums are checked, if they are: checksums.cuh
};

/// The first row and column of a tile of matrix z, and its steps [first, last) of the contraction.
struct Tile {
    uint32_t row, col, first, last, z;
};

constexpr uint32_t kTileRowsTogether = 8;

/// Blocks that run together share operands: they go down eight tiles, then one to the right.
template <class S>
__device__ __forceinline__ Tile tile_of(const Product& p, uint32_t number, uint32_t split,
                                        uint32_t z) {
    const uint32_t per_group = kTileRowsTogether * p.tiles_n;
    const uint32_t first = number / per_group * kTileRowsTogether;
    const uint32_t left = p.tiles_m - first;
    const uint32_t rows = left < kTileRowsTogether ? left : kTileRowsTogether;
    const uint32_t at = number % per_group;
    const uint32_t steps = (p.a.k + S::step - 1) / S::step;
    const uint32_t part = (steps + p.splits - 1) / p.splits, begin = split * part;
    return {(first + at % rows) * S::bm, at / rows * S::bn, begin,
            begin + part < steps ? begin + part : steps, z};
}

/// The tile of a grid of tiles x splits x batch blocks.
template <class S>
__device__ __forceinline__ Tile tile_of_block(const Product& p) {
    return tile_of<S>(p, blockIdx.x, blockIdx.y, blockIdx.z);
}

/// training::fold.
__device__ __forceinline__ int8_t fold_of(int32_t sum) {
    const int value = static_cast<int>(static_cast<uint32_t>(sum) * 0x9E3779B1U >> 24) - 128;
    return static_cast<int8_t>(value < -127 ? -127 : value);
}

/// A column that is even and the next, of which `count` exist, and their scales.
struct Columns {
    uint32_t first, count;
    float scale[2];
};
__device__ __forceinline__ Columns columns_of(const Product& p, uint32_t z, uint32_t first) {
    Columns out = {first, first < p.b.groups ? p.b.groups - first : 0, {0.0F, 0.0F}};
    if (p.out.folded != nullptr) return out;
    const float* const scale = p.b.scale + size_t{z} * p.b.groups + first;
    if (out.count > 0) out.scale[0] = scale[0];
    if (out.count > 1) out.scale[1] = scale[1];
    return out;
}

/// A row of matrix z and its scale.
struct Row {
    uint32_t z, at;
    float scale;
};
__device__ __forceinline__ Row row_of(const Product& p, uint32_t z, uint32_t at) {
    const bool has_scale = p.out.folded == nullptr && at < p.a.groups;
    return {z, at, has_scale ? p.a.scale[size_t{z} * p.a.groups + at] : 0.0F};
}

/// A sum as a float.
__device__ __forceinline__ float dequantised(int32_t sum, float of_row, float of_column) {
    return mul(mul(__int2float_rn(sum), of_row), of_column);
}

/// Dequantises and stores the complete sums of a row and two columns.
__device__ __forceinline__ void finish_pair(const Product& p, const Row& row, const Columns& cols,
                                            const int32_t* sums) {
    if (p.out.folded != nullptr) {
        int8_t* const to = p.out.folded + row.at * p.out.stride + cols.first;
        to[0] = fold_of(sums[0]);
        if (cols.count > 1) to[1] = fold_of(sums[1]);
        return;
    }
    float* const c = p.out.c + p.out.spread.offset(row.z);
    const float x = dequantised(sums[0], row.scale, cols.scale[0]);
    const float y = dequantised(sums[1], row.scale, cols.scale[1]);
    if (p.out.turned) {
        c[cols.first * p.out.stride + row.at] = x;
        if (cols.count > 1) c[(cols.first + 1) * p.out.stride + row.at] = y;
        return;
    }
    float* const to = c + row.at * p.out.stride + cols.first;
    if (cols.count > 1 && reinterpret_cast<uintptr_t>(to) % sizeof(float2) == 0) {
        *reinterpret_cast<float2*>(to) = {x, y};
        return;
    }
    to[0] = x;
    if (cols.count > 1) to[1] = y;
}

__device__ __forceinline__ int32_t* partial_at(const Product& p, const Row& row, uint32_t col) {
    return p.partial + (size_t{row.z} * p.a.groups + row.at) * p.b.groups + col;
}

/// The same at the end of a block's part of the contraction.
__device__ __forceinline__ void store_pair(const Product& p, const Row& row, const Columns& cols,
                                           const int32_t* sums) {
    if (row.at >= p.a.groups || cols.count == 0) return;
    if (p.partial == nullptr) return finish_pair(p, row, cols, sums);
    int32_t* const to = partial_at(p, row, cols.first);
    atomicAdd(to, sums[0]);
    if (cols.count > 1) atomicAdd(to + 1, sums[1]);
}

}  // namespace trainyard::cuda
