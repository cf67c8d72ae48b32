// SPDX-License-Identifier: Apache-2.0
// eth_*: execution that changes nothing.
#include "rpc/encode.hpp"
#include "rpc/lookup.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

CallRequest capped(const Call& call) {
    auto request = call.args.at<CallRequest>(0);
    const uint64_t max = call.service.options().call_gas_max;
    request.gas = std::min(request.gas.value_or(max), max);
    return request;
}

Overrides overrides_at(const Call& call, size_t i) {
    return {call.args.value_or<StateOverrides>(i, {}),
            call.args.value_or<BlockOverrides>(i + 1, {})};
}

Outcome eth_call(Call& call) {
    const auto block = block_argument(call, 1);
    if (!block) return Unexpected(block.error());
    const auto outcome = call.backend.call((*block)->hash, capped(call), overrides_at(call, 2));
    if (!outcome) return Unexpected(to_error(outcome.error()));
    if (outcome->status == CallOutcome::Status::reverted)
        return Unexpected(reverted(outcome->output));
    if (outcome->status == CallOutcome::Status::failed)
        return Unexpected(server_error(outcome->error));
    call.out.data(BytesView(outcome->output));
    return Done{};
}

Outcome estimate_gas(Call& call) {
    const auto block = block_argument(call, 1);
    if (!block) return Unexpected(block.error());
    auto request = call.args.at<CallRequest>(0);
    if (request.gas) request.gas = std::min(*request.gas, call.service.options().call_gas_max);
    const auto gas = call.backend.estimate_gas((*block)->hash, request, overrides_at(call, 2));
    if (!gas) return Unexpected(to_error(gas.error()));
    call.out.quantity(*gas);
    return Done{};
}

/// A call that reverts is an answer here, not an error: the list is still right for it.
Outcome create_access_list(Call& call) {
    const auto block = block_argument(call, 1);
    if (!block) return Unexpected(block.error());
    const auto outcome = call.backend.create_access_list((*block)->hash, capped(call));
    if (!outcome) return Unexpected(to_error(outcome.error()));
    call.out.begin_object().key("accessList");
    write_access_list(call.out, outcome->access_list);
    if (!outcome->error.empty()) call.out.key("error").text(outcome->error);
    call.out.key("gasUsed").quantity(outcome->gas_used).end_object();
    return Done{};
}

constexpr Param kTx{"transaction", Kind::call, true};
constexpr Param kBlock{"block", Kind::block, false};
constexpr Param kState{"stateOverrides", Kind::state_overrides, false};
constexpr Param kBlockOverrides{"blockOverrides", Kind::block_overrides, false};

constexpr Method kMethods[] = {
    {"eth_call",
     eth_call,
     {kTx, kBlock, kState, kBlockOverrides},
     Shape::data,
     false,
     "what a call returns"},
    {"eth_estimateGas",
     estimate_gas,
     {kTx, kBlock, kState, kBlockOverrides},
     Shape::quantity,
     false,
     "the least gas limit with which a transaction succeeds"},
    {"eth_createAccessList",
     create_access_list,
     {kTx, kBlock},
     Shape::object,
     false,
     "the accounts and slots that a transaction touches"},
};

}  // namespace

std::span<const Method> call_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
