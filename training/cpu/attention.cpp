// SPDX-License-Identifier: Apache-2.0
// Causal attention, forward and backward, head by head: docs/spec/numerics.md, section 10.
#include "training/cpu/attention.hpp"

#include <algorithm>
#include <cmath>

#include "training/numerics/reduce.hpp"

namespace trainyard::training::cpu {

float long_sum(const Kernels& k, const float* x, size_t n) {
    if (n <= kChunk) return k.sum(x, n);
    std::vector<float> chunks;
    for (size_t at = 0; at < n; at += kChunk)
        chunks.push_back(k.sum(x + at, std::min(kChunk, n - at)));
    return reduce_chunk_results(std::move(chunks));
}

float long_dot(const Kernels& k, const float* x, const float* y, size_t n) {
    if (n <= kChunk) return k.dot(x, y, n);
    std::vector<float> chunks;
    for (size_t at = 0; at < n; at += kChunk)
        chunks.push_back(k.dot(x + at, y + at, std::min(kChunk, n - at)));
    return reduce_chunk_results(std::move(chunks));
}

void HeadWorker::start(AttentionShape s, size_t b, size_t h) {
    t_ = s.t;
    hd_ = s.hd;
    d_ = size_t{s.h} * s.hd;
    row0_ = b * s.t;
    col_ = h * s.hd;
    alpha_ = 1.0F / std::sqrt(static_cast<float>(s.hd));
    s_ = s_buffer_.floats(t_ * t_);
    p_ = p_buffer_.floats(t_ * t_);
}

Source HeadWorker::part(const float* qkv, size_t which) const {
    return {qkv + row0_ * 3 * d_ + which * d_ + col_, t_, hd_, 3 * d_, nullptr, 0};
}

void HeadWorker::multiply(float* c, size_t stride, const Operand& a, const Operand& b,
                          const float* sb, size_t n, const float* alpha, bool causal) {
    ProductArgs args;
    a.set_left(args);
    b.set_right(args);
    args.sb = sb;
    args.c = c;
    args.c_stride = stride;
    args.alpha = alpha;
    args.m = t_;
    args.n = n;
    args.causal = causal;
    k_.product(args, 0, t_, 0, n);
    nonfinite_ = nonfinite_ || a.nonfinite() || b.nonfinite();
}

void HeadWorker::scores(const float* qkv) {
    a_.begin_rows(part(qkv, 0), Side::left);
    a_.fill_rows(0, t_);
    b_.begin_rows(part(qkv, 1), Side::right);
    b_.fill_rows(0, t_);
    multiply(s_, t_, a_, b_, b_.scale(), t_, &alpha_, true);
}

void HeadWorker::probabilities(const float* stats_in, float* stats_out) {
    for (size_t i = 0; i < t_; ++i) {
        float* row = s_ + i * t_;
        const LossStats stats = k_.exp_row(row, row, i + 1);
        float is = 0;
        if (stats_in != nullptr) {
            is = stats_in[2 * i + 1];
        } else {
            is = 1.0F / (i + 1 <= kChunk ? stats.sum : long_sum(k_, row, i + 1));
            stats_out[2 * i] = stats.max;
            stats_out[2 * i + 1] = is;
        }
        k_.scale(p_ + i * t_, row, i + 1, is);
        std::fill(p_ + i * t_ + i + 1, p_ + (i + 1) * t_, 0.0F);
    }
}

void HeadWorker::forward(float* out, float* stats, const float* qkv, AttentionShape s, size_t b,
                         size_t h) {
    start(s, b, h);
    scores(qkv);
    probabilities(nullptr, stats + (b * s.h + h) * t_ * 2);
    v_.right_by_term(part(qkv, 2));
    for (size_t i = 0; i < t_; ++i) k_.multiply(p_ + i * t_, p_ + i * t_, v_.scale(), i + 1);
    a_.begin_rows({p_, t_, t_, t_, nullptr, 0}, Side::left);
    a_.fill_rows(0, t_);
    const std::vector<float> ones(hd_, 1.0F);
    multiply(out + row0_ * d_ + col_, d_, a_, v_, ones.data(), hd_, nullptr, false);
}

void HeadWorker::grad_scores(const AttentionGradInputs& in, const Source& d_out) {
    a_.begin_rows(d_out, Side::left);
    a_.fill_rows(0, t_);
    v_.begin_rows(part(in.qkv, 2), Side::right);
    v_.fill_rows(0, t_);
    multiply(s_, t_, a_, v_, v_.scale(), t_, nullptr, true);
    const float* out = in.out + row0_ * d_ + col_;
    for (size_t i = 0; i < t_; ++i) {
        float* row = s_ + i * t_;
        const float dot = long_dot(k_, d_out.x + i * d_, out + i * d_, hd_);
        k_.score_grad(row, p_ + i * t_, row, dot, i + 1);
        std::fill(row + i + 1, row + t_, 0.0F);
    }
}

void HeadWorker::backward(float* dqkv, const AttentionGradInputs& in, const uint16_t* words,
                          AttentionShape s, AttentionNoise noise, size_t b, size_t h) {
    start(s, b, h);
    scores(in.qkv);
    probabilities(in.stats + (b * s.h + h) * t_ * 2, nullptr);
    float* to = dqkv + row0_ * 3 * d_ + col_;
    const size_t at = row0_ * d_ + col_;
    const Source d_out{in.d_out + at, t_, hd_, d_, words + at, d_};
    a_.begin_cols({p_, t_, t_, t_, nullptr, 0}, Side::left);
    a_.fill_cols(0, t_);
    b_.begin_cols(d_out, Side::right);
    b_.fill_cols(0, hd_);
    multiply(to + 2 * d_, 3 * d_, a_, b_, b_.scale(), hd_, nullptr, false);
    grad_scores(in, d_out);
    const uint64_t first = (uint64_t{b} * s.h + h) * t_ * t_;
    const size_t blocks = (first % 8 + t_ * t_ + 7) / 8;
    uint16_t* ds_words = words_buffer_.words(blocks * 8);
    k_.words(ds_words, first / 8, blocks, {noise.seed, noise.step, noise.tensor_ds});
    const Source ds{s_, t_, t_, t_, ds_words + first % 8, t_};
    a_.begin_rows(ds, Side::left);
    a_.fill_rows(0, t_);
    b_.begin_cols(part(in.qkv, 1), Side::right);
    b_.fill_cols(0, hd_);
    multiply(to, 3 * d_, a_, b_, b_.scale(), hd_, &alpha_, false);
    a_.begin_cols(ds, Side::left);
    a_.fill_cols(0, t_);
    b_.begin_cols(part(in.qkv, 0), Side::right);
    b_.fill_cols(0, hd_);
    multiply(to + d_, 3 * d_, a_, b_, b_.scale(), hd_, &alpha_, false);
}

}  // namespace trainyard::training::cpu
