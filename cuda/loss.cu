// SPDX-License-Identifier: Apache-2.0
// Softmax and cross-entropy of rows of logits, each of which a block reads once:
// docs/spec/numerics.md, section 9.
#include <algorithm>

#include "cuda/launches.cuh"
#include "cuda/operators.cuh"
#include "cuda/reduce.cuh"

namespace trainyard::cuda {

namespace {

using training::MatrixShape;

/// What is done for each row; without `losses` or `dz` that result is not wanted.
struct Loss {
    float* losses;
    float* dz;
    const float* z;
    const uint32_t* targets;
    uint32_t cols;
    float inv_n;
    float* exponentials;  ///< rows x cols, where a block has no room for a row
};

/// Threads of a block for rows that do not fit into its registers.
constexpr uint32_t kLossThreads = 1024;
/// Elements of a row that a thread holds, so that its warp has one chunk; those of them that are in
/// registers, of which sixteen warps have 128 each, and the rest in shared memory.
constexpr uint32_t kHeldTerms = kChunk / kWarp, kInRegisters = 104;
constexpr uint32_t kHeldChunksMax = 16, kHeldThreads = kHeldChunksMax * kWarp;
constexpr size_t kHeldBytes =
    (kWarp + kHeldChunksMax + (kHeldTerms - kInRegisters) * kHeldThreads) * sizeof(float);
/// Blocks that keep a device busy; with more rows each takes several, up to a limit.
constexpr uint32_t kHeldBlocks = 1024, kHeldRowsMax = 8;

/// In shared memory before the row: the maximum of each warp, then the sum of each chunk.
__host__ __device__ inline uint32_t loss_head(uint32_t cols) {
    const auto chunks = static_cast<uint32_t>((cols + kChunk - 1) / kChunk);
    return kWarp + (chunks + 3) / 4 * 4;
}

__device__ __forceinline__ float loss_of(float sum, float m, float z) {
    return sub(add(log_of(sum), m), z);
}

/// The gradient at the target.
__device__ __forceinline__ float target_slope(float p, float inv_n) {
    return mul(sub(p, 1.0F), inv_n);
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

/// One block per row: of one chunk, which shared memory keeps, or of any length.
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
        a.losses[blockIdx.x] = loss_of(sum, m, z[target]);
    if (a.dz == nullptr) return;
    const float is = divide(1.0F, sum);
    sweep<kThreadCount>(a.cols, kept, [&](uint32_t j, float x) {
        const float p = mul(x, is);
        a.dz[first + j] = j == target ? target_slope(p, a.inv_n) : mul(p, a.inv_n);
    });
}

/// The same number, of which the compiler knows nothing.
__device__ __forceinline__ uint32_t opaque(uint32_t x) {
    asm volatile("" : "+r"(x));
    return x;
}

/// The elements 32 k + lane of a warp's chunk, of which this thread has `count`. Every k is known
/// when compiled.
struct HeldChunk {
    float in_registers[kInRegisters];
    float* in_shared;
    uint32_t count;

    __device__ __forceinline__ float& operator[](uint32_t k) {
        return k < kInRegisters ? in_registers[k] : in_shared[(k - kInRegisters) * kHeldThreads];
    }
    /// From the thread's first element on; -Inf behind the last of `wanted`.
    __device__ __forceinline__ void load(uint32_t k, const float* from, uint32_t wanted) {
        (*this)[k] = k < wanted ? from[k * kWarp] : as_float(0xff800000);
    }
    __device__ __forceinline__ float largest() {
        float m = (*this)[0];
#pragma unroll
        for (uint32_t k = 1; k < kHeldTerms; ++k) {
            const float x = (*this)[k];
            m = x > m ? x : m;
        }
        return m;
    }
    /// Puts exponentials in the place of logits; their sum in the order of the rule.
    __device__ __forceinline__ float exponentiate(float m) {
        float sum = 0.0F;
#pragma unroll
        for (uint32_t k = 0; k < kHeldTerms; ++k) {
            const float e = exp_of_falling(sub((*this)[k], m));
            (*this)[k] = e;
            if (k < count) sum = add(sum, e);
        }
        return warp_tree(sum);
    }
};

/// `per_block` rows one after the other, a chunk to each warp: what a row leaves behind makes room
/// for the next, whose loads are under way while the gradient is stored.
__global__ void __launch_bounds__(kHeldThreads, 1)
    held_loss_kernel(Loss a, uint32_t rows, uint32_t per_block) {
    float* const maxima = shared_memory<float>();
    float* const sums = maxima + kWarp;
    const uint32_t chunks = blockDim.x / kWarp, chunk = threadIdx.x / kWarp;
    const uint32_t column = chunk * static_cast<uint32_t>(kChunk) + lane_id();
    HeldChunk x;
    x.in_shared = sums + kHeldChunksMax + threadIdx.x;
    x.count = column < a.cols ? (a.cols - column + kWarp - 1) / kWarp : 0;
    const uint32_t first = blockIdx.x * per_block;
    const uint32_t end = rows - first < per_block ? rows : first + per_block;
    const float inv_n = add(a.inv_n, 0.0F);  // as it came, it would be loaded for each element
    const float* z = a.z + size_t{first} * a.cols;
#pragma unroll
    for (uint32_t k = 0; k < kHeldTerms; ++k) x.load(k, z + column, x.count);
    for (uint32_t row = first; row < end; ++row) {
        // Or the compiler keeps all comparisons with it, for which there are no registers.
        x.count = opaque(x.count);
        const uint32_t target = a.targets[row];
        const float of_target = z[target];
        // Threads may disagree where there is a NaN, which reaches the sum and so every result.
        const float m = block_max(x.largest(), maxima);
        const float chunk_sum = x.exponentiate(m);
        if (lane_id() == 0) sums[chunk] = chunk_sum;
        __syncthreads();
        const float sum =
            warp_reduce(chunks, [sums](float acc, size_t c) { return add(acc, sums[c]); });
        if (a.losses != nullptr && threadIdx.x == 0) a.losses[row] = loss_of(sum, m, of_target);
        const float is = divide(1.0F, sum);
        float* const dz = a.dz != nullptr ? a.dz + size_t{row} * a.cols : nullptr;
        z += a.cols;
        const uint32_t wanted = dz != nullptr ? x.count : 0, next = row + 1 < end ? x.count : 0;
#pragma unroll
        for (uint32_t k = 0; k < kHeldTerms; ++k) {
            if (k < wanted) dz[column + k * kWarp] = mul(mul(x[k], is), inv_n);
            x.load(k, z + column, next);
        }
        if (wanted > 0 && target / kChunk == chunk && target % kWarp == lane_id())
            dz[target] = target_slope(mul(exp_of_falling(sub(of_target, m)), is), inv_n);
    }
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
    const uint32_t chunks = blocks_for(a.cols, kChunk);
    if (chunks == 1) {
        on.launch({dim3(rows), kThreads, head_bytes + row_bytes}, loss_kernel<kThreads, true>, a);
        return;
    }
    if (chunks <= kHeldChunksMax) {
        const uint32_t per_block = std::clamp(rows / kHeldBlocks, 1U, kHeldRowsMax);
        on.launch({dim3(blocks_for(rows, per_block)), chunks * kWarp, kHeldBytes}, held_loss_kernel,
                  a, rows, per_block);
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
