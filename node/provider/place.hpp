// SPDX-License-Identifier: Apache-2.0
// Where a provider runs, as the registry knows it: one data folder on one machine.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace trainyard::node::provider {

/// The name of a folder, drawn once and kept in its file `place`. A copy of the folder on another
/// machine gets a name of its own. The error says why it cannot be kept.
[[nodiscard]] Result<std::string, std::string> place_of(const std::string& folder,
                                                        std::string_view machine);

}  // namespace trainyard::node::provider
