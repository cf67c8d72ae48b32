// SPDX-License-Identifier: Apache-2.0
// The loop of the interpreter: checks that the tables give, then one case per instruction.
#include "vm/interpreter.hpp"

#include <algorithm>
#include <utility>

#include "core/assert.hpp"
#include "vm/arithmetic.hpp"
#include "vm/fast_loop.hpp"
#include "vm/instructions.hpp"
#include "vm/opcodes.hpp"

namespace trainyard::vm {
namespace {

Status explain(const Instruction& instruction, uint8_t opcode, int height) {
    if (opcode == op::invalid) return Status::invalid_instruction;
    if (!instruction.is_defined()) return Status::undefined_instruction;
    return height < instruction.stack_min ? Status::stack_underflow : Status::stack_overflow;
}

[[gnu::always_inline]] inline Uint256 push_data(const uint8_t* pc, unsigned count) {
    return load_word(pc + 1) >> (256 - 8 * count);
}

Ending paused_at(size_t offset, Uint256* top, int64_t gas) {
    return {gas, Status::success, Ending::Kind::is_paused, {offset, top, gas}};
}

/// The plain loop: the reference, the tracer's view, and the way of code that runs but once.
/// Invariant at the top of the loop: `top` points at the top word (stack[-1] if there is none),
/// `gas` >= 0.
template <bool kTraced>
Ending run_plain(Machine& m, Uint256* const stack, const InstructionTable& table, Tracer* tracer,
                 const Position& at) {
    const uint8_t* const code = m.code.begin();
    const uint8_t* pc = code + at.offset;
    Uint256* top = at.top;
    int64_t gas = at.gas;
    for (;;) {
        const uint8_t opcode = *pc;
        const Instruction instruction = table[opcode];
        const int height = static_cast<int>(top - stack) + 1;
        if constexpr (kTraced)
            tracer->on_step({static_cast<uint64_t>(pc - code),
                             opcode,
                             m.message.depth,
                             gas,
                             m.refund,
                             {stack, static_cast<size_t>(height)},
                             m.memory.view(),
                             m.return_data,
                             m.message});
        if (static_cast<unsigned>(height - instruction.stack_min) >
            static_cast<unsigned>(instruction.stack_span)) [[unlikely]]
            return {gas, explain(instruction, opcode, height)};
        gas -= instruction.gas;
        if (gas < 0) [[unlikely]]
            return {gas, Status::out_of_gas};
        Step step{gas};
        // clang-format off
        switch (opcode) {
            case op::stop: return {gas, Status::success};
            case op::add: top[-1] += top[0]; break;
            case op::mul: top[-1] *= top[0]; break;
            case op::sub: top[-1] = top[0] - top[-1]; break;
            case op::div: top[-1] = top[0] / top[-1]; break;
            case op::sdiv: top[-1] = sdiv(top[0], top[-1]); break;
            case op::mod: top[-1] = top[0] % top[-1]; break;
            case op::smod: top[-1] = smod(top[0], top[-1]); break;
            case op::addmod: top[-2] = addmod(top[0], top[-1], top[-2]); break;
            case op::mulmod: top[-2] = mulmod(top[0], top[-1], top[-2]); break;
            case op::signextend: top[-1] = sign_extend(top[0], top[-1]); break;
            case op::lt: top[-1] = top[0] < top[-1] ? 1 : 0; break;
            case op::gt: top[-1] = top[-1] < top[0] ? 1 : 0; break;
            case op::slt: top[-1] = signed_less(top[0], top[-1]) ? 1 : 0; break;
            case op::sgt: top[-1] = signed_less(top[-1], top[0]) ? 1 : 0; break;
            case op::eq: top[-1] = top[0] == top[-1] ? 1 : 0; break;
            case op::iszero: top[0] = top[0].is_zero() ? 1 : 0; break;
            case op::and_: top[-1] = top[0] & top[-1]; break;
            case op::or_: top[-1] = top[0] | top[-1]; break;
            case op::xor_: top[-1] = top[0] ^ top[-1]; break;
            case op::not_: top[0] = ~top[0]; break;
            case op::byte: top[-1] = byte_of(top[0], top[-1]); break;
            case op::shl: top[-1] = top[-1] << shift_amount(top[0]); break;
            case op::shr: top[-1] = top[-1] >> shift_amount(top[0]); break;
            case op::sar: top[-1] = arithmetic_shift_right(top[-1], shift_amount(top[0])); break;
            case op::clz: top[0] = static_cast<uint64_t>(256 - top[0].bit_length()); break;
            case op::pop: break;
            case op::mload:
                step.gas = touch_memory(m, top[0], 32, gas);
                if (step.gas >= 0) top[0] = load_word(m.memory.data() + top[0].low());
                break;
            case op::mstore:
                step.gas = touch_memory(m, top[0], 32, gas);
                if (step.gas >= 0) store_word(m.memory.data() + top[0].low(), top[-1]);
                break;
            case op::mstore8:
                step.gas = touch_memory(m, top[0], 1, gas);
                if (step.gas >= 0)
                    m.memory.data()[top[0].low()] = static_cast<uint8_t>(top[-1].low());
                break;
            case op::jumpi:
                if (top[-1].is_zero()) break;
                [[fallthrough]];
            case op::jump:
                if (!top[0].fits_u64() || !m.code.is_jump_target(top[0].low()))
                    return {gas, Status::bad_jump};
                pc = code + top[0].low();
                top += instruction.stack_change;
                if (gas < m.pause_below) [[unlikely]]
                    return paused_at(static_cast<size_t>(pc - code), top, gas);
                continue;
            case op::pc: top[1] = static_cast<uint64_t>(pc - code); break;
            case op::msize: top[1] = m.memory.size(); break;
            case op::gas: top[1] = static_cast<uint64_t>(gas); break;
            case op::jumpdest: break;
            case op::push0: top[1] = 0; break;
            case op::push1:
                top[1] = pc[1];
                pc += 1;
                break;
            case op::push2:
                top[1] = static_cast<uint64_t>(pc[1]) << 8 | pc[2];
                pc += 2;
                break;
            case op::push32:
                top[1] = load_word(pc + 1);
                pc += 32;
                break;
            case op::return_: step = do_return(m, top, gas, Status::success); goto last;
            case op::revert: step = do_return(m, top, gas, Status::revert); goto last;
            case op::selfdestruct: step = do_selfdestruct(m, top, gas); goto last;
            default:
                if (opcode >= op::swap1 && opcode <= op::swap16) {
                    std::swap(top[0], top[-(opcode - op::swap1 + 1)]);
                } else if (opcode >= op::dup1 && opcode <= op::dup16) {
                    top[1] = top[-(opcode - op::dup1)];
                } else if (opcode < op::push1 || opcode > op::push32) {
                    step = run_other(m, opcode, top, gas);
                } else {
                    const unsigned count = opcode - op::push1 + 1u;
                    top[1] = push_data(pc, count);
                    pc += count;
                }
        }
        // clang-format on
        if (step.status != Status::success) [[unlikely]]
            return {step.gas, step.status};
        gas = step.gas;
        if (gas < 0) [[unlikely]]
            return {gas, Status::out_of_gas};
        top += instruction.stack_change;
        ++pc;
        continue;
    last:
        return {step.gas, step.gas < 0 ? Status::out_of_gas : step.status};
    }
}

}  // namespace

Interpreter::Frame& Interpreter::frame_at(int depth) {
    ASSERT(depth >= 0 && depth <= kDepthMax);
    const auto index = static_cast<size_t>(depth);
    if (frames_.size() <= index) frames_.resize(index + 1);
    if (!frames_[index]) {
        frames_[index] = std::make_unique<Frame>();
        frames_[index]->stack.reset(new Uint256[kStackSizeMax + 1]);
    }
    return *frames_[index];
}

/// Runs plainly until the code has used enough gas to be worth a translation, then fast; a block
/// that does not fit is run plainly again, and fails there.
Ending Interpreter::run_untraced(Machine& m, Uint256* stack) {
    const InstructionTable& table = instructions_of(revision_);
    Position at{0, stack - 1, m.message.gas};
    const FastCode* fast = m.code.fast(table);
    if (fast == nullptr) {
        m.pause_below = m.message.gas - m.code.gas_before_fast();
        const Ending ending = run_plain<false>(m, stack, table, nullptr, at);
        if (ending.kind == Ending::Kind::finished) {
            m.code.note_gas_used(m.message.gas - std::max<int64_t>(ending.gas, 0));
            return ending;
        }
        at = ending.at;
        fast = m.code.make_fast(table);
    }
    if (fast != nullptr) {
        const Ending ending = run_fast<false>(m, stack, *fast, at);
        if (ending.kind == Ending::Kind::finished) return ending;
        at = ending.at;
    }
    m.pause_below = 0;
    return run_plain<false>(m, stack, table, nullptr, at);
}

/// The same in slices of gas, traced or not; the watch is asked before each. After a pause of the
/// fast loop, which need not be at a JUMPDEST, the plain one goes on to the next.
Ending Interpreter::run_watched(Machine& m, Uint256* stack) {
    const InstructionTable& table = instructions_of(revision_);
    const bool is_traced = tracer_ != nullptr;
    const FastCode* fast = is_traced ? nullptr : m.code.fast(table);
    int64_t hot_below = is_traced || fast ? 0 : m.message.gas - m.code.gas_before_fast();
    Ending ending = paused_at(0, stack - 1, m.message.gas);
    while (ending.kind != Ending::Kind::finished) {
        if (watch_->look()) return {0, Status::out_of_time};
        const Position at = ending.at;
        if (at.gas < hot_below) {
            fast = m.code.make_fast(table);
            hot_below = 0;
        }
        m.pause_below = std::max({int64_t{0}, at.gas - watch_->slice_gas(), hot_below});
        const bool may_be_fast = fast != nullptr && ending.kind == Ending::Kind::is_paused;
        ending = is_traced     ? run_plain<true>(m, stack, table, tracer_, at)
                 : may_be_fast ? run_fast<true>(m, stack, *fast, at)
                               : run_plain<false>(m, stack, table, nullptr, at);
    }
    if (!is_traced && fast == nullptr)
        m.code.note_gas_used(m.message.gas - std::max<int64_t>(ending.gas, 0));
    return ending;
}

Ending Interpreter::run_frame(Machine& m, Uint256* stack) {
    if (watch_ != nullptr) return run_watched(m, stack);
    if (tracer_ == nullptr) return run_untraced(m, stack);
    return run_plain<true>(m, stack, instructions_of(revision_), tracer_,
                           {0, stack - 1, m.message.gas});
}

CallResult Interpreter::run(Host& host, const Message& message, const Code& code) {
    Frame& frame = frame_at(message.depth);
    frame.memory.clear();
    Machine m{host, rules_of(revision_), message, code, frame.memory, 0, {}, 0,
              0,    host.tx_context()};
    // One word below the stack keeps `top` of an empty stack inside the array.
    Uint256* const stack = frame.stack.get() + 1;
    const Ending ending = run_frame(m, stack);
    CallResult result;
    result.status = ending.status;
    const bool keeps_gas = ending.status == Status::success || ending.status == Status::revert;
    if (!keeps_gas && tracer_ != nullptr) tracer_->on_fault(ending.status);
    if (keeps_gas) result.gas_left = ending.gas;
    if (ending.status == Status::success) result.gas_refund = m.refund;
    if (keeps_gas && m.output_size > 0) {
        const uint8_t* const from = frame.memory.data() + m.output_offset;
        result.output.assign(from, from + m.output_size);
    }
    frame.memory.release_if_large();
    return result;
}

}  // namespace trainyard::vm
