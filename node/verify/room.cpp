// SPDX-License-Identifier: Apache-2.0
// What each kind of work takes, by the program's plan.
#include "node/verify/room.hpp"

#include <algorithm>

#include "training/audit_limits.hpp"
#include "training/referee/witness.hpp"

namespace trainyard::node::verify {

using training::AuditUse;
using training::Backend;
using training::Cuts;
using training::Plan;
using training::Program;

namespace {

/// What a witness has beside a replay's memory: S_0, the states that it goes back to and those
/// around a step; and a unit of which nothing is made twice, for its single tensors.
Result<uint64_t, VerifyError> witness_bytes(const Program& program, const AuditUse& use) {
    const auto whole = training::plan(program);
    if (!whole)
        return unexpected(
            VerifyError{VerifyErrorCode::bad_request, training::to_text(whole.error())});
    constexpr uint64_t kStates = training::referee::Witness::kKeptStates + 2;
    return kStates * whole->state_bytes +
           training::operator_bytes(*whole, use.threads, use.operands);
}

}  // namespace

Result<Cuts, VerifyError> Room::cuts(const Program& program, const Backend& backend,
                                     const AuditRequest& request) const {
    uint64_t sent = request.job.data.size();
    AuditUse use{0, 0, threads_, backend.operand_memory()};
    for (const Audit& audit : request.audits) {
        sent += audit.segment.last_state.size() + audit.bundle.size();
        use.tiles = std::max(use.tiles, static_cast<uint32_t>(audit.draws.tiles.size()));
    }
    return cuts(program, backend, "an audit", sent, [&](const Plan& plan) {
        return training::audit_working_bytes(program, plan, use);
    });
}

Result<Cuts, VerifyError> Room::cuts(const Program& program, const Backend& backend,
                                     const ReplayRequest& request) const {
    const uint64_t sent = request.job.data.size() + request.first_state.size();
    const AuditUse use{0, 0, threads_, backend.operand_memory()};
    return cuts(program, backend, "a replay", sent, [&](const Plan& plan) {
        return training::replay_working_bytes(program, plan, use);
    });
}

Result<Cuts, VerifyError> Room::cuts(const Program& program, const Backend& backend,
                                     const PickRequest& request) const {
    const uint64_t data = request.segment.job.data.size();  // as it is sent, and kept
    const uint64_t sent = 2 * data + request.segment.first_state.size() + request.state.size();
    const AuditUse use{0, 0, threads_, backend.operand_memory()};
    const auto beside = witness_bytes(program, use);
    if (!beside) return unexpected(beside.error());
    return cuts(program, backend, "a dispute", sent, [&](const Plan& plan) {
        return training::replay_working_bytes(program, plan, use) + *beside;
    });
}

Result<Done, VerifyError> Room::holds_dispute(const Program& program) const {
    if (bytes_max_ == 0) return Done{};
    AuditUse use;
    use.threads = threads_;
    const auto beside = witness_bytes(program, use);
    if (!beside) return unexpected(beside.error());
    const uint64_t sent = 2 * program.data.size_bytes + kRefereeStateBytesMax;
    const auto found = cuts_within(program, "a dispute", sent, [&](const Plan& plan) {
        const uint64_t first = plan.state_bytes;  // that is sent, too
        return training::replay_working_bytes(program, plan, use) + *beside + first;
    });
    if (!found) return unexpected(found.error());
    return Done{};
}

Result<Cuts, VerifyError> Room::cuts(const Program& program, const Backend& backend,
                                     const std::string& what, uint64_t sent,
                                     const BytesOf& working) const {
    if (bytes_max_ == 0 || !backend.is_host()) return Cuts{};
    return cuts_within(program, what, sent, working);
}

Result<Cuts, VerifyError> Room::cuts_within(const Program& program, const std::string& what,
                                            uint64_t sent, const BytesOf& working) const {
    const auto bytes_of = [&](const Plan& plan) {
        return training::process_bytes(threads_) + sent + working(plan);
    };
    auto planned = training::least_work_within(program, bytes_of, bytes_max_);
    if (!planned)
        return unexpected(
            VerifyError{VerifyErrorCode::bad_request, training::to_text(planned.error())});
    const uint64_t needed = bytes_of(*planned);
    if (needed <= bytes_max_) return std::move(planned->cuts);
    return unexpected(VerifyError{VerifyErrorCode::out_of_memory,
                                  what + " needs " + std::to_string((needed >> 20) + 1) +
                                      " MiB, and the verifier process may take " +
                                      std::to_string(bytes_max_ >> 20) +
                                      "; raise verifier.memory-mb of a node, else free some"});
}

}  // namespace trainyard::node::verify
