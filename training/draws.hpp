// SPDX-License-Identifier: Apache-2.0
// Which state tiles an auditor follows: docs/spec/audits.md, section 4.
#pragma once

#include <vector>

#include "training/audit.hpp"

namespace trainyard::training {

/// Tile i is number keccak256(tile_seed | i u32) modulo the count of all tiles of w, counted in
/// parameter order. The digest is read as a big-endian number; a tile may come twice.
[[nodiscard]] std::vector<TileDraw> tile_draws(const Program& program, const Hash& tile_seed,
                                               uint32_t count);

}  // namespace trainyard::training
