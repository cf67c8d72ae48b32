// SPDX-License-Identifier: Apache-2.0
// Waits for commits; flushes when enough of them have come, and deletes what need not be kept.
#include "node/chain/store_keeper.hpp"

namespace trainyard::node::chain {

StoreKeeper::StoreKeeper(state::World& world) : world_(world), thread_([this] { serve(); }) {}

StoreKeeper::~StoreKeeper() {
    {
        const std::lock_guard lock(mutex_);
        stops_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void StoreKeeper::wake() {
    {
        const std::lock_guard lock(mutex_);
        is_woken_ = true;
    }
    changed_.notify_all();
}

/// A flush comes before any further deletion.
void StoreKeeper::work() {
    while (!stops_) {
        if (world_.is_flush_due() && !world_.flush()) return;
        const auto more = world_.prune();
        if (!more || !*more) return;
    }
}

void StoreKeeper::serve() {
    std::unique_lock lock(mutex_);
    while (!stops_) {
        changed_.wait(lock, [this] { return is_woken_ || stops_; });
        is_woken_ = false;
        if (stops_) return;
        lock.unlock();
        work();
        lock.lock();
    }
}

}  // namespace trainyard::node::chain
