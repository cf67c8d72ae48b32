// SPDX-License-Identifier: Apache-2.0
// The plain quantised product and linear layer: the rule that every fast path must equal.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "training/backend.hpp"

namespace trainyard::training::reference {

/// A strided view of a stored matrix; element (r, c) is data[r * stride + c].
struct MatrixView {
    const float* data = nullptr;
    size_t rows = 0, cols = 0, stride = 0;
};

/// Rounding words of a view: element (r, c) has index idx0 + r * idx_stride + c.
struct Rounding {
    Noise noise;
    uint64_t idx0 = 0;
    uint64_t idx_stride = 0;
};

enum class Grouping { rows, cols };

/// An int8 matrix in stored order with one scale per group.
struct Quantised {
    size_t rows = 0, cols = 0;
    std::vector<int8_t> q;
    std::vector<float> scale, inv;
    bool nonfinite = false;  ///< a group held an Inf or NaN; its q are zeros
};

/// Nearest without `rounding`, stochastic with it.
[[nodiscard]] Quantised quantise(const MatrixView& x, Grouping grouping,
                                 const std::optional<Rounding>& rounding);

/// How the logical operand lies in memory: as stored, or transposed.
enum class Form { nn, nt, tn };

struct ProductSize {
    size_t m = 0, n = 0, k = 0;
};

/// acc (m x n) = logical a * logical b, exact.
[[nodiscard]] std::vector<int32_t> multiply(const Quantised& a, const Quantised& b, Form form,
                                            ProductSize size);

/// c[m][n] = (float(acc) * sa[m]) * sb[n], times alpha last where there is one.
void dequantise(float* c, size_t stride, const std::vector<int32_t>& acc, ProductSize size,
                const float* sa, const float* sb, const float* alpha);

/// The three products of a linear layer; true if a group held an Inf or NaN.
bool linear(float* y, const float* x, const float* w, LinearShape s);
bool linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s, Noise noise);

}  // namespace trainyard::training::reference
