// SPDX-License-Identifier: Apache-2.0
// Decoders of what is run again or never ran: traces and simulations.
#include <charconv>

#include "rpc/fields.hpp"

namespace trainyard::rpc {

namespace json = boost::json;

namespace {

Unexpected<std::string> wrong(std::string message) {
    return Unexpected(std::move(message));
}

constexpr size_t kNameShownMax = 64;

Decoded<bool> decode_flag(const json::value& value) {
    if (!value.is_bool()) return wrong("expected a boolean");
    return value.get_bool();
}

/// As Go writes a duration, with one unit: "300ms", "5s", "2m".
Decoded<uint64_t> decode_timeout_ms(const json::value& value) {
    const auto text = decode_text(value);
    if (!text) return wrong(text.error());
    uint32_t number = 0;
    const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), number);
    const std::string_view unit = text->substr(static_cast<size_t>(end - text->data()));
    const uint64_t unit_ms = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : 0;
    if (code != std::errc() || unit_ms == 0)
        return wrong("expected a number with its unit: 300ms, 5s or 2m");
    return number * unit_ms;
}

Decoded<TraceOptions::Kind> decode_tracer(const json::value& value) {
    const auto name = decode_text(value);
    if (!name) return wrong(name.error());
    if (name->empty()) return TraceOptions::Kind::steps;
    if (*name == "callTracer") return TraceOptions::Kind::calls;
    if (*name == "prestateTracer") return TraceOptions::Kind::state;
    if (name->find('{') != std::string_view::npos)
        return wrong("JavaScript tracers do not run here; use callTracer or prestateTracer");
    return wrong("no tracer has the name " + std::string(name->substr(0, kNameShownMax)) +
                 "; there are callTracer, prestateTracer and, without a name, the struct logger");
}

Result<Done, std::string> read_config(const json::object& object, TraceOptions& out) {
    return Fields(object)
        .read("onlyTopCall", out.only_top_call, decode_flag)
        .read("withLog", out.with_log, decode_flag)
        .read("diffMode", out.diff_mode, decode_flag)
        .read("disableCode", out.no_code, decode_flag)
        .read("disableStorage", out.no_storage, decode_flag)
        .read("includeEmpty", out.empty_accounts, decode_flag)
        .finish();
}

Decoded<BlockCalls> decode_block_calls(const json::value& value) {
    if (!value.is_object()) return wrong("expected an object");
    BlockCalls out;
    const auto calls = [](const json::value& v) {
        return decode_list<CallRequest>(v, kCallsOfBlockMax, decode_call);
    };
    const auto read = Fields(value.get_object())
                          .read("blockOverrides", out.block, decode_block_overrides)
                          .read("stateOverrides", out.accounts, decode_state_overrides)
                          .read("calls", out.calls, calls)
                          .finish();
    if (!read) return wrong(read.error());
    return out;
}

}  // namespace

Decoded<TraceRequest> decode_trace(const json::value& value) {
    if (!value.is_object()) return wrong("expected an object of trace options");
    const auto& object = value.get_object();
    TraceRequest out;
    TraceOptions& options = out.options;
    bool no_stack = false, no_storage = false;
    const auto config = [](const json::value& v) -> Decoded<const json::object*> {
        if (!v.is_object()) return wrong("expected an object");
        return &v.get_object();
    };
    const json::object* of_tracer = nullptr;
    const auto read = Fields(object)
                          .read("tracer", options.kind, decode_tracer)
                          .read("tracerConfig", of_tracer, config)
                          .read("timeout", options.timeout_ms, decode_timeout_ms)
                          .read("disableStack", no_stack, decode_flag)
                          .read("disableStorage", no_storage, decode_flag)
                          .read("enableMemory", options.memory, decode_flag)
                          .read("enableReturnData", options.return_data, decode_flag)
                          .read("limit", options.steps_max, decode_count)
                          .read("stateOverrides", out.overrides.accounts, decode_state_overrides)
                          .read("blockOverrides", out.overrides.block, decode_block_overrides)
                          .finish();
    if (!read) return wrong(read.error());
    options.stack = !no_stack;
    options.storage = !no_storage;
    if (of_tracer != nullptr)
        if (const auto known = read_config(*of_tracer, options); !known)
            return wrong("tracerConfig: " + known.error());
    if (const auto* index = object.if_contains("txIndex"); index && !index->is_null())
        return wrong("txIndex: calls run on the state after a block alone");
    return out;
}

Decoded<SimulateRequest> decode_simulation(const json::value& value) {
    if (!value.is_object()) return wrong("expected an object with blockStateCalls");
    SimulateRequest out;
    const auto blocks = [](const json::value& v) {
        return decode_list<BlockCalls>(v, kBlocksOfSimulationMax, decode_block_calls);
    };
    const auto read = Fields(value.get_object())
                          .read("blockStateCalls", out.blocks, blocks)
                          .read("validation", out.validation, decode_flag)
                          .read("traceTransfers", out.trace_transfers, decode_flag)
                          .read("returnFullTransactions", out.full_transactions, decode_flag)
                          .finish();
    if (!read) return wrong(read.error());
    return out;
}

}  // namespace trainyard::rpc
