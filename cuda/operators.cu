// SPDX-License-Identifier: Apache-2.0
// Norms, embedding and the plain operators of transformers: docs/spec/numerics.md, sections 3 to
// 13.
#include "cuda/operators.cuh"

#include "cuda/fours.cuh"
#include "cuda/launches.cuh"
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

__global__ void embedding_kernel(float* x, Embedding a) {
    const size_t at = thread_number(), n = at / a.s.d, i = at % a.s.d;
    if (n >= size_t{a.s.b} * a.s.t) return;
    x[at] = add(a.e[size_t{a.tokens[n]} * a.s.d + i], a.pos[n % a.s.t * a.s.d + i]);
}

/// first[v]: the first n with tokens[n] = v. Starts at ffffffff, which stands for none.
__global__ void first_uses_kernel(uint32_t* first, const uint32_t* tokens, uint32_t count) {
    const size_t n = thread_number();
    if (n < count) atomicMin(first + tokens[n], static_cast<uint32_t>(n));
}

/// next[n]: the next position with the same token.
__global__ void next_uses_kernel(uint32_t* next, const uint32_t* tokens, uint32_t count) {
    const size_t n = thread_number();
    if (n >= count) return;
    const uint32_t token = tokens[n];
    uint32_t later = static_cast<uint32_t>(n) + 1;
    while (later < count && tokens[later] != token) ++later;
    next[n] = later < count ? later : ~0U;
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
    const size_t at = thread_number(), per_sequence = size_t{s.t} * s.d;
    if (at >= per_sequence) return;
    float sum = 0.0F;
    for (uint32_t b = 0; b < s.b; ++b) sum = add(sum, d[b * per_sequence + at]);
    dpos[at] = sum;
}

struct Norm {
    const float* x;
    const float* g;
    MatrixShape s;
};

__global__ void rms_norm_kernel(float* y, float* r, Norm a) {
    const size_t row = warp_number();
    if (row >= a.s.rows) return;
    const float* const x = a.x + row * a.s.cols;
    const float squares =
        warp_reduce(a.s.cols, [x](float acc, size_t i) { return fused(x[i], x[i], acc); });
    const float mean = divide(squares, __uint2float_rn(a.s.cols));
    const float scale = divide(1.0F, root(add(mean, as_float(0x3727c5ac))));
    if (lane_id() == 0) r[row] = scale;
    for (uint32_t i = lane_id(); i < a.s.cols; i += kWarp)
        y[row * a.s.cols + i] = mul(mul(x[i], scale), a.g[i]);
}

__global__ void rms_norm_grad_kernel(float* dx, RmsNormGradInputs in, MatrixShape s) {
    const size_t row = warp_number();
    if (row >= s.rows) return;
    const size_t begin = row * s.cols;
    const float* const x = in.x + begin;
    const float* const dy = in.dy + begin;
    const float* const g = in.g;
    const float r = in.r[row];
    const float dot = warp_reduce(
        s.cols, [=](float acc, size_t i) { return fused(mul(dy[i], g[i]), mul(x[i], r), acc); });
    const float c = divide(dot, __uint2float_rn(s.cols));
    for (uint32_t i = lane_id(); i < s.cols; i += kWarp) {
        const float h = fused(-mul(x[i], r), c, mul(dy[i], g[i]));
        dx[begin + i] = fused(r, h, in.dx_in != nullptr ? in.dx_in[begin + i] : 0.0F);
    }
}

/// Columns of a block: 32 bytes, which memory delivers as one piece. More would leave most
/// multiprocessors without a block, because the rule fixes the number of lanes.
constexpr uint32_t kTileCols = 8;
constexpr uint32_t kTileLine = kTileCols + 1;
constexpr uint32_t kColumnThreads = kWarp * kTileCols;
constexpr size_t kTileBytes = size_t{kWarp} * kTileLine * sizeof(float);
/// Terms of a lane that are loaded side by side; then they are added in order.
constexpr uint32_t kTermsAtOnce = 8;

/// One block per 8 columns and chunk of 4,096 rows; eight neighbouring threads are lane l of the
/// rule for one column each, and the tree runs through shared memory. out: chunks x cols.
template <class Term>
__device__ __forceinline__ void reduce_columns(float* out, MatrixShape s, const Term& term) {
    float* const tile = shared_memory<float>();
    const uint32_t lane = threadIdx.x / kTileCols, c = threadIdx.x % kTileCols;
    const uint32_t col = blockIdx.x * kTileCols + c;
    const size_t begin = blockIdx.y * kChunk;
    const size_t end = begin + kChunk < s.rows ? begin + kChunk : s.rows;
    float acc = 0.0F;
    for (size_t first = begin + lane; first < end; first += kWarp * kTermsAtOnce) {
        float x[kTermsAtOnce];
#pragma unroll
        for (uint32_t k = 0; k < kTermsAtOnce; ++k) {
            const size_t row = first + k * kWarp;
            const float own = term(row < end ? row : first, col < s.cols ? col : 0);
            x[k] = row < end ? own : 0.0F;
        }
        // Behind the last row +0 is added, which changes no sum that began with +0.
#pragma unroll
        for (uint32_t k = 0; k < kTermsAtOnce; ++k) acc = add(acc, x[k]);
    }
    float* const at = tile + lane * kTileLine + c;
    *at = acc;
    __syncthreads();
    for (uint32_t step = kWarp / 2; step > 0; step /= 2) {
        if (lane < step) *at = add(*at, at[step * kTileLine]);
        __syncthreads();
    }
    if (lane == 0 && col < s.cols) out[size_t{blockIdx.y} * s.cols + col] = tile[c];
}

__global__ void __launch_bounds__(kColumnThreads)
    gain_grad_kernel(float* out, RmsNormGradInputs in, MatrixShape s) {
    reduce_columns(out, s, [&](size_t row, uint32_t col) {
        const size_t at = row * s.cols + col;
        return mul(in.dy[at], mul(in.x[at], in.r[row]));
    });
}

__global__ void __launch_bounds__(kColumnThreads)
    column_sums_kernel(float* out, const float* x, MatrixShape s) {
    reduce_columns(out, s, [&](size_t row, uint32_t col) { return x[row * s.cols + col]; });
}

Launch per_column_chunk(MatrixShape s) {
    return {dim3(blocks_for(s.cols, kTileCols), blocks_for(s.rows, kChunk)), kColumnThreads,
            kTileBytes};
}

__global__ void add_kernel(float* y, const float* a, const float* b, size_t count) {
    const FourOf at(count);
    if (at.left == 0) return;
    Four x = at.load(a);
    const Four other = at.load(b);
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) x.x[k] = add(x.x[k], other.x[k]);
    at.store(y, x);
}

__global__ void gelu_kernel(float* y, const float* u, size_t count) {
    const FourOf at(count);
    if (at.left == 0) return;
    Four x = at.load(u);
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) x.x[k] = gelu_of(x.x[k]);
    at.store(y, x);
}

__global__ void gelu_grad_kernel(float* du, const float* da, const float* u, size_t count) {
    const FourOf at(count);
    if (at.left == 0) return;
    Four x = at.load(da);
    const Four before = at.load(u);
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) x.x[k] = mul(x.x[k], gelu_slope(before.x[k]));
    at.store(du, x);
}

}  // namespace

void embedding(Context& on, float* x, const uint32_t* tokens, const float* e, const float* pos,
               EmbeddingShape s) {
    on.begin();
    on.launch(per_element(size_t{s.b} * s.t * s.d), embedding_kernel, x,
              Embedding{tokens, e, pos, s});
}

void embedding_grad(Context& on, float* de, float* dpos, const uint32_t* tokens, const float* d,
                    EmbeddingShape s) {
    on.begin();
    const uint32_t count = s.b * s.t;
    auto* const first = on.take<uint32_t>(s.v);
    auto* const next = on.take<uint32_t>(count);
    on.set_bytes(first, 0xff, s.v * sizeof(uint32_t));
    on.launch(per_element(count), first_uses_kernel, first, tokens, count);
    on.launch(per_element(count), next_uses_kernel, next, tokens, count);
    on.launch({dim3(s.v), kThreads}, table_grad_kernel, de, EmbeddingGrad{first, next, d, s.d});
    on.launch(per_element(size_t{s.t} * s.d), position_grad_kernel, dpos, d, s);
}

void rms_norm(Context& on, float* y, float* r, const float* x, const float* g, MatrixShape s) {
    on.begin();
    on.launch(per_warp(s.rows), rms_norm_kernel, y, r, Norm{x, g, s});
}

void rms_norm_grad(Context& on, float* dx, float* dg, const RmsNormGradInputs& in, MatrixShape s) {
    on.begin();
    MatrixShape level{blocks_for(s.rows, kChunk), s.cols};
    float* sums = level.rows > 1 ? on.take<float>(size_t{level.rows} * s.cols) : dg;
    on.launch(per_column_chunk(s), gain_grad_kernel, sums, in, s);
    while (level.rows > 1) {
        const MatrixShape next{blocks_for(level.rows, kChunk), s.cols};
        float* const to = next.rows > 1 ? on.take<float>(size_t{next.rows} * s.cols) : dg;
        on.launch(per_column_chunk(level), column_sums_kernel, to, sums, level);
        sums = to;
        level = next;
    }
    on.launch(per_warp(s.rows), rms_norm_grad_kernel, dx, in, s);
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
