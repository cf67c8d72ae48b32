// SPDX-License-Identifier: Apache-2.0
// State vectors: one transaction on a given world, the root and logs it must give.
#pragma once

#include "tests/conformance/runner.hpp"

namespace trainyard::conformance {

[[nodiscard]] Tally run_state_file(const json::value& file, const std::string& path,
                                   const Options& options);

}  // namespace trainyard::conformance
