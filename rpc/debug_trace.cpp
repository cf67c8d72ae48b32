// SPDX-License-Identifier: Apache-2.0
// debug_trace*: what happened inside a transaction.
#include <algorithm>

#include "rpc/encode_trace.hpp"
#include "rpc/lookup.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

Error to_error(const TraceError& error, uint64_t bytes_max) {
    using Kind = TraceError::Kind;
    switch (error.kind) {
        case Kind::unknown_block:
            return server_error("header not found");
        case Kind::state_unavailable:
            return to_error(StateError::unavailable);
        case Kind::genesis:
            return server_error("genesis is not traceable");
        case Kind::refused:
            return server_error("tracing failed: " + error.message);
        case Kind::too_large:
            return {kResponseTooLarge,
                    "the trace is larger than " + std::to_string(bytes_max) +
                        " bytes: disable stack and storage, set limit, or use a tracer that shows "
                        "less"};
        case Kind::too_slow:
            return server_error("execution timeout");
        case Kind::failed:
            return server_error("tracing failed: the block does not execute here: " +
                                error.message);
    }
    ASSERT(false);
}

/// Overrides change a call; what happened has happened.
Result<TraceRequest, Error> options_at(const Call& call, size_t i, bool may_override) {
    auto request = call.args.value_or<TraceRequest>(i, {});
    const auto& over = request.overrides;
    const bool overrides = !over.accounts.empty() || over.block.number || over.block.time;
    if (overrides && !may_override)
        return Unexpected(invalid_params("overrides belong to debug_traceCall"));
    return request;
}

Outcome trace_blocks(Call& call, const BlockPtr& block) {
    const auto request = options_at(call, 1, false);
    if (!request) return Unexpected(request.error());
    const WorkSlot slot(call.service, call.asker.client, request->options.timeout_ms);
    if (!slot) return Unexpected(slot.refusal());
    const auto traces = call.backend.trace_block(block->hash, request->options, slot.limits());
    if (!traces) return Unexpected(to_error(traces.error(), slot.limits().bytes));
    call.out.begin_array();
    for (size_t i = 0; i < traces->size(); ++i) {
        call.out.begin_object().key("txHash").data(block->tx_hashes[i]).key("result");
        write_trace(call.out, (*traces)[i], request->options);
        call.out.end_object();
    }
    call.out.end_array();
    return Done{};
}

Outcome trace_block_by_hash(Call& call) {
    const auto& hash = call.args.at<Hash>(0);
    const auto block = call.backend.block(BlockByHash{hash, false});
    if (!block) return Unexpected(server_error("block " + to_hex0x(hash.bytes) + " not found"));
    return trace_blocks(call, block);
}

Outcome trace_block_by_number(Call& call) {
    const auto& id = call.args.at<BlockId>(0);
    const auto block = find_block(call.backend, id);
    if (!block) return Unexpected(block.error());
    const auto* number = std::get_if<uint64_t>(&id);
    if (!*block)
        return Unexpected(server_error(number ? "block #" + std::to_string(*number) + " not found"
                                              : "block not found"));
    return trace_blocks(call, *block);
}

Outcome trace_transaction(Call& call) {
    const auto request = options_at(call, 1, false);
    if (!request) return Unexpected(request.error());
    const auto place = call.backend.find_tx(call.args.at<Hash>(0));
    if (!place) return Unexpected(server_error("transaction not found"));
    const WorkSlot slot(call.service, call.asker.client, request->options.timeout_ms);
    if (!slot) return Unexpected(slot.refusal());
    const auto trace = call.backend.trace_transaction(*place, request->options, slot.limits());
    if (!trace) return Unexpected(to_error(trace.error(), slot.limits().bytes));
    write_trace(call.out, *trace, request->options);
    return Done{};
}

Outcome trace_call(Call& call) {
    const auto block = block_argument(call, 1);
    if (!block) return Unexpected(block.error());
    const auto request = options_at(call, 2, true);
    if (!request) return Unexpected(request.error());
    auto args = call.args.at<CallRequest>(0);
    const uint64_t gas_max = call.service.options().call_gas_max;
    args.gas = std::min(args.gas.value_or(gas_max), gas_max);
    const WorkSlot slot(call.service, call.asker.client, request->options.timeout_ms);
    if (!slot) return Unexpected(slot.refusal());
    const auto trace = call.backend.trace_call((*block)->hash, args, request->overrides,
                                               request->options, slot.limits());
    if (!trace) return Unexpected(to_error(trace.error(), slot.limits().bytes));
    write_trace(call.out, *trace, request->options);
    return Done{};
}

constexpr Param kOptions{"options", Kind::trace, false};

constexpr Method kMethods[] = {
    {"debug_traceTransaction",
     trace_transaction,
     {{{"hash", Kind::hash, true}, kOptions}},
     Shape::object,
     false,
     "what a transaction did, step by step or call by call"},
    {"debug_traceBlockByHash",
     trace_block_by_hash,
     {{{"hash", Kind::hash, true}, kOptions}},
     Shape::array,
     false,
     "the traces of a block's transactions"},
    {"debug_traceBlockByNumber",
     trace_block_by_number,
     {{{"block", Kind::block_number, true}, kOptions}},
     Shape::array,
     false,
     "the traces of a block's transactions"},
    {"debug_traceCall",
     trace_call,
     {{{"transaction", Kind::call, true}, {"block", Kind::block, false}, kOptions}},
     Shape::object,
     false,
     "what a call would do"},
};

}  // namespace

std::span<const Method> trace_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
