// SPDX-License-Identifier: Apache-2.0
// The flags of `job submit` from a file: which one wins, what is refused, and that a file that was
// printed says the same when it is read.
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "node/cli/app.hpp"
#include "node/cli/output.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::cli {
namespace {

struct Said {
    int code = 0;
    std::string out, err;
    [[nodiscard]] bool has(const std::string& line) const {
        return ("\n" + out).find("\n" + line + "\n") != std::string::npos;
    }
};

/// Commands that are called in a folder of their own, which has a folder `jobs`.
class flag_file : public testing::Test {
protected:
    void SetUp() override {
        before_ = std::filesystem::current_path();
        folder_ = std::filesystem::temp_directory_path() /
                  ("flag_file_test_" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_ / "jobs");
        std::filesystem::current_path(folder_);
    }
    void TearDown() override {
        std::filesystem::current_path(before_);
        std::filesystem::remove_all(folder_);
    }
    static Said submit(std::vector<std::string> words) {
        words.insert(words.begin(), {"trainyard", "job", "submit"});
        std::vector<char*> arguments;
        for (auto& word : words) arguments.push_back(word.data());
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        Said said;
        said.code = run_app(static_cast<int>(arguments.size()), arguments.data());
        said.out = testing::internal::GetCapturedStdout();
        said.err = testing::internal::GetCapturedStderr();
        return said;
    }
    static void write(const std::string& path, const std::string& text) {
        ASSERT_TRUE(wallet::write_text(path, text));
    }
    /// What is said about a file with this text.
    static std::string refusal(const std::string& text) {
        write("job.toml", text);
        const Said said = submit({"--file", "job.toml", "--print-file"});
        EXPECT_EQ(said.code, kUsage) << text;
        EXPECT_EQ(said.out, "") << text;
        return said.err;
    }

    std::filesystem::path before_, folder_;
};

TEST_F(flag_file, the_command_line_wins_over_the_file_and_the_file_over_defaults) {
    write("job.toml",
          "key = \"dev:3\"\ndata = \"texts\"\nprice = 2.5\naudit-fee = \"3gwei\"\nwidth = 64\n"
          "learning-rate = 1\nwait = true\noptimiser = \"sgd\"\n");
    const Said said = submit({"--price", "7", "--file", "job.toml", "--width", "0x20",
                              "--learning-rate", ".5", "--wait=false", "--print-file"});
    ASSERT_EQ(said.code, kOk) << said.err;
    for (const auto* line :
         {"key = \"dev:3\"", "data = \"texts\"", "price = \"7\"", "audit-fee = \"3gwei\"",
          "width = 32", "learning-rate = 0.5", "wait = false", "optimiser = \"sgd\"",
          "licence = \"Apache-2.0\"", "segment-blocks = 480", "# layers =", "# seed ="})
        EXPECT_TRUE(said.has(line)) << line << "\n" << said.out;
}

TEST_F(flag_file, what_is_printed_reads_back_to_the_same) {
    const Said first = submit({"--data", "a \"b\" \\ é\n", "--key", "keys/my.json", "--price",
                               "0.25", "--layers", "2", "--learning-rate", "1e-9", "--wait",
                               "--seed", std::string(64, 'a'), "--print-file"});
    ASSERT_EQ(first.code, kOk) << first.err;
    write("job.toml", first.out);
    EXPECT_EQ(submit({"--file", "job.toml", "--print-file"}).out, first.out);
}

TEST_F(flag_file, relative_paths_are_relative_to_the_file) {
    write("jobs/job.toml",
          "key = \"me.json\"\npassword-file = \"/etc/password\"\ndata = \"../texts\"\n"
          "program = \"my.program\"\n");
    const Said run = submit({"--file", "jobs/job.toml", "--key", "dev:0"});
    EXPECT_EQ(run.code, kFailed);
    EXPECT_NE(run.err.find("jobs/../texts"), std::string::npos) << run.err;
    // A file that was changed by flags lies beside the one that it came from.
    const Said printed = submit({"--file", "jobs/job.toml", "--tokenizer", "bpe", "--print-file"});
    for (const auto* line :
         {"key = \"me.json\"", "password-file = \"/etc/password\"", "data = \"../texts\"",
          "program = \"my.program\"", "tokenizer = \"../bpe\""})
        EXPECT_TRUE(printed.has(line)) << line << "\n" << printed.out;
    write("absolute.toml", "data = \"" + (folder_ / "jobs/texts").string() + "\"\n");
    EXPECT_TRUE(submit({"--file", "absolute.toml", "--print-file"}).has("data = \"jobs/texts\""));
}

TEST_F(flag_file, a_file_can_give_what_is_required_but_need_not_be_complete) {
    write("job.toml", "key = \"dev:0\"\n");
    EXPECT_EQ(submit({"--file", "job.toml"}).err,
              "error: --data is required; see `trainyard job submit --help`\n");
    EXPECT_EQ(submit({"--file", "job.toml", "--data", "absent"}).code, kFailed);
    EXPECT_TRUE(submit({"--print-file"}).has("# data ="));
}

TEST_F(flag_file, rejects_an_unknown_key_and_names_the_nearest) {
    EXPECT_EQ(refusal("data = \"x\"\npirce = 1\n"),
              "error: --file: job.toml:2: unknown key 'pirce' (did you mean 'price'?); see "
              "`trainyard job submit --help`\n");
    EXPECT_NE(refusal("[gpt]\nlayers = 2\n").find("job.toml:2: unknown key 'gpt.layers'"),
              std::string::npos);
    for (const auto* key : {"file", "print-file", "help", "json"})
        EXPECT_NE(refusal(std::string(key) + " = true\n").find("unknown key"), std::string::npos);
}

TEST_F(flag_file, rejects_values_of_the_wrong_type_or_range_at_their_place) {
    for (const auto* text : {"width = \"64\"",
                             "width = 6.5",
                             "width = 0",
                             "width = -1",
                             "width = [64]",
                             "width = true",
                             "learning-rate = nan",
                             "learning-rate = \"1\"",
                             "learning-rate = -1.0",
                             "wait = 1",
                             "wait = \"true\"",
                             "price = true",
                             "price = \"much\"",
                             "price = -1",
                             "price = 1e-30",
                             "data = 5",
                             "data = [\"a\", \"b\"]",
                             "provider = \"0x12\"",
                             "seed = \"ab\"",
                             "optimiser = \"adam\"",
                             "licence = 1979-05-27",
                             "segment-blocks = 1.0"}) {
        const std::string name(text, std::string_view(text).find(' '));
        const auto said = refusal("key = \"dev:0\"\n" + std::string(text) + "\n");
        EXPECT_NE(said.find("job.toml:2: '" + name + "'"), std::string::npos) << said;
    }
    // Not even what the command line replaces may be wrong.
    write("job.toml", "width = \"64\"\n");
    EXPECT_EQ(submit({"--file", "job.toml", "--width", "8", "--print-file"}).code, kUsage);
}

TEST_F(flag_file, rejects_what_cannot_be_read_as_toml) {
    EXPECT_NE(refusal("data = \"a\"\n[gpt\n").find("job.toml:2"), std::string::npos);
    EXPECT_NE(refusal(std::string(2 << 20, '#')).find("job.toml"), std::string::npos);
    EXPECT_NE(submit({"--file", "absent.toml"}).err.find("absent.toml"), std::string::npos);
    EXPECT_EQ(submit({"--file", "jobs"}).code, kUsage);
}

}  // namespace
}  // namespace trainyard::node::cli
