// SPDX-License-Identifier: Apache-2.0
// Attention, forward and backward, head by head: docs/spec/numerics.md, section 10.
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

namespace {

constexpr size_t kStrip = 64;                       ///< rows or columns that are quantised at once
constexpr size_t kBlockElements = size_t{1} << 16;  ///< whose floats stay in a cache

/// Columns or rows of a block of the backward pass; a multiple of the strip, or all.
size_t block_width(size_t t) {
    if (t * t <= kBlockElements) return t;
    return std::max(kStrip, kBlockElements / t / kStrip * kStrip);
}

size_t rounded(size_t n) {
    return (n + 15) / 16 * 16;
}

}  // namespace

HeadMemory head_memory(AttentionShape s) {
    const uint64_t t = s.t, hd = rounded(s.hd), width = block_width(s.t);
    constexpr uint64_t kBytes = 2 * sizeof(float) + sizeof(uint16_t);  // s_, p_, words
    // Seven operands of the head, one of a strip, their scales, and what checks add up.
    return {width * rounded(t) * kBytes + (7 * 12 + 8 * 4) * t, 7 * t * hd + kStrip * t};
}

HeadWorker::HeadWorker(const Kernels& kernels, BeforeProduct before_product)
    : k_(kernels),
      before_product_(std::move(before_product)),
      a_(kernels),
      q_(kernels),
      key_(kernels),
      v_(kernels),
      do_rows_(kernels),
      do_cols_(kernels),
      q_cols_(kernels),
      key_cols_(kernels),
      scores_(kernels),
      score_grads_(kernels),
      out_sums_(kernels),
      dv_sums_(kernels),
      dk_sums_(kernels),
      dq_sums_(kernels) {}

void HeadWorker::start(AttentionShape s, size_t b, size_t h) {
    shape_ = s;
    t_ = s.t;
    hd_ = s.hd;
    d_ = size_t{s.h} * s.hd;
    row0_ = b * s.t;
    col_ = h * s.hd;
    head_ = uint64_t{b} * s.h + h;
    alpha_ = 1.0F / std::sqrt(static_cast<float>(s.hd));
}

void HeadWorker::repeat(const std::function<bool()>& work) {
    const bool before = nonfinite_;
    for (attempt_ = 0; attempt_ < kProductAttempts; ++attempt_) {
        nonfinite_ = before;  // a wrong product may make an Inf
        if (work()) return;
        ++wrong_;
    }
    failed_ = true;
}

Source HeadWorker::part(const float* qkv, size_t which) const {
    return {qkv + row0_ * 3 * d_ + which * d_ + col_, t_, hd_, 3 * d_, nullptr, 0};
}

size_t HeadWorker::seen_in_block(size_t i) const {
    const Range cols = block_.cols;
    return std::clamp(shape_.seen(i), cols.first, cols.last) - cols.first;
}

void HeadWorker::open(Block block) {
    block_ = block;
    stride_ = rounded(block.cols.size());
    s_ = s_buffer_.floats(block.rows.size() * stride_);
    p_ = p_buffer_.floats(block.rows.size() * stride_);
}

void HeadWorker::fill_rows(Operand& o, const Source& s, Side side) {
    o.begin_rows(s, side);
    o.fill_rows(0, s.rows);
    nonfinite_ = nonfinite_ || o.nonfinite();
}
void HeadWorker::fill_cols(Operand& o, const Source& s, Side side) {
    o.begin_cols(s, side);
    o.fill_cols(0, s.cols);
    nonfinite_ = nonfinite_ || o.nonfinite();
}

void HeadWorker::multiply_block(const Operand& a, const Operand& b, ScoreSums& sums,
                                const float* alpha) {
    ProductArgs args;
    a.set_left(args, block_.rows.first);
    b.set_right(args, block_.cols.first);
    args.c = s_;
    args.c_stride = stride_;
    args.alpha = alpha;
    args.m = block_.rows.size();
    args.n = block_.cols.size();
    args.causal = shape_.causal;
    args.diagonal = block_.rows.first - block_.cols.first;
    args.column_sums = sums.from(block_.cols.first);
    before_product_(args, attempt_);
    k_.product(args, 0, args.m, 0, args.n);
}

void HeadWorker::multiply_strip(float* c, size_t stride, const Operand& b, Range terms,
                                StripSums& sums, const float* sb, const float* alpha) {
    ProductArgs args;
    a_.set_left(args, 0);
    b.set_right_terms(args, terms.first, terms.size(), flip_sums_);
    args.sb = sb;
    args.c = c;
    args.c_stride = stride;
    args.alpha = alpha;
    args.m = a_.groups();
    args.n = hd_;
    sums.add_rows(args, terms.first);
    before_product_(args, attempt_);
    k_.product(args, 0, args.m, 0, hd_);
}

/// The softmax of the block's rows, which are whole, into p_.
void HeadWorker::softmax_rows(float* stats) {
    for (size_t i = block_.rows.first; i < block_.rows.last; ++i) {
        float *s = s_ + at(i), *p = p_ + at(i);
        const size_t n = shape_.seen(i);
        const LossStats sums = k_.exp_row(s, s, n);
        stats[2 * i] = sums.max;
        stats[2 * i + 1] = 1.0F / (n <= kChunk ? sums.sum : long_sum(k_, s, n));
        k_.scale(p, s, n, stats[2 * i + 1]);
        std::fill(p + n, p + block_.cols.size(), 0.0F);
    }
}

/// The block's probabilities from the statistics of their rows.
void HeadWorker::probabilities(const float* stats) {
    multiply_block(q_, key_, scores_, &alpha_);
    for (size_t i = block_.rows.first; i < block_.rows.last; ++i) {
        float* p = p_ + at(i);
        const size_t n = seen_in_block(i);
        k_.exp_scaled(p, s_ + at(i), n, {stats[2 * i], stats[2 * i + 1]});
        std::fill(p + n, p + block_.cols.size(), 0.0F);
    }
}

void HeadWorker::grad_scores() {
    multiply_block(do_rows_, v_, score_grads_, nullptr);
    for (size_t i = block_.rows.first; i < block_.rows.last; ++i) {
        float* s = s_ + at(i);
        const size_t n = seen_in_block(i);
        k_.score_grad(s, p_ + at(i), s, dot_[i], n);
        std::fill(s + n, s + block_.cols.size(), 0.0F);
    }
}

void HeadWorker::forward(float* out, float* stats, const float* qkv, AttentionShape s, size_t b,
                         size_t h) {
    start(s, b, h);
    repeat([&] { return make_output(out, stats, qkv); });
}

bool HeadWorker::make_output(float* out, float* stats, const float* qkv) {
    fill_rows(q_, part(qkv, 0), Side::left);
    fill_rows(key_, part(qkv, 1), Side::right);
    v_.right_by_term(part(qkv, 2));
    nonfinite_ = nonfinite_ || v_.nonfinite();
    scores_.foresee(q_, key_, shape_, {std::min(kStrip, t_), false});
    out_sums_.begin(t_, hd_);
    const std::vector<float> ones(hd_, 1.0F);
    for (size_t i = 0; i < t_; i += kStrip) {
        const Range rows{i, std::min(t_, i + kStrip)};
        open({rows, seen(rows)});
        multiply_block(q_, key_, scores_, &alpha_);
        softmax_rows(stats + head_ * t_ * 2);
        for (size_t r = 0; r < rows.size(); ++r)
            k_.multiply(p_ + r * stride_, p_ + r * stride_, v_.scale(), shape_.seen(i + r));
        fill_rows(a_, {p_, rows.size(), block_.cols.size(), stride_, nullptr, 0}, Side::left);
        multiply_strip(out + (row0_ + i) * d_ + col_, d_, v_, block_.cols, out_sums_, ones.data(),
                       nullptr);
    }
    return scores_.fit() && out_sums_.fit(v_);
}

/// Row i of the head's scores has the words from (head T + i) T on.
void HeadWorker::make_words(AttentionNoise noise) {
    words_ = words_buffer_.words(block_.rows.size() * stride_);
    for (size_t i = block_.rows.first; i < block_.rows.last; ++i)
        make_row_words(words_ + at(i), (head_ * t_ + i) * t_ + block_.cols.first, seen_in_block(i),
                       noise);
}

void HeadWorker::make_row_words(uint16_t* to, uint64_t first, size_t count, AttentionNoise noise) {
    const PhiloxArgs args{noise.seed, noise.step, noise.tensor_ds};
    const size_t before = first % 8, blocks = (before + count + 7) / 8;
    if (before == 0) return k_.words(to, first / 8, blocks, args);
    uint16_t* all = row_words_buffer_.words(blocks * 8);
    k_.words(all, first / 8, blocks, args);
    std::copy_n(all + before, count, to);
}

/// Probabilities, gradients of the scores and their rounding words.
void HeadWorker::fill_block(Block block, const float* stats, AttentionNoise noise) {
    open(block);
    probabilities(stats);
    grad_scores();
    make_words(noise);
}

/// dV and dK of the block's columns, all rows of which are in it.
void HeadWorker::grads_of_cols(float* dqkv) {
    for (size_t j = block_.cols.first; j < block_.cols.last; j += kStrip) {
        const size_t width = std::min(kStrip, block_.cols.last - j);
        const Range rows{std::max(block_.rows.first, seeing({j, t_}).first), t_};
        const size_t from = at(rows.first) + j - block_.cols.first;
        float* to = dqkv + (row0_ + j) * 3 * d_ + col_;
        fill_cols(a_, {p_ + from, rows.size(), width, stride_, nullptr, 0}, Side::left);
        multiply_strip(to + 2 * d_, 3 * d_, do_cols_, rows, dv_sums_, do_cols_.scale(), nullptr);
        const Source ds{s_ + from, rows.size(), width, stride_, words_ + from, stride_};
        fill_cols(a_, ds, Side::left);
        multiply_strip(to + d_, 3 * d_, q_cols_, rows, dk_sums_, q_cols_.scale(), &alpha_);
    }
}

/// dQ of the block's rows, all columns of which are in it.
void HeadWorker::grads_of_rows(float* dqkv) {
    for (size_t i = block_.rows.first; i < block_.rows.last; i += kStrip) {
        const Range rows{i, std::min(block_.rows.last, i + kStrip)};
        const Range cols = seen(rows);
        const Source ds{s_ + at(i), rows.size(), cols.size(), stride_, words_ + at(i), stride_};
        fill_rows(a_, ds, Side::left);
        multiply_strip(dqkv + (row0_ + i) * 3 * d_ + col_, 3 * d_, key_cols_, cols, dq_sums_,
                       key_cols_.scale(), &alpha_);
    }
}

void HeadWorker::foresee_scores(ScoreParts parts) {
    scores_.foresee(q_, key_, shape_, parts);
    score_grads_.foresee(do_rows_, v_, shape_, parts);
}

void HeadWorker::backward(float* dqkv, const AttentionGradInputs& in, const uint16_t* words,
                          AttentionShape s, AttentionNoise noise, size_t b, size_t h) {
    start(s, b, h);
    repeat([&] { return make_gradient(dqkv, in, words, noise); });
}

bool HeadWorker::make_gradient(float* dqkv, const AttentionGradInputs& in, const uint16_t* words,
                               AttentionNoise noise) {
    const size_t first = row0_ * d_ + col_;
    const Source d_out{in.d_out + first, t_, hd_, d_, words + first, d_};
    fill_rows(q_, part(in.qkv, 0), Side::left);
    fill_rows(key_, part(in.qkv, 1), Side::right);
    fill_rows(v_, part(in.qkv, 2), Side::right);
    fill_rows(do_rows_, d_out, Side::left);
    fill_cols(do_cols_, d_out, Side::right);
    fill_cols(q_cols_, part(in.qkv, 0), Side::right);
    fill_cols(key_cols_, part(in.qkv, 1), Side::right);
    dot_.resize(t_);
    for (size_t i = 0; i < t_; ++i)
        dot_[i] = long_dot(k_, d_out.x + i * d_, in.out + first + i * d_, hd_);
    for (StripSums* sums : {&dv_sums_, &dk_sums_, &dq_sums_}) sums->begin(t_, hd_);
    const float* stats = in.stats + head_ * t_ * 2;
    const size_t width = block_width(t_);
    foresee_scores({width, true});
    for (size_t j = 0; j < t_; j += width) {
        const Range cols{j, std::min(t_, j + width)};
        fill_block({seeing(cols), cols}, stats, noise);
        grads_of_cols(dqkv);
    }
    const bool fit = scores_fit() && dv_sums_.fit(do_cols_) && dk_sums_.fit(q_cols_);
    if (width == t_) {  // the block holds every row
        grads_of_rows(dqkv);
        return fit && dq_sums_.fit(key_cols_);
    }
    foresee_scores({width, false});
    for (size_t i = 0; i < t_; i += width) {
        const Range rows{i, std::min(t_, i + width)};
        fill_block({rows, seen(rows)}, stats, noise);
        grads_of_rows(dqkv);
    }
    return fit && scores_fit() && dq_sums_.fit(key_cols_);
}

}  // namespace trainyard::training::cpu
