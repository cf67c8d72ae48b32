// SPDX-License-Identifier: Apache-2.0
// The plain operators other than products: norms, loss, embedding, optimiser.
#pragma once

#include <cstddef>
#include <cstdint>

#include "training/backend.hpp"
#include "training/numerics/functions.hpp"

namespace trainyard::training::reference {

float sum(const float* x, size_t count);
float sum_squares(const float* x, size_t count);
float dot(const float* x, const float* y, size_t count);

void embedding(float* x, const uint32_t* tokens, const float* e, const float* pos,
               EmbeddingShape s);
void embedding_grad(float* de, float* dpos, const uint32_t* tokens, const float* d,
                    EmbeddingShape s);
void rms_norm(float* y, float* r, const float* x, const float* g, MatrixShape s);
void rms_norm_grad(float* dx, float* dg, const RmsNormGradInputs& in, MatrixShape s);
void gelu(float* y, const float* u, size_t count);
void gelu_grad(float* du, const float* da, const float* u, size_t count);

struct LossRow {
    float max = 0, sum = 0, loss = 0;
};
/// e (may be null) receives exp(z - max).
LossRow loss_row(float* e, const float* z, uint32_t target, size_t cols);
void cross_entropy(float* losses, const float* z, const uint32_t* targets, MatrixShape s);
void cross_entropy_grad(float* dz, const float* z, const uint32_t* targets, MatrixShape s,
                        float inv_n);
void adamw(const AdamwTensors& x, size_t count, const AdamwScalars& s, float wd);
void sgd(const AdamwTensors& x, size_t count, const SgdScalars& s, float wd);
/// `stop`: a flag was raised before.
void clip_norm(float* out, const float* squares, size_t count, float limit, bool stop);
/// False if the factor at `clip` says that nothing is to be updated; takes it over where there is
/// one.
template <class Scalars>
[[nodiscard]] bool take_clip(Scalars& s, const float* clip) {
    if (clip == nullptr) return true;
    s.clip = *clip;
    return !is_nonfinite(s.clip);
}
bool has_nonfinite(const float* x, size_t count);

}  // namespace trainyard::training::reference
