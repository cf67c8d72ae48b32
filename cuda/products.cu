// SPDX-License-Identifier: Apache-2.0
// Multiplies int8 operands on the tensor cores; integer sums are exact in any order.
#include <algorithm>
#include <type_traits>

#include "cuda/alternating_product.cuh"
#include "cuda/bulk_product.cuh"
#include "cuda/checksums.cuh"
#include "cuda/product_tile.cuh"
#include "cuda/tensor_core.cuh"
#include "cuda/tile_store.cuh"
#include "cuda/warpgroup_product.cuh"

namespace trainyard::cuda {

namespace {

constexpr uint32_t kFinishThreads = 256;

/// One thread per pair of columns of sums that are complete.
__global__ void finish_kernel(Product p) {
    follow_kernel_before();
    const uint32_t pairs = (p.b.groups + 1) / 2, i = blockIdx.x * kFinishThreads + threadIdx.x;
    if (i / pairs >= p.a.groups) return;
    const Row row = row_of(p, blockIdx.z, i / pairs);
    const Columns cols = columns_of(p, blockIdx.z, i % pairs * 2);
    const int32_t* const from = partial_at(p, row, cols.first);
    const int32_t sums[2] = {from[0], cols.count > 1 ? from[1] : 0};
    finish_pair(p, row, cols, sums);
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
    static constexpr uint32_t split_terms_min = 256;
    static constexpr bool takes_tile_after_tile = false;
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
        const size_t row = size_t{tile.z} * p.a.groups + tile.row;
        const size_t col = size_t{tile.z} * p.b.groups + tile.col;
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

/// Adds a warp's sums to where they are checked: operands are zero behind their last row, so that
/// all of its columns count. `row` is the lane's first.
template <class S>
__device__ __forceinline__ void check_tile(const Product& p, uint32_t z, uint32_t row,
                                           const int32_t (&acc)[S::mi][S::ni][4]) {
#pragma unroll
    for (uint32_t i = 0; i < 2 * S::mi; ++i) {
        uint32_t sum = 0;
#pragma unroll
        for (uint32_t j = 0; j < S::ni; ++j)
#pragma unroll
            for (uint32_t e = 0; e < 2; ++e)
                sum += static_cast<uint32_t>(acc[i / 2][j][i % 2 * 2 + e]);
        add_to_residue(p, z, row + i * 8, sum);
    }
}

/// One block per tile; copies run two stages ahead of the products. Sum: int32_t, or float for
/// products of bf16.
template <class S, class Sum, Checks kChecks>
__global__ void __launch_bounds__(S::threads, 1) warp_product_kernel(Product p) {
    follow_kernel_before();
    const Tile tile = tile_of_block<S>(p);
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
    if constexpr (kChecks == Checks::sums) check_tile<S>(p, tile.z, row, acc);
    Row rows[2 * S::mi];
#pragma unroll
    for (uint32_t i = 0; i < 2 * S::mi; ++i) rows[i] = row_of(p, tile.z, row + i * 8);
#pragma unroll
    for (uint32_t j = 0; j < S::ni; ++j) {
        const Columns cols = columns_of(p, tile.z, col + j * 8);
#pragma unroll
        for (uint32_t i = 0; i < 2 * S::mi; ++i)
            store_pair(p, rows[i], cols, acc[i / 2][j] + i % 2 * 2);
    }
}

// --- Launches

/// Blocks that a product should have at least.
constexpr uint32_t kBlocksMin = 128;

/// Of a product whose tiles are shared out by blocks: how many there are at once, and how many of
/// them take tiles one below the other, of which there is a multiple.
struct Blocks {
    uint32_t at_once = 0, cluster = 1;
};

/// Into how many parts the contraction of a tile should be cut, where a block takes one part and
/// ends.
template <class S>
uint32_t parts_for_blocks(uint32_t k, size_t tiles) {
    return static_cast<uint32_t>(
        std::clamp<size_t>(kBlocksMin / tiles, 1, std::max(k / S::split_terms_min, 1U)));
}

/// How a product is shared out, and its time in quarters of a step of BulkShape.
struct Sharing {
    uint32_t parts, cost;
};

/// The same where blocks take part after part. In the time of one step of the contraction: storing
/// a tile takes 4, adding it to shared sums 6, two more launches 5, and clearing and finishing
/// 100,000 shared sums 1.
template <class S>
Sharing parts_for_waves(uint32_t steps, size_t tiles, size_t sums, uint32_t at_once) {
    Sharing best{1, ~0U};
    for (uint32_t parts = 1; parts == 1 || parts * S::split_steps_min <= steps; ++parts) {
        const uint32_t waves = blocks_for(tiles * parts, at_once);
        const uint32_t shared = parts > 1 ? 5 + blocks_for(sums, 100'000) : 0;
        const uint32_t cost = waves * (blocks_for(steps, parts) + (parts > 1 ? 6 : 4)) + shared;
        if (4 * cost < best.cost) best = {parts, 4 * cost};
    }
    return best;
}

/// Shares tiles among blocks where they are too few, launches, and finishes what was shared.
template <class S, class Start>
void launch_tiles(Context& on, Product p, const Blocks& blocks, const Start& start) {
    p.tiles_m = padded(blocks_for(p.a.groups, S::bm), blocks.cluster);
    p.tiles_n = blocks_for(p.b.groups, S::bn);
    const size_t tiles = std::max<size_t>(size_t{p.tiles_m} * p.tiles_n * p.batch, 1);
    const size_t count = size_t{p.batch} * p.a.groups * p.b.groups;
    const uint32_t steps = std::max(blocks_for(p.a.k, S::step), 1U);
    uint32_t wanted = 1;
    if constexpr (S::takes_tile_after_tile)
        wanted = parts_for_waves<S>(steps, tiles, count, blocks.at_once).parts;
    else
        wanted = parts_for_blocks<S>(p.a.k, tiles);
    p.splits = blocks_for(steps, blocks_for(steps, wanted));  // none without steps
    if (p.splits > 1) {
        p.partial = on.take<int32_t>(count);
        if (!on.ok()) return;
        clear_words(on, p.partial, count);
    }
    start(p);
    if (p.splits == 1) return;
    const size_t pairs = size_t{p.a.groups} * ((p.b.groups + 1) / 2);
    on.launch({dim3(blocks_for(pairs, kFinishThreads), 1, p.batch), kFinishThreads}, finish_kernel,
              p);
}

/// One block per tile.
template <class S>
void launch_product(Context& on, const Product& product, void (*kernel)(Product), size_t bytes) {
    launch_tiles<S>(on, product, {}, [&](const Product& p) {
        on.launch({dim3(p.tiles_m * p.tiles_n, p.splits, p.batch), S::threads, bytes}, kernel, p);
    });
}

template <class S, class Sum>
void launch_by_warps(Context& on, const Product& p) {
    const auto kernel = p.residues == nullptr ? warp_product_kernel<S, Sum, Checks::none>
                                              : warp_product_kernel<S, Sum, Checks::sums>;
    launch_product<S>(on, p, kernel, size_t{S::stage_bytes} * kStages);
}

void launch_by_warpgroups(Context& on, const Product& p) {
    using S = WarpgroupShape;
    const auto kernel = p.residues == nullptr ? warpgroup_product_kernel<S, Checks::none>
                                              : warpgroup_product_kernel<S, Checks::sums>;
    launch_product<S>(on, p, kernel, S::bytes);
}

/// As many blocks as the device runs at once.
template <uint32_t kBlocks>
void launch_bulk(Context& on, const Product& product) {
    const auto kernel = product.residues == nullptr ? bulk_product_kernel<kBlocks, Checks::none>
                                                    : bulk_product_kernel<kBlocks, Checks::sums>;
    const uint32_t clusters = on.product_clusters(
        kernel, {dim3(kBlocks), BulkShape::threads, BulkMemory::kBytes, kBlocks});
    const Blocks blocks{clusters * kBlocks, kBlocks};
    launch_tiles<BulkShape>(on, product, blocks, [&](const Product& p) {
        const uint32_t tiles = p.tiles_m * p.tiles_n * p.splits * p.batch;
        on.launch({dim3(std::min(tiles, blocks.at_once)), BulkShape::threads, BulkMemory::kBytes,
                   kBlocks},
                  kernel, p);
    });
}

/// What alternating_product_kernel takes and is faster at: there a step costs three quarters and
/// only the last tile's sums leave behind their products, but no contraction is cut into parts.
bool is_for_alternating(const Context& on, const Product& p) {
    using S = AlternatingShape;
    const uint32_t steps = p.a.k / S::step;
    if (on.products() != Products::alternating || p.residues != nullptr || p.a.groups <= S::bm ||
        steps < S::steps_min || p.out.turned || p.out.folded != nullptr || !leave_in_fours(p))
        return false;
    const uint32_t clusters =
        on.product_blocks() == ProductBlocks::few ? 1 : on.multiprocessors() / S::blocks;
    const uint32_t at_once = clusters * S::blocks;
    const size_t rows = size_t{p.batch} * padded(blocks_for(p.a.groups, S::bm), S::blocks);
    const uint32_t waves = blocks_for(rows * blocks_for(p.b.groups, S::bn), at_once);
    const size_t sums = size_t{p.batch} * p.a.groups * p.b.groups;
    const Sharing bulk = parts_for_waves<BulkShape>(
        steps, rows * blocks_for(p.b.groups, BulkShape::bn), sums, at_once);
    return 3 * waves * steps + 16 <= bulk.cost;
}

void launch_alternating(Context& on, Product p) {
    using S = AlternatingShape;
    const Launch one{dim3(S::blocks), BulkShape::threads, StageMemory<S>::kBytes, S::blocks};
    const uint32_t clusters = on.product_clusters(alternating_product_kernel, one);
    p.tiles_m = padded(blocks_for(p.a.groups, S::bm), S::blocks);
    p.tiles_n = blocks_for(p.b.groups, S::bn);
    const size_t tiles = size_t{p.tiles_m} * p.tiles_n * p.batch;
    Launch how = one;
    how.grid.x = static_cast<uint32_t>(std::min<size_t>(tiles, clusters * S::blocks));
    on.launch(how, alternating_product_kernel, p);
}

/// A tile of a warpgroup's block would be mostly empty for less.
constexpr uint32_t kWarpgroupGroupsMin = 96;

}  // namespace

Layout product_layout(const Context& on, uint32_t a_groups, uint32_t b_groups) {
    const bool has_slabs = on.products() == Products::bulk || on.products() == Products::pairs ||
                           on.products() == Products::alternating;
    return has_slabs && std::min(a_groups, b_groups) >= kWarpgroupGroupsMin ? Layout::slabs
                                                                            : Layout::lines;
}

void multiply(Context& on, uint32_t batch, const Operand& a, const Operand& b,
              const ProductOut& out) {
    using Small = Shape<64, 64, 32, 32>;
    ASSERT(a.layout == b.layout && a.k == b.k);
    Product p;
    p.a = a, p.b = b, p.out = out, p.batch = batch;
    if (on.ok()) p.stuck = &on.flags()->stuck;
    if (out.folded == nullptr) p.residues = on.residues();
    if (p.residues != nullptr) foresee_sums(on, p);
    const uint32_t least = std::min(a.groups, b.groups);
    const bool has_warpgroups = on.products() != Products::int8 && on.products() != Products::bf16;
    if (a.layout == Layout::slabs && is_for_alternating(on, p))
        launch_alternating(on, p);
    else if (a.layout == Layout::slabs && on.products() != Products::bulk &&
             a.groups > BulkShape::bm)
        launch_bulk<2>(on, p);
    else if (a.layout == Layout::slabs)
        launch_bulk<1>(on, p);
    else if (has_warpgroups && least >= kWarpgroupGroupsMin)
        launch_by_warpgroups(on, p);
    else if (on.products() == Products::bf16 && least > 64)
        launch_by_warps<Shape<128, 128, 64, 32>, float>(on, p);
    else if (on.products() == Products::bf16)
        launch_by_warps<Small, float>(on, p);
    else if (least > 64)
        launch_by_warps<Shape<128, 128, 64, 64>, int32_t>(on, p);
    else
        launch_by_warps<Small, int32_t>(on, p);
}

namespace {

/// A kernel that holds 128 sums was compiled for sm_90a; elsewhere it is empty.
bool has_code(void (*kernel)(Product)) {
    cudaFuncAttributes attributes = {};
    const cudaError_t found = cudaFuncGetAttributes(&attributes, kernel);
    static_cast<void>(cudaGetLastError());  // no code is no lasting error
    return found == cudaSuccess && attributes.numRegs >= 128;
}

}  // namespace

std::vector<Products> products_of(int major, int minor) {
    // B300 has given up most of its int8 rate.
    if (major == 10 && minor == 3) return {Products::bf16, Products::int8};
    std::vector<Products> out;
    if (major == 9 && has_code(bulk_product_kernel<2, Checks::none>))
        out.insert(out.end(), {Products::alternating, Products::pairs, Products::bulk});
    if (major == 9 && has_code(warpgroup_product_kernel<WarpgroupShape, Checks::none>))
        out.push_back(Products::warpgroup);
    out.insert(out.end(), {Products::int8, Products::bf16});
    return out;
}

}  // namespace trainyard::cuda
