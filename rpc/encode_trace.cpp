// SPDX-License-Identifier: Apache-2.0
// The shapes of traces.
#include "rpc/encode_trace.hpp"

#include "rpc/error.hpp"

namespace trainyard::rpc {

namespace {

constexpr size_t kWord = 32;

void write_slots(JsonWriter& out, const std::map<Uint256, Uint256>& slots) {
    out.begin_object();
    for (const auto& [key, value] : slots)
        out.key(to_hex0x(to_hash(key).bytes)).data(to_hash(value));
    out.end_object();
}

std::string undefined_name(uint8_t opcode) {
    return "opcode 0x" + to_quantity(Uint256(opcode)).substr(2) + " not defined";
}

void write_step(JsonWriter& out, const TraceStep& step, const TraceOptions& options) {
    out.begin_object().key("pc").number(step.pc).key("op");
    step.name.empty() ? out.text(undefined_name(step.opcode)) : out.text(step.name);
    out.key("gas").number(step.gas).key("gasCost").number(step.gas_cost);
    out.key("depth").number(static_cast<uint64_t>(step.depth));
    if (!step.error.empty()) out.key("error").text(step.error);
    if (options.stack) {
        out.key("stack").begin_array();
        for (const auto& word : step.stack) out.quantity(word);
        out.end_array();
    }
    if (!step.return_data.empty()) out.key("returnData").data(BytesView(step.return_data));
    if (!step.memory.empty()) {
        out.key("memory").begin_array();
        for (size_t at = 0; at + kWord <= step.memory.size(); at += kWord)
            out.data(BytesView(step.memory).subspan(at, kWord));
        out.end_array();
    }
    if (!step.storage.empty()) {
        out.key("storage");
        write_slots(out, step.storage);
    }
    if (step.refund != 0) out.key("refund").number(step.refund);
    out.end_object();
}

void write(JsonWriter& out, const StepTrace& trace, const TraceOptions& options) {
    out.begin_object().key("gas").number(trace.gas_used).key("failed").boolean(trace.failed);
    out.key("returnValue").data(BytesView(trace.output)).key("structLogs").begin_array();
    for (const auto& step : trace.steps) write_step(out, step, options);
    out.end_array().end_object();
}

void write_frame_logs(JsonWriter& out, const std::vector<CallFrame::FrameLog>& logs) {
    out.begin_array();
    for (const auto& entry : logs) {
        out.begin_object().key("address").data(entry.log.address).key("topics").begin_array();
        for (const auto& topic : entry.log.topics) out.data(topic);
        out.end_array().key("data").data(BytesView(entry.log.data));
        out.key("index").quantity(entry.index).key("position").quantity(entry.position);
        out.end_object();
    }
    out.end_array();
}

void write(JsonWriter& out, const CallFrame& frame, const TraceOptions& options) {
    out.begin_object().key("from").data(frame.from).key("gas").quantity(frame.gas);
    out.key("gasUsed").quantity(frame.gas_used);
    if (frame.to) out.key("to").data(*frame.to);
    out.key("input").data(BytesView(frame.input));
    if (!frame.output.empty()) out.key("output").data(BytesView(frame.output));
    if (!frame.error.empty()) out.key("error").text(frame.error);
    if (frame.reverted)
        if (const auto reason = revert_reason(frame.output)) out.key("revertReason").text(*reason);
    if (!frame.calls.empty()) {
        out.key("calls").begin_array();
        for (const auto& call : frame.calls) write(out, call, options);
        out.end_array();
    }
    if (!frame.logs.empty()) {
        out.key("logs");
        write_frame_logs(out, frame.logs);
    }
    if (frame.value) out.key("value").quantity(*frame.value);
    out.key("type").text(frame.type).end_object();
}

void write_accounts(JsonWriter& out, const std::map<Address, AccountState>& accounts) {
    out.begin_object();
    for (const auto& [address, account] : accounts) {
        out.key(to_hex0x(address.bytes)).begin_object();
        if (account.balance) out.key("balance").quantity(*account.balance);
        if (account.code) out.key("code").data(BytesView(*account.code));
        if (account.nonce) out.key("nonce").number(*account.nonce);
        if (!account.storage.empty()) {
            out.key("storage");
            write_slots(out, account.storage);
        }
        out.end_object();
    }
    out.end_object();
}

void write(JsonWriter& out, const StateTrace& trace, const TraceOptions&) {
    if (!trace.post) return write_accounts(out, trace.pre);
    out.begin_object().key("post");
    write_accounts(out, *trace.post);
    out.key("pre");
    write_accounts(out, trace.pre);
    out.end_object();
}

}  // namespace

void write_trace(JsonWriter& out, const Trace& trace, const TraceOptions& options) {
    std::visit([&](const auto& shown) { write(out, shown, options); }, trace);
}

}  // namespace trainyard::rpc
