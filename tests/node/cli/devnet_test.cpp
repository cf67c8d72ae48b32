// SPDX-License-Identifier: Apache-2.0
// The ports of a devnet; that one runs is shown by tests/e2e.
#include "node/cli/devnet.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace trainyard::node::cli {
namespace {

TEST(devnet_ports, differ_from_those_that_http_will_have) {
    const PortRange http{10'000, 21'000};  // of the 22,000 that ports are drawn from
    const auto ports = free_ports(8, http);
    EXPECT_EQ(std::set(ports.begin(), ports.end()).size(), 8U);
    for (const uint16_t port : ports) EXPECT_FALSE(http.has(port)) << port;
    EXPECT_TRUE(free_ports(1, {10'000, 22'000}).empty());
}

TEST(devnet_ports, of_a_range_are_the_first_and_those_behind_it) {
    const PortRange range{8545, 4};
    for (const uint32_t port : {8545U, 8548U}) EXPECT_TRUE(range.has(port)) << port;
    for (const uint32_t port : {0U, 8544U, 8549U, 65535U}) EXPECT_FALSE(range.has(port)) << port;
    EXPECT_FALSE((PortRange{0, 4}.has(10'000)));
}

TEST(make_devnet, leaves_nothing_behind_where_it_fails) {
    namespace fs = std::filesystem;
    const auto folder = fs::temp_directory_path() / ("devnet_test_" + std::to_string(::getpid()));
    const DevnetLayout unbuildable{folder, 2, 0, 1, {"k0=300"}};
    EXPECT_FALSE(make_devnet(unbuildable));
    EXPECT_FALSE(fs::exists(folder));
    fs::create_directories(folder / "mine");
    EXPECT_FALSE(make_devnet(unbuildable));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1) << "what was there stays";
    EXPECT_TRUE(make_devnet({folder, 2, 0, 1, {}}));
    EXPECT_FALSE(make_devnet({folder, 2, 0, 1, {}}));
    EXPECT_TRUE(fs::exists(folder / "node-1" / "keys"));
    fs::remove_all(folder);
}

/// Killed by the kernel at the first file that is larger than any of a node: the genesis.
void make_and_be_killed(const DevnetLayout& layout) {
    const rlimit small{16 << 10, 16 << 10};
    ::setrlimit(RLIMIT_FSIZE, &small);
    (void)make_devnet(layout);
    std::exit(0);
}

TEST(make_devnet, that_was_killed_half_way_can_be_made_again) {
    namespace fs = std::filesystem;
    const auto home = fs::temp_directory_path() / ("devnet_killed_" + std::to_string(::getpid()));
    for (const bool is_there : {false, true}) {
        const DevnetLayout layout{(home / "net").string() + (is_there ? "" : "/"), 2, 0, 1, {}};
        if (is_there) fs::create_directories(home / "net" / "mine");
        EXPECT_EXIT(make_and_be_killed(layout), testing::KilledBySignal(SIGXFSZ), "");
        EXPECT_FALSE(fs::exists(home / "net" / "node-0")) << "nothing is half there";
        EXPECT_TRUE(make_devnet(layout));
        EXPECT_TRUE(fs::exists(home / "net" / "node-1" / "keys"));
        const auto entries = [](const fs::path& in) {
            return std::distance(fs::directory_iterator(in), {});
        };
        EXPECT_EQ(entries(home), 1);
        EXPECT_EQ(entries(home / "net"), is_there ? 4 : 3) << "and nothing is left over";
        const auto net = Devnet::open(layout.folder);
        ASSERT_TRUE(net) << net.error();
        EXPECT_EQ((*net)->size(), 2U);
        fs::remove_all(home);
    }
}

TEST(make_devnet, does_not_touch_a_node_that_belongs_to_no_devnet) {
    namespace fs = std::filesystem;
    const auto folder = fs::temp_directory_path() / ("devnet_mine_" + std::to_string(::getpid()));
    fs::create_directories(folder / "node-1" / "keys");
    const auto made = make_devnet({folder, 2, 0, 1, {}});
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().find("node-1' is in the way"), std::string::npos) << made.error();
    EXPECT_EQ(std::distance(fs::recursive_directory_iterator(folder), {}), 2);
    fs::remove_all(folder);
}

}  // namespace
}  // namespace trainyard::node::cli
