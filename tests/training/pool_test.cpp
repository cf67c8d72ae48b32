// SPDX-License-Identifier: Apache-2.0
// Every task of a round runs once, however late a thread comes, round after round.
#include "training/pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <vector>

namespace trainyard::training {
namespace {

TEST(pool, runs_every_task_of_many_short_rounds_exactly_once) {
    Pool pool(4);
    for (size_t round = 0; round < 3000; ++round) {
        const size_t count = round % 23;
        std::vector<std::atomic<int>> runs(count);
        std::atomic<bool> worker_is_known = true;
        pool.run(count, [&](size_t task, size_t worker) {
            runs[task].fetch_add(1);
            if (worker >= pool.threads()) worker_is_known = false;
        });
        for (size_t i = 0; i < count; ++i) ASSERT_EQ(runs[i], 1) << "round " << round;
        ASSERT_TRUE(worker_is_known);
    }
}

TEST(pool, writes_of_a_round_are_seen_after_it_by_whoever_reads_next) {
    Pool pool(3);
    std::vector<uint64_t> x(1000, 1);
    for (int round = 0; round < 200; ++round)
        run_ranges(&pool, x.size(), 7, [&](size_t first, size_t last) {
            for (size_t i = first; i < last; ++i) x[i] += 1;
        });
    EXPECT_EQ(std::accumulate(x.begin(), x.end(), uint64_t{0}), 1000U * 201);
}

TEST(pool, splits_a_range_alike_with_and_without_threads) {
    Pool pool(2);
    for (Pool* threads : {static_cast<Pool*>(nullptr), &pool})
        for (const size_t count : {0UL, 1UL, 64UL, 65UL, 200UL}) {
            std::vector<int> seen(count, 0);
            run_ranges(threads, count, 64, [&](size_t first, size_t last) {
                EXPECT_EQ(first % 64, 0U);
                for (size_t i = first; i < last; ++i) ++seen[i];
            });
            EXPECT_EQ(seen, std::vector<int>(count, 1));
        }
}

}  // namespace
}  // namespace trainyard::training
