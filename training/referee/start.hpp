// SPDX-License-Identifier: Apache-2.0
// How a game starts: from the claim as a contract writes it.
#pragma once

#include <optional>

#include "core/bytes.hpp"
#include "training/referee/game.hpp"

namespace trainyard::training::referee {

/// program 32 | run seed 32 | micro-batches 4 | bits of the loss 4 | first step 4 | steps 4 |
/// first root 32 | last root 32 | root of the steps 32, numbers big-endian as contracts have them.
inline constexpr size_t kClaimBytes = 5 * 32 + 4 * 4;

[[nodiscard]] Bytes encode_claim(const Claim& claim);
/// The state before the first move. Nothing for input of another form, for no steps or
/// micro-batches, for more than ProgramLimits allows, and for steps beyond 2^32 - 1.
[[nodiscard]] std::optional<State> start(BytesView claim);

}  // namespace trainyard::training::referee
