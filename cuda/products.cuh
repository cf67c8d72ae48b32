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

/// Four terms of a row, which must be aligned.
__device__ __forceinline__ uint32_t word_at(const int8_t* line) {
    return *reinterpret_cast<const uint32_t*>(line);
}

/// A group that holds an Inf or NaN makes the micro-batch invalid: numerics.md, section 15.
__device__ __forceinline__ void flag_nonfinite(uint32_t amax, uint32_t* flag) {
    if (amax >= 0x7f800000U) atomicOr(flag, 1U);
}

/// Scratch memory for `batch` operands.
[[nodiscard]] Operand take_operand(Context& on, uint32_t batch, uint32_t groups, uint32_t k);

/// Groups are stored rows, the contraction runs along them.
[[nodiscard]] Operand quantise_rows(Context& on, uint32_t batch, const Source& x,
                                    const Words& words);
/// In which order an operand holds the terms of a contraction: as they come, or such that the sums
/// of one product are an operand of the next (fragments.cuh).
enum class Terms : uint8_t { plain, paired };

/// Groups are stored columns, the contraction runs along them; q comes out transposed. Nearest.
[[nodiscard]] Operand quantise_cols(Context& on, uint32_t batch, const Source& x);
struct BothWays {
    Operand rows, cols;
};
/// As quantise_rows and quantise_cols, with rounding words drawn once.
[[nodiscard]] BothWays quantise_both(Context& on, uint32_t batch, const Source& x,
                                     const Words& words, Terms terms_of_cols = Terms::plain);
/// The bytes of quantise_rows (rows x cols) with the contraction along the stored rows, in paired
/// order; no scale.
[[nodiscard]] Operand transpose_paired(Context& on, uint32_t batch, const Operand& rows,
                                       uint32_t cols);

/// c[i][j] = (float(sum) * a.scale[i]) * b.scale[j] for matrix z at c + spread.offset(z).
struct ProductOut {
    float* c = nullptr;
    size_t stride = 0;
    Spread spread;
    bool turned = false;       ///< c[j][i] instead of c[i][j]
    int8_t* folded = nullptr;  ///< if not null: fold(sum) goes here, with the same stride, and no c
};

void multiply(Context& on, uint32_t batch, const Operand& a, const Operand& b,
              const ProductOut& out);

/// The products that should be fastest on a device of this compute capability.
[[nodiscard]] Products fastest_products(int major, int minor);
/// True if this program holds code of `products` for the current device, of this capability.
[[nodiscard]] bool has_products(Products products, int major);

}  // namespace trainyard::cuda
