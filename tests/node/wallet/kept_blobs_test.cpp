// SPDX-License-Identifier: Apache-2.0
// How long each kind of blob is kept, and that the list survives.
#include "node/wallet/kept_blobs.hpp"

#include <gtest/gtest.h>

#include "node/wallet/files.hpp"
#include "tests/state/temporary_folder.hpp"

namespace trainyard::node::wallet {
namespace {

Hash id_of(uint8_t n) {
    Hash out;
    out.bytes.fill(n);
    return out;
}

Job job_at(uint32_t final_segments, JobState state = JobState::active) {
    Job out;
    out.state = state;
    out.final_segments = final_segments;
    out.tip = final_segments + 2;
    return out;
}

class kept_blobs : public ::testing::Test {
protected:
    static KeptBlob state(uint32_t seg, uint8_t n) { return {4, seg, BlobUse::state, id_of(n), 0}; }
    static std::vector<uint8_t> names(const std::vector<KeptBlob>& blobs) {
        std::vector<uint8_t> out;
        for (const auto& blob : blobs) out.push_back(blob.id.bytes[0]);
        return out;
    }
    state::TemporaryFolder folder_;
    std::string path_ = folder_.path() + "/kept-blobs.csv";
};

TEST_F(kept_blobs, stay_until_their_segment_is_final_and_states_one_longer) {
    KeptBlobs kept(path_);
    ASSERT_TRUE(kept.note({4, 0, BlobUse::material, id_of(1), 0}));
    ASSERT_TRUE(kept.note(state(0, 2)) && kept.note(state(1, 3)));
    ASSERT_TRUE(kept.note({4, 0, BlobUse::bundle, id_of(4), 0}));
    ASSERT_TRUE(kept.note({4, 1, BlobUse::bundle, id_of(5), 0}));
    kept.see(4, job_at(0), 1000);
    EXPECT_TRUE(kept.due(900).empty());
    kept.see(4, job_at(1), 1000);
    EXPECT_EQ(names(kept.due(900)), (std::vector<uint8_t>{4}));
    kept.see(4, job_at(2), 1000);
    EXPECT_EQ(names(kept.due(900)), (std::vector<uint8_t>{2, 4, 5}));
    for (const auto& blob : kept.due(900)) kept.forget(blob);
    EXPECT_EQ(kept.running(), (std::vector<uint64_t>{4}));
    kept.see(4, job_at(2, JobState::closed), 1000);
    EXPECT_TRUE(kept.due(999).empty()) << "the model: its state, program and data";
    EXPECT_TRUE(kept.running().empty());
    kept.see(4, job_at(2, JobState::closed), 5000);
    EXPECT_EQ(names(kept.due(1000)), (std::vector<uint8_t>{1, 3})) << "the first time counts";
}

TEST_F(kept_blobs, of_a_job_that_diverged_are_the_state_before_that_segment) {
    KeptBlobs kept(path_);
    ASSERT_TRUE(kept.note({4, 0, BlobUse::material, id_of(1), 0}));
    ASSERT_TRUE(kept.note(state(0, 2)) && kept.note(state(1, 3)));
    Job job = job_at(2);
    job.outcome = Outcome::diverged;
    job.tip = 3;
    EXPECT_EQ(trained_segments(job), 2U) << "the claim is not final yet";
    job.final_segments = 3;
    EXPECT_EQ(trained_segments(job), 2U);
    kept.see(4, job, 1000);
    EXPECT_EQ(names(kept.due(900)), (std::vector<uint8_t>{2}));
    job.state = JobState::closed;
    kept.see(4, job, 1000);
    EXPECT_EQ(names(kept.due(999)), (std::vector<uint8_t>{2})) << "the others are of the model";
    job.tip = job.final_segments = 1;
    EXPECT_EQ(trained_segments(job), 0U);
    EXPECT_FALSE(is_of_model(state(0, 2), job));
}

TEST_F(kept_blobs, go_at_once_with_a_job_that_left_no_model_or_is_no_more) {
    for (const auto state_now : {JobState::closed, JobState::none}) {
        KeptBlobs kept(path_);
        ASSERT_TRUE(kept.note({4, 0, BlobUse::material, id_of(1), 0}) && kept.note(state(0, 2)));
        kept.see(5, job_at(9, state_now), 1000);
        EXPECT_TRUE(kept.due(10).empty()) << "another job";
        kept.see(4, job_at(state_now == JobState::none ? 1 : 0, state_now), 1000);
        EXPECT_EQ(kept.due(10).size(), 2u);
        remove_file(path_);
    }
}

TEST_F(kept_blobs, are_read_again_and_lines_that_are_none_left_out) {
    {
        KeptBlobs kept(path_);
        ASSERT_TRUE(kept.note(state(0, 2)) && kept.note(state(0, 2)) && kept.note(state(7, 3)));
        ASSERT_TRUE(kept.note({9, 0, BlobUse::material, id_of(3), 0}));
        kept.see(9, job_at(1, JobState::closed), 77);
    }
    auto text = *read_text(path_, 1 << 20);
    EXPECT_EQ(text.substr(0, 14), "4,0,state,0,0x");
    text += "\n4,1,state,0\n4,x,state,0,0x00\n4,1,stat,0," + std::string(64, '0') + "\n4,1,state";
    ASSERT_TRUE(write_text(path_, text));
    const KeptBlobs again(path_);
    ASSERT_EQ(again.all().size(), 3u);
    EXPECT_EQ(again.all()[2], (KeptBlob{9, 0, BlobUse::material, id_of(3), 77}));
    EXPECT_TRUE(again.is_shared(again.all()[1])) << "of two jobs";
    EXPECT_FALSE(again.is_shared(again.all()[0]));
}

}  // namespace
}  // namespace trainyard::node::wallet
