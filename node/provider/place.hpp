// SPDX-License-Identifier: Apache-2.0
// Where a provider runs, as the registry knows it: one data folder.
#pragma once

#include <string>

#include "core/result.hpp"

namespace trainyard::node::provider {

/// The name of a folder, drawn once and kept in its file `place`. The error says why it cannot be
/// kept.
[[nodiscard]] Result<std::string, std::string> place_of(const std::string& folder);

}  // namespace trainyard::node::provider
