// SPDX-License-Identifier: Apache-2.0
// A provider and auditors play whole jobs: honest ones are paid, cheats are voided, crashes heal.
#include "play.hpp"

namespace trainyard::test {
namespace {

TEST(play, an_honest_job_is_accepted_segment_by_segment_and_closed) {
    Play play;
    play.run(300);
    EXPECT_EQ(play.job().state, JobState::closed)
        << play.told(Event::Kind::note) << last_lines(play.said);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
    EXPECT_EQ(play.job().final_segments, kSegments);
}

TEST(play, provider_and_auditors_follow_as_many_tiles_as_the_market_says) {
    for (const uint32_t tiles : {0U, 1U, 7U}) {
        Play play;
        play.ledger->limits.tiles = tiles;
        play.run(300);
        EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ") << tiles;
        for (const std::string& line : play.said)
            EXPECT_EQ(line.find("MISMATCH"), std::string::npos) << tiles << " tiles: " << line;
    }
}

TEST(play, an_auditor_with_less_memory_than_the_chain_counts_on_says_so) {
    const auto ledger = std::make_shared<FakeLedger>();
    const auto market = fake_market(ledger, account(1));
    const auto verifier = node::verify::make_local_verifier(node::verify::BackendOptions{});
    for (const uint64_t ours :
         {uint64_t{0}, ledger->limits.memory_bytes_max - 1, ledger->limits.memory_bytes_max}) {
        std::vector<std::string> said;
        AuditWorkerOptions options;
        options.memory_bytes_max = ours;
        options.say = [&said](const std::string& text) { said.push_back(text); };
        AuditWorker worker(*market, *verifier, *verifier, *verifier, options);
        worker.tick();
        worker.tick();
        const bool is_less = ours == ledger->limits.memory_bytes_max - 1;
        ASSERT_EQ(said.size(), is_less ? 1u : 0u);
        const std::string text = is_less ? said[0] : "verifier.memory-mb is 1023";
        EXPECT_NE(text.find("verifier.memory-mb is 1023"), std::string::npos) << text;
    }
}

/// docs/spec/audits.md, section 3: what level 0 leaves open.
TEST(play, made_up_sums_pass_level_0_and_no_replay) {
    for (const bool draws_lots : {false, true}) {
        Play play;
        play.ledger->draws_lots = draws_lots;
        play.fault = training::Fault::made_up_sums;
        play.restart_provider();
        play.run(120);
        EXPECT_EQ(play.history().substr(0, 9), draws_lots ? "seg 0 voi" : "seg 0 acc")
            << draws_lots;
    }
}

class Cheating : public testing::TestWithParam<training::Fault> {};

TEST_P(Cheating, a_provider_that_fakes_half_of_the_steps_is_voided) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        Play play;
        play.ledger->seed = seed;
        play.fault = GetParam();
        play.restart_provider();
        play.run(120);
        EXPECT_EQ(play.job().final_segments, 0u) << seed;
        EXPECT_EQ(play.history().substr(0, 10), "seg 0 void") << seed << last_lines(play.said);
        EXPECT_NE(play.told(Event::Kind::voided), "") << seed;
    }
}
INSTANTIATE_TEST_SUITE_P(faults, Cheating,
                         testing::Values(training::Fault::skip_steps,
                                         training::Fault::reuse_gradients,
                                         training::Fault::zero_gradients));

TEST(play, a_provider_that_is_killed_goes_on_from_its_last_segment) {
    Play play;
    for (int i = 0; i < 200 && play.job().state != JobState::closed; ++i) {
        play.tick();
        if (i % 5 == 4) play.restart_provider();
    }
    EXPECT_EQ(play.job().state, JobState::closed) << play.told(Event::Kind::note);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
    EXPECT_EQ(play.told(Event::Kind::note).find("trained again"), std::string::npos)
        << "the logs of before are good";
}

TEST(play, logs_of_gradients_go_when_their_segment_is_accepted) {
    Play play;
    while (play.job().tip == 0) play.tick();
    EXPECT_TRUE(std::filesystem::exists(play.job_file("gradients-0")));
    play.run(300);
    EXPECT_EQ(play.job().state, JobState::closed);
    play.tick();  // the provider learns of it
    for (uint32_t seg = 0; seg < kSegments; ++seg)
        EXPECT_FALSE(std::filesystem::exists(play.job_file("gradients-" + std::to_string(seg))));
    EXPECT_TRUE(std::filesystem::exists(play.job_file("record-0")));
    EXPECT_FALSE(std::filesystem::exists(play.job_file("state-" + std::to_string(kSegments))))
        << "the model is at the node; a disk would fill with those of old jobs";
    ASSERT_TRUE(wallet::write_file(play.job_file("state-3"), Bytes(9, 1)));
    play.restart_provider();
    play.tick();
    EXPECT_FALSE(std::filesystem::exists(play.job_file("state-3"))) << "closed while it was away";
}

TEST(play, blobs_go_when_nobody_may_ask_for_them_any_more_and_the_model_stays) {
    Play play;
    auto& ledger = *play.ledger;
    const size_t of_client = ledger.blobs.size();
    const auto state_of = [&](uint32_t seg) {
        return ledger.jobs[0].segments[seg].segment.state_blob;
    };
    for (int i = 0; i < 300 && play.job().state != JobState::closed; ++i) {
        play.tick();
        ledger.pass(4);
        if (i % 7 == 6) play.restart_provider();
        const auto job = play.job();
        for (uint32_t seg = std::max(job.final_segments, 1u) - 1; seg < job.tip; ++seg)
            EXPECT_TRUE(ledger.blobs.contains(state_of(seg))) << "auditors may ask for it";
    }
    ASSERT_EQ(play.job().state, JobState::closed) << last_lines(play.said);
    const auto wait = [&] {
        ledger.pass(16);
        play.tick_provider();
    };
    play.tick_provider();  // learns of it
    EXPECT_FALSE(ledger.blobs.contains(state_of(0)));
    EXPECT_EQ(ledger.blobs.size(), of_client + 1) << "nothing is left but the model";
    EXPECT_TRUE(ledger.blobs.contains(state_of(kSegments - 1)));
    ledger.now_s += 30 * 86'400 - 10;
    wait();
    EXPECT_TRUE(ledger.blobs.contains(state_of(kSegments - 1)));
    ledger.now_s += 20;
    play.restart_provider();
    wait();
    EXPECT_EQ(ledger.blobs.size(), of_client) << "what the client keeps is not the provider's";
}

TEST(play, a_log_that_is_damaged_or_gone_is_trained_again) {
    for (const bool is_gone : {false, true}) {
        Play play;
        while (play.job().tip == 0) play.tick();
        const std::string log = play.job_file("gradients-0");
        const auto size = std::filesystem::file_size(log);
        std::filesystem::remove(log);
        if (!is_gone) {
            ASSERT_TRUE(wallet::write_file(log, Bytes(size, 0)));
        }
        play.run(300);
        EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
        EXPECT_NE(play.told(Event::Kind::note).find("segment 0 is gone; it is trained again"),
                  std::string::npos);
    }
}

TEST(play, a_provider_that_cannot_log_says_where_and_why_and_gives_the_job_back) {
    Play play;
    std::filesystem::create_directories(play.job_file("gradients-1"));
    play.run(80);
    EXPECT_NE(play.told(Event::Kind::voided)
                  .find("gradients-1': Is a directory at step 2 of 4 of segment 1"),
              std::string::npos)
        << play.told(Event::Kind::voided);
    EXPECT_EQ(play.history(), "seg 0 accepted; released; ");
    EXPECT_EQ(play.job().final_segments, 1U) << "what was right is paid";
    EXPECT_EQ(play.job().state, JobState::open);
    EXPECT_FALSE(play.has_job());
    EXPECT_EQ((play.ledger->bonds[{0, account(7)}]), 0U);
}

TEST(play, what_stops_training_for_a_while_costs_nothing) {
    Play play;
    std::filesystem::create_directories(play.job_file("gradients-1"));
    while (play.told(Event::Kind::note).find("trying again") == std::string::npos) play.tick();
    std::filesystem::remove(play.job_file("gradients-1"));
    play.run(300);
    EXPECT_EQ(play.job().state, JobState::closed);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
}

TEST(play, segments_of_a_job_that_was_lost_are_served_and_the_bond_comes_back) {
    for (const bool restarts : {false, true}) {
        Play play;
        while (play.job().tip == 0) play.tick();
        play.ledger->jobs[0].spec.provider = account(8);
        play.ledger->reopen(0);
        if (restarts) play.restart_provider();
        play.run(100);
        EXPECT_EQ(play.history(), "seg 0 accepted; ") << restarts;
        EXPECT_NE(play.ledger->jobs[0].segments[0].segment.bundle_blob, Hash{}) << restarts;
        EXPECT_EQ(play.job().final_segments, 1U) << restarts;
        EXPECT_EQ((play.ledger->bonds[{0, account(7)}]), 0U) << restarts;
        EXPECT_FALSE(play.has_job()) << restarts;
        EXPECT_EQ(play.told(Event::Kind::voided).find("deadline was missed") != std::string::npos,
                  !restarts);
    }
}

TEST(play, states_of_a_job_that_was_lost_go_when_it_is_closed) {
    for (const bool has_another : {false, true}) {
        Play play;
        while (play.job().tip == 0) play.tick();
        const auto spec = play.ledger->jobs[0].spec;
        play.ledger->jobs[0].spec.provider = account(8);
        play.ledger->reopen(0);
        for (int i = 0; i < 100 && play.has_job(); ++i) play.tick();
        ASSERT_FALSE(play.has_job());
        if (has_another) play.ledger->post(spec, account(9));
        while (play.has_job() != has_another) play.tick_provider();
        EXPECT_TRUE(std::filesystem::exists(play.job_file("state-1"))) << "it may be ours again";
        play.ledger->jobs[0].job.state = JobState::closed;
        for (int i = 0; i < 2; ++i) play.ledger->pass(16), play.tick_provider();
        EXPECT_EQ(play.has_job(), has_another);
        EXPECT_FALSE(std::filesystem::exists(play.job_file("state-1")));
        EXPECT_TRUE(std::filesystem::exists(play.job_file("record-0")));
    }
}

TEST(play, a_provider_remembers_nothing_of_jobs_that_are_closed) {
    Play play;
    auto& ledger = *play.ledger;
    auto other = ledger.jobs[0].spec;
    other.provider = account(99);
    for (int i = 0; i < 200; ++i) ledger.post(other, account(9));
    play.run(300);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
    for (int i = 0; i < 20; ++i) play.tick_provider();
    EXPECT_GE(play.remembered_by_provider(), 200u);
    for (auto& book : ledger.jobs) book.job.state = JobState::closed;
    for (int i = 0; i < 20; ++i) ledger.pass(16), play.tick_provider();
    EXPECT_EQ(play.remembered_by_provider(), 0u);
}

TEST(play, a_provider_whose_commitments_seem_to_fail_forgets_what_is_committed) {
    Play play;
    play.ledger->loses_receipts = true;
    while (play.job().tip < kSegments) play.tick_provider();
    for (uint32_t seg = 0; seg < kSegments; ++seg)
        play.ledger->jobs[0].segments[seg].segment.state = wallet::SegmentState::final_;
    play.ledger->jobs[0].job.final_segments = kSegments;
    play.ledger->jobs[0].job.state = JobState::active;
    play.tick_provider();
    EXPECT_LE(play.remembered_by_provider(), 2u) << "the job and its place in the agenda";
}

/// Two segments are committed, one is left, and their provider is gone.
void abandon(Play& play) {
    play.ledger->phase_blocks = 12;
    while (play.job().tip < 2) play.tick();
    play.ledger->reopen(0);
}

TEST(play, a_provider_that_takes_over_begins_at_the_state_of_the_one_before) {
    Play play;
    abandon(play);
    play.replace_provider(8);
    // One of its own of an attempt that came to nothing does not stand in the way.
    std::filesystem::create_directories(play.job_file(""));
    ASSERT_TRUE(wallet::write_file(play.job_file("state-2"), Bytes(100, 1)));
    play.run(300);
    EXPECT_EQ(play.job().state, JobState::closed) << play.told(Event::Kind::skipped);
    ASSERT_EQ(play.ledger->jobs[0].segments.size(), kSegments);
    EXPECT_EQ(play.ledger->jobs[0].segments[2].segment.provider, account(8));
    EXPECT_EQ(play.job().final_segments, kSegments);
    const Hash taken_over = play.ledger->jobs[0].segments[1].segment.state_blob;
    EXPECT_TRUE(play.ledger->owners[taken_over].contains(account(8)))
        << "auditors begin with it, wherever the provider before is";
}

TEST(play, a_provider_looks_at_a_bounded_number_of_offers_and_finds_its_own_job_among_thousands) {
    Play play;
    for (int i = 0; i < 3000; ++i) {
        auto other = play.ledger->jobs[0].spec;
        other.provider = account(99);
        play.ledger->post(other, account(9));
    }
    std::swap(play.ledger->jobs.front(), play.ledger->jobs[2500]);
    for (int i = 0; i < 300 && play.ledger->jobs[2500].job.tip == 0; ++i) {
        const size_t before = play.ledger->reads;
        play.tick_provider();
        EXPECT_LE(play.ledger->reads - before, 32u * 3);
    }
    EXPECT_EQ(play.ledger->jobs[2500].job.provider, account(7));
    ASSERT_GT(play.ledger->jobs[2500].job.tip, 0u);
    play.restart_provider();
    for (int i = 0; i < 300 && !play.has_job(); ++i) play.tick_provider();
    EXPECT_TRUE(play.has_job()) << "what is ours comes before new offers";
    EXPECT_EQ(play.ledger->jobs[0].job.state, JobState::open);
}

TEST(play, a_job_whose_state_is_not_to_be_had_is_not_taken) {
    for (const bool is_other : {false, true}) {
        Play play;
        abandon(play);
        auto& blob = play.ledger->jobs[0].segments[1].segment.state_blob;
        blob = is_other ? play.ledger->jobs[0].segments[0].segment.state_blob : Hash{};
        play.replace_provider(8);
        play.tick();
        EXPECT_NE(play.told(Event::Kind::skipped)
                      .find(is_other ? "is another than it names" : "is not to be had"),
                  std::string::npos)
            << play.told(Event::Kind::skipped);
        EXPECT_EQ(play.job().state, JobState::open);
    }
}

TEST(play, a_provider_that_vanishes_after_its_commitment_is_replayed_and_accepted) {
    Play play;
    play.ledger->phase_blocks = 12;
    while (play.job().tip == 0) play.tick();
    for (int i = 0; i < 200 && play.history().empty(); ++i) play.tick_validators();
    // Nothing was served, so the second committee replayed it; the work was honest.
    EXPECT_EQ(play.history(), "seg 0 accepted; ");
    EXPECT_EQ(play.ledger->jobs[0].segments[0].segment.bundle_blob, Hash{});
}

TEST(play, a_segment_drawn_by_lot_is_replayed_by_two) {
    Play play;
    play.ledger->draws_lots = true;
    play.run(400);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
    EXPECT_EQ(play.ledger->jobs[0].replays, 2u * kSegments);
}

TEST(play, a_lie_that_the_pair_finds_goes_to_the_committee) {
    Play play;
    play.ledger->draws_lots = true;
    while (play.job().tip == 0) play.tick();
    const auto segment = [&]() -> auto& {
        return play.ledger->jobs[0].segments[0].segment;
    };
    for (int i = 0; i < 200 && segment().state != wallet::SegmentState::l1; ++i) {
        play.tick_validators();
        play.tick_provider();  // it opens, which draws the lot
    }
    segment().steps_root = Hash{};
    for (int i = 0; i < 200 && play.history().empty(); ++i) play.tick_validators();
    EXPECT_EQ(play.history(), "seg 0 void; ") << last_lines(play.said);
    EXPECT_EQ(play.ledger->jobs[0].replays, 5u) << "two, then all three";
}

/// Plays until the first segment is accepted, and then has an outsider challenge it.
void challenge_when_accepted(Play& play) {
    play.ledger->window_blocks = 16;
    ASSERT_TRUE(play.run_until_accepted(0)) << last_lines(play.said);
    const auto outsider = fake_market(play.ledger, account(8));
    ASSERT_TRUE(outsider->challenge(0, 0, *outsider->challenge_bond(0, 0)));
}

TEST(play, a_challenged_segment_is_replayed_by_auditors_that_have_answered_it_before) {
    Play play;
    const auto segment = [&]() -> auto& {
        return play.ledger->jobs[0].segments[0].segment;
    };
    for (uint8_t number = 1; number <= 2; ++number) {
        challenge_when_accepted(play);
        EXPECT_TRUE(wallet::is_challenged(segment()));
        EXPECT_EQ(segment().round, wallet::kCommitteeRound + number);
    }
    play.run(300);
    EXPECT_EQ(play.job().state, JobState::closed) << last_lines(play.said);
    EXPECT_FALSE(wallet::is_challenged(segment()));
    EXPECT_EQ(play.ledger->jobs[0].replays, 6u) << "all three, twice";
    EXPECT_FALSE(play.ledger->jobs[0].slashed);
}

TEST(play, a_lie_that_the_audit_did_not_see_falls_to_a_challenge) {
    Play play;
    challenge_when_accepted(play);
    play.ledger->jobs[0].segments[0].segment.steps_root = Hash{};
    for (int i = 0; i < 200 && !play.ledger->jobs[0].slashed; ++i) play.tick_validators();
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 0 convicted; seg 0 void; ")
        << last_lines(play.said);
}

TEST(play, a_last_state_that_an_honest_provider_does_not_serve_is_published_by_the_committee) {
    Play play;
    play.ledger->phase_blocks = 120;
    while (play.job().tip == 0) play.tick();
    const Hash blob = play.ledger->jobs[0].segments[0].segment.state_blob;
    play.ledger->blobs.erase(blob);
    play.ledger->owners.erase(blob);
    for (int i = 0; i < 400 && play.history().empty(); ++i) play.tick_validators();
    EXPECT_EQ(play.history(), "seg 0 accepted; ") << last_lines(play.said);
    EXPECT_TRUE(play.ledger->blobs.contains(blob));
    const auto kept_after = [&](JobState state, uint32_t final_segments, uint64_t seconds) {
        play.ledger->jobs[0].job.state = state;
        play.ledger->jobs[0].job.final_segments = final_segments;
        play.ledger->now_s += seconds;
        for (int i = 0; i < 40; ++i) play.tick_validators();
        return play.ledger->blobs.contains(blob);
    };
    EXPECT_TRUE(kept_after(JobState::active, 1, 0)) << "the next segment begins with it";
    EXPECT_TRUE(kept_after(JobState::closed, 1, 0)) << "the client's model";
    EXPECT_TRUE(kept_after(JobState::closed, 1, 29 * 86'400));
    EXPECT_FALSE(kept_after(JobState::closed, 1, 2 * 86'400));
}

TEST(play, a_cheat_that_withholds_its_last_state_is_caught_like_any_other) {
    Play play;
    play.fault = training::Fault::reuse_gradients;
    play.restart_provider();
    play.ledger->phase_blocks = 120;
    while (play.job().tip == 0) play.tick();
    play.ledger->blobs.erase(play.ledger->jobs[0].segments[0].segment.state_blob);
    for (int i = 0; i < 400 && play.history().empty(); ++i) play.tick_validators();
    EXPECT_EQ(play.history(), "seg 0 void; ");
    EXPECT_NE(last_lines(play.said).find("replaying gives another root"), std::string::npos)
        << last_lines(play.said);
}

TEST(play, audits_go_on_where_the_node_does_not_tell_events) {
    Play play;
    play.ledger->tells_events = false;
    play.run(400);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
}

TEST(play, thousands_of_open_jobs_neither_hold_up_an_audit_nor_cost_much) {
    Play play;
    const auto mine = play.ledger->jobs[0].spec;
    while (play.job().tip == 0) play.tick();
    for (int i = 0; i < 3000; ++i) {
        auto other = mine;
        other.provider = account(99);
        play.ledger->post(other, account(9));
    }
    for (int i = 0; i < 120; ++i) play.tick_validators();  // all are looked at once
    const size_t before = play.ledger->reads;
    constexpr int kTicks = 40;
    for (int i = 0; i < kTicks; ++i) play.tick_validators();
    EXPECT_LE(play.ledger->reads - before, 3u * kTicks * (4 + 8));
    play.run(400);
    EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ");
}

TEST(play, auditors_remember_nothing_of_jobs_and_segments_that_are_over) {
    Play play;
    auto& ledger = *play.ledger;
    while (play.job().tip < 2 || play.said.empty()) play.tick();
    EXPECT_GT(play.remembered_by_validators(), 3u * 3);
    ledger.jobs[0].job.state = JobState::active;
    ledger.jobs[0].job.final_segments = play.job().tip;
    ledger.changed_at[0] = ledger.block;
    play.tick_validators();
    EXPECT_LE(play.remembered_by_validators(), 3u * 3)
        << "the job, what its audits take, and that it does not expire yet";
    for (int i = 0; i < 200; ++i) ledger.post(ledger.jobs[0].spec, account(9));
    for (int i = 0; i < 20; ++i) play.tick_validators();
    EXPECT_GE(play.remembered_by_validators(), 3u * 201);
    for (auto& book : ledger.jobs) book.job.state = JobState::closed;
    ledger.changed_at[0] = ledger.block;
    for (int i = 0; i < 201; ++i) play.tick_validators();
    EXPECT_EQ(play.remembered_by_validators(), 0u);
}

TEST(play, answers_go_also_where_their_segment_became_final_while_the_auditor_was_down) {
    Play play;
    auto& ledger = *play.ledger;
    while (play.answers().empty()) play.tick();
    const auto before = play.answers();
    ASSERT_TRUE(before.begin()->starts_with("0-0-0-l0-")) << *before.begin();
    play.restart_validators();
    play.tick_validators();
    EXPECT_GE(play.answers().size(), before.size()) << "one that may still be revealed stays";
    const auto final_segments = ledger.jobs[0].job.final_segments;
    ledger.jobs[0].job.final_segments = 1;
    play.restart_validators();
    play.tick_validators();
    for (const auto& seat : play.answers()) EXPECT_FALSE(seat.starts_with("0-0-")) << seat;
    ledger.jobs[0].job.final_segments = final_segments;
    while (play.answers().empty()) play.tick();
    ledger.jobs[0].job.state = JobState::closed;
    play.restart_validators();
    play.tick_validators();
    EXPECT_TRUE(play.answers().empty());
    EXPECT_EQ(play.remembered_by_validators(), 0U);
}

TEST(play, a_job_whose_program_or_data_is_withheld_from_auditors_is_void_and_not_passed_over) {
    for (const bool is_program : {false, true}) {
        Play play;
        play.ledger->phase_blocks = 120;
        while (play.job().tip == 0) play.tick();
        const auto& spec = play.ledger->jobs[0].spec;
        play.ledger->blobs.erase(is_program ? spec.program : spec.data);
        for (int i = 0; i < 400 && play.history().empty(); ++i) play.tick();
        EXPECT_EQ(play.history(), "seg 0 void; ") << last_lines(play.said);
    }
}

TEST(play, a_job_whose_program_is_another_than_it_names_is_void_and_not_passed_over) {
    Play play;
    play.ledger->phase_blocks = 120;
    while (play.job().tip == 0) play.tick_provider();
    play.ledger->jobs[0].spec.program_id = Hash{};
    for (int i = 0; i < 400 && play.history().empty(); ++i) play.tick();
    EXPECT_EQ(play.history(), "seg 0 void; ") << last_lines(play.said);
}

TEST(play, a_job_that_the_auditors_could_not_check_is_not_taken) {
    for (const bool is_slow : {false, true}) {
        Play play;
        (is_slow ? play.ledger->limits.work_per_block : play.ledger->limits.memory_bytes_max) = 1;
        for (int i = 0; i < 20; ++i) play.tick();
        EXPECT_EQ(play.job().state, JobState::open);
        EXPECT_NE(play.told(Event::Kind::skipped).find("could not be audited"), std::string::npos)
            << play.told(Event::Kind::skipped);
    }
}

/// As a job of a client and a provider of its own would.
TEST(play, a_job_that_was_taken_though_nobody_can_check_it_is_void_at_once) {
    for (const bool is_slow : {false, true}) {
        Play play;
        play.ledger->phase_blocks = 1'000'000;
        while (play.job().tip == 0) play.tick_provider();
        (is_slow ? play.ledger->limits.work_per_block : play.ledger->limits.memory_bytes_max) = 1;
        for (int i = 0; i < 200 && play.history().empty(); ++i) play.tick();
        EXPECT_EQ(play.history(), "seg 0 void; ") << last_lines(play.said);
    }
}

TEST(play, a_job_whose_segments_are_longer_than_its_program_says_is_void) {
    Play play;
    play.ledger->phase_blocks = 24;
    while (play.job().tip == 0) play.tick_provider();
    play.ledger->jobs[0].spec.steps_per_segment = 64;
    for (int i = 0; i < 200 && play.history().empty(); ++i) play.tick_validators();
    EXPECT_EQ(play.history(), "seg 0 void; ") << last_lines(play.said);
}

TEST(play, a_job_that_declares_less_work_than_its_program_is_void) {
    Play play;
    play.ledger->phase_blocks = 24;
    while (play.job().tip == 0) play.tick_provider();
    --play.ledger->jobs[0].spec.unit_work;
    for (int i = 0; i < 200 && play.history().empty(); ++i) play.tick_validators();
    EXPECT_EQ(play.history(), "seg 0 void; ") << last_lines(play.said);
}

TEST(play, nobody_calls_in_vain_while_auditors_are_busy) {
    Play play;
    play.ledger->room_at = 1'000;
    while (play.job().tip < kSegments) play.tick();
    const size_t calls = play.ledger->calls;
    for (int i = 0; i < 60; ++i) play.tick();
    EXPECT_EQ(play.ledger->calls, calls);
    EXPECT_NE(play.told(Event::Kind::note).find("segment 0 waits for auditors: about "),
              std::string::npos)
        << play.told(Event::Kind::note);
    EXPECT_EQ(play.told(Event::Kind::note).find("segment 1"), std::string::npos);
    play.ledger->room_at = 0;
    play.run(800);
    EXPECT_EQ(play.job().final_segments, kSegments) << last_lines(play.said);
}

TEST(play, a_provider_ends_a_job_whose_deadline_has_passed_before_it_is_late) {
    Play play;
    play.tick();
    ASSERT_EQ(play.job().state, JobState::active);
    play.ledger->now_s = play.ledger->jobs[0].spec.deadline_s + 1;
    for (int i = 0; i < 20 && play.job().state == JobState::active; ++i) play.tick();
    EXPECT_NE(play.job().state, JobState::active);
    EXPECT_EQ(play.told(Event::Kind::voided), "");
}

TEST(play, says_once_that_it_waits_for_a_node_that_does_not_answer) {
    Play play;
    play.ledger->is_away = true;
    for (int i = 0; i < 3; ++i) play.tick();
    EXPECT_EQ(play.told(Event::Kind::note), "waits for the node: away\n");
    play.ledger->is_away = false;
    play.tick();
    EXPECT_EQ(play.told(Event::Kind::note).find("waits for the node: away\nthe node answers again"),
              0u);
}

TEST(play, says_why_a_job_is_not_taken) {
    Play play;
    play.ledger->jobs[0].spec.provider = account(8);
    play.tick();
    EXPECT_NE(play.told(Event::Kind::skipped).find("only 0x0808"), std::string::npos)
        << play.told(Event::Kind::skipped);
}

TEST(play, a_job_that_this_machine_cannot_train_in_time_is_not_taken) {
    Play play;
    play.rules.step_seconds = [](const auto&, const auto&) { return 25.5; };
    play.restart_provider();
    play.tick();
    EXPECT_NE(play.told(Event::Kind::skipped)
                  .find("a segment takes this machine some 102 s, and it allows 100 blocks, some "
                        "100 s"),
              std::string::npos)
        << play.told(Event::Kind::skipped);
    play.ledger->jobs[0].spec.segment_blocks = 103;
    play.ledger->jobs[0].spec.deadline_s = 1300;
    play.restart_provider();
    play.tick();
    EXPECT_NE(play.told(Event::Kind::skipped)
                  .find("needs some 306 s for it, and its deadline is in 300 s"),
              std::string::npos)
        << play.told(Event::Kind::skipped);
    play.ledger->jobs[0].spec.deadline_s = 1306;
    for (int i = 0; i < 10; ++i) play.tick();
    EXPECT_NE(play.job().state, JobState::open) << "it is looked at again";
}

TEST(play, a_job_for_which_the_disk_has_no_room_is_not_taken) {
    Play play;
    uint64_t free = 1 << 20;
    play.rules.disk_bytes_free = [&] { return free; };
    play.restart_provider();
    play.tick();
    EXPECT_NE(play.told(Event::Kind::skipped).find("1 MiB are free"), std::string::npos)
        << play.told(Event::Kind::skipped);
    free = 1 << 24;
    for (int i = 0; i < 10; ++i) play.tick();
    EXPECT_NE(play.job().state, JobState::open);
}

TEST(play, rejects_a_job_whose_program_is_not_what_it_names) {
    Play play;
    play.ledger->jobs[0].spec.program_id = Hash{};
    play.tick();
    EXPECT_NE(play.told(Event::Kind::skipped).find("another id"), std::string::npos);
    EXPECT_EQ(play.job().state, JobState::open);
}

}  // namespace
}  // namespace trainyard::test
