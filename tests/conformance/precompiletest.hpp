// SPDX-License-Identifier: Apache-2.0
// Precompile vectors: input, output and exact gas, and input that must fail.
#pragma once

#include "tests/conformance/runner.hpp"

namespace trainyard::conformance {

/// Vectors of precompiles that the machine does not have count as excluded.
[[nodiscard]] Tally run_precompile_file(const json::value& file, const std::string& path,
                                        const Options& options);

}  // namespace trainyard::conformance
