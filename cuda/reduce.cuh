// SPDX-License-Identifier: Apache-2.0
// The fixed-order reduction by one warp, whose lanes are the rule's lanes: numerics.md, section 7.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/floats.cuh"

namespace trainyard::cuda {

constexpr uint32_t kWarp = 32;
constexpr size_t kChunk = 4096;
constexpr uint32_t kAllLanes = 0xffffffffU;

__device__ __forceinline__ uint32_t lane_id() {
    return threadIdx.x % kWarp;
}

/// The halving tree: after step s lane i < s holds a[i] + a[i + s]; every lane gets lane 0's sum.
__device__ __forceinline__ float warp_tree(float a) {
    for (uint32_t s = kWarp / 2; s > 0; s /= 2) a = add(a, __shfl_down_sync(kAllLanes, a, s));
    return __shfl_sync(kAllLanes, a, 0);
}

/// One chunk, elements [begin, begin + n); `update(acc, i)` yields the lane's new sum.
template <class Update>
__device__ __forceinline__ float warp_chunk(size_t begin, size_t n, const Update& update) {
    float acc = 0.0F;
    for (size_t i = lane_id(); i < n; i += kWarp) acc = update(acc, begin + i);
    return warp_tree(acc);
}

/// The levels above the first, for 1 < chunks <= 4096^2: `chunk_sum(c)` yields the sum of chunk c
/// in every lane. They are added as they come: result c belongs to lane c mod 32 of the next level.
template <class ChunkSum>
__device__ __forceinline__ float reduce_chunks(size_t chunks, const ChunkSum& chunk_sum) {
    float second = 0.0F, third = 0.0F;
    for (size_t c = 0; c < chunks; ++c) {
        const float chunk = chunk_sum(c);
        if (lane_id() == c % kWarp) second = add(second, chunk);
        if (chunks > kChunk && ((c + 1) % kChunk == 0 || c + 1 == chunks)) {
            const float group = warp_tree(second);
            if (lane_id() == c / kChunk % kWarp) third = add(third, group);
            second = 0.0F;
        }
    }
    return warp_tree(chunks > kChunk ? third : second);
}

/// Elements 0 .. n-1 for n <= 4096^3, by one whole warp; every lane gets the result.
template <class Update>
__device__ __forceinline__ float warp_reduce(size_t n, const Update& update) {
    if (n <= kChunk) return warp_chunk(0, n, update);
    return reduce_chunks((n + kChunk - 1) / kChunk, [&](size_t c) {
        const size_t begin = c * kChunk;
        return warp_chunk(begin, n - begin < kChunk ? n - begin : kChunk, update);
    });
}

__device__ __forceinline__ uint32_t warp_max(uint32_t x) {
    for (uint32_t s = kWarp / 2; s > 0; s /= 2) {
        const uint32_t other = __shfl_xor_sync(kAllLanes, x, s);
        x = other > x ? other : x;
    }
    return x;
}

/// The maximum of finite values and infinities, exact in any order (numerics.md, section 2).
__device__ __forceinline__ float warp_max(float x) {
    for (uint32_t s = kWarp / 2; s > 0; s /= 2) {
        const float other = __shfl_xor_sync(kAllLanes, x, s);
        x = other > x ? other : x;
    }
    return x;
}

/// The maximum over the four lanes 4 i to 4 i + 3.
template <class T>
__device__ __forceinline__ T quad_max(T x) {
    for (uint32_t s = 2; s > 0; s /= 2) {
        const T other = __shfl_xor_sync(kAllLanes, x, s);
        x = other > x ? other : x;
    }
    return x;
}

}  // namespace trainyard::cuda
