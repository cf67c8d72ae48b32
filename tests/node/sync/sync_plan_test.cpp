// SPDX-License-Identifier: Apache-2.0
// Who is asked for which blocks when catching up.
#include "node/sync/sync_plan.hpp"

#include <gmock/gmock.h>

namespace trainyard::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

PublicKey peer(uint8_t n) {
    PublicKey id;
    id[0] = n;
    return id;
}
RangeAsk ask(uint8_t n, uint64_t from, uint32_t count) {
    return {peer(n), Height{from}, count};
}
std::vector<p2p::FinalisedBlock> blocks(uint32_t n) {
    return std::vector<p2p::FinalisedBlock>(n);
}

class sync_plan : public ::testing::Test {
protected:
    uint64_t now_ = 1000;
    SyncLimits limits_{.range_blocks = 10, .ranges_ahead = 3, .in_flight_per_peer = 2};
    SyncPlan plan_{limits_, Height{100}};
};

TEST_F(sync_plan, asks_ranges_from_those_who_have_them_and_hands_them_out_in_order) {
    plan_.on_status(peer(1), Height{125});
    plan_.on_status(peer(2), Height{110});
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10), ask(1, 111, 10)));
    EXPECT_THAT(plan_.next(now_), IsEmpty());  // 121 to 125 must wait for peer 1
    plan_.on_blocks(ask(1, 111, 10), blocks(10), now_);
    EXPECT_FALSE(plan_.take_ready());  // 101 is missing
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 121, 5)));
    plan_.on_blocks(ask(1, 101, 10), blocks(10), now_);
    const auto first = plan_.take_ready();
    ASSERT_TRUE(first);
    EXPECT_EQ(first->from, Height{101});
    EXPECT_FALSE(plan_.take_ready());  // one at a time
    plan_.on_applied(*first, Height{110}, now_);
    const auto second = plan_.take_ready();
    ASSERT_TRUE(second);
    EXPECT_EQ(second->from, Height{111});
    plan_.on_applied(*second, Height{120}, now_);
    plan_.on_blocks(ask(1, 121, 5), blocks(5), now_);
    const auto third = plan_.take_ready();
    ASSERT_TRUE(third);
    plan_.on_applied(*third, Height{125}, now_);
    EXPECT_THAT(plan_.next(now_), IsEmpty());
    EXPECT_FALSE(plan_.is_catching_up());
}

TEST_F(sync_plan, asks_no_more_for_blocks_that_are_being_applied) {
    plan_.on_status(peer(1), Height{105});
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 5)));
    plan_.on_blocks(ask(1, 101, 5), blocks(5), now_);
    const auto batch = plan_.take_ready();
    ASSERT_TRUE(batch);
    EXPECT_THAT(plan_.next(now_), IsEmpty()) << "nothing waits, and yet they are taken";
    plan_.on_status(peer(1), Height{109});
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 106, 4)));
    plan_.on_applied(*batch, Height{105}, now_);
    plan_.on_blocks(ask(1, 106, 4), blocks(4), now_);
    EXPECT_EQ(plan_.take_ready()->from, Height{106});
}

TEST_F(sync_plan, small_lag_is_left_to_consensus_until_it_lasts) {
    plan_.on_status(peer(1), Height{102});
    EXPECT_THAT(plan_.next(now_), IsEmpty());
    now_ += limits_.lag_ms;
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 2)));
}

TEST_F(sync_plan, own_progress_resets_the_wait) {
    plan_.on_status(peer(1), Height{102});
    EXPECT_THAT(plan_.next(now_), IsEmpty());
    now_ += limits_.lag_ms - 1;
    plan_.on_own_height(Height{101}, now_);
    now_ += limits_.lag_ms - 1;
    EXPECT_THAT(plan_.next(now_), IsEmpty());
    now_ += 1;
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 102, 1)));
}

TEST_F(sync_plan, wanted_height_starts_at_once_even_if_it_is_known_later) {
    plan_.want(Height{101});
    EXPECT_THAT(plan_.next(now_), IsEmpty());
    plan_.on_status(peer(1), Height{101});
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 1)));
}

TEST_F(sync_plan, short_answer_leaves_the_rest_to_be_asked) {
    plan_.on_status(peer(1), Height{110});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10)));
    plan_.on_blocks(ask(1, 101, 10), blocks(4), now_);
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 105, 6)));
    const auto batch = plan_.take_ready();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->blocks.size(), 4u);
}

TEST_F(sync_plan, longer_answer_than_asked_for_is_cut) {
    plan_.on_status(peer(1), Height{110});
    (void)plan_.next(now_);
    plan_.on_blocks(ask(1, 101, 10), blocks(30), now_);
    EXPECT_EQ(plan_.take_ready()->blocks.size(), 10u);
}

TEST_F(sync_plan, empty_answer_lowers_belief_in_the_peer) {
    plan_.on_status(peer(1), Height{1'000'000});
    plan_.on_status(peer(2), Height{105});
    // Nobody but the boaster has all of 101 to 110.
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10), ask(1, 111, 10)));
    plan_.on_blocks(ask(1, 101, 10), {}, now_);
    EXPECT_EQ(plan_.best_known(), Height{105});
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(2, 101, 10)));  // the first half of it
}

TEST_F(sync_plan, a_claim_shows_nothing_until_its_peer_has_given_final_blocks) {
    plan_.on_status(peer(1), Height{1'000'000});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10), ask(1, 111, 10)));
    EXPECT_EQ(plan_.best_known(), Height{1'000'000});
    EXPECT_EQ(plan_.best_shown(), Height{100});
    plan_.on_blocks(ask(1, 101, 10), blocks(10), now_);
    auto batch = plan_.take_ready();
    plan_.on_applied(*batch, Height{100}, now_);  // they wait for a certificate
    EXPECT_EQ(plan_.best_shown(), Height{100});
    plan_.on_blocks(ask(1, 111, 10), blocks(10), now_);
    batch = plan_.take_ready();
    ASSERT_TRUE(batch);
    plan_.on_applied(*batch, Height{120}, now_);
    EXPECT_EQ(plan_.best_shown(), Height{1'000'000});
}

TEST_F(sync_plan, a_peer_that_fails_has_shown_nothing_any_more) {
    plan_.on_status(peer(1), Height{115});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10), ask(1, 111, 5)));
    plan_.on_blocks(ask(1, 101, 10), blocks(10), now_);
    plan_.on_applied(*plan_.take_ready(), Height{110}, now_);
    EXPECT_EQ(plan_.best_shown(), Height{115});
    plan_.on_failed(ask(1, 111, 5), now_);
    EXPECT_EQ(plan_.best_shown(), Height{110});
    plan_.want(Height{112});  // consensus saw a certificate
    EXPECT_EQ(plan_.best_shown(), Height{112});
}

TEST_F(sync_plan, failed_range_is_asked_elsewhere_and_the_peer_rests) {
    plan_.on_status(peer(1), Height{105});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 5)));
    plan_.on_failed(ask(1, 101, 5), now_);
    EXPECT_THAT(plan_.next(now_), IsEmpty());
    plan_.on_status(peer(2), Height{105});
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(2, 101, 5)));
    plan_.on_failed(ask(2, 101, 5), now_);
    now_ += limits_.pause_ms;
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 5)));
}

TEST_F(sync_plan, peer_that_left_is_forgotten_after_its_last_answer) {
    plan_.on_status(peer(1), Height{105});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 5)));
    plan_.on_peer_down(peer(1));
    EXPECT_EQ(plan_.best_known(), Height{100});
    plan_.on_failed(ask(1, 101, 5), now_);
    EXPECT_THAT(plan_.next(now_), IsEmpty());
}

TEST_F(sync_plan, rejected_batch_starts_again_at_our_height_with_another_peer) {
    plan_.on_status(peer(1), Height{120});
    plan_.on_status(peer(2), Height{120});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10), ask(2, 111, 10)));
    plan_.on_blocks(ask(1, 101, 10), blocks(10), now_);
    const auto batch = plan_.take_ready();
    ASSERT_TRUE(batch);
    plan_.on_rejected(*batch, Height{103}, now_);
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(2, 104, 10)));
    plan_.on_blocks(ask(2, 111, 10), blocks(10), now_);  // late, of the plan that was dropped
    EXPECT_FALSE(plan_.take_ready());
}

TEST_F(sync_plan, asks_what_follows_unproven_blocks_from_their_giver_alone) {
    plan_.on_status(peer(1), Height{130});
    plan_.on_status(peer(2), Height{130});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10), ask(2, 111, 10), ask(1, 121, 10)));
    plan_.on_blocks(ask(1, 101, 10), blocks(10), now_);
    plan_.on_blocks(ask(2, 111, 10), blocks(10), now_);
    const auto batch = plan_.take_ready();
    ASSERT_TRUE(batch);
    plan_.on_applied(*batch, Height{108}, now_);  // 109 and 110 wait
    EXPECT_FALSE(plan_.take_ready()) << "who knows which of the two lies";
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 111, 10)));
    plan_.on_blocks(ask(1, 111, 10), blocks(10), now_);
    const auto second = plan_.take_ready();
    ASSERT_TRUE(second);
    EXPECT_EQ(second->peer, peer(1));
    plan_.on_applied(*second, Height{120}, now_);
    plan_.on_blocks(ask(1, 121, 10), blocks(10), now_);
    EXPECT_TRUE(plan_.take_ready());
}

TEST_F(sync_plan, unproven_blocks_whose_giver_has_no_more_are_dropped) {
    plan_.on_status(peer(1), Height{110});
    plan_.on_status(peer(2), Height{105});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10)));
    plan_.on_blocks(ask(1, 101, 10), blocks(10), now_);
    plan_.on_applied(*plan_.take_ready(), Height{100}, now_);
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(2, 101, 10)));
    EXPECT_TRUE(plan_.is_catching_up());
}

TEST_F(sync_plan, unproven_blocks_that_consensus_made_final_bind_nobody) {
    plan_.on_status(peer(1), Height{120});
    plan_.on_status(peer(2), Height{120});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10), ask(2, 111, 10)));
    plan_.on_blocks(ask(1, 101, 10), blocks(10), now_);
    plan_.on_applied(*plan_.take_ready(), Height{108}, now_);
    plan_.on_own_height(Height{110}, now_);
    plan_.on_blocks(ask(2, 111, 10), blocks(10), now_);
    EXPECT_THAT(plan_.next(now_), IsEmpty());
    EXPECT_EQ(plan_.take_ready()->peer, peer(2));
}

TEST_F(sync_plan, consensus_overtaking_drops_what_is_below_it) {
    plan_.on_status(peer(1), Height{110});
    ASSERT_THAT(plan_.next(now_), ElementsAre(ask(1, 101, 10)));
    plan_.on_own_height(Height{104}, now_);
    plan_.on_blocks(ask(1, 101, 10), blocks(10), now_);
    EXPECT_FALSE(plan_.take_ready());
    EXPECT_THAT(plan_.next(now_), ElementsAre(ask(1, 105, 6)));
}

}  // namespace
}  // namespace trainyard::sync
