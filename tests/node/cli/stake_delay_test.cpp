// SPDX-License-Identifier: Apache-2.0
// What a provider reads before stake that is leaving begins to wait anew.
#include "node/cli/stake_delay.hpp"

#include <gtest/gtest.h>

#include "node/wallet/coins.hpp"

namespace trainyard::node::cli {
namespace {

wallet::ProviderRecord leaving(const char* coins, uint64_t release_block) {
    wallet::ProviderRecord out;
    out.leaving_wei = *wallet::parse_coins(coins);
    out.release_block = release_block;
    return out;
}

TEST(stake_delay, nothing_is_said_where_nothing_leaves) {
    EXPECT_EQ(delay_text(leaving("0", 0), {100, 400, 1, 1'700'000'000}), "");
    EXPECT_EQ(delay_text(leaving("0", 90), {100, 400, 1, 1'700'000'000}), "")
        << "what has left was paid";
}

TEST(stake_delay, tells_block_and_time_before_and_after) {
    EXPECT_EQ(delay_text(leaving("3.5", 460), {100, 400, 2, 1'700'000'000}),
              "3.5 coins already leaving, which will wait anew:\n"
              "  so far  paid from block 460 on, about 2023-11-14T22:25:20Z\n"
              "  then    with the others from block 501 on, about 2023-11-14T22:26:42Z");
}

TEST(stake_delay, what_could_be_paid_now_is_said_to_wait_again) {
    const auto text = delay_text(leaving("3.5", 101), {100, 400, 0, 1'700'000'000});
    EXPECT_EQ(text,
              "3.5 coins already leaving, which will wait anew:\n"
              "  so far  paid now by `trainyard provider withdraw`\n"
              "  then    with the others from block 501 on");
    EXPECT_EQ(delay_text(leaving("3.5", 102), {100, 400, 0, 0}).find("now"), std::string::npos);
}

}  // namespace
}  // namespace trainyard::node::cli
