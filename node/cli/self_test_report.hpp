// SPDX-License-Identifier: Apache-2.0
// What the self-test said, for people and for programs.
#pragma once

#include "node/cli/output.hpp"
#include "node/verify/backend_choice.hpp"

namespace trainyard::node::cli {

/// One line for each device or CPU path that was tested.
void show_tested(const Output& out, const verify::BackendChoice& choice);

}  // namespace trainyard::node::cli
