// SPDX-License-Identifier: Apache-2.0
// The threads, timers and clocks of a node, handed to every subsystem at construction.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace trainyard::runtime {

using Job = std::function<void()>;
using Duration = std::chrono::milliseconds;

/// Time from outside. Elapsed time and deadlines use `steady_ms`; only what people and headers see
/// uses `wall_ms` (milliseconds since 1970).
class Clock {
public:
    virtual ~Clock() = default;
    [[nodiscard]] virtual uint64_t steady_us() const = 0;
    [[nodiscard]] uint64_t steady_ms() const { return steady_us() / 1000; }
    [[nodiscard]] virtual uint64_t wall_ms() const = 0;
};

class Runtime;

/// A queue whose jobs run one after another on the I/O threads; one per subsystem, cheap to copy.
/// Jobs posted by one thread run in the order of posting.
class Strand {
public:
    void post(Job job) const;
    [[nodiscard]] bool runs_here() const;  ///< is the calling thread inside a job of this strand?

    struct Impl;
    [[nodiscard]] const std::shared_ptr<Impl>& impl() const { return impl_; }

private:
    friend class Runtime;
    explicit Strand(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

/// One pending call on a strand. Every member must be called inside that strand (the destructor may
/// run anywhere); then a job that was cancelled or replaced never runs.
class Timer {
public:
    explicit Timer(const Strand& strand);
    ~Timer();
    Timer(Timer&&) noexcept;
    Timer& operator=(Timer&&) noexcept;

    /// Replaces what was pending.
    void start(Duration after, Job job);
    void cancel();
    [[nodiscard]] bool is_pending() const;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

/// I/O threads, a pool for heavy work, and the way to stop them.
///
/// Order of life: construct the Runtime, construct the parts, `run`, and when it has returned
/// destroy the parts, then the Runtime. After `run` or `join` returns no job runs any more.
class Runtime {
public:
    struct Options {
        unsigned io_threads = 2;
        unsigned pool_threads = 0;  ///< 0: one per core, at least two
    };

    explicit Runtime(Options options);
    Runtime();
    ~Runtime();  ///< stops and joins
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    [[nodiscard]] Strand make_strand();
    [[nodiscard]] const Clock& clock() const;
    [[nodiscard]] boost::asio::io_context& io();

    /// Runs `job` on the pool: signatures, hashing, execution; it may block.
    void offload(Job job);
    /// Runs `job` on the pool, then `then` on `strand`.
    void offload(Job job, const Strand& strand, Job then);

    /// `stop` is called when the node shall end, the last registered first, one after another, on
    /// the thread that joins; the I/O threads still run then, so it may wait a short time (flush,
    /// close).
    void on_stop(Job stop);

    /// SIGINT, SIGTERM or, unless ignored, SIGHUP asks for a stop; a second one exits with 130.
    void stop_on_signals();

    void start();         ///< starts the I/O threads and returns
    void request_stop();  ///< from any thread; returns at once
    [[nodiscard]] bool is_stopping() const;
    void join();  ///< waits for the stop and all threads; never call it from a job
    void run();   ///< start, then join

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::runtime
