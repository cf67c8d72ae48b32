// SPDX-License-Identifier: Apache-2.0
// Quantises operands by row, by column or both: docs/spec/numerics.md, section 5.
#include "cuda/fragments.cuh"
#include "cuda/products.cuh"
#include "cuda/reduce.cuh"

namespace trainyard::cuda {

namespace {

constexpr uint32_t kWarpsPerBlock = 8;
constexpr uint32_t kThreads = kWarpsPerBlock * kWarp;

__device__ __forceinline__ uint32_t pack4(const int* q) {
    return (static_cast<uint32_t>(q[0]) & 0xffU) | (static_cast<uint32_t>(q[1]) & 0xffU) << 8 |
           (static_cast<uint32_t>(q[2]) & 0xffU) << 16 |
           (static_cast<uint32_t>(q[3]) & 0xffU) << 24;
}

__device__ __forceinline__ int quantise_one(float x, float inv, const Words& words,
                                            WordStream& stream, size_t offset) {
    return words.stochastic ? quantise_stochastic(x, inv, stream.at(offset))
                            : quantise_nearest(x, inv);
}

/// Eight bytes of a group's row, from a multiple of eight on.
__device__ __forceinline__ void store_eight(const Operand& to, uint32_t z, uint32_t group,
                                            uint32_t byte, const int* q) {
    auto* const words = reinterpret_cast<uint32_t*>(to.q + to.at(z, group, byte));
    words[0] = pack4(q);
    words[1] = pack4(q + 4);
}

struct Eight {
    float x[8];
};
/// The first `left` of eight values; the others are undefined. Two wide loads where they can be.
__device__ __forceinline__ Eight load_eight(const float* from, uint32_t left) {
    Eight out;
    if (left >= 8 && reinterpret_cast<uintptr_t>(from) % sizeof(float4) == 0) {
        const float4 low = *reinterpret_cast<const float4*>(from);
        const float4 high = *reinterpret_cast<const float4*>(from + 4);
        return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
    }
#pragma unroll
    for (uint32_t j = 0; j < 8; ++j) out.x[j] = j < left ? from[j] : 0.0F;
    return out;
}

/// One warp per row: the largest magnitude, then eight bytes per lane and turn.
__global__ void quantise_rows_kernel(Source x, Words words, Operand out, uint32_t* flag) {
    const uint32_t row = blockIdx.x * kWarpsPerBlock + threadIdx.x / kWarp, z = blockIdx.z;
    if (row >= x.rows) return;
    const size_t begin = x.spread.offset(z) + row * x.stride;
    uint32_t amax = 0;
    for (size_t c = lane_id(); c < x.cols; c += kWarp) {
        const uint32_t m = magnitude(x.data[begin + c]);
        amax = m > amax ? m : amax;
    }
    amax = warp_max(amax);
    const Scale scale = scale_of(amax);
    const size_t group = size_t{z} * out.groups + row;
    if (lane_id() == 0) {
        out.scale[group] = scale.s;
        flag_nonfinite(amax, flag);
    }
    WordStream stream(words);
    for (uint32_t c0 = lane_id() * 8; c0 < out.k; c0 += kWarp * 8) {
        const Eight values = load_eight(x.data + begin + c0, x.cols > c0 ? x.cols - c0 : 0);
        int q[8];
#pragma unroll
        for (uint32_t j = 0; j < 8; ++j)
            q[j] = c0 + j < x.cols
                       ? quantise_one(values.x[j], scale.inv, words, stream, begin + c0 + j)
                       : 0;
        store_eight(out, z, row, c0, q);
    }
}

constexpr uint32_t kTileCols = 32;
constexpr uint32_t kTileRows = 64;
constexpr uint32_t kRowsPerMaximum = 4 * kTileRows;

/// Largest magnitudes, batch x rows and batch x cols, that start at zero; `rows` may be nullptr.
struct Maxima {
    uint32_t* rows;
    uint32_t* cols;
};

/// One block per 32 columns and 256 rows; a thread reads eight neighbours of a row at a time.
__global__ void maxima_kernel(Source x, Maxima out) {
    const uint32_t col = blockIdx.x * kTileCols + threadIdx.x % 4 * 8, z = blockIdx.z;
    uint32_t most[8] = {};
#pragma unroll
    for (uint32_t i = 0; i < kRowsPerMaximum; i += kTileRows) {
        const uint32_t row = blockIdx.y * kRowsPerMaximum + i + threadIdx.x / 4;
        const uint32_t left = row < x.rows && col < x.cols ? x.cols - col : 0;
        const Eight values = load_eight(x.data + x.spread.offset(z) + row * x.stride + col, left);
        uint32_t of_row = 0;
#pragma unroll
        for (uint32_t j = 0; j < 8; ++j) {
            const uint32_t m = j < left ? magnitude(values.x[j]) : 0;
            most[j] = m > most[j] ? m : most[j];
            of_row = m > of_row ? m : of_row;
        }
        if (out.rows == nullptr) continue;
        of_row = quad_max(of_row);
        if (threadIdx.x % 4 == 0 && row < x.rows)
            atomicMax(out.rows + size_t{z} * x.rows + row, of_row);
    }
#pragma unroll
    for (uint32_t j = 0; j < 8; ++j) {
        for (uint32_t s = 4; s < kWarp; s *= 2) {
            const uint32_t other = __shfl_xor_sync(kAllLanes, most[j], s);
            most[j] = other > most[j] ? other : most[j];
        }
        if (lane_id() < 4 && col + j < x.cols)
            atomicMax(out.cols + size_t{z} * x.cols + col + j, most[j]);
    }
}

/// Where term r of a tile's rows lies.
__device__ __forceinline__ uint32_t place_of(uint32_t r, Layout layout) {
    return layout == Layout::paired ? r / 32 * 32 + paired_term(r % 32) : r;
}

struct ColumnTile {
    int8_t q[kTileCols][kTileRows + 4];
    float inv[kTileCols];
};

struct Tiles {
    Source x;
    Words words;
    Maxima amax;
    Operand rows;  ///< without bytes if only columns are wanted
    Operand cols;
    uint32_t* flag;
};

__device__ __forceinline__ void load_column_scales(ColumnTile& tile, const Tiles& a) {
    const uint32_t col = blockIdx.x * kTileCols + threadIdx.x;
    if (threadIdx.x >= kTileCols || col >= a.x.cols) return;
    const size_t group = size_t{blockIdx.z} * a.x.cols + col;
    const Scale scale = scale_of(a.amax.cols[group]);
    tile.inv[threadIdx.x] = scale.inv;
    if (blockIdx.y != 0) return;
    a.cols.scale[group] = scale.s;
    flag_nonfinite(a.amax.cols[group], a.flag);
}

/// The inverse scale of a row; 0 where only columns are wanted or the matrix has ended.
__device__ __forceinline__ float row_inverse(const Tiles& a, uint32_t row) {
    if (a.rows.q == nullptr || row >= a.x.rows) return 0.0F;
    const size_t group = size_t{blockIdx.z} * a.x.rows + row;
    const Scale scale = scale_of(a.amax.rows[group]);
    if (blockIdx.x == 0 && threadIdx.x % 4 == 0) {
        a.rows.scale[group] = scale.s;
        flag_nonfinite(a.amax.rows[group], a.flag);
    }
    return scale.inv;
}

__device__ __forceinline__ int quantise_with(float x, float inv, bool is_stochastic,
                                             uint32_t word) {
    return is_stochastic ? quantise_stochastic(x, inv, word) : quantise_nearest(x, inv);
}

/// One block per 64 rows x 32 columns, which it transposes: each thread quantises eight neighbours
/// of one row with the words of one Philox block, for its row and for their columns.
__global__ void quantise_tiles_kernel(Tiles a) {
    ColumnTile& tile = *shared_memory<ColumnTile>();
    const uint32_t first_col = blockIdx.x * kTileCols, first_row = blockIdx.y * kTileRows;
    load_column_scales(tile, a);
    __syncthreads();
    const uint32_t r = threadIdx.x / 4, c0 = threadIdx.x % 4 * 8, row = first_row + r;
    const size_t begin = a.x.spread.offset(blockIdx.z) + row * a.x.stride + first_col;
    WordStream stream(a.words);
    const uint32_t cols_left = a.x.cols > first_col + c0 ? a.x.cols - first_col - c0 : 0;
    const uint32_t left = row < a.x.rows ? cols_left : 0;
    const Eight values = load_eight(a.x.data + begin + c0, left);
    const float inv = row_inverse(a, row);
    int by_row[8];
#pragma unroll
    for (uint32_t j = 0; j < 8; ++j) {
        const uint32_t c = c0 + j;
        const bool inside = j < left, is_stochastic = a.words.stochastic;
        const uint32_t word = inside && is_stochastic ? stream.at(begin + c) : 0;
        by_row[j] = inside ? quantise_with(values.x[j], inv, is_stochastic, word) : 0;
        const int q = inside ? quantise_with(values.x[j], tile.inv[c], is_stochastic, word) : 0;
        tile.q[c][place_of(r, a.cols.layout)] = static_cast<int8_t>(q);
    }
    if (a.rows.q != nullptr && row < a.x.rows)
        store_eight(a.rows, blockIdx.z, row, first_col + c0, by_row);
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < kTileCols * kTileRows / 4; i += kThreads) {
        const uint32_t c = i / (kTileRows / 4), word = i % (kTileRows / 4);
        if (first_col + c >= a.x.cols) continue;
        const size_t at = a.cols.at(blockIdx.z, first_col + c, first_row + word * 4);
        *reinterpret_cast<uint32_t*>(a.cols.q + at) =
            reinterpret_cast<const uint32_t*>(tile.q[c])[word];
    }
}

/// The same tile for bytes that are quantised already, in paired order.
__global__ void transpose_kernel(Operand from, uint32_t cols, Operand out) {
    ColumnTile& tile = *shared_memory<ColumnTile>();
    const uint32_t first_col = blockIdx.x * kTileCols, first_row = blockIdx.y * kTileRows;
    for (uint32_t i = threadIdx.x; i < kTileCols * kTileRows; i += kThreads) {
        const uint32_t r = i / kTileCols, c = i % kTileCols;
        const bool inside = first_row + r < from.groups && first_col + c < cols;
        const size_t row = size_t{blockIdx.z} * from.groups + first_row + r;
        tile.q[c][place_of(r, Layout::paired)] =
            inside ? from.q[row * from.k + first_col + c] : int8_t{0};
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < kTileCols * kTileRows; i += kThreads) {
        const uint32_t c = i / kTileRows, r = i % kTileRows;
        if (first_col + c >= cols) continue;
        const size_t row = size_t{blockIdx.z} * out.groups + first_col + c;
        out.q[row * out.k + first_row + r] = tile.q[c][r];
    }
}

void quantise_tiles(Context& on, uint32_t batch, Tiles a) {
    const bool with_rows = a.rows.q != nullptr;
    const size_t cols = size_t{batch} * a.x.cols, rows = with_rows ? size_t{batch} * a.x.rows : 0;
    a.amax.cols = on.take<uint32_t>(cols + rows);
    a.amax.rows = with_rows ? a.amax.cols + cols : nullptr;
    a.flag = on.nonfinite_flag();
    if (!on.ok()) return;
    on.set_bytes(a.amax.cols, 0, (cols + rows) * sizeof(uint32_t));
    on.launch({dim3(blocks_for(a.x.cols, kTileCols), blocks_for(a.x.rows, kRowsPerMaximum), batch),
               kThreads},
              maxima_kernel, a.x, a.amax);
    // Rows are padded to whole steps of the contraction, so they may have one tile more.
    const uint32_t tiles = with_rows ? a.rows.k / kTileCols : blocks_for(a.x.cols, kTileCols);
    on.launch({dim3(tiles, a.cols.k / kTileRows, batch), kThreads, sizeof(ColumnTile)},
              quantise_tiles_kernel, a);
}

}  // namespace

Operand take_operand(Context& on, uint32_t batch, uint32_t groups, uint32_t k, Layout layout) {
    Operand out;
    out.groups = groups;
    out.k = padded_terms(k, layout);
    out.layout = layout;
    out.q = on.take<int8_t>(size_t{batch} * groups * out.k);
    out.scale = on.take<float>(size_t{batch} * groups);
    return out;
}

Operand quantise_rows(Context& on, uint32_t batch, const Source& x, const Words& words,
                      Layout layout) {
    const Operand out = take_operand(on, batch, x.rows, x.cols, layout);
    const dim3 grid(blocks_for(x.rows, kWarpsPerBlock), 1, batch);
    on.launch({grid, kThreads}, quantise_rows_kernel, x, words, out, on.nonfinite_flag());
    return out;
}

Operand quantise_cols(Context& on, uint32_t batch, const Source& x, Layout layout) {
    const Operand out = take_operand(on, batch, x.cols, x.rows, layout);
    quantise_tiles(on, batch, {x, {}, {}, {}, out, nullptr});
    return out;
}

BothWays quantise_both(Context& on, uint32_t batch, const Source& x, const Words& words,
                       BothLayouts layouts) {
    const BothWays out{take_operand(on, batch, x.rows, x.cols, layouts.rows),
                       take_operand(on, batch, x.cols, x.rows, layouts.cols)};
    quantise_both_into(on, batch, x, words, out);
    return out;
}

void quantise_both_into(Context& on, uint32_t batch, const Source& x, const Words& words,
                        const BothWays& out) {
    quantise_tiles(on, batch, {x, words, {}, out.rows, out.cols, nullptr});
}

Operand transpose_paired(Context& on, uint32_t batch, const Operand& rows, uint32_t cols) {
    Operand out;
    out.groups = cols;
    out.layout = Layout::paired;
    out.k = padded_terms(rows.groups, out.layout);
    out.q = on.take<int8_t>(size_t{batch} * cols * out.k);
    on.launch(
        {dim3(blocks_for(cols, kTileCols), out.k / kTileRows, batch), kThreads, sizeof(ColumnTile)},
        transpose_kernel, rows, cols, out);
    return out;
}

}  // namespace trainyard::cuda
