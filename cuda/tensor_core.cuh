// SPDX-License-Identifier: Apache-2.0
// The instructions that C++ has no name for: int8 matrix products and copies to shared memory.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

namespace trainyard::cuda {

// tests/cuda/emulated/cuda/tensor_core.cuh holds the same functions for a CPU.

/// c (16 x 8, int32) += a (16 x 32, int8 rows) * b (32 x 8, int8 columns), exact while the sums
/// fit. Lane l, g = l / 4, t = l % 4: a0 = row g, k 4t..4t+3; a1 = row g + 8; a2, a3 the same with
/// k + 16; b0 = column g, k 4t..4t+3; b1 with k + 16; c0, c1 = row g, columns 2t, 2t + 1; c2, c3
/// row g + 8. Source: PTX ISA 9.0, "Matrix fragments for mma.m16n8k32".
__device__ __forceinline__ void mma_s8(int32_t (&c)[4], const uint32_t (&a)[4],
                                       const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Starts copying 16 aligned bytes from global to shared memory; zeros where `is_inside` is false,
/// and then `from` is not read.
__device__ __forceinline__ void copy16_async(void* to_shared, const void* from, bool is_inside) {
    const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(to_shared));
    const int bytes = is_inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
}

/// Closes the group of copies that this thread has started since the last call.
__device__ __forceinline__ void copy_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most kPending groups of this thread are still under way.
template <int kPending>
__device__ __forceinline__ void copy_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace trainyard::cuda
