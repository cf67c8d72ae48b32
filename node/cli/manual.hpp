// SPDX-License-Identifier: Apache-2.0
// The manual page from the list of commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "node/cli/completion.hpp"

namespace trainyard::node::cli {

/// trainyard(1) for man(7); flags are left to `--help`.
[[nodiscard]] std::string manual_page(std::string_view version,
                                      const std::vector<CommandWords>& commands);

}  // namespace trainyard::node::cli
