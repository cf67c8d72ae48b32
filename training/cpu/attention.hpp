// SPDX-License-Identifier: Apache-2.0
// One attention head on the kernels of a table, block by block of its T x T scores.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "training/cpu/head_sums.hpp"
#include "training/cpu/operands.hpp"

namespace trainyard::training::cpu {

/// Runs heads one after the other; each thread has its own.
///
/// No T x T matrix is kept. Forward, a strip of rows is whole: its softmax and the scales of its
/// rows need no other. Backward, dV and dK need scales over columns and dQ over rows: scores are
/// made again from the row statistics, first in blocks of columns, then in blocks of rows. A head
/// whose scores fit the cache is one block of both.
///
/// The products of a head are checked when it is done, and it is made again if one was wrong.
class HeadWorker {
public:
    /// `before_product`: called when a product's left operand was counted and it is about to run.
    HeadWorker(const Kernels& kernels, BeforeProduct before_product);

    void forward(float* out, float* stats, const float* qkv, AttentionShape s, size_t b, size_t h);
    /// `words`: the rounding words of the whole N x D gradient of the output.
    void backward(float* dqkv, const AttentionGradInputs& in, const uint16_t* words,
                  AttentionShape s, AttentionNoise noise, size_t b, size_t h);
    /// True if an operand held an Inf or NaN since the last call.
    [[nodiscard]] bool take_nonfinite() { return std::exchange(nonfinite_, false); }
    /// How often a head had to be made again since the last call.
    [[nodiscard]] uint64_t take_wrong() { return std::exchange(wrong_, 0); }
    /// True if a head was wrong again and again since the last call.
    [[nodiscard]] bool take_failed() { return std::exchange(failed_, false); }

private:
    /// first, first + 1, ... last - 1.
    struct Range {
        size_t first = 0, last = 0;
        [[nodiscard]] size_t size() const { return last - first; }
    };
    /// Rows and columns of the scores whose values lie in s_ and p_, `stride_` apart.
    struct Block {
        Range rows, cols;
    };

    void start(AttentionShape s, size_t b, size_t h);
    /// Calls `work`, which says whether the head's products fit, until they do.
    void repeat(const std::function<bool()>& work);
    [[nodiscard]] bool make_output(float* out, float* stats, const float* qkv);
    [[nodiscard]] bool make_gradient(float* dqkv, const AttentionGradInputs& in,
                                     const uint16_t* words, AttentionNoise noise);
    [[nodiscard]] Source part(const float* qkv, size_t which) const;
    [[nodiscard]] Range seeing(Range cols) const { return {shape_.causal ? cols.first : 0, t_}; }
    [[nodiscard]] Range seen(Range rows) const { return {0, shape_.causal ? rows.last : t_}; }
    /// How many columns of the block row i sees.
    [[nodiscard]] size_t seen_in_block(size_t i) const;
    [[nodiscard]] size_t at(size_t i) const { return (i - block_.rows.first) * stride_; }
    void open(Block block);
    void fill_rows(Operand& o, const Source& s, Side side);
    void fill_cols(Operand& o, const Source& s, Side side);
    /// s_ = a product of operands of the head, above the diagonal perhaps unwritten.
    void multiply_block(const Operand& a, const Operand& b, ScoreSums& sums, const float* alpha);
    /// c (rows of a_ x hd) = a_ times the rows `terms` of the source of `b`.
    void multiply_strip(float* c, size_t stride, const Operand& b, Range terms, StripSums& sums,
                        const float* sb, const float* alpha);
    void softmax_rows(float* stats);
    void probabilities(const float* stats);
    void grad_scores();
    void make_words(AttentionNoise noise);
    void make_row_words(uint16_t* to, uint64_t first, size_t count, AttentionNoise noise);
    void fill_block(Block block, const float* stats, AttentionNoise noise);
    void grads_of_cols(float* dqkv);
    void grads_of_rows(float* dqkv);
    void foresee_scores(ScoreParts parts);
    [[nodiscard]] bool scores_fit() const { return scores_.fit() && score_grads_.fit(); }

    const Kernels& k_;
    BeforeProduct before_product_;
    Operand a_, q_, key_, v_, do_rows_, do_cols_, q_cols_, key_cols_;
    Buffer s_buffer_, p_buffer_, words_buffer_, row_words_buffer_;
    AttentionShape shape_;
    Block block_;
    size_t stride_ = 0;
    float* s_ = nullptr;         ///< scores of the block, then their gradients
    float* p_ = nullptr;         ///< probabilities of the block, zero where nothing is seen
    uint16_t* words_ = nullptr;  ///< rounding words of the block's gradients
    std::vector<float> dot_;
    std::vector<int32_t> flip_sums_;
    ScoreSums scores_, score_grads_;
    StripSums out_sums_, dv_sums_, dk_sums_, dq_sums_;
    unsigned attempt_ = 0;
    uint64_t wrong_ = 0;
    size_t t_ = 0, hd_ = 0, d_ = 0, row0_ = 0, col_ = 0;
    uint64_t head_ = 0;
    float alpha_ = 1.0F;
    bool nonfinite_ = false, failed_ = false;
};

/// What one HeadWorker holds for such heads.
struct HeadMemory {
    uint64_t bytes = 0;     ///< beside the operands
    uint64_t elements = 0;  ///< quantised elements of operands
};
[[nodiscard]] HeadMemory head_memory(AttentionShape s);

/// Fixed-order sums of any length on kernels that take up to 4,096 elements.
[[nodiscard]] float long_sum(const Kernels& k, const float* x, size_t n);
[[nodiscard]] float long_dot(const Kernels& k, const float* x, const float* y, size_t n);

}  // namespace trainyard::training::cpu
