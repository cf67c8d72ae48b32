// SPDX-License-Identifier: Apache-2.0
// What is computed for disputes and convictions: in which order, how often, and with what failures.
#include "node/provider/defence.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "core/hash.hpp"
#include "node/provider/job_folder.hpp"
#include "tests/state/temporary_folder.hpp"
#include "tests/training/small_program.hpp"
#include "training/cpu/backend.hpp"
#include "training/referee/start.hpp"

namespace trainyard::node::provider {
namespace {

namespace referee = training::referee;

constexpr uint32_t kSegments = 3;

/// A job whose segments have been trained, and a background that runs when it is told to.
class Defending : public ::testing::Test {
protected:
    void SetUp() override {
        auto gpt = training::small_options();
        gpt.steps = kSegments, gpt.segment_length = 1, gpt.warmup = 1;
        job_.program = *training::make_gpt(gpt);
        job_.data = training::make_text(4000);
        job_.run_seed = training::seed_of(5);
        job_.folder = folder_.path();
        job_.segments = kSegments;
        job_.steps_per_segment = 1;
        job_.make_backend = [] { return training::make_cpu_backend({}); };
        job_.background = [](const std::function<void()>& task) { task(); };
        Trainer trainer(job_);
        trainer.go_on(0);
        for (uint32_t seg = 0; seg < kSegments; ++seg) records_.push_back(*trainer.take(seg));
    }
    [[nodiscard]] std::unique_ptr<Defence> defence() {
        return std::make_unique<Defence>(DefenceOptions{
            std::make_shared<TrainerOptions>(job_),
            [this] {
                ++hosts_;
                return training::make_cpu_backend({});
            },
            [this](std::function<void()> task) { tasks_.push_back(std::move(task)); }});
    }
    [[nodiscard]] Defence::Question conviction(uint32_t seg, uint64_t deadline) const {
        const auto claim = claim_of(records_[seg]);
        return {seg, deadline, {}, {}, claim.steps_root, claim.last_root};
    }
    void work() {
        for (; !tasks_.empty(); tasks_.pop_front()) tasks_.front()();
    }

    /// Of a dispute that has just begun; the referee takes it.
    void ask_for_first_move(Defence& defence, uint32_t seg) {
        const auto& record = records_[seg];
        const Bytes state = referee::encode_state(*referee::start(referee::encode_claim(
            {training::program_id(job_.program), job_.run_seed, job_.program.run.micro_batches,
             last_loss_bits(record), claim_of(record)})));
        defence.ask({seg, 100, keccak256(state), state});
        work();
        const auto answer = defence.answer(seg, keccak256(state));
        ASSERT_TRUE(answer && answer->failure.empty()) << answer->failure;
        EXPECT_TRUE(referee::play(*referee::decode_state(answer->state), answer->move));
    }

    state::TemporaryFolder folder_;
    TrainerOptions job_;
    int hosts_ = 0;  ///< host back ends made
    std::vector<training::SegmentRecord> records_;
    std::deque<std::function<void()>> tasks_;
};

TEST_F(Defending, what_is_due_first_is_replayed_first_and_once) {
    std::vector<std::string> known;  // which answers there were whenever a replay began
    Defence* asked = nullptr;
    job_.make_backend = [&] {
        std::string now;
        for (uint32_t seg = 0; seg < kSegments; ++seg)
            if (asked->answer(seg, {})) now += std::to_string(seg);
        known.push_back(now);
        return training::make_cpu_backend({});
    };
    const auto defence = this->defence();
    asked = defence.get();
    defence->ask(conviction(0, 300));
    defence->ask(conviction(1, 100));
    defence->ask(conviction(2, 200));
    EXPECT_EQ(tasks_.size(), 1u) << "one at a time";
    EXPECT_FALSE(defence->answer(1, {}));
    work();
    EXPECT_EQ(known, (std::vector<std::string>{"", "1", "12"}));
    for (uint32_t seg = 0; seg < kSegments; ++seg) {
        const auto answer = defence->answer(seg, {});
        ASSERT_TRUE(answer && answer->replay) << seg;
        EXPECT_EQ(answer->replay->steps_root, claim_of(records_[seg]).steps_root) << seg;
        EXPECT_EQ(answer->replay->last_root, records_[seg].states.last) << seg;
    }
    EXPECT_EQ(hosts_, 0);
}

TEST_F(Defending, what_a_replay_gives_otherwise_the_host_gives_again_before_it_counts) {
    const auto defence = this->defence();
    auto asked = conviction(1, 100);
    asked.last_root = training::seed_of(9);
    defence->ask(asked);
    work();
    const auto answer = defence->answer(1, {});
    ASSERT_TRUE(answer && answer->replay) << answer->failure;
    EXPECT_EQ(answer->replay->last_root, records_[1].states.last);
    EXPECT_EQ(hosts_, 1);
}

TEST_F(Defending, a_device_that_fails_is_replaced_by_the_host) {
    job_.make_backend = [] {
        struct Failing final : training::cpu::CpuBackend {
            Failing() : CpuBackend(training::kernels_for(training::CpuPath::scalar), 1) {}
            Result<training::BackendStatus, training::BackendError> finish() override {
                return unexpected(training::BackendError::device_failed);
            }
        };
        return std::make_unique<Failing>();
    };
    const auto defence = this->defence();
    defence->ask(conviction(1, 100));
    work();
    const auto answer = defence->answer(1, {});
    ASSERT_TRUE(answer && answer->replay) << answer->failure;
    EXPECT_EQ(answer->replay->last_root, records_[1].states.last);
    EXPECT_EQ(hosts_, 1);
    ask_for_first_move(*defence, 1);
    EXPECT_EQ(hosts_, 3) << "beside the device, and without it";
}

TEST_F(Defending, two_games_keep_what_they_have_computed) {
    const auto defence = this->defence();
    for (const uint32_t seg : {0U, 1U, 2U}) ask_for_first_move(*defence, seg);
    EXPECT_EQ(hosts_, 3);
    for (const uint32_t seg : {2U, 1U, 2U}) ask_for_first_move(*defence, seg);
    EXPECT_EQ(hosts_, 3);
    ask_for_first_move(*defence, 0);
    EXPECT_EQ(hosts_, 4) << "the first game had to make room";
    ask_for_first_move(*defence, 2);
    EXPECT_EQ(hosts_, 4);
    defence->forget(2);
    ask_for_first_move(*defence, 2);
    EXPECT_EQ(hosts_, 5);
}

TEST_F(Defending, what_nobody_asks_for_any_more_is_thrown_away) {
    auto defence = this->defence();
    defence->ask({0, 100, {}, {}});
    defence->forget(0);
    work();
    EXPECT_FALSE(defence->is_asked(0, {}));
    defence->ask({0, 100, {}, {}});
    defence.reset();
    work();  // nothing is there any more
}

TEST_F(Defending, says_why_there_is_no_answer) {
    const auto defence = this->defence();
    const Hash state_hash = training::seed_of(1);
    defence->ask({1, 100, state_hash, Bytes{1, 2, 3}});
    work();
    ASSERT_TRUE(defence->answer(1, state_hash));
    EXPECT_EQ(defence->answer(1, state_hash)->failure,
              "the chain's state of the game asks us for no move");
    EXPECT_FALSE(defence->answer(1, {})) << "of another question";
    JobFolder(job_.folder, job_.program).forget_before(2);
    defence->ask(conviction(1, 100));
    work();
    EXPECT_EQ(defence->answer(1, {})->failure, "the state before segment 1 is lost");
}

}  // namespace
}  // namespace trainyard::node::provider
