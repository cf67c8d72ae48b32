// SPDX-License-Identifier: Apache-2.0
// A question to whoever sits at the terminal.
#pragma once

#include <string>

namespace trainyard::node::cli {

/// Somebody can answer: stdin is a terminal.
[[nodiscard]] bool can_ask();
/// "Pay 3 coins? [y/N] " on stderr; true for y and yes alone.
[[nodiscard]] bool confirmed(const std::string& question);

}  // namespace trainyard::node::cli
