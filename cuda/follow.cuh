// SPDX-License-Identifier: Apache-2.0
// The order of kernels whose launch does not wait for the end of the one in front of them.
#pragma once

namespace trainyard::cuda {

// tests/cuda/emulated/cuda/follow.cuh counts the threads that call the same function.

/// Of the virtual architecture for which code is compiled: from here on it follows.
inline constexpr int kFollowingCode = 90;

/// What every thread of every kernel calls before it touches memory of the device (a rule of
/// tools/tidy.py). It returns when the kernel before has ended and all it wrote can be seen; until
/// then the launch is done with, and what of a kernel needs no memory. A kernel cannot end before
/// this returns in all its threads, so whoever sees one ended sees all before it ended: the next
/// kernel, and also events, copies, memsets and other streams, which wait for the end of the last
/// one only. Blocks do not tell the next kernel to start while they still run
/// (griddepcontrol.launch_dependents): measured, that makes products slower.
__device__ __forceinline__ void follow_kernel_before() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace trainyard::cuda
