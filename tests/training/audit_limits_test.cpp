// SPDX-License-Identifier: Apache-2.0
// What auditors can check in time: each limit at its border, and numbers that overflow.
#include "training/audit_limits.hpp"

#include <gtest/gtest.h>

#include "small_program.hpp"
#include "training/plan.hpp"

namespace trainyard::training {
namespace {

constexpr uint64_t kSegmentBlocks = 10;

/// Limits that the small program just meets.
AuditLimits tight(const Program& program) {
    const uint64_t work = unit_work(*plan(program));
    const uint64_t units = uint64_t{program.run.segment_length} * program.run.micro_batches;
    // Twice the work of four units in one block, and of all units in some.
    const uint64_t blocks = (2 * work * units + 8 * work - 1) / (8 * work);
    return {4, 1, blocks - 2 * kSegmentBlocks, 8 * work, audit_bytes(program, 4)};
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
    --limits.memory_bytes_max;
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

TEST(audit_limits, endless_times_do_not_overflow) {
    const Program program = *make_gpt(small_options());
    const AuditLimits limits{4, UINT64_MAX, 0, UINT64_MAX, UINT64_MAX};
    EXPECT_EQ(beyond_audit(program, limits, UINT64_MAX), "");
    EXPECT_NE(beyond_audit(program, {}, kSegmentBlocks), "");
}

}  // namespace
}  // namespace trainyard::training
