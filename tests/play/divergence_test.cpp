// SPDX-License-Identifier: Apache-2.0
// Jobs whose training ends in Inf or NaN: whoever trains one claims that and is paid, whoever only
// says so is found out.
#include "play.hpp"

namespace trainyard::test {
namespace {

/// The segment, and its step from 1, that a plain run of the whole job ends in.
std::pair<uint32_t, uint32_t> where_it_diverges(const Play& play) {
    const auto& job = play.ledger->jobs[0];
    const auto program = *training::decode_program(play.ledger->blobs.at(job.spec.program));
    const Bytes& data = play.ledger->blobs.at(job.spec.data);
    const auto backend = training::make_cpu_backend({});
    auto engine = training::Engine::make(program, *backend, data);
    auto state = training::make_initial_state(program, job.job.run_seed, data);
    while (training::run_step(*engine, state, data)) {
    }
    const auto t = static_cast<uint32_t>(state.step);
    EXPECT_GE(t, kSteps) << "the first segment has an end";
    EXPECT_LT(t, kSegments * kSteps);
    return {t / kSteps, t % kSteps + 1};
}

std::string joined(const std::vector<std::string>& lines) {
    std::string out;
    for (const auto& line : lines) out += line + "; ";
    return out;
}
std::string accepted_up_to(uint32_t last) {
    std::string out;
    for (uint32_t seg = 0; seg <= last; ++seg) out += "seg " + std::to_string(seg) + " accepted; ";
    return out;
}

TEST(divergence, a_run_that_diverges_is_claimed_accepted_and_ends_the_job) {
    for (const bool restarts : {false, true}) {
        Play play(Play::Run::diverging);
        const auto [seg, step] = where_it_diverges(play);
        for (int i = 0; i < 300 && play.job().state != JobState::closed; ++i) {
            play.tick();
            if (restarts && i % 3 == 2) play.restart_provider();
        }
        ASSERT_EQ(play.job().state, JobState::closed)
            << play.history() << play.told(Event::Kind::note) << last_lines(play.said);
        auto history = play.ledger->jobs[0].history;
        std::sort(history.begin(), history.end());  // a pair is done before auditors are
        EXPECT_EQ(joined(history), accepted_up_to(seg)) << "and never given back";
        EXPECT_EQ(play.job().outcome, wallet::Outcome::diverged);
        EXPECT_EQ(play.segment(seg).diverges_at, step);
        EXPECT_EQ(play.ledger->jobs[0].replays, 2U) << "the pair alone";
        ASSERT_EQ(play.count(Event::Kind::diverged), 1U);
        for (const auto& event : play.events)
            if (event.kind == Event::Kind::diverged) {
                EXPECT_EQ(event.seg, seg);
                EXPECT_EQ((std::pair{event.step, event.steps}), (std::pair{step, kSteps}));
            }
        play.tick_provider();
        EXPECT_EQ(play.count(Event::Kind::finished), 1U);
        EXPECT_FALSE(play.has_job());
        EXPECT_TRUE(play.ledger->blobs.contains(play.segment(seg - 1).state_blob))
            << "the model is what the last segment with an end leaves";
    }
}

TEST(divergence, its_first_state_is_kept_until_the_claim_is_final) {
    Play play(Play::Run::diverging);
    const auto [seg, step] = where_it_diverges(play);
    play.ledger->window_blocks = 30;
    ASSERT_TRUE(play.run_until_accepted(seg)) << play.history();
    EXPECT_TRUE(std::filesystem::exists(play.job_file("state-" + std::to_string(seg))));
    EXPECT_TRUE(play.ledger->blobs.contains(play.segment(seg - 1).state_blob));
    for (int i = 0; i < 40; ++i) play.tick();
    EXPECT_EQ(play.segment(seg).state, wallet::SegmentState::final_);
}

TEST(divergence, what_was_found_is_claimed_after_a_restart_without_training_it_again) {
    Play play(Play::Run::diverging);
    const auto [seg, step] = where_it_diverges(play);
    const std::string kept = play.job_file("divergence-" + std::to_string(seg));
    while (play.job().tip < seg) play.tick();
    ASSERT_TRUE(std::filesystem::exists(kept)) << "it trains ahead";
    play.restart_provider();
    play.events.clear();
    while (play.job().tip == seg) play.tick();
    EXPECT_EQ(play.count(Event::Kind::step), 0U);
    EXPECT_EQ(play.segment(seg).diverges_at, step);
}

TEST(divergence, a_claim_of_what_has_an_end_falls_and_an_honest_provider_finishes_the_job) {
    Play play;
    play.fault = training::Fault::diverge;
    play.restart_provider();
    play.run(60);
    EXPECT_EQ(play.history(), "seg 0 no divergence; seg 0 void; ") << "once, and not taken again";
    EXPECT_NE(play.told(Event::Kind::voided)
                  .find("do not confirm that training diverges at step 2 of 4 of segment 0"),
              std::string::npos)
        << play.told(Event::Kind::voided);
    EXPECT_FALSE(std::filesystem::exists(play.job_file("divergence-0")));
    EXPECT_NE(last_lines(play.said).find("the segment has an end"), std::string::npos)
        << last_lines(play.said);
    play.fault = training::Fault::none;
    play.replace_provider(6);
    play.run(300);
    EXPECT_EQ(play.job().state, JobState::closed);
    EXPECT_EQ(play.job().outcome, wallet::Outcome::complete);
    EXPECT_EQ(play.history(), "seg 0 no divergence; seg 0 void; " + accepted_up_to(2));
}

TEST(divergence, a_claim_that_fell_is_not_made_again_after_a_restart) {
    for (const bool runs : {true, false}) {
        Play play;
        play.fault = training::Fault::diverge;
        play.restart_provider();
        while (play.job().tip == 0) play.tick();
        while (play.job().attempt == 0) runs ? play.tick() : play.tick_validators();
        if (runs) play.tick();  // it hears of it
        play.events.clear();
        for (int i = 0; i < 3; ++i) {
            play.restart_provider();
            play.run(20);
        }
        EXPECT_EQ(play.history(), "seg 0 no divergence; seg 0 void; ");
        EXPECT_NE(play.told(Event::Kind::skipped).find("did not confirm"), std::string::npos);
        EXPECT_TRUE(std::filesystem::exists(play.job_file("refuted")));
    }
}

TEST(divergence, a_claim_that_fell_with_an_earlier_segment_is_made_again_after_a_restart) {
    Play play(Play::Run::diverging);
    const auto [seg, step] = where_it_diverges(play);
    while (play.job().tip <= seg) play.tick();
    play.ledger->refute(0, seg - 1);  // which slashes nobody
    play.restart_provider();
    play.run(300);
    EXPECT_EQ(play.job().outcome, wallet::Outcome::diverged);
}

TEST(divergence, a_claim_one_step_beside_falls_as_well) {
    Play play(Play::Run::diverging);
    const auto [seg, step] = where_it_diverges(play);
    while (play.job().tip <= seg) play.tick();
    play.segment(seg).diverges_at = step == 1 ? 2 : step - 1;
    play.run(60);
    EXPECT_NE(play.history().find("seg " + std::to_string(seg) + " no divergence"),
              std::string::npos)
        << play.history();
}

}  // namespace
}  // namespace trainyard::test
