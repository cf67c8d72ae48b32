// SPDX-License-Identifier: Apache-2.0
// The part of the CUDA language and runtime that cuda/ uses, for an ordinary C++ compiler.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "machine.hpp"

// Words of the CUDA language that C++ lacks; they name no memory space and no launch here.
#define __global__
#define __host__
#define __device__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

extern emulated::Index threadIdx, blockIdx, blockDim, gridDim;

struct dim3 : emulated::Index {
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : emulated::Index{x_, y_, z_} {}
};

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

inline float __fadd_rn(float a, float b) {
    return a + b;
}
inline float __fsub_rn(float a, float b) {
    return a - b;
}
inline float __fmul_rn(float a, float b) {
    return a * b;
}
inline float __fdiv_rn(float a, float b) {
    return a / b;
}
inline float __fsqrt_rn(float a) {
    return std::sqrt(a);
}
inline float __fmaf_rn(float a, float b, float c) {
    return std::fma(a, b, c);
}
inline float __uint_as_float(unsigned bits) {
    return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float x) {
    return std::bit_cast<unsigned>(x);
}
inline float __int2float_rn(int x) {
    return static_cast<float>(x);
}
inline float __uint2float_rn(unsigned x) {
    return static_cast<float>(x);
}
/// A device saturates and turns NaN into 0.
inline int __float2int_rn(float x) {
    if (x != x) return 0;
    if (x >= 2147483648.0F) return INT32_MAX;
    if (x < -2147483648.0F) return INT32_MIN;
    return static_cast<int>(std::nearbyint(x));
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>(uint64_t{a} * b >> 32);
}

/// Byte n of the result is the byte that nibble n of `selector` names: 0 to 3 of a, 4 to 7 of b.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    const uint64_t both = uint64_t{b} << 32 | a;
    unsigned out = 0;
    for (unsigned n = 0; n < 4; ++n)
        out |= static_cast<unsigned>(both >> (selector >> 4 * n & 7) * 8 & 0xff) << 8 * n;
    return out;
}

inline void __syncthreads() {
    emulated::wait_block();
}

inline void __syncwarp() {
    static_cast<void>(emulated::exchange(nullptr, 0, 1));
}

namespace emulated {
template <class T>
T from_lane(const T& mine, unsigned lane, unsigned kind) {
    const std::byte* const slots = exchange(&mine, sizeof mine, kind);
    T out;
    std::memcpy(&out, slots + lane * kSlotBytes, sizeof out);
    return out;
}
}  // namespace emulated

template <class T>
T __shfl_down_sync(unsigned, T x, unsigned distance) {
    const unsigned lane = threadIdx.x % 32;
    return emulated::from_lane(x, lane + distance < 32 ? lane + distance : lane, 2 + distance);
}
template <class T>
T __shfl_xor_sync(unsigned, T x, unsigned mask) {
    return emulated::from_lane(x, threadIdx.x % 32 ^ mask, 64 + mask);
}
template <class T>
T __shfl_sync(unsigned, T x, unsigned lane) {
    return emulated::from_lane(x, lane % 32, 128 + lane);
}

inline unsigned atomicOr(unsigned* at, unsigned x) {
    const unsigned before = *at;
    *at |= x;
    return before;
}
inline int atomicAdd(int* at, int x) {
    const int before = *at;
    *at += x;
    return before;
}
inline unsigned atomicMax(unsigned* at, unsigned x) {
    const unsigned before = *at;
    *at = x > before ? x : before;
    return before;
}
inline unsigned atomicMin(unsigned* at, unsigned x) {
    const unsigned before = *at;
    *at = x < before ? x : before;
    return before;
}

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorLaunchFailure = 719,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
constexpr unsigned cudaStreamNonBlocking = 1;
using cudaStream_t = int*;

struct cudaDeviceProp {
    char name[64] = "emulated";
    size_t totalGlobalMem = size_t{1} << 30;
    int major = 8, minor = 0;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes = 0;
    cudaStream_t stream = nullptr;
};

inline cudaError_t cudaGetDeviceCount(int* count) {
    *count = 1;
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
    *p = {};
    if (emulated::is_hopper()) p->major = 9;
    return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
    return device == 0 ? cudaSuccess : cudaErrorInvalidValue;
}
inline cudaError_t cudaGetLastError() {
    return cudaSuccess;
}
inline const char* cudaGetErrorName(cudaError_t) {
    return "error";
}
inline const char* cudaGetErrorString(cudaError_t) {
    return "of the emulated device";
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    *stream = new int(0);
    return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
    return cudaSuccess;
}
inline cudaError_t cudaMalloc(void** memory, size_t bytes) {
    *memory = emulated::allocate(bytes);
    return *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void* memory) {
    emulated::release(memory);
    return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
    const emulated::DeviceAccess access;
    std::memset(to, value, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t) {
    const emulated::DeviceAccess access;
    if (bytes > 0) std::memcpy(to, from, bytes);
    return cudaSuccess;
}

namespace emulated {
constexpr size_t kSharedBytesPlain = 48 << 10;
/// The smallest of the compiled architectures is 12.0.
inline size_t shared_bytes_max() {
    return is_hopper() ? 227 << 10 : 99 << 10;
}
}  // namespace emulated

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, int bytes) {
    return static_cast<size_t>(bytes) <= emulated::shared_bytes_max() ? cudaSuccess
                                                                      : cudaErrorInvalidValue;
}

struct cudaFuncAttributes {
    int numRegs = 0;
};
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, Kernel*) {
    attributes->numRegs = 255;
    return cudaSuccess;
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* how, void (*kernel)(Parameters...),
                               Arguments... arguments) {
    if (emulated::faults().launches_fail) return cudaErrorLaunchFailure;
    const bool fits = how->blockDim.x <= 1024 && how->gridDim.x <= INT32_MAX &&
                      how->gridDim.y <= 65535 && how->gridDim.z <= 65535 &&
                      how->dynamicSmemBytes <= emulated::shared_bytes_max();
    if (!fits) return cudaErrorInvalidConfiguration;
    emulated::run({how->gridDim, how->blockDim.x, how->dynamicSmemBytes},
                  [&] { kernel(Parameters(arguments)...); });
    return cudaSuccess;
}
