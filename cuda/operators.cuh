// SPDX-License-Identifier: Apache-2.0
// Host entry points of the operators that are no plain products; shapes as in training/backend.hpp.
#pragma once

#include "cuda/context.cuh"
#include "training/backend.hpp"

namespace trainyard::cuda {

struct Maxima;

void embedding(Context& on, float* x, const uint32_t* tokens, const float* e, const float* pos,
               training::EmbeddingShape s);
void embedding_grad(Context& on, float* de, float* dpos, const uint32_t* tokens, const float* d,
                    training::EmbeddingShape s);
void rms_norm(Context& on, float* y, float* r, const float* x, const float* g,
              training::MatrixShape s);
void rms_norm_grad(Context& on, float* dx, float* dg, const training::RmsNormGradInputs& in,
                   training::MatrixShape s);
void attention(Context& on, float* out, float* stats, const float* qkv, training::AttentionShape s);
void attention_grad(Context& on, float* dqkv, const training::AttentionGradInputs& in,
                    training::AttentionShape s, const training::AttentionNoise& noise);
void add(Context& on, float* y, const float* a, const float* b, size_t count);
void gelu(Context& on, float* y, const float* u, size_t count);
void gelu_grad(Context& on, float* du, const float* da, const float* u, size_t count);
void cross_entropy(Context& on, float* losses, const float* z, const uint32_t* targets,
                   training::MatrixShape s);
/// Without `losses` the gradient alone.
void cross_entropy_both(Context& on, float* losses, float* dz, const float* z,
                        const uint32_t* targets, training::MatrixShape s, float inv_n);
/// True if a loss that waits can leave the maxima of its gradient.
[[nodiscard]] bool loss_leaves_maxima(const Context& on, const Waiting& w);
/// As part of the operator that has begun. Precondition: `loss_leaves_maxima`; `out` has zeros.
void loss_with_maxima(Context& on, const Waiting& w, const Maxima& out);
void sum(Context& on, float* out, const float* x, size_t count);
void sum_squares(Context& on, float* out, const float* x, size_t count);
/// out[k]: of tensor k.
void sums_of_squares(Context& on, float* out, std::span<const training::TensorView> tensors);
void check_finite(Context& on, const float* x, size_t count);
void clip_norm(Context& on, float* out, const float* squares, size_t count, float limit);
void tile_roots(Context& on, void* out, std::span<const training::TensorView> tensors);
void adamw_all(Context& on, std::span<const training::TensorUpdate> all,
               const training::AdamwScalars& s, training::StateSums* sums);
void sgd_all(Context& on, std::span<const training::TensorUpdate> all,
             const training::SgdScalars& s, training::StateSums* sums);
/// Products of any two values; each opens an operator of its own.
void matmul(Context& on, const training::OpCall& call);
void matmul_grad(Context& on, const training::OpCall& call);
void linear_grad_x(Context& on, const training::OpCall& call);
/// The operators of Backend::apply.
void apply(Context& on, const training::OpCall& call);

}  // namespace trainyard::cuda
