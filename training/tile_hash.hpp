// SPDX-License-Identifier: Apache-2.0
// Leaves and inner nodes of Merkle trees over tiles, many at once where the machine can.
#pragma once

#include <span>
#include <vector>

#include "core/bytes.hpp"
#include "training/cpu/kernels.hpp"
#include "training/pool.hpp"
#include "training/tensor_bytes.hpp"

namespace trainyard::training {

inline constexpr size_t kTilesAtOnce = 32;  ///< what one call of a kernel takes
/// Tiles that a thread takes to their root, but for the last ones of a tensor or blob: a power of
/// two, so that the root is a node of the tree.
inline constexpr uint32_t kBlockTiles = 128;

/// merkle::leaf of each tile: 32 rows of 128 bytes.
void hash_tiles(Hash* out, std::span<const cpu::TileRows> tiles);
/// Of all tiles of a tensor, in order.
[[nodiscard]] std::vector<Hash> tile_leaves(const TensorBytes& tensor, Pool* pool);
/// As merkle::root.
[[nodiscard]] Hash hash_root(std::vector<Hash> leaves);
/// As blob::root, whose pieces are as long as tiles.
[[nodiscard]] Hash piece_root(BytesView bytes, Pool* pool = nullptr);

}  // namespace trainyard::training
