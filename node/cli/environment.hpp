// SPDX-License-Identifier: Apache-2.0
// The variables of the environment that this program has, and misspelt ones.
#pragma once

#include <string>
#include <vector>

namespace trainyard::node::cli {

/// Those of `names` that begin like ours and that nothing reads: not the program, its build or its
/// tests.
[[nodiscard]] std::vector<std::string> unknown_variables(const std::vector<std::string>& names);
/// "TRAINYARD_HOM is no variable of trainyard (did you mean 'TRAINYARD_HOME'?)".
[[nodiscard]] std::string unknown_variable_text(const std::string& name);
/// Names of all variables of this process.
[[nodiscard]] std::vector<std::string> variable_names();

}  // namespace trainyard::node::cli
