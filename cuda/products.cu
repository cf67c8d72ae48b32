// SPDX-License-Identifier: Apache-2.0
// Quantises operands and multiplies them on the tensor cores; integer sums are exact in any order.
#include "cuda/products.cuh"

#include "cuda/reduce.cuh"
#include "cuda/tensor_core.cuh"

namespace trainyard::cuda {

namespace {

constexpr uint32_t kWarpsPerBlock = 8;
constexpr uint32_t kThreads = kWarpsPerBlock * kWarp;

__device__ __forceinline__ void flag_nonfinite(uint32_t amax, uint32_t* flag) {
    if (amax >= 0x7f800000U) atomicOr(flag, 1U);
}

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
    for (uint32_t c = lane_id(); c < x.cols; c += kWarp) {
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
    auto* const to = reinterpret_cast<uint32_t*>(out.q + group * out.k);
    for (uint32_t c0 = lane_id() * 8; c0 < out.k; c0 += kWarp * 8) {
        const Eight values = load_eight(x.data + begin + c0, x.cols > c0 ? x.cols - c0 : 0);
        int q[8];
#pragma unroll
        for (uint32_t j = 0; j < 8; ++j)
            q[j] = c0 + j < x.cols
                       ? quantise_one(values.x[j], scale.inv, words, stream, begin + c0 + j)
                       : 0;
        to[c0 / 4] = pack4(q);
        to[c0 / 4 + 1] = pack4(q + 4);
    }
}

constexpr uint32_t kTileCols = 32;
constexpr uint32_t kTileRows = 64;
constexpr uint32_t kRowsPerMaximum = 256;

/// One block per 32 columns and 256 rows; `amax` starts at zero and is batch x cols.
__global__ void column_maxima_kernel(Source x, uint32_t* amax) {
    const uint32_t col = blockIdx.x * kTileCols + lane_id(), z = blockIdx.z;
    const uint32_t first = blockIdx.y * kRowsPerMaximum + threadIdx.x / kWarp;
    if (col >= x.cols) return;
    const size_t begin = x.spread.offset(z) + col;
    uint32_t m = 0;
    for (uint32_t i = 0; i < kRowsPerMaximum; i += kWarpsPerBlock) {
        if (first + i >= x.rows) break;
        const uint32_t other = magnitude(x.data[begin + (first + i) * x.stride]);
        m = other > m ? other : m;
    }
    atomicMax(amax + size_t{z} * x.cols + col, m);
}

struct ColumnTile {
    int8_t q[kTileCols][kTileRows + 4];
    float inv[kTileCols];
};

__device__ __forceinline__ void load_column_scales(ColumnTile& tile, const Source& x,
                                                   const uint32_t* amax, const Operand& out,
                                                   uint32_t* flag) {
    const uint32_t col = blockIdx.x * kTileCols + threadIdx.x;
    if (threadIdx.x >= kTileCols || col >= x.cols) return;
    const size_t group = size_t{blockIdx.z} * x.cols + col;
    const Scale scale = scale_of(amax[group]);
    tile.inv[threadIdx.x] = scale.inv;
    if (blockIdx.y != 0) return;
    out.scale[group] = scale.s;
    flag_nonfinite(amax[group], flag);
}

/// Transposes 64 rows x 32 columns: each thread quantises eight neighbours of one row, so that
/// they share a Philox block, and then writes two words of 4 rows.
__global__ void quantise_cols_kernel(Source x, Words words, const uint32_t* amax, Operand out,
                                     uint32_t* flag) {
    ColumnTile& tile = *shared_memory<ColumnTile>();
    const uint32_t first_col = blockIdx.x * kTileCols, first_row = blockIdx.y * kTileRows;
    load_column_scales(tile, x, amax, out, flag);
    __syncthreads();
    const uint32_t r = threadIdx.x / 4, c0 = threadIdx.x % 4 * 8;
    const size_t begin = x.spread.offset(blockIdx.z) + (first_row + r) * x.stride + first_col;
    WordStream stream(words);
    const uint32_t cols_left = x.cols > first_col + c0 ? x.cols - first_col - c0 : 0;
    const uint32_t left = first_row + r < x.rows ? cols_left : 0;
    const Eight values = load_eight(x.data + begin + c0, left);
#pragma unroll
    for (uint32_t j = 0; j < 8; ++j) {
        const uint32_t c = c0 + j;
        const int q =
            j < left ? quantise_one(values.x[j], tile.inv[c], words, stream, begin + c) : 0;
        tile.q[c][r] = static_cast<int8_t>(q);
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < kTileCols * kTileRows / 4; i += kThreads) {
        const uint32_t c = i / (kTileRows / 4), word = i % (kTileRows / 4);
        if (first_col + c >= x.cols) continue;
        const size_t row = (size_t{blockIdx.z} * out.groups + first_col + c) * out.k;
        reinterpret_cast<uint32_t*>(out.q + row + first_row)[word] =
            reinterpret_cast<const uint32_t*>(tile.q[c])[word];
    }
}

/// The same tile for bytes that are quantised already.
__global__ void transpose_kernel(Operand from, uint32_t cols, Operand out) {
    ColumnTile& tile = *shared_memory<ColumnTile>();
    const uint32_t first_col = blockIdx.x * kTileCols, first_row = blockIdx.y * kTileRows;
    for (uint32_t i = threadIdx.x; i < kTileCols * kTileRows; i += kThreads) {
        const uint32_t r = i / kTileCols, c = i % kTileCols;
        const bool inside = first_row + r < from.groups && first_col + c < cols;
        const size_t row = size_t{blockIdx.z} * from.groups + first_row + r;
        tile.q[c][r] = inside ? from.q[row * from.k + first_col + c] : int8_t{0};
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < kTileCols * kTileRows; i += kThreads) {
        const uint32_t c = i / kTileRows, r = i % kTileRows;
        if (first_col + c >= cols) continue;
        const size_t row = size_t{blockIdx.z} * out.groups + first_col + c;
        out.q[row * out.k + first_row + r] = tile.q[c][r];
    }
}

struct Product {
    Operand a, b;
    ProductOut out;
    uint32_t tiles_n;
};

constexpr uint32_t kStages = 3;
constexpr uint32_t kLine =
    kContractionStep + 16;  ///< this stride puts a fragment's words in 32 banks

/// A block's tile of BM x BN and each warp's part of WM x WN in it.
template <uint32_t kBm, uint32_t kBn, uint32_t kWm, uint32_t kWn>
struct Shape {
    static constexpr uint32_t bm = kBm, bn = kBn, wm = kWm, wn = kWn;
    static constexpr uint32_t threads = bm / wm * (bn / wn) * kWarp;
    static constexpr uint32_t stage_bytes = (bm + bn) * kLine;
    static constexpr uint32_t mi = wm / 16, ni = wn / 8;
};

/// Starts the copy of `lines` rows of one operand for k in [k0, k0 + 64).
template <uint32_t kRows, uint32_t kThreadCount>
__device__ __forceinline__ void load_lines(int8_t* to, const int8_t* from, uint32_t rows_left,
                                           uint32_t k) {
    for (uint32_t i = threadIdx.x; i < kRows * 4; i += kThreadCount) {
        const uint32_t row = i / 4, part = i % 4 * 16;
        const bool inside = row < rows_left;
        copy16_async(to + row * kLine + part, inside ? from + size_t{row} * k + part : from,
                     inside);
    }
}

/// What one block works on: pointers to its first rows, and its range of k in steps.
struct Block {
    const int8_t* a;
    const int8_t* b;
    uint32_t row, col, first_step, last_step;
};

template <class S>
__device__ __forceinline__ Block block_of(const Product& p) {
    Block block;
    block.row = blockIdx.x / p.tiles_n * S::bm;
    block.col = blockIdx.x % p.tiles_n * S::bn;
    block.a = p.a.q + (size_t{blockIdx.z} * p.a.groups + block.row) * p.a.k;
    block.b = p.b.q + (size_t{blockIdx.z} * p.b.groups + block.col) * p.b.k;
    block.first_step = 0;
    block.last_step = p.a.k / kContractionStep;
    if (p.out.triangle == Triangle::from_row) block.first_step = block.row / kContractionStep;
    if (p.out.triangle == Triangle::up_to_row) {
        const uint32_t end = (block.row + S::bm + kContractionStep - 1) / kContractionStep;
        block.last_step = end < block.last_step ? end : block.last_step;
    }
    return block;
}

template <class S>
__device__ __forceinline__ void load_stage(int8_t* shared, const Product& p, const Block& block,
                                           uint32_t step) {
    if (step < block.last_step) {
        int8_t* const a = shared + step % kStages * S::stage_bytes;
        const size_t k0 = size_t{step} * kContractionStep;
        load_lines<S::bm, S::threads>(a, block.a + k0, p.a.groups - block.row, p.a.k);
        load_lines<S::bn, S::threads>(a + S::bm * kLine, block.b + k0, p.b.groups - block.col,
                                      p.b.k);
    }
    copy_commit();
}

__device__ __forceinline__ uint32_t word_at(const int8_t* line) {
    return *reinterpret_cast<const uint32_t*>(line);
}

/// Two steps of 32 along k for the warp's part of the tile.
template <class S>
__device__ __forceinline__ void multiply_stage(int32_t (&acc)[S::mi][S::ni][4],
                                               const int8_t* stage) {
    const uint32_t warp = threadIdx.x / kWarp, g = lane_id() / 4, t = lane_id() % 4 * 4;
    const int8_t* const a = stage + (warp / (S::bn / S::wn) * S::wm + g) * kLine + t;
    const int8_t* const b = stage + (S::bm + warp % (S::bn / S::wn) * S::wn + g) * kLine + t;
#pragma unroll
    for (uint32_t k = 0; k < kContractionStep; k += 32) {
        uint32_t left[S::mi][4], right[S::ni][2];
#pragma unroll
        for (uint32_t i = 0; i < S::mi; ++i) {
            const int8_t* const line = a + i * 16 * kLine + k;
            left[i][0] = word_at(line);
            left[i][1] = word_at(line + 8 * kLine);
            left[i][2] = word_at(line + 16);
            left[i][3] = word_at(line + 8 * kLine + 16);
        }
#pragma unroll
        for (uint32_t j = 0; j < S::ni; ++j) {
            right[j][0] = word_at(b + j * 8 * kLine + k);
            right[j][1] = word_at(b + j * 8 * kLine + k + 16);
        }
#pragma unroll
        for (uint32_t i = 0; i < S::mi; ++i)
#pragma unroll
            for (uint32_t j = 0; j < S::ni; ++j) mma_s8(acc[i][j], left[i], right[j]);
    }
}

/// training::fold.
__device__ __forceinline__ int8_t fold_of(int32_t sum) {
    const int value = static_cast<int>(static_cast<uint32_t>(sum) * 0x9E3779B1U >> 24) - 128;
    return static_cast<int8_t>(value < -127 ? -127 : value);
}

template <class S>
__device__ __forceinline__ void store_tile(const Product& p, const Block& block,
                                           const int32_t (&acc)[S::mi][S::ni][4]) {
    const uint32_t warp = threadIdx.x / kWarp, g = lane_id() / 4, t = lane_id() % 4 * 2;
    const uint32_t row0 = block.row + warp / (S::bn / S::wn) * S::wm + g;
    const uint32_t col0 = block.col + warp % (S::bn / S::wn) * S::wn + t;
    const float* const sa = p.a.scale + size_t{blockIdx.z} * p.a.groups;
    const float* const sb =
        p.b.scale != nullptr ? p.b.scale + size_t{blockIdx.z} * p.b.groups : nullptr;
    float* const c = p.out.c + p.out.spread.offset(blockIdx.z);
#pragma unroll
    for (uint32_t i = 0; i < S::mi; ++i)
#pragma unroll
        for (uint32_t j = 0; j < S::ni; ++j)
#pragma unroll
            for (uint32_t e = 0; e < 4; ++e) {
                const uint32_t row = row0 + i * 16 + e / 2 * 8, col = col0 + j * 8 + e % 2;
                if (row >= p.a.groups || col >= p.b.groups) continue;
                if (p.out.folded != nullptr) {
                    p.out.folded[row * p.out.stride + col] = fold_of(acc[i][j][e]);
                    continue;
                }
                const float scaled = mul(__int2float_rn(acc[i][j][e]), sa[row]);
                const float value = sb != nullptr ? mul(scaled, sb[col]) : scaled;
                const size_t at =
                    p.out.turned ? col * p.out.stride + row : row * p.out.stride + col;
                c[at] = mul(value, p.out.alpha);
            }
}

/// One block per tile; copies run two stages ahead of the products.
template <class S>
__global__ void __launch_bounds__(S::threads) product_kernel(Product p) {
    const Block block = block_of<S>(p);
    if (p.out.lower_only && block.col > block.row + (S::bm - 1)) return;
    int8_t* const shared = shared_memory<int8_t>();
    int32_t acc[S::mi][S::ni][4] = {};
    for (uint32_t s = 0; s + 1 < kStages; ++s)
        load_stage<S>(shared, p, block, block.first_step + s);
    for (uint32_t step = block.first_step; step < block.last_step; ++step) {
        copy_wait<kStages - 2>();
        __syncthreads();
        load_stage<S>(shared, p, block, step + kStages - 1);
        multiply_stage<S>(acc, shared + step % kStages * S::stage_bytes);
    }
    store_tile<S>(p, block, acc);
}

template <class S>
void launch_product(Context& on, uint32_t batch, Product& p) {
    constexpr size_t bytes = size_t{S::stage_bytes} * kStages;
    p.tiles_n = blocks_for(p.b.groups, S::bn);
    on.check(cudaFuncSetAttribute(product_kernel<S>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(bytes)));
    const dim3 grid(blocks_for(p.a.groups, S::bm) * p.tiles_n, 1, batch);
    on.launch({grid, S::threads, bytes}, product_kernel<S>, p);
}

}  // namespace

Operand take_operand(Context& on, uint32_t batch, uint32_t groups, uint32_t k) {
    Operand out;
    out.groups = groups;
    out.k = padded(k);
    out.q = on.take<int8_t>(size_t{batch} * groups * out.k);
    out.scale = on.take<float>(size_t{batch} * groups);
    return out;
}

Operand quantise_rows(Context& on, uint32_t batch, const Source& x, const Words& words) {
    const Operand out = take_operand(on, batch, x.rows, x.cols);
    const dim3 grid(blocks_for(x.rows, kWarpsPerBlock), 1, batch);
    on.launch({grid, kThreads}, quantise_rows_kernel, x, words, out, on.nonfinite_flag());
    return out;
}

Operand quantise_cols(Context& on, uint32_t batch, const Source& x, const Words& words) {
    const Operand out = take_operand(on, batch, x.cols, x.rows);
    const size_t count = size_t{batch} * x.cols;
    auto* const amax = on.take<uint32_t>(count);
    if (!on.ok()) return out;
    on.check(cudaMemsetAsync(amax, 0, count * sizeof(uint32_t), on.stream()));
    const uint32_t tiles = blocks_for(x.cols, kTileCols);
    on.launch({dim3(tiles, blocks_for(x.rows, kRowsPerMaximum), batch), kThreads},
              column_maxima_kernel, x, amax);
    on.launch({dim3(tiles, out.k / kTileRows, batch), kThreads, sizeof(ColumnTile)},
              quantise_cols_kernel, x, words, static_cast<const uint32_t*>(amax), out,
              on.nonfinite_flag());
    return out;
}

Operand transpose(Context& on, uint32_t batch, const Operand& rows, uint32_t cols) {
    Operand out;
    out.groups = cols;
    out.k = padded(rows.groups);
    out.q = on.take<int8_t>(size_t{batch} * cols * out.k);
    on.launch(
        {dim3(blocks_for(cols, kTileCols), out.k / kTileRows, batch), kThreads, sizeof(ColumnTile)},
        transpose_kernel, rows, cols, out);
    return out;
}

void multiply(Context& on, uint32_t batch, const Operand& a, const Operand& b,
              const ProductOut& out) {
    Product p{a, b, out, 0};
    if (a.groups > 64 && b.groups > 64)
        launch_product<Shape<128, 128, 64, 64>>(on, batch, p);
    else
        launch_product<Shape<64, 64, 32, 32>>(on, batch, p);
}

}  // namespace trainyard::cuda
