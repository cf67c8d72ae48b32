// SPDX-License-Identifier: Apache-2.0
// The dispute over a segment as a machine: the provider shows what its commitment stands for, the
// challenger points at what is wrong, until one number is left that anyone can check.
// docs/spec/referee.md.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/referee/subject.hpp"
#include "training/segment.hpp"

namespace trainyard::training::referee {

/// What was committed. The contract knows every field.
struct Claim {
    Hash program;
    Hash run_seed;
    uint32_t micro_batches = 1;
    uint32_t loss_bits = 0;  ///< of the last step
    SegmentClaim segment;
    bool operator==(const Claim&) const = default;
};

/// Whose move it is and what it is about. In the order in which a game gets there; the provider
/// shows, the challenger picks.
enum class Phase : uint8_t {
    show_steps,    ///< states and step tuples of the segment
    pick_step,     ///< the first step that is wrong, or the number of steps: the initial state
    show_init,     ///< roots of the tensors of S_0
    pick_init,     ///< one of them
    show_step,     ///< the tuple's contents and its units
    pick_unit,     ///< the first unit that is wrong, or M: the update
    show_unit,     ///< roots of all values that the unit's operators yield
    pick_value,    ///< the first that is wrong, or behind the last one: the mean loss
    show_update,   ///< roots of the summed gradients and the new state, sums of squares
    pick_update,   ///< the first that is wrong
    show_subject,  ///< the program, so that the rule is known
    show_nodes,    ///< nodes further down a tensor's tree
    pick_node,
    show_tile,
    pick_element,
    show_parts,  ///< the numbers that a line joins
    pick_part,
    show_input,    ///< that an input has the number that was said
    provider_won,  ///< a challenger wins by the clock alone: what is wrong cannot be shown
};
enum class Turn : uint8_t { provider, challenger, nobody };
[[nodiscard]] Turn turn_of(Phase phase);
[[nodiscard]] std::string_view to_text(Phase phase);

/// All of a game. What a phase does not need is empty.
struct State {
    Claim claim;
    Phase phase = Phase::show_steps;
    uint32_t step = 0;   ///< within the segment
    Hash before;         ///< state root at the start of that step
    Hash after;          ///< and at its end,
    Hash after_weights;  ///< by its weights, where that is committed; else zero
    StepTuple tuple;     ///< of that step
    Unit unit;           ///< that was picked
    Hash tuple_leaf;     ///< while the tuple has not been shown
    Hash transcript;     ///< Merkle root over the roots of the unit's values
    uint32_t unit_number = 0;
    Subject subject;
    Hash node;  ///< of the subject's tensor, at `level`, number `index`
    uint32_t level = 0, index = 0;
    Term term;
    uint32_t number = 0;            ///< what the provider says of the term
    std::vector<Hash> hashes;       ///< to pick from
    std::vector<uint32_t> numbers;  ///< the same
    bool operator==(const State&) const = default;
};

enum class Refusal {
    malformed,      ///< not the form that the phase asks for
    not_committed,  ///< does not lead to what was committed or shown before
    inconsistent,   ///< leads there, but is no step of training: a loss that is no mean, say
    out_of_range,   ///< an index of nothing that can be picked
    over,           ///< the game has ended
};
[[nodiscard]] std::string_view to_text(Refusal refusal);

[[nodiscard]] Bytes encode_state(const State& state);
/// Strict. States come from the contract, which keeps their hash.
[[nodiscard]] std::optional<State> decode_state(BytesView encoded);

/// The state after a move of the side whose turn it is. A move that is refused changes nothing: the
/// clock runs on. Pure: the same on every machine and thread.
[[nodiscard]] Result<State, Refusal> play(const State& state, BytesView move);

/// Moves. Each is RLP of one list.
namespace move {
[[nodiscard]] Bytes pick(uint32_t index);
/// `values`: of the sequence, 2n + 1; `whole`: state roots of S_1 ... S_{n-1}.
[[nodiscard]] Bytes show_steps(const std::vector<Hash>& values, const std::vector<Hash>& whole);
[[nodiscard]] Bytes show_step(const StepTuple& tuple, const std::vector<Unit>& units);
[[nodiscard]] Bytes show_unit(BytesView program, const std::vector<Hash>& roots);
[[nodiscard]] Bytes show_init(BytesView program, const std::vector<Hash>& roots);
/// P roots of sums, P sums of squares, 3 P roots of w, m, v.
[[nodiscard]] Bytes show_update(BytesView program, const std::vector<Hash>& sums,
                                const std::vector<uint32_t>& squares,
                                const std::vector<Hash>& state);
[[nodiscard]] Bytes show_subject(BytesView program);
[[nodiscard]] Bytes show_nodes(const std::vector<Hash>& nodes);
[[nodiscard]] Bytes show_tile(BytesView tile);
[[nodiscard]] Bytes show_parts(const std::vector<uint32_t>& numbers);
[[nodiscard]] Bytes show_input(BytesView program, const Opening& opening);
}  // namespace move

/// A reveal shows at most 2^kNodeLevels nodes of a tree.
inline constexpr uint32_t kNodeLevels = 10;
/// The nodes that are shown of node (level, index) of a tree over `leaves` leaves.
struct NodeRange {
    uint32_t level = 0, first = 0, count = 0;
};
[[nodiscard]] NodeRange nodes_below(uint32_t leaves, uint32_t level, uint32_t index);
/// Levels above the leaves: the root's level.
[[nodiscard]] uint32_t root_level(uint32_t leaves);

}  // namespace trainyard::training::referee
