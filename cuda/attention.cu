// SPDX-License-Identifier: Apache-2.0
// Attention forward and backward, causal or full, several heads at a time: docs/spec/numerics.md,
// section 10.
#include <algorithm>
#include <cmath>

#include "cuda/operators.cuh"
#include "cuda/products.cuh"
#include "cuda/reduce.cuh"

namespace trainyard::cuda {

namespace {

using training::AttentionGradInputs;
using training::AttentionNoise;
using training::AttentionShape;

constexpr uint32_t kWarpsPerBlock = 8;
constexpr uint32_t kThreads = kWarpsPerBlock * kWarp;

/// A grid's limit in z is 65,535.
constexpr uint32_t kHeadsMax = 32768;

/// Heads [first, first + count) of all sequences; `t` x `t` float matrices of theirs lie in scratch
/// memory one after another, everything else in the layout of training/backend.hpp.
struct Heads {
    uint32_t t, hd, d, first, count;
    uint32_t heads;
    float alpha;
    bool causal;

    [[nodiscard]] Spread in_rows_of(size_t width) const {
        return {heads, first, size_t{t} * width, hd};
    }
    [[nodiscard]] Source of_qkv(const float* qkv, uint32_t part) const {
        const size_t width = size_t{3} * d;
        return {qkv + size_t{part} * d, t, hd, width, in_rows_of(width)};
    }
    [[nodiscard]] Source of_out(const float* out) const { return {out, t, hd, d, in_rows_of(d)}; }
    [[nodiscard]] ProductOut to_qkv(float* dqkv, uint32_t part) const {
        const size_t width = size_t{3} * d;
        return {dqkv + size_t{part} * d, width, in_rows_of(width)};
    }
    [[nodiscard]] Spread in_scratch() const { return {1, 0, size_t{t} * t, 0}; }
    [[nodiscard]] Source of_square(const float* x) const { return {x, t, t, t, in_scratch()}; }
    [[nodiscard]] ProductOut to_square(float* x, float factor) const {
        ProductOut out{x, t, in_scratch(), factor};
        out.lower_only = causal;
        return out;
    }
    /// Which part of a product along t is zero.
    [[nodiscard]] Triangle zero_outside(Triangle part) const {
        return causal ? part : Triangle::none;
    }
};

Heads heads_of(AttentionShape s) {
    // A square root and a quotient in binary32, rounded once each, are the same on any host.
    const float alpha = 1.0F / std::sqrt(static_cast<float>(s.hd));
    return {s.t, s.hd, s.h * s.hd, 0, 0, s.h, alpha, s.causal};
}

/// Calls `body` with one group of heads after another: those whose T x T matrices fit into the
/// scratch memory, at least one.
template <class Body>
void for_each_group(const Context& on, AttentionShape s, size_t bytes_per_element,
                    const Body& body) {
    const size_t per_head = size_t{s.t} * padded(s.t) * bytes_per_element;
    const uint32_t total = s.b * s.h;
    const auto fitting = static_cast<uint32_t>(
        std::clamp<size_t>(on.scratch_bytes_max() / std::max<size_t>(per_head, 1), 1, kHeadsMax));
    Heads heads = heads_of(s);
    for (heads.first = 0; heads.first < total; heads.first += heads.count) {
        heads.count = std::min(fitting, total - heads.first);
        body(heads);
    }
}

/// The row of scores that a warp works on, and how many of its columns are seen.
struct RowId {
    uint32_t row, z, seen;
    bool inside;
};
__device__ __forceinline__ RowId row_of(uint32_t t, bool causal) {
    const uint32_t row = blockIdx.x * kWarpsPerBlock + threadIdx.x / kWarp;
    return {row, blockIdx.z, causal ? row + 1 : t, row < t};
}

struct Softmax {
    float* s;              ///< t x t per head; overwritten with P * sV where it is seen
    const float* v_scale;  ///< t per head
    float* stats;          ///< of the first head of the group
    Operand out;
    uint32_t* flag;
    bool causal;
};

/// One warp per row i: maximum, sum of exponentials, P * sV in place, then its int8 form.
__global__ void softmax_kernel(Softmax a) {
    const uint32_t t = a.out.groups;
    const auto [row, z, seen, inside] = row_of(t, a.causal);
    if (!inside) return;
    const size_t group = size_t{z} * t + row;
    float* const s = a.s + group * t;
    float m = s[0];
    for (uint32_t j = lane_id(); j < seen; j += kWarp) m = s[j] > m ? s[j] : m;
    m = warp_max(m);
    const float sum = warp_reduce(seen, [s, m](float acc, size_t j) {
        s[j] = exp_of(sub(s[j], m));
        return add(acc, s[j]);
    });
    const float is = divide(1.0F, sum);
    uint32_t amax = 0;
    for (uint32_t j = lane_id(); j < seen; j += kWarp) {
        s[j] = mul(mul(s[j], is), a.v_scale[size_t{z} * t + j]);
        const uint32_t size = magnitude(s[j]);
        amax = size > amax ? size : amax;
    }
    amax = warp_max(amax);
    const Scale scale = scale_of(amax);
    if (lane_id() == 0) {
        a.stats[group * 2] = m;
        a.stats[group * 2 + 1] = is;
        a.out.scale[group] = scale.s;
        if (amax >= 0x7f800000U) atomicOr(a.flag, 1U);
    }
    for (uint32_t j = lane_id(); j < a.out.k; j += kWarp) {
        const int q = j < seen ? quantise_nearest(s[j], scale.inv) : 0;
        a.out.q[group * a.out.k + j] = static_cast<int8_t>(q);
    }
}

/// One warp per row: P from scores and the statistics of the forward pass, +0 where unseen.
__global__ void probabilities_kernel(float* s, const float* stats, uint32_t t, bool causal) {
    const auto [row, z, seen, inside] = row_of(t, causal);
    if (!inside) return;
    const size_t group = size_t{z} * t + row;
    const float m = stats[group * 2], is = stats[group * 2 + 1];
    for (uint32_t j = lane_id(); j < t; j += kWarp)
        s[group * t + j] = j < seen ? mul(exp_of(sub(s[group * t + j], m)), is) : 0.0F;
}

struct ScoreGrad {
    float* dp;  ///< t x t per head; overwritten with dS
    const float* p;
    Source d_out, out;
    bool causal;
};

/// One warp per row: dS = P * (dP - dot), +0 where unseen.
__global__ void score_grad_kernel(ScoreGrad a) {
    const uint32_t t = a.d_out.rows;
    const auto [row, z, seen, inside] = row_of(t, a.causal);
    if (!inside) return;
    const float* const dy = a.d_out.data + a.d_out.spread.offset(z) + row * a.d_out.stride;
    const float* const y = a.out.data + a.out.spread.offset(z) + row * a.out.stride;
    const float dot =
        warp_reduce(a.d_out.cols, [dy, y](float acc, size_t i) { return fused(dy[i], y[i], acc); });
    const size_t begin = (size_t{z} * t + row) * t;
    for (uint32_t j = lane_id(); j < t; j += kWarp)
        a.dp[begin + j] = j < seen ? mul(a.p[begin + j], sub(a.dp[begin + j], dot)) : 0.0F;
}

dim3 row_grid(const Heads& h) {
    return dim3(blocks_for(h.t, kWarpsPerBlock), 1, h.count);
}

/// S = Q K^T * alpha where it is seen.
float* scores(Context& on, const Heads& h, const float* qkv) {
    const Operand q = quantise_rows(on, h.count, h.of_qkv(qkv, 0), {});
    const Operand k = quantise_rows(on, h.count, h.of_qkv(qkv, 1), {});
    auto* const s = on.take<float>(size_t{h.count} * h.t * h.t);
    multiply(on, h.count, q, k, h.to_square(s, h.alpha));
    return s;
}

void forward_group(Context& on, float* out, float* stats, const float* qkv, const Heads& h) {
    on.begin();
    float* const s = scores(on, h, qkv);
    const Operand v = quantise_rows(on, h.count, h.of_qkv(qkv, 2), {});
    const Operand p = take_operand(on, h.count, h.t, h.t);
    on.launch(
        {row_grid(h), kThreads}, softmax_kernel,
        Softmax{s, v.scale, stats + size_t{h.first} * h.t * 2, p, on.nonfinite_flag(), h.causal});
    ProductOut to{out, h.d, h.in_rows_of(h.d)};
    to.triangle = h.zero_outside(Triangle::up_to_row);
    multiply(on, h.count, p, transpose(on, h.count, v, h.hd), to);
}

/// dV = P^T dO.
void grad_v(Context& on, float* dqkv, const Heads& h, const float* p, const Source& d_out,
            const Words& words) {
    ProductOut to = h.to_qkv(dqkv, 2);
    to.triangle = h.zero_outside(Triangle::from_row);
    const Operand left = quantise_cols(on, h.count, h.of_square(p), {});
    multiply(on, h.count, left, quantise_cols(on, h.count, d_out, words), to);
}

/// dS in scratch memory.
float* grad_scores(Context& on, const AttentionGradInputs& in, const Heads& h, const float* p,
                   const Words& words) {
    const Source d_out = h.of_out(in.d_out);
    const Operand left = quantise_rows(on, h.count, d_out, words);
    const Operand v = quantise_rows(on, h.count, h.of_qkv(in.qkv, 2), {});
    auto* const dp = on.take<float>(size_t{h.count} * h.t * h.t);
    multiply(on, h.count, left, v, h.to_square(dp, 1.0F));
    on.launch({row_grid(h), kThreads}, score_grad_kernel,
              ScoreGrad{dp, p, d_out, h.of_out(in.out), h.causal});
    return dp;
}

void backward_group(Context& on, float* dqkv, const AttentionGradInputs& in, const Heads& h,
                    const AttentionNoise& noise) {
    on.begin();
    float* const p = scores(on, h, in.qkv);
    on.launch({row_grid(h), kThreads}, probabilities_kernel, p,
              in.stats + size_t{h.first} * h.t * 2, h.t, h.causal);
    const Words of_do{noise.seed, noise.step, noise.tensor_do, true, 0};
    grad_v(on, dqkv, h, p, h.of_out(in.d_out), of_do);
    const float* const ds = grad_scores(on, in, h, p, of_do);
    const Words of_ds{noise.seed, noise.step, noise.tensor_ds, true, uint64_t{h.first} * h.t * h.t};
    ProductOut dq = h.to_qkv(dqkv, 0);
    dq.alpha = h.alpha;
    dq.triangle = h.zero_outside(Triangle::up_to_row);
    const Operand by_row = quantise_rows(on, h.count, h.of_square(ds), of_ds);
    multiply(on, h.count, by_row, quantise_cols(on, h.count, h.of_qkv(in.qkv, 1), {}), dq);
    ProductOut dk = h.to_qkv(dqkv, 1);
    dk.alpha = h.alpha;
    dk.triangle = h.zero_outside(Triangle::from_row);
    const Operand by_col = quantise_cols(on, h.count, h.of_square(ds), of_ds);
    multiply(on, h.count, by_col, quantise_cols(on, h.count, h.of_qkv(in.qkv, 0), {}), dk);
}

}  // namespace

void attention(Context& on, float* out, float* stats, const float* qkv, AttentionShape s) {
    for_each_group(on, s, 5, [&](const Heads& h) { forward_group(on, out, stats, qkv, h); });
}

void attention_grad(Context& on, float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                    const AttentionNoise& noise) {
    for_each_group(on, s, 11, [&](const Heads& h) { backward_group(on, dqkv, in, h, noise); });
}

}  // namespace trainyard::cuda
