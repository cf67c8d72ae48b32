// SPDX-License-Identifier: Apache-2.0
// The thread on which snapshots are made, off the way of consensus.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "state/world.hpp"

namespace trainyard::node::chain {

/// The state after block `number`, as `tables` hold it. It ends early once `stops` is true.
struct FrozenState {
    const state::World& world;
    const state::KvReader& tables;
    uint64_t number = 0;
    const std::atomic<bool>& stops;
};
using MakeSnapshot = std::function<void(const FrozenState&)>;

/// One at a time: what is offered meanwhile is passed over. After each it rests nine times as long
/// as that took, so that snapshots cost a tenth of one core however short the epochs are.
class SnapshotMaker {
public:
    SnapshotMaker(const state::World& world, MakeSnapshot make);
    ~SnapshotMaker();  ///< waits for the one that is being made, which ends early
    [[nodiscard]] bool is_ready() const;
    void offer(uint64_t number, std::unique_ptr<const state::KvReader> tables);

private:
    void serve();

    const state::World& world_;
    const MakeSnapshot make_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    uint64_t number_ = 0;                             ///< of what waits
    std::unique_ptr<const state::KvReader> waiting_;  ///< null: nothing
    bool is_busy_ = false;                            ///< makes one, or rests
    std::atomic<bool> stops_ = false;
    std::thread thread_;
};

}  // namespace trainyard::node::chain
