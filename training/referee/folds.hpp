// SPDX-License-Identifier: Apache-2.0
// Lines of plain sums in order, which may not be split into independent parts, of elements that an
// index chooses, and of elements that only move.
#pragma once

#include <functional>
#include <vector>

#include "training/referee/lines.hpp"

namespace trainyard::training::referee {

/// From +0, one item after the other. Its terms share kind, port, a and b; c is the level, 0 for
/// chunks of 4,096 items, d the chunk's number on its level. Above level 0 a line is a chain of
/// chunks, so that each is `given` the sum before it.
struct Fold {
    uint32_t count = 0;
    uint32_t stride = 1;  ///< parts of one item, at most 3
    std::function<void(uint32_t item, std::vector<Term>& to)> add_parts;
    /// `x` are the numbers of the item's parts.
    std::function<float(float acc, std::span<const uint32_t> x)> update;
};
[[nodiscard]] Line fold_line(const Term& term, const Fold& fold);
/// The term that stands for the whole: `base` with the top level.
[[nodiscard]] Term fold_term(Term base, uint32_t count);

/// Element (`given`, column) of input `port`, a table of this shape. An index beyond the table
/// joins to nothing: only a liar claims one.
[[nodiscard]] Line picked_line(const Term& term, uint8_t port, const Shape& table, uint32_t column);

/// The number of `part` as it is.
[[nodiscard]] Line copy_line(const Term& part);
/// A number that follows from the call alone.
[[nodiscard]] Line fixed_line(float number);

}  // namespace trainyard::training::referee
