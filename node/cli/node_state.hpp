// SPDX-License-Identifier: Apache-2.0
// State sync in a node: whether it begins with one, and with which parts.
#pragma once

#include <string>

#include "node/chain/snapshot_maker.hpp"
#include "node/cli/node_setup.hpp"
#include "node/metrics/exposition.hpp"
#include "node/sync/snapshot_shelf.hpp"
#include "node/sync/state_sync.hpp"

namespace trainyard::node::cli {

/// True if the store is empty and the settings want a state. Removes what syncs of earlier runs
/// have left: of one that came to its end all, of one that was cut off what it had put in the
/// store, but not what it had fetched.
[[nodiscard]] Result<bool, std::string> begins_with_state(const config::NodeConfig& config,
                                                          state::Kv& chain_store);
/// Removes what a sync has fetched.
void forget_state_sync(const config::NodeConfig& config);
[[nodiscard]] sync::StateSync::Options state_options(const config::NodeConfig& config,
                                                     const NodeSetup& setup);

/// Puts snapshots on the shelf and says so.
[[nodiscard]] chain::MakeSnapshot make_on(sync::SnapshotShelf& shelf, const runtime::Logger& log);

/// Either may be null.
void add_state_metrics(metrics::Metrics& out, const sync::SnapshotShelf* shelf,
                       const sync::StateSync* state_sync, uint64_t wall_ms);

}  // namespace trainyard::node::cli
