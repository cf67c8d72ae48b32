// SPDX-License-Identifier: Apache-2.0
// Variables that look like ours and are not.
#include "node/cli/environment.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::cli {
namespace {

TEST(environment, only_what_begins_like_ours_and_nobody_reads_is_unknown) {
    const std::vector<std::string> fine{
        "HOME",           "trainyard_home",      "MY_TRAINYARD_X",      "TRAINYARD",
        "TRAINYARD_HOME", "TRAINYARD_HTTP_PORT", "TRAINYARD_P2P_SEEDS", "TRAINYARD_SHARED",
        "TRAINYARD_E2E",  "TRAINYARD_E2E_NETNS", "TRAINYARD_CUDA"};
    EXPECT_EQ(unknown_variables(fine), std::vector<std::string>{});
    const std::vector<std::string> wrong{"TRAINYARD_HTP_PORT", "TRAINYARD_", "TRAINYARD_home"};
    EXPECT_EQ(unknown_variables(wrong), wrong);
}

TEST(environment, the_nearest_variable_is_named) {
    EXPECT_EQ(unknown_variable_text("TRAINYARD_HTP_PORT"),
              "TRAINYARD_HTP_PORT is no variable of trainyard (did you mean "
              "'TRAINYARD_HTTP_PORT'?)");
    EXPECT_NE(unknown_variable_text("TRAINYARD_QUITE_ANOTHER_THING").find("node --help"),
              std::string::npos);
}

}  // namespace
}  // namespace trainyard::node::cli
