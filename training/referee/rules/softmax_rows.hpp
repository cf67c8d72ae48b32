// SPDX-License-Identifier: Apache-2.0
// Maximum and sum of exponentials of the rows of input 0, for softmax and cross-entropy.
#pragma once

#include "training/referee/rules/lines.hpp"

namespace trainyard::training::referee {

struct SoftmaxRows {
    /// Row a, and levels as in lines.hpp.
    static constexpr uint8_t kMaximum = 32, kSum = 33;

    uint32_t cols = 0;

    [[nodiscard]] Term maximum(uint32_t row) const { return whole_term({kMaximum, 0, row}, cols); }
    [[nodiscard]] Term sum(uint32_t row) const { return whole_term({kSum, 0, row}, cols); }
    [[nodiscard]] static bool has(const Term& term) {
        return term.kind == kMaximum || term.kind == kSum;
    }
    /// Precondition: has(term).
    [[nodiscard]] Line line(const Term& term) const;
};

/// exp(x - maximum) / sum of these three numbers, as a product with 1 / sum.
[[nodiscard]] float softmax_of(std::span<const uint32_t> x);

}  // namespace trainyard::training::referee
