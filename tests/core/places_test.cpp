// SPDX-License-Identifier: Apache-2.0
// Places: of all, of one, of nobody in particular, and that they come back.
#include "core/places.hpp"

#include <gtest/gtest.h>

#include <string>
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
