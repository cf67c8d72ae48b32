// SPDX-License-Identifier: Apache-2.0
// Who is asked for what when a blob is fetched.
#include "node/blobs/fetch_plan.hpp"

#include <gmock/gmock.h>

namespace trainyard::blobs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

PublicKey peer(uint8_t n) {
    PublicKey id;
    id[0] = n;
    return id;
}
Ask have(uint8_t n) {
    return {Ask::What::have, peer(n)};
}
Ask manifest(uint8_t n) {
    return {Ask::What::manifest, peer(n)};
}
Ask chunk(uint8_t n, uint64_t index) {
    return {Ask::What::chunk, peer(n), index};
}

class fetch_plan : public ::testing::Test {
protected:
    // Brings the plan to where the listed peers have the blob of `chunks` chunks.
    void begin(std::vector<uint8_t> sources, uint64_t chunks) {
        for (const uint8_t n : sources) connected_.push_back(peer(n));
        (void)next();
        for (const uint8_t n : sources) plan_.on_have(peer(n), true, now_);
        const auto asks = next();
        ASSERT_THAT(asks, ElementsAre(manifest(sources[0])));
        plan_.on_manifest(peer(sources[0]), Outcome::good, chunks, now_);
    }
    std::vector<Ask> next() { return plan_.next(connected_, now_); }

    uint64_t now_ = 1000;
    FetchLimits limits_{.in_flight_per_peer = 2, .in_flight_max = 3};
    FetchPlan plan_{limits_, now_};
    std::vector<PublicKey> connected_;
};

TEST_F(fetch_plan, forgets_who_has_left_and_owes_nothing) {
    begin({1}, 4);
    for (uint8_t n = 2; n < 200; ++n) {
        connected_ = {peer(1), peer(n)};
        (void)next();
        plan_.on_have(peer(n), false, now_);
    }
    (void)next();
    EXPECT_LE(plan_.peers_known(), 3U);
    connected_ = {};
    (void)next(), (void)next();
    EXPECT_EQ(plan_.peers_known(), 1U) << "chunks are asked for";
}

TEST_F(fetch_plan, asks_everybody_then_one_source_then_all_sources) {
    connected_ = {peer(1), peer(2), peer(3)};
    EXPECT_THAT(next(), ElementsAre(have(1), have(2), have(3)));
    EXPECT_THAT(next(), IsEmpty());
    plan_.on_have(peer(1), false, now_);
    plan_.on_have(peer(2), true, now_);
    EXPECT_THAT(next(), ElementsAre(manifest(2)));
    plan_.on_have(peer(3), true, now_);
    EXPECT_THAT(next(), IsEmpty());  // one manifest at a time
    plan_.on_manifest(peer(2), Outcome::good, 4, now_);
    EXPECT_THAT(next(), ElementsAre(chunk(2, 0), chunk(3, 1), chunk(2, 2)));  // three in flight
    plan_.on_chunk(peer(2), 0, Outcome::good, now_);
    EXPECT_THAT(next(), ElementsAre(chunk(2, 3)));
    plan_.on_chunk(peer(3), 1, Outcome::good, now_);
    plan_.on_chunk(peer(2), 3, Outcome::good, now_);
    EXPECT_FALSE(plan_.is_complete());
    plan_.on_chunk(peer(2), 2, Outcome::good, now_);
    EXPECT_TRUE(plan_.is_complete());
    EXPECT_EQ(plan_.chunks_done(), 4u);
}

TEST_F(fetch_plan, empty_blob_is_complete_with_its_manifest) {
    begin({1}, 0);
    EXPECT_TRUE(plan_.is_complete());
    EXPECT_THAT(next(), IsEmpty());
}

TEST_F(fetch_plan, wrong_chunk_goes_to_another_peer_and_its_sender_is_left_alone) {
    begin({1, 2}, 1);
    EXPECT_THAT(next(), ElementsAre(chunk(1, 0)));
    plan_.on_chunk(peer(1), 0, Outcome::wrong, now_);
    EXPECT_THAT(next(), ElementsAre(chunk(2, 0)));
    plan_.on_chunk(peer(2), 0, Outcome::lost, now_);
    EXPECT_THAT(next(), ElementsAre(chunk(2, 0)));
}

TEST_F(fetch_plan, wrong_manifest_is_asked_elsewhere) {
    connected_ = {peer(1), peer(2)};
    (void)next();
    plan_.on_have(peer(1), true, now_);
    plan_.on_have(peer(2), true, now_);
    EXPECT_THAT(next(), ElementsAre(manifest(1)));
    plan_.on_manifest(peer(1), Outcome::wrong, 0, now_);
    EXPECT_THAT(next(), ElementsAre(manifest(2)));
}

TEST_F(fetch_plan, three_losses_in_a_row_end_a_source) {
    begin({1}, 1);
    for (int i = 0; i < 3; ++i) {
        ASSERT_THAT(next(), ElementsAre(chunk(1, 0))) << i;
        plan_.on_chunk(peer(1), 0, Outcome::lost, now_);
    }
    EXPECT_THAT(next(), IsEmpty());
}

TEST_F(fetch_plan, slow_sources_are_asked_last_and_for_one_chunk_at_a_time) {
    begin({1, 2}, 9);
    ASSERT_THAT(next(), ElementsAre(chunk(1, 0), chunk(2, 1), chunk(1, 2)));
    now_ += 100;
    plan_.on_chunk(peer(2), 1, Outcome::good, now_);
    now_ += limits_.slow_ms;
    plan_.on_chunk(peer(1), 0, Outcome::good, now_);
    plan_.on_chunk(peer(1), 2, Outcome::good, now_);
    EXPECT_THAT(next(), ElementsAre(chunk(2, 3), chunk(2, 4), chunk(1, 5)));
    now_ += 100;
    for (const uint64_t n : {3, 4}) plan_.on_chunk(peer(2), n, Outcome::good, now_);
    plan_.on_chunk(peer(1), 5, Outcome::good, now_);
    EXPECT_THAT(next(), ElementsAre(chunk(1, 6), chunk(2, 7), chunk(1, 8))) << "no longer slow";
}

TEST_F(fetch_plan, a_slow_source_has_one_question_though_nobody_else_is_there) {
    begin({1}, 4);
    ASSERT_THAT(next(), ElementsAre(chunk(1, 0), chunk(1, 1)));
    now_ += limits_.slow_ms + 1;
    for (const uint64_t n : {0, 1}) plan_.on_chunk(peer(1), n, Outcome::good, now_);
    EXPECT_THAT(next(), ElementsAre(chunk(1, 2)));
}

TEST_F(fetch_plan, throttling_peer_gets_its_pause) {
    begin({1}, 1);
    ASSERT_THAT(next(), ElementsAre(chunk(1, 0)));
    plan_.on_chunk(peer(1), 0, Outcome::throttled, now_);
    EXPECT_THAT(next(), IsEmpty());
    now_ += limits_.throttle_ms;
    EXPECT_THAT(next(), ElementsAre(chunk(1, 0)));
}

TEST_F(fetch_plan, who_had_nothing_is_asked_again_later) {
    connected_ = {peer(1)};
    (void)next();
    plan_.on_have(peer(1), std::nullopt, now_);
    now_ += limits_.reask_ms - 1;
    EXPECT_THAT(next(), IsEmpty());
    now_ += 1;
    EXPECT_THAT(next(), ElementsAre(have(1)));
}

TEST_F(fetch_plan, peer_that_went_away_is_not_asked_and_its_return_starts_anew) {
    begin({1, 2}, 2);
    EXPECT_THAT(next(), ElementsAre(chunk(1, 0), chunk(2, 1)));
    connected_ = {peer(2)};
    plan_.on_chunk(peer(1), 0, Outcome::lost, now_);
    EXPECT_THAT(next(), ElementsAre(chunk(2, 0)));
    EXPECT_THAT(next(), IsEmpty());
    connected_ = {peer(1), peer(2)};
    EXPECT_THAT(next(), ElementsAre(have(1)));
}

TEST_F(fetch_plan, stalls_only_without_progress) {
    begin({1}, 2);
    now_ += limits_.no_progress_ms;
    EXPECT_FALSE(plan_.has_stalled(now_));
    EXPECT_TRUE(plan_.has_stalled(now_ + 1));
    (void)next();
    plan_.on_chunk(peer(1), 0, Outcome::good, now_);
    EXPECT_FALSE(plan_.has_stalled(now_ + 1));
}

}  // namespace
}  // namespace trainyard::blobs
