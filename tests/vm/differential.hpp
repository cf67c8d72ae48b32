// SPDX-License-Identifier: Apache-2.0
// One code run by the plain loop, the traced loop and the fast loop, with pauses and without: all
// must agree in everything.
#pragma once

#include <string>

#include "tests/vm/map_host.hpp"
#include "vm/fast_code.hpp"

namespace trainyard::vm {

/// What a run leaves behind, as text that names every difference.
inline std::string outcome_text(const CallResult& result, const MapHost& host) {
    std::string text = std::string(to_text(result.status)) + " gas " +
                       std::to_string(result.gas_left) + " refund " +
                       std::to_string(result.gas_refund) + " output " + to_hex(result.output) +
                       " logs " + std::to_string(host.logs) + " calls";
    for (const auto& call : host.calls)
        text += " (" + std::to_string(call.gas) + " " + to_hex(call.code_address) + " " +
                to_hex(to_hash(call.value)) + " " + std::to_string(call.input.size()) + ")";
    return text;
}

/// The slots that a successful run wrote; a failed run is undone by the host.
inline std::string slots_text(const MapHost& host) {
    std::string text;
    for (const auto* slots : {&host.slots, &host.transient})
        for (const auto& [key, value] : *slots)
            if (!value.is_zero())
                text += to_hex(to_hash(key.second)) + "=" + to_hex(to_hash(value)) + " ";
    return text;
}

class SilentTracer final : public Tracer {
public:
    void on_enter(const Message&) override {}
    void on_exit(const CallResult&) override {}
    void on_step(const StepView&) override {}
    void on_fault(Status) override {}
};

enum class Way { plain, traced, fast, plain_paused, traced_paused, fast_paused };

inline std::string run_one_way(Way way, BytesView bytes, BytesView input, int64_t gas,
                               bool is_static, Revision revision) {
    MapHost host;
    host.answer.gas_left = gas % 77;
    host.answer.output = Bytes(static_cast<size_t>(gas % 70), 0xab);
    host.balances[Address{}] = 1000;
    host.context.number = 1000;
    SilentTracer tracer;
    Watch watch({}, 50);
    const bool is_traced = way == Way::traced || way == Way::traced_paused;
    const bool is_fast = way == Way::fast || way == Way::fast_paused;
    Interpreter interpreter(revision, is_traced ? &tracer : nullptr,
                            way < Way::plain_paused ? nullptr : &watch);
    Message message;
    message.gas = gas;
    message.is_static = is_static;
    message.input = input;
    message.depth = gas % 100 == 0 ? kDepthMax : 0;
    const Code code(bytes);
    if (!is_fast) code.note_gas_used(-(int64_t{1} << 60));  // never worth a translation
    if (is_fast) (void)code.make_fast(instructions_of(revision));
    const CallResult result = interpreter.run(host, message, code);
    std::string text = outcome_text(result, host);
    if (result.status == Status::success) text += " " + slots_text(host);
    return text;
}

/// Empty if all ways agree, else what two of them gave.
inline std::string difference(BytesView code, BytesView input, int64_t gas, bool is_static,
                              Revision revision) {
    const auto plain = run_one_way(Way::plain, code, input, gas, is_static, revision);
    for (const Way way :
         {Way::traced, Way::fast, Way::plain_paused, Way::traced_paused, Way::fast_paused}) {
        const auto other = run_one_way(way, code, input, gas, is_static, revision);
        if (plain != other) return to_hex(code) + ": plain " + plain + "; other " + other;
    }
    return "";
}

}  // namespace trainyard::vm
