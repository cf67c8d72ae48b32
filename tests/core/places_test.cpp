// SPDX-License-Identifier: Apache-2.0
// Places: of all, of one, of nobody in particular, and that they come back.
#include "core/places.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace trainyard {
namespace {

using Named = Places<std::string>;

TEST(places, one_has_its_share_of_them) {
    Named places({.all = 4, .of_one = 2});
    auto first = places.take("a");
    const auto second = places.take("a");
    EXPECT_NE(second, nullptr);
    EXPECT_EQ(places.take("a"), nullptr);
    const auto other = places.take("b"), third = places.take("c");
    EXPECT_NE(third, nullptr);
    EXPECT_EQ(places.take("d"), nullptr) << "all are taken";
    EXPECT_EQ(places.refused(), 2u);
    first.reset();
    EXPECT_NE(places.take("d"), nullptr);
    EXPECT_NE(places.take("a"), nullptr);
    EXPECT_EQ(places.refused(), 2u);
}

TEST(places, nobody_in_particular_may_hold_all_of_them) {
    Named places({.all = 3, .of_one = 1});
    const auto first = places.take(""), second = places.take(""), third = places.take("");
    EXPECT_NE(third, nullptr);
    EXPECT_EQ(places.take(""), nullptr);
}

TEST(places, have_no_limit_where_none_is_given) {
    Named shares({.of_one = 1});
    const auto one = shares.take("a");
    EXPECT_EQ(shares.take("a"), nullptr);
    std::vector<Named::Held> others;
    for (int i = 0; i < 100; ++i) others.push_back(shares.take(std::to_string(i)));
    EXPECT_NE(others.back(), nullptr);
    Named endless({});
    const auto first = endless.take("a"), second = endless.take("a");
    EXPECT_NE(second, nullptr);
    Named closed({.of_one = 0});
    EXPECT_EQ(closed.take("a"), nullptr);
}

TEST(places, of_many_threads_come_back_and_are_never_too_many) {
    constexpr size_t kMost = 4, kMostOfOne = 2;
    const std::vector<std::string> names{"a", "b", "c"};
    Named places({.all = kMost, .of_one = kMostOfOne});
    std::vector<std::atomic<size_t>> taken(names.size());
    std::atomic<size_t> all{0}, too_many{0}, refused{0};
    std::vector<std::thread> threads;
    for (size_t n = 0; n < 6; ++n)
        threads.emplace_back([&, n] {
            for (size_t i = 0; i < 500; ++i) {
                const size_t who = (n + i) % names.size();
                const auto place = places.take(names[who]);
                if (!place) {
                    ++refused;
                    continue;
                }
                const size_t own = ++taken[who], every = ++all;
                if (own > kMostOfOne || every > kMost) ++too_many;
                std::this_thread::yield();
                --taken[who], --all;
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(too_many, 0u);
    EXPECT_EQ(places.refused(), refused);
    std::vector<Named::Held> held;
    for (const auto* who : {"a", "a", "b", "b"})
        EXPECT_NE(held.emplace_back(places.take(who)), nullptr);
    EXPECT_EQ(places.take("c"), nullptr);
}

TEST(places, come_back_after_their_end) {
    Named::Held last;
    {
        Named places({.all = 1});
        last = places.take("a");
    }
    last.reset();
}

}  // namespace
}  // namespace trainyard
