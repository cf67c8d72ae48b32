// SPDX-License-Identifier: Apache-2.0
// Block vectors: chains of valid and invalid blocks, and the state that the valid ones give.
#pragma once

#include "tests/conformance/runner.hpp"

namespace trainyard::conformance {

[[nodiscard]] Tally run_block_file(const json::value& file, const std::string& path,
                                   const Options& options);

}  // namespace trainyard::conformance
