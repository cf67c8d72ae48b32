// SPDX-License-Identifier: Apache-2.0
// How the two sides play: the provider shows what it has, the challenger points at the first thing
// that it computes otherwise.
#pragma once

#include <optional>

#include "training/referee/witness.hpp"

namespace trainyard::training::referee {

/// The provider's move. Precondition: it is the provider's turn.
[[nodiscard]] Result<Bytes, EngineError> provider_move(Witness& witness, const State& state);

/// What the challenger picks; nothing if all that was shown is right. Precondition: it is the
/// challenger's turn.
[[nodiscard]] Result<std::optional<uint32_t>, EngineError> challenger_pick(Witness& witness,
                                                                           const State& state);

}  // namespace trainyard::training::referee
