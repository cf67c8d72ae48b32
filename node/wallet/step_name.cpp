// SPDX-License-Identifier: Apache-2.0
// The name of a step.
#include "node/wallet/step_name.hpp"

namespace trainyard::node::wallet {

std::string step_name(uint32_t step, uint32_t steps, uint32_t seg) {
    return "step " + std::to_string(step) + " of " + std::to_string(steps) + " of segment " +
           std::to_string(seg);
}

std::string step_name_in_run(uint32_t t, uint32_t steps) {
    if (steps == 0) return step_name(t + 1, 0, 0);  // a case that somebody made up
    return step_name(t % steps + 1, steps, t / steps);
}

}  // namespace trainyard::node::wallet
