// SPDX-License-Identifier: Apache-2.0
// Threads that clients take turns on; private to this folder.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <boost/asio/thread_pool.hpp>

#include "node/http/clients.hpp"

namespace trainyard::node::http {

/// Runs jobs on threads that the others of the process go before: those who call may be many, and
/// consensus must not wait for them. A client has half of the threads at most, the one without a
/// name all of them; those who wait take turns. Thread-safe.
class FairPool {
public:
    using Job = std::function<void()>;

    explicit FairPool(unsigned threads);

    void post(const Client& client, Job job);
    /// Waits for all that was posted.
    void join() { pool_->join(); }

private:
    struct Line {
        std::deque<Job> waiting;
        unsigned running = 0;
    };
    void work();
    [[nodiscard]] std::optional<std::pair<Client, Job>> take();
    void finish(const Client& client);

    const unsigned threads_, share_;
    std::mutex mutex_;
    std::map<Client, Line> lines_;
    std::deque<Client> turns_;  ///< of those who wait
    unsigned working_ = 0;      ///< threads
    const std::unique_ptr<boost::asio::thread_pool> pool_;
};

}  // namespace trainyard::node::http
