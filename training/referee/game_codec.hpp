// SPDX-License-Identifier: Apache-2.0
// Pieces of states and moves as RLP: docs/spec/referee.md, section 4.
#pragma once

#include "core/rlp.hpp"
#include "training/referee/game.hpp"

namespace trainyard::training::referee {

/// Lists of hashes, numbers and units are one string each: 32, 4 (little-endian), 36 bytes an item.
[[nodiscard]] std::vector<Hash> read_hashes(rlp::Fields& from);
[[nodiscard]] std::vector<uint32_t> read_numbers(rlp::Fields& from);
[[nodiscard]] std::vector<Unit> read_units(rlp::Fields& from);
[[nodiscard]] StepTuple read_tuple(rlp::Fields& from);
[[nodiscard]] Opening read_opening(rlp::Fields& from);

}  // namespace trainyard::training::referee
