// SPDX-License-Identifier: Apache-2.0
// A tensor's tree is made of blocks of tiles, so that threads share it up to its last levels.
#include "training/tiles.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/assert.hpp"
#include "core/merkle.hpp"
#include "training/tile_hash.hpp"

namespace trainyard::training {

static_assert(std::endian::native == std::endian::little,
              "tiles are hashed as they lie in memory; a big-endian machine must swap first");

namespace {

uint32_t tiles_across(Shape shape) {
    return (shape.cols + kTileSide - 1) / kTileSide;
}

/// Bytes of a tensor that its tile `index` takes: rows with so many bytes from one to the next.
struct Place {
    const uint8_t* first;
    size_t stride, rows, row_bytes;

    [[nodiscard]] bool is_whole() const { return rows * row_bytes == kTileBytes; }
    void copy(uint8_t* to) const {
        for (size_t r = 0; r < rows; ++r)
            std::memcpy(to + r * kTileSide * sizeof(float), first + r * stride, row_bytes);
    }
};

Place place_of(const TensorBytes& tensor, uint32_t index) {
    const Shape& s = tensor.shape;
    const auto at = [&](size_t element) { return tensor.data + element * sizeof(float); };
    if (s.rank == 1) {
        constexpr size_t kRow = kTileSide * sizeof(float);
        const size_t from = size_t{index} * kTileElements;
        const size_t count = std::min<size_t>(kTileElements, s.cols - from);
        if (count == kTileElements) return {at(from), kRow, kTileSide, kRow};
        return {at(from), 0, 1, count * sizeof(float)};
    }
    const uint32_t row = index / tiles_across(s) * kTileSide;
    const uint32_t col = index % tiles_across(s) * kTileSide;
    return {at(size_t{row} * s.cols + col), s.cols * sizeof(float),
            std::min(kTileSide, s.rows - row), std::min(kTileSide, s.cols - col) * sizeof(float)};
}

/// Writes the leaves of tiles as they come, a kernel's load at a time.
class LeafWriter {
public:
    explicit LeafWriter(Hash* out) : out_(out) {}

    void add(const TensorBytes& tensor, uint32_t index) {
        const Place place = place_of(tensor, index);
        rows_[used_] = {place.first, place.stride};
        if (!place.is_whole()) {
            auto& padded = padded_[used_];
            padded.fill(0);
            place.copy(padded.data());
            rows_[used_] = {padded.data(), kTileSide * sizeof(float)};
        }
        if (++used_ == kTilesAtOnce) flush();
    }
    void flush() {
        hash_tiles(out_, std::span(rows_).first(used_));
        out_ += used_;
        used_ = 0;
    }

private:
    Hash* out_;
    size_t used_ = 0;
    std::array<cpu::TileRows, kTilesAtOnce> rows_;
    std::array<std::array<uint8_t, kTileBytes>, kTilesAtOnce> padded_;
};

struct Block {
    uint32_t tensor, first, tiles;
};

/// Consecutive numbers.
struct Range {
    size_t begin, end;
};

size_t block_count(Shape shape) {
    return (size_t{tile_count(shape)} + kBlockTiles - 1) / kBlockTiles;
}

class Blocks {
public:
    explicit Blocks(std::span<const TensorBytes> tensors) : tensors_(tensors) {
        for (size_t k = 0; k < tensors.size(); ++k) {
            const uint32_t count = tile_count(tensors[k].shape);
            for (uint32_t i = 0; i < count; i += kBlockTiles)
                add({static_cast<uint32_t>(k), i, std::min(kBlockTiles, count - i)});
        }
    }

    /// Their roots, tensor by tensor.
    [[nodiscard]] std::vector<Hash> nodes(Pool* pool) const {
        std::vector<Hash> out(blocks_.size());
        run_ranges(pool, loads_.size(), 1, [&](size_t i, size_t) { hash(out.data(), loads_[i]); });
        return out;
    }

private:
    /// Small tensors share a load, lest the kernels run half empty.
    void add(const Block& block) {
        load_tiles_ += block.tiles;
        if (loads_.empty() || load_tiles_ > kBlockTiles) {
            loads_.push_back({blocks_.size(), blocks_.size()});
            load_tiles_ = block.tiles;
        }
        blocks_.push_back(block);
        loads_.back().end = blocks_.size();
    }

    void hash(Hash* nodes, Range load) const {
        std::array<Hash, kBlockTiles> leaves;
        LeafWriter writer(leaves.data());
        for (size_t b = load.begin; b < load.end; ++b)
            for (uint32_t i = 0; i < blocks_[b].tiles; ++i)
                writer.add(tensors_[blocks_[b].tensor], blocks_[b].first + i);
        writer.flush();
        const Hash* at = leaves.data();
        for (size_t b = load.begin; b < load.end; at += blocks_[b++].tiles)
            nodes[b] = hash_root({at, at + blocks_[b].tiles});
    }

    std::span<const TensorBytes> tensors_;
    std::vector<Block> blocks_;
    std::vector<Range> loads_;  ///< the blocks of each task
    size_t load_tiles_ = 0;     ///< of the last one
};

/// Leaves of tiles [first, last), one thread.
void write_leaves(Hash* out, const TensorBytes& tensor, uint32_t first, uint32_t last) {
    LeafWriter writer(out);
    for (uint32_t i = first; i < last; ++i) writer.add(tensor, i);
    writer.flush();
}
std::vector<Hash> some_leaves(const TensorBytes& tensor, uint32_t first, uint32_t last) {
    std::vector<Hash> out(last - first);
    write_leaves(out.data(), tensor, first, last);
    return out;
}

}  // namespace

uint32_t tile_count(Shape shape) {
    if (shape.rank == 1) return (shape.cols + kTileElements - 1) / kTileElements;
    return (shape.rows + kTileSide - 1) / kTileSide * tiles_across(shape);
}

std::vector<float> read_tile(const Tensor& tensor, uint32_t index) {
    ASSERT(index < tile_count(tensor.shape));
    std::vector<float> tile(kTileElements, 0.0F);
    place_of(tensor, index).copy(reinterpret_cast<uint8_t*>(tile.data()));
    return tile;
}

std::vector<bool> inside_tile(Shape shape, uint32_t index) {
    ASSERT(index < tile_count(shape));
    std::vector<bool> inside(kTileElements);
    if (shape.rank == 1) {
        const uint32_t left = shape.cols - index * kTileElements;
        std::fill_n(inside.begin(), std::min(kTileElements, left), true);
        return inside;
    }
    const uint32_t rows = shape.rows - index / tiles_across(shape) * kTileSide;
    const uint32_t cols = shape.cols - index % tiles_across(shape) * kTileSide;
    for (uint32_t e = 0; e < kTileElements; ++e)
        inside[e] = e / kTileSide < rows && e % kTileSide < cols;
    return inside;
}

Hash tile_leaf(const std::vector<float>& tile) {
    ASSERT(tile.size() == kTileElements);
    return merkle::leaf({reinterpret_cast<const uint8_t*>(tile.data()), kTileBytes});
}

std::vector<Hash> tile_leaves(const Tensor& tensor) {
    return some_leaves(tensor, 0, tile_count(tensor.shape));
}

std::vector<Hash> tile_leaves(const TensorBytes& tensor, Pool* pool) {
    std::vector<Hash> out(tile_count(tensor.shape));
    run_ranges(pool, out.size(), kTilesAtOnce, [&](size_t first, size_t last) {
        write_leaves(&out[first], tensor, static_cast<uint32_t>(first),
                     static_cast<uint32_t>(last));
    });
    return out;
}

TileTrees::TileTrees(std::vector<TensorBytes> tensors, Pool* pool)
    : tensors_(std::move(tensors)), nodes_(Blocks(tensors_).nodes(pool)) {
    begins_.push_back(0);
    for (const TensorBytes& t : tensors_) begins_.push_back(begins_.back() + block_count(t.shape));
}

std::vector<Hash> TileTrees::nodes_of(size_t tensor) const {
    const auto at = [&](size_t k) { return nodes_.begin() + static_cast<ptrdiff_t>(begins_[k]); };
    return {at(tensor), at(tensor + 1)};
}

std::vector<Hash> TileTrees::roots(Pool* pool) const {
    std::vector<Hash> out(tensors_.size());
    run_ranges(pool, out.size(), 1, [&](size_t k, size_t) { out[k] = hash_root(nodes_of(k)); });
    return out;
}

std::vector<Hash> TileTrees::path(size_t tensor, uint32_t tile) const {
    ASSERT(tensor < tensors_.size());
    const TensorBytes& t = tensors_[tensor];
    const uint32_t count = tile_count(t.shape), inside = tile % kBlockTiles;
    ASSERT(tile < count);
    const uint32_t first = tile - inside;
    const auto leaves = some_leaves(t, first, std::min(count, first + kBlockTiles));
    std::vector<Hash> path = merkle::path(leaves, inside);
    const auto above = merkle::path(nodes_of(tensor), tile / kBlockTiles);
    path.insert(path.end(), above.begin(), above.end());
    return path;
}

std::vector<Hash> tile_roots(std::span<const TensorBytes> tensors, Pool* pool) {
    return TileTrees({tensors.begin(), tensors.end()}, pool).roots(pool);
}

void tile_roots(Hash* out, std::span<const TensorView> tensors, Pool* pool) {
    const std::vector<TensorBytes> bytes(tensors.begin(), tensors.end());
    const auto roots = tile_roots(bytes, pool);
    std::copy(roots.begin(), roots.end(), out);
}

uint64_t tile_roots_bytes(std::span<const Shape> shapes) {
    constexpr uint64_t kOfTensor = sizeof(TensorBytes) + sizeof(Range) + sizeof(Hash);
    constexpr uint64_t kOfBlock = sizeof(Block) + sizeof(Range) + sizeof(Hash);
    uint64_t bytes = 0;
    for (const Shape& s : shapes)
        bytes += kOfTensor + block_count(s) * kOfBlock;
    return 2 * bytes;  // lists that grow
}

}  // namespace trainyard::training
