// SPDX-License-Identifier: Apache-2.0
// Makes what was offered, rests, and takes the next.
#include "node/chain/snapshot_maker.hpp"

#include <chrono>

namespace trainyard::node::chain {
namespace {
constexpr int kRests = 9;
}

SnapshotMaker::SnapshotMaker(const state::World& world, MakeSnapshot make)
    : world_(world), make_(std::move(make)), thread_([this] { serve(); }) {}

SnapshotMaker::~SnapshotMaker() {
    {
        const std::lock_guard lock(mutex_);
        stops_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

bool SnapshotMaker::is_ready() const {
    const std::lock_guard lock(mutex_);
    return !is_busy_ && !waiting_;
}

void SnapshotMaker::offer(uint64_t number, std::unique_ptr<const state::KvReader> tables) {
    {
        const std::lock_guard lock(mutex_);
        if (is_busy_ || waiting_) return;
        number_ = number;
        waiting_ = std::move(tables);
    }
    changed_.notify_all();
}

void SnapshotMaker::serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return waiting_ || stops_; });
        if (stops_) return;
        auto tables = std::move(waiting_);
        const uint64_t number = number_;
        is_busy_ = true;
        lock.unlock();
        const auto begun = std::chrono::steady_clock::now();
        make_({world_, *tables, number, stops_});
        tables.reset();  // a frozen store keeps what was deleted since
        const auto took = std::chrono::steady_clock::now() - begun;
        lock.lock();
        changed_.wait_for(lock, kRests * took, [this] { return stops_.load(); });
        is_busy_ = false;
    }
}

}  // namespace trainyard::node::chain
