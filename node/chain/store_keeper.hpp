// SPDX-License-Identifier: Apache-2.0
// The thread that moves final states from memory to disk and deletes old ones, beside commits and
// reads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "node/chain/snapshot_maker.hpp"
#include "state/world.hpp"

namespace trainyard::node::chain {

/// Where snapshots are wanted it freezes the tables at the boundaries of epochs for their maker.
/// What fails is kept as the world's damage.
class StoreKeeper {
public:
    struct Snapshots {
        uint64_t every = 0;  ///< at heights that are multiples of this
        MakeSnapshot make;   ///< none: no snapshots
    };
    StoreKeeper(state::World& world, Snapshots snapshots);
    /// Waits for the flush that runs; what is in memory then is made again at the next start.
    ~StoreKeeper();
    /// To be called after each commit.
    void wake();

private:
    void serve();
    void work();
    [[nodiscard]] bool freeze_boundary();

    state::World& world_;
    const uint64_t snapshot_every_;
    uint64_t last_frozen_ = 0;
    std::unique_ptr<SnapshotMaker> maker_;  ///< null: no snapshots
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_woken_ = true;  ///< once at the start: a mode may be new
    std::atomic<bool> stops_ = false;
    std::thread thread_;
};

}  // namespace trainyard::node::chain
