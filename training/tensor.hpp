// SPDX-License-Identifier: Apache-2.0
// Host tensors: a shape of one or two dimensions and row-major binary32 elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "training/memory.hpp"

namespace trainyard::training {

/// A vector of `cols` elements (rank 1, rows = 1) or a matrix of rows x cols (rank 2).
struct Shape {
    uint8_t rank = 2;
    uint32_t rows = 1;
    uint32_t cols = 0;

    static constexpr Shape vector(uint32_t n) { return {1, 1, n}; }
    static constexpr Shape matrix(uint32_t r, uint32_t c) { return {2, r, c}; }
    [[nodiscard]] constexpr size_t count() const { return size_t{rows} * cols; }
    bool operator==(const Shape&) const = default;
};

/// Elements in memory fit for operators. Short lists come and go as plain vectors, by a copy.
struct Floats : std::vector<float, HostAllocator<float>> {
    using vector::vector;
    Floats(const std::vector<float>& x) : vector(x.begin(), x.end()) {}
    operator std::vector<float>() const { return {begin(), end()}; }
};

struct Tensor {
    Shape shape;
    Floats data;

    static Tensor zeros(Shape shape) { return {shape, Floats(shape.count(), 0.0F)}; }
    bool operator==(const Tensor&) const = delete;  ///< compare bits, see same_bits
};

/// Elements somewhere else.
struct TensorView {
    const float* data = nullptr;
    Shape shape;

    TensorView(const float* elements, Shape s) : data(elements), shape(s) {}
    TensorView(const Tensor& tensor) : data(tensor.data.data()), shape(tensor.shape) {}
};

/// True if shapes and all bit patterns agree; +0 and -0 differ.
[[nodiscard]] bool same_bits(const Tensor& a, const Tensor& b);

}  // namespace trainyard::training
