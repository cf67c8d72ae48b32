// SPDX-License-Identifier: Apache-2.0
// The operators without a function of their own: the reference's tasks, shared among threads, and
// products on the fast operands.
#include <algorithm>
#include <atomic>

#include "core/assert.hpp"
#include "training/cpu/backend.hpp"
#include "training/reference/attention.hpp"
#include "training/reference/matmul.hpp"
#include "training/reference/operators.hpp"
#include "training/reference/ops.hpp"

namespace trainyard::training::cpu {

namespace {
constexpr size_t kElementsPerTask = 16384;
}  // namespace

void CpuBackend::apply(const OpCall& call) {
    const reference::Kernel* const kernel = reference::find_kernel(call.op);
    ASSERT(kernel != nullptr);
    std::atomic<bool> nonfinite = false;
    ranges(kernel->tasks(call), kernel->tasks_per_thread, [&](size_t first, size_t last) {
        if (kernel->run(call, first, last)) nonfinite = true;
    });
    nonfinite_ = nonfinite_ || nonfinite;
}

void CpuBackend::full_attention(float* out, float* stats, const float* qkv, AttentionShape s) {
    std::atomic<bool> nonfinite = false;
    pool_.run(size_t{s.b} * s.h, [&](size_t head, size_t) {
        if (reference::attention_head(out, stats, qkv, s, head)) nonfinite = true;
    });
    nonfinite_ = nonfinite_ || nonfinite;
}

void CpuBackend::full_attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                                     AttentionNoise noise) {
    std::atomic<bool> nonfinite = false;
    pool_.run(size_t{s.b} * s.h, [&](size_t head, size_t) {
        if (reference::attention_head_grad(dqkv, in, s, head, noise)) nonfinite = true;
    });
    nonfinite_ = nonfinite_ || nonfinite;
}

void CpuBackend::sgd(const AdamwTensors& t, size_t count, const SgdScalars& s, float wd) {
    ranges(count, kElementsPerTask, [&](size_t first, size_t last) {
        reference::sgd({t.w + first, t.m + first, nullptr, t.g + first}, last - first, s, wd);
    });
}

}  // namespace trainyard::training::cpu
