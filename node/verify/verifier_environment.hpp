// SPDX-License-Identifier: Apache-2.0
// Which variables of a node's environment its verifier gets: none that may hold a secret.
#pragma once

#include <string>
#include <vector>

namespace trainyard::node::verify {

/// Those of `entries` ("NAME=value") that a verifier reads: where libraries are, how text is
/// written, and settings of the C library, of CUDA and of sanitizers.
[[nodiscard]] std::vector<std::string> verifier_environment(
    const std::vector<std::string>& entries);
/// Of this process.
[[nodiscard]] std::vector<std::string> verifier_environment();

}  // namespace trainyard::node::verify
