// SPDX-License-Identifier: Apache-2.0
// Lines that many operators share: reductions, maxima of groups, int8 products.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "training/numerics/functions.hpp"
#include "training/numerics/quantise.hpp"
#include "training/referee/term.hpp"

namespace trainyard::training::referee {

/// Elements of one line: a chunk of docs/spec/numerics.md, section 7.
inline constexpr uint32_t kLineElements = 4096;

[[nodiscard]] inline Term input(uint16_t port, uint32_t element) {
    return {kInput, port, element, 0, 0, 0, 0};
}

/// A line of floats.
[[nodiscard]] Line make_line(std::vector<Term> parts,
                             std::function<float(std::span<const uint32_t>)> join);

/// The number of `part` as it is.
[[nodiscard]] Line copy_line(const Term& part);

/// The same where `index`, which was given, chose it; nothing for one that is not `below`, which
/// only a liar claims.
[[nodiscard]] Line picked_line(const Term& part, uint32_t index, uint32_t below);

/// A number that follows from the call alone.
[[nodiscard]] Line fixed_line(float number);

/// How many lines of the level below a list of `n` takes, at least one.
[[nodiscard]] constexpr uint32_t chunks_of(uint32_t n) {
    return n == 0 ? 1 : (n - 1) / kLineElements + 1;
}

/// What is joined from more than 4,096 elements is joined chunk by chunk and level by level. The
/// terms of one such whole share kind, port, a and b; c is the level, 0 for chunks of elements, d
/// the chunk's number on its level. The whole: `base` with the top level.
[[nodiscard]] Term whole_term(Term base, uint32_t count);
/// The terms of the level below, for a term above level 0.
[[nodiscard]] std::vector<Term> terms_below(const Term& term, uint32_t count);

/// Reduction in the fixed order.
struct Reduction {
    uint32_t count = 0;
    std::vector<Term> shared;  ///< parts that stand once, in front of the elements'
    uint32_t stride = 1;       ///< parts of one element, at most 3
    std::function<void(uint32_t element, std::vector<Term>& to)> add_parts;
    /// acc and element i of `count`; `shared` and `x` are the numbers of their parts.
    std::function<float(float acc, uint32_t i, std::span<const uint32_t> shared,
                        std::span<const uint32_t> x)>
        update;
};
[[nodiscard]] Line reduction_line(const Term& term, const Reduction& reduction);

/// Largest (bits & 7fffffff) of a group of elements, which is no float.
[[nodiscard]] Line magnitude_line(const Term& term, uint32_t count,
                                  const std::function<Term(uint32_t element)>& element);
/// The largest of floats by docs/spec/numerics.md, section 2.
[[nodiscard]] Line maximum_line(const Term& term, uint32_t count,
                                const std::function<Term(uint32_t element)>& element);

/// One side of an int8 product: a group with the largest magnitude that scales it.
struct Factor {
    Term magnitude;
    std::function<Term(uint32_t k)> element;
    /// Rounding word of element k of a gradient; empty: to nearest.
    std::function<uint32_t(uint32_t k)> word;
};
/// The exact int32 sum over elements [4096 * chunk, ...) below `terms`.
[[nodiscard]] Line sum_line(uint32_t chunk, uint32_t terms, const Factor& a, const Factor& b);
/// (float(acc) * sa) * sb (* alpha), acc being the sum of `sum(chunk)` over all chunks. Without
/// `magnitude_b`, sb is 1.
[[nodiscard]] Line product_line(uint32_t terms, const Term& magnitude_a,
                                const std::optional<Term>& magnitude_b,
                                const std::function<Term(uint32_t chunk)>& sum,
                                std::optional<float> alpha = std::nullopt);
/// The scale of a group; nothing if it holds an Inf or NaN.
[[nodiscard]] std::optional<Scale> finite_scale(uint32_t magnitude_bits);
/// An element of a group; 0 for an Inf or NaN, which only a lie about its magnitude lets in.
[[nodiscard]] int32_t quantised_nearest(uint32_t bits, float inv);

}  // namespace trainyard::training::referee
