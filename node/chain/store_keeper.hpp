// SPDX-License-Identifier: Apache-2.0
// The thread that moves final states from memory to disk and deletes old ones, beside commits and
// reads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "state/world.hpp"

namespace trainyard::node::chain {

/// What fails is kept as the world's damage.
class StoreKeeper {
public:
    explicit StoreKeeper(state::World& world);
    /// Waits for the flush that runs; what is in memory then is made again at the next start.
    ~StoreKeeper();
    /// To be called after each commit.
    void wake();

private:
    void serve();
    void work();

    state::World& world_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_woken_ = true;  ///< once at the start: a mode may be new
    std::atomic<bool> stops_ = false;
    std::thread thread_;
};

}  // namespace trainyard::node::chain
