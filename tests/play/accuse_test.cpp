// SPDX-License-Identifier: Apache-2.0
// Auditors convict a segment, its provider appeals, and one of them goes before the referee: a
// cheat falls there, and auditors that were wrong find nothing to point at.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/hash.hpp"
#include "fake_market.hpp"
#include "node/cli/objector.hpp"
#include "node/verify/audit_worker.hpp"
#include "node/verify/dispute_player.hpp"
#include "training/referee/players.hpp"
#include "training/state_blob.hpp"

namespace trainyard::test {
namespace {

using namespace node::verify;
using training::referee::Slip;
using training::referee::Witness;
using wallet::SegmentState;

constexpr uint32_t kSteps = 2;

Address account(uint8_t n) {
    Address out;
    out.bytes.fill(n);
    return out;
}

/// Counts picks, and answers replays with a lie where it is told to.
class Watched final : public Verifier {
public:
    std::string name() override { return honest_->name(); }
    Result<std::vector<AuditResult>, VerifyError> audit(const AuditRequest& request) override {
        return honest_->audit(request);
    }
    AuditResult replay(const ReplayRequest& request) override {
        if (lie.is_zero()) return honest_->replay(request);
        return VerifyAnswer{false, {lie}, "a lie", {}};
    }
    Result<Pick, VerifyError> pick(const PickRequest& request) override {
        ++picks;
        if (on_pick) on_pick();
        return honest_->pick(request);
    }
    void rest() override { ++rests; }

    Hash lie;
    uint64_t picks = 0, rests = 0;
    std::function<void()> on_pick;

private:
    std::unique_ptr<Verifier> honest_ = make_local_verifier(BackendOptions{1, false});
};

/// One job of one segment, which three validators have to judge anew because an outsider has
/// challenged it. Its provider appeals, and plays as long as it has a move.
class Trial {
public:
    explicit Trial(std::optional<Slip> slip) {
        folder_ = (std::filesystem::temp_directory_path() /
                   ("accuse_" + std::to_string(::getpid()) + "_" + std::to_string(counter_++)))
                      .string();
        ledger->window_blocks = 40, ledger->move_blocks = 60;
        for (uint8_t v = 1; v <= 3; ++v) ledger->validators.push_back(account(v));
        train(slip);
        commit_and_challenge();
        start_validators();
    }
    ~Trial() { std::filesystem::remove_all(folder_); }

    void start_validators() {
        workers.clear();
        for (uint8_t v = 1; v <= 3; ++v) {
            AuditWorkerOptions options;
            options.folder = folder_ + "/validator" + std::to_string(v);
            options.rank = v - 1u, options.ranks = 3;
            options.background = [](const std::function<void()>& task) { task(); };
            options.replay_background = [this](const std::function<void()>& task) {
                replays_are_busy ? held.push_back(task) : task();
            };
            options.move_background = options.background;
            options.dispute_bond_wei_max = bond_wei_max;
            options.memory_bytes_max = memory_bytes_max;
            options.now_s = [this] { return ledger->now_s; };
            options.say = [this](const std::string& text) { said += text + "\n"; };
            Verifier& judge = verifiers[v - 1u];
            workers.push_back(std::make_unique<AuditWorker>(*markets_[v - 1u], judge, judge,
                                                            movers[v - 1u], options));
        }
    }
    void tick() {
        for (auto& worker : workers) worker->tick();
        if (segment().state == SegmentState::convicted) {
            ASSERT_TRUE(provider_->appeal(0, 0, Uint256(2)));
            appealed_at = ledger->block;
        }
        tick_provider();
        ledger->pass(1);
    }
    void tick_provider() {
        const auto dispute = *provider_->dispute_of(0, 0);
        if (segment().state != SegmentState::disputed || dispute.is_challengers) return;
        const Bytes encoded = *provider_->dispute_state(0, 0, dispute);
        const auto state = training::referee::decode_state(encoded);
        const auto move = training::referee::provider_move(*witness_, *state);
        if (move) (void)provider_->play(0, 0, encoded, *move);  // what it cannot show is refused
    }
    void run_until(SegmentState state) {
        for (int i = 0; i < 400 && segment().state != state; ++i) tick();
        ASSERT_EQ(segment().state, state) << said << history();
    }

    [[nodiscard]] wallet::Segment& segment() { return ledger->jobs[0].segments[0].segment; }
    [[nodiscard]] std::string history() const {
        std::string out;
        for (const auto& line : ledger->jobs[0].history) out += line + "; ";
        return out;
    }
    [[nodiscard]] AuditCounters counters() const {
        AuditCounters out;
        for (const auto& worker : workers) {
            out.disputes += worker->counters().disputes;
            out.dispute_moves += worker->counters().dispute_moves;
        }
        return out;
    }
    [[nodiscard]] uint64_t picks() const {
        return movers[0].picks + movers[1].picks + movers[2].picks;
    }
    [[nodiscard]] std::string file(const std::string& name) const { return folder_ + "/" + name; }
    [[nodiscard]] uint64_t rests() const {
        return movers[0].rests + movers[1].rests + movers[2].rests;
    }
    [[nodiscard]] wallet::MarketApi& market_of(size_t validator) { return *markets_[validator]; }
    [[nodiscard]] CaseRequest case_of(size_t validator) {
        const auto& job = ledger->jobs[0];
        const Seat seat{0, 0, segment().attempt, segment().state, segment().round};
        CaseRequest out{job.spec, job.job.run_seed, seat, segment(), account(1)};
        out.auditor = markets_[validator]->self();
        out.limits = ledger->limits;
        return out;
    }

    std::shared_ptr<FakeLedger> ledger = std::make_shared<FakeLedger>();
    Watched verifiers[3], movers[3];  ///< the latter for moves
    bool replays_are_busy = false;
    std::vector<std::function<void()>> held;  ///< replays, where those before them take long
    Uint256 bond_wei_max{1000};
    uint64_t memory_bytes_max = 0;  ///< of a verifier
    std::vector<std::unique_ptr<AuditWorker>> workers;
    std::string said;
    uint64_t appealed_at = 0;  ///< block

private:
    void train(std::optional<Slip> slip) {
        for (int i = 0; i < 4000; ++i) data_.push_back(static_cast<uint8_t>('a' + (i * i) % 23));
        training::GptOptions gpt;
        gpt.layers = 1, gpt.width = 32, gpt.heads = 2, gpt.sequence = 16;
        gpt.steps = kSteps, gpt.segment_length = kSteps, gpt.warmup = 1;
        gpt.micro_batches = 2, gpt.sequences = 2, gpt.held_out = 4;
        gpt.data_root = *client_->put_blob(data_);
        gpt.data_bytes = data_.size();
        program_ = *training::make_gpt(gpt);
        const Bytes encoded = training::encode_program(program_);
        wallet::JobSpec spec;
        spec.program = *client_->put_blob(encoded);
        spec.program_id = sha256(encoded);
        spec.data = gpt.data_root;
        spec.segments = 1, spec.steps_per_segment = kSteps, spec.micro_batches = 2;
        spec.unit_work = training::audit_unit_work(program_, ledger->limits);
        spec.segment_blocks = 100;
        spec.deadline_s = 1'000'000;
        spec.price_wei = 100;
        ledger->post(spec, account(9));
        const Hash seed = ledger->jobs[0].job.run_seed;
        auto witness =
            Witness::make(program_, data_, *backend_,
                          {training::make_initial_state(program_, seed, data_), kSteps, slip});
        ASSERT_TRUE(witness);
        witness_.emplace(std::move(*witness));
    }
    void commit_and_challenge() {
        const auto claim = *witness_->claim();
        const auto last = *witness_->step(kSteps - 1);
        wallet::Commitment commitment{0,
                                      claim.segment.first_root,
                                      claim.segment.last_root,
                                      claim.segment.steps_root,
                                      claim.loss_bits,
                                      {}};
        commitment.state_blob =
            *provider_->put_blob(training::encode_state(last->after, claim.program));
        ASSERT_TRUE(provider_->take(0));
        ASSERT_TRUE(provider_->commit(0, commitment));
        segment().state = SegmentState::accepted;
        segment().phase_deadline = ledger->block + ledger->window_blocks;
        ASSERT_TRUE(client_->challenge(0, 0, Uint256(2)));
    }

    static inline int counter_ = 0;
    std::string folder_;
    Bytes data_;
    training::Program program_;
    std::unique_ptr<training::Backend> backend_ = training::make_cpu_backend({});
    std::optional<Witness> witness_;  ///< the provider's
    std::unique_ptr<wallet::MarketApi> client_ = fake_market(ledger, account(9));
    std::unique_ptr<wallet::MarketApi> provider_ = fake_market(ledger, account(7));
    std::unique_ptr<wallet::MarketApi> markets_[3] = {fake_market(ledger, account(1)),
                                                      fake_market(ledger, account(2)),
                                                      fake_market(ledger, account(3))};
};

/// What level 0 does not see: one number of the gradients' sum of the last step.
Slip false_sum() {
    Slip slip;
    slip.step = kSteps - 1;
    slip.kind = training::referee::SubjectKind::sum;
    slip.index = 2;
    slip.element = 1;
    slip.bits = 0x3f800000;
    return slip;
}

size_t count(const std::string& text, const std::string& part) {
    size_t out = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++out;
    return out;
}

TEST(accuse, a_cheat_that_appeals_is_disputed_by_one_of_those_who_convicted_it_and_falls) {
    Trial trial(false_sum());
    trial.run_until(SegmentState::void_);
    EXPECT_EQ(trial.history(), "seg 0 convicted; seg 0 appealed; seg 0 disputed; seg 0 void; ");
    EXPECT_EQ(trial.counters().disputes, 1u) << trial.said;
    EXPECT_GE(trial.counters().dispute_moves, 3u);
    EXPECT_EQ(trial.counters().dispute_moves, trial.picks()) << "each is worked out once";
    EXPECT_EQ(count(trial.said, "pointed at what is wrong"), trial.counters().dispute_moves);
    EXPECT_EQ(count(trial.said, "for a bond of"), 1u) << trial.said;
}

TEST(accuse, a_move_does_not_wait_for_replays) {
    Trial trial(false_sum());
    trial.run_until(SegmentState::disputed);
    trial.replays_are_busy = true;
    trial.run_until(SegmentState::void_);
    EXPECT_EQ(trial.history(), "seg 0 convicted; seg 0 appealed; seg 0 disputed; seg 0 void; ")
        << trial.said;
    for (const Watched& replayer : trial.verifiers) EXPECT_EQ(replayer.picks, 0u);
}

TEST(accuse, what_a_dispute_takes_is_given_back_when_it_is_over) {
    for (const bool is_won : {true, false}) {
        Trial trial(is_won ? std::optional(false_sum()) : std::nullopt);
        if (!is_won)
            for (Watched& verifier : trial.verifiers) verifier.lie.bytes.fill(7);
        trial.start_validators();
        trial.run_until(SegmentState::disputed);
        while (trial.picks() == 0) trial.tick();
        EXPECT_EQ(trial.rests(), is_won ? 0u : 1u) << "a loser has no further move";
        trial.run_until(is_won ? SegmentState::void_ : SegmentState::final_);
        trial.tick();
        EXPECT_EQ(trial.rests(), is_won ? 1u : 3u) << "once for each that had a dispute";
    }
}

TEST(accuse, a_dispute_goes_on_where_it_was_when_its_node_is_started_again) {
    Trial trial(false_sum());
    for (int i = 0; i < 400 && trial.segment().state != SegmentState::void_; ++i) {
        trial.tick();
        trial.start_validators();
    }
    EXPECT_EQ(trial.history(), "seg 0 convicted; seg 0 appealed; seg 0 disputed; seg 0 void; ")
        << trial.said;
}

TEST(accuse, auditors_that_were_wrong_find_nothing_to_point_at_and_do_not_try_again) {
    Trial trial(std::nullopt);
    for (Watched& verifier : trial.verifiers) verifier.lie.bytes.fill(7);
    trial.start_validators();
    trial.run_until(SegmentState::final_);
    EXPECT_EQ(trial.counters().disputes, 3u) << "each has one";
    EXPECT_EQ(trial.counters().dispute_moves, 0u);
    EXPECT_EQ(count(trial.history(), "dispute lost"), 3u) << trial.history();
    EXPECT_EQ(count(trial.said, "there is nothing to point at"), 3u) << trial.said;
    EXPECT_EQ(trial.picks(), 3u) << "one for each state of the referee";
}

TEST(accuse, what_was_lost_before_a_node_was_started_is_not_staked_twice) {
    Trial trial(std::nullopt);
    for (Watched& verifier : trial.verifiers) verifier.lie.bytes.fill(7);
    for (int i = 0; i < 400 && trial.segment().state != SegmentState::final_; ++i) {
        trial.tick();
        trial.start_validators();
    }
    EXPECT_EQ(trial.segment().state, SegmentState::final_);
    EXPECT_EQ(count(trial.said, "for a bond of"), 3u) << trial.said;
    EXPECT_GE(count(trial.said, "its dispute of it is lost"), 3u);
}

TEST(accuse, a_bond_whose_segment_fell_before_the_dispute_was_decided_comes_back_after_a_restart) {
    Trial trial(false_sum());
    trial.run_until(SegmentState::disputed);
    const auto put_up = trial.ledger->put_up;
    const auto ours = std::find_if(put_up.begin(), put_up.end(), [](const auto& bond) {
        return bond.kind == FakeLedger::Bond::Kind::dispute;
    });
    ASSERT_NE(ours, put_up.end());
    auto& job = trial.ledger->jobs[0].job;  // as if an earlier segment were found wrong
    job.tip = 0;
    ++job.attempt;
    trial.ledger->reopen(0);
    trial.start_validators();
    for (int i = 0; i < 20; ++i) {
        for (auto& worker : trial.workers) worker->tick();
        trial.ledger->pass(1);
    }
    EXPECT_TRUE(trial.ledger->put_up.empty()) << "the others' with it";
    EXPECT_EQ(trial.ledger->withdrawn[ours->who], ours->wei);
    EXPECT_EQ(count(trial.said, "took back what was put up at segment 0 of job 0"), 1u);
}

TEST(accuse, what_others_lose_on_purpose_does_not_keep_an_auditor_from_its_dispute) {
    Trial trial(false_sum());
    trial.bond_wei_max = Uint256(2);
    trial.start_validators();
    trial.run_until(SegmentState::appealed);
    trial.ledger->jobs[0].segments[0].dispute.lost = 30;
    trial.start_validators();
    trial.run_until(SegmentState::void_);
    EXPECT_EQ(count(trial.said, "for a bond of"), 1u) << trial.said;
}

TEST(accuse, one_of_those_who_convicted_is_enough_however_short_the_time) {
    for (const uint64_t window : {3U, 40U})
        for (size_t alone = 0; alone < 3; ++alone) {
            Trial trial(false_sum());
            trial.ledger->window_blocks = window;
            trial.run_until(SegmentState::appealed);
            std::swap(trial.workers[0], trial.workers[alone]);
            trial.workers.resize(1);
            trial.run_until(SegmentState::disputed);
            const uint64_t taken = window == 3 ? 4 : 17;
            EXPECT_LE(trial.ledger->block, trial.appealed_at + taken) << window << " " << alone;
        }
}

TEST(accuse, nobody_disputes_who_said_that_there_was_nothing_to_judge_or_who_is_told_not_to) {
    for (const bool is_told : {false, true}) {
        Trial trial(false_sum());
        if (is_told) trial.bond_wei_max = Uint256(0);
        trial.start_validators();
        trial.run_until(SegmentState::appealed);
        if (!is_told)
            for (auto& seat : trial.ledger->jobs[0].segments[0].seats)
                seat.answers = {wallet::kWithheld};
        trial.run_until(SegmentState::final_);
        EXPECT_EQ(trial.counters().disputes, 0u) << is_told;
    }
}

TEST(accuse, a_dispute_that_does_not_fit_into_the_verifier_is_not_opened) {
    Trial trial(false_sum());
    trial.memory_bytes_max = uint64_t{64} << 20;
    trial.start_validators();
    trial.run_until(SegmentState::final_);
    EXPECT_EQ(trial.counters().disputes, 0u);
    EXPECT_EQ(count(trial.said, "a dispute needs "), 3u) << trial.said;
    EXPECT_EQ(count(trial.said, "MiB, and the verifier process may take 64"), 3u) << trial.said;
}

TEST(accuse, a_move_that_could_not_be_sent_is_sent_again_and_not_worked_out_again) {
    Trial trial(false_sum());
    trial.run_until(SegmentState::appealed);
    ASSERT_TRUE(open_dispute(trial.market_of(0), 0, 0, Uint256(1000)));
    DisputePlayer player(trial.market_of(0), trial.verifiers[0], trial.case_of(0));
    EXPECT_EQ(player.step().value(), DisputePlayer::Step::waits);
    trial.tick_provider();
    const uint64_t deadline = trial.segment().phase_deadline;
    trial.verifiers[0].on_pick = [&] { trial.segment().phase_deadline = 0; };
    const auto failed = player.step();
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().find("the move cannot be sent"), std::string::npos) << failed.error();
    trial.segment().phase_deadline = deadline;
    EXPECT_EQ(player.step().value(), DisputePlayer::Step::pointed);
    EXPECT_EQ(trial.verifiers[0].picks, 1u);
    EXPECT_EQ(player.step().value(), DisputePlayer::Step::waits);
    DisputePlayer other(trial.market_of(1), trial.verifiers[1], trial.case_of(1));
    EXPECT_EQ(other.step().value(), DisputePlayer::Step::over) << "not its dispute";
    EXPECT_EQ(trial.verifiers[1].picks, 0u);
}

TEST(accuse, a_player_whose_opponent_does_not_move_ends_the_game_by_the_clock_itself) {
    Trial trial(false_sum());
    trial.run_until(SegmentState::appealed);
    ASSERT_TRUE(open_dispute(trial.market_of(0), 0, 0, Uint256(1000)));
    DisputePlayer player(trial.market_of(0), trial.verifiers[0], trial.case_of(0));
    const auto open = trial.ledger->jobs[0].segments[0].dispute;
    trial.ledger->block = trial.segment().phase_deadline;
    size_t calls = trial.ledger->calls;
    EXPECT_EQ(player.step().value(), DisputePlayer::Step::waits);
    EXPECT_EQ(trial.ledger->calls, calls) << "the last block in which the provider may move";
    trial.ledger->pass(1);
    EXPECT_EQ(player.step().value(), DisputePlayer::Step::timed_out);
    EXPECT_EQ(trial.segment().state, SegmentState::void_);
    EXPECT_EQ(player.step().value(), DisputePlayer::Step::over);
    calls = trial.ledger->calls;
    trial.segment().state = SegmentState::disputed;  // a node that does not know of it yet
    trial.ledger->jobs[0].segments[0].dispute = open;
    EXPECT_EQ(player.step().value(), DisputePlayer::Step::waits);
    EXPECT_EQ(trial.ledger->calls, calls) << "once";
}

TEST(accuse, a_validator_that_wins_by_the_clock_does_not_wait_for_its_turn_to_say_so) {
    Trial trial(false_sum());
    trial.run_until(SegmentState::disputed);
    const auto& book = trial.ledger->jobs[0].segments[0];
    size_t own = 0;
    while (trial.market_of(own).self() != book.dispute.challenger) ++own;
    if (book.dispute.is_challengers) trial.workers[own]->tick();
    ASSERT_FALSE(book.dispute.is_challengers) << "now it waits";
    // The right goes round every four blocks: rank 0 has it where the number is below 4, modulo 12.
    const uint64_t round = (trial.segment().phase_deadline / 12 + 1) * 12;
    trial.ledger->block = round + 4 * ((own + 1) % 3);
    trial.workers[(own + 2) % 3]->tick();
    EXPECT_EQ(trial.segment().state, SegmentState::disputed) << "neither its turn nor its game";
    trial.workers[own]->tick();
    EXPECT_EQ(trial.segment().state, SegmentState::void_) << trial.said;
}

TEST(accuse, who_verifies_a_job_ends_the_game_of_a_provider_that_does_not_move_and_says_so) {
    namespace cli = node::cli;
    Trial trial(false_sum());
    trial.run_until(SegmentState::appealed);
    ASSERT_TRUE(open_dispute(trial.market_of(0), 0, 0, Uint256(1000)));
    const cli::Output out{true, true};
    cli::VerifyArgs args;
    args.job = 0, args.yes = true;
    JobWatch watch({});
    cli::ProgressLine bar(out);
    cli::Objector objector(out, args, Court::referee, trial.market_of(0), watch, bar,
                           trial.verifiers[0], trial.file("bonds.csv"));
    testing::internal::CaptureStdout();
    objector.play(0, trial.segment());
    trial.ledger->block = trial.segment().phase_deadline + 1;
    objector.play(0, trial.segment());
    EXPECT_EQ(testing::internal::GetCapturedStdout(),
              "{\"event\":\"timed out\",\"job\":0,\"segment\":0}\n");
    EXPECT_EQ(trial.segment().state, SegmentState::void_);
}

TEST(accuse, a_bond_that_is_beyond_limit_or_account_is_not_put_up) {
    Trial trial(false_sum());
    trial.run_until(SegmentState::appealed);
    const auto refusal = [&](uint64_t limit) {
        return open_dispute(trial.market_of(0), 0, 0, Uint256(limit)).error();
    };
    EXPECT_NE(refusal(1).find("and the limit is"), std::string::npos);
    auto& book = trial.ledger->jobs[0].segments[0];
    book.disputed_by.insert(trial.market_of(0).self());
    book.dispute.lost = 30;
    EXPECT_NE(refusal(uint64_t{1} << 40).find("and the account has"), std::string::npos);
    EXPECT_EQ(trial.segment().state, SegmentState::appealed);
}

}  // namespace
}  // namespace trainyard::test
