// SPDX-License-Identifier: Apache-2.0
// What the market holds of a provider, a validator or whoever objects comes home by itself, once.
#include <gtest/gtest.h>

#include "node/cli/objector.hpp"
#include "node/wallet/dues.hpp"
#include "play.hpp"

namespace trainyard::test {
namespace {

using wallet::BondFate;
using wallet::Dues;
using wallet::PutUp;
using wallet::SegmentState;

/// A ledger with one job of two segments, committed and accepted, and who objects to the second.
struct Objection {
    Objection() {
        path = (std::filesystem::temp_directory_path() /
                ("dues_" + std::to_string(::getpid()) + "_" + std::to_string(counter++)))
                   .string();
        ledger->window_blocks = 1000;
        wallet::JobSpec spec;
        spec.segments = 3;
        spec.deadline_s = 1'000'000;
        ledger->post(spec, account(9));
        commit_two();
    }
    ~Objection() { std::filesystem::remove_all(path); }

    void commit_two() {
        const auto provider = fake_market(ledger, account(7));
        auto& job = ledger->jobs[0].job;
        job.state = JobState::active, job.provider = account(7);
        ledger->jobs[0].segments.resize(job.tip);
        for (const uint32_t seg : {0U, 1U}) {
            ASSERT_TRUE(provider->commit(0, {seg, job.tip_root, Hash{{1}}, Hash{{2}}, 0, {}}));
            auto& segment = ledger->jobs[0].segments[seg].segment;
            segment.state = SegmentState::accepted;
            segment.phase_deadline = ledger->block + ledger->window_blocks;
        }
    }
    /// With the segment before it.
    void let_fall() { ledger->make_void(0, 0); }
    std::vector<PutUp> look(Dues& dues) { return dues.reclaim(*market, head += 16).reclaimed; }

    static inline int counter = 0;
    std::string path;
    std::shared_ptr<FakeLedger> ledger = std::make_shared<FakeLedger>();
    std::unique_ptr<wallet::MarketApi> market = fake_market(ledger, account(8));
    const PutUp bond{0, 1, 0};
    uint64_t head = 0;
};

TEST(dues, a_bond_waits_while_its_segment_may_be_judged_and_falls_with_an_earlier_one) {
    wallet::Job job;
    job.state = JobState::active;
    job.tip = 3, job.attempt = 2;
    wallet::Segment segment;
    const auto fate = [&](uint32_t seg, uint32_t attempt) {
        return fate_of({0, seg, attempt}, job, segment);
    };
    segment.attempt = 1;
    for (const auto state : {SegmentState::accepted, SegmentState::disputed, SegmentState::l1,
                             SegmentState::convicted, SegmentState::appealed}) {
        segment.state = state;
        EXPECT_EQ(fate(2, 1), BondFate::open);
    }
    EXPECT_EQ(fate(2, 0), BondFate::fell) << "committed anew since";
    EXPECT_EQ(fate(3, 1), BondFate::fell) << "not committed anew yet";
    EXPECT_EQ(fate(3, 2), BondFate::open) << "of what this node has not seen yet";
    segment.state = SegmentState::final_;
    EXPECT_EQ(fate(2, 1), BondFate::decided);
    job.state = JobState::closed;
    EXPECT_EQ(fate(3, 2), BondFate::decided);
    EXPECT_EQ(fate(3, 1), BondFate::fell) << "also when the job has ended";
    job.state = JobState::none;
    EXPECT_EQ(fate(3, 1), BondFate::decided);
}

TEST(dues, bonds_of_all_kinds_come_back_once_also_when_another_process_put_them_up) {
    for (const bool is_dispute : {false, true}) {
        Objection it;
        {
            Dues dues(it.path + "/bonds.csv");
            dues.note(it.bond);
            if (is_dispute)
                it.ledger->put_up.push_back(
                    {FakeLedger::Bond::Kind::dispute, 0, 1, 0, it.market->self(), Uint256(2)});
            else
                ASSERT_TRUE(it.market->challenge(0, 1, Uint256(2)));
            EXPECT_TRUE(it.look(dues).empty());
        }
        it.let_fall();
        it.commit_two();
        Dues dues(it.path + "/bonds.csv");
        EXPECT_EQ(it.look(dues), std::vector{it.bond});
        EXPECT_EQ(*it.market->credit(it.market->self()), Uint256(2));
        const size_t calls = it.ledger->calls;
        for (int i = 0; i < 10; ++i) EXPECT_TRUE(it.look(dues).empty());
        EXPECT_EQ(it.ledger->calls, calls);
        EXPECT_EQ(Dues(it.path + "/bonds.csv").size(), 0u);
    }
}

TEST(dues, a_bond_that_was_noted_and_never_sent_is_asked_for_once) {
    Objection it;
    Dues dues(it.path + "/bonds.csv");
    dues.note(it.bond);
    it.let_fall();
    EXPECT_TRUE(it.look(dues).empty());
    EXPECT_EQ(dues.size(), 0u);
    const size_t calls = it.ledger->calls;
    EXPECT_TRUE(it.look(dues).empty());
    EXPECT_EQ(it.ledger->calls, calls);
}

TEST(dues, what_is_not_worth_its_gas_or_cannot_be_asked_for_waits) {
    Objection it;
    Dues dues(it.path + "/bonds.csv");
    dues.note(it.bond);
    ASSERT_TRUE(it.market->challenge(0, 1, Uint256(2)));
    it.let_fall();
    it.ledger->gas_price = Uint256(1);
    EXPECT_TRUE(it.look(dues).empty());
    it.ledger->gas_price = Uint256(0);
    it.ledger->is_away = true;
    EXPECT_TRUE(it.look(dues).empty());
    EXPECT_EQ(dues.size(), 1u);
    it.ledger->is_away = false;
    EXPECT_EQ(it.look(dues), std::vector{it.bond});
}

TEST(dues, a_look_is_short_however_many_bonds_there_are) {
    Objection it;
    {
        Dues dues(it.path + "/bonds.csv");
        for (uint32_t attempt = 0; attempt < 100; ++attempt) dues.note({0, 1, attempt});
    }
    it.ledger->jobs[0].job.attempt = 200;
    Dues dues(it.path + "/bonds.csv");
    ASSERT_EQ(dues.size(), 100u);
    const size_t reads = it.ledger->reads;
    EXPECT_TRUE(it.look(dues).empty());
    EXPECT_LE(it.ledger->reads - reads, 16u);
    it.ledger->reads = 0;
    EXPECT_TRUE(dues.reclaim(*it.market, it.head + 1).reclaimed.empty());
    EXPECT_EQ(it.ledger->reads, 0u) << "not in every block";
    for (int i = 0; i < 20; ++i) (void)it.look(dues);
    EXPECT_EQ(dues.size(), 1u) << "but every one gets its turn; the first is still open";
}

TEST(dues, lines_that_are_none_are_left_out) {
    Objection it;
    ASSERT_TRUE(node::wallet::make_folder(it.path));
    ASSERT_TRUE(node::wallet::write_text(
        it.path + "/bonds.csv", "0,1,0\n\n1,2\n1,2,3,4\n-1,2,3\nx,1,1\n5,4294967296,0\n7,8,9"));
    EXPECT_EQ(Dues(it.path + "/bonds.csv").size(), 2u);
}

TEST(dues, credit_is_withdrawn_where_it_is_worth_much_more_than_its_gas) {
    Objection it;
    Dues dues(it.path + "/bonds.csv");
    it.ledger->gas_price = Uint256(1);
    it.ledger->credits[account(8)] = Uint256(9'999'999);
    EXPECT_FALSE(dues.collect(*it.market, 1).withdrawn);
    it.ledger->credits[account(8)] = Uint256(10'000'000);
    EXPECT_FALSE(dues.collect(*it.market, 2).withdrawn) << "looked for seldom";
    const auto collected = dues.collect(*it.market, 4097);
    ASSERT_TRUE(collected.withdrawn);
    EXPECT_EQ(collected.withdrawn->wei, Uint256(10'000'000));
    EXPECT_EQ(lines_of(collected).size(), 1u);
    EXPECT_FALSE(dues.collect(*it.market, 8193).withdrawn);
}

// --- who does it

TEST(dues, of_a_provider_come_home_after_a_restart_and_the_end_of_the_job) {
    Play play;
    play.ledger->window_blocks = 1000;
    ASSERT_TRUE(play.run_until_accepted(1)) << last_lines(play.said);
    play.segment(1).state = SegmentState::convicted;
    play.segment(1).phase_deadline = play.ledger->block + 1000;
    for (int i = 0; i < 20 && play.count(Event::Kind::appealed) == 0; ++i) {
        play.tick_provider();
        play.ledger->pass(1);
    }
    ASSERT_EQ(play.ledger->put_up.size(), 1u) << play.told(Event::Kind::failed);
    play.ledger->make_void(0, 0);
    play.ledger->jobs[0].job.state = JobState::closed;
    ASSERT_EQ(play.ledger->put_up.size(), 1u) << "nobody has decided it";
    play.restart_provider();
    for (int i = 0; i < 40; ++i) play.tick_provider(), play.ledger->pass(1);
    EXPECT_TRUE(play.ledger->put_up.empty());
    EXPECT_EQ(play.ledger->withdrawn[account(7)], Uint256(2));
    EXPECT_NE(play.told(Event::Kind::note).find("took back what was put up at segment 1 of job 0"),
              std::string::npos);
}

TEST(dues, a_providers_bond_that_does_not_come_free_with_its_part_does_with_the_job) {
    Play play;
    for (int i = 0; i < 20 && !play.has_job(); ++i) play.tick_provider(), play.ledger->pass(1);
    ASSERT_TRUE(play.has_job());
    play.ledger->held_bonds.insert({0, account(7)});
    play.ledger->reopen(0);
    auto& job = play.ledger->jobs[0].job;
    job.state = JobState::active, job.provider = account(6);
    job.tip = 1;
    play.ledger->jobs[0].segments.resize(1);
    play.ledger->jobs[0].segments[0].segment.provider = account(6);
    const auto pass = [&](int blocks) {
        for (int i = 0; i < blocks; ++i) play.tick_provider(), play.ledger->pass(1);
    };
    pass(40);
    EXPECT_FALSE(play.has_job());
    EXPECT_EQ((play.ledger->bonds[{0, account(7)}]), 8u);
    const size_t calls = play.ledger->calls;
    pass(200);
    EXPECT_EQ(play.ledger->calls, calls) << "it waits, and pays for nothing in vain";
    job.state = JobState::closed;
    pass(40);
    EXPECT_EQ((play.ledger->bonds[{0, account(7)}]), 0u);
}

TEST(dues, of_who_verifies_a_job_come_back_when_the_command_is_run_again) {
    namespace cli = node::cli;
    Objection it;
    const cli::Output out{true, true};
    cli::VerifyArgs args;
    args.job = 0, args.yes = true;
    const auto run = [&](const auto& act) {
        node::verify::JobWatch watch({});
        cli::ProgressLine bar(out);
        const auto verifier = node::verify::make_local_verifier(node::verify::BackendOptions{});
        cli::Objector objector(out, args, node::verify::Court::committee, *it.market, watch, bar,
                               *verifier, it.path + "/bonds.csv");
        testing::internal::CaptureStdout();
        act(objector);
        return testing::internal::GetCapturedStdout();
    };
    run([](cli::Objector& objector) { objector.contest({1, 0}); });
    ASSERT_EQ(it.ledger->put_up.size(), 1u);
    it.let_fall();
    const auto told = run([](cli::Objector& objector) { objector.take_back(100); });
    EXPECT_NE(told.find(R"("event":"reclaimed","job":0,"segment":1)"), std::string::npos) << told;
    EXPECT_TRUE(it.ledger->put_up.empty());
    EXPECT_EQ(run([](cli::Objector& objector) { objector.take_back(200); }), "");
}

TEST(dues, of_a_validator_are_withdrawn_by_its_node) {
    Play play;
    play.ledger->credits[account(2)] = Uint256(500);
    play.tick_validators();
    EXPECT_EQ(play.ledger->withdrawn[account(2)], Uint256(500));
    EXPECT_TRUE(play.ledger->withdrawn[account(1)].is_zero());
}

}  // namespace
}  // namespace trainyard::test
