// SPDX-License-Identifier: Apache-2.0
// What comes between a provider and its work: others, lost answers, an empty account.
#include "play.hpp"

namespace trainyard::test {
namespace {

TEST(taking, a_job_that_went_to_a_faster_provider_is_told_as_that) {
    Play play;
    const auto rival = fake_market(play.ledger, account(8));
    play.ledger->before_take = [&] { ASSERT_TRUE(rival->take(0)); };
    for (int i = 0; i < 20; ++i) play.tick_provider();
    EXPECT_EQ(play.told(Event::Kind::outrun), to_hex0x(account(8).bytes) + "\n");
    EXPECT_EQ(play.told(Event::Kind::skipped), "");
    EXPECT_EQ(play.told(Event::Kind::failed), "");
    EXPECT_FALSE(play.has_job());
}

TEST(taking, a_provider_that_was_outrun_goes_on_to_the_next_job) {
    Play play;
    play.ledger->post(play.ledger->jobs[0].spec, account(9));
    const auto rival = fake_market(play.ledger, account(8));
    play.ledger->before_take = [&] { ASSERT_TRUE(rival->take(0)); };
    play.tick_provider();
    EXPECT_EQ(play.count(Event::Kind::outrun), 1u);
    EXPECT_EQ(play.ledger->jobs[1].job.provider, account(7));
}

TEST(taking, a_job_that_its_client_withdrew_meanwhile_was_not_lost_to_anybody) {
    Play play;
    const auto rival = fake_market(play.ledger, account(8));
    play.ledger->before_take = [&] { ASSERT_TRUE(rival->cancel(0)); };
    play.tick_provider();
    EXPECT_EQ(play.count(Event::Kind::outrun), 0u);
    EXPECT_NE(play.told(Event::Kind::skipped).find("it cannot be taken"), std::string::npos);
}

TEST(taking, an_account_without_coins_is_told_at_the_start_what_to_send_where) {
    Play play;
    play.ledger->gas_price = Uint256(1'000'000'000);
    play.ledger->balances[account(7)] = 0;
    for (int i = 0; i < 30; ++i) {
        play.tick_provider();
        play.ledger->pass(1);
    }
    const std::string who = to_hex0x(account(7).bytes);
    EXPECT_EQ(play.told(Event::Kind::unfunded),
              who +
                  " has 0 coins and needs 0.008000000000000001: 0.000000000000000001 to stake and "
                  "0.008 for gas; send 0.009 more to that address; until then no job is taken\n");
    EXPECT_EQ(play.told(Event::Kind::skipped), "") << "no job is to blame";
    EXPECT_EQ(play.ledger->calls, 0u);
    play.ledger->balances[account(7)] = 1'000'000'000'000'000'000;
    for (int i = 0; i < 9; ++i) play.tick();
    EXPECT_NE(play.told(Event::Kind::note).find(" has enough now"), std::string::npos);
    EXPECT_EQ(play.job().provider, account(7));
}

TEST(taking, a_bond_that_the_account_cannot_stake_is_told_with_what_is_missing) {
    Play play;
    play.ledger->balances[account(7)] = 5;  // one to begin, eight for the bond
    play.tick_provider();
    EXPECT_EQ(play.told(Event::Kind::unfunded), "");
    EXPECT_NE(play.told(Event::Kind::skipped)
                  .find("has 0.000000000000000005 coins and needs 0.000000000000000008: "
                        "0.000000000000000008 to stake and 0 for gas"),
              std::string::npos)
        << play.told(Event::Kind::skipped);
    EXPECT_EQ(play.ledger->calls, 0u);
}

/// It is fined for a job that nobody trains.
TEST(taking, a_job_whose_taking_was_not_answered_is_trained_and_no_other_one_taken) {
    Play play;
    play.ledger->post(play.ledger->jobs[0].spec, account(9));
    play.ledger->loses_take = true;
    play.tick_provider();
    EXPECT_EQ(play.ledger->jobs[1].job.state, JobState::open);
    EXPECT_EQ(play.told(Event::Kind::skipped), "");
    play.run(300);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
}

TEST(taking, a_job_whose_taking_was_not_answered_waits_for_a_node_that_is_away) {
    Play play;
    play.ledger->post(play.ledger->jobs[0].spec, account(9));
    play.ledger->loses_take = true;
    play.ledger->after_take = [&] { play.ledger->is_away = true; };
    play.tick_provider();
    ASSERT_EQ(play.job().provider, account(7));
    for (int i = 0; i < 20; ++i) play.tick_provider();
    EXPECT_FALSE(play.has_job());
    play.ledger->is_away = false;
    play.tick_provider();
    EXPECT_TRUE(play.has_job());
    EXPECT_EQ(play.ledger->jobs[1].job.state, JobState::open);
    play.run(300);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
}

/// Its absence costs the bond.
TEST(taking, program_and_data_are_kept_also_where_the_process_ended_behind_the_taking) {
    Play play;
    const auto& spec = play.ledger->jobs[0].spec;
    play.ledger->owners[spec.data] = {account(9)};  // as long as the client likes
    ASSERT_TRUE(fake_market(play.ledger, account(7))->take(0));
    play.restart_provider();
    play.tick_provider();
    EXPECT_TRUE(play.has_job());
    EXPECT_TRUE(play.ledger->owners[spec.data].contains(account(7)));
}

/// A state has gigabytes, and ticks come many times a second.
TEST(committing, what_fails_is_tried_once_a_block_told_once_and_not_uploaded_again) {
    Play play;
    play.tick_provider();
    ASSERT_TRUE(play.has_job());
    play.ledger->refuses_commits = true;
    const size_t uploads = play.ledger->uploads, calls = play.ledger->calls;
    constexpr size_t kBlocks = 3;
    for (size_t block = 0; block < kBlocks; ++block) {
        for (int i = 0; i < 10; ++i) play.tick_provider();
        play.ledger->pass(1);
    }
    EXPECT_EQ(play.ledger->calls - calls, kBlocks);
    EXPECT_EQ(play.ledger->uploads - uploads, 1u);
    const std::string told = play.told(Event::Kind::note), line = "cannot commit segment 0";
    const size_t first = told.find(line);
    ASSERT_NE(first, std::string::npos) << told;
    EXPECT_EQ(told.find(line, first + 1), std::string::npos) << told;
    play.ledger->refuses_commits = false;
    play.run(300);
    EXPECT_EQ(play.job().state, JobState::closed);
    EXPECT_EQ(play.count(Event::Kind::committed), kSegments);
}

}  // namespace
}  // namespace trainyard::test
