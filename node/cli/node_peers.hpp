// SPDX-License-Identifier: Apache-2.0
// What a node's network is given from settings and files, and what JSON-RPC says of it.
#pragma once

#include <string>
#include <vector>

#include "node/backend/node_backend.hpp"
#include "node/cli/node_setup.hpp"
#include "node/p2p/network.hpp"

namespace trainyard::node::cli {

/// Settings, with the bans and the address book of earlier runs; both files follow the network.
[[nodiscard]] p2p::NetworkOptions network_options(const NodeSetup& setup,
                                                  const config::NodeConfig& config,
                                                  runtime::Runtime& runtime,
                                                  const runtime::Logger& log);
/// The last state of the book, once the runtime has ended.
void save_address_book(const p2p::Network& network, const config::NodeConfig& config,
                       const runtime::Logger& log);

/// Everything about peers that JSON-RPC asks for; what changes them only where `may_change`. The
/// network outlives `condition`.
void describe_peers(backend::Condition& condition, p2p::Network& network,
                    const runtime::Clock& clock, const std::string& host, bool may_change);

}  // namespace trainyard::node::cli
