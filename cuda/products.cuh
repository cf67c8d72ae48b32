// SPDX-License-Identifier: Apache-2.0
// Quantised operands and exact int8 products in batches: docs/spec/numerics.md, sections 5 and 6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/context.cuh"
#include "cuda/floats.cuh"
#include "cuda/fragments.cuh"

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

/// Whether every row of every matrix begins where loads of 16 bytes may.
[[nodiscard]] bool is_aligned(const Source& x);

/// Bytes along the contraction are padded with zeros to a multiple of this, and rows so aligned.
constexpr uint32_t kContractionStep = 64;

/// How the bytes of an operand lie in memory.
enum class Layout : uint8_t {
    lines,   ///< group after group
    paired,  ///< the same, its terms in the order in which lanes hold sums: fragments.cuh
    slabs,   ///< 128 terms of all groups, then the next 128; swizzled as warpgroups read them, so
             ///< that neighbouring groups of a slab reach shared memory as one piece
};

/// `x` rounded up to a multiple of `step`.
[[nodiscard]] __host__ __device__ constexpr uint32_t padded(uint32_t x, uint32_t step) {
    return (x + step - 1) / step * step;
}

/// A batch of int8 operands, one group per row, the contraction along the row.
struct Operand {
    int8_t* q = nullptr;     ///< batch x groups x k, where `at` says
    float* scale = nullptr;  ///< batch x groups
    uint32_t groups = 0;     ///< rows of A, or columns of B
    uint32_t k = 0;          ///< padded length
    Layout layout = Layout::lines;

    /// Where byte `byte` of a group's row lies; 16 bytes from a multiple of 16 on lie together.
    [[nodiscard]] __host__ __device__ size_t at(uint32_t z, uint32_t group, uint32_t byte) const {
        if (layout != Layout::slabs) return (size_t{z} * groups + group) * k + byte;
        const size_t slab = size_t{z} * (k / kSwizzledRow) + byte / kSwizzledRow;
        return (slab * groups + group / kSwizzledRows * kSwizzledRows) * kSwizzledRow +
               swizzled(group % kSwizzledRows * kSwizzledRow + byte % kSwizzledRow);
    }
};

/// The length of rows for k terms, a multiple of what kernels take at a time.
[[nodiscard]] constexpr uint32_t padded_terms(uint32_t k, Layout layout) {
    return padded(k, layout == Layout::slabs ? kSwizzledRow : kContractionStep);
}

/// Four terms of a row, which must be aligned.
__device__ __forceinline__ uint32_t word_at(const int8_t* line) {
    return *reinterpret_cast<const uint32_t*>(line);
}

/// Byte number kByte of each of four integers.
template <uint32_t kByte = 0, class Int>
__device__ __forceinline__ uint32_t pack4(const Int* q) {
    constexpr uint32_t kPair = kByte | (4 + kByte) << 4;
    const auto pair = [](Int a, Int b) {
        return __byte_perm(static_cast<uint32_t>(a), static_cast<uint32_t>(b), kPair);
    };
    return __byte_perm(pair(q[0], q[1]), pair(q[2], q[3]), 0x5410);
}

/// A group that holds an Inf or NaN makes the micro-batch invalid: numerics.md, section 15.
__device__ __forceinline__ void flag_nonfinite(uint32_t amax, uint32_t* flag) {
    if (amax >= 0x7f800000U) atomicOr(flag, 1U);
}

/// Scratch memory for `batch` operands.
[[nodiscard]] Operand take_operand(Context& on, uint32_t batch, uint32_t groups, uint32_t k,
                                   Layout layout = Layout::lines);

/// Groups are stored rows, the contraction runs along them. Lines or slabs.
[[nodiscard]] Operand quantise_rows(Context& on, uint32_t batch, const Source& x,
                                    const Words& words, Layout layout = Layout::lines);

/// Groups are stored columns, the contraction runs along them; q comes out transposed. Nearest.
[[nodiscard]] Operand quantise_cols(Context& on, uint32_t batch, const Source& x,
                                    Layout layout = Layout::lines);
struct BothWays {
    Operand rows, cols;
};
struct BothLayouts {
    Layout rows, cols;
};
/// As quantise_rows and quantise_cols, with rounding words drawn once.
[[nodiscard]] BothWays quantise_both(Context& on, uint32_t batch, const Source& x,
                                     const Words& words, BothLayouts layouts);

/// Largest magnitudes as bits, of batch x rows and of batch x columns; without `rows` of columns
/// alone.
struct Maxima {
    uint32_t *rows = nullptr, *cols = nullptr;
};
/// Scratch memory with zeros for whoever finds them.
[[nodiscard]] Maxima take_maxima(Context& on, uint32_t batch, uint32_t rows, uint32_t cols);
/// The maxima of x, where `out` has zeros.
void find_maxima(Context& on, uint32_t batch, const Source& x, const Maxima& out);
/// As quantise_both, of what has these maxima.
[[nodiscard]] BothWays quantise_both(Context& on, uint32_t batch, const Source& x,
                                     const Words& words, BothLayouts layouts, const Maxima& amax);
/// As quantise_both, into operands that are there already.
void quantise_both_into(Context& on, uint32_t batch, const Source& x, const Words& words,
                        const BothWays& out);

/// c[i][j] = (float(sum) * a.scale[i]) * b.scale[j] for matrix z at c + spread.offset(z).
struct ProductOut {
    float* c = nullptr;
    size_t stride = 0;
    Spread spread;
    bool turned = false;       ///< c[j][i] instead of c[i][j]
    int8_t* folded = nullptr;  ///< if not null: fold(sum) goes here, with the same stride, and no c
};

/// How the operands of a product should lie.
[[nodiscard]] Layout product_layout(const Context& on, uint32_t a_groups, uint32_t b_groups);

/// Both operands lie in the same way, in lines or slabs.
void multiply(Context& on, uint32_t batch, const Operand& a, const Operand& b,
              const ProductOut& out);

/// How the current device, of this compute capability, can multiply with the code that this program
/// holds; first what should be fastest.
[[nodiscard]] std::vector<Products> products_of(int major, int minor);

}  // namespace trainyard::cuda
