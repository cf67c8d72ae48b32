// SPDX-License-Identifier: Apache-2.0
// The dynamic shared memory of a block.
#pragma once

namespace trainyard::cuda {

// tests/cuda/emulated/cuda/shared_memory.cuh holds the same function for a CPU.

/// Dynamic shared memory of the running block, 16-byte aligned.
template <class T>
__device__ __forceinline__ T* shared_memory() {
    extern __shared__ __align__(16) unsigned char shared_bytes[];
    return reinterpret_cast<T*>(shared_bytes);
}

}  // namespace trainyard::cuda
