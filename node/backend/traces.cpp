// SPDX-License-Identifier: Apache-2.0
// debug_trace*: blocks of the chain run again on the states before them.
#include "consensus/transition/trace.hpp"

#include "node/backend/scene.hpp"

namespace trainyard::node::backend {
namespace {

using Kind = rpc::TraceError::Kind;

rpc::TraceError error_of(const consensus::TraceError& error) {
    const std::string why =
        error.tx_error ? std::string(consensus::to_text(*error.tx_error)) : std::string();
    switch (error.kind) {
        case consensus::TraceError::Kind::too_large:
            return {Kind::too_large, {}};
        case consensus::TraceError::Kind::too_slow:
            return {Kind::too_slow, {}};
        case consensus::TraceError::Kind::refused:
            return {Kind::refused, why};
        case consensus::TraceError::Kind::replay_failed:
            return {Kind::failed, why};
    }
    return {Kind::failed, why};
}

/// A block with what it ran on.
struct Executed {
    chain::ChainBlockPtr block, parent;
    std::shared_ptr<const state::StateView> parent_state;
};

Result<Executed, rpc::TraceError> find(const chain::Chain& chain, const Hash& hash) {
    Executed found;
    found.block = chain.by_hash(hash);
    if (found.block == nullptr) return unexpected(rpc::TraceError{Kind::unknown_block, {}});
    const Header& header = found.block->block.header;
    if (header.number == 0) return unexpected(rpc::TraceError{Kind::genesis, {}});
    found.parent = chain.by_hash(header.parent_hash);
    found.parent_state = chain.view(header.parent_hash);
    if (found.parent == nullptr || found.parent_state == nullptr ||
        !chain.keeps_state(header.parent_hash))
        return unexpected(rpc::TraceError{Kind::state_unavailable, {}});
    return found;
}

consensus::TraceInput input_of(const chain::Chain& chain, const Executed& executed) {
    return {*executed.parent_state,
            executed.parent->block.header,
            executed.block->block,
            executed.block->senders,
            chain.hashes_up_to(executed.parent->hash),
            chain.config()};
}

}  // namespace

Result<std::vector<Trace>, rpc::TraceError> NodeBackend::trace_block(
    const Hash& block_hash, const TraceOptions& options, const rpc::WorkLimits& limits) const {
    const auto executed = find(parts_.chain, block_hash);
    if (!executed) return unexpected(executed.error());
    consensus::TraceBudget budget(limits.bytes, limits.is_time_up);
    auto traces = consensus::trace_block(input_of(parts_.chain, *executed), options, budget);
    if (!traces) return unexpected(error_of(traces.error()));
    return std::move(*traces);
}

Result<Trace, rpc::TraceError> NodeBackend::trace_transaction(const rpc::TxPlace& place,
                                                              const TraceOptions& options,
                                                              const rpc::WorkLimits& limits) const {
    const auto executed = find(parts_.chain, place.block->hash);
    if (!executed) return unexpected(executed.error());
    consensus::TraceBudget budget(limits.bytes, limits.is_time_up);
    auto trace = consensus::trace_transaction(input_of(parts_.chain, *executed), place.index,
                                              options, budget);
    if (!trace) return unexpected(error_of(trace.error()));
    return std::move(*trace);
}

Result<Trace, rpc::TraceError> NodeBackend::trace_call(const Hash& block_hash,
                                                       const rpc::CallRequest& request,
                                                       const rpc::Overrides& overrides,
                                                       const TraceOptions& options,
                                                       const rpc::WorkLimits& limits) const {
    const auto on = scene(block_hash, overrides);
    if (!on && on.error().kind == rpc::CallError::Kind::unknown_block)
        return unexpected(rpc::TraceError{Kind::unknown_block, {}});
    if (!on) return unexpected(rpc::TraceError{Kind::refused, on.error().message});
    consensus::TraceBudget budget(limits.bytes, limits.is_time_up);
    auto trace =
        consensus::trace_call((*on)->view, (*on)->context, request_of(request), options, budget);
    if (!trace) return unexpected(error_of(trace.error()));
    return std::move(*trace);
}

}  // namespace trainyard::node::backend
