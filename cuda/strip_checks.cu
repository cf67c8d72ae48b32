// SPDX-License-Identifier: Apache-2.0
// What the sums of attention's products must add up to.
#include "cuda/strip_checks.cuh"

#include <algorithm>

#include "cuda/strips.cuh"

namespace trainyard::cuda {

namespace {

constexpr uint32_t kThreads = 256;
/// Terms of a row that a block of due_scores_kernel takes at a time, and the lanes to a row.
constexpr uint32_t kTerms = 64, kTeam = kThreads / kStripTile, kTermsPerLane = kTerms / kTeam;
static_assert(kContractionStep % kTerms == 0 && kThreads % kTerms == 0);

struct StripSources {
    StripInputs in;
    uint32_t facing, far, tiles;
    uint32_t cols;  ///< of far operands to a slice
    bool by_column;
    uint32_t* tile_sums;  ///< facing x batch x tiles x k: what the other side's rows of a tile are
    uint32_t* scores;
    int8_t* columns;  ///< both as in StripDue

    // An index that is known only when a kernel runs would have it copy all of this.
    [[nodiscard]] __device__ __forceinline__ Facing facing_at(uint32_t f) const {
        return f == 0 ? in.facing[0] : in.facing[1];
    }
    [[nodiscard]] __device__ __forceinline__ const int8_t* far_at(uint32_t f) const {
        return f == 0 ? in.far[0] : in.far[1];
    }
};

/// Adds the four bytes of a word one by one.
__device__ __forceinline__ void add_terms(int32_t (&sums)[4], uint32_t word) {
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) sums[i] = dot4(word, 1U << 8 * i, sums[i]);
}

/// A thread for four terms of a tile of 32 rows.
__global__ void tile_sums_kernel(StripSources p) {
    follow_kernel_before();
    const uint32_t words = p.in.k / 4, number = blockIdx.x * kThreads + threadIdx.x;
    if (number >= p.tiles * words) return;
    const uint32_t tile = number / words, at = number % words * 4, z = blockIdx.y, f = blockIdx.z;
    const uint32_t first = tile * kStripTile, left = p.in.t - first;
    const int8_t* const from = p.facing_at(f).other + (size_t{z} * p.in.t + first) * p.in.k + at;
    int32_t sums[4] = {};
#pragma unroll 8
    for (uint32_t row = 0; row < kStripTile; ++row)
        if (row < left) add_terms(sums, word_at(from + size_t{row} * p.in.k));
    uint32_t* const to = p.tile_sums + ((size_t{f} * gridDim.y + z) * p.tiles + tile) * p.in.k + at;
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) to[i] = static_cast<uint32_t>(sums[i]);
}

/// A block for 32 positions: their rows times the sums of the rows that their tile walks along.
__global__ void due_scores_kernel(StripSources p) {
    follow_kernel_before();
    const uint32_t tile = blockIdx.x, z = blockIdx.y;
    const bool is_before = p.in.causal && !p.by_column, is_behind = p.in.causal && p.by_column;
    const uint32_t begin = is_behind ? tile : 0, end = is_before ? tile + 1 : p.tiles;
    auto* const sums = shared_memory<uint32_t>();
    const uint32_t term = threadIdx.x % kTerms;
    const uint32_t row = tile * kStripTile + threadIdx.x / kTeam, lane = threadIdx.x % kTeam;
    uint32_t due = 0;
    for (uint32_t f = 0; f < p.facing; ++f) {
        const uint32_t* const of_tiles =
            p.tile_sums + (size_t{f} * gridDim.y + z) * p.tiles * p.in.k;
        for (uint32_t at = 0; at < p.in.k; at += kTerms) {
            if (threadIdx.x < kTerms) sums[term] = 0;
            __syncthreads();
            uint32_t own = 0;
            for (uint32_t i = begin + threadIdx.x / kTerms; i < end; i += kThreads / kTerms)
                own += of_tiles[size_t{i} * p.in.k + at + term];
            atomicAdd(sums + term, own);
            __syncthreads();
            const uint32_t from = lane * kTermsPerLane;
            const int8_t* const line =
                p.facing_at(f).own + (size_t{z} * p.in.t + row) * p.in.k + at + from;
            for (uint32_t i = 0; row < p.in.t && i < kTermsPerLane; ++i)
                due += static_cast<uint32_t>(int32_t{line[i]}) * sums[from + i];
            __syncthreads();
        }
    }
    for (uint32_t s = kTeam / 2; s > 0; s /= 2) due += __shfl_xor_sync(kAllLanes, due, s);
    if (lane == 0 && row < p.in.t) p.scores[size_t{z} * p.in.t + row] = due;
}

/// A thread for four neighbouring terms of a far operand: their sums in the columns of a slice.
__global__ void column_sums_kernel(StripSources p) {
    follow_kernel_before();
    const uint32_t at = (blockIdx.x * kThreads + threadIdx.x) * 4, z = blockIdx.z;
    const uint32_t slice = blockIdx.y / p.far, f = blockIdx.y % p.far, slices = gridDim.y / p.far;
    if (at >= p.tiles * kStripTile) return;
    const uint32_t first = slice * p.cols, left = p.in.hd - first;
    const uint32_t count = left < p.cols ? left : p.cols;
    const int8_t* const from = p.far_at(f) + (size_t{z} * p.in.hd + first) * p.in.far_k + at;
    int32_t sums[4] = {};
#pragma unroll 8
    for (uint32_t c = 0; c < count; ++c) add_terms(sums, word_at(from + size_t{c} * p.in.far_k));
    uint32_t low[4], high[4];
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
        const int32_t count_of_base = (sums[i] + ColumnSums::base / 2) >> 7;
        high[i] = static_cast<uint32_t>(count_of_base);
        low[i] = static_cast<uint32_t>(sums[i] - count_of_base * ColumnSums::base);
    }
    const size_t strip = size_t{z} * slices + slice, tile = at / kStripTile;
    int8_t* const to =
        p.columns + ((strip * p.tiles + tile) * p.far + f) * ColumnSums::bytes + at % kStripTile;
    *reinterpret_cast<uint32_t*>(to) = pack4(low);
    *reinterpret_cast<uint32_t*>(to + ColumnSums::line) = pack4(high);
}

}  // namespace

StripDue foresee_strips(Context& on, uint32_t batch, const StripInputs& in, uint32_t cols,
                        bool by_column) {
    if (on.residues() == nullptr) return {};
    const auto is_there = [](const void* operand) { return operand != nullptr ? 1U : 0U; };
    StripSources p = {};
    p.in = in;
    p.facing = is_there(in.facing[0].own) + is_there(in.facing[1].own);
    p.far = is_there(in.far[0]) + is_there(in.far[1]);
    p.tiles = position_tiles(in.t);
    p.cols = cols;
    p.by_column = by_column;
    const uint32_t slices = blocks_for(in.hd, cols);
    const size_t strips = size_t{batch} * slices;
    p.tile_sums = on.take<uint32_t>(size_t{p.facing} * batch * p.tiles * in.k);
    p.scores = on.take<uint32_t>(size_t{batch} * in.t);
    p.columns = on.take<int8_t>(strips * p.tiles * p.far * ColumnSums::bytes);
    const dim3 sums(blocks_for(p.tiles * (in.k / 4), kThreads), batch, p.facing);
    on.launch({sums, kThreads}, tile_sums_kernel, p);
    on.launch({dim3(p.tiles, batch), kThreads, kTerms * sizeof(uint32_t)}, due_scores_kernel, p);
    const dim3 columns(blocks_for(p.tiles * kStripTile / 4, kThreads), slices * p.far, batch);
    on.launch({columns, kThreads}, column_sums_kernel, p);
    return {p.scores, p.columns, on.residues()};
}

size_t strip_check_bytes(uint32_t t, uint32_t hd) {
    // Backward: by rows two facing operands and a far one, by columns two and two.
    const size_t tiles = position_tiles(t), slices = blocks_for(hd, kTerms);
    const size_t sums = 2 * tiles * padded_terms(hd, Layout::lines) * sizeof(uint32_t);
    return 2 * (sums + t * sizeof(uint32_t)) + 3 * slices * tiles * ColumnSums::bytes;
}

}  // namespace trainyard::cuda
