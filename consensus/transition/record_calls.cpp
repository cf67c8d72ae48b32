// SPDX-License-Identifier: Apache-2.0
// The call recorder: one frame opened by each call, closed and put into the one around it.
#include "consensus/transition/recorders.hpp"
#include "vm/opcodes.hpp"

namespace trainyard::consensus {
namespace {

constexpr uint64_t kFrameBytes = 400;  // of JSON, with nothing variable
constexpr uint64_t kLogBytes = 200;
constexpr uint64_t kTopicBytes = 70;

/// Logs of a frame that failed never were, nor those of the frames inside it.
void clear_failed_logs(CallFrame& frame, bool outer_failed) {
    const bool failed = outer_failed || !frame.error.empty();
    if (failed) frame.logs.clear();
    for (auto& call : frame.calls) clear_failed_logs(call, failed);
}

}  // namespace

void CallRecorder::on_enter(const vm::Message& message) {
    const bool wanted = open_.empty() || (unseen_ == 0 && !options_.only_top_call);
    if (!wanted || !budget_.take(kFrameBytes + 2 * message.input.size())) {
        ++unseen_;
        return;
    }
    const bool creates =
        message.kind == vm::CallKind::create || message.kind == vm::CallKind::create2;
    CallFrame& frame = open_.emplace_back();
    frame.type = message.depth > 0 ? vm::name_of(opcode_, watched_.rules.revision)
                 : creates         ? "CREATE"
                                   : "CALL";
    frame.from = message.sender;
    const bool borrows_code =
        message.kind == vm::CallKind::delegate_call || message.kind == vm::CallKind::call_code;
    frame.to = borrows_code ? message.code_address : message.recipient;
    if (message.kind == vm::CallKind::delegate_call) frame.from = message.recipient;
    if (message.depth == 0 || opcode_ != vm::op::staticcall) frame.value = message.value;
    frame.gas = static_cast<uint64_t>(message.gas);
    frame.input.assign(message.input.begin(), message.input.end());
}

void CallRecorder::on_exit(const vm::CallResult& result) {
    if (unseen_ > 0) {
        --unseen_;
        return;
    }
    CallFrame frame = std::move(open_.back());
    open_.pop_back();
    frame.gas_used = frame.gas - static_cast<uint64_t>(result.gas_left);
    frame.output = result.output;
    const bool creates = frame.type == "CREATE" || frame.type == "CREATE2";
    if (result.status != vm::Status::success) {
        frame.error = vm::to_text(result.status);
        frame.reverted = result.status == vm::Status::revert;
        if (creates) frame.to.reset();
    } else if (creates) {
        const auto code = watched_.world.code_of(watched_.world.account(result.created))->bytes();
        frame.output.assign(code.begin(), code.end());
    }
    (void)budget_.take(2 * frame.output.size());
    if (open_.empty())
        top_ = std::move(frame);
    else
        open_.back().calls.push_back(std::move(frame));
}

void CallRecorder::on_log(const Address& address, BytesView data, std::span<const Hash> topics) {
    const uint64_t index = logs_++;
    if (!options_.with_log || !is_shown()) return;
    if (!budget_.take(kLogBytes + kTopicBytes * topics.size() + 2 * data.size())) return;
    CallFrame& frame = open_.back();
    frame.logs.push_back({{address, {topics.begin(), topics.end()}, {data.begin(), data.end()}},
                          index,
                          frame.calls.size()});
}

void CallRecorder::on_selfdestruct(const Address& from, const Address& to, const Uint256& amount) {
    if (!is_shown() || options_.only_top_call || !budget_.take(kFrameBytes)) return;
    CallFrame& frame = open_.back().calls.emplace_back();
    frame.type = "SELFDESTRUCT";
    frame.from = from;
    frame.to = to;
    frame.value = amount;
}

Trace CallRecorder::finish(const Tx& tx, const TxOutcome& done) {
    top_.gas = tx.gas_limit;
    top_.gas_used = done.gas_used;
    if (options_.with_log) clear_failed_logs(top_, false);
    return std::move(top_);
}

}  // namespace trainyard::consensus
