// SPDX-License-Identifier: Apache-2.0
// The byte form of whole states (docs/spec/training.md, section 7), and the root of one that passes
// by in pieces.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "core/assert.hpp"
#include "training/piecewise_root.hpp"
#include "training/state_root.hpp"
#include "training/tile_hash.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kStateMagic = 0x31535954;  // "TYS1"
constexpr size_t kHeaderBytes = 4 + 32 + 32 + 8 + 8 + 4 + 4;

size_t state_bytes(const Program& program) {
    size_t elements = 0;
    for (const Parameter& p : program.parameters) elements += p.shape.count();
    return kHeaderBytes + 3 * sizeof(float) * elements;
}

void append_tensors(Bytes& to, const std::vector<Tensor>& tensors) {
    for (const Tensor& t : tensors) {
        const auto* data = reinterpret_cast<const uint8_t*>(t.data.data());
        append(to, {data, t.data.size() * sizeof(float)});
    }
}

/// w, m and v of a blob that has room for them.
std::vector<TensorBytes> tensors_in(const Program& program, BytesView blob) {
    std::vector<TensorBytes> out;
    const uint8_t* at = blob.data() + kHeaderBytes;
    for (int kind = 0; kind < 3; ++kind)
        for (const Parameter& p : program.parameters) {
            out.emplace_back(at, p.shape);
            at += out.back().size();
        }
    return out;
}

/// Whether a blob of that size can be a state.
Result<Done, StateError> check_size(const Program& program, uint64_t size_bytes) {
    const size_t due = state_bytes(program);
    if (size_bytes < due) return unexpected(StateError::truncated);
    if (size_bytes > due) return unexpected(StateError::leftover);
    return Done{};
}

/// Everything but the tensors, which lie behind `kHeaderBytes`.
Result<ModelState, StateError> read_header(const Program& program, const Hash& id,
                                           const uint8_t* at) {
    if (load_le<uint32_t>(at) != kStateMagic || std::memcmp(at + 4, id.data(), 32) != 0)
        return unexpected(StateError::wrong_program);
    at += 36;
    ModelState state;
    state.run_seed = *fixed_from<Hash>({at, 32});
    state.step = load_le<uint64_t>(at + 32);
    state.cursor = load_le<uint64_t>(at + 40);
    state.p1_bits = load_le<uint32_t>(at + 48);
    state.p2_bits = load_le<uint32_t>(at + 52);
    if (state.step > program.run.steps ||
        state.cursor != state.step * program.run.micro_batches * program.run.sequences)
        return unexpected(StateError::wrong_shape);
    return state;
}

}  // namespace

void append_state(Bytes& to, const ModelState& state, const Hash& program) {
    size_t elements = 0;
    for (const Tensor& t : state.w) elements += t.data.size();
    to.reserve(to.size() + kHeaderBytes + 3 * sizeof(float) * elements);
    append_le(to, kStateMagic);
    append(to, program.bytes);
    append(to, state.run_seed.bytes);
    append_le(to, state.step);
    append_le(to, state.cursor);
    append_le(to, state.p1_bits);
    append_le(to, state.p2_bits);
    for (const auto* tensors : {&state.w, &state.m, &state.v}) append_tensors(to, *tensors);
}

Bytes encode_state(const ModelState& state, const Hash& program) {
    Bytes out;
    append_state(out, state, program);
    return out;
}

Result<ModelState, StateError> decode_state(const Program& program, BytesView blob,
                                            const std::optional<Hash>& expected_root, Pool* pool) {
    if (auto right = check_size(program, blob.size()); !right) return unexpected(right.error());
    auto state = read_header(program, program_id(program), blob.data());
    if (!state) return state;
    if (expected_root && *blob_root(program, blob, pool) != *expected_root)
        return unexpected(StateError::wrong_root);
    auto all = read_tensors(tensors_in(program, blob), pool);
    auto next = std::make_move_iterator(all.begin());
    for (auto* tensors : {&state->w, &state->m, &state->v}) {
        const auto end = next + static_cast<ptrdiff_t>(program.parameters.size());
        tensors->assign(next, end);
        next = end;
    }
    return state;
}

Result<Hash, StateError> blob_root(const Program& program, BytesView blob, Pool* pool) {
    if (auto right = check_size(program, blob.size()); !right) return unexpected(right.error());
    const Hash id = program_id(program);
    const auto header = read_header(program, id, blob.data());
    if (!header) return unexpected(header.error());
    return state_root(tensor_leaves(tensors_in(program, blob), pool), *header, id);
}

PiecewiseRoot::PiecewiseRoot(Program program, uint64_t size_bytes, Pool* pool,
                             size_t piece_bytes_max)
    : program_(std::move(program)),
      id_(program_id(program_)),
      size_bytes_(size_bytes),
      pool_(pool),
      piece_bytes_max_(piece_bytes_max) {
    if (!check_size(program_, size_bytes)) return;
    pieces_.push_back(kHeaderBytes);
    for (int kind = 0; kind < 3; ++kind)
        for (size_t k = 0; k < program_.parameters.size(); ++k) cut(k);
    ends_.push_back(parts_.size());
}

/// Fills the last piece with rows of the tensor, then begins others.
void PiecewiseRoot::cut(size_t parameter) {
    const Shape shape = program_.parameters[parameter].shape;
    const bool is_vector = shape.rank == 1;
    const size_t rows = is_vector ? shape.cols : shape.rows;
    const size_t row_bytes = (is_vector ? 1 : shape.cols) * sizeof(float);
    const size_t step = is_vector ? kTileElements : kTileSide;
    for (size_t done = 0; done < rows;) {
        const size_t room = piece_bytes_max_ - std::min(piece_bytes_max_, pieces_.back());
        const size_t steps = std::max<size_t>(1, room / (step * row_bytes));
        const size_t some = std::min(rows - done, steps * step);
        if (some * row_bytes > room && pieces_.back() != 0) {
            pieces_.push_back(0);
            ends_.push_back(parts_.size());
            continue;
        }
        done += some;
        const auto count = static_cast<uint32_t>(some);
        const Shape part = is_vector ? Shape::vector(count) : Shape::matrix(count, shape.cols);
        parts_.push_back({parameter, part, done == rows});
        pieces_.back() += some * row_bytes;
    }
}

void PiecewiseRoot::add(BytesView piece) {
    ASSERT(added_ < pieces_.size() && piece.size() == pieces_[added_]);
    const uint8_t* at = piece.data();
    if (added_ == 0) {
        header_.assign(at, at + kHeaderBytes);
        at += kHeaderBytes;
    }
    for (size_t k = added_ == 0 ? 0 : ends_[added_ - 1]; k < ends_[added_]; ++k) {
        hash(parts_[k], at);
        at += parts_[k].shape.count() * sizeof(float);
    }
    ++added_;
}

void PiecewiseRoot::hash(const Part& part, const uint8_t* at) {
    const auto leaves = tile_leaves(TensorBytes(at, part.shape), pool_);
    tiles_.insert(tiles_.end(), leaves.begin(), leaves.end());
    const auto tile = [&](size_t i) { return tiles_.begin() + static_cast<ptrdiff_t>(i); };
    const size_t before = blocks_.size(), full = tiles_.size() / kBlockTiles;
    blocks_.resize(before + full);
    run_ranges(pool_, full, 1, [&](size_t i, size_t) {
        blocks_[before + i] = hash_root({tile(i * kBlockTiles), tile((i + 1) * kBlockTiles)});
    });
    tiles_.erase(tiles_.begin(), tile(full * kBlockTiles));
    if (!part.is_last) return;
    if (!tiles_.empty()) blocks_.push_back(hash_root(std::exchange(tiles_, {})));
    tensors_.push_back(tensor_leaf(program_.parameters[part.parameter].shape,
                                   hash_root(std::exchange(blocks_, {}))));
}

Result<Hash, StateError> PiecewiseRoot::finish() const {
    if (auto right = check_size(program_, size_bytes_); !right) return unexpected(right.error());
    ASSERT(added_ == pieces_.size());
    const auto header = read_header(program_, id_, header_.data());
    if (!header) return unexpected(header.error());
    return state_root(tensors_, *header, id_);
}

std::string_view to_text(StateError error) {
    switch (error) {
        case StateError::truncated:
            return "the bytes end too early";
        case StateError::wrong_program:
            return "made by another program, or not of this format";
        case StateError::wrong_shape:
            return "counters do not fit the program";
        case StateError::leftover:
            return "bytes are left over at the end";
        case StateError::wrong_root:
            return "the content does not have the expected root";
        case StateError::other_version:
            return "written by an older version of this program, with other roots; not readable";
    }
    return "unknown error";
}

}  // namespace trainyard::training
