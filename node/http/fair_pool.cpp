// SPDX-License-Identifier: Apache-2.0
// Turns of clients on a pool of threads.
#include "node/http/fair_pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include <boost/asio/post.hpp>

namespace trainyard::node::http {
namespace {

constexpr int kNiceness = 10;  ///< a ninth of the time that a thread of consensus gets

std::unique_ptr<boost::asio::thread_pool> make_pool(unsigned threads) {
    // Threads take their niceness from the one that makes them.
    std::unique_ptr<boost::asio::thread_pool> pool;
    std::thread([&] {
        (void)::nice(kNiceness);
        pool = std::make_unique<boost::asio::thread_pool>(threads);
    }).join();
    return pool;
}

}  // namespace

FairPool::FairPool(unsigned threads)
    : threads_(std::max(1u, threads)),
      share_(std::max(1u, threads_ / 2)),
      pool_(make_pool(threads_)) {}

void FairPool::post(const Client& client, Job job) {
    {
        const std::lock_guard lock(mutex_);
        auto& waiting = lines_[client].waiting;
        if (waiting.empty()) turns_.push_back(client);
        waiting.push_back(std::move(job));
        if (working_ >= threads_) return;
        ++working_;
    }
    boost::asio::post(*pool_, [this] { work(); });
}

/// Until nothing is left that may run now: what has to wait for a client's own jobs, the threads of
/// those take.
void FairPool::work() {
    std::unique_lock lock(mutex_);
    while (auto next = take()) {
        lock.unlock();
        next->second();
        next->second = nullptr;
        lock.lock();
        finish(next->first);
    }
    --working_;
}

std::optional<std::pair<Client, FairPool::Job>> FairPool::take() {
    const auto may_run = [&](const Client& client) {
        return client.empty() || lines_[client].running < share_;
    };
    const auto turn = std::find_if(turns_.begin(), turns_.end(), may_run);
    if (turn == turns_.end()) return std::nullopt;
    const Client client = *turn;
    turns_.erase(turn);
    Line& line = lines_[client];
    Job job = std::move(line.waiting.front());
    line.waiting.pop_front();
    ++line.running;
    if (!line.waiting.empty()) turns_.push_back(client);
    return std::pair(client, std::move(job));
}

void FairPool::finish(const Client& client) {
    const auto line = lines_.find(client);
    if (--line->second.running == 0 && line->second.waiting.empty()) lines_.erase(line);
}

}  // namespace trainyard::node::http
