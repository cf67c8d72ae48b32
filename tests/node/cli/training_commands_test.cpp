// SPDX-License-Identifier: Apache-2.0
// Data, program, training, evaluation and samples through the commands themselves, per template.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "node/cli/commands.hpp"
#include "node/cli/model_folder.hpp"
#include "node/data/png.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/files.hpp"
#include "tests/training/image_programs.hpp"
#include "training/safetensors.hpp"

namespace trainyard::node::cli {
namespace {

class TrainingCommands : public testing::Test {
protected:
    TrainingCommands()
        : folder_(std::filesystem::temp_directory_path() /
                  ("trainyard-commands-" + std::to_string(getpid()))) {
        std::filesystem::create_directories(folder_);
        out_.quiet = true;
    }
    ~TrainingCommands() override { std::filesystem::remove_all(folder_); }
    [[nodiscard]] std::string at(const std::string& name) const { return folder_ / name; }

    void make_shapes() const {
        DataArgs data;
        data.out = at("shapes.tyd");
        data.count = 200;
        ASSERT_EQ(run_data_shapes(out_, data), kOk);
        data.path = data.out;
        ASSERT_EQ(run_data_inspect(out_, data), kOk);
    }
    int make(const std::string& name, const std::string& data) const {
        ProgramArgs args;
        args.data = at(data), args.out = at("program");
        args.gpt.name = name;
        args.gpt.steps = 2, args.gpt.micro_batches = 1, args.gpt.sequences = 2;
        args.gpt.channels = 8, args.gpt.layers = 1, args.gpt.width = 16, args.gpt.heads = 2;
        args.gpt.sequence = 16;
        return run_program_new(out_, args);
    }
    int train(const std::string& data, const std::string& out = "model") const {
        TrainArgs args;
        args.program = at("program"), args.data = at(data), args.out = at(out);
        args.no_cuda = true;
        return run_train(out_, args);
    }
    int evaluate(const std::string& data) const {
        EvalArgs args;
        args.model = at("model"), args.data = at(data), args.no_cuda = true;
        return run_eval(out_, args);
    }
    int sample() const {
        SampleArgs args;
        args.model = at("model"), args.count = 4, args.steps = 3, args.out = at("samples.png");
        return run_sample(out_, args);
    }

    std::filesystem::path folder_;
    Output out_;
};

TEST_F(TrainingCommands, write_no_model_where_another_process_does) {
    make_shapes();
    ASSERT_EQ(make("mlp", "shapes.tyd"), kOk);
    {
        const auto other = hold_model_folder(at("model"));
        ASSERT_TRUE(other);
        EXPECT_EQ(train("shapes.tyd"), kFailed);
    }
    EXPECT_EQ(train("shapes.tyd"), kOk);
}

TEST_F(TrainingCommands, remove_what_a_killed_run_left_half_written) {
    make_shapes();
    ASSERT_EQ(make("mlp", "shapes.tyd"), kOk);
    std::filesystem::create_directories(at("model"));
    for (const char* name : {"checkpoint.tmp4711", "model.safetensors.tmp4711", "notes.tmp1"})
        ASSERT_TRUE(wallet::write_text(at("model/") + name, "half"));
    EXPECT_EQ(train("shapes.tyd"), kOk);
    EXPECT_FALSE(wallet::file_exists(at("model/checkpoint.tmp4711")));
    EXPECT_FALSE(wallet::file_exists(at("model/model.safetensors.tmp4711")));
    EXPECT_TRUE(wallet::file_exists(at("model/notes.tmp1")));  // not its own
}

TEST_F(TrainingCommands, leave_nothing_of_the_model_that_they_replace) {
    ASSERT_TRUE(wallet::write_text(at("text"), std::string(3000, 'x')));
    ASSERT_EQ(make("gpt", "text"), kOk);
    ASSERT_EQ(train("text"), kOk);
    EXPECT_TRUE(wallet::file_exists(at("model/tokenizer.json")));
    for (const char* name : {"constants.safetensors", "notes"})
        ASSERT_TRUE(wallet::write_text(at("model/") + name, "of a model with frozen weights"));
    make_shapes();
    ASSERT_EQ(make("mlp", "shapes.tyd"), kOk);
    ASSERT_EQ(train("shapes.tyd"), kOk);
    ASSERT_EQ(train("shapes.tyd", "fresh"), kOk);
    EXPECT_TRUE(wallet::file_exists(at("model/notes")));
    wallet::remove_file(at("model/notes"));
    EXPECT_EQ(wallet::list_folder(at("model")), wallet::list_folder(at("fresh")));
}

TEST_F(TrainingCommands, know_what_the_disk_has_room_for) {
    const std::string folder = at("not/there/yet");
    EXPECT_EQ(why_no_room(folder, 1), "");
    EXPECT_NE(why_no_room(folder, uint64_t{1} << 62).find("MiB are free"), std::string::npos);
    EXPECT_EQ(why_no_room(folder, uint64_t{1} << 62, uint64_t{1} << 62), "");
}

TEST_F(TrainingCommands, replace_no_model_that_came_from_elsewhere) {
    const auto always = [](const ModelProof&) { return true; };
    const auto never = [](const ModelProof&) { return false; };
    EXPECT_EQ(why_not_replaced(at("model"), never), "");
    make_shapes();
    ASSERT_EQ(make("mlp", "shapes.tyd"), kOk);
    ASSERT_EQ(train("shapes.tyd"), kOk);
    EXPECT_EQ(why_not_replaced(at("model"), always), "");
    EXPECT_NE(why_not_replaced(at("model"), never).find("another model"), std::string::npos);
    wallet::remove_file(at("model/trainyard.json"));  // a model of another program, say
    EXPECT_NE(why_not_replaced(at("model"), always).find("another model"), std::string::npos);
}

TEST_F(TrainingCommands, run_every_template_of_images) {
    make_shapes();
    for (const char* name : {"mlp", "cnn", "diffusion"}) {
        ASSERT_EQ(make(name, "shapes.tyd"), kOk) << name;
        ASSERT_EQ(train("shapes.tyd"), kOk) << name;
        EXPECT_EQ(evaluate("shapes.tyd"), kOk) << name;
        EXPECT_EQ(sample(), std::string(name) == "diffusion" ? kOk : kFailed) << name;
    }
    const auto png = wallet::read_file(at("samples.png"), 1 << 20);
    ASSERT_TRUE(png);
    EXPECT_EQ(data::read_png(*png, 1024)->height, 2U * (16 * 4 + 1) + 1);
}

TEST_F(TrainingCommands, a_path_that_the_machine_lacks_is_refused) {
    make_shapes();
    ASSERT_EQ(make("mlp", "shapes.tyd"), kOk);
    TrainArgs args;
    args.program = at("program"), args.data = at("shapes.tyd"), args.out = at("model");
    args.cpu_path = "scalar", args.dry_run = true;
    EXPECT_EQ(run_train(out_, args), kOk);
    for (const auto path : training::kCpuPaths)
        if (!training::cpu_has(path)) {
            args.cpu_path = training::to_text(path);
            EXPECT_EQ(run_train(out_, args), kFailed) << args.cpu_path;
        }
}

TEST_F(TrainingCommands, run_gpt_with_a_tokenizer_and_lora_on_it) {
    std::string text;
    for (int i = 0; i < 300; ++i) text += "the train leaves at " + std::to_string(i) + "\n";
    ASSERT_TRUE(wallet::write_text(at("text"), text));
    DataArgs data;
    data.path = at("text"), data.out = at("text.tyd"), data.merges = 20;
    ASSERT_EQ(run_data_prepare(out_, data), kOk);
    ProgramArgs args;
    args.data = data.out, args.out = at("program");
    args.gpt.tokenizer = data.out + ".tokenizer";
    args.gpt.steps = 2, args.gpt.layers = 1, args.gpt.width = 16, args.gpt.sequence = 16;
    ASSERT_EQ(run_program_new(out_, args), kOk);
    ASSERT_EQ(train("text.tyd"), kOk);
    SampleArgs to_file;
    to_file.model = at("model"), to_file.out = at("said"), to_file.prompt = "train",
    to_file.count = 5;
    EXPECT_EQ(run_sample(out_, to_file), kOk);
    EXPECT_TRUE(wallet::read_text(at("said"), 1000)->starts_with("train"));
    to_file.out = at("no/such/folder");
    EXPECT_EQ(run_sample(out_, to_file), kFailed);
    EXPECT_EQ(sample(), kOk);
    args.model = at("model"), args.data = at("text"), args.data_out = at("lora.tyd"), args.rank = 2;
    ASSERT_EQ(run_program_finetune(out_, args), kOk);
    ASSERT_EQ(train("lora.tyd"), kOk);
    EXPECT_EQ(evaluate("lora.tyd"), kOk);
    EXPECT_EQ(sample(), kOk);
    const auto model = wallet::read_file(at("model") + "/model.safetensors", 1 << 24);
    ASSERT_TRUE(model);
    EXPECT_TRUE(training::read_safetensors(*model));
    std::filesystem::remove(at("model") + "/constants.safetensors");
    EXPECT_FALSE(read_model_folder(at("model")));
}

TEST_F(TrainingCommands, a_run_that_diverges_names_its_step_from_one_as_progress_does) {
    constexpr uint32_t kSteps = 20;
    const Bytes data = training::shapes_data();
    const auto program = training::diverging_program(kSteps, wallet::blob_id(data));
    ASSERT_TRUE(wallet::write_file(at("data"), data));
    ASSERT_TRUE(wallet::write_file(at("program"), training::encode_program(program)));
    out_.json = true;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ(train("data"), kFailed);
    const std::string done = testing::internal::GetCapturedStdout();
    const auto lines = std::count(done.begin(), done.end(), '\n');
    const std::string expected = "at step " + std::to_string(lines + 1) + " of 20";
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find(expected), std::string::npos) << said;
}

TEST_F(TrainingCommands, rejects_data_of_another_kind_or_run) {
    make_shapes();
    ASSERT_TRUE(wallet::write_text(at("text"), std::string(4000, 'x')));
    EXPECT_EQ(make("cnn", "text"), kFailed);
    EXPECT_EQ(make("gpt", "shapes.tyd"), kFailed);
    EXPECT_EQ(make("rnn", "text"), kFailed);
    ASSERT_EQ(make("gpt", "text"), kOk);
    EXPECT_EQ(train("shapes.tyd"), kFailed);
}

}  // namespace
}  // namespace trainyard::node::cli
