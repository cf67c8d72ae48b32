// SPDX-License-Identifier: Apache-2.0
// Products of any two values, transposed or in blocks: docs/spec/numerics.md, sections 6 and 17.
#include <algorithm>
#include <array>
#include <vector>

#include "training/reference/matmul.hpp"
#include "training/reference/operators.hpp"
#include "training/reference/products.hpp"

namespace trainyard::training::reference {

MatmulShape matmul_shape(const Shape& a, const Shape& b, const uint32_t* attributes) {
    const size_t block = attributes[2] == 0 ? a.rows : attributes[2];
    MatmulShape s;
    s.products = a.rows / block;
    s.turn_a = attributes[0] == 1;
    s.turn_b = attributes[1] == 1;
    const size_t b_block = b.rows / s.products;
    s.m = s.turn_a ? a.cols : block;
    s.k = s.turn_a ? block : a.cols;
    s.n = s.turn_b ? b_block : b.cols;
    s.noise_tensor = attributes[3];
    return s;
}

namespace {

MatrixView view(const float* data, size_t rows, size_t cols) {
    return {data, rows, cols, cols};
}

/// x (rows x cols) transposed.
std::vector<float> turned(const float* x, size_t rows, size_t cols) {
    std::vector<float> out(rows * cols);
    for (size_t r = 0; r < rows; ++r)
        for (size_t c = 0; c < cols; ++c) out[c * rows + r] = x[r * cols + c];
    return out;
}

/// One product of the blocks with its operands laid out as the rule's A (m x k) and B (k x n).
struct Operands {
    std::vector<float> a_turned, b_turned;
    const float* a;
    const float* b;

    Operands(const MatmulShape& s, const float* a_all, const float* b_all, size_t i)
        : a(a_all + i * s.m * s.k), b(b_all + i * s.k * s.n) {
        if (s.turn_a) a = (a_turned = turned(a, s.k, s.m)).data();
        if (s.turn_b) b = (b_turned = turned(b, s.n, s.k)).data();
    }
};

size_t forward_tasks(const OpCall& c) {
    return matmul_shape(c.in_shape[0], c.in_shape[1], c.attributes.data()).products;
}
size_t backward_tasks(const OpCall& c) {
    return matmul_shape(c.in_shape[1], c.in_shape[2], c.attributes.data()).products;
}

bool matmul(const OpCall& c, size_t first, size_t last) {
    const MatmulShape s = matmul_shape(c.in_shape[0], c.in_shape[1], c.attributes.data());
    bool nonfinite = false;
    for (size_t i = first; i < last; ++i) {
        const Operands o(s, c.in[0], c.in[1], i);
        const Quantised qa = quantise(view(o.a, s.m, s.k), Grouping::rows, {});
        const Quantised qb = quantise(view(o.b, s.k, s.n), Grouping::cols, {});
        const ProductSize size{s.m, s.n, s.k};
        dequantise(c.out[0] + i * s.m * s.n, s.n, multiply(qa, qb, Form::nn, size), size,
                   qa.scale.data(), qb.scale.data(), nullptr);
        nonfinite |= qa.nonfinite || qb.nonfinite;
    }
    return nonfinite;
}

/// Stores a gradient of a logical operand (rows x cols) as the operand itself is stored.
void store(float* to, std::vector<float> gradient, size_t rows, size_t cols, bool turn) {
    if (turn) gradient = turned(gradient.data(), rows, cols);
    std::copy(gradient.begin(), gradient.end(), to);
}

bool matmul_grad(const OpCall& c, size_t first, size_t last) {
    const MatmulShape s = matmul_shape(c.in_shape[1], c.in_shape[2], c.attributes.data());
    bool nonfinite = false;
    for (size_t i = first; i < last; ++i) {
        const Operands o(s, c.in[1], c.in[2], i);
        const MatrixView dy = view(c.in[0] + i * s.m * s.n, s.m, s.n);
        const Rounding rounding{{c.seed, c.step, s.noise_tensor}, i * s.m * s.n, s.n};
        const Quantised by_row = quantise(dy, Grouping::rows, rounding);
        const Quantised by_col = quantise(dy, Grouping::cols, rounding);
        const Quantised b = quantise(view(o.b, s.k, s.n), Grouping::rows, {});
        const Quantised a = quantise(view(o.a, s.m, s.k), Grouping::cols, {});
        std::vector<float> da(s.m * s.k), db(s.k * s.n);
        const ProductSize to_a{s.m, s.k, s.n}, to_b{s.k, s.n, s.m};
        dequantise(da.data(), s.k, multiply(by_row, b, Form::nt, to_a), to_a, by_row.scale.data(),
                   b.scale.data(), nullptr);
        dequantise(db.data(), s.n, multiply(a, by_col, Form::tn, to_b), to_b, a.scale.data(),
                   by_col.scale.data(), nullptr);
        store(c.out[0] + i * s.m * s.k, std::move(da), s.m, s.k, s.turn_a);
        store(c.out[1] + i * s.k * s.n, std::move(db), s.k, s.n, s.turn_b);
        nonfinite |= by_row.nonfinite || by_col.nonfinite || a.nonfinite || b.nonfinite;
    }
    return nonfinite;
}

size_t one(const OpCall&) {
    return 1;
}

/// dX = dY * W^T of a linear layer whose weights are not trained.
bool linear_grad_x(const OpCall& c, size_t, size_t) {
    const Shape dy = c.in_shape[0], w = c.in_shape[1];
    const Rounding rounding{{c.seed, c.step, c.attributes[0]}, 0, dy.cols};
    const Quantised by_token = quantise(view(c.in[0], dy.rows, dy.cols), Grouping::rows, rounding);
    const Quantised by_input = quantise(view(c.in[1], w.rows, w.cols), Grouping::rows, {});
    const ProductSize size{dy.rows, w.rows, dy.cols};
    dequantise(c.out[0], w.rows, multiply(by_token, by_input, Form::nt, size), size,
               by_token.scale.data(), by_input.scale.data(), nullptr);
    return by_token.nonfinite || by_input.nonfinite;
}

constexpr std::array kKernels{
    Kernel{Op::matmul, forward_tasks, matmul, 1},
    Kernel{Op::matmul_grad, backward_tasks, matmul_grad, 1},
    Kernel{Op::linear_grad_x, one, linear_grad_x, 1},
};

}  // namespace

std::span<const Kernel> product_kernels() {
    return kKernels;
}

}  // namespace trainyard::training::reference
