// SPDX-License-Identifier: Apache-2.0
// Whom addresses and headers name, and turns on threads.
#include "node/http/clients.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <thread>

#include "node/http/fair_pool.hpp"

namespace trainyard::node::http {
namespace {

void on_threads(size_t count, const std::function<void(size_t)>& work) {
    std::vector<std::thread> threads;
    for (size_t n = 0; n < count; ++n) threads.emplace_back(work, n);
    for (auto& thread : threads) thread.join();
}

TEST(http_clients, an_address_or_a_network_of_ipv6_is_one_client) {
    const ClientRules rules({}, true);
    EXPECT_EQ(rules.client_of("192.0.2.7"), "192.0.2.7");
    EXPECT_EQ(rules.client_of("::ffff:192.0.2.7"), "192.0.2.7");
    EXPECT_EQ(rules.client_of("2001:db8:1:2::1"), rules.client_of("2001:db8:1:2:ffff::9"));
    EXPECT_NE(rules.client_of("2001:db8:1:2::1"), rules.client_of("2001:db8:1:3::1"));
    for (const char* own : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"})
        EXPECT_EQ(rules.client_of(own), "") << own;
    EXPECT_EQ(ClientRules({}, false).client_of("127.0.0.1"), "127.0.0.1");
}

TEST(http_clients, ranges_have_an_address_and_bits) {
    for (const char* text : {"10.0.0.0/8", "10.0.0.1", "fd00::/8", "::/0", "10.0.0.0/32"})
        EXPECT_TRUE(range_from(text)) << text;
    for (const char* text :
         {"", "proxy", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.0/8x", "/8"})
        EXPECT_FALSE(range_from(text)) << text;
    const ClientRules rules({*range_from("10.128.0.0/9"), *range_from("fd00::/8")}, true);
    EXPECT_EQ(rules.client_of("10.200.1.1"), "");
    EXPECT_EQ(rules.client_of("10.100.1.1"), "10.100.1.1");
    EXPECT_EQ(rules.client_of("fdff::1"), "");
    EXPECT_NE(rules.client_of("fe00::1"), "");
}

TEST(http_clients, a_header_names_the_last_who_is_no_proxy) {
    const ClientRules rules({*range_from("10.0.0.0/8")}, true);
    for (const char* header :
         {"192.0.2.1", "9.9.9.9, 192.0.2.1", "9.9.9.9,192.0.2.1 , 10.0.0.5,127.0.0.1",
          "192.0.2.1:4711", "[::ffff:192.0.2.1]:4711", "192.0.2.1,,"})
        EXPECT_EQ(rules.forwarded_client(header), "192.0.2.1") << header;
    for (const char* header : {"", ",", "10.0.0.1", "127.0.0.1, 10.0.0.1"})
        EXPECT_EQ(rules.forwarded_client(header), "") << header;
    EXPECT_EQ(rules.forwarded_client("somebody"), rules.forwarded_client("192.0.2.1, else"));
    EXPECT_NE(rules.forwarded_client("somebody"), "");
}

TEST(http_fair_pool, clients_take_turns) {
    FairPool pool(1);
    std::promise<void> gate;
    std::vector<std::string> order;
    pool.post("first", [&] { gate.get_future().wait(); });
    for (const char* job : {"a1", "a2", "a3"})
        pool.post("a", [&order, job] { order.emplace_back(job); });
    pool.post("b", [&order] { order.emplace_back("b1"); });
    gate.set_value();
    pool.join();
    EXPECT_EQ(order, (std::vector<std::string>{"a1", "b1", "a2", "a3"}));
}

TEST(http_fair_pool, runs_what_many_threads_post_once_each_and_holds_clients_to_their_share) {
    constexpr unsigned kThreads = 4;
    constexpr size_t kPosters = 4, kJobs = 250;
    const std::vector<Client> clients{"a", "b", ""};
    std::vector<std::atomic<size_t>> running(clients.size());
    std::vector<std::atomic<int>> runs(kPosters * kJobs);
    std::atomic<size_t> all_running{0}, too_many{0};
    FairPool pool(kThreads);
    on_threads(kPosters, [&](size_t poster) {
        for (size_t i = 0; i < kJobs; ++i) {
            const size_t who = (poster + i) % clients.size();
            pool.post(clients[who], [&, who, job = poster * kJobs + i] {
                const size_t most = clients[who].empty() ? kThreads : kThreads / 2;
                if (++running[who] > most || ++all_running > kThreads) ++too_many;
                std::this_thread::yield();
                --running[who], --all_running, ++runs[job];
            });
        }
    });
    pool.join();
    EXPECT_EQ(too_many, 0u);
    for (size_t job = 0; job < runs.size(); ++job) EXPECT_EQ(runs[job], 1) << job;
}

}  // namespace
}  // namespace trainyard::node::http
