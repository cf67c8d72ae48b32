// SPDX-License-Identifier: Apache-2.0
// Cuts a state's bytes into rows of tiles and hashes them as they pass.
#include "training/piecewise_root.hpp"

#include <algorithm>
#include <utility>

#include "core/assert.hpp"
#include "training/state_root.hpp"
#include "training/tile_hash.hpp"

namespace trainyard::training {

PiecewiseRoot::PiecewiseRoot(Program program, uint64_t size_bytes, Pool* pool,
                             size_t piece_bytes_max)
    : program_(std::move(program)),
      id_(program_id(program_)),
      size_bytes_(size_bytes),
      pool_(pool),
      piece_bytes_max_(piece_bytes_max) {
    if (!check_state_size(program_, size_bytes)) return;
    pieces_.push_back(kStateHeaderBytes);
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
        header_.assign(at, at + kStateHeaderBytes);
        at += kStateHeaderBytes;
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
    if (auto right = check_state_size(program_, size_bytes_); !right)
        return unexpected(right.error());
    ASSERT(added_ == pieces_.size());
    const auto header = read_state_header(program_, id_, header_.data());
    if (!header) return unexpected(header.error());
    return state_root(tensors_, *header, id_);
}

}  // namespace trainyard::training
