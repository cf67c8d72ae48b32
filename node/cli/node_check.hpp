// SPDX-License-Identifier: Apache-2.0
// `trainyard node --check`: is this machine fit for the node that these settings describe?
#pragma once

#include "node/cli/output.hpp"
#include "node/config/node_config.hpp"

namespace trainyard::node::cli {

/// Measures, and starts nothing; only a file for the time of the disk is written, and removed. Exit
/// code 0: the node can start and keep up here; 1: a line of the report fails.
int run_node_check(const Output& out, const config::NodeConfig& config);

}  // namespace trainyard::node::cli
