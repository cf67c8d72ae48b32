// SPDX-License-Identifier: Apache-2.0
// What is left of a process that was killed while it wrote.
#include "node/provider/job_folder.hpp"

#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "node/wallet/files.hpp"
#include "tests/state/temporary_folder.hpp"
#include "training/program.hpp"

namespace trainyard::node::provider {
namespace {

class job_folder : public ::testing::Test {
protected:
    void SetUp() override {
        training::GptOptions gpt;
        gpt.layers = 1, gpt.width = 32, gpt.heads = 2, gpt.sequence = 16, gpt.steps = 8;
        gpt.segment_length = 4, gpt.data_bytes = 4000, gpt.micro_batches = 2;
        auto made = training::make_gpt(gpt);
        ASSERT_TRUE(made);
        program_ = std::move(*made);
    }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ + "/" + name) << text;
    }
    std::string losses() const { return *wallet::read_text(path_ + "/loss.csv", 1 << 20); }

    state::TemporaryFolder temporary_;
    std::string path_ = temporary_.path();
    training::Program program_;
};

TEST_F(job_folder, loses_what_another_process_had_begun_to_write) {
    write("state-3.tmp1", "half a state");
    write("record-2.tmp99999999", "half a record");
    write("state-3", "a whole one");
    write("state-4.tmp" + std::to_string(::getpid()), "being written");
    JobFolder(path_, program_).mend();
    EXPECT_EQ(wallet::list_folder(path_),
              (std::vector<std::string>{"state-3", "state-4.tmp" + std::to_string(::getpid())}));
}

TEST_F(job_folder, goes_on_after_the_last_whole_line_of_losses) {
    write("loss.csv", "0,2.5\n1,2.4\n2");  // killed in the middle
    JobFolder folder(path_, program_);
    folder.mend();
    folder.log_loss(1, 0x3f800000);
    folder.log_loss(2, 0x3f800000);
    folder.log_loss(3, 0x40000000);
    EXPECT_EQ(losses(), "0,2.5\n1,2.4\n2,1\n3,2\n");
    JobFolder again(path_, program_);
    again.mend();
    again.log_loss(4, 0x3f800000);
    EXPECT_EQ(losses(), "0,2.5\n1,2.4\n2,1\n3,2\n4,1\n");
    write("loss.csv", "1");
    again.mend();
    EXPECT_EQ(losses(), "");
}

TEST_F(job_folder, keeps_records_and_losses_of_a_job_that_is_over) {
    for (const char* name : {"state-0", "state-12", "gradients-3", "gradients-spare", "record-1"})
        write(name, "x");
    write("loss.csv", "0,1\n");
    forget_states(path_);
    EXPECT_EQ(wallet::list_folder(path_), (std::vector<std::string>{"loss.csv", "record-1"}));
    forget_states(path_ + "/absent");
}

TEST_F(job_folder, keeps_where_a_segment_diverges) {
    JobFolder folder(path_, program_);
    Divergence found{2, 3, 1, {}};
    found.first_root.bytes.fill(9);
    ASSERT_TRUE(folder.keep_divergence(found));
    EXPECT_EQ(folder.load_divergence(2), found);
    EXPECT_EQ(folder.load_divergence(1), std::nullopt);
    for (const char* damaged :
         {"", "short", "a file that is longer than what was written into it"}) {
        write("divergence-2", damaged);
        EXPECT_EQ(folder.load_divergence(2), std::nullopt) << damaged;
    }
}

TEST_F(job_folder, keeps_which_run_was_found_not_to_diverge) {
    Hash run, other;
    run.bytes.fill(3), other.bytes.fill(4);
    const std::string job = path_ + "/job-1";
    EXPECT_FALSE(is_refuted(job, run));
    ASSERT_TRUE(keep_refuted(job, run));
    EXPECT_TRUE(is_refuted(job, run));
    EXPECT_FALSE(is_refuted(job, other)) << "the job of another chain";
    forget_states(job);
    EXPECT_TRUE(is_refuted(job, run));
    for (const char* damaged : {"", "0x03",
                                "more than a run's seed: nothing of ours is so long, "
                                "and nothing of that is believed"}) {
        write("job-1/refuted", damaged);
        EXPECT_FALSE(is_refuted(job, run)) << damaged;
    }
}

}  // namespace
}  // namespace trainyard::node::provider
