// SPDX-License-Identifier: Apache-2.0
// Quantised operands and exact int8 products in batches: docs/spec/numerics.md, sections 5 and 6.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/context.cuh"
#include "cuda/floats.cuh"

namespace trainyard::cuda {

/// Where the z-th matrix of a batch begins: with i = first + z, sequence i / heads and head
/// i mod heads. The default is a batch of one.
struct Spread {
    uint32_t heads = 1, first = 0;
    size_t per_sequence = 0, per_head = 0;

    [[nodiscard]] __host__ __device__ size_t offset(uint32_t z) const {
        const uint32_t i = first + z;
        return i / heads * per_sequence + i % heads * per_head;
    }
};

/// A batch of stored matrices; element (r, c) of matrix z lies at data[offset(z) + r * stride + c],
/// and that offset is also its index among the rounding words.
struct Source {
    const float* data = nullptr;
    uint32_t rows = 0, cols = 0;
    size_t stride = 0;
    Spread spread;
};

/// Bytes along the contraction are padded with zeros to a multiple of this, and rows so aligned.
constexpr uint32_t kContractionStep = 64;

/// A batch of int8 operands, one group per row, the contraction along the row.
struct Operand {
    int8_t* q = nullptr;     ///< batch x groups x k
    float* scale = nullptr;  ///< batch x groups
    uint32_t groups = 0;     ///< rows of A, or columns of B
    uint32_t k = 0;          ///< padded length
};

[[nodiscard]] constexpr uint32_t padded(uint32_t k) {
    return (k + kContractionStep - 1) / kContractionStep * kContractionStep;
}

/// Scratch memory for `batch` operands.
[[nodiscard]] Operand take_operand(Context& on, uint32_t batch, uint32_t groups, uint32_t k);

/// Groups are stored rows, the contraction runs along them.
[[nodiscard]] Operand quantise_rows(Context& on, uint32_t batch, const Source& x,
                                    const Words& words);
/// Groups are stored columns, the contraction runs along them; q comes out transposed.
[[nodiscard]] Operand quantise_cols(Context& on, uint32_t batch, const Source& x,
                                    const Words& words);
/// The bytes of quantise_rows (rows x cols) with the contraction along the stored rows; no scale.
[[nodiscard]] Operand transpose(Context& on, uint32_t batch, const Operand& rows, uint32_t cols);

/// Which k can be other than zero for a row i of A: products skip the rest, which changes no sum.
enum class Triangle : uint8_t {
    none,
    up_to_row,  ///< k <= i
    from_row,   ///< k >= i
};

/// c[i][j] = ((float(sum) * a.scale[i]) * b.scale[j]) * alpha for matrix z at c + spread.offset(z).
/// b.scale may be nullptr, which means 1.
struct ProductOut {
    float* c = nullptr;
    size_t stride = 0;
    Spread spread;
    float alpha = 1.0F;
    Triangle triangle = Triangle::none;
    bool lower_only = false;   ///< only j <= i is needed; the rest is left undefined
    bool turned = false;       ///< c[j][i] instead of c[i][j]
    int8_t* folded = nullptr;  ///< if not null: fold(sum) goes here, with the same stride, and no c
};

void multiply(Context& on, uint32_t batch, const Operand& a, const Operand& b,
              const ProductOut& out);

}  // namespace trainyard::cuda
