// SPDX-License-Identifier: Apache-2.0
// What training::audit_bytes says is what a verifier process takes: it judges with so much, makes
// activations again with less, and refuses with both numbers below that.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/hash.hpp"
#include "node/verify/child_verifier.hpp"
#include "node/verify/room.hpp"
#include "node/wallet/blob.hpp"
#include "tests/training/small_program.hpp"
#include "training/audit_limits.hpp"
#include "training/draws.hpp"
#include "training/referee/players.hpp"
#include "training/segment.hpp"
#include "training/state_blob.hpp"

namespace trainyard::node::verify {
namespace {

using namespace trainyard::training;

/// A segment with two units of two steps, of a model with more activations than weights.
struct Trained {
    Program program;
    Bytes text = make_text(40'000);
    AuditRequest audit;
    ReplayRequest replay;

    explicit Trained(uint32_t width) {
        GptOptions o = small_options();
        o.layers = 6, o.width = width, o.heads = 4, o.sequence = 128, o.vocabulary = 512;
        o.steps = 4, o.micro_batches = 2, o.sequences = 8, o.segment_length = 2, o.warmup = 1;
        o.held_out = 8, o.data_bytes = text.size();
        program = *make_gpt(o);
        const Bytes encoded = encode_program(program);
        const JobCase job{encoded, sha256(encoded), text, seed_of(5)};
        const auto backend = make_cpu_backend({CpuPath::best, 2});
        auto engine = Engine::make(program, *backend);
        ModelState state = make_initial_state(program, seed_of(5));
        const auto skipped = run_segment(*engine, state, text, {2, Fault::none, {}});
        const Bytes first = encode_state(state, job.program_id);
        const auto log = run_segment(*engine, state, text, {2, Fault::none, {}});
        Audit audited;
        audited.segment = {claim_of(log->record), encode_state(state, job.program_id)};
        audited.draws.units = {{2, 0}, {3, 1}};
        audited.draws.tiles = tile_draws(program, seed_of(1), 4);
        audited.bundle = *make_bundle(program, *backend, *log, audited.draws);
        const Hash last = wallet::blob_id(audited.segment.last_state);
        replay = {job, audited.segment.claim, last_loss_bits(log->record), last, 1u << 30, first};
        audit = {job, {std::move(audited)}};
    }
    [[nodiscard]] AuditUse use() const { return {2, 4, 1, make_cpu_backend({})->operand_memory()}; }
    /// With the plan that has least memory, or that with all activations kept.
    [[nodiscard]] uint64_t bytes(bool least) const {
        const Plan planned = *(least ? audit_plan(program, use(), 0) : plan(program));
        constexpr uint64_t kMiB = 1 << 20;  // limits are whole ones
        return (audit_bytes(program, planned, use()) + kMiB - 1) / kMiB * kMiB;
    }
};

class VerifierMemory : public testing::TestWithParam<uint32_t> {
protected:
    void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        GTEST_SKIP() << "sanitizers take memory of their own";
#endif
        path_ = std::filesystem::temp_directory_path() /
                ("verify_memory_" + std::to_string(::getpid()));
        std::ofstream(path_) << "#!/bin/sh\nexec " << FAULTY_VERIFIER
                             << " none 0 /dev/null \"$@\"\n";
        std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
    }
    void TearDown() override {
        std::filesystem::remove(path_);
    }
    ChildVerifierOptions with(uint64_t bytes) const {
        ChildVerifierOptions options;
        options.program = path_.string();
        options.memory_bytes_max = bytes;
        return options;
    }
    std::filesystem::path path_;
};

/// What /proc says of a process under this name, in bytes.
uint64_t status_bytes(int pid, const std::string& name) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    std::string word;
    uint64_t kib = 0;
    while (status >> word)
        if (word == name) status >> kib;
    return kib << 10;
}
/// Memory that it has resident now, and the most that it has had so far.
uint64_t resident_bytes(int pid) {
    return status_bytes(pid, "VmRSS:");
}
uint64_t peak_bytes(int pid) {
    return status_bytes(pid, "VmHWM:");
}

TEST_P(VerifierMemory, is_enough_where_the_figure_says_so_with_the_same_answers) {
    const Trained trained(GetParam());
    std::vector<VerifyAnswer> audits, replays;
    for (const bool least : {false, true}) {
        ChildVerifier verifier(with(trained.bytes(least)));
        const auto audit = verifier.audit(trained.audit);
        ASSERT_TRUE(audit) << audit.error().text;
        ASSERT_TRUE((*audit)[0]) << (*audit)[0].error().text;
        audits.push_back(*(*audit)[0]);
        const auto replay = verifier.replay(trained.replay);
        ASSERT_TRUE(replay) << replay.error().text;
        replays.push_back(*replay);
        EXPECT_EQ(verifier.counters().started, 1u);
    }
    EXPECT_TRUE(audits[0].matches && replays[0].matches);
    EXPECT_EQ(audits[0], audits[1]);
    EXPECT_EQ(replays[0], replays[1]);
}

TEST_P(VerifierMemory, is_what_the_figure_says_and_not_half_of_it) {
    const Trained trained(GetParam());
    for (const bool least : {false, true}) {
        const uint64_t figure = trained.bytes(least);
        ChildVerifier verifier(with(figure));
        static_cast<void>(verifier.name());
        const uint64_t idle =
            resident_bytes(verifier.pid());  // the self-test's peak is no part of it
        ASSERT_TRUE(verifier.audit(trained.audit));
        ASSERT_TRUE(verifier.replay(trained.replay));
        const uint64_t peak = peak_bytes(verifier.pid());
        RecordProperty(least ? "idle_least" : "idle_most", std::to_string(idle));
        RecordProperty(least ? "least" : "most",
                       std::to_string(figure) + " peak " + std::to_string(peak));
        EXPECT_LE(peak, figure);
        if (least) continue;
        EXPECT_GE(2 * (peak - idle), figure - process_bytes(1)) << idle << " of " << peak;
    }
}

TEST_P(VerifierMemory, that_is_too_little_refuses_with_both_numbers_and_without_dying) {
    const Trained trained(GetParam());
    const uint64_t limit = trained.bytes(true) - (uint64_t{1} << 20) * 8;
    ChildVerifier verifier(with(limit));
    const auto audit = verifier.audit(trained.audit);
    const auto replay = verifier.replay(trained.replay);
    EXPECT_FALSE(audit && replay) << "the larger of the two needs more";
    const VerifyError error = audit ? replay.error() : audit.error();
    EXPECT_EQ(error.code, VerifyErrorCode::out_of_memory);
    EXPECT_NE(error.text.find(" needs "), std::string::npos) << error.text;
    EXPECT_NE(
        error.text.find("may take " + std::to_string(limit >> 20) + "; raise verifier.memory-mb"),
        std::string::npos)
        << error.text;
    EXPECT_GE(verifier.counters().out_of_memory, 1u);
    EXPECT_EQ(verifier.counters().died, 0u);
    EXPECT_EQ(verifier.counters().started, 1u) << "the process lives on";
}

/// The MiB that a dispute is said to need.
uint64_t dispute_mib(const Program& program) {
    const std::string text = Room(1, 1).holds_dispute(program).error().text;
    return std::stoull(text.substr(text.find(" needs ") + 7));
}

/// Plays the provider, of whose units one value is wrong, until it has nothing to show.
void play_out(const Trained& trained, Verifier& challenger) {
    const auto backend = make_cpu_backend({CpuPath::best, 2});
    const auto& job = trained.replay.job;
    referee::Slip slip;
    slip.step = 1, slip.index = referee::first_yield(trained.program) + 20, slip.bits = 0x3f800000;
    auto first =
        decode_state(trained.program, trained.replay.first_state, trained.replay.claim.first_root);
    auto provider =
        referee::Witness::make(trained.program, job.data, *backend, {std::move(*first), 2, slip});
    referee::State state;
    state.claim = *provider->claim();
    PickRequest turn{trained.replay, {}};
    turn.segment.claim = state.claim.segment;
    for (int picks = 0;;) {
        const bool shows = turn_of(state.phase) == referee::Turn::provider;
        Bytes move;
        if (shows) {
            move = *referee::provider_move(*provider, state);
        } else {
            turn.state = referee::encode_state(state);
            const auto pick = challenger.pick(turn);
            ASSERT_TRUE(pick) << pick.error().text;
            ASSERT_TRUE(*pick);
            move = referee::move::pick(**pick);
            ++picks;
        }
        const auto next = referee::play(state, move);
        if (!next) {
            ASSERT_TRUE(shows && picks > 4) << picks;
            return;
        }
        state = *next;
    }
}

TEST_P(VerifierMemory, is_enough_for_a_dispute_where_the_figure_says_so) {
    const Trained trained(GetParam());
    const uint64_t figure = dispute_mib(trained.program) << 20;
    EXPECT_FALSE(Room(figure - (uint64_t{1} << 20), 1).holds_dispute(trained.program));
    EXPECT_TRUE(Room(figure, 1).holds_dispute(trained.program));
    ChildVerifier verifier(with(figure));
    play_out(trained, verifier);
    EXPECT_EQ(verifier.counters().started, 1u);
    const uint64_t peak = peak_bytes(verifier.pid());
    RecordProperty("dispute", std::to_string(figure) + " peak " + std::to_string(peak));
    EXPECT_LE(peak, figure);
    EXPECT_GE(3 * peak, figure) << "not three times what it takes";
}

INSTANTIATE_TEST_SUITE_P(sizes, VerifierMemory, testing::Values(64, 256));

}  // namespace
}  // namespace trainyard::node::verify
