// SPDX-License-Identifier: Apache-2.0
// A bounded queue into a strand: what does not fit is refused and counted, the sender never waits.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "node/runtime/runtime.hpp"

namespace trainyard::runtime {

template <class Message>
class Mailbox {
public:
    /// At most `messages_max` messages wait or are in hand; `on_message` runs on `strand`.
    Mailbox(const Strand& strand, size_t messages_max, std::function<void(Message)> on_message)
        : strand_(strand), shared_(std::make_shared<Shared>(messages_max, std::move(on_message))) {}
    ~Mailbox() { close(); }
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    /// False when the mailbox is full or closed; the message is then gone. From any thread.
    bool post(Message message) {
        const bool fits = shared_->size.fetch_add(1) < shared_->messages_max;
        if (!fits || shared_->closed) {
            shared_->size.fetch_sub(1);
            shared_->dropped.fetch_add(1);
            return false;
        }
        strand_.post([shared = shared_, message = std::move(message)]() mutable {
            if (!shared->closed) shared->on_message(std::move(message));
            shared->size.fetch_sub(1);
        });
        return true;
    }

    /// Messages still waiting are dropped. One that is in hand on another thread is finished.
    void close() { shared_->closed = true; }
    [[nodiscard]] size_t size() const { return shared_->size; }
    [[nodiscard]] uint64_t dropped() const { return shared_->dropped; }

private:
    struct Shared {
        Shared(size_t most, std::function<void(Message)> handler)
            : messages_max(most), on_message(std::move(handler)) {}
        const size_t messages_max;
        const std::function<void(Message)> on_message;
        std::atomic<size_t> size{0};
        std::atomic<uint64_t> dropped{0};
        std::atomic<bool> closed{false};
    };

    Strand strand_;
    std::shared_ptr<Shared> shared_;
};

}  // namespace trainyard::runtime
