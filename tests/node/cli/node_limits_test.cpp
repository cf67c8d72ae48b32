// SPDX-License-Identifier: Apache-2.0
// Which blocks a node ends before.
#include "node/cli/node_limits.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::cli {
namespace {

Header header(uint64_t number, uint64_t timestamp) {
    Header out;
    out.number = number;
    out.timestamp = timestamp;
    return out;
}

TEST(node_limits, allow_everything_where_none_is_set) {
    const NodeLimits limits(0, std::nullopt, {});
    EXPECT_TRUE(limits.allows(header(UINT64_MAX, UINT64_MAX)));
    EXPECT_FALSE(limits.is_last(UINT64_MAX));
}

TEST(node_limits, the_halt_height_is_the_last_block) {
    const NodeLimits limits(10, std::nullopt, {});
    EXPECT_TRUE(limits.allows(header(10, 0)));
    EXPECT_FALSE(limits.allows(header(11, 0)));
    EXPECT_FALSE(limits.is_last(9));
    EXPECT_TRUE(limits.is_last(10));
    EXPECT_TRUE(limits.is_last(11));
}

TEST(node_limits, blocks_of_an_unknown_fork_are_refused_and_told_of_once) {
    std::vector<std::string> told;
    const NodeLimits limits(0, config::Fork{"rails", 1000, "9.9.9"},
                            [&](const std::string& why) { told.push_back(why); });
    EXPECT_TRUE(limits.allows(header(5, 999)));
    EXPECT_TRUE(told.empty());
    EXPECT_FALSE(limits.allows(header(6, 1000)));
    EXPECT_FALSE(limits.allows(header(7, 2000)));
    ASSERT_EQ(told.size(), 1u);
    EXPECT_NE(told[0].find("'rails'"), std::string::npos);
    EXPECT_NE(told[0].find("9.9.9"), std::string::npos);
}

TEST(node_limits, a_fork_in_the_past_is_an_objection_to_the_start) {
    const config::Fork fork{"rails", 1000, "9.9.9"};
    EXPECT_EQ(fork_objection(std::nullopt, 5000), "");
    EXPECT_EQ(fork_objection(fork, 999), "");
    EXPECT_NE(fork_objection(fork, 1000).find("9.9.9"), std::string::npos);
}

}  // namespace
}  // namespace trainyard::node::cli
