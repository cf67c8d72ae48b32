// SPDX-License-Identifier: Apache-2.0
// One attention head on the kernels of a table.
#pragma once

#include <utility>

#include "training/cpu/operands.hpp"

namespace trainyard::training::cpu {

/// Runs heads one after the other; each thread has its own.
class HeadWorker {
public:
    explicit HeadWorker(const Kernels& kernels)
        : k_(kernels), a_(kernels), b_(kernels), v_(kernels) {}

    void forward(float* out, float* stats, const float* qkv, AttentionShape s, size_t b, size_t h);
    /// `words`: the rounding words of the whole N x D gradient of the output.
    void backward(float* dqkv, const AttentionGradInputs& in, const uint16_t* words,
                  AttentionShape s, AttentionNoise noise, size_t b, size_t h);
    /// True if an operand held an Inf or NaN since the last call.
    [[nodiscard]] bool take_nonfinite() { return std::exchange(nonfinite_, false); }

private:
    void start(AttentionShape s, size_t b, size_t h);
    [[nodiscard]] Source part(const float* qkv, size_t which) const;
    /// s_ = Q K^T scaled by alpha, on and below the diagonal.
    void scores(const float* qkv);
    void multiply(float* c, size_t stride, const Operand& a, const Operand& b, const float* sb,
                  size_t n, const float* alpha, bool causal);
    void probabilities(const float* stats_in, float* stats_out);
    void grad_scores(const AttentionGradInputs& in, const Source& d_out);

    const Kernels& k_;
    Operand a_, b_, v_;
    Buffer s_buffer_, p_buffer_, words_buffer_;
    float* s_ = nullptr;  ///< t x t: scores, then whatever follows from them
    float* p_ = nullptr;  ///< t x t, zero above the diagonal
    size_t t_ = 0, hd_ = 0, d_ = 0, row0_ = 0, col_ = 0;
    float alpha_ = 1.0F;
    bool nonfinite_ = false;
};

/// Fixed-order sums of any length on kernels that take up to 4,096 elements.
[[nodiscard]] float long_sum(const Kernels& k, const float* x, size_t n);
[[nodiscard]] float long_dot(const Kernels& k, const float* x, const float* y, size_t n);

}  // namespace trainyard::training::cpu
