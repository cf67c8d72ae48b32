// SPDX-License-Identifier: Apache-2.0
// `trainyard verify --job`: the shell around verify::JobWatch.
#pragma once

#include "node/cli/commands.hpp"

namespace trainyard::node::cli {

/// Replays the segments that `args` name, line by line, and challenges where it may. kOk: all
/// match; kFailed: a mismatch, or a segment that could not be judged.
[[nodiscard]] int verify_job(const Output& out, const VerifyArgs& args);

/// "3" or "2-5" as [from, to); nullopt if it is neither.
struct SegmentRange {
    uint32_t from = 0, to = UINT32_MAX;
    bool operator==(const SegmentRange&) const = default;
};
[[nodiscard]] std::optional<SegmentRange> parse_segments(const std::string& text);

}  // namespace trainyard::node::cli
