// SPDX-License-Identifier: Apache-2.0
// Long single runs that measure, beside the many short ones that search.
#pragma once

#include "tests/sim/simulation.hpp"

namespace trainyard::sim {

/// Seven validators, blocks each second, epochs of a minute.
[[nodiscard]] Options long_churn();
/// Runs for `hours` of simulated time and prints epochs, changes of the set and the longest time
/// without a final block. Returns 0 if nothing failed or stalled.
int run_churn(Options options, uint64_t hours);

}  // namespace trainyard::sim
