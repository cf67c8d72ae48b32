// SPDX-License-Identifier: Apache-2.0
// What a simulated call pretends about accounts, as changes over a state.
#pragma once

#include "consensus/transition/context.hpp"
#include "core/call.hpp"
#include "core/result.hpp"
#include "state/view.hpp"

namespace trainyard::consensus {

struct AppliedOverrides {
    state::StateDiff diff;
    MovedPrecompiles moved;
};

struct OverrideError {
    enum class Kind : uint8_t {
        not_a_precompile,   ///< `account` is to be moved
        moves_to_itself,    ///< `account` is to be moved
        target_overridden,  ///< `account` is where a precompile is to be moved
    };
    Kind kind = Kind::not_a_precompile;
    Address account;
};

/// `overrides` over `view`. An account that is overridden in any way is no precompile any more;
/// moving one leaves what the target has. Errors: those of OverrideError.
[[nodiscard]] Result<AppliedOverrides, OverrideError> apply_overrides(
    const state::StateView& view, const StateOverrides& overrides, const vm::Rules& rules);

}  // namespace trainyard::consensus
