// SPDX-License-Identifier: Apache-2.0
// One way to count steps for people.
#include "node/wallet/step_name.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::wallet {
namespace {

TEST(step_name, counts_from_one_within_the_segment) {
    EXPECT_EQ(step_name(3, 20, 4), "step 3 of 20 of segment 4");
    EXPECT_EQ(step_name_in_run(0, 20), "step 1 of 20 of segment 0");
    EXPECT_EQ(step_name_in_run(19, 20), "step 20 of 20 of segment 0");
    EXPECT_EQ(step_name_in_run(20, 20), "step 1 of 20 of segment 1");
    EXPECT_EQ(step_name_in_run(82, 20), "step 3 of 20 of segment 4");
}

TEST(step_name, takes_what_a_made_up_case_says) {
    EXPECT_EQ(step_name_in_run(7, 0), "step 8 of 0 of segment 0");
}

}  // namespace
}  // namespace trainyard::node::wallet
