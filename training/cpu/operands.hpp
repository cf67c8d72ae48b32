// SPDX-License-Identifier: Apache-2.0
// Quantised operands of products in the layout of one kernel table, and the buffers they live in.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "training/backend.hpp"
#include "training/cpu/kernels.hpp"

namespace trainyard::training::cpu {

/// Grow-only memory, 64-byte aligned, contents undefined after growth.
class Buffer {
public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    Buffer(Buffer&& other) noexcept;
    ~Buffer();
    uint8_t* bytes(size_t count);
    float* floats(size_t count) { return reinterpret_cast<float*>(bytes(count * sizeof(float))); }
    uint16_t* words(size_t count) {
        return reinterpret_cast<uint16_t*>(bytes(count * sizeof(uint16_t)));
    }

private:
    uint8_t* data_ = nullptr;
    size_t size_ = 0;
};

/// A stored matrix to quantise; `words` is null for nearest rounding.
struct Source {
    const float* x = nullptr;
    size_t rows = 0, cols = 0, stride = 0;
    const uint16_t* words = nullptr;
    size_t words_stride = 0;
};

constexpr size_t kColsPerTask = 256;  ///< columns that one task quantises at most

/// A product whose sums are wrong is made again, so often in all.
constexpr unsigned kProductAttempts = 3;
/// For tests of the check: sees a product that is about to run.
using BeforeProduct = std::function<void(const ProductArgs& args, unsigned attempt)>;

enum class Side { left, right };

/// One operand. Fill the whole of it, in ranges that may run in parallel, before `product`.
class Operand {
public:
    explicit Operand(const Kernels& kernels) : k_(kernels) {}

    // A = source or its transpose (left), B = source or its transpose (right): `rows` and `cols`
    // say what is one group of the source. Ranges start at multiples of 16.
    void begin_rows(const Source& s, Side side);
    void begin_cols(const Source& s, Side side);
    void fill_rows(size_t first, size_t last);
    void fill_cols(size_t first, size_t last);
    /// B = source, but scaled by its rows, which are the terms of the sum.
    void right_by_term(const Source& s);

    [[nodiscard]] size_t groups() const { return groups_; }  ///< columns or rows to fill
    [[nodiscard]] size_t row_bytes() const { return panel_bytes_ / panel_; }
    [[nodiscard]] const float* scale() const { return scale_.data(); }
    [[nodiscard]] bool nonfinite() const { return nonfinite_; }
    /// From row or column `first` on, a multiple of 16.
    void set_left(ProductArgs& args, size_t first = 0) const;
    void set_right(ProductArgs& args, size_t first = 0) const;
    /// Only `count` terms from `first` on, a multiple of 16; if they are not the last, `count` is
    /// one too. `sums` holds the flip of these terms while the product runs.
    void set_right_terms(ProductArgs& args, size_t first, size_t count,
                         std::vector<int32_t>& sums) const;

private:
    void begin(const Source& s, size_t groups, size_t terms, Side side);
    void reserve(size_t panels_of);              ///< rows or columns that the panels hold
    void set_scales(size_t first, size_t last);  ///< from amax_
    [[nodiscard]] QuantiseArgs quantise_args(size_t row, size_t col, size_t count) const;

    const Kernels& k_;
    Source s_;
    size_t groups_ = 0;
    size_t terms_ = 0;    ///< length of the sums
    size_t columns_ = 0;  ///< of a right operand, rows of a left one
    size_t panel_bytes_ = 0;
    Side side_ = Side::left;
    size_t panel_ = 1;
    Buffer data_;
    uint8_t* q_ = nullptr;
    std::vector<uint32_t> amax_;
    std::vector<float> scale_, inv_;
    std::atomic<bool> nonfinite_ = false;
};

}  // namespace trainyard::training::cpu
