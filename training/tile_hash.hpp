// SPDX-License-Identifier: Apache-2.0
// Leaves and inner nodes of Merkle trees over tiles, many at once where the machine can.
#pragma once

#include <vector>

#include "core/bytes.hpp"
#include "training/cpu/kernels.hpp"
#include "training/pool.hpp"

namespace trainyard::training {

/// merkle::leaf of each tile: 32 rows of 128 bytes.
[[nodiscard]] std::vector<Hash> hash_tiles(const std::vector<cpu::TileRows>& tiles,
                                           Pool* pool = nullptr);
/// As merkle::root.
[[nodiscard]] Hash hash_root(std::vector<Hash> leaves);

}  // namespace trainyard::training
