// SPDX-License-Identifier: Apache-2.0
// How segments are named on the command line.
#include "node/cli/verify_job.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::cli {
namespace {

TEST(verify_job, reads_one_segment_or_a_range) {
    EXPECT_EQ(parse_segments("0"), (SegmentRange{0, 1}));
    EXPECT_EQ(parse_segments("2-5"), (SegmentRange{2, 6}));
    EXPECT_EQ(parse_segments("7-7"), (SegmentRange{7, 8}));
    EXPECT_EQ(parse_segments("4294967294"), (SegmentRange{4294967294U, UINT32_MAX}));
}

TEST(verify_job, rejects_what_is_no_range) {
    for (const auto* text : {"", "-", "-3", "3-", "5-2", "1-2-3", "a", "1,2", " 1", "+1", "0x1",
                             "4294967295", "1-4294967296"})
        EXPECT_FALSE(parse_segments(text)) << text;
}

}  // namespace
}  // namespace trainyard::node::cli
