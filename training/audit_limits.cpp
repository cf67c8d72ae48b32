// SPDX-License-Identifier: Apache-2.0
// Work and memory of audits against what a chain promises of its auditors.
#include "training/audit_limits.hpp"

#include <algorithm>

#include "training/memory.hpp"
#include "training/state_root.hpp"

namespace trainyard::training {
namespace {

/// a * b, or the largest number.
uint64_t saturating_product(uint64_t a, uint64_t b) {
    uint64_t out = 0;
    return __builtin_mul_overflow(a, b, &out) ? UINT64_MAX : out;
}

std::string too_much(const std::string& what, uint64_t work, uint64_t limit) {
    constexpr uint64_t kGiga = 1'000'000'000;
    return what + " takes " + std::to_string(work / kGiga) +
           " G multiply-adds, and the auditors of this chain have time for " +
           std::to_string(limit / kGiga) + " G";
}

uint64_t parameter_bytes(const Program& program) {
    uint64_t count = 0;
    for (const Parameter& p : program.parameters) count += p.shape.count();
    return count * sizeof(float);
}

/// A set of tensors like the parameters, each in a block of its own.
uint64_t set_bytes(const Program& program) {
    uint64_t bytes = parameter_bytes(program);
    for (const Parameter& p : program.parameters)
        bytes += spare_bytes(p.shape.count() * sizeof(float));
    return bytes;
}

/// What is read of the program and the data once: the constants, twice while they are loaded.
uint64_t constant_bytes(const Program& program) {
    uint64_t count = 0;
    for (const Constant& c : program.constants) count += c.shape.count();
    return 2 * count * sizeof(float);
}

/// The trees over w, m and v.
uint64_t tree_bytes(const Program& program) {
    return 3 * tile_roots_bytes(parameter_shapes(program));
}

/// The trajectories of the drawn tiles: at each state a tile and its paths, of some 25 hashes each.
uint64_t trajectory_bytes(const Program& program, uint32_t tiles) {
    constexpr uint64_t kOfState = 8 << 10;
    return kOfState * tiles * (program.run.segment_length + uint64_t{2});
}

/// What is beyond an auditor; `by_unit`: smaller micro-batches would make it less.
struct Excess {
    std::string text;
    bool by_unit = false;
};

Excess excess(const Program& program, const AuditLimits& limits, uint64_t segment_blocks) {
    const AuditUse use{limits.units, limits.tiles};
    const auto planned = audit_plan(program, use, limits.memory_bytes_max);
    if (!planned) return {to_text(planned.error()), false};
    const uint64_t bytes = audit_bytes(program, *planned, use);
    if (bytes > limits.memory_bytes_max)
        return {"an audit needs " + std::to_string((bytes >> 20) + 1) +
                    " MiB, also where activations are computed twice, and the auditors of this "
                    "chain have " +
                    std::to_string(limits.memory_bytes_max >> 20),
                true};
    const uint64_t work = unit_work(*planned);
    const uint64_t audit = saturating_product(work, limits.units);
    const uint64_t audit_max = saturating_product(limits.work_per_block, limits.audit_blocks) / 2;
    if (audit > audit_max) return {too_much("an audit", audit, audit_max), true};
    const uint64_t units = uint64_t{program.run.segment_length} * program.run.micro_batches;
    const uint64_t replay = saturating_product(work, units);
    const uint64_t blocks = limits.replay_blocks + saturating_product(2, segment_blocks);
    const uint64_t replay_max = saturating_product(limits.work_per_block, blocks) / 2;
    if (replay > replay_max)
        return {too_much("a replay of a segment", replay, replay_max) +
                    "; make segments shorter or allow more blocks for one",
                false};
    return {};
}

}  // namespace

uint64_t process_bytes(unsigned threads) {
    constexpr uint64_t kProcess = 64 << 20, kThread = 9 << 20;
    return kProcess + threads * kThread;
}

uint64_t audit_request_bytes(const Program& program, const AuditUse& use) {
    const uint64_t set = parameter_bytes(program);
    const uint64_t steps = std::min(use.units, program.run.segment_length);
    return 3 * set + steps * set + trajectory_bytes(program, use.tiles) + program.data.size_bytes;
}

uint64_t replay_request_bytes(const Program& program) {
    return 3 * parameter_bytes(program) + program.data.size_bytes;
}

uint64_t audit_working_bytes(const Program& program, const Plan& plan, const AuditUse& use) {
    // The weights of one step, in whose place a tensor of the first state is drawn before, and the
    // gradients of one unit; roots are computed of what was sent, where it lies.
    return 2 * set_bytes(program) + tree_bytes(program) + trajectory_bytes(program, use.tiles) +
           constant_bytes(program) + operator_bytes(plan, use.threads, use.operands);
}

uint64_t replay_working_bytes(const Program& program, const Plan& plan, const AuditUse& use) {
    const uint64_t sets = gradient_sets(program.run.micro_batches);
    const uint64_t steps = sets * set_bytes(program) + tree_bytes(program) +
                           constant_bytes(program) +
                           operator_bytes(plan, use.threads, use.operands);
    // The operators are gone when the last state is encoded.
    return 3 * set_bytes(program) + std::max(steps, plan.state_bytes);
}

uint64_t audit_bytes(const Program& program, const Plan& plan, const AuditUse& use) {
    return process_bytes(use.threads) +
           std::max(audit_request_bytes(program, use) + audit_working_bytes(program, plan, use),
                    replay_request_bytes(program) + replay_working_bytes(program, plan, use));
}

Result<Plan, ProgramFault> audit_plan(const Program& program, const AuditUse& use, uint64_t limit) {
    const auto bytes_of = [&](const Plan& plan) { return audit_bytes(program, plan, use); };
    return least_work_within(program, bytes_of, limit);
}

uint64_t audit_unit_work(const Program& program, const AuditLimits& limits) {
    const auto planned = audit_plan(program, {limits.units, limits.tiles}, limits.memory_bytes_max);
    return planned ? unit_work(*planned) : 0;
}

std::string beyond_audit(const Program& program, const AuditLimits& limits,
                         uint64_t segment_blocks) {
    return excess(program, limits, segment_blocks).text;
}

std::string smaller_batches(Program program, const AuditLimits& limits, uint64_t segment_blocks) {
    if (!excess(program, limits, segment_blocks).by_unit) return "";
    const uint32_t records = program.run.sequences;
    while (program.run.sequences > 1) {
        program.run.sequences /= 2;
        program.run.micro_batches *= 2;
        if (!validate_program(program)) break;
        if (!excess(program, limits, segment_blocks).by_unit)
            return "take micro-batches of " + std::to_string(program.run.sequences) +
                   " records instead of " + std::to_string(records) + ", " +
                   std::to_string(program.run.micro_batches) + " for the same step";
    }
    return "the model is too large for them, whatever its micro-batches";
}

}  // namespace trainyard::training
