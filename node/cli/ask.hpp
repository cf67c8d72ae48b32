// SPDX-License-Identifier: Apache-2.0
// One question of a command to a node.
#pragma once

#include <string>

#include <boost/json.hpp>

#include "core/result.hpp"

namespace trainyard::node::cli {

/// Calls a method of JSON-RPC; the error is for people.
[[nodiscard]] Result<boost::json::value, std::string> ask(const std::string& rpc,
                                                          const std::string& method,
                                                          const boost::json::array& params);

}  // namespace trainyard::node::cli
