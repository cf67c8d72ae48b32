// SPDX-License-Identifier: Apache-2.0
// Softmax and cross-entropy of a row of logits that a block reads once: docs/spec/numerics.md,
// section 9.
#include <algorithm>

#include "cuda/launches.cuh"
#include "cuda/operators.cuh"
#include "cuda/reduce.cuh"

namespace trainyard::cuda {

namespace {

using training::MatrixShape;

/// What a block does for row `blockIdx.x`; without `losses` or `dz` that result is not wanted.
struct Loss {
    float* losses;
    float* dz;
    const float* z;
    const uint32_t* targets;
    uint32_t cols;
    float inv_n;
    float* exponentials;  ///< rows x cols, where shared memory is too small for a row
};

/// Threads of a block; the fewer for rows of one chunk.
constexpr uint32_t kLossThreads = 1024;

/// In shared memory before the row: the maximum of each warp, then the sum of each chunk.
__host__ __device__ inline uint32_t loss_head(uint32_t cols) {
    const auto chunks = static_cast<uint32_t>((cols + kChunk - 1) / kChunk);
    return kWarp + (chunks + 3) / 4 * 4;
}

/// The largest value of all threads; every one gets it.
__device__ __forceinline__ float block_max(float x, float* of_warps) {
    x = warp_max(x);
    if (lane_id() == 0) of_warps[threadIdx.x / kWarp] = x;
    __syncthreads();
    return warp_max(of_warps[lane_id() < blockDim.x / kWarp ? lane_id() : 0]);
}

/// The fixed reduction of `cols` numbers, one warp to a chunk; every thread gets it.
__device__ __forceinline__ float block_sum(const float* x, uint32_t cols, float* of_chunks) {
    const auto chunks = static_cast<uint32_t>((cols + kChunk - 1) / kChunk);
    for (uint32_t c = threadIdx.x / kWarp; c < chunks; c += blockDim.x / kWarp) {
        const size_t begin = c * kChunk, left = cols - begin;
        const float sum = warp_chunk(begin, left < kChunk ? left : kChunk,
                                     [x](float acc, size_t i) { return add(acc, x[i]); });
        if (lane_id() == 0) of_chunks[c] = sum;
    }
    __syncthreads();
    return warp_reduce(chunks, [of_chunks](float acc, size_t c) { return add(acc, of_chunks[c]); });
}

/// Calls `use(j, load(j))` for the thread's elements of a row, several of which are loaded before
/// one is used.
template <uint32_t kThreadCount, class Load, class Use>
__device__ __forceinline__ void sweep(uint32_t cols, const Load& load, const Use& use) {
    constexpr uint32_t kAtOnce = 8;
    for (uint32_t j0 = threadIdx.x; j0 < cols; j0 += kAtOnce * kThreadCount) {
        float x[kAtOnce];
#pragma unroll
        for (uint32_t k = 0; k < kAtOnce; ++k) {
            const uint32_t j = j0 + k * kThreadCount;
            x[k] = load(j < cols ? j : j0);
        }
#pragma unroll
        for (uint32_t k = 0; k < kAtOnce; ++k) {
            const uint32_t j = j0 + k * kThreadCount;
            if (j < cols) use(j, x[k]);
        }
    }
}

template <uint32_t kThreadCount, bool kInShared>
__global__ void __launch_bounds__(kThreadCount) loss_kernel(Loss a) {
    const size_t first = size_t{blockIdx.x} * a.cols;
    const float* const z = a.z + first;
    float* const shared = shared_memory<float>();
    float* const e = kInShared ? shared + loss_head(a.cols) : a.exponentials + first;
    const auto logit = [&](uint32_t j) { return z[j]; };
    float m = z[0];
    sweep<kThreadCount>(a.cols, logit, [&](uint32_t j, float x) {
        if (kInShared) e[j] = x;
        m = x > m ? x : m;
    });
    m = block_max(m, shared);
    const auto kept = [&](uint32_t j) { return e[j]; };  // by the same thread
    const auto exponentiate = [&](uint32_t j, float x) { e[j] = exp_of_falling(sub(x, m)); };
    if constexpr (kInShared)
        sweep<kThreadCount>(a.cols, kept, exponentiate);
    else
        sweep<kThreadCount>(a.cols, logit, exponentiate);
    __syncthreads();
    const float sum = block_sum(e, a.cols, shared + kWarp);
    const uint32_t target = a.targets[blockIdx.x];
    if (a.losses != nullptr && threadIdx.x == 0)
        a.losses[blockIdx.x] = sub(add(log_of(sum), m), z[target]);
    if (a.dz == nullptr) return;
    const float is = divide(1.0F, sum);
    sweep<kThreadCount>(a.cols, kept, [&](uint32_t j, float x) {
        const float p = mul(x, is);
        a.dz[first + j] = mul(j == target ? sub(p, 1.0F) : p, a.inv_n);
    });
}

/// Rows from `first` on, as many as their exponentials have room for.
void launch_part(Context& on, Loss a, uint32_t first, uint32_t rows, size_t shared_bytes) {
    const size_t at = size_t{first} * a.cols;
    a.z += at;
    a.targets += first;
    if (a.losses != nullptr) a.losses += first;
    if (a.dz != nullptr) a.dz += at;
    a.exponentials = a.dz != nullptr ? a.dz : on.take<float>(size_t{rows} * a.cols);
    on.launch({dim3(rows), kLossThreads, shared_bytes}, loss_kernel<kLossThreads, false>, a);
}

void launch_loss(Context& on, const Loss& a, uint32_t rows) {
    on.begin();
    const size_t head_bytes = loss_head(a.cols) * sizeof(float);
    const size_t row_bytes = size_t{a.cols} * sizeof(float);
    if (head_bytes + row_bytes <= on.shared_bytes_max()) {
        const bool is_long = a.cols > kChunk;
        on.launch({dim3(rows), is_long ? kLossThreads : kThreads, head_bytes + row_bytes},
                  is_long ? loss_kernel<kLossThreads, true> : loss_kernel<kThreads, true>, a);
        return;
    }
    const auto fitting = a.dz != nullptr ? rows
                                         : static_cast<uint32_t>(std::clamp<size_t>(
                                               on.scratch_bytes_max() / row_bytes, 1, rows));
    for (uint32_t first = 0; first < rows; first += fitting) {
        if (first > 0) on.begin();
        launch_part(on, a, first, std::min(fitting, rows - first), head_bytes);
    }
}

}  // namespace

void cross_entropy(Context& on, float* losses, const float* z, const uint32_t* targets,
                   MatrixShape s) {
    launch_loss(on, {losses, nullptr, z, targets, s.cols, 0.0F, nullptr}, s.rows);
}

void cross_entropy_grad(Context& on, float* dz, const float* z, const uint32_t* targets,
                        MatrixShape s, float inv_n) {
    launch_loss(on, {nullptr, dz, z, targets, s.cols, inv_n, nullptr}, s.rows);
}

void cross_entropy_both(Context& on, float* losses, float* dz, const float* z,
                        const uint32_t* targets, MatrixShape s, float inv_n) {
    launch_loss(on, {losses, dz, z, targets, s.cols, inv_n, nullptr}, s.rows);
}

}  // namespace trainyard::cuda
