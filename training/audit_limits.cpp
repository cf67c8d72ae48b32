// SPDX-License-Identifier: Apache-2.0
// Work and memory of audits against what a chain promises of its auditors.
#include "training/audit_limits.hpp"

#include "training/plan.hpp"

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

}  // namespace

uint64_t audit_bytes(const Program& program, uint32_t units) {
    const auto planned = plan(program);
    if (!planned) return UINT64_MAX;
    HostUse use;
    use.micro_batches = program.run.micro_batches;
    use.threads = 16;
    use.operands = {4, true};
    // Two whole states and the weights of every unit's step, as bytes that travel and as tensors.
    const uint64_t states = 2 * planned->state_bytes + units * (planned->state_bytes / 3);
    return host_bytes(*planned, use) + 2 * (states + program.data.size_bytes);
}

std::string beyond_audit(const Program& program, const AuditLimits& limits,
                         uint64_t segment_blocks) {
    const auto planned = plan(program);
    if (!planned) return to_text(planned.error());
    const uint64_t bytes = audit_bytes(program, limits.units);
    if (bytes > limits.memory_bytes_max)
        return "an audit needs " + std::to_string(bytes >> 20) +
               " MiB, and the auditors of this chain have " +
               std::to_string(limits.memory_bytes_max >> 20);
    const uint64_t work = unit_work(*planned);
    const uint64_t audit = saturating_product(work, limits.units);
    const uint64_t audit_max = saturating_product(limits.work_per_block, limits.audit_blocks) / 2;
    if (audit > audit_max) return too_much("an audit", audit, audit_max);
    const uint64_t units = uint64_t{program.run.segment_length} * program.run.micro_batches;
    const uint64_t replay = saturating_product(work, units);
    const uint64_t blocks = limits.replay_blocks + saturating_product(2, segment_blocks);
    const uint64_t replay_max = saturating_product(limits.work_per_block, blocks) / 2;
    if (replay > replay_max)
        return too_much("a replay of a segment", replay, replay_max) +
               "; make segments shorter or allow more blocks for one";
    return "";
}

}  // namespace trainyard::training
