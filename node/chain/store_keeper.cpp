// SPDX-License-Identifier: Apache-2.0
// Waits for commits; flushes when enough of them have come, and deletes what need not be kept.
#include "node/chain/store_keeper.hpp"

namespace trainyard::node::chain {

StoreKeeper::StoreKeeper(state::World& world, Snapshots snapshots)
    : world_(world),
      snapshot_every_(snapshots.every),
      maker_(snapshots.make ? std::make_unique<SnapshotMaker>(world, std::move(snapshots.make))
                            : nullptr),
      thread_([this] { serve(); }) {}

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

/// The tables must not go past a boundary before they are frozen there. A node that catches up
/// passes over boundaries whose snapshot nobody would make anyway.
bool StoreKeeper::freeze_boundary() {
    const auto head = world_.head();
    if (!maker_ || !head || !maker_->is_ready()) return true;
    const uint64_t number = head->header.number - head->header.number % snapshot_every_;
    if (number <= last_frozen_ || world_.tables_at() > number) return true;
    auto tables = world_.freeze(number);
    if (!tables) return false;
    last_frozen_ = number;
    if (*tables) maker_->offer(number, *std::move(tables));
    return true;
}

/// A flush comes before any further deletion.
void StoreKeeper::work() {
    while (!stops_) {
        if (!freeze_boundary()) return;
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
