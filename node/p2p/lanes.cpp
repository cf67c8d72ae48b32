// SPDX-License-Identifier: Apache-2.0
// Bounded queues by priority, and token buckets.
#include "node/p2p/lanes.hpp"

#include <algorithm>

namespace trainyard::p2p {

void LaneQueues::push(Lane lane, Frame frame) {
    Queue& queue = queues_[static_cast<size_t>(lane)];
    const size_t limit = bytes_max_[static_cast<size_t>(lane)];
    if (frame->size() > limit) {
        ++dropped_;
        return;
    }
    while (queue.bytes + frame->size() > limit) drop_oldest(queue);
    queue.bytes += frame->size();
    queue.frames.push_back(std::move(frame));
}

void LaneQueues::drop_oldest(Queue& queue) {
    queue.bytes -= queue.frames.front()->size();
    queue.frames.pop_front();
    ++dropped_;
}

Frame LaneQueues::pop() {
    for (Queue& queue : queues_) {
        if (queue.frames.empty()) continue;
        Frame frame = std::move(queue.frames.front());
        queue.frames.pop_front();
        queue.bytes -= frame->size();
        return frame;
    }
    return nullptr;
}

bool LaneQueues::empty() const {
    return std::all_of(queues_.begin(), queues_.end(),
                       [](const Queue& queue) { return queue.frames.empty(); });
}

bool TokenBucket::take(uint64_t cost, uint64_t now_ms) {
    // An idle hour may not overflow the product: more than a minute fills every bucket we
    // configure.
    const uint64_t elapsed_ms =
        now_ms > last_ms_ ? std::min<uint64_t>(now_ms - last_ms_, 60'000) : 0;
    const uint64_t refill = elapsed_ms * rate_ / 1000;
    if (refill > 0) {
        tokens_ = std::min(burst_, tokens_ + refill);
        last_ms_ = now_ms;
    }
    if (tokens_ < cost) return false;
    tokens_ -= cost;
    return true;
}

uint64_t TokenBucket::charge(uint64_t cost, uint64_t now_ms) {
    if (take(cost, now_ms)) return 0;
    // What comes in until then is spent, and what an earlier charge waits for with it.
    last_ms_ = std::max(last_ms_, now_ms) + (cost - tokens_) * 1000 / rate_ + 1;
    tokens_ = 0;
    return last_ms_ - now_ms;
}

}  // namespace trainyard::p2p
