// SPDX-License-Identifier: Apache-2.0
// Four neighbouring elements for each thread, in one access where they lie so: as many bytes must
// be under way as a memory of several TB/s takes.
#pragma once

#include "cuda/launches.cuh"

namespace trainyard::cuda {

struct Four {
    float x[4];
};

/// The four elements of the running thread, or what is `left` of them.
struct FourOf {
    struct Range {
        size_t begin, end;
    };

    size_t first;
    uint32_t left;

    __device__ __forceinline__ explicit FourOf(size_t count) : FourOf(count, blockIdx.x) {}
    /// `block`: the number of the block among those of the tensor.
    __device__ __forceinline__ FourOf(size_t count, uint32_t block)
        : FourOf(Range{(size_t{block} * kThreads + threadIdx.x) * 4, count}) {}
    /// The first four of [begin, end).
    __device__ __forceinline__ explicit FourOf(Range range)
        : first(range.begin),
          left(range.begin >= range.end       ? 0
               : range.end - range.begin >= 4 ? 4
                                              : static_cast<uint32_t>(range.end - range.begin)) {}

    [[nodiscard]] __device__ __forceinline__ Four load(const float* from) const {
        from += first;
        if (is_whole(from)) {
            const float4 x = *reinterpret_cast<const float4*>(from);
            return {{x.x, x.y, x.z, x.w}};
        }
        Four out;
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) out.x[k] = k < left ? from[k] : 0.0F;
        return out;
    }
    __device__ __forceinline__ void store(float* to, const Four& x) const {
        to += first;
        if (is_whole(to)) {
            *reinterpret_cast<float4*>(to) = {x.x[0], x.x[1], x.x[2], x.x[3]};
            return;
        }
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k)
            if (k < left) to[k] = x.x[k];
    }

private:
    [[nodiscard]] __device__ __forceinline__ bool is_whole(const float* at) const {
        return left == 4 && reinterpret_cast<uintptr_t>(at) % sizeof(float4) == 0;
    }
};

inline Launch per_four(size_t count) {
    return {dim3(blocks_for(count, size_t{kThreads} * 4)), kThreads};
}

}  // namespace trainyard::cuda
