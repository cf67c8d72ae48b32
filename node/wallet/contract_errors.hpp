// SPDX-License-Identifier: Apache-2.0
// Custom errors of the system contracts, so that a revert can be told in words.
#pragma once

#include <string_view>

namespace trainyard::node::wallet {

inline constexpr std::string_view kContractErrors[] = {
    "NotYet()",
};

}  // namespace trainyard::node::wallet
