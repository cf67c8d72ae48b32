// SPDX-License-Identifier: Apache-2.0
// What the tensor cores of the first device do at most: int8 products of operands that stay in
// shared memory, so that nothing else is waited for. bench/cuda/run.py measures products by it.
#include <benchmark/benchmark.h>

#include "cuda/context.cuh"
#include "cuda/fragments.cuh"
#include "cuda/shared_memory.cuh"
#include "cuda/tensor_core.cuh"
#include "cuda/warpgroup_product.cuh"

namespace {

using namespace trainyard::cuda;
using S = WarpgroupShape;

constexpr uint32_t kTurns = 4096;

/// Power, and with it the clock, depends on the numbers: these are spread as quantised ones are.
__device__ void fill(int8_t* shared, uint32_t count) {
    for (uint32_t i = threadIdx.x; i < count; i += S::threads) {
        const uint32_t x = (i + blockIdx.x * count) * 0x9E3779B1U;
        const uint32_t y = (x ^ x >> 15) * 0x85EBCA6BU;
        const int sum = static_cast<int>((y & 63U) + (y >> 8 & 63U) + (y >> 16 & 63U)) - 94;
        shared[i] = static_cast<int8_t>(sum);
    }
}

/// Each warpgroup multiplies 64 x 256 sums in every turn, 128 terms; stages in turn.
__global__ void __launch_bounds__(S::threads, 1) peak_kernel(int32_t* out) {
    follow_kernel_before();
    if constexpr (kHasWarpgroups) {
        int8_t* const shared = swizzled_shared_memory();
        fill(shared, S::stages * S::stage_bytes);
        publish_to_products();
        __syncthreads();
        int32_t acc[128] = {};
        hold_sums(acc);
        for (uint32_t turn = 0; turn < kTurns; ++turn) {
            const int8_t* const stage = shared + turn % S::stages * S::stage_bytes;
            start_products(acc, {stage, stage + S::bm * kSwizzledRow});
            warpgroup_wait<1>();
        }
        warpgroup_wait<0>();
        hold_sums(acc);
        int32_t sum = 0;
#pragma unroll
        for (const int32_t x : acc) sum ^= x;
        out[blockIdx.x * S::threads + threadIdx.x] = sum;
    }
}

void int8_peak(benchmark::State& state) {
    const auto devices = cuda_devices();
    if (devices.empty()) return state.SkipWithError(cuda_unavailable().c_str());
    if (devices[0].major != 9) return state.SkipWithError("this device has no warpgroups");
    Context on(devices[0].index);
    const DeviceMemory out(size_t{on.multiprocessors()} * S::threads * sizeof(int32_t));
    for (auto _ : state) {
        on.launch({dim3(on.multiprocessors()), S::threads, S::bytes}, peak_kernel,
                  reinterpret_cast<int32_t*>(out.data()));
        on.wait();
        if (!on.ok()) state.SkipWithError("the device failed");
    }
    const double macs = 1.0 * on.multiprocessors() * kTurns * S::bm * S::bn * S::step;
    state.counters["TOPS"] = benchmark::Counter(
        2e-12 * macs * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
    state.counters["peak_macs"] = macs;
}
BENCHMARK(int8_peak)->Name("cuda::int8_peak")->UseRealTime();

}  // namespace
