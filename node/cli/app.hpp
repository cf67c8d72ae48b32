// SPDX-License-Identifier: Apache-2.0
// The command line: which commands there are and what they take.
#pragma once

namespace trainyard::node::cli {

/// Parses the arguments and runs the command. Exit code: 0 done, 1 failed, 2 wrong usage.
[[nodiscard]] int run_app(int argc, char** argv);

}  // namespace trainyard::node::cli
