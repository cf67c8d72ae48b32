// SPDX-License-Identifier: Apache-2.0
// Products by warpgroups of compute capability 9.0, whose stages all threads fill by small copies.
#pragma once

#include "cuda/checksums.cuh"
#include "cuda/follow.cuh"
#include "cuda/fragments.cuh"
#include "cuda/product_tile.cuh"
#include "cuda/tensor_core.cuh"
#include "cuda/tile_store.cuh"

namespace trainyard::cuda {

/// Two warpgroups, 64 x 256 sums each, and four stages of 128 bytes along k.
struct WarpgroupShape {
    static constexpr uint32_t bm = 128, bn = 256, threads = 256, stages = 4, step = kSwizzledRow;
    static constexpr uint32_t stage_bytes = (bm + bn) * step;
    static constexpr uint32_t outlets_at = stages * stage_bytes;
    static constexpr uint32_t scales_at = outlets_at + threads / kWarp * Outlet::bytes;
    static constexpr uint32_t bytes = scales_at + sizeof(TileScales) + kSwizzleBytes;
    static constexpr uint32_t split_terms_min = 256;
    static constexpr bool takes_tile_after_tile = false;
};

/// The block's stages, from where patterns of the swizzle may begin.
__device__ __forceinline__ int8_t* swizzled_shared_memory() {
    auto* const shared = shared_memory<int8_t>();
    return shared + (kSwizzleBytes - shared_address(shared) % kSwizzleBytes) % kSwizzleBytes;
}

/// Starts the copy of kRows rows for k in [byte, byte + 128), swizzled; zeros outside.
template <uint32_t kRows>
__device__ __forceinline__ void load_swizzled(int8_t* to, const Operand& from, uint32_t z,
                                              uint32_t first, uint32_t byte) {
    const uint32_t row0 = threadIdx.x / 8, at = threadIdx.x % 8 * 16;
    constexpr uint32_t kApart = WarpgroupShape::threads / 8;
    const int8_t* line = from.q + (size_t{z} * from.groups + first + row0) * from.k + byte + at;
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
        load_swizzled<W::bm>(a, p.a, tile.z, tile.row, byte);
        load_swizzled<W::bn>(a + W::bm * kSwizzledRow, p.b, tile.z, tile.col, byte);
    }
    copy_commit();
}

/// What a warpgroup multiplies, as matrix_descriptor says it.
struct Descriptors {
    uint64_t left, right;

    /// `a`: the rows of both warpgroups.
    __device__ __forceinline__ Descriptors(const int8_t* a, const int8_t* b)
        : left(matrix_descriptor(shared_address(a + threadIdx.x / 128 * 64 * kSwizzledRow))),
          right(matrix_descriptor(shared_address(b))) {}
    /// The same operands, so many bytes further on.
    __device__ __forceinline__ void advance(uint32_t bytes) {
        left += bytes / 16;
        right += bytes / 16;
    }
};

/// Starts the products of 128 terms: four steps of 32. Unless `adds`, what the sums were before is
/// forgotten.
template <int kSums>
__device__ __forceinline__ void start_products(int32_t (&acc)[kSums], const Descriptors& of,
                                               bool adds = true) {
    warpgroup_fence();
#pragma unroll
    for (uint32_t k = 0; k < kSwizzledRow; k += 32)  // addresses count in 16 bytes
        wgmma_s8(acc, of.left + k / 16, of.right + k / 16, adds || k > 0);
    warpgroup_commit();
}

/// One block per tile. While the products of one step run, copies are under way for two more.
template <class W, Checks kChecks>
__global__ void __launch_bounds__(W::threads, 1) warpgroup_product_kernel(Product p) {
    follow_kernel_before();
    if constexpr (kHasWarpgroups) {
        // How far copies run ahead: the products of the step before may still read their stage.
        constexpr uint32_t kAhead = W::stages - 2;
        const Tile tile = tile_of_block<W>(p);
        int8_t* const shared = swizzled_shared_memory();
        auto& scales = *reinterpret_cast<TileScales*>(shared + W::scales_at);
        for (uint32_t i = threadIdx.x; i < TileScales::count; i += W::threads)
            scales.all[i] = scale_of_tile(p, tile, i);
        __syncthreads();
        int32_t acc[128] = {};
        hold_sums(acc);
        for (uint32_t s = 0; s < kAhead; ++s)
            load_swizzled_stage<W>(shared, p, tile, tile.first + s);
        for (uint32_t step = tile.first; step < tile.last; ++step) {
            copy_wait<kAhead - 1>();
            publish_to_products();
            __syncthreads();
            const int8_t* const stage = shared + step % W::stages * W::stage_bytes;
            start_products(acc, {stage, stage + W::bm * kSwizzledRow});
            // Its stage was read by the products of two steps ago, which all threads have waited
            // for.
            load_swizzled_stage<W>(shared, p, tile, step + kAhead);
            warpgroup_wait<1>();
        }
        warpgroup_wait<0>();
        hold_sums(acc);
        if constexpr (kChecks == Checks::sums) check_sums(p, tile, acc);
        store_sums(p, tile, acc, shared + W::outlets_at, scales);
    }
}

}  // namespace trainyard::cuda
