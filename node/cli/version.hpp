// SPDX-License-Identifier: Apache-2.0
// The program's version, as `trainyard version`, peers and web3_clientVersion show it.
#pragma once

#include <string_view>

namespace trainyard::node::cli {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace trainyard::node::cli
