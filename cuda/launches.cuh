// SPDX-License-Identifier: Apache-2.0
// The two launches that plain kernels use: a thread for each element, or a warp for each row.
#pragma once

#include "cuda/context.cuh"
#include "cuda/reduce.cuh"

namespace trainyard::cuda {

inline constexpr uint32_t kThreads = 256;
inline constexpr uint32_t kWarpsPerBlock = kThreads / kWarp;

__device__ __forceinline__ size_t thread_number() {
    return size_t{blockIdx.x} * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ size_t warp_number() {
    return thread_number() / kWarp;
}
inline Launch per_element(size_t count) {
    return {dim3(blocks_for(count, kThreads)), kThreads};
}
inline Launch per_warp(size_t count) {
    return {dim3(blocks_for(count, kWarpsPerBlock)), kThreads};
}

}  // namespace trainyard::cuda
