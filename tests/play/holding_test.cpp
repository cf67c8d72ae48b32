// SPDX-License-Identifier: Apache-2.0
// Two providers with one key: one of them trains, whichever was asked to.
#include "play.hpp"

namespace trainyard::test {
namespace {

TEST(holding, a_second_provider_with_the_key_does_nothing_and_says_why) {
    Play play;
    while (play.job().tip == 0) play.tick();
    const auto second = play.make_provider("elsewhere");
    const size_t calls = play.ledger->calls;
    for (int i = 0; i < 5; ++i) {
        second->tick();
        play.ledger->pass(1);
    }
    EXPECT_FALSE(second->has_job());
    EXPECT_EQ(play.ledger->calls, calls);
    EXPECT_NE(second->why_ended().find("start this one with --take-over"), std::string::npos)
        << second->why_ended();
    play.run(300);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
    EXPECT_EQ(play.why_ended(), "");
}

TEST(holding, a_provider_whose_key_was_taken_over_stops_and_the_other_goes_on) {
    Play play;
    play.ledger->phase_blocks = 40;  // the other one cannot serve what it has not trained
    while (play.job().tip == 0) play.tick();
    const auto second = play.make_provider("elsewhere", true);
    second->tick();
    EXPECT_TRUE(second->has_job());
    for (int i = 0; i < 3; ++i) play.tick();
    EXPECT_NE(play.why_ended().find("which has taken it over"), std::string::npos);
    const size_t calls = play.ledger->calls;
    for (int i = 0; i < 5; ++i) play.tick_provider();
    EXPECT_EQ(play.ledger->calls, calls) << "nothing is sent any more, nor given back";
    for (int i = 0; i < 600 && play.job().state != JobState::closed; ++i) {
        second->tick();
        play.tick_validators();
    }
    EXPECT_EQ(play.job().state, JobState::closed);
    EXPECT_EQ(second->why_ended(), "");
}

TEST(holding, of_two_that_begin_at_once_one_stays) {
    Play play;
    const auto second = play.make_provider("elsewhere");
    for (int i = 0; i < 400 && play.job().state != JobState::closed; ++i) {
        play.tick();
        second->tick();
    }
    EXPECT_EQ(play.job().state, JobState::closed);
    EXPECT_NE(play.why_ended().empty(), second->why_ended().empty());
}

TEST(holding, a_node_that_lags_for_a_block_stops_nobody) {
    Play play;
    while (play.job().tip == 0) play.tick();
    auto& endpoint = play.ledger->providers[account(7)].endpoint;
    const std::string own = endpoint;
    for (const char* seen :
         {"another", "another", own.c_str(), "another", "another", own.c_str()}) {
        endpoint = seen;
        play.tick();
    }
    EXPECT_EQ(play.why_ended(), "");
}

TEST(holding, an_account_that_is_registered_without_a_place_is_claimed) {
    Play play;
    play.ledger->providers[account(7)].registered = true;
    play.tick_provider();
    EXPECT_EQ(play.ledger->providers[account(7)].endpoint, "provider");
    EXPECT_TRUE(play.has_job());
}

}  // namespace
}  // namespace trainyard::test
