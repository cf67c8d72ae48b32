// SPDX-License-Identifier: Apache-2.0
// Auditors whose node has to look for what they need: they do other things meanwhile, and blame
// nobody before it has been looked for long enough.
#include "play.hpp"

namespace trainyard::test {
namespace {

using wallet::SegmentState;

/// The bundles of the first segment are out, and nobody has looked at them.
void run_until_served(Play& play) {
    for (int i = 0; i < 100; ++i) {
        play.tick_provider();
        if (play.job().tip > 0 && !play.segment(0).bundle_blob.is_zero()) return;
        play.tick_validators();
    }
    FAIL() << "nothing is served";
}

Bytes take_away(Play& play, const Hash& id) {
    Bytes out = play.ledger->blobs.at(id);
    play.ledger->blobs.erase(id);
    return out;
}

size_t count(const std::vector<std::string>& lines, const std::string& part) {
    return static_cast<size_t>(std::count_if(lines.begin(), lines.end(), [&](const auto& l) {
        return l.find(part) != std::string::npos;
    }));
}

TEST(missing_blob, nobody_waits_for_one_and_nothing_large_is_read_for_its_case) {
    for (int which = 0; which < 4; ++which) {
        Play play;
        auto& ledger = *play.ledger;
        run_until_served(play);
        const auto& spec = ledger.jobs[0].spec;
        const Hash missing = which == 0   ? spec.program
                             : which == 1 ? spec.data
                             : which == 2 ? play.segment(0).state_blob
                                          : play.segment(0).bundle_blob;
        const Bytes kept = take_away(play, missing);
        ledger.wait_blocks = 80, ledger.seeks_long = true;
        const size_t reads = ledger.blob_reads[spec.data];
        const uint64_t before = ledger.block;
        for (int i = 0; i < 10; ++i) play.tick_validators();
        EXPECT_LE(ledger.block - before, 20u) << which;
        EXPECT_EQ(ledger.blob_reads[spec.data], reads) << which;
        EXPECT_EQ(count(play.said, "is not here yet"), ledger.auditors) << which << " said once";
        ledger.blobs[missing] = kept;
        play.run(300);
        EXPECT_EQ(play.history(), "seg 0 accepted; seg 1 accepted; seg 2 accepted; ") << which;
    }
}

TEST(missing_blob, one_that_has_not_been_sought_for_long_is_not_called_withheld) {
    Play play;
    auto& ledger = *play.ledger;
    ledger.phase_blocks = 60;  // so few that the last chance is now
    run_until_served(play);
    (void)take_away(play, play.segment(0).bundle_blob);
    ledger.seeks_long = true;
    for (int i = 0; i < 10; ++i) play.tick_validators();
    EXPECT_EQ(count(play.said, "MISMATCH"), 0u) << last_lines(play.said);
    ledger.seeks_long = false;
    play.tick_validators();
    EXPECT_EQ(count(play.said, "MISMATCH: 0-0-0-l0-0: the bundle index is not to be had"),
              ledger.auditors)
        << last_lines(play.said);
}

TEST(missing_blob, an_index_larger_than_any_is_not_read) {
    Play play;
    auto& ledger = *play.ledger;
    ledger.phase_blocks = 60;
    run_until_served(play);
    const Hash index = play.segment(0).bundle_blob;
    ledger.blobs[index] = Bytes(wallet::kBundleIndexBytesMax + 1);
    const size_t reads = ledger.blob_reads[index];
    play.tick_validators();
    EXPECT_EQ(ledger.blob_reads[index], reads);
    EXPECT_EQ(count(play.said, "the bundle index is not to be had: too large"), ledger.auditors)
        << last_lines(play.said);
}

TEST(missing_blob, a_replay_looks_for_its_last_state_before_it_publishes_it) {
    Play play;
    auto& ledger = *play.ledger;
    ledger.draws_lots = true;
    while (play.job().tip == 0 || play.segment(0).state != SegmentState::l1) {
        play.tick_provider();
        if (play.job().tip > 0 && play.segment(0).state == SegmentState::l1) break;
        play.tick_validators();
    }
    (void)take_away(play, play.segment(0).state_blob);
    ledger.seeks_long = true, ledger.wait_blocks = 80;
    const uint64_t before = ledger.block;
    for (int i = 0; i < 10; ++i) play.tick_validators();
    EXPECT_LE(ledger.block - before, 20u);
    EXPECT_EQ(count(play.said, "match: 0-0-0-l1"), 0u) << last_lines(play.said);
    EXPECT_GE(count(play.said, "the state of the segment's end is not here yet"), 1u);
    ledger.seeks_long = false;
    play.tick_validators();
    EXPECT_GE(count(play.said, "is published now"), 1u) << last_lines(play.said);
}

TEST(missing_blob, of_a_job_that_is_closed_nothing_is_remembered) {
    Play play;
    auto& ledger = *play.ledger;
    run_until_served(play);
    (void)take_away(play, play.segment(0).bundle_blob);
    ledger.seeks_long = true;
    play.tick_validators();
    ledger.jobs[0].job.state = JobState::closed;
    ledger.changed_at[0] = ledger.block;
    play.tick_validators();
    EXPECT_EQ(play.remembered_by_validators(), 0u);
}

}  // namespace
}  // namespace trainyard::test
