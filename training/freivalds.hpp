// SPDX-License-Identifier: Apache-2.0
// Checks a claimed product at the cost of a few products with vectors.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace trainyard::training {

/// Vectors over Z/2^64 that nobody but the checker may know before the product is fixed.
inline constexpr size_t kFreivaldsVectors = 2;

/// The claim c = a * b; a is m x k and b is k x n, elements in [-127, 127], all row-major.
struct ClaimedProduct {
    std::span<const int8_t> a, b;
    std::span<const int32_t> c;
    size_t m = 0, n = 0, k = 0;
};

/// The first row of c that is wrong for certain; none if all rows fit. `secret`: uniform random
/// words, n for each of kFreivaldsVectors vectors. A row that is wrong fits by chance with a
/// probability of 2^-68 at most: after the bound |c| <= k * 127^2 (k <= 65,536) its error is below
/// 2^31 in every element, so some element has at most 30 factors of two, and each vector hides it
/// with 2^-34 or less. Against known vectors rows can be forged. Source: Freivalds, "Probabilistic
/// machines can use less running time", 1977; the error bound: docs/spec/capability.md.
[[nodiscard]] std::optional<size_t> first_wrong_row(const ClaimedProduct& claim,
                                                    std::span<const uint64_t> secret);

}  // namespace trainyard::training
