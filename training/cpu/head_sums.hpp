// SPDX-License-Identifier: Apache-2.0
// Whether the products of an attention head are what their operands give, exactly: the sums of the
// columns of what it multiplied bit by bit against those of all its rows at once, modulo 2^32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "training/cpu/operands.hpp"

namespace trainyard::training::cpu {

/// How the T x T scores of a head are made: so many rows at a time with all columns that they see,
/// or so many columns with all rows that see them.
struct ScoreParts {
    size_t width = 0;  ///< a multiple of 64, or T
    bool by_columns = false;
};

/// Of a product whose columns are positions.
class ScoreSums {
public:
    explicit ScoreSums(const Kernels& kernels) : k_(kernels) {}

    /// Before the first part of a b: what its columns must come to, over the rows that each of them
    /// is multiplied with. Under a mask these are whole tiles of the kernels (Kernels::tile_rows).
    void foresee(const Operand& a, const Operand& b, AttentionShape s, ScoreParts parts);
    /// ProductArgs::column_sums of a part whose first column is this.
    [[nodiscard]] uint32_t* from(size_t column) { return sums_.data() + column; }
    /// Behind the last part.
    [[nodiscard]] bool fit() const { return sums_ == due_; }

private:
    const Kernels& k_;
    std::vector<uint32_t> rows_, due_, sums_;
};

/// Of a product whose terms are positions, which comes in strips of rows.
class StripSums {
public:
    explicit StripSums(const Kernels& kernels) : k_(kernels) {}

    void begin(size_t positions, size_t columns);
    /// Before a strip whose terms begin at position `first`: counts the rows of its left operand
    /// and says where the columns' sums go.
    void add_rows(ProductArgs& strip, size_t first);
    /// Behind the last strip: all were multiplied with terms of `b`.
    [[nodiscard]] bool fit(const Operand& b);

private:
    const Kernels& k_;
    size_t positions_ = 0;
    std::vector<uint32_t> rows_, due_, sums_;
};

}  // namespace trainyard::training::cpu
