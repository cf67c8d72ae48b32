// SPDX-License-Identifier: Apache-2.0
// Lines of plain sums in order, which may not be split into independent parts.
#pragma once

#include <functional>
#include <vector>

#include "training/referee/rules/lines.hpp"

namespace trainyard::training::referee {

/// From +0, one item after the other; levels as lines.hpp has them. Above level 0 a line is a chain
/// of chunks, so that each is `given` the sum before it.
struct Fold {
    uint32_t count = 0;
    uint32_t stride = 1;  ///< parts of one item, at most 3
    std::function<void(uint32_t item, std::vector<Term>& to)> add_parts;
    /// `x` are the numbers of the item's parts.
    std::function<float(float acc, std::span<const uint32_t> x)> update;
};
[[nodiscard]] Line fold_line(const Term& term, const Fold& fold);

}  // namespace trainyard::training::referee
