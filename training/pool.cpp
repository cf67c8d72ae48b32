// SPDX-License-Identifier: Apache-2.0
// Workers sleep until a round begins, take task numbers from one counter, and report when idle.
#include "training/pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "training/numerics/float_mode.hpp"

namespace trainyard::training {

struct Pool::Impl {
    std::mutex mutex;
    std::condition_variable begin, end;
    std::vector<std::thread> workers;
    const Task* task = nullptr;
    size_t count = 0;
    std::atomic<size_t> next{0};
    size_t busy = 0;
    uint64_t round = 0;
    bool stopping = false;

    void take_tasks(size_t worker) {
        for (size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) (*task)(i, worker);
    }

    void work(size_t worker) {
        const FloatModeGuard mode;
        uint64_t seen = 0;
        std::unique_lock lock(mutex);
        for (;;) {
            begin.wait(lock, [&] { return stopping || round != seen; });
            if (stopping) return;
            seen = round;
            lock.unlock();
            take_tasks(worker);
            lock.lock();
            if (--busy == 0) end.notify_one();
        }
    }
};

Pool::Pool(unsigned threads) : impl_(std::make_unique<Impl>()) {
    constexpr unsigned kThreadsMax = 256;
    const unsigned helpers = std::clamp(threads, 1U, kThreadsMax) - 1;
    for (unsigned i = 0; i < helpers; ++i)
        impl_->workers.emplace_back([impl = impl_.get(), i] { impl->work(i + 1); });
}

Pool::~Pool() {
    {
        const std::scoped_lock lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->begin.notify_all();
    for (std::thread& worker : impl_->workers) worker.join();
}

unsigned Pool::threads() const {
    return static_cast<unsigned>(impl_->workers.size()) + 1;
}

void Pool::run(size_t count, const Task& task) {
    const FloatModeGuard mode;
    if (impl_->workers.empty() || count <= 1) {
        for (size_t i = 0; i < count; ++i) task(i, 0);
        return;
    }
    {
        const std::scoped_lock lock(impl_->mutex);
        impl_->task = &task;
        impl_->count = count;
        impl_->next = 0;
        impl_->busy = impl_->workers.size();
        ++impl_->round;
    }
    impl_->begin.notify_all();
    impl_->take_tasks(0);
    std::unique_lock lock(impl_->mutex);
    impl_->end.wait(lock, [this] { return impl_->busy == 0; });
}

}  // namespace trainyard::training
