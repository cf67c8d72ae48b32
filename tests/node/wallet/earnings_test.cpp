// SPDX-License-Identifier: Apache-2.0
// Pay and losses of a provider, folded from the events of a job.
#include "node/wallet/earnings.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::wallet {
namespace {

Address account(uint8_t number) {
    Address out;
    out.bytes.fill(number);
    return out;
}
const Address kMe = account(1), kOther = account(2);
const JobTerms kTerms{Uint256(100), Uint256(300), 5, Uint256(7)};

Bytes words(std::initializer_list<uint64_t> numbers) {
    Bytes out;
    for (const auto number : numbers) {
        const auto word = to_hash(Uint256(number));
        out.insert(out.end(), word.begin(), word.end());
    }
    return out;
}

/// The events of job 7, one a block from block 100 on.
class Story {
public:
    Story& committed(uint32_t seg, const Address& by) {
        return add("SegmentCommitted", seg, by, Bytes(96));
    }
    Story& diverged(uint32_t seg, const Address& by, uint64_t step) {
        return committed(seg, by).add("SegmentDiverged", seg, by, words({step}));
    }
    Story& paid(uint32_t seg, uint64_t wei) {
        return add("SegmentFinal", seg, {}, words({wei, 3}));
    }
    Story& annulled(uint32_t seg, const Address& by, uint64_t slashed) {
        return add("SegmentVoid", seg, by, words({slashed}));
    }
    Story& fined(const Address& who, uint64_t wei) {
        return add("ProviderFined", {}, who, words({wei}));
    }
    Story& add(const std::string& name, std::optional<uint32_t> seg, std::optional<Address> who,
               Bytes data) {
        events_.push_back({name, 7, seg, who, std::move(data), 100 + events_.size(), {}});
        return *this;
    }
    Earnings told() const {
        Earnings out;
        add_job(out, kMe, events_, kTerms);
        return out;
    }

private:
    std::vector<MarketEvent> events_;
};

EarnedSegment segment(uint32_t seg, SegmentState state, uint64_t wei, uint64_t block) {
    return {7, seg, state, Uint256(wei), block, 0, {}};
}

Booking booking(std::optional<uint32_t> seg, BookingKind kind, uint64_t wei, uint64_t block) {
    return {7, seg, kind, Uint256(wei), block, 0, {}};
}

TEST(earnings, final_segments_are_what_was_paid_and_others_wait) {
    const auto told =
        Story().committed(0, kMe).committed(1, kMe).paid(0, 96).committed(2, kMe).told();
    EXPECT_EQ(told.segments, (std::vector{segment(0, SegmentState::final_, 96, 102),
                                          segment(1, SegmentState::committed, 97, 101),
                                          segment(2, SegmentState::committed, 97, 103)}));
    EXPECT_TRUE(told.bookings.empty());
}

TEST(earnings, a_segment_that_diverges_will_be_paid_by_its_steps) {
    const auto told = Story().committed(0, kMe).diverged(1, kMe, 2).told();
    EXPECT_EQ(told.segments,
              (std::vector{segment(0, SegmentState::committed, 97, 100),
                           segment(1, SegmentState::committed, 39, 101)}));  // 40 without 3 %
    const auto later = Story().diverged(0, kMe, 2).annulled(0, kMe, 0).committed(0, kMe).told();
    EXPECT_EQ(later.segments, (std::vector{segment(0, SegmentState::void_, 0, 102),
                                           segment(0, SegmentState::committed, 97, 103)}));
    const auto nonsense =
        Story().committed(0, kMe).add("SegmentDiverged", 0, kMe, words({1000})).told();
    EXPECT_EQ(nonsense.segments, (std::vector{segment(0, SegmentState::committed, 97, 100)}));
}

TEST(earnings, a_segment_is_paid_to_who_committed_it_last) {
    const auto mine =
        Story().committed(0, kOther).annulled(0, kOther, 50).committed(0, kMe).paid(0, 97).told();
    EXPECT_EQ(mine.segments, (std::vector{segment(0, SegmentState::final_, 97, 103)}));
    EXPECT_TRUE(mine.bookings.empty());  // of another
    const auto his =
        Story().committed(0, kMe).annulled(0, kMe, 0).committed(0, kOther).paid(0, 97).told();
    EXPECT_EQ(his.segments, (std::vector{segment(0, SegmentState::void_, 0, 101)}));
    EXPECT_TRUE(his.bookings.empty());  // void without a slash
}

TEST(earnings, a_void_segment_takes_all_later_ones_with_it) {
    const auto told = Story()
                          .committed(0, kMe)
                          .committed(1, kMe)
                          .committed(2, kMe)
                          .annulled(1, kMe, 0)
                          .paid(0, 97)
                          .told();
    EXPECT_EQ(told.segments, (std::vector{segment(0, SegmentState::final_, 97, 104),
                                          segment(1, SegmentState::void_, 0, 103),
                                          segment(2, SegmentState::void_, 0, 103)}));
}

TEST(earnings, after_a_slash_other_segments_of_the_job_are_worth_nothing) {
    const auto told = Story().committed(0, kMe).committed(1, kMe).annulled(1, kMe, 240).told();
    EXPECT_EQ(told.segments, (std::vector{segment(0, SegmentState::committed, 0, 100),
                                          segment(1, SegmentState::void_, 0, 102)}));
    EXPECT_EQ(told.bookings, (std::vector{booking(1, BookingKind::slash, 240, 102)}));
}

TEST(earnings, fines_count_for_who_pays_them) {
    const auto told = Story().fined(kOther, 9).fined(kMe, 5).told();
    EXPECT_EQ(told.bookings, (std::vector{booking({}, BookingKind::fine, 5, 101)}));
    EXPECT_TRUE(told.segments.empty());
}

TEST(earnings, what_a_foreign_node_sends_does_no_harm) {
    const auto told = Story()
                          .add("SegmentFinal", 3, {}, words({97, 3}))  // nobody committed it
                          .committed(0, kMe)
                          .add("SegmentFinal", 0, {}, Bytes(31))  // too short
                          .committed(1, kMe)
                          .add("SegmentVoid", 2, kMe, {})
                          .add("ProviderFined", {}, kMe, {})
                          .add("AuditorFined", 1, kOther, words({9, 1 << 20}))
                          .add("ChallengeSettled", 1, kOther, {})
                          .add("DisputeSettled", 1, kOther, {})
                          .add("AppealSettled", 1, kMe, words({1}))
                          .add("SegmentAccepted", 1, {}, {})
                          .told();
    EXPECT_EQ(told.segments, (std::vector{segment(0, SegmentState::final_, 0, 102),
                                          segment(1, SegmentState::committed, 97, 103)}));
    EXPECT_TRUE(told.bookings.empty());
}

TEST(earnings, block_at_finds_the_first_block_of_a_time) {
    size_t asked = 0;
    // Blocks 0 to 1000, two seconds each from 5000 on; below 300 they are deleted.
    const auto time_of = [&](uint64_t number) -> Answer<std::optional<uint64_t>> {
        ++asked;
        return number < 300 ? std::optional<uint64_t>{} : std::optional(5'000 + 2 * number);
    };
    EXPECT_EQ(*block_at(6'000, 1'000, time_of), 500u);
    EXPECT_EQ(*block_at(6'001, 1'000, time_of), 501u);
    EXPECT_LE(asked, 22u);
    EXPECT_EQ(*block_at(0, 1'000, time_of), 300u);  // the oldest that is there
    EXPECT_EQ(*block_at(99'999, 1'000, time_of), 1'000u);
    EXPECT_EQ(*block_at(0, 0, time_of), 0u);
    const auto fails = [](uint64_t) -> Answer<std::optional<uint64_t>> {
        return unexpected(WalletError{WalletErrorCode::unreachable, "gone"});
    };
    EXPECT_EQ(block_at(1, 9, fails).error().text, "gone");
}

}  // namespace
}  // namespace trainyard::node::wallet
