// SPDX-License-Identifier: Apache-2.0
// What auditors can check in time: each limit at its border, and numbers that overflow.
#include "training/audit_limits.hpp"

#include <gtest/gtest.h>

#include "small_program.hpp"
#include "training/plan.hpp"

namespace trainyard::training {
namespace {

constexpr uint64_t kSegmentBlocks = 10;

/// What an audit takes if nothing is made again.
uint64_t bytes_of(const Program& program) {
    return audit_bytes(program, *plan(program), AuditUse{});
}

/// The same with whatever makes it less.
uint64_t least_bytes(const Program& program) {
    return audit_bytes(program, *audit_plan(program, {}, 0), AuditUse{});
}

/// Limits that the small program just meets.
AuditLimits tight(const Program& program) {
    const uint64_t work = unit_work(*plan(program));
    const uint64_t units = uint64_t{program.run.segment_length} * program.run.micro_batches;
    // Twice the work of four units in one block, and of all units in some.
    const uint64_t blocks = (2 * work * units + 8 * work - 1) / (8 * work);
    return {4, 4, 1, blocks - 2 * kSegmentBlocks, 8 * work, bytes_of(program)};
}

TEST(audit_limits, a_job_at_every_limit_can_be_audited) {
    GptOptions options = small_options();
    options.micro_batches = 32;
    const Program program = *make_gpt(options);
    ASSERT_GT(uint64_t{program.run.segment_length} * 32 * 2, 8 * 2 * kSegmentBlocks);
    EXPECT_EQ(beyond_audit(program, tight(program), kSegmentBlocks), "");
}

TEST(audit_limits, each_limit_less_by_one_refuses_the_job_and_names_what_is_too_large) {
    GptOptions options = small_options();
    options.micro_batches = 32;
    const Program program = *make_gpt(options);
    AuditLimits limits = tight(program);
    limits.memory_bytes_max = least_bytes(program) - 1;
    EXPECT_NE(beyond_audit(program, limits, kSegmentBlocks).find("MiB"), std::string::npos);
    limits = tight(program);
    --limits.work_per_block;
    EXPECT_NE(beyond_audit(program, limits, kSegmentBlocks).find("an audit takes"),
              std::string::npos);
    limits = tight(program);
    --limits.replay_blocks;
    EXPECT_NE(beyond_audit(program, limits, kSegmentBlocks).find("a replay of a segment"),
              std::string::npos);
    limits = tight(program);
    EXPECT_NE(beyond_audit(program, limits, kSegmentBlocks - 1).find("a replay of a segment"),
              std::string::npos);
}

TEST(audit_limits, what_does_not_fit_is_computed_again_which_takes_time) {
    GptOptions options = small_options();
    options.layers = 6, options.sequences = 8, options.micro_batches = 32;
    const Program program = *make_gpt(options);
    ASSERT_LT(least_bytes(program), bytes_of(program));
    AuditLimits limits = tight(program);
    ASSERT_EQ(beyond_audit(program, limits, kSegmentBlocks), "");
    limits.memory_bytes_max = least_bytes(program);
    EXPECT_NE(beyond_audit(program, limits, kSegmentBlocks).find("an audit takes"),
              std::string::npos)
        << "the work is that of the plan which fits";
    limits.work_per_block *= 2;
    EXPECT_EQ(beyond_audit(program, limits, kSegmentBlocks), "");
}

TEST(audit_limits, the_advice_names_the_largest_micro_batches_that_fit) {
    GptOptions options = small_options();
    options.layers = 6, options.sequences = 8, options.micro_batches = 4;
    const Program large = *make_gpt(options);
    options.sequences = 2, options.micro_batches = 16;
    const Program small = *make_gpt(options);
    AuditLimits limits = tight(large);
    limits.memory_bytes_max = least_bytes(small);
    limits.work_per_block = UINT64_MAX;
    ASSERT_LT(least_bytes(small), least_bytes(large));
    EXPECT_EQ(beyond_audit(small, limits, kSegmentBlocks), "") << "what is advised passes";
    EXPECT_EQ(smaller_batches(small, limits, kSegmentBlocks), "");
    EXPECT_EQ(smaller_batches(large, limits, kSegmentBlocks),
              "take micro-batches of 2 records instead of 8, 16 for the same step");
    limits.memory_bytes_max = 1;
    EXPECT_NE(smaller_batches(large, limits, kSegmentBlocks).find("the model is too large"),
              std::string::npos);
}

TEST(audit_limits, memory_grows_with_what_is_drawn_and_what_is_sent) {
    Program program = *make_gpt(small_options());
    const Plan planned = *plan(program);
    const uint64_t bytes = audit_request_bytes(program, {1, 4});
    EXPECT_LT(bytes, audit_request_bytes(program, {2, 4}));
    EXPECT_LT(bytes, audit_request_bytes(program, {1, 5}));
    EXPECT_EQ(audit_request_bytes(program, {program.run.segment_length, 4}),
              audit_request_bytes(program, {UINT32_MAX, 4}))
        << "the weights of a step are sent once";
    EXPECT_LT(audit_bytes(program, planned, {4, 4, 1}), audit_bytes(program, planned, {4, 4, 2}));
    program.data.size_bytes += 1000;
    EXPECT_EQ(audit_request_bytes(program, {1, 4}), bytes + 1000);
}

TEST(audit_limits, endless_times_do_not_overflow) {
    const Program program = *make_gpt(small_options());
    const AuditLimits limits{4, 4, UINT64_MAX, 0, UINT64_MAX, UINT64_MAX};
    EXPECT_EQ(beyond_audit(program, limits, UINT64_MAX), "");
    EXPECT_NE(beyond_audit(program, {}, kSegmentBlocks), "");
}

}  // namespace
}  // namespace trainyard::training
