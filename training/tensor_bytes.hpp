// SPDX-License-Identifier: Apache-2.0
// Tensors inside of blobs and bundles.
#pragma once

#include <span>
#include <vector>

#include "training/pool.hpp"
#include "training/tensor.hpp"

namespace trainyard::training {

/// Elements in little-endian bytes that lie anywhere, aligned or not.
struct TensorBytes {
    const uint8_t* data = nullptr;
    Shape shape;

    TensorBytes(const uint8_t* bytes, Shape s) : data(bytes), shape(s) {}
    TensorBytes(const TensorView& view)
        : TensorBytes(reinterpret_cast<const uint8_t*>(view.data), view.shape) {}
    TensorBytes(const Tensor& tensor) : TensorBytes(TensorView(tensor)) {}
    [[nodiscard]] size_t size() const { return shape.count() * sizeof(float); }
};

/// Copies on the host; a thread of the pool takes a tensor at a time.
[[nodiscard]] std::vector<Tensor> read_tensors(std::span<const TensorBytes> from, Pool* pool);

}  // namespace trainyard::training
