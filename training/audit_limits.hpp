// SPDX-License-Identifier: Apache-2.0
// Whether every auditor of a chain can check a job with its memory and in time, from its program
// alone.
#pragma once

#include <cstdint>
#include <string>

#include "training/plan.hpp"

namespace trainyard::training {

/// What a chain promises of each of its auditors: parameters of its market.
struct AuditLimits {
    uint32_t units = 4;             ///< micro-batches that one auditor replays
    uint32_t tiles = 4;             ///< of the state, that it follows
    uint64_t audit_blocks = 0;      ///< to do so and to commit
    uint64_t replay_blocks = 0;     ///< to replay a segment, beside twice the job's segment_blocks
    uint64_t work_per_block = 0;    ///< multiply-adds, as training::unit_work counts
    uint64_t memory_bytes_max = 0;  ///< of the process that judges
    bool operator==(const AuditLimits&) const = default;
};

/// How an audit is done. What a machine of the chain may have at most is the default.
struct AuditUse {
    uint32_t units = 4, tiles = 4;
    unsigned threads = 16;
    OperandMemory operands = {2, true};  ///< no path of the CPU has larger elements
};

/// Of a process that judges, beside what it is sent and what it computes: code, tables and stacks.
[[nodiscard]] uint64_t process_bytes(unsigned threads);
/// What an audit and a replay are sent: data set, state and bundle.
[[nodiscard]] uint64_t audit_request_bytes(const Program& program, const AuditUse& use);
[[nodiscard]] uint64_t replay_request_bytes(const Program& program);
/// What judging takes beside the request and the process, if the program runs by `plan`. Units are
/// replayed one after the other, each with the weights of its step alone.
[[nodiscard]] uint64_t audit_working_bytes(const Program& program, const Plan& plan,
                                           const AuditUse& use);
[[nodiscard]] uint64_t replay_working_bytes(const Program& program, const Plan& plan,
                                            const AuditUse& use);
/// The larger of an audit and a replay, with all of the above: the same number on every machine.
[[nodiscard]] uint64_t audit_bytes(const Program& program, const Plan& plan, const AuditUse& use);

/// By what plan auditors with so much memory run the program: activations are made again where the
/// memory asks for it. With more memory than `limit` only if no plan takes less.
[[nodiscard]] Result<Plan, ProgramFault> audit_plan(const Program& program, const AuditUse& use,
                                                    uint64_t limit);

/// Multiply-adds of a unit as auditors of such a chain run it, which a job declares; 0 if there is
/// no plan.
[[nodiscard]] uint64_t audit_unit_work(const Program& program, const AuditLimits& limits);

/// Empty if an audit takes at most half of its time, a replay likewise, and both the memory that
/// there is; else what is too large, with both numbers. The other half is for fetching and hashing.
[[nodiscard]] std::string beyond_audit(const Program& program, const AuditLimits& limits,
                                       uint64_t segment_blocks);
/// What its submitter can do about it: the largest micro-batches that fit and make the same step.
/// Empty where their size is not what is wrong. Asks the above for each size.
[[nodiscard]] std::string smaller_batches(Program program, const AuditLimits& limits,
                                          uint64_t segment_blocks);

}  // namespace trainyard::training
