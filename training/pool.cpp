// SPDX-License-Identifier: Apache-2.0
// Threads take tasks from one ticket; who waits turns for some microseconds before it sleeps.
#include "training/pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "training/numerics/float_mode.hpp"

namespace trainyard::training {

namespace {

/// The next task of a round and the number of its tasks, in one word: whoever moves `next` on owns
/// that task, and the round cannot end before it is done. Late threads find nothing and do no harm.
struct Ticket {
    static constexpr unsigned kBits = 24;
    static constexpr uint64_t kMask = (uint64_t{1} << kBits) - 1;
    uint64_t word = 0;

    [[nodiscard]] uint64_t next() const { return word & kMask; }
    [[nodiscard]] uint64_t count() const { return word >> kBits & kMask; }
    [[nodiscard]] bool is_open() const { return next() < count(); }
    /// The ticket of the round after this one.
    [[nodiscard]] Ticket renewed(uint64_t tasks) const {
        const uint64_t round = (word >> (2 * kBits)) + 1;
        return {round << (2 * kBits) | tasks << kBits};
    }
};

void rest() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/// Turns until `ready`, but not longer than it takes to wake a sleeper.
template <class Ready>
bool turn_until(const Ready& ready) {
    constexpr int kTurns = 2000;
    for (int i = 0; i < kTurns; ++i) {
        if (ready()) return true;
        rest();
    }
    return false;
}

}  // namespace

struct Pool::Impl {
    std::mutex mutex;
    std::condition_variable begin, end;
    std::vector<std::thread> workers;
    std::atomic<uint64_t> ticket{0};
    std::atomic<const Task*> task{nullptr};
    std::atomic<size_t> done{0};
    std::atomic<size_t> sleepers{0};
    std::atomic<bool> caller_sleeps{false}, stopping{false};

    [[nodiscard]] bool is_open() const { return Ticket{ticket.load()}.is_open(); }

    void take_tasks(size_t worker) {
        uint64_t seen = ticket.load();
        while (Ticket{seen}.is_open()) {
            if (!ticket.compare_exchange_weak(seen, seen + 1)) continue;
            const Ticket taken{seen};
            (*task.load())(taken.next(), worker);
            if (done.fetch_add(1) + 1 == taken.count() && caller_sleeps) {
                const std::scoped_lock lock(mutex);
                end.notify_one();
            }
            seen = ticket.load();
        }
    }

    void work(size_t worker) {
        const FloatModeGuard mode;
        const auto ready = [this] { return stopping || is_open(); };
        while (!stopping) {
            take_tasks(worker);
            if (turn_until(ready)) continue;
            std::unique_lock lock(mutex);
            ++sleepers;
            begin.wait(lock, ready);
            --sleepers;
        }
    }

    /// One round of at most Ticket::kMask tasks. The ticket and `caller_sleeps` are exchanged, not
    /// stored: each is followed by a load that must not pass it, or a sleeper is never woken. A
    /// sequentially consistent store says that too, but qemu 7.2 lets the load of AArch64 pass.
    void run(size_t count, const Task& body) {
        task = &body;
        done = 0;
        ticket.exchange(Ticket{ticket.load()}.renewed(count).word);
        if (sleepers != 0) {
            const std::scoped_lock lock(mutex);
            begin.notify_all();
        }
        take_tasks(0);
        const auto ready = [this, count] { return done == count; };
        if (turn_until(ready)) return;
        std::unique_lock lock(mutex);
        caller_sleeps.exchange(true);
        end.wait(lock, ready);
        caller_sleeps = false;
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
    if (impl_->workers.empty() || count <= 1 || count > Ticket::kMask) {
        for (size_t i = 0; i < count; ++i) task(i, 0);
        return;
    }
    impl_->run(count, task);
}

void run_ranges(Pool* pool, size_t count, size_t step,
                const std::function<void(size_t first, size_t last)>& body) {
    const auto range = [&](size_t i, size_t) { body(i * step, std::min(count, (i + 1) * step)); };
    const size_t ranges = (count + step - 1) / step;
    if (pool != nullptr) return pool->run(ranges, range);
    for (size_t i = 0; i < ranges; ++i) range(i, 0);
}

}  // namespace trainyard::training
