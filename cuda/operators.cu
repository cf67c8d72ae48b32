// SPDX-License-Identifier: Apache-2.0
// Norms, embedding and the plain operators of transformers: docs/spec/numerics.md, sections 3 to
// 13.
#include "cuda/operators.cuh"

#include "cuda/fours.cuh"
#include "cuda/launches.cuh"
#include "cuda/products.cuh"
#include "cuda/reduce.cuh"

namespace trainyard::cuda {

namespace {

using training::EmbeddingShape;
using training::MatrixShape;
using training::RmsNormGradInputs;

struct Embedding {
    const uint32_t* tokens;
    const float* e;
    const float* pos;
    EmbeddingShape s;
};

/// One warp per position.
__global__ void embedding_kernel(float* x, Embedding a) {
    follow_kernel_before();
    const auto n = static_cast<uint32_t>(warp_number());
    if (n >= a.s.b * a.s.t) return;
    const float* const e = a.e + size_t{a.tokens[n]} * a.s.d;
    const float* const pos = a.pos + size_t{n % a.s.t} * a.s.d;
    float* const to = x + size_t{n} * a.s.d;
    for (uint32_t i = lane_id() * 4; i < a.s.d; i += kWarp * 4) {
        const FourOf at(FourOf::Range{i, a.s.d});
        Four sum = at.load(e);
        const Four other = at.load(pos);
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) sum.x[k] = add(sum.x[k], other.x[k]);
        at.store(to, sum);
    }
}

/// first[v]: the first n with tokens[n] = v. Starts at ffffffff, which stands for none.
__global__ void first_uses_kernel(uint32_t* first, const uint32_t* tokens, uint32_t count) {
    follow_kernel_before();
    const size_t n = thread_number();
    if (n < count) atomicMin(first + tokens[n], static_cast<uint32_t>(n));
}

/// next[n]: the next position with the same token, which the warp of n seeks among 32 at a time:
/// most of a large vocabulary's tokens come once, and are sought to the end.
__global__ void next_uses_kernel(uint32_t* next, const uint32_t* tokens, uint32_t count) {
    follow_kernel_before();
    const auto n = static_cast<uint32_t>(warp_number());
    if (n >= count) return;
    const uint32_t token = tokens[n];
    uint32_t found = 0;  // the complement, which is largest for the first
    for (uint32_t begin = n + 1; begin < count; begin += kWarp) {
        const uint32_t later = begin + lane_id();
        const bool is_use = later < count && tokens[later] == token;
        if (!__any_sync(kAllLanes, is_use)) continue;
        found = warp_max(is_use ? ~later : 0U);
        break;
    }
    if (lane_id() == 0) next[n] = ~found;
}

struct EmbeddingGrad {
    const uint32_t* first;
    const uint32_t* next;
    const float* d;
    uint32_t cols;
};

/// Uses of a token whose rows are read side by side; then they are added in order.
constexpr uint32_t kUsesAtOnce = 8;

/// One block per row of the table walks the uses of its token in order.
__global__ void table_grad_kernel(float* de, EmbeddingGrad a) {
    follow_kernel_before();
    const uint32_t v = blockIdx.x;
    for (uint32_t i = threadIdx.x; i < a.cols; i += kThreads) {
        float sum = 0.0F;
        for (uint32_t n = a.first[v]; n != ~0U;) {
            float x[kUsesAtOnce];
#pragma unroll
            for (uint32_t k = 0; k < kUsesAtOnce; ++k) {
                x[k] = n != ~0U ? a.d[size_t{n} * a.cols + i] : 0.0F;
                n = n != ~0U ? a.next[n] : n;
            }
            // Behind the last use +0 is added, which changes no sum that began with +0.
#pragma unroll
            for (uint32_t k = 0; k < kUsesAtOnce; ++k) sum = add(sum, x[k]);
        }
        de[size_t{v} * a.cols + i] = sum;
    }
}

__global__ void position_grad_kernel(float* dpos, const float* d, EmbeddingShape s) {
    follow_kernel_before();
    const size_t at = thread_number(), per_sequence = size_t{s.t} * s.d;
    if (at >= per_sequence) return;
    float sum = 0.0F;
    for (uint32_t b = 0; b < s.b; ++b) sum = add(sum, d[b * per_sequence + at]);
    dpos[at] = sum;
}

/// Threads of a block whose warps hold rows in registers: few, so that those fit many times.
constexpr uint32_t kRowThreads = 128;

Launch per_row(size_t rows) {
    return {dim3(blocks_for(rows, kRowThreads / kWarp)), kRowThreads};
}

/// The kernel for rows of `cols` elements.
template <class Kernel>
Kernel for_length(uint32_t cols, Kernel up_to_1024, Kernel up_to_2048, Kernel longer) {
    return cols <= 1024 ? up_to_1024 : cols <= 2048 ? up_to_2048 : longer;
}

struct Norm {
    const float* x;
    const float* g;
    MatrixShape s;
};

/// Calls `use(k, i)` for element i = 32 (first + k) + lane of a row of up to 32 `kTerms`, which a
/// warp holds in registers: all its loads are under way at once, and memory is read once.
template <uint32_t kTerms, class Use>
__device__ __forceinline__ void for_each_term(uint32_t cols, const Use& use, uint32_t first = 0) {
#pragma unroll
    for (uint32_t k = 0; k < kTerms; ++k) {
        const uint32_t i = (first + k) * kWarp + lane_id();
        if (i < cols) use(k, i);
    }
}

/// One warp per row.
template <uint32_t kTerms>
__global__ void __launch_bounds__(kRowThreads) rms_norm_kernel(float* y, float* r, Norm a) {
    follow_kernel_before();
    const size_t row = warp_number();
    if (row >= a.s.rows) return;
    const size_t begin = row * a.s.cols;
    float x[kTerms];
    for_each_term<kTerms>(a.s.cols, [&](uint32_t k, uint32_t i) { x[k] = a.x[begin + i]; });
    float squares = 0.0F;
    for_each_term<kTerms>(a.s.cols,
                          [&](uint32_t k, uint32_t) { squares = fused(x[k], x[k], squares); });
    const float scale = rms_scale(warp_tree(squares), a.s.cols);
    if (lane_id() == 0) r[row] = scale;
    for_each_term<kTerms>(
        a.s.cols, [&](uint32_t k, uint32_t i) { y[begin + i] = mul(mul(x[k], scale), a.g[i]); });
}

/// Rows of any length, which are read twice.
__global__ void __launch_bounds__(kRowThreads) rms_norm_long_kernel(float* y, float* r, Norm a) {
    follow_kernel_before();
    const size_t row = warp_number();
    if (row >= a.s.rows) return;
    const float* const x = a.x + row * a.s.cols;
    const float squares =
        warp_reduce(a.s.cols, [x](float acc, size_t i) { return fused(x[i], x[i], acc); });
    const float scale = rms_scale(squares, a.s.cols);
    if (lane_id() == 0) r[row] = scale;
    for (uint32_t i = lane_id(); i < a.s.cols; i += kWarp)
        y[row * a.s.cols + i] = mul(mul(x[i], scale), a.g[i]);
}

/// Rows of each chunk that `latest_first` counts.
__host__ __device__ inline uint32_t chunk_rows(uint32_t rows) {
    return rows < kChunk ? rows : static_cast<uint32_t>(kChunk);
}

/// The row of the running warp, or none below `rows`: the last rows of all chunks come first. The
/// gain gradient has just read them, so that a cache still has them.
__device__ __forceinline__ size_t latest_first(uint32_t rows) {
    const auto n = static_cast<uint32_t>(warp_number());
    const auto chunks = static_cast<uint32_t>((rows + kChunk - 1) / kChunk);
    const uint32_t before = n / chunks;
    return before < chunk_rows(rows) ? n % chunks * kChunk + (chunk_rows(rows) - 1 - before) : rows;
}

/// dx of one element, from dy g and x r.
__device__ __forceinline__ float norm_slope(float dyg, float xr, float c, float r, float before) {
    return fused(r, fused(-xr, c, dyg), before);
}

/// Terms of dx that are loaded before the first is stored, which may be at the same place.
constexpr uint32_t kTermsBefore = 32;

template <uint32_t kTerms>
__global__ void __launch_bounds__(kRowThreads, kTerms > kTermsBefore ? 2 : 4)
    rms_norm_grad_kernel(float* dx, RmsNormGradInputs in, MatrixShape s) {
    follow_kernel_before();
    const size_t row = latest_first(s.rows);
    if (row >= s.rows) return;
    const size_t begin = row * s.cols;
    const float r = in.r[row];
    float dyg[kTerms], xr[kTerms];
    for_each_term<kTerms>(s.cols, [&](uint32_t k, uint32_t i) {
        dyg[k] = in.dy[begin + i];
        xr[k] = in.x[begin + i];
    });
    float dot = 0.0F;
    for_each_term<kTerms>(s.cols, [&](uint32_t k, uint32_t i) {
        dyg[k] = mul(dyg[k], in.g[i]);
        xr[k] = mul(xr[k], r);
        dot = fused(dyg[k], xr[k], dot);
    });
    const float c = divide(warp_tree(dot), __uint2float_rn(s.cols));
#pragma unroll
    for (uint32_t first = 0; first < kTerms; first += kTermsBefore) {
        float before[kTermsBefore] = {};
        if (in.dx_in != nullptr)
            for_each_term<kTermsBefore>(
                s.cols, [&](uint32_t k, uint32_t i) { before[k] = in.dx_in[begin + i]; }, first);
        for_each_term<kTermsBefore>(
            s.cols,
            [&](uint32_t k, uint32_t i) {
                dx[begin + i] = norm_slope(dyg[first + k], xr[first + k], c, r, before[k]);
            },
            first);
    }
}

__global__ void __launch_bounds__(kRowThreads)
    rms_norm_grad_long_kernel(float* dx, RmsNormGradInputs in, MatrixShape s) {
    follow_kernel_before();
    const size_t row = latest_first(s.rows);
    if (row >= s.rows) return;
    const size_t begin = row * s.cols;
    const float* const x = in.x + begin;
    const float* const dy = in.dy + begin;
    const float* const g = in.g;
    const float r = in.r[row];
    const float dot = warp_reduce(
        s.cols, [=](float acc, size_t i) { return fused(mul(dy[i], g[i]), mul(x[i], r), acc); });
    const float c = divide(dot, __uint2float_rn(s.cols));
    for (uint32_t i = lane_id(); i < s.cols; i += kWarp)
        dx[begin + i] = norm_slope(mul(dy[i], g[i]), mul(x[i], r), c, r,
                                   in.dx_in != nullptr ? in.dx_in[begin + i] : 0.0F);
}

/// Columns of a block: as few as two warps take, because the rule fixes the number of lanes, and
/// all of them together have to keep every multiprocessor busy.
constexpr uint32_t kLaneCols = 64;
/// Rows of a lane that are loaded side by side; then they are added in order.
constexpr uint32_t kTermsAtOnce = 16;

/// Adds the products of `kTerms` rows of a lane, 32 apart, to `acc`.
template <uint32_t kTerms>
__device__ __forceinline__ float add_gains(float acc, const RmsNormGradInputs& in, size_t row,
                                           size_t at, size_t cols) {
    float dy[kTerms], x[kTerms], r[kTerms];
#pragma unroll
    for (uint32_t k = 0; k < kTerms; ++k) {
        dy[k] = in.dy[at + k * kWarp * cols];
        x[k] = in.x[at + k * kWarp * cols];
        r[k] = in.r[row + k * kWarp];
    }
#pragma unroll
    for (uint32_t k = 0; k < kTerms; ++k) acc = add(acc, mul(dy[k], mul(x[k], r[k])));
    return acc;
}

/// Lane blockIdx.y of the rule in chunk blockIdx.z of the rows, for 64 columns, one to a thread.
/// sums: chunks x 32 x cols. Without a least number of blocks the compiler would save registers and
/// load one row after the other.
__global__ void __launch_bounds__(kLaneCols, 8)
    gain_lanes_kernel(float* sums, RmsNormGradInputs in, MatrixShape s) {
    follow_kernel_before();
    const uint32_t col = blockIdx.x * kLaneCols + threadIdx.x;
    if (col >= s.cols) return;
    const size_t begin = blockIdx.z * kChunk;
    const size_t end = begin + kChunk < s.rows ? begin + kChunk : s.rows;
    size_t row = begin + blockIdx.y;
    float acc = 0.0F;
    for (; row + kWarp * (kTermsAtOnce - 1) < end; row += kWarp * kTermsAtOnce)
        acc = add_gains<kTermsAtOnce>(acc, in, row, row * s.cols + col, s.cols);
    for (; row < end; row += kWarp) acc = add_gains<1>(acc, in, row, row * s.cols + col, s.cols);
    sums[(size_t{blockIdx.z} * kWarp + blockIdx.y) * s.cols + col] = acc;
}

/// One warp per column: its lanes are the rule's, for one chunk after the other.
__global__ void fold_lanes_kernel(float* out, const float* sums, uint32_t chunks, uint32_t cols) {
    follow_kernel_before();
    const size_t col = warp_number();
    if (col >= cols) return;
    const auto chunk_sum = [=](size_t c) {
        return warp_tree(sums[(c * kWarp + lane_id()) * cols + col]);
    };
    const float sum = chunks == 1 ? chunk_sum(0) : reduce_chunks(chunks, chunk_sum);
    if (lane_id() == 0) out[col] = sum;
}

void norm_gain_grad(Context& on, float* dg, const RmsNormGradInputs& in, MatrixShape s) {
    const uint32_t chunks = blocks_for(s.rows, kChunk);
    auto* const sums = on.take<float>(size_t{chunks} * kWarp * s.cols);
    on.launch({dim3(blocks_for(s.cols, kLaneCols), kWarp, chunks), kLaneCols}, gain_lanes_kernel,
              sums, in, s);
    on.launch(per_warp(s.cols), fold_lanes_kernel, dg, sums, chunks, s.cols);
}

/// A warp for each row that `latest_first` counts.
Launch per_row_latest_first(uint32_t rows) {
    return per_row(size_t{blocks_for(rows, kChunk)} * chunk_rows(rows));
}

__global__ void add_kernel(float* y, const float* a, const float* b, size_t count) {
    follow_kernel_before();
    const FourOf at(count);
    if (at.left == 0) return;
    Four x = at.load(a);
    const Four other = at.load(b);
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) x.x[k] = add(x.x[k], other.x[k]);
    at.store(y, x);
}

__global__ void gelu_kernel(float* y, const float* u, size_t count) {
    follow_kernel_before();
    const FourOf at(count);
    if (at.left == 0) return;
    Four x = at.load(u);
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) x.x[k] = gelu_of(x.x[k]);
    at.store(y, x);
}

__global__ void gelu_grad_kernel(float* du, const float* da, const float* u, size_t count) {
    follow_kernel_before();
    const FourOf at(count);
    if (at.left == 0) return;
    Four x = at.load(da);
    const Four before = at.load(u);
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) x.x[k] = mul(x.x[k], gelu_slope(before.x[k]));
    at.store(du, x);
}

/// A word of zeros is the number zero.
__global__ void clear_kernel(float* words, size_t count) {
    follow_kernel_before();
    const FourOf at(count);
    if (at.left > 0) at.store(words, {});
}

}  // namespace

void clear_words(Context& on, void* words, size_t count) {
    on.launch(per_four(count), clear_kernel, static_cast<float*>(words), count);
}

void embedding(Context& on, float* x, const uint32_t* tokens, const float* e, const float* pos,
               EmbeddingShape s) {
    on.begin();
    on.launch(per_warp(size_t{s.b} * s.t), embedding_kernel, x, Embedding{tokens, e, pos, s});
}

void embedding_grad(Context& on, float* de, float* dpos, const uint32_t* tokens, const float* d,
                    EmbeddingShape s) {
    on.begin();
    const uint32_t count = s.b * s.t;
    auto* const first = on.take<uint32_t>(s.v);
    auto* const next = on.take<uint32_t>(count);
    on.set_bytes(first, 0xff, s.v * sizeof(uint32_t));
    on.launch(per_element(count), first_uses_kernel, first, tokens, count);
    on.launch(per_warp(count), next_uses_kernel, next, tokens, count);
    on.launch({dim3(s.v), kThreads}, table_grad_kernel, de, EmbeddingGrad{first, next, d, s.d});
    on.launch(per_element(size_t{s.t} * s.d), position_grad_kernel, dpos, d, s);
}

void rms_norm(Context& on, float* y, float* r, const float* x, const float* g, MatrixShape s) {
    on.begin();
    on.launch(per_row(s.rows),
              for_length(s.cols, rms_norm_kernel<32>, rms_norm_kernel<64>, rms_norm_long_kernel), y,
              r, Norm{x, g, s});
}

void rms_norm_grad(Context& on, float* dx, float* dg, const RmsNormGradInputs& in, MatrixShape s) {
    on.begin();
    norm_gain_grad(on, dg, in, s);
    on.launch(per_row_latest_first(s.rows),
              for_length(s.cols, rms_norm_grad_kernel<32>, rms_norm_grad_kernel<64>,
                         rms_norm_grad_long_kernel),
              dx, in, s);
}

void add(Context& on, float* y, const float* a, const float* b, size_t count) {
    on.begin();
    on.launch(per_four(count), add_kernel, y, a, b, count);
}

void gelu(Context& on, float* y, const float* u, size_t count) {
    on.begin();
    on.launch(per_four(count), gelu_kernel, y, u, count);
}

void gelu_grad(Context& on, float* du, const float* da, const float* u, size_t count) {
    on.begin();
    on.launch(per_four(count), gelu_grad_kernel, du, da, u, count);
}

}  // namespace trainyard::cuda
