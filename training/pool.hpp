// SPDX-License-Identifier: Apache-2.0
// A small pool of threads that share the tiles of one operator.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace trainyard::training {

/// Runs tasks 0 .. count-1 on up to `threads` threads, the caller among them. Which thread takes
/// which task has no influence on any result. Every thread works in the exact float mode.
class Pool {
public:
    explicit Pool(unsigned threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    using Task = std::function<void(size_t task, size_t worker)>;
    /// Returns when all tasks are done. `worker` < threads() is for scratch memory. Not reentrant.
    void run(size_t count, const Task& task);
    [[nodiscard]] unsigned threads() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Splits [0, count) into ranges of `step` and hands them to the pool; without one the caller works
/// alone.
void run_ranges(Pool* pool, size_t count, size_t step,
                const std::function<void(size_t first, size_t last)>& body);

}  // namespace trainyard::training
