// SPDX-License-Identifier: Apache-2.0
// Segments that nobody takes, and those that nobody waits for any more.
#include "node/provider/trainer.hpp"

#include <utility>

#include <gtest/gtest.h>

#include "node/wallet/files.hpp"
#include "tests/state/temporary_folder.hpp"
#include "tests/training/forgetting_backend.hpp"
#include "tests/training/image_programs.hpp"
#include "tests/training/small_program.hpp"
#include "training/cpu/backend.hpp"

namespace trainyard::node::provider {
namespace {

constexpr uint32_t kSegments = 6;

class training_ahead : public ::testing::Test {
protected:
    [[nodiscard]] TrainerOptions options() const {
        TrainerOptions out;
        auto gpt = training::small_options();
        gpt.steps = kSegments, gpt.segment_length = 1, gpt.warmup = 1;
        out.program = *training::make_gpt(gpt);
        out.data = training::make_text(4000);
        out.run_seed = training::seed_of(5);
        out.folder = folder_.path();
        out.segments = kSegments;
        out.steps_per_segment = 1;
        out.make_backend = [] { return training::make_cpu_backend({}); };
        out.background = [](const std::function<void()>& task) { task(); };
        return out;
    }
    [[nodiscard]] bool has(const std::string& name) const {
        return wallet::file_exists(folder_.path() + "/" + name);
    }
    state::TemporaryFolder folder_;
};

TEST_F(training_ahead, goes_on_where_what_it_finished_was_committed_without_it) {
    Trainer trainer(options());
    trainer.go_on(0);
    ASSERT_FALSE(has("state-5")) << "four ahead";
    trainer.go_on(4);
    EXPECT_FALSE(trainer.take(0));
    EXPECT_TRUE(trainer.take(4));
    EXPECT_TRUE(trainer.take(5));
    EXPECT_EQ(trainer.failure(), "");
}

/// Its third product is made of an operand with a flipped bit, once.
class ErringBackend final : public training::cpu::CpuBackend {
public:
    ErringBackend() : CpuBackend(training::kernels_for(training::CpuPath::scalar), 1) {}

private:
    void before_product(const training::cpu::ProductArgs& args, unsigned) override {
        if (++products_ == 3) const_cast<uint8_t*>(args.a)[3] ^= 0x04;
    }
    int products_ = 0;
};

TEST_F(training_ahead, tells_of_a_step_with_a_wrong_product) {
    std::vector<uint64_t> wrong;
    auto errs = options();
    errs.make_backend = [] { return std::make_unique<ErringBackend>(); };
    errs.on_step = [&](const StepNote& note) { wrong.push_back(note.wrong_products); };
    Trainer trainer(std::move(errs));
    trainer.go_on(0);
    ASSERT_GE(wrong.size(), 2U);
    EXPECT_EQ(wrong[0], 1U);
    EXPECT_EQ(wrong[1], 0U);
    EXPECT_EQ(trainer.failure(), "");
}

class forgetting_training : public training_ahead {
protected:
    static constexpr uint32_t kLong = 4;  ///< steps of a segment
    /// Whose memory flips `count` bits behind that step of the run, the first time that it is done.
    [[nodiscard]] TrainerOptions forgetting(uint32_t step, int count) {
        TrainerOptions out = of_long_segments();
        out.make_backend = [this] {
            return std::make_unique<training::ForgettingBackend>(
                [this](uint32_t) { return flips_ > 0 && flips_-- > 0; });
        };
        out.on_step = [this, step, count](const StepNote& note) {
            if (note.step == step && !std::exchange(has_begun_, true)) flips_ = count;
        };
        out.on_note = [this](std::string text) { notes_.push_back(std::move(text)); };
        return out;
    }
    [[nodiscard]] TrainerOptions of_long_segments() const {
        TrainerOptions out = options();
        auto gpt = training::small_options();
        gpt.steps = kSegments * kLong, gpt.segment_length = kLong;
        out.program = *training::make_gpt(gpt);
        out.steps_per_segment = kLong;
        return out;
    }
    /// The claims of as many segments as there are.
    static std::vector<training::SegmentRecord> run(TrainerOptions options) {
        Trainer trainer(std::move(options));
        std::vector<training::SegmentRecord> out;
        for (uint32_t seg = 0;; ++seg) {
            trainer.go_on(seg);
            auto record = trainer.take(seg);
            if (!record) break;
            out.push_back(std::move(*record));
        }
        EXPECT_EQ(trainer.failure(), "");
        return out;
    }

    int flips_ = 0;
    bool has_begun_ = false;
    std::vector<std::string> notes_;
};

TEST_F(forgetting_training, makes_a_segment_again_from_the_state_before_it) {
    state::TemporaryFolder other;
    auto sound = of_long_segments();
    sound.folder = other.path();
    const auto due = run(std::move(sound));
    ASSERT_EQ(due.size(), kSegments);
    // In the first segment and in one that has a state on disk: inside, and behind the last step.
    for (const uint32_t step : {1U, 6U, 8U, 24U}) {
        has_begun_ = false;
        notes_.clear();
        state::TemporaryFolder own;
        auto forgets = forgetting(step, 1);
        forgets.folder = own.path();
        EXPECT_EQ(run(std::move(forgets)), due) << step;
        EXPECT_EQ(notes_.size(), 1U) << step;
        EXPECT_EQ(flips_, 0);
    }
    EXPECT_EQ(notes_.at(0),
              "a bit of the weights or moments flipped in the memory of the GPU at step 4 of 4 of "
              "segment 5; nothing of it was committed, and segment 5 is trained again from its "
              "start; if it happens again, lower the clock of the GPU's memory or replace it");
}

TEST_F(forgetting_training, gives_up_memory_that_forgets_again_and_again) {
    Trainer trainer(forgetting(6, 3));
    trainer.go_on(0);
    EXPECT_TRUE(trainer.take(0));
    EXPECT_FALSE(trainer.take(1));
    EXPECT_EQ(notes_.size(), 2U);
    EXPECT_NE(trainer.failure().find("flipped in the memory of the GPU"), std::string::npos);
    trainer.try_again();
    trainer.go_on(1);
    EXPECT_TRUE(trainer.take(1));
}

TEST_F(forgetting_training, logs_a_segment_again_where_memory_forgets) {
    Trainer trainer(forgetting(1, 1));
    EXPECT_TRUE(trainer.rebuild(0));
    EXPECT_EQ(notes_.size(), 0U) << "it notes no steps";
    flips_ = 2;
    EXPECT_TRUE(trainer.rebuild(0));
    EXPECT_EQ(notes_.size(), 2U);
    flips_ = 3;
    EXPECT_FALSE(trainer.rebuild(0));
}

TEST_F(training_ahead, leaves_nothing_of_a_segment_within_which_it_is_stopped) {
    Trainer* stopped = nullptr;
    auto stops = options();
    stops.on_step = [&](const StepNote&) { stopped->stop(); };
    Trainer trainer(std::move(stops));
    stopped = &trainer;
    trainer.go_on(0);
    EXPECT_FALSE(trainer.take(0));
    EXPECT_FALSE(has("state-1"));
    EXPECT_FALSE(has("record-0"));
    EXPECT_FALSE(has("gradients-0"));
    EXPECT_TRUE(has("loss.csv")) << "it was trained";
}

constexpr uint32_t kSteps = 4;  ///< of a segment that may diverge

/// A machine on which a sound step looks as if it diverged.
class Erring final : public training::cpu::CpuBackend {
public:
    explicit Erring(uint32_t sound)
        : CpuBackend(kernels_for(training::CpuPath::best), 1), sound_(sound) {}
    Result<training::BackendStatus, training::BackendError> finish() override {
        auto status = CpuBackend::finish();
        if (sound_ > 0)
            --sound_;
        else if (status)
            status->nonfinite = true;
        return status;
    }

private:
    uint32_t sound_;  ///< reports before the wrong one
};

class diverging_training : public training_ahead {
protected:
    [[nodiscard]] TrainerOptions of(training::Program program, Bytes data) const {
        TrainerOptions out = options();
        out.program = std::move(program);
        out.data = std::move(data);
        out.steps_per_segment = kSteps;
        out.make_host_backend = out.make_backend;
        return out;
    }
    [[nodiscard]] TrainerOptions diverging() const {
        return of(training::diverging_program(kSegments * kSteps), training::shapes_data());
    }
    /// Of segments that have an end.
    [[nodiscard]] TrainerOptions sound() const {
        auto gpt = training::small_options();
        gpt.segment_length = kSteps;
        return of(*training::make_gpt(gpt), training::make_text(4000));
    }
    /// Trains until it stops, and takes what is finished.
    static uint32_t run(Trainer& trainer) {
        uint32_t seg = 0;
        for (trainer.go_on(0); trainer.take(seg); trainer.go_on(seg)) ++seg;
        return seg;
    }
};

TEST_F(diverging_training, ends_at_the_step_that_a_second_run_finds_too) {
    uint32_t steps = 0;
    auto counts = diverging();
    counts.attempt = 3;
    counts.on_step = [&](const StepNote& note) { steps = note.step; };
    Trainer trainer(counts);
    const uint32_t finished = run(trainer);
    const auto found = trainer.divergence();
    ASSERT_TRUE(found) << trainer.failure();
    EXPECT_EQ(trainer.failure(), "");
    EXPECT_EQ(found->seg, finished);
    EXPECT_EQ(finished * kSteps + found->step, steps + 1) << "one after the last that has a result";
    EXPECT_FALSE(has("gradients-" + std::to_string(finished)));
    const auto first = *state_before(counts, finished);
    EXPECT_EQ(found->first_root, training::state_root(first, training::program_id(counts.program)));
    const auto kept_of_attempt = [&] {
        return JobFolder(folder_.path(), counts.program).load_divergence(finished)->attempt;
    };
    EXPECT_EQ(kept_of_attempt(), 3U);
    steps = 0;
    Trainer again(counts);
    again.go_on(finished);
    EXPECT_EQ(again.divergence(), found);
    EXPECT_EQ(steps, 0U) << "it was kept";
    ++counts.attempt;
    Trainer later(counts);
    later.go_on(finished);
    EXPECT_TRUE(later.divergence());
    EXPECT_EQ(kept_of_attempt(), 4U)
        << "what may have been found wrong in the attempt before is computed anew";
}

TEST_F(diverging_training, is_not_claimed_where_another_run_of_the_step_has_a_result) {
    for (const uint32_t reports : {0U, 5U}) {
        auto errs = sound();
        bool is_first = true;
        errs.make_backend = [&]() -> std::unique_ptr<training::Backend> {
            if (std::exchange(is_first, false)) return std::make_unique<Erring>(reports);
            return training::make_cpu_backend({});
        };
        Trainer trainer(std::move(errs));
        trainer.go_on(0);
        EXPECT_FALSE(trainer.divergence()) << reports;
        EXPECT_NE(trainer.failure().find("but not in a second run"), std::string::npos)
            << trainer.failure();
        EXPECT_FALSE(has("divergence-0"));
        trainer.try_again();
        trainer.go_on(0);
        EXPECT_TRUE(trainer.take(0)) << "a machine that erred once goes on: " << trainer.failure();
    }
}

TEST_F(diverging_training, is_claimed_of_the_second_step_by_the_fault_that_does) {
    auto lies = sound();
    lies.fault = training::Fault::diverge;
    Trainer trainer(std::move(lies));
    trainer.go_on(0);
    const auto found = trainer.divergence();
    ASSERT_TRUE(found) << trainer.failure();
    EXPECT_EQ((std::pair{found->seg, found->step}), (std::pair{0U, 2U}));
    EXPECT_FALSE(has("divergence-0"));
}

}  // namespace
}  // namespace trainyard::node::provider
