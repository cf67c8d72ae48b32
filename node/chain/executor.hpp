// SPDX-License-Identifier: Apache-2.0
// Threads for the transactions of one block.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "consensus/transition/context.hpp"

namespace trainyard::node::chain {

/// Thread-safe; one block at a time has the threads. The caller's own thread works too.
class ThreadExecutor final : public consensus::Executor {
public:
    /// `threads` >= 1, the caller's included.
    explicit ThreadExecutor(unsigned threads);
    ~ThreadExecutor() override;
    void run(const std::function<void()>& work) override;

private:
    void serve();

    std::mutex turn_;  ///< held by the block that has the threads
    std::mutex mutex_;
    std::condition_variable begin_, end_;
    const std::function<void()>* work_ = nullptr;
    uint64_t round_ = 0;
    size_t busy_ = 0;
    bool stops_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace trainyard::node::chain
