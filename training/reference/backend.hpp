// SPDX-License-Identifier: Apache-2.0
// The reference operators as a backend: one thread, host memory, plain loops.
#pragma once

#include "training/backend.hpp"

namespace trainyard::training::reference {

/// Host memory shared by all CPU backends: zero-filled, 64-byte aligned.
[[nodiscard]] void* allocate_host(size_t bytes);
void release_host(void* memory);

class ReferenceBackend final : public Backend {
public:
    [[nodiscard]] std::string name() const override { return "reference"; }
    [[nodiscard]] Recipe recipe() const override { return Recipe::rmp1; }
    [[nodiscard]] bool is_host() const override { return true; }
    [[nodiscard]] void* allocate(size_t bytes) override;
    void release(void* memory) override;
    void upload(void* to, const void* from_host, size_t bytes) override;
    void download(void* to_host, const void* from, size_t bytes) override;
    void fill_zero(float* x, size_t count) override;
    [[nodiscard]] Result<BackendStatus, BackendError> finish() override;
    void embedding(float* x, const uint32_t* tokens, const float* e, const float* pos,
                   EmbeddingShape s) override;
    void embedding_grad(float* de, float* dpos, const uint32_t* tokens, const float* d,
                        EmbeddingShape s) override;
    void rms_norm(float* y, float* r, const float* x, const float* g, MatrixShape s) override;
    void rms_norm_grad(float* dx, float* dg, const RmsNormGradInputs& in, MatrixShape s) override;
    void linear(float* y, const float* x, const float* w, LinearShape s) override;
    void linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                     Noise noise) override;
    void attention(float* out, float* stats, const float* qkv, AttentionShape s) override;
    void attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                        AttentionNoise noise) override;
    void add(float* y, const float* a, const float* b, size_t count) override;
    void gelu(float* y, const float* u, size_t count) override;
    void gelu_grad(float* du, const float* da, const float* u, size_t count) override;
    void cross_entropy(float* losses, const float* z, const uint32_t* targets,
                       MatrixShape s) override;
    void cross_entropy_grad(float* dz, const float* z, const uint32_t* targets, MatrixShape s,
                            float inv_n) override;
    void sum(float* out, const float* x, size_t count) override;
    void sum_squares(float* out, const float* x, size_t count) override;
    void check_finite(const float* x, size_t count) override;
    void adamw(const AdamwTensors& tensors, size_t count, const AdamwScalars& s, float wd) override;
    void clip_norm(float* out, const float* squares, size_t count, float limit) override;
    void sgd(const AdamwTensors& tensors, size_t count, const SgdScalars& s, float wd) override;
    void tile_roots(void* out, std::span<const TensorView> tensors) override;
    void apply(const OpCall& call) override;

private:
    bool nonfinite_ = false;
};

}  // namespace trainyard::training::reference
