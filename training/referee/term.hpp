// SPDX-License-Identifier: Apache-2.0
// The rule of every operator as lines of arithmetic short enough to be judged by a contract:
// docs/spec/referee.md. A disputed element is followed line by line down to an input.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "training/op.hpp"
#include "training/tensor.hpp"

namespace trainyard::training::referee {

/// A call of an operator without its numbers.
struct Call {
    Op op = Op::add;
    std::vector<Shape> in, out;
    std::vector<uint32_t> attributes;
    uint32_t sequences = 1;            ///< B of the graph: rows of a sequence are rows / B
    uint32_t seed = 0, step = 0;       ///< of Philox words
    uint32_t inv_n_bits = 0x3f800000;  ///< 1 / rows of all micro-batches, for loss gradients
    bool operator==(const Call&) const = default;
};

/// Kinds that every operator has. Its own kinds follow.
inline constexpr uint8_t kInput = 0;   ///< element a of input `port`
inline constexpr uint8_t kOutput = 1;  ///< element a of output `port`
inline constexpr uint8_t kFirstOwnKind = 2;

/// The name of a number of 32 bits: a float, a sum of int8 products, or an index, by its kind.
/// What a to d mean is a matter of the kind; elements are counted row-major.
struct Term {
    uint8_t kind = kInput;
    uint16_t port = 0;
    uint32_t a = 0, b = 0, c = 0, d = 0;
    uint32_t given = 0;  ///< in a chain: the number before this one
    bool operator==(const Term&) const = default;
};

/// Parts of a line: three numbers for each element of a chunk of 4,096, and some for all.
inline constexpr size_t kPartsMax = 3 * 4096 + 64;

/// How one term follows from others.
struct Line {
    std::vector<Term> parts;  ///< at most kPartsMax
    /// Parts [chain, chain_end) are a chain: the `given` of each but the first is the part before.
    /// No chain unless `chain` is set; to the last part unless `chain_end` is.
    size_t chain = kPartsMax, chain_end = kPartsMax;
    /// From the parts' numbers; nothing if no run that ends has such numbers: an Inf or NaN in a
    /// group to be quantised or in a softmax, or an index beyond its table. The float mode is
    /// exact. A NaN may have any bits.
    std::function<std::optional<uint32_t>(std::span<const uint32_t>)> join;
    bool is_float = true;  ///< false: the number is no float
};

/// The line of any term but an input's. Precondition: `call` has passed the checks of its program,
/// and `term` is an element of an output or stands in a line of this call.
[[nodiscard]] Line line_of(const Call& call, const Term& term);

/// The bits of a float as a number of a dispute: one NaN for all, whatever a machine's are.
[[nodiscard]] uint32_t canonical(uint32_t bits);

/// What the parts' numbers join to, in the exact float mode, every NaN being 7fc00000.
[[nodiscard]] std::optional<uint32_t> join(const Line& line, std::span<const uint32_t> parts);

/// The numbers of inputs.
using Inputs = std::function<uint32_t(uint32_t port, uint32_t element)>;

/// A term by all lines below it; nothing as in Line.
[[nodiscard]] std::optional<uint32_t> evaluate(const Call& call, const Term& term,
                                               const Inputs& inputs);
/// The numbers of the parts of a term's line.
using Numbers = std::vector<uint32_t>;
[[nodiscard]] std::optional<Numbers> evaluate_parts(const Call& call, const Term& term,
                                                    const Inputs& inputs);

/// The first of a line's numbers that its part's lines do not give.
[[nodiscard]] std::optional<uint32_t> first_wrong(const Call& call, const Term& term,
                                                  std::span<const uint32_t> numbers,
                                                  const Inputs& inputs);

/// Part `index` of a line whose parts have these numbers.
[[nodiscard]] Term part_of(const Line& line, size_t index, std::span<const uint32_t> numbers);

}  // namespace trainyard::training::referee
