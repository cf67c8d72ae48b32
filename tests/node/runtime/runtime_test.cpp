// SPDX-License-Identifier: Apache-2.0
// Strands, timers, mailboxes and the stop of a runtime.
#include "node/runtime/runtime.hpp"

#include <csignal>
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "node/runtime/mailbox.hpp"
#include "node/runtime/pool_queue.hpp"

namespace trainyard::runtime {
namespace {

class runtime : public ::testing::Test {
protected:
    void SetUp() override { runtime_.start(); }

    template <class T>
    static T get(std::future<T> future) {
        if (future.wait_for(std::chrono::seconds(5)) != std::future_status::ready) {
            ADD_FAILURE() << "nothing came within five seconds";
            std::abort();
        }
        return future.get();
    }

    void drain(const Strand& strand) {
        std::promise<bool> done;
        strand.post([&] { done.set_value(true); });
        get(done.get_future());
    }

    Runtime runtime_{Runtime::Options{.io_threads = 4, .pool_threads = 2}};
};

TEST_F(runtime, strand_runs_jobs_in_order_and_one_at_a_time) {
    const Strand strand = runtime_.make_strand();
    std::vector<int> order;  // unguarded on purpose: the strand is the guard
    for (int i = 0; i < 1000; ++i) {
        strand.post([&, i] {
            EXPECT_TRUE(strand.runs_here());
            order.push_back(i);
        });
    }
    drain(strand);
    ASSERT_EQ(order.size(), 1000u);
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
    EXPECT_FALSE(strand.runs_here());
}

TEST_F(runtime, timer_fires_once_and_a_restart_replaces_what_was_pending) {
    const Strand strand = runtime_.make_strand();
    Timer timer(strand);
    std::promise<int> fired;
    strand.post([&] {
        timer.start(Duration(1), [&] { fired.set_value(1); });
        timer.start(Duration(20), [&] { fired.set_value(2); });
        EXPECT_TRUE(timer.is_pending());
    });
    EXPECT_EQ(get(fired.get_future()), 2);
}

TEST_F(runtime, cancelled_timer_never_fires) {
    const Strand strand = runtime_.make_strand();
    Timer timer(strand);
    std::atomic<bool> fired = false;
    strand.post([&] {
        timer.start(Duration(0), [&] { fired = true; });
        std::this_thread::sleep_for(Duration(20));  // the expiry now waits behind this job
        timer.cancel();
    });
    drain(strand);
    std::this_thread::sleep_for(Duration(30));
    EXPECT_FALSE(fired);
}

TEST_F(runtime, destroyed_timer_never_fires) {
    const Strand strand = runtime_.make_strand();
    std::atomic<bool> fired = false;
    {
        Timer timer(strand);
        strand.post([&] { timer.start(Duration(30), [&] { fired = true; }); });
        drain(strand);
    }
    std::this_thread::sleep_for(Duration(60));
    EXPECT_FALSE(fired);
}

TEST_F(runtime, offloaded_work_returns_to_its_strand) {
    const Strand strand = runtime_.make_strand();
    auto product = std::make_shared<int>(0);
    std::promise<int> result;
    runtime_.offload(
        [product, &strand] {
            EXPECT_FALSE(strand.runs_here());
            *product = 6 * 7;
        },
        strand,
        [product, &strand, &result] {
            EXPECT_TRUE(strand.runs_here());
            result.set_value(*product);
        });
    EXPECT_EQ(get(result.get_future()), 42);
}

TEST_F(runtime, mailbox_refuses_what_does_not_fit_and_counts_it) {
    const Strand strand = runtime_.make_strand();
    std::promise<void> gate;
    auto opened = gate.get_future().share();
    std::vector<int> seen;
    Mailbox<int> mailbox(strand, 3, [&](int message) {
        opened.wait();
        seen.push_back(message);
    });
    EXPECT_TRUE(mailbox.post(1));
    EXPECT_TRUE(mailbox.post(2));
    EXPECT_TRUE(mailbox.post(3));
    EXPECT_FALSE(mailbox.post(4));
    EXPECT_EQ(mailbox.dropped(), 1u);
    gate.set_value();
    drain(strand);
    EXPECT_EQ(mailbox.size(), 0u);
    EXPECT_TRUE(mailbox.post(5));
    drain(strand);
    EXPECT_EQ(seen, (std::vector<int>{1, 2, 3, 5}));
}

TEST_F(runtime, closed_mailbox_drops_what_waits) {
    const Strand strand = runtime_.make_strand();
    std::atomic<int> handled = 0;
    std::promise<void> gate;
    auto opened = gate.get_future().share();
    strand.post([&] { opened.wait(); });
    Mailbox<int> mailbox(strand, 3, [&](int) { ++handled; });
    EXPECT_TRUE(mailbox.post(1));
    mailbox.close();
    EXPECT_FALSE(mailbox.post(2));
    gate.set_value();
    drain(strand);
    EXPECT_EQ(handled, 0);
}

TEST(runtime_stop, calls_parts_in_reverse_order_while_strands_still_run) {
    Runtime runtime;
    std::vector<int> order;
    const Strand strand = runtime.make_strand();
    for (int i = 0; i < 3; ++i) {
        runtime.on_stop([&, i] {
            std::promise<void> flushed;
            strand.post([&] { flushed.set_value(); });
            flushed.get_future().wait();
            order.push_back(i);
        });
    }
    strand.post([&] { runtime.request_stop(); });
    runtime.run();
    EXPECT_TRUE(runtime.is_stopping());
    EXPECT_EQ(order, (std::vector<int>{2, 1, 0}));
}

TEST(runtime_stop, follows_a_termination_signal) {
    Runtime runtime;
    runtime.stop_on_signals();
    bool stopped = false;
    runtime.on_stop([&] { stopped = true; });
    runtime.make_strand().post([] { std::raise(SIGTERM); });
    runtime.run();
    EXPECT_TRUE(stopped);
}

TEST(runtime_stop, works_without_a_start_and_twice) {
    Runtime runtime;
    runtime.request_stop();
    runtime.join();
    runtime.join();
    EXPECT_TRUE(runtime.is_stopping());
}

TEST(clock, moves_forward_and_knows_the_year) {
    Runtime runtime;
    const uint64_t before = runtime.clock().steady_ms();
    std::this_thread::sleep_for(Duration(5));
    EXPECT_GE(runtime.clock().steady_ms(), before + 5);
    EXPECT_GT(runtime.clock().wall_ms(), 1'700'000'000'000u);  // 14 November 2023
}

TEST_F(runtime, pool_queue_leaves_a_thread_to_others_and_refuses_what_does_not_fit) {
    std::promise<void> gate;
    std::atomic<int> handled = 0;
    PoolQueue<int, int> queue(runtime_, {10, 1000}, [&, open = gate.get_future().share()](int) {
        open.wait(), ++handled;
    });
    EXPECT_FALSE(queue.post(0, 0, 1001));
    int taken = 0;
    for (int i = 0; i < 100; ++i) taken += queue.post(i, i, 1) ? 1 : 0;
    EXPECT_LE(taken, 11);  // one may be in hand
    EXPECT_EQ(queue.dropped(), static_cast<uint64_t>(101 - taken));
    std::promise<bool> other;  // of two threads one is stuck
    runtime_.offload([&] { other.set_value(true); });
    EXPECT_TRUE(get(other.get_future()));
    gate.set_value();
    const auto wait_for = [&](int count) {
        for (int i = 0; i < 500 && handled < count; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        EXPECT_EQ(handled, count);
    };
    wait_for(taken);
    EXPECT_TRUE(queue.post(7, 7, 1));
    wait_for(taken + 1);
}

TEST_F(runtime, pool_queue_lets_what_others_posted_go_first) {
    std::mutex mutex;
    std::vector<int> order;
    const auto note = [&](int what) {
        const std::lock_guard lock(mutex);
        order.push_back(what);
    };
    std::promise<void> gate;
    std::promise<bool> done;
    Runtime one{Runtime::Options{.io_threads = 1, .pool_threads = 1}};  // ends before the above
    one.offload([open = gate.get_future().share()] { open.wait(); });
    PoolQueue<int, int> queue(one, {1000, 1000, 4}, note);
    for (int i = 1; i <= 100; ++i) ASSERT_TRUE(queue.post(0, i, 1));
    one.offload([&] { note(0), done.set_value(true); });
    gate.set_value();
    EXPECT_TRUE(get(done.get_future()));
    const std::lock_guard lock(mutex);
    EXPECT_EQ(std::find(order.begin(), order.end(), 0) - order.begin(), 4);
}

TEST_F(runtime, pool_queue_gives_one_source_its_share_and_lets_sources_take_turns) {
    std::vector<int> order;
    std::promise<void> gate;
    std::promise<bool> done;
    Runtime one{Runtime::Options{.io_threads = 1, .pool_threads = 1}};
    one.offload([open = gate.get_future().share()] { open.wait(); });
    PoolQueue<int, int> queue(one, {16, 1600, 64, 4}, [&](int what) {
        order.push_back(what);
        if (what == 30) done.set_value(true);
    });
    constexpr int kFlood = 1, kOther = 2, kLong = 3;
    for (int i = 10; i < 20; ++i) EXPECT_EQ(queue.post(kFlood, i, 1), i < 14) << i;
    EXPECT_TRUE(queue.post(kOther, 20, 1));
    EXPECT_TRUE(queue.post(kOther, 21, 1));
    EXPECT_TRUE(queue.post(kLong, 30, 401));  // one always fits
    EXPECT_FALSE(queue.post(kLong, 31, 1));
    EXPECT_EQ(queue.dropped(), 7u);
    one.start();
    gate.set_value();
    EXPECT_TRUE(get(done.get_future()));
    one.request_stop();
    one.join();
    EXPECT_EQ((std::vector<int>(order.begin(), order.begin() + 3)), (std::vector<int>{10, 20, 30}));
}

TEST_F(runtime, pool_queue_handles_what_many_threads_post_in_the_order_of_each_source) {
    constexpr int kSources = 4, kItems = 2000;
    using Item = std::pair<int, int>;  // source, number
    std::atomic<int> in_hand{0}, at_once{0}, handled{0}, taken{0};
    std::vector<std::vector<int>> seen(kSources), posted(kSources);
    PoolQueue<Item, int> queue(runtime_, {64, 64, 8, 4}, [&](const Item& item) {
        if (++in_hand > 1) ++at_once;
        seen[item.first].push_back(item.second);
        --in_hand;
        ++handled;
    });
    std::vector<std::thread> posters;
    for (int source = 0; source < kSources; ++source)
        posters.emplace_back([&, source] {
            for (int n = 0; n < kItems; ++n) {
                if (!queue.post(source, {source, n}, 1)) continue;
                posted[source].push_back(n);
                ++taken;
            }
        });
    for (auto& poster : posters) poster.join();
    for (int i = 0; i < 1000 && handled < taken; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    runtime_.request_stop();
    runtime_.join();
    EXPECT_EQ(at_once, 0);
    EXPECT_EQ(seen, posted);
    EXPECT_EQ(queue.dropped(), static_cast<uint64_t>(kSources * kItems - taken));
}

}  // namespace
}  // namespace trainyard::runtime
