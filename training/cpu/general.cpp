// SPDX-License-Identifier: Apache-2.0
// The operators without a function of their own: the reference's tasks, shared among threads, and
// products on the fast operands.
#include <algorithm>
#include <atomic>
#include <vector>

#include "core/assert.hpp"
#include "training/cpu/backend.hpp"
#include "training/reference/matmul.hpp"
#include "training/reference/operators.hpp"
#include "training/reference/ops.hpp"

namespace trainyard::training::cpu {

namespace {
constexpr size_t kElementsPerTask = 16384;
}  // namespace

void CpuBackend::apply(const OpCall& call) {
    if (call.op == Op::matmul) return matmul(call);
    if (call.op == Op::matmul_grad) return matmul_grad(call);
    if (call.op == Op::linear_grad_x) return linear_grad_x(call);
    const reference::Kernel* const kernel = reference::find_kernel(call.op);
    ASSERT(kernel != nullptr);
    std::atomic<bool> nonfinite = false;
    ranges(kernel->tasks(call), kernel->tasks_per_thread, [&](size_t first, size_t last) {
        if (kernel->run(call, first, last)) nonfinite = true;
    });
    nonfinite_ = nonfinite_ || nonfinite;
}

void CpuBackend::matmul(const OpCall& c) {
    const auto s = reference::matmul_shape(c.in_shape[0], c.in_shape[1], c.attributes.data());
    for (size_t i = 0; i < s.products; ++i) {
        const float* a = c.in[0] + i * s.m * s.k;
        const float* b = c.in[1] + i * s.k * s.n;
        multiply(c.out[0] + i * s.m * s.n, a_, b_, {s.m, s.n}, [&] {
            if (s.turn_a)
                fill_cols(a_, {a, s.k, s.m, s.m, nullptr, 0}, Side::left);
            else
                fill_rows(a_, {a, s.m, s.k, s.k, nullptr, 0}, Side::left);
            if (s.turn_b)
                fill_rows(b_, {b, s.n, s.k, s.k, nullptr, 0}, Side::right);
            else
                fill_cols(b_, {b, s.k, s.n, s.n, nullptr, 0}, Side::right);
        });
    }
}

namespace {

/// Stores a logical rows x cols gradient transposed.
void store_turned(float* to, const std::vector<float>& from, size_t rows, size_t cols) {
    for (size_t r = 0; r < rows; ++r)
        for (size_t col = 0; col < cols; ++col) to[col * rows + r] = from[r * cols + col];
}

}  // namespace

void CpuBackend::matmul_grad(const OpCall& c) {
    const auto s = reference::matmul_shape(c.in_shape[1], c.in_shape[2], c.attributes.data());
    const size_t count = s.products * s.m * s.n;
    uint16_t* words = words_.words((count + 7) / 8 * 8);
    make_words(words, count, {c.seed, c.step, s.noise_tensor});
    std::vector<float> da(s.turn_a ? s.m * s.k : 0), db(s.turn_b ? s.k * s.n : 0);
    for (size_t i = 0; i < s.products; ++i) {
        const float* a = c.in[1] + i * s.m * s.k;
        const float* b = c.in[2] + i * s.k * s.n;
        const Source dy{c.in[0] + i * s.m * s.n, s.m, s.n, s.n, words + i * s.m * s.n, s.n};
        float* to_a = c.out[0] + i * s.m * s.k;
        float* to_b = c.out[1] + i * s.k * s.n;
        multiply(s.turn_a ? da.data() : to_a, a_, b_, {s.m, s.k}, [&] {
            fill_rows(a_, dy, Side::left);
            if (s.turn_b)
                fill_cols(b_, {b, s.n, s.k, s.k, nullptr, 0}, Side::right);
            else
                fill_rows(b_, {b, s.k, s.n, s.n, nullptr, 0}, Side::right);
        });
        multiply(s.turn_b ? db.data() : to_b, a2_, b2_, {s.k, s.n}, [&] {
            if (s.turn_a)
                fill_rows(a2_, {a, s.k, s.m, s.m, nullptr, 0}, Side::left);
            else
                fill_cols(a2_, {a, s.m, s.k, s.k, nullptr, 0}, Side::left);
            fill_cols(b2_, dy, Side::right);
        });
        if (s.turn_a) store_turned(to_a, da, s.m, s.k);
        if (s.turn_b) store_turned(to_b, db, s.k, s.n);
    }
}

void CpuBackend::linear_grad_x(const OpCall& c) {
    const Shape dy = c.in_shape[0], w = c.in_shape[1];
    const size_t count = dy.count();
    uint16_t* words = words_.words((count + 7) / 8 * 8);
    make_words(words, count, {c.seed, c.step, c.attributes[0]});
    multiply(c.out[0], a_, b_, {dy.rows, w.rows}, [&] {
        fill_rows(a_, {c.in[0], dy.rows, dy.cols, dy.cols, words, dy.cols}, Side::left);
        fill_rows(b_, {c.in[1], w.rows, w.cols, w.cols, nullptr, 0}, Side::right);
    });
}

void CpuBackend::sgd(const AdamwTensors& t, size_t count, const SgdScalars& s, float wd) {
    SgdScalars clipped = s;
    if (!reference::take_clip(clipped, t.clip)) return;
    ranges(count, kElementsPerTask, [&](size_t first, size_t last) {
        reference::sgd({t.w + first, t.m + first, nullptr, t.g + first}, last - first, clipped, wd);
    });
}

}  // namespace trainyard::training::cpu
