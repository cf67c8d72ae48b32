// SPDX-License-Identifier: Apache-2.0
// A provider stands by its segments: disputes before the referee, convictions and appeals.
#include <deque>

#include <gtest/gtest.h>

#include "play.hpp"
#include "training/numerics/philox.hpp"
#include "training/referee/game.hpp"
#include "training/tile_hash.hpp"

namespace trainyard::test {
namespace {

namespace referee = training::referee;
using node::provider::Background;
using wallet::SegmentState;

/// Disputes a segment and points anywhere.
class Outsider {
public:
    Outsider(Play& play, uint32_t seg, uint8_t number = 8)
        : play_(play), seg_(seg), market_(fake_market(play.ledger, account(number))) {}

    [[nodiscard]] bool dispute() {
        return market_->dispute(0, seg_, *market_->dispute_bond(0, seg_)).has_value();
    }
    [[nodiscard]] bool is_playing() const {
        return play_.segment(seg_).state == SegmentState::disputed;
    }
    [[nodiscard]] size_t moves() const { return market_->dispute_of(0, seg_)->moves; }
    /// A move if it is its turn.
    void tick() {
        const auto dispute = *market_->dispute_of(0, seg_);
        if (!is_playing() || !dispute.is_challengers) return;
        const Bytes encoded = *market_->dispute_state(0, seg_, dispute);
        const auto state = referee::decode_state(encoded);
        ASSERT_TRUE(state);
        const size_t below = state->claim.segment.steps + state->claim.micro_batches +
                             state->hashes.size() + state->numbers.size() +
                             (state->phase == referee::Phase::pick_element ? 1024 : 2);
        for (int i = 0; i < 10'000; ++i) {  // until something can be picked
            const uint32_t drawn = training::philox({++draws_, seg_, 0, 0}, 5, 6)[0];
            const Bytes pick = referee::move::pick(drawn % static_cast<uint32_t>(below));
            if (market_->play(0, seg_, encoded, pick)) return;
        }
        FAIL() << "nothing can be picked";
    }

private:
    Play& play_;
    uint32_t seg_;
    std::unique_ptr<wallet::MarketApi> market_;
    static inline uint32_t draws_ = 0;
};

/// Until the game is over.
void play_out(Play& play, Outsider& outsider, const std::function<void(int)>& meanwhile = {}) {
    for (int i = 0; i < 300 && outsider.is_playing(); ++i) {
        play.tick();
        outsider.tick();
        if (meanwhile) meanwhile(i);
    }
}

/// Seven of a committee, here all three validators, say of the first segment what is not so.
void convict(Play& play) {
    const auto outsider = fake_market(play.ledger, account(8));
    ASSERT_TRUE(outsider->challenge(0, 0, *outsider->challenge_bond(0, 0)));
    play.ledger->pass(play.ledger->seed_delay_blocks);
    ASSERT_TRUE(outsider->nudge(wallet::MarketApi::Nudge::open_audit, 0, 0));
    const auto segment = play.segment(0);
    const wallet::RevealedAnswer lie{wallet::Verdict::mismatch, {Hash{{7}}}, {}};
    const auto each = [&](const auto& act) {
        for (uint8_t v = 1; v <= 3; ++v) {
            const auto liar = fake_market(play.ledger, account(v));
            ASSERT_TRUE(act(*liar));
        }
    };
    each([&](wallet::MarketApi& liar) {
        return liar.commit_answer(
            0, 0,
            wallet::answer_commitment({Uint256(0), 0, segment.attempt, SegmentState::l1,
                                       segment.round, liar.self(), lie.verdict, lie.answers,
                                       lie.salt}));
    });
    each([&](wallet::MarketApi& liar) { return liar.reveal_answer(0, 0, lie); });
    ASSERT_EQ(play.segment(0).state, SegmentState::convicted);
}

/// The provider alone, as validators of this fixture would find that the segment is right.
void tick_provider(Play& play, int ticks) {
    for (int i = 0; i < ticks; ++i) play.tick_provider(), play.ledger->pass(1);
}

TEST(dispute, an_honest_provider_wins_whatever_is_pointed_at_and_is_paid) {
    Play play;
    play.ledger->window_blocks = 16;
    ASSERT_TRUE(play.run_until_accepted(0)) << last_lines(play.said);
    Outsider outsider(play, 0);
    size_t longest = 0;
    constexpr size_t kGames = 12;
    for (size_t game = 0; game < kGames; ++game) {
        ASSERT_TRUE(outsider.dispute());
        play_out(play, outsider, [&](int) { longest = std::max(longest, outsider.moves()); });
        ASSERT_EQ(play.segment(0).state, SegmentState::accepted) << play.told(Event::Kind::failed);
    }
    EXPECT_GT(longest, 10u);
    play.run(300);
    EXPECT_EQ(play.job().state, JobState::closed);
    EXPECT_EQ(play.job().final_segments, kSegments);
    EXPECT_EQ(play.count(Event::Kind::disputed), kGames);
    EXPECT_EQ(play.count(Event::Kind::won), kGames);
    EXPECT_GT(play.count(Event::Kind::moved), 3 * kGames);
    EXPECT_EQ(play.told(Event::Kind::failed), "");
}

TEST(dispute, a_game_goes_on_where_it_was_when_the_provider_is_started_again) {
    Play play;
    play.ledger->window_blocks = 16;
    ASSERT_TRUE(play.run_until_accepted(1)) << last_lines(play.said);
    Outsider outsider(play, 1);
    ASSERT_TRUE(outsider.dispute());
    play_out(play, outsider, [&](int i) {
        if (i % 3 == 2) play.restart_provider();
    });
    EXPECT_EQ(play.segment(1).state, SegmentState::accepted) << play.told(Event::Kind::failed);
    play.run(300);
    EXPECT_EQ(play.job().final_segments, kSegments);
}

TEST(dispute, a_node_that_is_away_and_moves_that_get_lost_do_not_lose_a_game) {
    Play play;
    play.ledger->window_blocks = 16;
    ASSERT_TRUE(play.run_until_accepted(0));
    Outsider outsider(play, 0);
    ASSERT_TRUE(outsider.dispute());
    play.ledger->moves_to_lose = 2;
    play_out(play, outsider, [&](int i) { play.ledger->is_away = i % 16 < 8; });
    play.ledger->is_away = false;
    EXPECT_EQ(play.segment(0).state, SegmentState::accepted);
    EXPECT_NE(play.told(Event::Kind::failed).find("cannot send a move in its dispute"),
              std::string::npos);
}

TEST(dispute, games_over_more_segments_than_witnesses_are_kept_are_won_all) {
    Play play;
    play.ledger->window_blocks = 400;
    ASSERT_TRUE(play.run_until_accepted(2)) << last_lines(play.said);
    std::deque<Outsider> outsiders;
    for (uint8_t seg = 0; seg < kSegments; ++seg) {
        outsiders.emplace_back(play, seg, static_cast<uint8_t>(20 + seg));
        ASSERT_TRUE(outsiders.back().dispute());
    }
    for (int i = 0; i < 300; ++i) {
        play.tick();
        for (Outsider& outsider : outsiders) outsider.tick();
        if (i == 10) play.restart_provider();
    }
    for (uint32_t seg = 0; seg < kSegments; ++seg)
        EXPECT_NE(play.segment(seg).state, SegmentState::disputed) << seg;
    EXPECT_EQ(play.count(Event::Kind::won), kSegments);
    EXPECT_FALSE(play.ledger->jobs[0].slashed) << play.told(Event::Kind::failed);
}

TEST(dispute, segments_of_a_job_that_was_lost_are_defended_too) {
    Play play;
    play.ledger->window_blocks = 16;
    ASSERT_TRUE(play.run_until_accepted(0));
    Outsider outsider(play, 0);
    ASSERT_TRUE(outsider.dispute());
    play.ledger->jobs[0].spec.provider = account(8);
    play.ledger->reopen(0);
    play_out(play, outsider, [&](int i) {
        if (i == 5) play.restart_provider();
    });
    EXPECT_EQ(play.segment(0).state, SegmentState::accepted) << play.told(Event::Kind::failed);
    for (int i = 0; i < 100 && play.has_job(); ++i) play.tick();
    EXPECT_GE(play.job().final_segments, 1u);
    EXPECT_FALSE(play.has_job());
}

TEST(dispute, a_state_that_is_damaged_or_gone_comes_from_the_node) {
    for (const bool is_gone : {false, true}) {
        Play play;
        play.ledger->window_blocks = 16;
        ASSERT_TRUE(play.run_until_accepted(1));
        const std::string state = play.job_file("state-1");
        std::filesystem::remove(state);
        if (!is_gone) {
            ASSERT_TRUE(wallet::write_file(state, Bytes(100, 1)));
        }
        Outsider outsider(play, 1);
        ASSERT_TRUE(outsider.dispute());
        play_out(play, outsider);
        EXPECT_EQ(play.segment(1).state, SegmentState::accepted) << play.told(Event::Kind::failed);
        EXPECT_NE(play.told(Event::Kind::failed).find("is lost"), std::string::npos);
    }
}

TEST(dispute, a_challenger_that_gives_up_is_timed_out_at_once) {
    Play play;
    play.ledger->window_blocks = 16;
    play.ledger->move_blocks = 30;
    ASSERT_TRUE(play.run_until_accepted(0));
    Outsider outsider(play, 0);
    ASSERT_TRUE(outsider.dispute());
    tick_provider(play, 6);
    ASSERT_EQ(outsider.moves(), 1u);
    const uint64_t deadline = play.segment(0).phase_deadline;
    while (outsider.is_playing()) tick_provider(play, 1);
    EXPECT_LE(play.ledger->block, deadline + 3);
    EXPECT_EQ(play.segment(0).state, SegmentState::accepted);
}

TEST(dispute, what_is_computed_for_a_game_holds_nothing_else_up) {
    Play play;
    std::deque<std::function<void()>> tasks;
    play.defence = [&](const std::function<void()>& task) { tasks.push_back(task); };
    play.ledger->window_blocks = 16;
    ASSERT_TRUE(play.run_until_accepted(0));
    Outsider outsider(play, 0);
    ASSERT_TRUE(outsider.dispute());
    EXPECT_TRUE(play.run_until_accepted(1)) << "while a move is being computed";
    EXPECT_EQ(tasks.size(), 1u) << "asked for once";
    EXPECT_EQ(outsider.moves(), 0u);
    play_out(play, outsider, [&](int) {
        for (; !tasks.empty(); tasks.pop_front()) tasks.front()();
    });
    EXPECT_EQ(play.segment(0).state, SegmentState::accepted) << play.told(Event::Kind::failed);
}

/// Cheats show nothing, since honest numbers do not lead to what they have committed.
TEST(dispute, a_cheat_loses_by_the_clock) {
    for (const bool changes_record : {false, true}) {
        Play play;
        play.ledger->window_blocks = 16;
        play.ledger->move_blocks = 30;
        if (!changes_record) play.fault = training::Fault::made_up_sums;
        play.restart_provider();
        ASSERT_TRUE(play.run_until_accepted(0)) << last_lines(play.said);
        if (changes_record) play.segment(0).steps_root = Hash{};
        Outsider outsider(play, 0);
        ASSERT_TRUE(outsider.dispute());
        play_out(play, outsider);
        EXPECT_NE(play.history().find("seg 0 void"), std::string::npos) << play.history();
        play.tick();
        EXPECT_NE(play.told(Event::Kind::failed).find("does not lead to what was committed"),
                  std::string::npos)
            << play.told(Event::Kind::failed);
        EXPECT_NE(play.told(Event::Kind::voided), "");
        EXPECT_EQ(play.count(Event::Kind::won) + play.count(Event::Kind::moved), 0u);
    }
}

TEST(appeal, an_honest_provider_that_liars_convict_is_acquitted_and_paid) {
    for (const bool restarts : {false, true}) {
        Play play;
        play.ledger->window_blocks = 16;
        ASSERT_TRUE(play.run_until_accepted(0));
        convict(play);
        tick_provider(play, 2);
        EXPECT_EQ(play.segment(0).state, SegmentState::appealed) << play.told(Event::Kind::failed);
        EXPECT_NE(play.told(Event::Kind::appealed).find("replaying it gives the same"),
                  std::string::npos);
        if (restarts) play.restart_provider();
        Outsider outsider(play, 0);
        ASSERT_TRUE(outsider.dispute());
        play_out(play, outsider);
        EXPECT_EQ(play.segment(0).state, SegmentState::appealed) << "for another window";
        play.run(400);
        EXPECT_EQ(play.job().state, JobState::closed);
        EXPECT_EQ(play.job().final_segments, kSegments);
        EXPECT_EQ(play.count(Event::Kind::acquitted), 1u);
        EXPECT_EQ(play.count(Event::Kind::won), 1u);
    }
}

TEST(appeal, a_cheat_does_not_appeal) {
    Play play;
    play.ledger->window_blocks = 16;
    play.fault = training::Fault::made_up_sums;
    play.restart_provider();
    ASSERT_TRUE(play.run_until_accepted(0));
    convict(play);
    tick_provider(play, 40);
    EXPECT_NE(play.history().find("seg 0 void"), std::string::npos) << play.history();
    EXPECT_EQ(play.count(Event::Kind::appealed), 0u);
    EXPECT_NE(play.told(Event::Kind::failed)
                  .find("replaying it gives another step and another state after it"),
              std::string::npos)
        << play.told(Event::Kind::failed);
}

TEST(appeal, money_that_is_missing_is_told_and_waited_for) {
    Play play;
    play.ledger->window_blocks = 40;
    ASSERT_TRUE(play.run_until_accepted(0));
    convict(play);
    play.ledger->balances[account(7)] = 1;
    tick_provider(play, 10);
    EXPECT_EQ(play.segment(0).state, SegmentState::convicted);
    const std::string told = play.told(Event::Kind::failed);
    EXPECT_NE(told.find("0.000000000000000001 coins missing"), std::string::npos) << told;
    EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << "once: " << told;
    play.ledger->balances[account(7)] = 2;
    tick_provider(play, 2);
    EXPECT_EQ(play.segment(0).state, SegmentState::appealed);
}

TEST(appeal, what_there_is_no_time_to_replay_is_appealed_in_the_last_blocks) {
    Play play;
    play.defence = [](const std::function<void()>&) {};
    play.ledger->window_blocks = 16;
    ASSERT_TRUE(play.run_until_accepted(0));
    convict(play);
    const uint64_t deadline = play.segment(0).phase_deadline;
    tick_provider(play, 8);
    EXPECT_EQ(play.segment(0).state, SegmentState::convicted) << "it may still be done";
    while (play.segment(0).state == SegmentState::convicted) tick_provider(play, 1);
    EXPECT_EQ(play.segment(0).state, SegmentState::appealed);
    EXPECT_LE(play.ledger->block, deadline);
}

}  // namespace
}  // namespace trainyard::test
