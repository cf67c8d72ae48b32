// SPDX-License-Identifier: Apache-2.0
// One function per phase and side.
#include "training/referee/players.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "core/blob.hpp"
#include "core/merkle.hpp"
#include "training/numerics/functions.hpp"
#include "training/referee/opening.hpp"
#include "training/state_root.hpp"
#include "training/tile_hash.hpp"

namespace trainyard::training::referee {

namespace {

using Move = Result<Bytes, EngineError>;
using Pick = Result<std::optional<uint32_t>, EngineError>;

std::vector<Hash> roots_of(const std::vector<const std::vector<Tensor>*>& groups) {
    std::vector<TensorView> views;
    for (const auto* group : groups) views.insert(views.end(), group->begin(), group->end());
    std::vector<Hash> out(views.size());
    tile_roots(out.data(), views);
    return out;
}

std::vector<Hash> roots_of(const ModelState& state) {
    return roots_of({&state.w, &state.m, &state.v});
}

std::vector<Hash> leaves_of(const std::vector<Tensor>& tensors) {
    std::vector<Hash> out;
    for (const Tensor& tensor : tensors) out.push_back(tensor_leaf(tensor));
    return out;
}

/// The nodes that are shown of a tensor's tree.
std::vector<Hash> nodes_of(const Tensor& tensor, const State& s) {
    std::vector<Hash> leaves = tile_leaves(tensor);
    const NodeRange range = nodes_below(static_cast<uint32_t>(leaves.size()), s.level, s.index);
    std::vector<Hash> out;
    for (uint32_t i = range.first; i < range.first + range.count; ++i) {
        const size_t begin = size_t{i} << range.level;
        const size_t end = std::min(leaves.size(), size_t{i + 1} << range.level);
        out.push_back(merkle::root({leaves.begin() + static_cast<ptrdiff_t>(begin),
                                    leaves.begin() + static_cast<ptrdiff_t>(end)}));
    }
    return out;
}

Bytes tile_bytes(const Tensor& tensor, uint32_t tile) {
    const std::vector<float> elements = read_tile(tensor, tile);
    Bytes out;
    for (const float x : elements) append_le(out, bits_of(x));
    return out;
}

/// The tensors' leaves of the commitment that holds an input, with the input's own number there.
Result<Opening, EngineError> open_tensor(Witness& witness, const State& s, const Source& source,
                                         const Tensor& tensor) {
    const uint32_t tile = place_of(source.shape, s.term.a).tile;
    Opening out;
    out.blocks = {tile_bytes(tensor, tile)};
    out.paths = {merkle::path(tile_leaves(tensor), tile)};
    const auto run = witness.step(s.step);
    if (!run) return unexpected(run.error());
    switch (source.kind) {
        case Source::Kind::state:
            out.paths.push_back(merkle::path(
                state_leaves((*run)->before, program_id(witness.program())), source.index));
            return out;
        case Source::Kind::sum:
            out.paths.push_back(merkle::path(leaves_of((*run)->sums), source.index));
            return out;
        case Source::Kind::gradient: {
            const auto gradients = witness.gradients(s.step, source.unit);
            if (!gradients) return unexpected(gradients.error());
            std::vector<Hash> units;
            const auto& all = (*run)->units;
            for (uint32_t j = 0; j < all.size(); ++j)
                units.push_back(unit_leaf(static_cast<uint32_t>((*run)->before.step), j, all[j]));
            out.unit = all[source.unit];
            out.paths.push_back(merkle::path(leaves_of(*gradients), source.index));
            out.paths.push_back(merkle::path(units, source.unit));
            return out;
        }
        default: {
            const auto unit = witness.unit_roots(s.step, s.unit_number);
            if (!unit) return unexpected(unit.error());
            out.paths.push_back(
                merkle::path((*unit)->roots, source.index - first_yield(witness.program())));
            return out;
        }
    }
}

Opening open_data(const Witness& witness, const Source& source) {
    Opening out;
    for (const DataRange& range : source.ranges) {
        const uint64_t last = (range.offset + range.bytes - 1) / blob::kPieceBytes;
        for (uint64_t piece = range.offset / blob::kPieceBytes; piece <= last; ++piece) {
            const BytesView bytes = witness.data().subspan(
                piece * blob::kPieceBytes, blob::piece_bytes(witness.data().size(), piece));
            out.blocks.emplace_back(bytes.begin(), bytes.end());
            out.paths.push_back(blob::piece_path(witness.data(), piece));
        }
    }
    return out;
}

Move show_input(Witness& witness, const State& s) {
    const auto done = [&](const Opening& opening) {
        return move::show_input(witness.encoded_program(), opening);
    };
    const Program& program = witness.program();
    if (s.subject.kind == SubjectKind::init &&
        initial_bits(program, s.claim.run_seed, s.subject.index, s.term.a))
        return done({});
    const Source source = source_of(program, spot_of(s), s.subject, s.term);
    if (source.kind == Source::Kind::constant) return done({});
    if (source.kind == Source::Kind::data) return done(open_data(witness, source));
    const auto evidence = witness.evidence(s);
    if (!evidence) return unexpected(evidence.error());
    const Tensor& tensor = (*evidence)->inputs[s.term.port];
    const auto opening = open_tensor(witness, s, source, tensor);
    if (!opening) return unexpected(opening.error());
    return done(*opening);
}

Move show_update(Witness& witness, const State& s) {
    const auto run = witness.step(s.step);
    if (!run) return unexpected(run.error());
    return move::show_update(witness.encoded_program(), roots_of({&(*run)->sums}), (*run)->squares,
                             roots_of((*run)->after));
}

Move show_unit(Witness& witness, const State& s) {
    const auto unit = witness.unit_roots(s.step, s.unit_number);
    if (!unit) return unexpected(unit.error());
    return move::show_unit(witness.encoded_program(), (*unit)->roots);
}

Move show_of_tensor(Witness& witness, const State& s) {
    const auto evidence = witness.evidence(s);
    if (!evidence) return unexpected(evidence.error());
    const Tensor& tensor = (*evidence)->tensor;
    if (s.phase == Phase::show_nodes) return move::show_nodes(nodes_of(tensor, s));
    return move::show_tile(tile_bytes(tensor, s.index));
}

/// The first item that differs, counted from `base`.
template <class Item>
std::optional<uint32_t> first_difference(const std::vector<Item>& a, const std::vector<Item>& b) {
    for (uint32_t i = 0; i < std::min(a.size(), b.size()); ++i)
        if (a[i] != b[i]) return i;
    return std::nullopt;
}

Pick pick_step(Witness& witness, const State& s) {
    const uint32_t n = s.claim.segment.steps;
    const auto start = witness.segment(0);
    if (!start) return unexpected(start.error());
    if (s.hashes[0] != (*start)->values[0]) return std::optional(n);
    for (uint32_t t = 0; t < n; ++t) {
        const auto run = witness.segment(t + 1);
        if (!run && run.error() == EngineError::diverged) return std::optional(t);
        if (!run) return unexpected(run.error());
        const SegmentRun& own = **run;
        const bool is_last = t + 1 == n;
        if (s.hashes[2 * t + 1] != own.values[2 * t + 1] ||
            s.hashes[2 * t + 2] != own.values[2 * t + 2] ||
            (!is_last && s.hashes[2 * n + 1 + t] != own.whole[t]))
            return std::optional(t);
    }
    const auto whole = witness.segment();
    if (!whole) return unexpected(whole.error());
    if ((*whole)->loss_bits != s.claim.loss_bits)
        return std::optional(n - 1);  // its tuple has ours
    return std::optional<uint32_t>();
}

/// Units may end where one diverges: it is wrong whatever was shown of it.
Pick pick_unit(Witness& witness, const State& s) {
    const auto run = witness.step_so_far(s.step);
    if (!run) return unexpected(run.error());
    const auto& units = (*run)->units;
    for (uint32_t j = 0; j < units.size(); ++j)
        if (units[j] != Unit{s.numbers[j], s.hashes[j]}) return std::optional(j);
    return std::optional(static_cast<uint32_t>(units.size()));
}

Pick pick_value(Witness& witness, const State& s) {
    const auto unit = witness.unit_roots(s.step, s.unit_number);
    if (!unit) return unexpected(unit.error());
    const auto& [roots, gap] = **unit;
    if (const auto i = first_difference(roots, s.hashes)) return i;
    if (gap) return std::optional(gap->value - first_yield(witness.program()));
    return std::optional(static_cast<uint32_t>(s.hashes.size()));
}

/// An update whose norm is no number has no new state: what was shown of it differs before that.
Pick pick_update(Witness& witness, const State& s) {
    const auto run = witness.step_so_far(s.step);
    if (!run) return unexpected(run.error());
    const auto parameters = static_cast<uint32_t>(s.numbers.size());
    if (const auto i = first_difference(roots_of({&(*run)->sums}), s.hashes)) return i;
    if (const auto i = first_difference((*run)->squares, s.numbers))
        return std::optional(parameters + *i);
    const std::vector<Hash> state(s.hashes.begin() + parameters, s.hashes.end());
    const auto i = first_difference(roots_of((*run)->after), state);
    return i ? std::optional(2 * parameters + *i) : i;
}

/// What holds an element of the subject's tensor: one of the nodes that are shown, or its place.
uint32_t item_of(const State& s, uint32_t element) {
    const TilePlace place = place_of(s.subject.shape, element);
    if (s.phase == Phase::pick_element) return place.at;
    const NodeRange range = nodes_below(tile_count(s.subject.shape), s.level, s.index);
    return (place.tile >> range.level) - range.first;
}

Pick pick_of_tensor(Witness& witness, const State& s) {
    const auto evidence = witness.evidence(s);
    if (!evidence) return unexpected(evidence.error());
    const Tensor& tensor = (*evidence)->tensor;
    if ((*evidence)->gap) return std::optional(item_of(s, *(*evidence)->gap));
    if (s.phase == Phase::pick_node) return first_difference(nodes_of(tensor, s), s.hashes);
    std::vector<uint32_t> own;
    for (const float x : read_tile(tensor, s.index)) own.push_back(bits_of(x));
    return first_difference(own, s.numbers);
}

}  // namespace

Move provider_move(Witness& witness, const State& s) {
    switch (s.phase) {
        case Phase::show_steps: {
            const auto run = witness.segment();
            if (!run) return unexpected(run.error());
            return move::show_steps((*run)->values, (*run)->whole);
        }
        case Phase::show_init:
            return move::show_init(witness.encoded_program(), roots_of(witness.first()));
        case Phase::show_step: {
            const auto run = witness.step(s.step);
            if (!run) return unexpected(run.error());
            return move::show_step((*run)->tuple, (*run)->units);
        }
        case Phase::show_unit:
            return show_unit(witness, s);
        case Phase::show_update:
            return show_update(witness, s);
        case Phase::show_subject:
            return move::show_subject(witness.encoded_program());
        case Phase::show_nodes:
        case Phase::show_tile:
            return show_of_tensor(witness, s);
        case Phase::show_parts: {
            const auto parts = witness.parts(s);
            if (!parts) return unexpected(parts.error());
            return move::show_parts(*parts);
        }
        case Phase::show_input:
            return show_input(witness, s);
        default:
            break;
    }
    ASSERT(false);
}

Pick challenger_pick(Witness& witness, const State& s) {
    switch (s.phase) {
        case Phase::pick_step:
            return pick_step(witness, s);
        case Phase::pick_init:
            return first_difference(roots_of(witness.first()), s.hashes);
        case Phase::pick_unit:
            return pick_unit(witness, s);
        case Phase::pick_value:
            return pick_value(witness, s);
        case Phase::pick_update:
            return pick_update(witness, s);
        case Phase::pick_node:
        case Phase::pick_element:
            return pick_of_tensor(witness, s);
        case Phase::pick_part:
            return witness.first_wrong(s);
        default:
            break;
    }
    ASSERT(false);
}

}  // namespace trainyard::training::referee
