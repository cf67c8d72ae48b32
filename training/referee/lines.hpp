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
[[nodiscard]] inline float float_of(uint32_t bits) {
    return as_float(bits);
}

/// A line of floats.
[[nodiscard]] Line make_line(std::vector<Term> parts,
                             std::function<float(std::span<const uint32_t>)> join);

/// The number of another term as it is.
[[nodiscard]] Line same_line(const Term& part);

/// How many lines of the level below a list of `n` takes, at least one.
[[nodiscard]] constexpr uint32_t chunks_of(uint32_t n) {
    return n == 0 ? 1 : (n - 1) / kLineElements + 1;
}

/// Reduction in the fixed order. Its terms share kind, port, a and b; c is the level, 0 for chunks
/// of elements, d the chunk's number on its level.
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
/// The term that stands for the whole: `base` with the top level.
[[nodiscard]] Term reduction_term(Term base, uint32_t count);
[[nodiscard]] Line reduction_line(const Term& term, const Reduction& reduction);

/// Largest (bits & 7fffffff) of a group of up to 2^24 elements, which is no float; levels as above.
[[nodiscard]] Term magnitude_term(Term base, uint32_t count);
[[nodiscard]] Line magnitude_line(const Term& term, uint32_t count,
                                  const std::function<Term(uint32_t element)>& element);
/// The largest of floats by docs/spec/numerics.md, section 2; levels as above.
[[nodiscard]] Term maximum_term(Term base, uint32_t count);
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
