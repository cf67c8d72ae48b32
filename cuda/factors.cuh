// SPDX-License-Identifier: Apache-2.0
// Weights that stay as they are for a while, quantised once for all products with them.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "cuda/products.cuh"
#include "training/tensor.hpp"

namespace trainyard::cuda {

/// Operands of the matrices of the last `keep`, in memory of their own, which stays in its place as
/// long as the same shapes come. It is taken the second time that they come: room that operators
/// need, and ask for the first time, comes before it.
class Factors {
public:
    explicit Factors(Context& on) : on_(on) {}
    Factors(const Factors&) = delete;
    Factors& operator=(const Factors&) = delete;
    ~Factors() { drop_memory(); }

    /// Where there is no room nothing is kept, and products quantise for themselves.
    void keep(std::span<const training::TensorView> w);
    /// w (i x o) by columns, for x w with x of n rows.
    [[nodiscard]] Operand by_columns(const float* w, training::LinearShape s);
    /// w by rows, for dy w^T.
    [[nodiscard]] Operand by_rows(const float* w, training::LinearShape s);

private:
    /// Matrices of one shape at equal distances, which are quantised together.
    struct Batch {
        const float* first;
        size_t apart;
        uint32_t count, rows, cols;
    };
    [[nodiscard]] static std::vector<Batch> batches_of(std::span<const training::TensorView> w);
    [[nodiscard]] BothLayouts layouts_of(const Batch& batch) const;
    void quantise(const Batch& batch, std::byte* to);
    [[nodiscard]] bool make_room(size_t bytes);
    void drop_memory();

    Context& on_;
    void* memory_ = nullptr;
    size_t wanted_ = 0;  ///< bytes for the matrices of the last `keep` that had any
    std::map<const float*, BothWays> kept_;
};

}  // namespace trainyard::cuda
