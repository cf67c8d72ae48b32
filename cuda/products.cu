// SPDX-License-Identifier: Apache-2.0
// Multiplies int8 operands on the tensor cores; integer sums are exact in any order.
#include <algorithm>
#include <type_traits>

#include "cuda/fragments.cuh"
#include "cuda/products.cuh"
#include "cuda/reduce.cuh"
#include "cuda/tensor_core.cuh"

namespace trainyard::cuda {

namespace {

struct Product {
    Operand a, b;
    ProductOut out;
    uint32_t tiles_m = 0, tiles_n = 0;
    /// Blocks that share a tile, each with its part of the contraction. If there is more than one,
    /// they add to `partial`, batch x rows of A x columns of B: integers may arrive in any order.
    uint32_t splits = 1;
    int32_t* partial = nullptr;
};

/// The first row and column of a block's tile, and its steps [first, last) of the contraction.
struct Tile {
    uint32_t row, col, first, last;
};

constexpr uint32_t kTileRowsTogether = 8;

/// Blocks that run together share operands: they go down eight tiles, then one to the right.
template <class S>
__device__ __forceinline__ Tile tile_of(const Product& p) {
    const uint32_t per_group = kTileRowsTogether * p.tiles_n;
    const uint32_t first = blockIdx.x / per_group * kTileRowsTogether;
    const uint32_t left = p.tiles_m - first;
    const uint32_t rows = left < kTileRowsTogether ? left : kTileRowsTogether;
    const uint32_t at = blockIdx.x % per_group;
    const uint32_t steps = (p.a.k + S::step - 1) / S::step;
    const uint32_t part = (steps + p.splits - 1) / p.splits, begin = blockIdx.y * part;
    return {(first + at % rows) * S::bm, at / rows * S::bn, begin,
            begin + part < steps ? begin + part : steps};
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
__device__ __forceinline__ Columns columns_of(const Product& p, uint32_t first) {
    Columns out = {first, first < p.b.groups ? p.b.groups - first : 0, {0.0F, 0.0F}};
    if (p.out.folded != nullptr) return out;
    const float* const scale = p.b.scale + size_t{blockIdx.z} * p.b.groups + first;
    if (out.count > 0) out.scale[0] = scale[0];
    if (out.count > 1) out.scale[1] = scale[1];
    return out;
}
__device__ __forceinline__ float row_scale(const Product& p, uint32_t row) {
    if (p.out.folded != nullptr || row >= p.a.groups) return 0.0F;
    return p.a.scale[size_t{blockIdx.z} * p.a.groups + row];
}

/// Dequantises and stores the complete sums of a row and two columns.
__device__ __forceinline__ void finish_pair(const Product& p, uint32_t row, float sa,
                                            const Columns& cols, const int32_t* sums) {
    if (p.out.folded != nullptr) {
        int8_t* const to = p.out.folded + row * p.out.stride + cols.first;
        to[0] = fold_of(sums[0]);
        if (cols.count > 1) to[1] = fold_of(sums[1]);
        return;
    }
    float* const c = p.out.c + p.out.spread.offset(blockIdx.z);
    const float x = mul(mul(__int2float_rn(sums[0]), sa), cols.scale[0]);
    const float y = mul(mul(__int2float_rn(sums[1]), sa), cols.scale[1]);
    if (p.out.turned) {
        c[cols.first * p.out.stride + row] = x;
        if (cols.count > 1) c[(cols.first + 1) * p.out.stride + row] = y;
        return;
    }
    float* const to = c + row * p.out.stride + cols.first;
    if (cols.count > 1 && reinterpret_cast<uintptr_t>(to) % sizeof(float2) == 0) {
        *reinterpret_cast<float2*>(to) = {x, y};
        return;
    }
    to[0] = x;
    if (cols.count > 1) to[1] = y;
}

__device__ __forceinline__ int32_t* partial_at(const Product& p, uint32_t row, uint32_t col) {
    return p.partial + (size_t{blockIdx.z} * p.a.groups + row) * p.b.groups + col;
}

/// The same at the end of a block's part of the contraction.
__device__ __forceinline__ void store_pair(const Product& p, uint32_t row, float sa,
                                           const Columns& cols, const int32_t* sums) {
    if (row >= p.a.groups || cols.count == 0) return;
    if (p.partial == nullptr) return finish_pair(p, row, sa, cols, sums);
    int32_t* const to = partial_at(p, row, cols.first);
    atomicAdd(to, sums[0]);
    if (cols.count > 1) atomicAdd(to + 1, sums[1]);
}

constexpr uint32_t kFinishThreads = 256;

/// One thread per pair of columns of sums that are complete.
__global__ void finish_kernel(Product p) {
    const uint32_t pairs = (p.b.groups + 1) / 2, i = blockIdx.x * kFinishThreads + threadIdx.x;
    const uint32_t row = i / pairs;
    if (row >= p.a.groups) return;
    const Columns cols = columns_of(p, i % pairs * 2);
    const int32_t* const from = partial_at(p, row, cols.first);
    const int32_t sums[2] = {from[0], cols.count > 1 ? from[1] : 0};
    finish_pair(p, row, row_scale(p, row), cols, sums);
}

// --- Products by warps

constexpr uint32_t kStages = 3;
constexpr uint32_t kLine =
    kContractionStep + 16;  ///< this stride puts a fragment's words in 32 banks

/// A block's tile of BM x BN and each warp's part of WM x WN in it.
template <uint32_t kBm, uint32_t kBn, uint32_t kWm, uint32_t kWn>
struct Shape {
    static constexpr uint32_t bm = kBm, bn = kBn, wm = kWm, wn = kWn, step = kContractionStep;
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

template <class S>
__device__ __forceinline__ void load_stage(int8_t* shared, const Product& p, const Tile& tile,
                                           uint32_t step) {
    if (step < tile.last) {
        const size_t k0 = size_t{step} * kContractionStep;
        int8_t* const a = shared + step % kStages * S::stage_bytes;
        const size_t row = size_t{blockIdx.z} * p.a.groups + tile.row;
        const size_t col = size_t{blockIdx.z} * p.b.groups + tile.col;
        load_lines<S::bm, S::threads>(a, p.a.q + row * p.a.k + k0, p.a.groups - tile.row, p.a.k);
        load_lines<S::bn, S::threads>(a + S::bm * kLine, p.b.q + col * p.b.k + k0,
                                      p.b.groups - tile.col, p.b.k);
    }
    copy_commit();
}

/// Registers for a word of a fragment: its four bytes, or twice two bf16.
template <class Sum>
constexpr uint32_t kWordRegisters = std::is_same_v<Sum, float> ? 2 : 1;

/// The four bytes of a word, in [-127, 127], as bf16, which holds them exactly.
__device__ __forceinline__ void widen(uint32_t (&to)[2], uint32_t word) {
    const uint32_t raised = word ^ 0x80808080U;  // each byte plus 128
    float x[4];
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i)  // 2^23 + byte has the byte as its last bits
        x[i] = sub(as_float(__byte_perm(raised, 0x4b000000U, 0x7440U + i)), 8388736.0F);
    to[0] = __byte_perm(bits_of(x[0]), bits_of(x[1]), 0x7632U);
    to[1] = __byte_perm(bits_of(x[2]), bits_of(x[3]), 0x7632U);
}

template <uint32_t kWords>
__device__ __forceinline__ void load_word(uint32_t (&to)[kWords], uint32_t i, const int8_t* from,
                                          int32_t) {
    to[i] = word_at(from);
}
template <uint32_t kWords>
__device__ __forceinline__ void load_word(uint32_t (&to)[kWords], uint32_t i, const int8_t* from,
                                          float) {
    uint32_t wide[2];
    widen(wide, word_at(from));
    to[2 * i] = wide[0];
    to[2 * i + 1] = wide[1];
}

__device__ __forceinline__ void multiply_fragments(int32_t (&c)[4], const uint32_t (&a)[4],
                                                   const uint32_t (&b)[2]) {
    mma_s8(c, a, b);
}
/// The 32 terms in two halves, each as its four lanes hold them: on both sides in the same order.
__device__ __forceinline__ void multiply_fragments(float (&c)[4], const uint32_t (&a)[8],
                                                   const uint32_t (&b)[4]) {
    mma_bf16(c, {a[0], a[2], a[1], a[3]}, {b[0], b[1]});
    mma_bf16(c, {a[4], a[6], a[5], a[7]}, {b[2], b[3]});
}

/// Two steps of 32 along k for the warp's part of the tile.
template <class S, class Sum>
__device__ __forceinline__ void multiply_stage(Sum (&acc)[S::mi][S::ni][4], const int8_t* stage) {
    constexpr uint32_t kWords = kWordRegisters<Sum>;
    const uint32_t warp = threadIdx.x / kWarp, g = lane_id() / 4, t = lane_id() % 4 * 4;
    const int8_t* const a = stage + (warp / (S::bn / S::wn) * S::wm + g) * kLine + t;
    const int8_t* const b = stage + (S::bm + warp % (S::bn / S::wn) * S::wn + g) * kLine + t;
#pragma unroll
    for (uint32_t k = 0; k < kContractionStep; k += 32) {
        uint32_t left[S::mi][4 * kWords], right[S::ni][2 * kWords];
#pragma unroll
        for (uint32_t i = 0; i < S::mi; ++i)
#pragma unroll
            for (uint32_t w = 0; w < 4; ++w)
                load_word(left[i], w, a + (i * 16 + w % 2 * 8) * kLine + k + w / 2 * 16, Sum{});
#pragma unroll
        for (uint32_t j = 0; j < S::ni; ++j)
#pragma unroll
            for (uint32_t w = 0; w < 2; ++w)
                load_word(right[j], w, b + j * 8 * kLine + k + w * 16, Sum{});
#pragma unroll
        for (uint32_t i = 0; i < S::mi; ++i)
#pragma unroll
            for (uint32_t j = 0; j < S::ni; ++j) multiply_fragments(acc[i][j], left[i], right[j]);
    }
}

/// 512 products of at most 127 * 127 stay below 2^23, so every float sum of them is exact.
constexpr uint32_t kStepsPerFloatSum = 512 / kContractionStep;

template <class S>
__device__ __forceinline__ void take_over(int32_t (&acc)[S::mi][S::ni][4],
                                          float (&part)[S::mi][S::ni][4]) {
#pragma unroll
    for (uint32_t i = 0; i < S::mi; ++i)
#pragma unroll
        for (uint32_t j = 0; j < S::ni; ++j)
#pragma unroll
            for (uint32_t e = 0; e < 4; ++e) {
                acc[i][j][e] += __float2int_rn(part[i][j][e]);
                part[i][j][e] = 0.0F;
            }
}

/// One block per tile; copies run two stages ahead of the products. Sum: int32_t, or float for
/// products of bf16.
template <class S, class Sum>
__global__ void __launch_bounds__(S::threads, 1) warp_product_kernel(Product p) {
    const Tile tile = tile_of<S>(p);
    int8_t* const shared = shared_memory<int8_t>();
    int32_t acc[S::mi][S::ni][4] = {};
    float part[S::mi][S::ni][4] = {};
    for (uint32_t s = 0; s + 1 < kStages; ++s) load_stage<S>(shared, p, tile, tile.first + s);
    for (uint32_t step = tile.first; step < tile.last; ++step) {
        copy_wait<kStages - 2>();
        __syncthreads();
        load_stage<S>(shared, p, tile, step + kStages - 1);
        const int8_t* const stage = shared + step % kStages * S::stage_bytes;
        if constexpr (std::is_same_v<Sum, float>) {
            multiply_stage<S>(part, stage);
            if (step % kStepsPerFloatSum + 1 == kStepsPerFloatSum || step + 1 == tile.last)
                take_over<S>(acc, part);
        } else {
            multiply_stage<S>(acc, stage);
        }
    }
    const uint32_t warp = threadIdx.x / kWarp;
    const uint32_t row = tile.row + warp / (S::bn / S::wn) * S::wm + lane_id() / 4;
    const uint32_t col = tile.col + warp % (S::bn / S::wn) * S::wn + lane_id() % 4 * 2;
    float sa[2 * S::mi];
#pragma unroll
    for (uint32_t i = 0; i < 2 * S::mi; ++i) sa[i] = row_scale(p, row + i * 8);
#pragma unroll
    for (uint32_t j = 0; j < S::ni; ++j) {
        const Columns cols = columns_of(p, col + j * 8);
#pragma unroll
        for (uint32_t i = 0; i < 2 * S::mi; ++i)
            store_pair(p, row + i * 8, sa[i], cols, acc[i / 2][j] + i % 2 * 2);
    }
}

// --- Products by warpgroups

/// Two warpgroups, 64 x 256 sums each, and four stages of 128 bytes along k.
struct WarpgroupShape {
    static constexpr uint32_t bm = 128, bn = 256, threads = 256, stages = 4, step = kSwizzledRow;
    static constexpr uint32_t stage_bytes = (bm + bn) * step;
    static constexpr uint32_t bytes = stages * stage_bytes + kSwizzleBytes;
};

/// Starts the copy of kRows rows for k in [byte, byte + 128), swizzled; zeros outside.
template <uint32_t kRows>
__device__ __forceinline__ void load_swizzled(int8_t* to, const Operand& from, uint32_t first,
                                              uint32_t byte) {
    const uint32_t row0 = threadIdx.x / 8, at = threadIdx.x % 8 * 16;
    constexpr uint32_t kApart = WarpgroupShape::threads / 8;
    const int8_t* line =
        from.q + (size_t{blockIdx.z} * from.groups + first + row0) * from.k + byte + at;
    static_assert(kApart % kSwizzledRows == 0);  // the pattern repeats
    to += swizzled(row0 * kSwizzledRow + at);
    const size_t stride = size_t{kApart} * from.k;
    const uint32_t rows_left = byte + at < from.k ? from.groups - first : 0;
#pragma unroll
    for (uint32_t r = 0; r < kRows; r += kApart) {
        const bool inside = row0 + r < rows_left;
        copy16_async(to + r * kSwizzledRow, inside ? line : from.q, inside);
        line += stride;
    }
}

template <class W>
__device__ __forceinline__ void load_swizzled_stage(int8_t* shared, const Product& p,
                                                    const Tile& tile, uint32_t step) {
    if (step < tile.last) {
        const uint32_t byte = step * kSwizzledRow;
        int8_t* const a = shared + step % W::stages * W::stage_bytes;
        load_swizzled<W::bm>(a, p.a, tile.row, byte);
        load_swizzled<W::bn>(a + W::bm * kSwizzledRow, p.b, tile.col, byte);
    }
    copy_commit();
}

/// Starts the products of one stage: four steps of 32 along k.
template <class W>
__device__ __forceinline__ void start_products(int32_t (&acc)[128], const int8_t* stage) {
    const int8_t* const a = stage + threadIdx.x / 128 * 64 * kSwizzledRow;
    const int8_t* const b = stage + W::bm * kSwizzledRow;
    const uint64_t left = matrix_descriptor(shared_address(a));
    const uint64_t right = matrix_descriptor(shared_address(b));
    warpgroup_fence();
#pragma unroll
    for (uint32_t k = 0; k < kSwizzledRow; k += 32)
        wgmma_s8(acc, left + k / 16, right + k / 16);  // the address counts in 16 bytes
    warpgroup_commit();
}

/// One block per tile. While the products of one step run, copies are under way for two more.
template <class W>
__global__ void __launch_bounds__(W::threads, 1) warpgroup_product_kernel(Product p) {
    if constexpr (kHasWarpgroups) {
        // How far copies run ahead: the products of the step before may still read their stage.
        constexpr uint32_t kAhead = W::stages - 2;
        const Tile tile = tile_of<W>(p);
        auto* shared = shared_memory<int8_t>();
        shared += (kSwizzleBytes - shared_address(shared) % kSwizzleBytes) % kSwizzleBytes;
        int32_t acc[128] = {};
        hold_sums(acc);
        for (uint32_t s = 0; s < kAhead; ++s)
            load_swizzled_stage<W>(shared, p, tile, tile.first + s);
        for (uint32_t step = tile.first; step < tile.last; ++step) {
            copy_wait<kAhead - 1>();
            publish_to_products();
            __syncthreads();
            start_products<W>(acc, shared + step % W::stages * W::stage_bytes);
            // Its stage was read by the products of two steps ago, which all threads have waited
            // for.
            load_swizzled_stage<W>(shared, p, tile, step + kAhead);
            warpgroup_wait<1>();
        }
        warpgroup_wait<0>();
        hold_sums(acc);
        const Place at = warpgroup_sum(threadIdx.x % 128, 0);
        const uint32_t row = tile.row + threadIdx.x / 128 * 64 + at.row, col = tile.col + at.col;
        const float sa[2] = {row_scale(p, row), row_scale(p, row + warpgroup_sum(0, 2).row)};
#pragma unroll
        for (uint32_t i = 0; i < 128; i += 4) {
            const Columns cols = columns_of(p, col + warpgroup_sum(0, i).col);
            store_pair(p, row, sa[0], cols, acc + i);
            store_pair(p, row + warpgroup_sum(0, i + 2).row, sa[1], cols, acc + i + 2);
        }
    }
}

/// Blocks that a product should have at least, and terms that are worth a block.
constexpr uint32_t kBlocksMin = 128;
constexpr uint32_t kSplitTermsMin = 256;

template <class S>
void launch_product(Context& on, uint32_t batch, Product p, void (*kernel)(Product), size_t bytes) {
    p.tiles_m = blocks_for(p.a.groups, S::bm);
    p.tiles_n = blocks_for(p.b.groups, S::bn);
    const size_t tiles = size_t{p.tiles_m} * p.tiles_n * batch;
    const size_t count = size_t{batch} * p.a.groups * p.b.groups;
    p.splits = static_cast<uint32_t>(std::clamp<size_t>(kBlocksMin / std::max<size_t>(tiles, 1), 1,
                                                        std::max(p.a.k / kSplitTermsMin, 1U)));
    if (p.splits > 1) {
        p.partial = on.take<int32_t>(count);
        if (!on.ok()) return;
        on.set_bytes(p.partial, 0, count * sizeof(int32_t));
    }
    on.check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(bytes)));
    on.launch({dim3(p.tiles_m * p.tiles_n, p.splits, batch), S::threads, bytes}, kernel, p);
    if (p.splits == 1) return;
    const size_t pairs = size_t{p.a.groups} * ((p.b.groups + 1) / 2);
    on.launch({dim3(blocks_for(pairs, kFinishThreads), 1, batch), kFinishThreads}, finish_kernel,
              p);
}

template <class S, class Sum>
void launch_by_warps(Context& on, uint32_t batch, const Product& p) {
    launch_product<S>(on, batch, p, warp_product_kernel<S, Sum>, size_t{S::stage_bytes} * kStages);
}

/// A tile of a warpgroup's block would be mostly empty for less.
constexpr uint32_t kWarpgroupGroupsMin = 96;

}  // namespace

void multiply(Context& on, uint32_t batch, const Operand& a, const Operand& b,
              const ProductOut& out) {
    using Small = Shape<64, 64, 32, 32>;
    Product p;
    p.a = a, p.b = b, p.out = out;
    const uint32_t least = a.groups < b.groups ? a.groups : b.groups;
    if (on.products() == Products::warpgroup && least >= kWarpgroupGroupsMin)
        launch_product<WarpgroupShape>(on, batch, p, warpgroup_product_kernel<WarpgroupShape>,
                                       WarpgroupShape::bytes);
    else if (on.products() == Products::bf16 && least > 64)
        launch_by_warps<Shape<128, 128, 64, 32>, float>(on, batch, p);
    else if (on.products() == Products::bf16)
        launch_by_warps<Small, float>(on, batch, p);
    else if (least > 64)
        launch_by_warps<Shape<128, 128, 64, 64>, int32_t>(on, batch, p);
    else
        launch_by_warps<Small, int32_t>(on, batch, p);
}

bool has_products(Products products, int major) {
    if (products != Products::warpgroup) return true;
    if (major != 9) return false;
    cudaFuncAttributes attributes = {};
    const cudaError_t found =
        cudaFuncGetAttributes(&attributes, warpgroup_product_kernel<WarpgroupShape>);
    static_cast<void>(cudaGetLastError());  // no code is no lasting error
    // A kernel that holds 128 sums was compiled for sm_90a; elsewhere it is empty.
    return found == cudaSuccess && attributes.numRegs >= 128;
}

Products fastest_products(int major, int minor) {
    if (major == 9 && has_products(Products::warpgroup, major)) return Products::warpgroup;
    // B300 has given up most of its int8 rate.
    return major == 10 && minor == 3 ? Products::bf16 : Products::int8;
}

}  // namespace trainyard::cuda
