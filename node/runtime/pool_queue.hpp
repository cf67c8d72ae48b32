// SPDX-License-Identifier: Apache-2.0
// A bounded queue into the pool that leaves the pool to others: one job at a time, and a short one.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "node/runtime/runtime.hpp"

namespace trainyard::runtime {

/// For work that anybody may cause. What does not fit is refused and counted; whatever waits, all
/// threads of the pool but one are free, and that one soon. Each source has a share of the room,
/// and those that wait take turns.
template <class Item, class Source>
class PoolQueue {
public:
    struct Limits {
        size_t items = 0, bytes = 0;  ///< that wait
        size_t at_once = 64;          ///< items of one job
        size_t shares = 8;            ///< of both, of which one source has one; one item always
    };

    /// `on_item` runs on the pool, one item after the other. `runtime` outlives the queue.
    PoolQueue(Runtime& runtime, const Limits& limits, std::function<void(Item)> on_item)
        : runtime_(runtime), shared_(std::make_shared<Shared>(limits, std::move(on_item))) {}

    /// False: full, or this source's share is, and the item is gone. From any thread.
    bool post(const Source& from, Item item, size_t bytes) {
        {
            const std::lock_guard lock(shared_->mutex);
            if (!shared_->put(from, std::move(item), bytes)) return ++shared_->dropped, false;
            if (std::exchange(shared_->is_busy, true)) return true;
        }
        go_on(runtime_, shared_);
        return true;
    }
    [[nodiscard]] uint64_t dropped() const { return shared_->dropped; }

private:
    struct Room {
        size_t items = 0, bytes = 0;
        [[nodiscard]] bool fits(size_t more_bytes, size_t items_max, size_t bytes_max) const {
            return items < items_max && bytes + more_bytes <= bytes_max;
        }
        void add(size_t n) { ++items, bytes += n; }
        void remove(size_t n) { --items, bytes -= n; }
    };
    struct Line {
        std::deque<std::pair<Item, size_t>> waiting;
        Room taken;
    };
    struct Shared {
        Shared(const Limits& l, std::function<void(Item)> handler)
            : limits(l), on_item(std::move(handler)) {}
        const Limits limits;
        const std::function<void(Item)> on_item;
        std::mutex mutex;              ///< guards what follows
        std::map<Source, Line> lines;  ///< of those who wait
        std::deque<Source> turns;      ///< the same ones
        Room taken;
        bool is_busy = false;
        std::atomic<uint64_t> dropped{0};

        bool put(const Source& from, Item item, size_t bytes) {
            if (!taken.fits(bytes, limits.items, limits.bytes)) return false;
            const auto found = lines.find(from);
            const bool is_first = found == lines.end();
            if (!is_first && !found->second.taken.fits(bytes, limits.items / limits.shares,
                                                       limits.bytes / limits.shares))
                return false;
            Line& line = is_first ? lines[from] : found->second;
            if (is_first) turns.push_back(from);
            line.waiting.emplace_back(std::move(item), bytes);
            line.taken.add(bytes);
            taken.add(bytes);
            return true;
        }
        /// There is one.
        Item take() {
            const Source from = turns.front();
            turns.pop_front();
            const auto line = lines.find(from);
            auto [item, bytes] = std::move(line->second.waiting.front());
            line->second.waiting.pop_front();
            line->second.taken.remove(bytes);
            taken.remove(bytes);
            line->second.waiting.empty() ? void(lines.erase(line)) : turns.push_back(from);
            return std::move(item);
        }
    };

    /// At the end of the pool's queue: what others have posted meanwhile comes first.
    static void go_on(Runtime& runtime, const std::shared_ptr<Shared>& shared) {
        runtime.offload([&runtime, shared] {
            for (size_t n = 0; n < shared->limits.at_once; ++n) {
                std::unique_lock lock(shared->mutex);
                if (shared->turns.empty()) return void(shared->is_busy = false);
                Item item = shared->take();
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
