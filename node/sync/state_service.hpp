// SPDX-License-Identifier: Apache-2.0
// Answers those who sync a state: snapshots that are on disk, and proofs of boundaries.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "node/p2p/network.hpp"
#include "node/runtime/runtime.hpp"
#include "node/sync/snapshot_shelf.hpp"

namespace trainyard::sync {

/// Every answer is one read of a disk: nothing is made because a peer asks for it.
class StateService {
public:
    struct Parts {
        runtime::Runtime& runtime;
        p2p::Network& network;
        const SnapshotShelf* shelf;  ///< null: no snapshots are offered
        /// consensus::light::Boundary, encoded; nullopt where it is not recorded here.
        std::function<std::optional<Bytes>(Epoch)> boundary;
    };
    /// Registers its handlers: construct before Network::start.
    explicit StateService(Parts parts);
    ~StateService();
    StateService(const StateService&) = delete;
    StateService& operator=(const StateService&) = delete;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace trainyard::sync
