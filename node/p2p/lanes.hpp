// SPDX-License-Identifier: Apache-2.0
// What waits to be sent to one peer, by priority, and how much one peer may ask of us.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>

#include "core/bytes.hpp"
#include "node/p2p/kinds.hpp"

namespace trainyard::p2p {

/// An encoded frame, shared by the queues of all peers it goes to.
using Frame = std::shared_ptr<const Bytes>;

/// One bounded queue per lane. What does not fit pushes out the oldest of its lane: of two votes or
/// blocks the newer one is worth more. A frame larger than its whole lane is refused.
class LaneQueues {
public:
    explicit LaneQueues(const std::array<size_t, kLanes>& bytes_max) : bytes_max_(bytes_max) {}

    void push(Lane lane, Frame frame);
    /// The oldest frame of the highest lane that has one; nullptr when all are empty.
    [[nodiscard]] Frame pop();
    [[nodiscard]] bool empty() const;
    [[nodiscard]] uint64_t dropped() const { return dropped_; }
    [[nodiscard]] size_t bytes(Lane lane) const { return queues_[static_cast<size_t>(lane)].bytes; }

private:
    struct Queue {
        std::deque<Frame> frames;
        size_t bytes = 0;
    };
    void drop_oldest(Queue& queue);

    std::array<size_t, kLanes> bytes_max_;
    std::array<Queue, kLanes> queues_;
    uint64_t dropped_ = 0;
};

/// A budget in bytes that refills with time.
class TokenBucket {
public:
    TokenBucket(uint64_t bytes_per_second, uint64_t burst_bytes, uint64_t now_ms)
        : rate_(bytes_per_second), burst_(burst_bytes), tokens_(burst_bytes), last_ms_(now_ms) {}

    /// Takes `cost` and returns true if the bucket holds that much; otherwise takes nothing.
    [[nodiscard]] bool take(uint64_t cost, uint64_t now_ms);
    /// Takes `cost` in any case, and returns the milliseconds until the bucket has had that much.
    [[nodiscard]] uint64_t charge(uint64_t cost, uint64_t now_ms);

private:
    uint64_t rate_;
    uint64_t burst_;
    uint64_t tokens_;
    uint64_t last_ms_;
};

}  // namespace trainyard::p2p
