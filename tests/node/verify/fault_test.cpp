// SPDX-License-Identifier: Apache-2.0
// A verifier that is killed, hangs, runs out of memory or loses its device still judges, or says
// why it cannot; a batch of audits gets one result for each.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <functional>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/hash.hpp"
#include "node/verify/child_verifier.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/market.hpp"
#include "tests/training/small_program.hpp"
#include "training/draws.hpp"
#include "training/referee/players.hpp"
#include "training/segment.hpp"
#include "training/state_blob.hpp"
#include "training/state_root.hpp"

namespace trainyard::node::verify {
namespace {

using namespace trainyard::training;

/// A trained segment with its audit, made once; `matching` is the honest claim.
struct Trained {
    Program program = *make_gpt(small_options());
    Bytes text = make_text(4000);
    JobCase job;
    Audit matching, wrong;
    ReplayRequest replay;

    Trained() {
        const Bytes encoded = encode_program(program);
        job = {encoded, sha256(encoded), text, seed_of(5)};
        const auto backend = make_cpu_backend({});
        auto engine = Engine::make(program, *backend);
        EXPECT_TRUE(engine);
        ModelState state = make_initial_state(program, seed_of(5));
        auto log = run_segment(*engine, state, text, {6, Fault::none, {}});
        EXPECT_TRUE(log);
        matching.segment.claim = claim_of(log->record);
        matching.segment.last_state = encode_state(state, job.program_id);
        matching.draws.units = {{0, 0}, {3, 2}};
        matching.draws.tiles = tile_draws(program, seed_of(1), 4);
        matching.bundle = *make_bundle(program, *backend, *log, matching.draws);
        replay.job = job;
        replay.claim = matching.segment.claim;
        replay.loss_bits = last_loss_bits(log->record);
        replay.last_blob = wallet::blob_id(matching.segment.last_state);
        wrong = matching;
        wrong.segment.claim.last_root.bytes[0] ^= 1;
    }
    [[nodiscard]] AuditRequest request() const { return {job, {matching}}; }
    static const Trained& get() {
        static const Trained trained;
        return trained;
    }
};

class Faults : public testing::Test {
protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() /
                  ("verify_faults_" + std::to_string(::getpid()));
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    /// A supervisor whose first `times` processes have the fault.
    ChildVerifierOptions faulty(const std::string& fault, int times) {
        const auto path = folder_ / ("run_" + fault);
        std::ofstream(path) << "#!/bin/sh\nexec " << FAULTY_VERIFIER << " " << fault << " " << times
                            << " " << (folder_ / "marks").string() << " \"$@\"\n";
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        ChildVerifierOptions options;
        options.program = path.string();
        options.timeout_ms = 60'000;
        options.say = [this](const std::string& text) { said += text + "\n"; };
        return options;
    }
    std::filesystem::path folder_;
    std::string said;
};

TEST_F(Faults, a_killed_process_is_replaced_and_the_audit_is_answered) {
    ChildVerifier verifier(faulty("kill", 1));
    const auto results = verifier.audit(Trained::get().request());
    ASSERT_TRUE(results) << results.error().text;
    EXPECT_TRUE((*results)[0]->matches) << (*results)[0]->finding;
    EXPECT_EQ(verifier.counters().died, 1u);
    EXPECT_EQ(verifier.counters().started, 2u);
    EXPECT_NE(said.find("exit code 137"), std::string::npos) << said;
}

TEST_F(Faults, a_process_that_ends_between_two_turns_of_a_dispute_does_not_end_the_dispute) {
    const auto& trained = Trained::get();
    const auto backend = make_cpu_backend({});
    auto provider = referee::Witness::make(trained.program, trained.text, *backend,
                                           {make_initial_state(trained.program, seed_of(5)), 6});
    referee::State state;
    state.claim = *provider->claim();
    state = *referee::play(state, *referee::provider_move(*provider, state));
    ChildVerifier verifier(faulty("kill", 1));
    const PickRequest turn{trained.replay, referee::encode_state(state)};
    EXPECT_EQ(verifier.pick(turn).value_or(Pick(99)), Pick());
    EXPECT_EQ(verifier.counters().died, 1u);
    ASSERT_EQ(::kill(verifier.pid(), SIGKILL), 0);
    EXPECT_EQ(verifier.pick(turn).value_or(Pick(99)), Pick());
    EXPECT_EQ(verifier.counters().started, 3u);
}

TEST_F(Faults, a_hanging_process_is_replaced_after_its_time) {
    auto options = faulty("hang", 1);
    options.timeout_ms =
        10'000;  // of which the second process needs a part, also on a busy machine
    ChildVerifier verifier(options);
    const auto results = verifier.audit(Trained::get().request());
    ASSERT_TRUE(results) << results.error().text;
    EXPECT_TRUE((*results)[0]->matches);
    EXPECT_EQ(verifier.counters().timed_out, 1u);
    EXPECT_FALSE(verifier.counters().without_cuda);
}

TEST_F(Faults, a_process_at_its_memory_limit_fails_the_audit_and_not_the_next_one) {
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "AddressSanitizer reserves more address space than any limit leaves";
#endif
    auto options = faulty("memory", 1);
    options.memory_bytes_max = uint64_t{512} << 20;
    ChildVerifier verifier(options);
    const auto results = verifier.audit(Trained::get().request());
    ASSERT_FALSE(results);
    EXPECT_EQ(results.error().code, VerifyErrorCode::out_of_memory);
    EXPECT_NE(results.error().text.find("512 MiB; raise verifier.memory-mb"), std::string::npos);
    EXPECT_EQ(verifier.counters().out_of_memory, 1u);
    EXPECT_EQ(verifier.counters().started, 1u) << "trying again would end the same way";
    EXPECT_TRUE(verifier.audit(Trained::get().request()));
}

TEST_F(Faults, a_device_that_fails_twice_is_left_for_a_while) {
    auto options = faulty("device", 100);
    options.cuda_pause_ms = 100;
    ChildVerifier verifier(options);
    const auto results = verifier.audit(Trained::get().request());
    ASSERT_TRUE(results) << results.error().text;
    EXPECT_TRUE((*results)[0]->matches);
    EXPECT_EQ(verifier.counters().device_faults, 2u);
    EXPECT_TRUE(verifier.counters().without_cuda);
    EXPECT_NE(said.find("on the CPU"), std::string::npos) << said;
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    EXPECT_EQ(verifier.name(), "cuda device") << "after the pause the device gets another chance";
    EXPECT_FALSE(verifier.counters().without_cuda);
}

TEST_F(Faults, a_batch_gets_one_result_for_each_audit) {
    ChildVerifier verifier(faulty("none", 0));
    const auto& trained = Trained::get();
    AuditRequest request{trained.job, {trained.matching, trained.wrong, trained.matching}};
    request.audits[2].bundle = {1, 2, 3};
    const auto results = verifier.audit(request);
    ASSERT_TRUE(results) << results.error().text;
    ASSERT_EQ(results->size(), 3u);
    EXPECT_TRUE((*results)[0]->matches);
    EXPECT_FALSE((*results)[1]->matches);
    EXPECT_FALSE((*results)[2]->matches);
    EXPECT_EQ((*results)[0]->answers.size(), 2u);
}

/// What a replay of the trained segment gives after a change to its claim.
VerifyAnswer replayed(const std::function<void(ReplayRequest&)>& change) {
    ReplayRequest request = Trained::get().replay;
    change(request);
    const auto answer = make_local_verifier(BackendOptions{})->replay(request);
    EXPECT_TRUE(answer) << answer.error().text;
    return answer ? *answer : VerifyAnswer{};
}

TEST(replay, brings_the_state_of_its_end_where_nobody_has_it) {
    EXPECT_TRUE(replayed([](ReplayRequest&) {}).last_state.empty());
    const auto answer = replayed([](ReplayRequest& r) { r.last_bytes_max = 1 << 20; });
    EXPECT_TRUE(answer.matches) << answer.finding;
    EXPECT_EQ(answer.last_state, Trained::get().matching.segment.last_state);
}

TEST(replay, finds_a_wrong_claim_without_its_last_state_and_shows_the_right_digest) {
    const auto right = replayed([](ReplayRequest&) {});
    ASSERT_TRUE(right.matches) << right.finding;
    const std::function<void(ReplayRequest&)> lies[] = {
        [](ReplayRequest& r) { r.claim.steps_root.bytes[0] ^= 1; },
        [](ReplayRequest& r) { r.claim.last_root.bytes[0] ^= 1; },
        [](ReplayRequest& r) { r.claim.first_root.bytes[0] ^= 1; },
        [](ReplayRequest& r) { r.loss_bits ^= 1; },
    };
    for (const auto& lie : lies) {
        const auto answer = replayed([&](ReplayRequest& r) {
            lie(r);
            r.last_bytes_max = 1 << 20;
        });
        EXPECT_FALSE(answer.matches);
        EXPECT_EQ(answer.answers, right.answers) << "no excuse: " << answer.finding;
        EXPECT_TRUE(answer.last_state.empty());
    }
}

/// The trained run's second segment, with a moment that, where it is infinite, overflows in the
/// second step.
VerifyAnswer replayed_from(float moment, uint32_t diverges_at) {
    return replayed([&](ReplayRequest& r) {
        const Program& program = Trained::get().program;
        ModelState first = *decode_state(program, Trained::get().matching.segment.last_state);
        first.m.back().data[0] = moment;
        r.claim.first_step = 6;
        r.claim.first_root = state_root(first, r.job.program_id);
        r.first_state = encode_state(first, r.job.program_id);
        r.diverges_at = diverges_at;
        r.last_bytes_max = 1 << 20;
    });
}
constexpr float kInfinite = std::numeric_limits<float>::infinity();

TEST(replay, a_run_that_diverges_is_no_excuse_either) {
    const VerifyAnswer fewer = replayed_from(kInfinite, 0);
    EXPECT_FALSE(fewer.matches);
    EXPECT_EQ(fewer.finding,
              "training diverges at step 2 of 6 of segment 1, so that the segment has no end");
    ASSERT_EQ(fewer.answers.size(), 1U);
    EXPECT_NE(fewer.answers[0], wallet::kWithheld);
    EXPECT_NE(fewer.answers, replayed_from(0, 0).answers);
}

TEST(replay, a_claim_of_divergence_matches_at_that_very_step_alone) {
    const VerifyAnswer right = replayed_from(kInfinite, 2);
    EXPECT_TRUE(right.matches) << right.finding;
    EXPECT_EQ(right.finding, "match, training diverges at step 2 of 6 of segment 1");
    EXPECT_EQ(right.answers, replayed_from(kInfinite, 0).answers)
        << "the digest of the steps before, whatever was claimed";
    EXPECT_TRUE(right.last_state.empty()) << "there is none";
    for (const uint32_t step : {1U, 3U, 6U}) {
        const VerifyAnswer wrong = replayed_from(kInfinite, step);
        EXPECT_FALSE(wrong.matches);
        EXPECT_EQ(wrong.finding, "training diverges at step 2 of 6 of segment 1, and not at step " +
                                     std::to_string(step) + " of 6 of segment 1 as claimed");
        EXPECT_EQ(wrong.answers, right.answers);
    }
}

TEST(replay, a_claim_of_divergence_of_a_segment_with_an_end_brings_the_digest_of_all_of_it) {
    const VerifyAnswer whole = replayed_from(0, 0), lie = replayed_from(0, 2);
    EXPECT_FALSE(lie.matches);
    EXPECT_EQ(
        lie.finding,
        "the segment has an end, and does not diverge at step 2 of 6 of segment 1 as claimed");
    EXPECT_EQ(lie.answers, whole.answers);
    EXPECT_TRUE(lie.last_state.empty());
}

TEST(replay, a_claim_of_divergence_from_another_state_is_wrong) {
    const auto answer = replayed([](ReplayRequest& r) {
        r.claim.first_root.bytes[0] ^= 1;
        r.diverges_at = 2;
    });
    EXPECT_FALSE(answer.matches);
    EXPECT_EQ(answer.finding, "the segment starts from another state");
}

TEST(replay, a_blob_that_is_not_the_state_of_the_end_withholds_it) {
    const auto answer = replayed([](ReplayRequest& r) {
        r.last_blob.bytes[0] ^= 1;
        r.last_bytes_max = 1 << 20;
    });
    EXPECT_FALSE(answer.matches);
    EXPECT_EQ(answer.answers, std::vector<Hash>{wallet::kWithheld});
    EXPECT_TRUE(answer.last_state.empty());
}

TEST(replay, a_blob_that_is_not_the_state_before_the_segment_withholds_it) {
    const auto answer = replayed([](ReplayRequest& r) {
        r.claim.first_step = 6;
        r.first_state = Trained::get().matching.segment.last_state;
        r.claim.first_root = seed_of(9);
    });
    EXPECT_FALSE(answer.matches);
    EXPECT_EQ(answer.answers, std::vector<Hash>{wallet::kWithheld});
}

TEST(backend_choice, refuses_a_backend_with_other_bits_and_takes_the_next_one) {
    const auto choice =
        choose_among({[] { return std::unique_ptr<Backend>(); }, [] { return make_fp32_backend(); },
                      [] {
                          return make_cpu_backend({CpuPath::scalar, 1});
                      },
                      [] { return make_reference_backend(); }});
    ASSERT_EQ(choice.tested.size(), 2u);
    EXPECT_NE(to_text(choice.tested[0]).find("REFUSED, its bits are wrong: attention"),
              std::string::npos)
        << to_text(choice.tested[0]);
    EXPECT_TRUE(choice.tested[1].passed());
    ASSERT_NE(choice.backend, nullptr);
    EXPECT_EQ(choice.backend->name(), choice.tested[1].name);
}

TEST(backend_choice, a_verifier_without_one_says_so_instead_of_judging) {
    auto choice = choose_among({[] { return make_fp32_backend(); }});
    EXPECT_EQ(choice.backend, nullptr);
    const auto verifier = make_local_verifier(std::move(choice), 1);
    const auto results = verifier->audit(Trained::get().request());
    ASSERT_FALSE(results);
    EXPECT_EQ(results.error().code, VerifyErrorCode::unavailable);
    EXPECT_NE(results.error().text.find("REFUSED"), std::string::npos);
    EXPECT_FALSE(verifier->replay({}));
}

}  // namespace
}  // namespace trainyard::node::verify
