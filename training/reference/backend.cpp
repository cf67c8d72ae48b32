// SPDX-License-Identifier: Apache-2.0
// Hands each call of the seam to the plain operator of the same name.
#include "training/reference/backend.hpp"

#include "training/memory.hpp"

#include <cstdlib>
#include <cstring>

#include "training/numerics/float_mode.hpp"
#include "training/reference/attention.hpp"
#include "training/reference/operators.hpp"
#include "training/reference/ops.hpp"
#include "training/reference/products.hpp"
#include "training/state_root.hpp"

namespace trainyard::training::reference {

void* allocate_host(size_t bytes) {
    void* memory = take_memory(bytes);
    if (memory != nullptr) std::memset(memory, 0, bytes);
    return memory;
}

void release_host(void* memory) {
    release_memory(memory);
}

void* ReferenceBackend::allocate(size_t bytes) {
    return allocate_host(bytes);
}
void ReferenceBackend::release(void* memory) {
    release_host(memory);
}
void ReferenceBackend::upload(void* to, const void* from_host, size_t bytes) {
    if (bytes != 0) std::memcpy(to, from_host, bytes);
}
void ReferenceBackend::download(void* to_host, const void* from, size_t bytes) {
    if (bytes != 0) std::memcpy(to_host, from, bytes);
}
void ReferenceBackend::fill_zero(float* x, size_t count) {
    if (count != 0) std::memset(x, 0, count * sizeof(float));
}
Result<BackendStatus, BackendError> ReferenceBackend::finish() {
    const BackendStatus status{nonfinite_};
    nonfinite_ = false;
    return status;
}
void ReferenceBackend::embedding(float* x, const uint32_t* tokens, const float* e, const float* pos,
                                 EmbeddingShape s) {
    const FloatModeGuard mode;
    reference::embedding(x, tokens, e, pos, s);
}
void ReferenceBackend::embedding_grad(float* de, float* dpos, const uint32_t* tokens,
                                      const float* d, EmbeddingShape s) {
    const FloatModeGuard mode;
    reference::embedding_grad(de, dpos, tokens, d, s);
}
void ReferenceBackend::rms_norm(float* y, float* r, const float* x, const float* g, MatrixShape s) {
    const FloatModeGuard mode;
    reference::rms_norm(y, r, x, g, s);
}
void ReferenceBackend::rms_norm_grad(float* dx, float* dg, const RmsNormGradInputs& in,
                                     MatrixShape s) {
    const FloatModeGuard mode;
    reference::rms_norm_grad(dx, dg, in, s);
}
void ReferenceBackend::linear(float* y, const float* x, const float* w, LinearShape s) {
    const FloatModeGuard mode;
    nonfinite_ |= reference::linear(y, x, w, s);
}
void ReferenceBackend::linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                                   Noise noise) {
    const FloatModeGuard mode;
    nonfinite_ |= reference::linear_grad(dx, dw, in, s, noise);
}
void ReferenceBackend::attention(float* out, float* stats, const float* qkv, AttentionShape s) {
    const FloatModeGuard mode;
    nonfinite_ |= reference::attention(out, stats, qkv, s);
}
void ReferenceBackend::attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                                      AttentionNoise noise) {
    const FloatModeGuard mode;
    nonfinite_ |= reference::attention_grad(dqkv, in, s, noise);
}
void ReferenceBackend::add(float* y, const float* a, const float* b, size_t count) {
    const FloatModeGuard mode;
    for (size_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}
void ReferenceBackend::gelu(float* y, const float* u, size_t count) {
    const FloatModeGuard mode;
    reference::gelu(y, u, count);
}
void ReferenceBackend::gelu_grad(float* du, const float* da, const float* u, size_t count) {
    const FloatModeGuard mode;
    reference::gelu_grad(du, da, u, count);
}
void ReferenceBackend::cross_entropy(float* losses, const float* z, const uint32_t* targets,
                                     MatrixShape s) {
    const FloatModeGuard mode;
    reference::cross_entropy(losses, z, targets, s);
}
void ReferenceBackend::cross_entropy_grad(float* dz, const float* z, const uint32_t* targets,
                                          MatrixShape s, float inv_n) {
    const FloatModeGuard mode;
    reference::cross_entropy_grad(dz, z, targets, s, inv_n);
}
void ReferenceBackend::sum(float* out, const float* x, size_t count) {
    const FloatModeGuard mode;
    *out = reference::sum(x, count);
}
void ReferenceBackend::sum_squares(float* out, const float* x, size_t count) {
    const FloatModeGuard mode;
    *out = reference::sum_squares(x, count);
}
void ReferenceBackend::check_finite(const float* x, size_t count) {
    nonfinite_ |= reference::has_nonfinite(x, count);
}
void ReferenceBackend::clip_norm(float* out, const float* squares, size_t count, float limit) {
    const FloatModeGuard mode;
    reference::clip_norm(out, squares, count, limit, nonfinite_);
}
void ReferenceBackend::adamw(const AdamwTensors& tensors, size_t count, const AdamwScalars& s,
                             float wd) {
    const FloatModeGuard mode;
    AdamwScalars clipped = s;
    if (take_clip(clipped, tensors.clip)) reference::adamw(tensors, count, clipped, wd);
}
void ReferenceBackend::sgd(const AdamwTensors& tensors, size_t count, const SgdScalars& s,
                           float wd) {
    const FloatModeGuard mode;
    SgdScalars clipped = s;
    if (take_clip(clipped, tensors.clip)) reference::sgd(tensors, count, clipped, wd);
}
void ReferenceBackend::tile_roots(void* out, std::span<const TensorView> tensors) {
    training::tile_roots(static_cast<Hash*>(out), tensors);
}
void ReferenceBackend::apply(const OpCall& call) {
    const FloatModeGuard mode;
    nonfinite_ |= reference::apply(call);
}

}  // namespace trainyard::training::reference

namespace trainyard::training {
std::unique_ptr<Backend> make_reference_backend() {
    return std::make_unique<reference::ReferenceBackend>();
}
}  // namespace trainyard::training
