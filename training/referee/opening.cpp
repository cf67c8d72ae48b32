// SPDX-License-Identifier: Apache-2.0
// One function per kind of source.
#include "training/referee/opening.hpp"

#include "core/blob.hpp"
#include "core/merkle.hpp"
#include "training/numerics/functions.hpp"
#include "training/state_root.hpp"

namespace trainyard::training::referee {

namespace {

using Opened = Result<uint32_t, Refusal>;

/// True if the tensor with this root over its tiles is what the game has committed to.
bool is_committed(const State& s, const Program& program, const Source& source,
                  const Hash& tile_root, const Opening& o) {
    const auto parameters = static_cast<uint32_t>(program.parameters.size());
    const Hash leaf = tensor_leaf(source.shape, tile_root);
    const auto& path = o.paths[1];
    switch (source.kind) {
        case Source::Kind::value: {
            const auto training = derive_training_graph(program);
            const uint32_t first = first_yield(program);
            return training && merkle::verify(s.transcript, tile_root, source.index - first,
                                              training->graph.values.size() - first, path);
        }
        case Source::Kind::state:
            return merkle::verify(s.before, leaf, source.index, 3 * size_t{parameters} + 1, path);
        case Source::Kind::sum:
            return merkle::verify(s.tuple.grad_root, leaf, source.index, parameters, path);
        case Source::Kind::gradient: {
            const uint32_t t = s.claim.segment.first_step + s.step;
            return merkle::verify(o.unit.grad_root, leaf, source.index, parameters, path) &&
                   merkle::verify(s.tuple.units_root, unit_leaf(t, source.unit, o.unit),
                                  source.unit, s.claim.micro_batches, o.paths[2]);
        }
        default:
            return false;
    }
}

Opened open_tensor(const State& s, const Program& program, const Source& source, const Opening& o) {
    const size_t paths = source.kind == Source::Kind::gradient ? 3 : 2;
    if (o.blocks.size() != 1 || o.blocks[0].size() != kTileBytes || o.paths.size() != paths)
        return unexpected(Refusal::malformed);
    const TilePlace place = place_of(source.shape, s.term.a);
    const Hash leaf = merkle::leaf(o.blocks[0]);
    const auto root = merkle::root_from(leaf, place.tile, tile_count(source.shape), o.paths[0]);
    if (!root || !is_committed(s, program, source, *root, o))
        return unexpected(Refusal::not_committed);
    if (!has_one_nan(o.blocks[0])) return unexpected(Refusal::inconsistent);
    return load_le<uint32_t>(o.blocks[0].data() + 4 * size_t{place.at});
}

/// Pieces of the data set, in order, each once for each range that touches it.
Opened open_data(const Program& program, const Source& source, const Opening& o) {
    Bytes bytes;
    size_t used = 0;
    for (const DataRange& range : source.ranges)
        for (uint64_t at = range.offset; at < range.offset + range.bytes;) {
            const uint64_t piece = at / blob::kPieceBytes;
            if (used == o.blocks.size() || used == o.paths.size())
                return unexpected(Refusal::malformed);
            const Bytes& block = o.blocks[used];
            if (!blob::verify_piece(program.data.root, program.data.size_bytes, piece, block,
                                    o.paths[used++]))
                return unexpected(Refusal::not_committed);
            const uint64_t end =
                std::min(range.offset + range.bytes, (piece + 1) * blob::kPieceBytes);
            for (; at < end; ++at) bytes.push_back(block[at % blob::kPieceBytes]);
        }
    if (used != o.blocks.size() || used != o.paths.size()) return unexpected(Refusal::malformed);
    return number_of(source.format, bytes);
}

/// Where nothing has to be opened nothing may be shown.
Opened bare(const Opening& o, uint32_t bits) {
    if (!o.blocks.empty() || !o.paths.empty() || o.unit != Unit{})
        return unexpected(Refusal::malformed);
    return bits;
}

}  // namespace

bool has_one_nan(BytesView tile) {
    for (size_t at = 0; at < tile.size(); at += 4) {
        const auto bits = load_le<uint32_t>(tile.data() + at);
        if (canonical(bits) != bits) return false;
    }
    return true;
}

Opened opened_number(const State& s, const Program& program, const Opening& opening) {
    if (s.subject.kind == SubjectKind::init)
        if (const auto bits = initial_bits(program, s.claim.run_seed, s.subject.index, s.term.a))
            return bare(opening, *bits);
    const Source source = source_of(program, spot_of(s), s.subject, s.term);
    if (source.kind != Source::Kind::gradient && opening.unit != Unit{})
        return unexpected(Refusal::malformed);
    if (source.kind == Source::Kind::data) return open_data(program, source, opening);
    if (source.kind != Source::Kind::constant) return open_tensor(s, program, source, opening);
    const Bytes& data = program.constants[source.index].data;
    return bare(opening, load_le<uint32_t>(data.data() + 4 * size_t{s.term.a}));
}

}  // namespace trainyard::training::referee
