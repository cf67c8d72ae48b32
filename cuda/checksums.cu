// SPDX-License-Identifier: Apache-2.0
// What the sums of a product must add up to, and whether they did.
#include "cuda/checksums.cuh"

namespace trainyard::cuda {

namespace {

constexpr uint32_t kThreads = 256;
/// Groups of B that one thread adds.
constexpr uint32_t kGroupsPerThread = 64;

/// Byte `i` of a word as a number of 32 bits.
__device__ __forceinline__ uint32_t term_of(uint32_t word, uint32_t i) {
    return static_cast<uint32_t>(static_cast<int32_t>(static_cast<int8_t>(word >> 8 * i)));
}

/// sums[z][k] += B's terms number k of all columns. A thread has four neighbouring terms.
__global__ void term_sums_kernel(Operand b, uint32_t* sums) {
    follow_kernel_before();
    const uint32_t at = (blockIdx.x * kThreads + threadIdx.x) * 4, z = blockIdx.z;
    if (at >= b.k) return;
    const uint32_t first = blockIdx.y * kGroupsPerThread;
    const uint32_t left = b.groups - first;
    const uint32_t count = left < kGroupsPerThread ? left : kGroupsPerThread;
    uint32_t own[4] = {};
    for (uint32_t g = 0; g < count; ++g) {
        const uint32_t word = word_at(b.q + b.at(z, first + g, at));
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) own[i] += term_of(word, i);
    }
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) atomicAdd(sums + size_t{z} * b.k + at + i, own[i]);
}

/// A warp for each row of A: its terms times the sums of B's.
__global__ void due_sums_kernel(Product p, const uint32_t* term_sums) {
    follow_kernel_before();
    const uint32_t row = blockIdx.x * (kThreads / kWarp) + threadIdx.x / kWarp, z = blockIdx.z;
    if (row >= p.a.groups) return;
    const uint32_t* const of_matrix = term_sums + size_t{z} * p.a.k;
    uint32_t due = 0;
    for (uint32_t at = lane_id() * 4; at < p.a.k; at += kWarp * 4) {
        const uint32_t word = word_at(p.a.q + p.a.at(z, row, at));
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) due += term_of(word, i) * of_matrix[at + i];
    }
    for (uint32_t s = kWarp / 2; s > 0; s /= 2) due += __shfl_xor_sync(kAllLanes, due, s);
    if (lane_id() == 0) atomicAdd(residue_of(p, z, row), 0U - due);
}

/// An update of weights looks at the first flag only.
__global__ void settle_kernel(uint32_t* residues, Flags* flags) {
    follow_kernel_before();
    uint32_t* const own = residues + blockIdx.x * kThreads + threadIdx.x;
    if (*own == 0) return;
    *own = 0;
    atomicOr(&flags->nonfinite, 1U);
    atomicOr(&flags->wrong_product, 1U);
}

static_assert(kResidues % kThreads == 0);

}  // namespace

void foresee_sums(Context& on, const Product& p) {
    const size_t count = size_t{p.batch} * p.b.k;
    auto* const sums = on.take<uint32_t>(count);
    if (!on.ok()) return;
    clear_words(on, sums, count);
    const dim3 terms(blocks_for(p.b.k, kThreads * 4), blocks_for(p.b.groups, kGroupsPerThread),
                     p.batch);
    on.launch({terms, kThreads}, term_sums_kernel, p.b, sums);
    const dim3 rows(blocks_for(p.a.groups, kThreads / kWarp), 1, p.batch);
    on.launch({rows, kThreads}, due_sums_kernel, p, sums);
}

void settle_sums(Context& on) {
    if (on.residues() == nullptr) return;
    on.launch({dim3(kResidues / kThreads), kThreads}, settle_kernel, on.residues(), on.flags());
}

}  // namespace trainyard::cuda
