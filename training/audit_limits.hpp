// SPDX-License-Identifier: Apache-2.0
// Whether every auditor of a chain can check a job in time, from its program alone.
#pragma once

#include <cstdint>
#include <string>

namespace trainyard::training {

struct Program;

/// What a chain promises of each of its auditors: parameters of its market.
struct AuditLimits {
    uint32_t units = 4;             ///< micro-batches that one auditor replays
    uint64_t audit_blocks = 0;      ///< to do so and to commit
    uint64_t replay_blocks = 0;     ///< to replay a segment, beside twice the job's segment_blocks
    uint64_t work_per_block = 0;    ///< multiply-adds, as training::unit_work counts
    uint64_t memory_bytes_max = 0;  ///< for states, bundle, data and activations
    bool operator==(const AuditLimits&) const = default;
};

/// Bytes that an audit or a replay of the program takes at most, the same number on every machine.
[[nodiscard]] uint64_t audit_bytes(const Program& program, uint32_t units);

/// Empty if an audit takes at most half of its time, a replay likewise, and both the memory that
/// there is; else what is too large, with both numbers. The other half is for fetching and hashing.
[[nodiscard]] std::string beyond_audit(const Program& program, const AuditLimits& limits,
                                       uint64_t segment_blocks);

}  // namespace trainyard::training
