// SPDX-License-Identifier: Apache-2.0
// One function per phase: what may be said there, and what it leads to.
#include "training/referee/game.hpp"

#include <cmath>

#include "core/hash.hpp"
#include "core/merkle.hpp"
#include "core/rlp.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/referee/game_codec.hpp"
#include "training/referee/opening.hpp"
#include "training/state_root.hpp"
#include "training/update.hpp"

namespace trainyard::training::referee {

namespace {

using Played = Result<State, Refusal>;

/// The fields of a move; false if they are not as `read` takes them.
template <class Read>
bool read_move(BytesView move, const Read& read) {
    rlp::Fields top(move);
    top.list(read);
    return top.finish().has_value();
}

State next(const State& state, Phase phase) {
    State out = state;
    out.phase = phase;
    out.hashes.clear();
    out.numbers.clear();
    return out;
}

/// The program of a move; refused if it is not the one that the claim names, or has no such steps.
Result<Program, Refusal> program_of(const State& state, BytesView encoded) {
    if (sha256(encoded) != state.claim.program) return unexpected(Refusal::not_committed);
    auto program = decode_program(encoded);
    if (!program) return unexpected(Refusal::malformed);
    const SegmentClaim& claim = state.claim.segment;
    if (program->run.micro_batches != state.claim.micro_batches ||
        uint64_t{claim.first_step} + claim.steps > program->run.steps || state.step >= claim.steps)
        return unexpected(Refusal::inconsistent);
    return std::move(*program);
}

/// A move that shows the program and roots of tensors.
struct ShownRoots {
    Program program;
    std::vector<Hash> roots;
};
Result<ShownRoots, Refusal> shown_roots(const State& state, BytesView move) {
    Bytes encoded;
    ShownRoots out;
    const bool is_read = read_move(move, [&](rlp::Fields& f) {
        encoded = f.bytes();
        out.roots = read_hashes(f);
    });
    if (!is_read) return unexpected(Refusal::malformed);
    auto program = program_of(state, encoded);
    if (!program) return unexpected(program.error());
    out.program = std::move(*program);
    return out;
}

/// Leaves of w, m, v from the roots over their tiles.
std::vector<Hash> leaves_of(const Program& program, const std::vector<Hash>& roots) {
    std::vector<Hash> out;
    for (size_t i = 0; i < roots.size(); ++i)
        out.push_back(
            tensor_leaf(program.parameters[i % program.parameters.size()].shape, roots[i]));
    return out;
}

/// Root over these leaves and that of the counters behind `steps` steps of the run.
Hash root_after(const State& state, const Program& program, std::vector<Hash> leaves,
                uint64_t steps) {
    return state_root(std::move(leaves), counters_after(program, state.claim.run_seed, steps),
                      state.claim.program);
}

Played on_show_steps(const State& s, BytesView move) {
    std::vector<Hash> values, whole;
    const bool is_read = read_move(move, [&](rlp::Fields& f) {
        values = read_hashes(f);
        whole = read_hashes(f);
    });
    const SegmentClaim& claim = s.claim.segment;
    if (!is_read || values.size() != 2 * size_t{claim.steps} + 1 || whole.size() + 1 != claim.steps)
        return unexpected(Refusal::malformed);
    if (values.front() != claim.first_root || values.back() != claim.last_root ||
        sequence_root(values) != claim.steps_root)
        return unexpected(Refusal::not_committed);
    State out = next(s, Phase::pick_step);
    out.hashes = std::move(values);
    out.hashes.insert(out.hashes.end(), whole.begin(), whole.end());
    return out;
}

Played on_pick_step(const State& s, uint32_t t) {
    const uint32_t n = s.claim.segment.steps;
    if (t == n && s.claim.segment.first_step == 0) return next(s, Phase::show_init);
    if (t >= n) return unexpected(Refusal::out_of_range);
    const auto whole = [&](uint32_t i) {
        return i == 0   ? s.claim.segment.first_root
               : i == n ? s.claim.segment.last_root
                        : s.hashes[2 * n + i];
    };
    State out = next(s, Phase::show_step);
    out.step = t;
    out.before = whole(t);
    out.after = whole(t + 1);
    if (t + 1 < n) out.after_weights = s.hashes[2 * (t + 1)];
    out.tuple_leaf = s.hashes[2 * t + 1];
    return out;
}

Played on_show_step(const State& s, BytesView move) {
    StepTuple tuple;
    std::vector<Unit> units;
    const bool is_read = read_move(move, [&](rlp::Fields& f) {
        tuple = read_tuple(f);
        units = read_units(f);
    });
    if (!is_read || units.size() != s.claim.micro_batches) return unexpected(Refusal::malformed);
    const uint32_t t = s.claim.segment.first_step + s.step;
    if (step_leaf(t, tuple) != s.tuple_leaf || units_root(t, units) != tuple.units_root)
        return unexpected(Refusal::not_committed);
    State out = next(s, Phase::pick_unit);
    for (const Unit& unit : units) {
        if (is_nonfinite(as_float(unit.loss_bits))) return unexpected(Refusal::inconsistent);
        out.hashes.push_back(unit.grad_root);
        out.numbers.push_back(unit.loss_bits);
    }
    const bool is_last = s.step + 1 == s.claim.segment.steps;
    if (tuple.nonfinite != 0 || mean_of_losses(out.numbers) != tuple.loss_bits ||
        (is_last && tuple.loss_bits != s.claim.loss_bits) ||
        (units.size() == 1 && tuple.grad_root != units[0].grad_root))
        return unexpected(Refusal::inconsistent);
    out.tuple = tuple;
    return out;
}

Played on_pick_unit(const State& s, uint32_t j) {
    if (j == s.claim.micro_batches) return next(s, Phase::show_update);
    if (j > s.claim.micro_batches) return unexpected(Refusal::out_of_range);
    State out = next(s, Phase::show_unit);
    out.unit_number = j;
    out.unit = {s.numbers[j], s.hashes[j]};
    return out;
}

Played on_show_unit(const State& s, BytesView move) {
    const auto shown = shown_roots(s, move);
    if (!shown) return unexpected(shown.error());
    const auto& [program, roots] = *shown;
    const auto training = derive_training_graph(program);
    const uint32_t first = first_yield(program);
    if (!training || roots.size() + first != training->graph.values.size())
        return unexpected(Refusal::malformed);
    std::vector<Hash> gradients;
    for (const uint32_t value : training->gradients) gradients.push_back(roots[value - first]);
    if (grad_root(parameter_shapes(program), gradients) != s.unit.grad_root)
        return unexpected(Refusal::not_committed);
    State out = next(s, Phase::pick_value);
    out.transcript = merkle::root(roots);
    out.hashes = roots;
    out.numbers = {first};
    return out;
}

Played on_pick_value(const State& s, uint32_t i) {
    if (i > s.hashes.size()) return unexpected(Refusal::out_of_range);
    State out = next(s, Phase::show_subject);
    if (i == s.hashes.size()) {
        out.subject.kind = SubjectKind::unit_loss;
        out.number = s.unit.loss_bits;
        return out;
    }
    out.subject.kind = SubjectKind::value;
    out.subject.index = s.numbers[0] + i;
    out.subject.root = s.hashes[i];
    return out;
}

/// Sums of squares in order, and their root: clip_norm.
bool is_norm_of(uint32_t norm_bits, const std::vector<uint32_t>& squares) {
    float total = 0.0F;
    for (const uint32_t bits : squares) total = total + as_float(bits);
    const float norm = std::sqrt(total);
    return !is_nonfinite(norm) && bits_of(norm) == norm_bits;
}

Played on_show_update(const State& s, BytesView move) {
    Bytes encoded;
    std::vector<Hash> sums, state;
    std::vector<uint32_t> squares;
    const bool is_read = read_move(move, [&](rlp::Fields& f) {
        encoded = f.bytes();
        sums = read_hashes(f);
        squares = read_numbers(f);
        state = read_hashes(f);
    });
    if (!is_read) return unexpected(Refusal::malformed);
    const auto program = program_of(s, encoded);
    if (!program) return unexpected(program.error());
    const size_t parameters = program->parameters.size();
    if (sums.size() != parameters || squares.size() != parameters || state.size() != 3 * parameters)
        return unexpected(Refusal::malformed);
    const auto leaves = leaves_of(*program, state);
    const std::vector<Hash> w(leaves.begin(), leaves.begin() + static_cast<ptrdiff_t>(parameters));
    const uint64_t steps = uint64_t{s.claim.segment.first_step} + s.step + 1;
    if (grad_root(parameter_shapes(*program), sums) != s.tuple.grad_root ||
        root_after(s, *program, leaves, steps) != s.after ||
        (s.after_weights != Hash{} && root_after(s, *program, w, steps) != s.after_weights))
        return unexpected(Refusal::not_committed);
    if (!is_norm_of(s.tuple.norm_bits, squares)) return unexpected(Refusal::inconsistent);
    State out = next(s, Phase::pick_update);
    out.hashes = std::move(sums);
    out.hashes.insert(out.hashes.end(), state.begin(), state.end());
    out.numbers = std::move(squares);
    return out;
}

/// P sums, P sums of squares, 3 P tensors of the new state.
Played on_pick_update(const State& s, uint32_t i) {
    const auto parameters = static_cast<uint32_t>(s.numbers.size());
    if (i >= 5 * parameters) return unexpected(Refusal::out_of_range);
    State out = next(s, Phase::show_subject);
    if (i < parameters) {
        out.subject.kind = SubjectKind::sum;
        out.subject.index = i;
        out.subject.root = s.hashes[i];
    } else if (i < 2 * parameters) {
        out.subject.kind = SubjectKind::squares;
        out.subject.index = i - parameters;
        out.number = s.numbers[i - parameters];
    } else {
        out.subject.kind = SubjectKind::state;
        out.subject.index = i - 2 * parameters;
        out.subject.root = s.hashes[i - parameters];
    }
    return out;
}

Played on_show_init(const State& s, BytesView move) {
    const auto shown = shown_roots(s, move);
    if (!shown) return unexpected(shown.error());
    const auto& [program, roots] = *shown;
    if (roots.size() != 3 * program.parameters.size()) return unexpected(Refusal::malformed);
    if (root_after(s, program, leaves_of(program, roots), 0) != s.claim.segment.first_root)
        return unexpected(Refusal::not_committed);
    State out = next(s, Phase::pick_init);
    out.hashes = roots;
    return out;
}

Played on_pick_init(const State& s, uint32_t i) {
    if (i >= s.hashes.size()) return unexpected(Refusal::out_of_range);
    State out = next(s, Phase::show_subject);
    out.subject.kind = SubjectKind::init;
    out.subject.index = i;
    out.subject.root = s.hashes[i];
    return out;
}

Played on_show_subject(const State& s, BytesView move) {
    Bytes encoded;
    if (!read_move(move, [&](rlp::Fields& f) { encoded = f.bytes(); }))
        return unexpected(Refusal::malformed);
    const auto program = program_of(s, encoded);
    if (!program) return unexpected(program.error());
    State out = next(s, Phase::show_parts);
    if (!resolve(out.subject, *program, spot_of(s))) return unexpected(Refusal::inconsistent);
    if (is_number(s.subject.kind)) {
        out.term = Term{kOutput, out.subject.port};
        return out;
    }
    out.node = s.subject.root;
    out.level = root_level(tile_count(out.subject.shape));
    out.index = 0;
    out.phase = out.level == 0 ? Phase::show_tile : Phase::show_nodes;
    return out;
}

Played on_show_nodes(const State& s, BytesView move) {
    std::vector<Hash> nodes;
    if (!read_move(move, [&](rlp::Fields& f) { nodes = read_hashes(f); }) ||
        nodes.size() != nodes_below(tile_count(s.subject.shape), s.level, s.index).count)
        return unexpected(Refusal::malformed);
    if (merkle::root(nodes) != s.node) return unexpected(Refusal::not_committed);
    State out = next(s, Phase::pick_node);
    out.hashes = std::move(nodes);
    return out;
}

Played on_pick_node(const State& s, uint32_t i) {
    if (i >= s.hashes.size()) return unexpected(Refusal::out_of_range);
    const NodeRange range = nodes_below(tile_count(s.subject.shape), s.level, s.index);
    State out = next(s, range.level == 0 ? Phase::show_tile : Phase::show_nodes);
    out.level = range.level;
    out.index = range.first + i;
    out.node = s.hashes[i];
    return out;
}

Played on_show_tile(const State& s, BytesView move) {
    Bytes tile;
    if (!read_move(move, [&](rlp::Fields& f) { tile = f.bytes(); }) || tile.size() != kTileBytes)
        return unexpected(Refusal::malformed);
    if (merkle::leaf(tile) != s.node) return unexpected(Refusal::not_committed);
    if (!has_one_nan(tile)) return unexpected(Refusal::inconsistent);
    State out = next(s, Phase::pick_element);
    for (uint32_t i = 0; i < kTileElements; ++i) {
        out.numbers.push_back(load_le<uint32_t>(tile.data() + 4 * size_t{i}));
        if (!element_at(s.subject.shape, {s.index, i}) && out.numbers.back() != 0)
            return unexpected(Refusal::inconsistent);
    }
    return out;
}

Played on_pick_element(const State& s, uint32_t i) {
    const auto element =
        i < kTileElements ? element_at(s.subject.shape, {s.index, i}) : std::nullopt;
    if (!element) return unexpected(Refusal::out_of_range);
    State out = next(s, Phase::show_parts);
    out.number = s.numbers[i];
    out.term = Term{kOutput, s.subject.port, *element};
    if (s.subject.kind == SubjectKind::init) {
        out.term.kind = kInput;
        out.phase = Phase::show_input;
    }
    return out;
}

Played on_show_parts(const State& s, BytesView move) {
    std::vector<uint32_t> numbers;
    const Line line = line_of(s.subject.call, s.term);
    if (!read_move(move, [&](rlp::Fields& f) { numbers = read_numbers(f); }) ||
        numbers.size() != line.parts.size())
        return unexpected(Refusal::malformed);
    if (join(line, numbers) != s.number) return unexpected(Refusal::inconsistent);
    State out = next(s, Phase::pick_part);
    out.numbers = std::move(numbers);
    return out;
}

Played on_pick_part(const State& s, uint32_t i) {
    if (i >= s.numbers.size()) return unexpected(Refusal::out_of_range);
    State out = next(s, Phase::show_parts);
    out.term = part_of(line_of(s.subject.call, s.term), i, s.numbers);
    out.number = s.numbers[i];
    if (out.term.kind == kInput) out.phase = Phase::show_input;
    return out;
}

/// The end: whoever can show the number has told the truth all the way.
Played on_show_input(const State& s, BytesView move) {
    Bytes encoded;
    Opening opening;
    const bool is_read = read_move(move, [&](rlp::Fields& f) {
        encoded = f.bytes();
        opening = read_opening(f);
    });
    if (!is_read) return unexpected(Refusal::malformed);
    const auto program = program_of(s, encoded);
    if (!program) return unexpected(program.error());
    const auto number = opened_number(s, *program, opening);
    if (!number) return unexpected(number.error());
    if (*number != s.number) return unexpected(Refusal::not_committed);
    return next(s, Phase::provider_won);
}

struct ShowRule {
    Phase phase;
    Played (*show)(const State&, BytesView);
};
constexpr ShowRule kShows[] = {
    {Phase::show_steps, on_show_steps},   {Phase::show_init, on_show_init},
    {Phase::show_step, on_show_step},     {Phase::show_unit, on_show_unit},
    {Phase::show_update, on_show_update}, {Phase::show_subject, on_show_subject},
    {Phase::show_nodes, on_show_nodes},   {Phase::show_tile, on_show_tile},
    {Phase::show_parts, on_show_parts},   {Phase::show_input, on_show_input},
};

struct PickRule {
    Phase phase;
    Played (*pick)(const State&, uint32_t);
};
constexpr PickRule kPicks[] = {
    {Phase::pick_step, on_pick_step},       {Phase::pick_init, on_pick_init},
    {Phase::pick_unit, on_pick_unit},       {Phase::pick_value, on_pick_value},
    {Phase::pick_update, on_pick_update},   {Phase::pick_node, on_pick_node},
    {Phase::pick_element, on_pick_element}, {Phase::pick_part, on_pick_part},
};

}  // namespace

Turn turn_of(Phase phase) {
    for (const ShowRule& rule : kShows)
        if (rule.phase == phase) return Turn::provider;
    for (const PickRule& rule : kPicks)
        if (rule.phase == phase) return Turn::challenger;
    return Turn::nobody;
}

Result<State, Refusal> play(const State& state, BytesView move) {
    const FloatModeGuard mode;
    for (const ShowRule& rule : kShows)
        if (rule.phase == state.phase) return rule.show(state, move);
    uint64_t index = 0;
    const bool is_read = read_move(move, [&](rlp::Fields& f) { index = f.number(); });
    if (!is_read || index > UINT32_MAX) return unexpected(Refusal::malformed);
    for (const PickRule& rule : kPicks)
        if (rule.phase == state.phase) return rule.pick(state, static_cast<uint32_t>(index));
    return unexpected(Refusal::over);
}

Spot spot_of(const State& s) {
    return {s.claim.run_seed, uint64_t{s.claim.segment.first_step} + s.step, s.unit_number,
            s.tuple.norm_bits};
}

uint32_t root_level(uint32_t leaves) {
    uint32_t level = 0;
    for (; leaves > 1; leaves = leaves / 2 + leaves % 2) ++level;
    return level;
}

NodeRange nodes_below(uint32_t leaves, uint32_t level, uint32_t index) {
    const uint32_t down = std::min(level, kNodeLevels);
    NodeRange out{level - down, index << down, 1U << down};
    uint32_t there = leaves;
    for (uint32_t l = 0; l < out.level; ++l) there = there / 2 + there % 2;
    out.count = std::min(out.count, there - out.first);
    return out;
}

}  // namespace trainyard::training::referee
