// SPDX-License-Identifier: Apache-2.0
// Tiles, leaves and roots of tensors and states.
#include "training/state_root.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>

#include "core/hash.hpp"
#include "core/merkle.hpp"
#include "training/tile_hash.hpp"

namespace trainyard::training {

static_assert(std::endian::native == std::endian::little,
              "tiles are hashed as they lie in memory; a big-endian machine must swap first");

namespace {

constexpr uint8_t kTensorTag = 0x02;
constexpr uint8_t kScalarTag = 0x03;
constexpr uint8_t kFloat32 = 0x01;

uint32_t tiles_across(Shape shape) {
    return (shape.cols + kTileSide - 1) / kTileSide;
}

/// Copies tile `index` to 1,024 zeroed elements; `to` need not be aligned.
void copy_tile(uint8_t* to, const TensorView& tensor, uint32_t index) {
    const Shape& s = tensor.shape;
    if (s.rank == 1) {
        const size_t from = size_t{index} * kTileElements;
        const size_t n = std::min<size_t>(kTileElements, s.cols - from);
        std::memcpy(to, tensor.data + from, n * sizeof(float));
        return;
    }
    const uint32_t row0 = index / tiles_across(s) * kTileSide;
    const uint32_t col0 = index % tiles_across(s) * kTileSide;
    const uint32_t rows = std::min(kTileSide, s.rows - row0);
    const uint32_t cols = std::min(kTileSide, s.cols - col0);
    for (uint32_t r = 0; r < rows; ++r)
        std::memcpy(to + size_t{r} * kTileSide * sizeof(float),
                    tensor.data + size_t{row0 + r} * s.cols + col0, cols * sizeof(float));
}

/// True if tile `index` leaves elements of its 1,024 as they were.
bool is_partial(const Shape& s, uint32_t index) {
    if (s.rank == 1) return s.cols - size_t{index} * kTileElements < kTileElements;
    const uint32_t across = tiles_across(s);
    return s.rows - index / across * kTileSide < kTileSide ||
           s.cols - index % across * kTileSide < kTileSide;
}

/// Tiles of one tensor after the other, where they lie; those at the edges are copied and padded.
class TileList {
public:
    void add(const TensorView& tensor) {
        const uint32_t count = tile_count(tensor.shape);
        for (uint32_t i = 0; i < count; ++i) tiles_.push_back(rows_of(tensor, i));
        ends_.push_back(tiles_.size());
    }
    /// Leaves of the tensors, in order: `take` gets the number of a tensor and its leaves.
    void hash(Pool* pool, const std::function<void(size_t, std::vector<Hash>)>& take) const {
        const std::vector<Hash> leaves = hash_tiles(tiles_, pool);
        run_ranges(pool, ends_.size(), 1, [&](size_t k, size_t) {
            const auto first = leaves.begin() + static_cast<ptrdiff_t>(k == 0 ? 0 : ends_[k - 1]);
            take(k, {first, leaves.begin() + static_cast<ptrdiff_t>(ends_[k])});
        });
    }

private:
    [[nodiscard]] cpu::TileRows rows_of(const TensorView& tensor, uint32_t index) {
        const Shape& s = tensor.shape;
        if (is_partial(s, index)) {
            auto& copy = padded_.emplace_back();
            copy_tile(copy.data(), tensor, index);
            return {copy.data(), kTileSide * sizeof(float)};
        }
        const auto at = [&tensor](size_t element) {
            return reinterpret_cast<const uint8_t*>(tensor.data + element);
        };
        if (s.rank == 1) return {at(size_t{index} * kTileElements), kTileSide * sizeof(float)};
        const size_t row = index / tiles_across(s) * kTileSide;
        const size_t col = index % tiles_across(s) * kTileSide;
        return {at(row * s.cols + col), s.cols * sizeof(float)};
    }

    std::vector<cpu::TileRows> tiles_;
    std::vector<size_t> ends_;  ///< one past the last tile of each tensor
    std::deque<std::array<uint8_t, kTileBytes>> padded_;
};

/// Roots over the tiles of each tensor become its leaf.
std::vector<Hash> to_leaves(std::span<const TensorView> tensors, std::vector<Hash> roots) {
    for (size_t k = 0; k < tensors.size(); ++k) roots[k] = tensor_leaf(tensors[k].shape, roots[k]);
    return roots;
}

std::vector<Hash> leaves_of(const std::vector<const std::vector<Tensor>*>& groups, Pool* pool) {
    std::vector<TensorView> tensors;
    for (const auto* group : groups) tensors.insert(tensors.end(), group->begin(), group->end());
    std::vector<Hash> roots(tensors.size());
    tile_roots(roots.data(), tensors, pool);
    return to_leaves(tensors, std::move(roots));
}

/// The same where a backend computes.
Result<std::vector<Hash>, EngineError> leaves_of(Backend& backend,
                                                 const std::vector<const TensorSet*>& groups) {
    std::vector<TensorView> tensors;
    for (const TensorSet* group : groups)
        tensors.insert(tensors.end(), group->views().begin(), group->views().end());
    std::vector<Hash> roots(tensors.size());
    const BackendMemory memory(backend, roots.size() * sizeof(Hash));
    if (!memory.ok()) return unexpected(failure_on(backend, EngineError::out_of_memory));
    backend.tile_roots(memory.data(), tensors);
    backend.fetch(roots.data(), memory.data(), roots.size() * sizeof(Hash));
    if (auto done = backend.finish(); !done) return unexpected(engine_error(done.error()));
    return to_leaves(tensors, std::move(roots));
}

Hash scalar_leaf_of(const ModelState& s, const Hash& program) {
    return scalar_leaf({s.step, s.p1_bits, s.p2_bits, s.cursor, s.run_seed, program});
}

Result<Hash, EngineError> root_of(const LiveState& state,
                                  const std::vector<const TensorSet*>& groups,
                                  const Hash& program) {
    auto leaves = leaves_of(state.backend(), groups);
    if (!leaves) return unexpected(leaves.error());
    leaves->push_back(scalar_leaf_of(state.host(), program));
    return merkle::root(std::move(*leaves));
}

}  // namespace

uint32_t tile_count(Shape shape) {
    if (shape.rank == 1) return (shape.cols + kTileElements - 1) / kTileElements;
    return (shape.rows + kTileSide - 1) / kTileSide * tiles_across(shape);
}

std::vector<float> read_tile(const Tensor& tensor, uint32_t index) {
    ASSERT(index < tile_count(tensor.shape));
    std::vector<float> tile(kTileElements, 0.0F);
    copy_tile(reinterpret_cast<uint8_t*>(tile.data()), tensor, index);
    return tile;
}

Hash tile_leaf(const std::vector<float>& tile) {
    ASSERT(tile.size() == kTileElements);
    return merkle::leaf({reinterpret_cast<const uint8_t*>(tile.data()), kTileBytes});
}

std::vector<Hash> tile_leaves(const Tensor& tensor) {
    TileList tiles;
    tiles.add(tensor);
    std::vector<Hash> out;
    tiles.hash(nullptr, [&out](size_t, std::vector<Hash> leaves) { out = std::move(leaves); });
    return out;
}

Hash tensor_leaf(Shape shape, const Hash& tile_root) {
    Bytes bytes{kTensorTag, kFloat32, shape.rank};
    if (shape.rank == 2) append_le(bytes, shape.rows);
    append_le(bytes, shape.cols);
    append(bytes, tile_root.bytes);
    return sha256(bytes);
}

Hash tensor_leaf(const Tensor& tensor) {
    return tensor_leaf(tensor.shape, hash_root(tile_leaves(tensor)));
}

void tile_roots(Hash* out, std::span<const TensorView> tensors, Pool* pool) {
    TileList tiles;
    for (const TensorView& tensor : tensors) tiles.add(tensor);
    tiles.hash(
        pool, [out](size_t k, std::vector<Hash> leaves) { out[k] = hash_root(std::move(leaves)); });
}

Hash grad_root(const std::vector<Shape>& shapes, const std::vector<Hash>& tile_roots) {
    std::vector<Hash> leaves;
    for (size_t k = 0; k < shapes.size(); ++k)
        leaves.push_back(tensor_leaf(shapes[k], tile_roots[k]));
    return merkle::root(std::move(leaves));
}

Hash grad_root(const std::vector<Tensor>& gradients, Pool* pool) {
    return merkle::root(leaves_of({&gradients}, pool));
}

Result<Hash, EngineError> grad_root(Backend& backend, const TensorSet& gradients) {
    auto leaves = leaves_of(backend, {&gradients});
    if (!leaves) return unexpected(leaves.error());
    return merkle::root(std::move(*leaves));
}

Hash scalar_leaf(const ScalarLeaf& s) {
    Bytes bytes{kScalarTag};
    append_le(bytes, s.step);
    append_le(bytes, s.p1_bits);
    append_le(bytes, s.p2_bits);
    append_le(bytes, s.cursor);
    append(bytes, s.run_seed.bytes);
    append(bytes, s.program.bytes);
    return sha256(bytes);
}

std::vector<Hash> state_leaves(const ModelState& state, const Hash& program, Pool* pool) {
    std::vector<Hash> leaves = leaves_of({&state.w, &state.m, &state.v}, pool);
    leaves.push_back(scalar_leaf_of(state, program));
    return leaves;
}

Hash state_root(const ModelState& state, const Hash& program, Pool* pool) {
    return merkle::root(state_leaves(state, program, pool));
}

Hash state_root(std::vector<Hash> tensor_leaves, const ModelState& scalars, const Hash& program) {
    tensor_leaves.push_back(scalar_leaf_of(scalars, program));
    return merkle::root(std::move(tensor_leaves));
}

Hash initial_root(const Program& program, const Hash& run_seed, BytesView data) {
    std::vector<Hash> leaves, zeros;
    for_initial_weights(program, run_seed, data, [&](Tensor w) {
        leaves.push_back(tensor_leaf(w));
        std::fill(w.data.begin(), w.data.end(), 0.0F);
        zeros.push_back(tensor_leaf(w));
    });
    for (int kind = 0; kind < 2; ++kind) leaves.insert(leaves.end(), zeros.begin(), zeros.end());
    ModelState start;
    start.run_seed = run_seed;
    return state_root(std::move(leaves), start, program_id(program));
}

uint64_t tile_list_bytes(const Program& program) {
    constexpr uint64_t kOfTile = sizeof(cpu::TileRows) + 2 * sizeof(Hash);
    uint64_t bytes = 0;
    for (const Parameter& p : program.parameters) {
        const Shape& s = p.shape;
        const uint64_t all = tile_count(s);
        const uint64_t whole = s.rank == 1 ? s.cols / kTileElements
                                           : uint64_t{s.rows / kTileSide} * (s.cols / kTileSide);
        bytes += all * kOfTile + (all - whole) * kTileBytes;
    }
    return bytes;
}

std::vector<Hash> weights_leaves(const ModelState& state, const Hash& program, Pool* pool) {
    std::vector<Hash> leaves = leaves_of({&state.w}, pool);
    leaves.push_back(scalar_leaf_of(state, program));
    return leaves;
}

Hash weights_root(const ModelState& state, const Hash& program, Pool* pool) {
    return merkle::root(weights_leaves(state, program, pool));
}

Result<Hash, EngineError> state_root(const LiveState& state, const Hash& program) {
    return root_of(state, {&state.w(), &state.m(), &state.v()}, program);
}

Result<Hash, EngineError> weights_root(const LiveState& state, const Hash& program) {
    return root_of(state, {&state.w()}, program);
}

}  // namespace trainyard::training
