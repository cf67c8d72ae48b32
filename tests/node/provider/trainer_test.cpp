// SPDX-License-Identifier: Apache-2.0
// Segments that nobody takes, and those that nobody waits for any more.
#include "node/provider/trainer.hpp"

#include <gtest/gtest.h>

#include "node/wallet/files.hpp"
#include "tests/state/temporary_folder.hpp"
#include "tests/training/small_program.hpp"

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

}  // namespace
}  // namespace trainyard::node::provider
