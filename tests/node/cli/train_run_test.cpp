// SPDX-License-Identifier: Apache-2.0
// Runs of `trainyard train` whose memory forgets, alone and in a crew: back to the checkpoint.
#include "node/cli/train_run.hpp"

#include <array>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/wallet/files.hpp"
#include "tests/state/temporary_folder.hpp"
#include "tests/training/forgetting_backend.hpp"
#include "tests/training/thread_crew.hpp"

namespace trainyard::node::cli {
namespace {

constexpr uint32_t kSteps = 6, kCheckpointEvery = 2, kProcesses = 2;

/// The back end of one run, which counts its updates.
struct Machine {
    std::function<bool(uint32_t update)> forgets = [](uint32_t) { return false; };
    uint32_t updates = 0;

    [[nodiscard]] MakeBackend make_backend() {
        return [this](const training::Program&, const verify::BackendOptions&) {
            return std::make_unique<training::ForgettingBackend>(
                [this](uint32_t done) { return forgets(updates = done); });
        };
    }
};

class TrainRuns : public testing::Test {
protected:
    TrainRuns() {
        out_.quiet = true;
        DataArgs data;
        data.out = at("data"), data.count = 200;
        EXPECT_EQ(run_data_shapes(out_, data), kOk);
        ProgramArgs program;
        program.data = data.out, program.out = at("program");
        program.gpt.name = "mlp", program.gpt.layers = 1, program.gpt.width = 16;
        program.gpt.steps = kSteps, program.gpt.micro_batches = kProcesses;
        program.gpt.sequences = 2;
        EXPECT_EQ(run_program_new(out_, program), kOk);
    }
    [[nodiscard]] std::string at(const std::string& name) const {
        return folder_.path() + "/" + name;
    }
    int train(const std::string& out, Machine& machine,
              std::unique_ptr<training::Crew> crew = nullptr) const {
        TrainArgs args;
        args.program = at("program"), args.data = at("data"), args.out = at(out);
        args.checkpoint_every = kCheckpointEvery;
        return run_training(out_, args, {machine.make_backend(), std::move(crew)});
    }
    using Machines = std::array<Machine, kProcesses>;
    /// Exit codes of processes with these folders.
    std::vector<int> train_together(const std::array<std::string, kProcesses>& outs,
                                    Machines& machines) const {
        tests::Meeting meeting(kProcesses);
        std::vector<int> codes(kProcesses);
        std::vector<std::thread> threads;
        for (uint32_t rank = 0; rank < kProcesses; ++rank)
            threads.emplace_back([&, rank] {
                codes[rank] = train(outs[rank], machines[rank],
                                    std::make_unique<tests::ThreadCrew>(meeting, rank));
            });
        for (auto& thread : threads) thread.join();
        return codes;
    }
    /// Leaves a checkpoint of step 2 there.
    void give_up_in(const std::string& out) const {
        Machine forgets{[](uint32_t update) { return update > 2; }};
        EXPECT_EQ(train(out, forgets), kFailed);
        EXPECT_EQ(forgets.updates, 2 + 1 + 3U) << "from the start, and three times from there";
        EXPECT_TRUE(wallet::file_exists(at(out) + "/checkpoint"));
    }
    [[nodiscard]] std::vector<Bytes> model(const std::string& out) const {
        std::vector<Bytes> files;
        for (const char* name : {"/model.safetensors", "/loss.csv"}) {
            auto file = wallet::read_file(at(out) + name, 1 << 20);
            EXPECT_TRUE(file) << out << name;
            if (file) files.push_back(*std::move(file));
        }
        return files;
    }
    [[nodiscard]] std::vector<Bytes> sound_model() const {
        Machine sound;
        EXPECT_EQ(train("sound", sound), kOk);
        EXPECT_EQ(sound.updates, kSteps);
        return model("sound");
    }

    state::TemporaryFolder folder_;
    Output out_;
};

TEST_F(TrainRuns, go_back_to_the_checkpoint_where_memory_forgets) {
    const auto due = sound_model();
    for (const uint32_t at : {1U, 2U, 4U, 6U}) {
        const std::string out = "forgets-" + std::to_string(at);
        Machine once{[at](uint32_t update) { return update == at; }};
        EXPECT_EQ(train(out, once), kOk) << at;
        const uint32_t kept = (at - 1) / kCheckpointEvery * kCheckpointEvery;
        EXPECT_EQ(once.updates, at + kSteps - kept) << "on from the checkpoint of step " << kept;
        EXPECT_EQ(model(out), due) << at;
    }
}

TEST_F(TrainRuns, give_up_memory_that_forgets_again_and_again) {
    const auto due = sound_model();
    give_up_in("again");
    Machine sound;
    EXPECT_EQ(train("again", sound), kOk);
    EXPECT_EQ(sound.updates, kSteps - 2) << "the checkpoint stays for who mends the machine";
    EXPECT_EQ(model("again"), due);
}

TEST_F(TrainRuns, go_back_with_all_processes_of_a_crew) {
    const auto due = sound_model();
    for (const uint32_t who : {0U, 1U}) {
        const std::string out = "together-" + std::to_string(who);
        Machines machines;
        machines[who].forgets = [](uint32_t update) { return update == 4; };
        EXPECT_EQ(train_together({out, out}, machines), std::vector<int>(kProcesses, kOk)) << who;
        for (const auto& machine : machines) EXPECT_EQ(machine.updates, 4 + kSteps - 2) << who;
        EXPECT_EQ(model(out), due) << who;
    }
}

TEST_F(TrainRuns, end_where_processes_see_other_checkpoints) {
    give_up_in("seen");
    for (const auto& outs : {std::array<std::string, kProcesses>{"seen", "unseen"},
                             std::array<std::string, kProcesses>{"unseen", "seen"}}) {
        Machines machines;
        testing::internal::CaptureStderr();
        EXPECT_EQ(train_together(outs, machines), std::vector<int>(kProcesses, kFailed));
        EXPECT_THAT(testing::internal::GetCapturedStderr(),
                    testing::HasSubstr("error: processes begin after different steps"));
        for (const auto& machine : machines) EXPECT_EQ(machine.updates, 0U);
    }
}

}  // namespace
}  // namespace trainyard::node::cli
