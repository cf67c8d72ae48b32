// SPDX-License-Identifier: Apache-2.0
// A bounded queue into the pool that leaves the pool to others: one job at a time, and a short one.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "node/runtime/runtime.hpp"

namespace trainyard::runtime {

/// For work that anybody may cause. What does not fit is refused and counted; whatever waits, all
/// threads of the pool but one are free, and that one soon.
template <class Item>
class PoolQueue {
public:
    struct Limits {
        size_t items = 0, bytes = 0;  ///< that wait
        size_t at_once = 64;          ///< items of one job
    };

    /// `on_item` runs on the pool, one item after the other. `runtime` outlives the queue.
    PoolQueue(Runtime& runtime, const Limits& limits, std::function<void(Item)> on_item)
        : runtime_(runtime), shared_(std::make_shared<Shared>(limits, std::move(on_item))) {}

    /// False: full, and the item is gone. From any thread.
    bool post(Item item, size_t bytes) {
        {
            const std::lock_guard lock(shared_->mutex);
            const bool fits = shared_->waiting.size() < shared_->limits.items &&
                              shared_->bytes + bytes <= shared_->limits.bytes;
            if (!fits) return ++shared_->dropped, false;
            shared_->waiting.emplace_back(std::move(item), bytes);
            shared_->bytes += bytes;
            if (std::exchange(shared_->is_busy, true)) return true;
        }
        go_on(runtime_, shared_);
        return true;
    }
    [[nodiscard]] uint64_t dropped() const { return shared_->dropped; }

private:
    struct Shared {
        Shared(const Limits& l, std::function<void(Item)> handler)
            : limits(l), on_item(std::move(handler)) {}
        const Limits limits;
        const std::function<void(Item)> on_item;
        std::mutex mutex;  ///< guards what follows
        std::deque<std::pair<Item, size_t>> waiting;
        size_t bytes = 0;
        bool is_busy = false;
        std::atomic<uint64_t> dropped{0};
    };

    /// At the end of the pool's queue: what others have posted meanwhile comes first.
    static void go_on(Runtime& runtime, const std::shared_ptr<Shared>& shared) {
        runtime.offload([&runtime, shared] {
            for (size_t n = 0; n < shared->limits.at_once; ++n) {
                std::unique_lock lock(shared->mutex);
                if (shared->waiting.empty()) return void(shared->is_busy = false);
                auto [item, bytes] = std::move(shared->waiting.front());
                shared->waiting.pop_front();
                shared->bytes -= bytes;
                lock.unlock();
                shared->on_item(std::move(item));
            }
            go_on(runtime, shared);
        });
    }

    Runtime& runtime_;
    const std::shared_ptr<Shared> shared_;
};

}  // namespace trainyard::runtime
