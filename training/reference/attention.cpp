// SPDX-License-Identifier: Apache-2.0
// Attention forward and backward, causal or full: docs/spec/numerics.md, section 10.
#include "training/reference/attention.hpp"

#include <cmath>

#include "training/numerics/functions.hpp"
#include "training/numerics/reduce.hpp"

namespace trainyard::training::reference {

namespace {

/// Where one head lies inside qkv, out and their gradients.
struct Head {
    size_t t, hd, d, row0, col;
    float alpha;
    bool causal;
    [[nodiscard]] size_t seen(size_t i) const { return causal ? i + 1 : t; }
    [[nodiscard]] MatrixView of_qkv(const float* qkv, size_t part) const {
        return {qkv + row0 * 3 * d + part * d + col, t, hd, 3 * d};
    }
    [[nodiscard]] MatrixView of_out(const float* out) const {
        return {out + row0 * d + col, t, hd, d};
    }
    [[nodiscard]] float* to_qkv(float* dqkv, size_t part) const {
        return dqkv + row0 * 3 * d + part * d + col;
    }
};

Head head_of(AttentionShape s, size_t b, size_t h) {
    const size_t d = size_t{s.h} * s.hd;
    const float alpha = 1.0F / std::sqrt(static_cast<float>(s.hd));
    return {s.t, s.hd, d, b * s.t, h * s.hd, alpha, s.causal};
}

void clear_unseen(std::vector<float>& x, const Head& head) {
    for (size_t i = 0; i < head.t; ++i)
        for (size_t j = head.seen(i); j < head.t; ++j) x[i * head.t + j] = 0.0F;
}

void softmax_row(HeadForward& f, size_t i, const Head& head) {
    const size_t seen = head.seen(i);
    const float* s = &f.s[i * head.t];
    float* p = &f.p[i * head.t];
    float m = s[0];
    for (size_t j = 1; j < seen; ++j) m = s[j] > m ? s[j] : m;
    for (size_t j = 0; j < seen; ++j) p[j] = exp(s[j] - m);
    const float sum = reduce(seen, [p](float acc, size_t j) { return acc + p[j]; });
    const float is = 1.0F / sum;
    for (size_t j = 0; j < seen; ++j) p[j] = p[j] * is;
    f.row_max.push_back(m);
    f.row_is.push_back(is);
}

}  // namespace

HeadForward attend(float* out, const float* qkv, AttentionShape s, size_t b, size_t h) {
    const Head head = head_of(s, b, h);
    const size_t t = head.t;
    HeadForward f;
    const Quantised q = quantise(head.of_qkv(qkv, 0), Grouping::rows, {});
    const Quantised k = quantise(head.of_qkv(qkv, 1), Grouping::rows, {});
    f.v = quantise(head.of_qkv(qkv, 2), Grouping::rows, {});
    f.s.resize(t * t);
    f.p.assign(t * t, 0.0F);
    const ProductSize scores{t, t, head.hd};
    dequantise(f.s.data(), t, multiply(q, k, Form::nt, scores), scores, q.scale.data(),
               k.scale.data(), &head.alpha);
    clear_unseen(f.s, head);
    for (size_t i = 0; i < t; ++i) softmax_row(f, i, head);
    std::vector<float> scaled(t * t);
    for (size_t i = 0; i < t; ++i)
        for (size_t j = 0; j < t; ++j) scaled[i * t + j] = f.p[i * t + j] * f.v.scale[j];
    f.p_scaled = quantise({scaled.data(), t, t, t}, Grouping::rows, {});
    const ProductSize mix{t, head.hd, t};
    const std::vector<float> ones(head.hd, 1.0F);
    dequantise(out + head.row0 * head.d + head.col, head.d,
               multiply(f.p_scaled, f.v, Form::nn, mix), mix, f.p_scaled.scale.data(), ones.data(),
               nullptr);
    f.nonfinite = q.nonfinite || k.nonfinite || f.v.nonfinite || f.p_scaled.nonfinite;
    return f;
}

namespace {

/// dV = P^T dO.
bool grad_v(float* dqkv, const Head& head, const HeadForward& f, const MatrixView& d_out,
            const Rounding& rounding) {
    const size_t t = head.t;
    const Quantised p = quantise({f.p.data(), t, t, t}, Grouping::cols, {});
    const Quantised by_col = quantise(d_out, Grouping::cols, rounding);
    const ProductSize size{t, head.hd, t};
    dequantise(head.to_qkv(dqkv, 2), 3 * head.d, multiply(p, by_col, Form::tn, size), size,
               p.scale.data(), by_col.scale.data(), nullptr);
    return p.nonfinite || by_col.nonfinite;
}

/// dS = P * (dO V^T - dot), zero where nothing is seen.
void grad_scores(HeadBackward& g, const Head& head, const HeadForward& f, const MatrixView& d_out,
                 const MatrixView& out, const Rounding& rounding) {
    const size_t t = head.t;
    const Quantised by_row = quantise(d_out, Grouping::rows, rounding);
    const ProductSize size{t, t, head.hd};
    g.dp.resize(t * t);
    g.ds.assign(t * t, 0.0F);
    dequantise(g.dp.data(), t, multiply(by_row, f.v, Form::nt, size), size, by_row.scale.data(),
               f.v.scale.data(), nullptr);
    clear_unseen(g.dp, head);
    for (size_t i = 0; i < t; ++i) {
        const float* a = d_out.data + i * d_out.stride;
        const float* o = out.data + i * out.stride;
        const float dot =
            reduce(head.hd, [a, o](float acc, size_t d) { return fma(a[d], o[d], acc); });
        g.dot.push_back(dot);
        for (size_t j = 0; j < head.seen(i); ++j)
            g.ds[i * t + j] = f.p[i * t + j] * (g.dp[i * t + j] - dot);
    }
    g.nonfinite |= by_row.nonfinite;
}

}  // namespace

HeadBackward attend_grad(float* dqkv, const AttentionGradInputs& in, const HeadForward& forward,
                         AttentionShape s, size_t b, size_t h, AttentionNoise noise) {
    const Head head = head_of(s, b, h);
    const size_t t = head.t;
    HeadBackward g;
    const MatrixView d_out = head.of_out(in.d_out);
    const Rounding of_do{
        {noise.seed, noise.step, noise.tensor_do}, head.row0 * head.d + head.col, head.d};
    g.nonfinite = grad_v(dqkv, head, forward, d_out, of_do);
    grad_scores(g, head, forward, d_out, head.of_out(in.out), of_do);
    const Rounding of_ds{
        {noise.seed, noise.step, noise.tensor_ds}, (uint64_t{b} * s.h + h) * t * t, t};
    const MatrixView ds{g.ds.data(), t, t, t};
    const Quantised ds_row = quantise(ds, Grouping::rows, of_ds);
    const Quantised ds_col = quantise(ds, Grouping::cols, of_ds);
    const Quantised k = quantise(head.of_qkv(in.qkv, 1), Grouping::cols, {});
    const Quantised q = quantise(head.of_qkv(in.qkv, 0), Grouping::cols, {});
    const ProductSize size{t, head.hd, t};
    dequantise(head.to_qkv(dqkv, 0), 3 * head.d, multiply(ds_row, k, Form::nn, size), size,
               ds_row.scale.data(), k.scale.data(), &head.alpha);
    dequantise(head.to_qkv(dqkv, 1), 3 * head.d, multiply(ds_col, q, Form::tn, size), size,
               ds_col.scale.data(), q.scale.data(), &head.alpha);
    g.nonfinite |= ds_row.nonfinite || ds_col.nonfinite || k.nonfinite || q.nonfinite;
    return g;
}

bool attention_head(float* out, float* stats, const float* qkv, AttentionShape s, size_t head) {
    const HeadForward f = attend(out, qkv, s, head / s.h, head % s.h);
    for (size_t i = 0; i < s.t; ++i) {
        float* row = stats + (head * s.t + i) * 2;
        row[0] = f.row_max[i];
        row[1] = f.row_is[i];
    }
    return f.nonfinite;
}

bool attention_head_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s, size_t head,
                         AttentionNoise noise) {
    const size_t b = head / s.h, h = head % s.h;
    std::vector<float> unused(size_t{s.b} * s.t * s.h * s.hd);
    const HeadForward f = attend(unused.data(), in.qkv, s, b, h);
    return attend_grad(dqkv, in, f, s, b, h, noise).nonfinite || f.nonfinite;
}

bool attention(float* out, float* stats, const float* qkv, AttentionShape s) {
    bool nonfinite = false;
    for (size_t head = 0; head < size_t{s.b} * s.h; ++head)
        nonfinite |= attention_head(out, stats, qkv, s, head);
    return nonfinite;
}

bool attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                    AttentionNoise noise) {
    bool nonfinite = false;
    for (size_t head = 0; head < size_t{s.b} * s.h; ++head)
        nonfinite |= attention_head_grad(dqkv, in, s, head, noise);
    return nonfinite;
}

}  // namespace trainyard::training::reference
