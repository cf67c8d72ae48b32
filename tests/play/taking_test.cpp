// SPDX-License-Identifier: Apache-2.0
// What comes between a provider and a job that it wants: others, lost answers, an empty account.
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

}  // namespace
}  // namespace trainyard::test
