// SPDX-License-Identifier: Apache-2.0
// What a dispute is about once it has left the step's commitments: one tensor or number, the call
// that yields it, and where the inputs of that call are committed.
#pragma once

#include <optional>
#include <vector>

#include "core/bytes.hpp"
#include "training/program.hpp"
#include "training/referee/term.hpp"
#include "training/runner.hpp"
#include "training/segment.hpp"

namespace trainyard::training::referee {

enum class SubjectKind : uint8_t {
    none,
    value,      ///< index: a value of the unit's graph
    unit_loss,  ///< the mean loss of a unit
    sum,        ///< index: a parameter; its gradient, summed over the units
    squares,    ///< index: a parameter; the sum of squares of that gradient
    state,      ///< index: of w, m, v of all parameters, behind the update
    init,       ///< the same of the initial state
};
[[nodiscard]] constexpr bool is_number(SubjectKind kind) {
    return kind == SubjectKind::unit_loss || kind == SubjectKind::squares;
}

/// Tensor `index` of w, m, v of all parameters.
template <class State>
[[nodiscard]] auto& tensor_of(State& state, uint32_t index) {
    const auto parameters = static_cast<uint32_t>(state.w.size());
    auto& set = index < parameters ? state.w : index < 2 * parameters ? state.m : state.v;
    return set[index % parameters];
}
/// A number as a tensor of one element.
[[nodiscard]] Tensor number_tensor(uint32_t bits);

struct Subject {
    SubjectKind kind = SubjectKind::none;
    uint32_t index = 0;
    Hash root;          ///< over the tiles of the tensor
    Shape shape;        ///< of the tensor, once the program is known
    uint16_t port = 0;  ///< which output of the call it is
    Call call;
    bool operator==(const Subject&) const = default;
};

/// Where in a run a dispute is.
struct Spot {
    Hash run_seed;
    uint64_t step = 0;  ///< of the whole run
    uint32_t unit = 0;
    uint32_t norm_bits = 0;  ///< of the step's gradients
};

/// Words and factors of the operators of a unit.
[[nodiscard]] RunContext context_of(const Program& program, const TrainingGraph& training,
                                    const Spot& spot);

/// Fills in shape, port and call; false if the program has no such subject. An initial element has
/// no call: `initial_bits` says what it is.
[[nodiscard]] bool resolve(Subject& subject, const Program& program, const Spot& spot);

/// First value that an operator yields; before it come inputs, parameters and constants.
[[nodiscard]] uint32_t first_yield(const Program& program);

/// Bytes of the data set.
struct DataRange {
    uint64_t offset = 0;
    uint32_t bytes = 0;
};

/// A tensor of a commitment, a constant of the program, or bytes of the data set.
struct Source {
    enum class Kind : uint8_t { value, state, gradient, sum, constant, data };
    enum class Format : uint8_t { u8, u16, pixel, f32, scaled_int8 };
    Kind kind = Kind::value;
    uint32_t index = 0;             ///< value; number among w, m, v; parameter; parameter; constant
    uint32_t unit = 0;              ///< whose gradient
    Shape shape;                    ///< of the tensor
    Format format = Format::f32;    ///< of data
    std::vector<DataRange> ranges;  ///< of data; an int8 and its scale are two
};
/// Where the input `term` of a subject's call comes from.
[[nodiscard]] Source source_of(const Program& program, const Spot& spot, const Subject& subject,
                               const Term& term);
/// Where an element of the initial state comes from that `initial_bits` does not give.
[[nodiscard]] Source initial_source(const Program& program, uint32_t index, uint32_t element);
/// The number that the bytes of a source's ranges, one after the other, stand for.
[[nodiscard]] uint32_t number_of(Source::Format format, BytesView bytes);

/// Element `element` of tensor `index` of the initial state; nothing where it is read from data.
[[nodiscard]] std::optional<uint32_t> initial_bits(const Program& program, const Hash& run_seed,
                                                   uint32_t index, uint32_t element);

/// In which tile an element lies, and where in it; and back, nothing for padding.
struct TilePlace {
    uint32_t tile = 0, at = 0;
};
[[nodiscard]] TilePlace place_of(Shape shape, uint32_t element);
[[nodiscard]] std::optional<uint32_t> element_at(Shape shape, TilePlace place);

/// What shows an input: a tile of a tensor with the way up to its commitment, or pieces of the data
/// set that hold the bytes.
struct Opening {
    std::vector<Bytes> blocks;             ///< one tile, or the pieces that hold the ranges
    std::vector<std::vector<Hash>> paths;  ///< of each piece; or of tile, tensor, unit
    Unit unit;                             ///< of a gradient
};

}  // namespace trainyard::training::referee
