// SPDX-License-Identifier: Apache-2.0
// A round per block: all threads begin it together and the caller waits for the last.
#include "node/chain/executor.hpp"

namespace trainyard::node::chain {

ThreadExecutor::ThreadExecutor(unsigned threads) {
    for (unsigned i = 1; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

ThreadExecutor::~ThreadExecutor() {
    {
        const std::lock_guard lock(mutex_);
        stops_ = true;
    }
    begin_.notify_all();
    for (auto& thread : threads_) thread.join();
}

void ThreadExecutor::run(const std::function<void()>& work) {
    const std::lock_guard turn(turn_);
    {
        const std::lock_guard lock(mutex_);
        work_ = &work;
        busy_ = threads_.size();
        ++round_;
    }
    begin_.notify_all();
    work();
    std::unique_lock lock(mutex_);
    end_.wait(lock, [this] { return busy_ == 0; });
}

void ThreadExecutor::serve() {
    std::unique_lock lock(mutex_);
    for (uint64_t seen = 0;;) {
        begin_.wait(lock, [&] { return stops_ || round_ != seen; });
        if (stops_) return;
        seen = round_;
        const auto* work = work_;
        lock.unlock();
        (*work)();
        lock.lock();
        if (--busy_ == 0) end_.notify_one();
    }
}

}  // namespace trainyard::node::chain
