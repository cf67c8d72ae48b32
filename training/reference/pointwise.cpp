// SPDX-License-Identifier: Apache-2.0
// Elementwise operators, softmax and the mean-square loss: docs/spec/numerics.md, section 17.
#include <array>

#include "training/numerics/pointwise.hpp"
#include "training/numerics/reduce.hpp"
#include "training/reference/operators.hpp"

namespace trainyard::training::reference {

namespace {

constexpr size_t kElements = 4096;

size_t elements_of(const OpCall& c) {
    return c.out_shape[0].count();
}
size_t rows_of(const OpCall& c) {
    return c.in_shape[0].rows;
}

/// y = f(a) for every element.
template <float (*F)(float)>
bool map(const OpCall& c, size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) c.out[0][i] = F(c.in[0][i]);
    return false;
}
/// y = f(a, b) for every element.
template <float (*F)(float, float)>
bool map2(const OpCall& c, size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) c.out[0][i] = F(c.in[0][i], c.in[1][i]);
    return false;
}

float product(float a, float b) {
    return a * b;
}

bool scale(const OpCall& c, size_t first, size_t last) {
    const float factor = as_float(c.attributes[0]);
    for (size_t i = first; i < last; ++i) c.out[0][i] = c.in[0][i] * factor;
    return false;
}

bool softmax(const OpCall& c, size_t first, size_t last) {
    const size_t cols = c.in_shape[0].cols;
    bool nonfinite = false;
    for (size_t r = first; r < last; ++r) {
        const float* x = c.in[0] + r * cols;
        float* y = c.out[0] + r * cols;
        float m = x[0];
        for (size_t j = 1; j < cols; ++j) m = x[j] > m ? x[j] : m;
        for (size_t j = 0; j < cols; ++j) nonfinite |= is_nonfinite(x[j]);
        for (size_t j = 0; j < cols; ++j) y[j] = exp(x[j] - m);
        const float sum = reduce(cols, [y](float acc, size_t j) { return acc + y[j]; });
        const float is = 1.0F / sum;
        for (size_t j = 0; j < cols; ++j) y[j] = y[j] * is;
    }
    return nonfinite;
}

bool softmax_grad(const OpCall& c, size_t first, size_t last) {
    const size_t cols = c.in_shape[0].cols;
    for (size_t r = first; r < last; ++r) {
        const float* dy = c.in[0] + r * cols;
        const float* y = c.in[1] + r * cols;
        const float dot = reduce(cols, [=](float acc, size_t j) { return fma(dy[j], y[j], acc); });
        for (size_t j = 0; j < cols; ++j) c.out[0][r * cols + j] = y[j] * (dy[j] - dot);
    }
    return false;
}

bool mean_square(const OpCall& c, size_t first, size_t last) {
    const size_t cols = c.in_shape[0].cols;
    for (size_t r = first; r < last; ++r) {
        const float* p = c.in[0] + r * cols;
        const float* t = c.in[1] + r * cols;
        const float sum = reduce(cols, [=](float acc, size_t j) {
            const float d = p[j] - t[j];
            return fma(d, d, acc);
        });
        c.out[0][r] = sum / static_cast<float>(cols);
    }
    return false;
}

bool mean_square_grad(const OpCall& c, size_t first, size_t last) {
    const float factor = (2.0F / static_cast<float>(c.in_shape[0].cols)) * c.inv_n;
    for (size_t i = first; i < last; ++i) c.out[0][i] = (c.in[0][i] - c.in[1][i]) * factor;
    return false;
}

constexpr std::array kKernels{
    Kernel{Op::mul, elements_of, map2<product>, kElements},
    Kernel{Op::silu, elements_of, map<training::silu>, kElements},
    Kernel{Op::silu_grad, elements_of, map2<training::silu_grad>, kElements},
    Kernel{Op::relu, elements_of, map<training::relu>, kElements},
    Kernel{Op::relu_grad, elements_of, map2<training::relu_grad>, kElements},
    Kernel{Op::tanh, elements_of, map<training::tanh>, kElements},
    Kernel{Op::tanh_grad, elements_of, map2<training::tanh_grad>, kElements},
    Kernel{Op::scale, elements_of, scale, kElements},
    Kernel{Op::softmax, rows_of, softmax, 16},
    Kernel{Op::softmax_grad, rows_of, softmax_grad, 16},
    Kernel{Op::mean_square, rows_of, mean_square, 64},
    Kernel{Op::mean_square_grad, elements_of, mean_square_grad, kElements},
};

}  // namespace

std::span<const Kernel> pointwise_kernels() {
    return kKernels;
}

}  // namespace trainyard::training::reference
