// SPDX-License-Identifier: Apache-2.0
// Files that travel inside the program: the devnet's chain spec and the contracts' artifacts.
#pragma once

#include <span>
#include <string_view>

namespace trainyard::node::cli {

struct EmbeddedFile {
    std::string_view name;  ///< "devnet.json", "ComputeMarket.json"
    std::string_view text;
};
[[nodiscard]] std::span<const EmbeddedFile> embedded_genesis();

}  // namespace trainyard::node::cli
