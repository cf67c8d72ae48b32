// SPDX-License-Identifier: Apache-2.0
// I/O threads, the pool, strands and timers on Boost.Asio.
#include "node/runtime/runtime.hpp"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "core/assert.hpp"
#include "node/runtime/asio.hpp"
#include "node/runtime/process.hpp"

namespace trainyard::runtime {
namespace asio = boost::asio;

namespace {

constexpr int kExitOnSecondSignal = 130;

class SystemClock final : public Clock {
public:
    uint64_t steady_us() const override { return since_start<std::chrono::steady_clock>(); }
    uint64_t wall_ms() const override { return since_start<std::chrono::system_clock>() / 1000; }

private:
    template <class C>
    static uint64_t since_start() {
        const auto elapsed = C::now().time_since_epoch();
        const auto us = std::chrono::duration_cast<std::chrono::microseconds>(elapsed);
        return static_cast<uint64_t>(us.count());
    }
};

unsigned pool_size(unsigned wanted) {
    return wanted != 0 ? wanted : std::max(2u, std::thread::hardware_concurrency());
}

}  // namespace

Strand::Strand(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
void Strand::post(Job job) const {
    asio::post(impl_->executor, std::move(job));
}
bool Strand::runs_here() const {
    return impl_->executor.running_in_this_thread();
}

// The generation tells a late expiry of an earlier start from the present one; `closed` covers an
// owner that goes away on another thread.
struct Timer::Impl {
    explicit Impl(std::shared_ptr<Strand::Impl> s)
        : strand(std::move(s)), timer(strand->executor) {}

    const std::shared_ptr<Strand::Impl> strand;
    asio::steady_timer timer;
    uint64_t generation = 0;
    bool is_pending = false;
    std::atomic<bool> closed{false};
};

Timer::Timer(const Strand& strand) : impl_(std::make_shared<Impl>(strand.impl())) {}

Timer::~Timer() {
    if (!impl_) return;
    impl_->closed = true;
    asio::post(impl_->strand->executor, [impl = impl_] { impl->timer.cancel(); });
}

Timer::Timer(Timer&&) noexcept = default;
Timer& Timer::operator=(Timer&& other) noexcept {
    std::swap(impl_, other.impl_);
    return *this;
}

void Timer::start(Duration after, Job job) {
    const uint64_t generation = ++impl_->generation;
    impl_->is_pending = true;
    impl_->timer.expires_after(after);
    impl_->timer.async_wait(asio::bind_executor(
        impl_->strand->executor,
        [impl = impl_, generation, job = std::move(job)](const boost::system::error_code&) {
            if (impl->closed || !impl->is_pending || impl->generation != generation) return;
            impl->is_pending = false;
            job();
        }));
}

void Timer::cancel() {
    impl_->is_pending = false;
    impl_->timer.cancel();
}

bool Timer::is_pending() const {
    return impl_->is_pending;
}

struct Runtime::Impl {
    explicit Impl(Options o)
        : options(o),
          io(static_cast<int>(std::max(1u, o.io_threads))),
          work(io.get_executor()),
          pool(std::make_unique<asio::thread_pool>(pool_size(o.pool_threads))),
          signals(io) {}

    void wait_for_signal() {
        signals.async_wait([this](const boost::system::error_code& error, int signal) {
            if (error) return;
            // Of a terminal that is closed, the shell and the kernel each send one.
            if (is_stopping.load() && signal != SIGHUP) ::_exit(kExitOnSecondSignal);
            ask_to_stop();
            wait_for_signal();
        });
    }

    void ask_to_stop() {
        {
            const std::lock_guard lock(mutex);
            is_stopping = true;
        }
        changed.notify_all();
    }

    const Options options;
    SystemClock clock;
    asio::io_context io;
    asio::executor_work_guard<asio::io_context::executor_type> work;
    std::unique_ptr<asio::thread_pool> pool;  // null once joined
    asio::signal_set signals;
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::condition_variable changed;
    std::atomic<bool> is_stopping{false};
    std::vector<Job> stops;  // under the mutex
};

Runtime::Runtime(Options options) : impl_(std::make_unique<Impl>(options)) {}
Runtime::Runtime() : Runtime(Options{}) {}

Runtime::~Runtime() {
    request_stop();
    join();
}

Strand Runtime::make_strand() {
    return Strand(std::make_shared<Strand::Impl>(impl_->io));
}
const Clock& Runtime::clock() const {
    return impl_->clock;
}
asio::io_context& Runtime::io() {
    return impl_->io;
}

void Runtime::offload(Job job) {
    if (impl_->pool) asio::post(*impl_->pool, std::move(job));
}

void Runtime::offload(Job job, const Strand& strand, Job then) {
    offload([job = std::move(job), strand, then = std::move(then)]() mutable {
        job();
        strand.post(std::move(then));
    });
}

void Runtime::on_stop(Job stop) {
    const std::lock_guard lock(impl_->mutex);
    impl_->stops.push_back(std::move(stop));
}

void Runtime::stop_on_signals() {
    impl_->signals.add(SIGINT);
    impl_->signals.add(SIGTERM);
    if (!is_ignored(SIGHUP)) impl_->signals.add(SIGHUP);
    impl_->wait_for_signal();
}

void Runtime::start() {
    ASSERT(impl_->threads.empty());
    for (unsigned i = 0; i < std::max(1u, impl_->options.io_threads); ++i) {
        impl_->threads.emplace_back([this] { impl_->io.run(); });
    }
}

void Runtime::request_stop() {
    impl_->ask_to_stop();
}
bool Runtime::is_stopping() const {
    return impl_->is_stopping;
}

void Runtime::join() {
    std::vector<Job> stops;
    {
        std::unique_lock lock(impl_->mutex);
        impl_->changed.wait(lock, [this] { return impl_->is_stopping.load(); });
        stops.swap(impl_->stops);
    }
    while (!stops.empty()) {
        stops.back()();
        stops.pop_back();
    }
    impl_->work.reset();
    impl_->io.stop();
    for (std::thread& thread : impl_->threads) thread.join();
    impl_->threads.clear();
    if (!impl_->pool) return;
    impl_->pool->stop();
    impl_->pool->join();
    impl_->pool.reset();  // also drops what was queued, while the parts it refers to still live
}

void Runtime::run() {
    start();
    join();
}

}  // namespace trainyard::runtime
