// SPDX-License-Identifier: Apache-2.0
// `trainyard node`: joins the parts of a node and runs them.
#pragma once

#include <cstdint>

#include "node/config/node_config.hpp"

namespace trainyard::node::cli {

/// All connections of HTTP and peers, the tables of three databases, blobs that are read.
inline constexpr uint64_t kOpenFilesMin = 4096;

/// Runs a node until SIGINT or SIGTERM. Exit code: 0 stopped as asked, 1 it could not start or had
/// to stand still; the log says what and where, and what to do.
[[nodiscard]] int run_node(const config::NodeConfig& config);

}  // namespace trainyard::node::cli
