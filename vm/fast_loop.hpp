// SPDX-License-Identifier: Apache-2.0
// The loop over translated code. Equal to the plain loop in everything but time.
#pragma once

#include "vm/fast_code.hpp"
#include "vm/machine.hpp"

namespace trainyard::vm {

/// Runs from `at`, which is the start of the code or a JUMPDEST. `stack` is the lowest word.
/// Ends finished, or unfit with the position from which the plain loop has to go on; with `kPauses`
/// that may be because the gas is less than `m.pause_below`. Defined for both.
template <bool kPauses>
[[nodiscard]] Ending run_fast(Machine& m, Uint256* stack, const FastCode& code, const Position& at);

}  // namespace trainyard::vm
