// SPDX-License-Identifier: Apache-2.0
// The last word of a dispute: an input shown under what commits to it.
#pragma once

#include "training/referee/game.hpp"

namespace trainyard::training::referee {

[[nodiscard]] Spot spot_of(const State& state);

/// Every NaN of a tile's elements is 7fc00000, so that a tile has one leaf on all machines.
[[nodiscard]] bool has_one_nan(BytesView tile);

/// The number that an opening shows of the input at which the game has arrived.
[[nodiscard]] Result<uint32_t, Refusal> opened_number(const State& state, const Program& program,
                                                      const Opening& opening);

}  // namespace trainyard::training::referee
