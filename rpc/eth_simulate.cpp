// SPDX-License-Identifier: Apache-2.0
// eth_simulateV1: blocks of calls that never were, with all that they would have given.
#include "rpc/encode.hpp"
#include "rpc/lookup.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

constexpr size_t kBlocksMax = 256;
constexpr int kVmError = -32015;  ///< of one call, inside the answer

int code_of(SimulateError::Kind kind) {
    using Kind = SimulateError::Kind;
    switch (kind) {
        case Kind::nonce_too_low:
            return -38010;
        case Kind::nonce_too_high:
            return -38011;
        case Kind::fee_cap_too_low:
            return -38012;
        case Kind::intrinsic_gas:
            return -38013;
        case Kind::insufficient_funds:
            return -38014;
        case Kind::block_gas_reached:
            return -38015;
        case Kind::number_order:
            return -38020;
        case Kind::timestamp_order:
            return -38021;
        case Kind::moves_to_itself:
            return -38022;
        case Kind::init_code_too_large:
            return -38025;
        case Kind::too_many_blocks:
            return -38026;
        case Kind::invalid_call:
            return kInvalidParams;
        case Kind::nonce_max:
            return -32603;  // the one place where execution-apis wants this code
        case Kind::unknown_block:
        case Kind::state_unavailable:
        case Kind::too_slow:
        case Kind::failed:
            return kServerError;
    }
    ASSERT(false);
}

Error to_error(const SimulateError& error) {
    if (error.kind == SimulateError::Kind::state_unavailable)
        return to_error(StateError::unavailable);
    return {code_of(error.kind), error.message};
}

void write_call_error(JsonWriter& out, const CallOutcome& outcome) {
    const bool is_revert = outcome.status == CallOutcome::Status::reverted;
    const Error error = is_revert ? reverted(outcome.output) : Error{kVmError, outcome.error};
    out.key("error").begin_object().key("code").raw(std::to_string(error.code));
    out.key("message").text(error.message);
    if (!error.data.empty()) out.key("data").raw(error.data);
    out.end_object();
}

/// `place` numbers the logs of the block, and goes on.
void write_call(JsonWriter& out, const SimulatedBlock& simulated, LogPlace& place) {
    const auto& call = simulated.calls[place.tx_index];
    const bool succeeded = call.outcome.status == CallOutcome::Status::success;
    out.begin_object().key("returnData");
    out.data(succeeded ? BytesView(call.outcome.output) : BytesView());
    out.key("logs").begin_array();
    for (place.i = 0; place.i < call.outcome.logs.size(); ++place.i, ++place.log_index)
        write_log(out, *simulated.block, call.outcome.logs[place.i], place, false);
    out.end_array().key("gasUsed").quantity(call.outcome.gas_used);
    out.key("maxUsedGas").quantity(call.gas_peak);
    out.key("status").quantity(uint64_t{succeeded});
    if (!succeeded) write_call_error(out, call.outcome);
    out.end_object();
}

void write_simulated(JsonWriter& out, const SimulatedBlock& simulated, bool full_transactions) {
    out.begin_object();
    write_block_members(out, *simulated.block, full_transactions);
    out.key("calls").begin_array();
    LogPlace place;
    for (; place.tx_index < simulated.calls.size(); ++place.tx_index)
        write_call(out, simulated, place);
    out.end_array().end_object();
}

Outcome simulate(Call& call) {
    const auto& request = call.args.at<SimulateRequest>(0);
    if (request.blocks.empty()) return Unexpected(invalid_params("empty input"));
    if (request.blocks.size() > kBlocksMax)
        return Unexpected(Error{code_of(SimulateError::Kind::too_many_blocks), "too many blocks"});
    const auto base = block_argument(call, 1);
    if (!base) return Unexpected(base.error());
    const WorkSlot slot(call.service, call.asker.client, std::nullopt);
    if (!slot) return Unexpected(slot.refusal());
    const auto blocks = call.backend.simulate((*base)->hash, request,
                                              call.service.options().call_gas_max, slot.limits());
    if (!blocks) return Unexpected(to_error(blocks.error()));
    call.out.begin_array();
    for (const auto& block : *blocks) {
        write_simulated(call.out, block, request.full_transactions);
        if (call.out.size() > slot.limits().bytes)
            return Unexpected(Error{kResponseTooLarge, "response too large"});
    }
    call.out.end_array();
    return Done{};
}

constexpr Method kMethods[] = {
    {"eth_simulateV1",
     simulate,
     {{{"simulation", Kind::simulation, true}, {"block", Kind::block, false}}},
     Shape::array,
     false,
     "blocks of calls on top of a block, with results, logs, hashes and roots"},
};

}  // namespace

std::span<const Method> simulate_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
