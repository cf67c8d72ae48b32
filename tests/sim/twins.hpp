// SPDX-License-Identifier: Apache-2.0
// Scenarios with twins: every one of a few views, or a sample of more.
#pragma once

#include <functional>
#include <vector>

#include "tests/sim/simulation.hpp"

namespace trainyard::sim {

struct TwinsPlan {
    unsigned nodes = 4;
    unsigned twins = 1;
    unsigned views = 2;         ///< with groups and leaders of their own
    uint64_t samples = 0;       ///< 0: every scenario, up to the names of the honest nodes
    uint64_t seed = 1;          ///< of the first run; each has the next one
    uint64_t epoch_length = 0;  ///< 0: one epoch; with 1 the first views fight over a boundary
};

/// Calls `run` for each scenario as the options of one simulation. A scenario says for each view
/// who leads it and which nodes hear each other; afterwards all do, and every honest node must
/// finalize 10 heights more.
void for_each_scenario(const TwinsPlan& plan, const std::function<void(const Options&)>& run);

}  // namespace trainyard::sim
