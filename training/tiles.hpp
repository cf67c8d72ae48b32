// SPDX-License-Identifier: Apache-2.0
// Tiles of tensors on the host, and the trees over them: docs/spec/numerics.md, section 16.
#pragma once

#include <span>
#include <vector>

#include "core/bytes.hpp"
#include "training/tensor_bytes.hpp"

namespace trainyard::training {

inline constexpr uint32_t kTileSide = 32;        ///< a matrix tile is 32 x 32 elements
inline constexpr uint32_t kTileElements = 1024;  ///< and a vector tile 1,024
inline constexpr size_t kTileBytes = 4096;

// Where there is a `pool`, its threads share the tiles. Tensors are read where they lie: only tiles
// at the edges are copied, a few on the stack of each thread.

[[nodiscard]] uint32_t tile_count(Shape shape);
/// Tile `index` (tile-major), zero-padded, 1,024 elements.
[[nodiscard]] std::vector<float> read_tile(const Tensor& tensor, uint32_t index);
/// Which of a tile's 1,024 elements are the tensor's; the others stay +0.
[[nodiscard]] std::vector<bool> inside_tile(Shape shape, uint32_t index);
/// SHA-256(00 | 4,096 bytes little-endian).
[[nodiscard]] Hash tile_leaf(const std::vector<float>& tile);
[[nodiscard]] std::vector<Hash> tile_leaves(const Tensor& tensor);  ///< one thread

/// The trees over the tiles of some tensors, hashed once. Of each block of 128 tiles its root is
/// kept, so that a path takes the hashing of one block. The tensors must stay as they are.
class TileTrees {
public:
    explicit TileTrees(std::vector<TensorBytes> tensors, Pool* pool = nullptr);
    [[nodiscard]] const std::vector<TensorBytes>& tensors() const { return tensors_; }
    /// Over the tile leaves of each tensor.
    [[nodiscard]] std::vector<Hash> roots(Pool* pool = nullptr) const;
    /// Siblings of a tile's leaf on its way up to its tensor's root. Precondition: there is such a
    /// tile of such a tensor.
    [[nodiscard]] std::vector<Hash> path(size_t tensor, uint32_t tile) const;

private:
    /// The nodes of a tensor's blocks.
    [[nodiscard]] std::vector<Hash> nodes_of(size_t tensor) const;

    std::vector<TensorBytes> tensors_;
    std::vector<size_t> begins_;  ///< of each tensor among the nodes, and their number
    std::vector<Hash> nodes_;     ///< of all blocks, tensor by tensor
};

/// Roots over the tile leaves of each tensor.
[[nodiscard]] std::vector<Hash> tile_roots(std::span<const TensorBytes> tensors,
                                           Pool* pool = nullptr);
void tile_roots(Hash* out, std::span<const TensorView> tensors, Pool* pool = nullptr);
/// Memory that this takes for tensors of these shapes, with its result.
[[nodiscard]] uint64_t tile_roots_bytes(std::span<const Shape> shapes);

}  // namespace trainyard::training
