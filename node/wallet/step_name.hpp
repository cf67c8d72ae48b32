// SPDX-License-Identifier: Apache-2.0
// How people are told of a step of a job, everywhere in the same way.
#pragma once

#include <cstdint>
#include <string>

namespace trainyard::node::wallet {

/// "step 3 of 20 of segment 4": segments are counted from 0, as everywhere, and `step` from 1
/// within its segment, as `divergesAt` is.
[[nodiscard]] std::string step_name(uint32_t step, uint32_t steps, uint32_t seg);

/// Of step `t` of the run, counted from 0, whose segments have so many `steps` each.
[[nodiscard]] std::string step_name_in_run(uint32_t t, uint32_t steps);

}  // namespace trainyard::node::wallet
