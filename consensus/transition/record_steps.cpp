// SPDX-License-Identifier: Apache-2.0
// The step recorder: what an instruction cost is known when the next one of its frame begins.
#include <algorithm>

#include "consensus/transition/recorders.hpp"
#include "vm/opcodes.hpp"

namespace trainyard::consensus {
namespace {

namespace op = vm::op;

constexpr uint64_t kStepBytes = 100;      // of JSON, with nothing optional
constexpr uint64_t kSlotBytes = 140;      // a key and a value of 32 bytes
constexpr uint64_t kWordBytes = 5;        // quotes, 0x and comma around the digits of a stack word
constexpr uint64_t kMemoryWordBytes = 2;  // of JSON for one byte, and a little more

bool is_call(uint8_t opcode) {
    return opcode == op::call || opcode == op::callcode || opcode == op::delegatecall ||
           opcode == op::staticcall;
}

bool is_create(uint8_t opcode) {
    return opcode == op::create || opcode == op::create2;
}

/// EIP-150: what a call gets of `available` if it asks for `wanted`.
int64_t forwarded(const vm::Rules& rules, const Uint256& wanted, int64_t available) {
    const int64_t most = rules.call_keeps_64th ? available - available / 64 : available;
    const bool fits = wanted.fits_u64() && wanted.low() <= static_cast<uint64_t>(most);
    return fits ? static_cast<int64_t>(wanted.low()) : most;
}

uint64_t stack_bytes(std::span<const Uint256> stack) {
    uint64_t bytes = 0;
    for (const auto& word : stack) bytes += kWordBytes + (word.bit_length() + 3) / 4;
    return bytes;
}

}  // namespace

void StepRecorder::on_enter(const vm::Message& message) {
    if (!frames_.empty()) {
        frames_.back().entered = true;
        frames_.back().given = message.gas;
    }
    frames_.emplace_back().creates =
        message.kind == vm::CallKind::create || message.kind == vm::CallKind::create2;
}

void StepRecorder::on_exit(const vm::CallResult& result) {
    Frame& frame = frames_.back();
    int64_t gas = result.gas_left;
    // What storing the code cost is no cost of the last instruction.
    if (frame.creates && result.status == vm::Status::success)
        gas += vm::kCodeByteGas *
               static_cast<int64_t>(
                   watched_.world.code_of(watched_.world.account(result.created))->size());
    settle(frame, gas);
    frames_.pop_back();
    if (!frames_.empty()) frames_.back().returned = result.gas_left;
}

void StepRecorder::settle(Frame& frame, int64_t gas_now) {
    if (frame.last == kNone) return;
    TraceStep& step = steps_[frame.last];
    frame.last = kNone;
    const auto gas = static_cast<int64_t>(step.gas);
    int64_t cost = gas - gas_now;
    if (is_create(step.opcode) && frame.entered) {
        cost -= frame.given - frame.returned;
    } else if (is_call(step.opcode) && frame.entered) {
        cost += frame.returned;
    } else if (is_call(step.opcode)) {  // too deep, or too little to send: all came back
        cost += frame.has_value ? vm::kCallStipend : 0;
        cost += forwarded(watched_.rules, frame.wanted, gas - cost);
    }
    step.gas_cost = static_cast<uint64_t>(std::max<int64_t>(cost, 0));
}

int64_t StepRecorder::refund_of_all() const {
    int64_t sum = 0;
    for (const auto& frame : frames_) sum += frame.refund;
    return std::max<int64_t>(sum, 0);
}

void StepRecorder::note_storage(const vm::StepView& view, TraceStep& step) {
    const size_t height = view.stack.size();
    const bool reads = view.opcode == op::sload && height >= 1;
    const bool writes = view.opcode == op::sstore && height >= 2;
    if (!reads && !writes) return;
    const Uint256& key = view.stack[height - 1];
    auto& slots = storage_[view.message.recipient];
    if (!budget_.take(kSlotBytes * (slots.size() + 1))) return;
    World& world = watched_.world;
    slots[key] = writes ? view.stack[height - 2]
                        : world.slot(world.account(view.message.recipient), key).current;
    step.storage = slots;
}

void StepRecorder::on_step(const vm::StepView& view) {
    Frame& frame = frames_.back();
    settle(frame, view.gas);
    frame.refund = view.refund;
    frame.entered = false;
    if (options_.steps_max != 0 && steps_.size() >= options_.steps_max) return;
    uint64_t bytes = kStepBytes;
    if (options_.stack) bytes += stack_bytes(view.stack);
    if (options_.memory) bytes += kMemoryWordBytes * view.memory.size() + view.memory.size() / 6;
    if (options_.return_data) bytes += 2 * view.return_data.size();
    if (!budget_.take(bytes)) return;
    if (is_call(view.opcode) && view.stack.size() >= 3) {
        const size_t top = view.stack.size() - 1;
        const bool has_value = view.opcode == op::call || view.opcode == op::callcode;
        frame.wanted = view.stack[top];
        frame.has_value = has_value && !view.stack[top - 2].is_zero();
    }
    frame.last = steps_.size();
    TraceStep& step = steps_.emplace_back();
    step.pc = view.pc;
    step.opcode = view.opcode;
    if (vm::instructions_of(watched_.rules.revision)[view.opcode].is_defined() ||
        view.opcode == op::invalid)
        step.name = view.opcode == op::invalid ? "INVALID"
                                               : vm::name_of(view.opcode, watched_.rules.revision);
    step.gas = static_cast<uint64_t>(view.gas);
    step.depth = view.depth + 1;
    step.refund = static_cast<uint64_t>(refund_of_all());
    if (options_.stack) step.stack.assign(view.stack.begin(), view.stack.end());
    if (options_.memory) step.memory.assign(view.memory.begin(), view.memory.end());
    if (options_.return_data)
        step.return_data.assign(view.return_data.begin(), view.return_data.end());
    if (options_.storage) note_storage(view, step);
}

void StepRecorder::on_fault(vm::Status status) {
    Frame& frame = frames_.back();
    if (frame.last == kNone) return;
    TraceStep& step = steps_[frame.last];
    frame.last = kNone;
    step.error = vm::to_text(status);
    const auto& instruction = vm::instructions_of(watched_.rules.revision)[step.opcode];
    step.gas_cost = status == vm::Status::out_of_gas
                        ? step.gas  // whatever it would have cost, it took all there was
                        : static_cast<uint64_t>(std::max<int16_t>(instruction.gas, 0));
}

Trace StepRecorder::finish(const Tx&, const TxOutcome& done) {
    StepTrace trace;
    trace.gas_used = done.gas_used;
    trace.failed = done.status != vm::Status::success;
    trace.output = done.output;
    if (done.created) {
        World& world = watched_.world;
        const auto code = world.code_of(world.account(*done.created))->bytes();
        trace.output.assign(code.begin(), code.end());
    }
    (void)budget_.take(2 * trace.output.size());
    trace.steps = std::move(steps_);
    return trace;
}

}  // namespace trainyard::consensus
