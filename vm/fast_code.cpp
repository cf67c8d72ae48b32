// SPDX-License-Identifier: Apache-2.0
// The translation of code into blocks of fast operations.
#include "vm/fast_code.hpp"

#include <algorithm>
#include <optional>

#include "vm/arithmetic.hpp"

namespace trainyard::vm {
namespace {

constexpr uint32_t kWordBytes = sizeof(Uint256);
constexpr size_t kRunMax = 4096;  ///< JUMPDESTs that share a body: the distance fits 16 bits

/// The place of an opcode in TRAINYARD_FAST_BINARY.
std::optional<uint16_t> binary_index(uint8_t opcode) {
    constexpr uint8_t kOpcodes[] = {
#define X(name) op::name,
        TRAINYARD_FAST_BINARY(X)
#undef X
    };
    const auto* const found = std::find(std::begin(kOpcodes), std::end(kOpcodes), opcode);
    if (found == std::end(kOpcodes)) return std::nullopt;
    return static_cast<uint16_t>(found - std::begin(kOpcodes));
}

FastOp op_in_group(FastOp first, unsigned index) {
    return static_cast<FastOp>(static_cast<unsigned>(first) + index);
}

bool is_push(uint8_t opcode) {
    return opcode >= op::push0 && opcode <= op::push32;
}
bool is_dup(uint8_t opcode) {
    return opcode >= op::dup1 && opcode <= op::dup16;
}
bool is_swap(uint8_t opcode) {
    return opcode >= op::swap1 && opcode <= op::swap16;
}
bool is_log(uint8_t opcode) {
    return opcode >= op::log0 && opcode <= op::log4;
}
/// The depth of the word that a DUP copies: 0 for DUP1.
uint16_t dup_depth(uint8_t opcode) {
    return opcode - op::dup1;
}
uint16_t swap_depth(uint8_t opcode) {
    return opcode - op::swap1 + 1;
}

/// Sees the gas, or may fail from something else than gas: the last instruction of its block.
bool ends_block(uint8_t opcode) {
    switch (opcode) {
        case op::sstore:
        case op::tstore:
        case op::returndatacopy:
        case op::create:
        case op::create2:
        case op::call:
        case op::callcode:
        case op::delegatecall:
        case op::staticcall:
            return true;
        default:
            return is_log(opcode);
    }
}

/// The operations that take the place of one instruction and need nothing but it.
std::optional<FastOp> single_op(uint8_t opcode) {
    switch (opcode) {
#define X(name)    \
    case op::name: \
        return FastOp::name;
        TRAINYARD_FAST_BINARY(X)
        X(iszero)
        X(not_)
        X(clz)
        X(addmod)
        X(mulmod)
        X(mload)
        X(mstore)
        X(mstore8)
        X(msize)
        X(address)
        X(caller)
        X(callvalue)
        X(origin)
        X(gasprice)
        X(calldatasize)
        X(codesize)
        X(returndatasize)
        X(calldataload)
        X(sload)
#undef X
        default:
            return std::nullopt;
    }
}

std::optional<unsigned> compare_index(uint8_t opcode) {
    switch (opcode) {
        case op::lt:
            return 0;
        case op::gt:
            return 1;
        case op::slt:
            return 2;
        case op::sgt:
            return 3;
        case op::eq:
            return 4;
        default:
            return std::nullopt;
    }
}

}  // namespace

class Translator {
public:
    Translator(const Code& code, const InstructionTable& table, FastCode& out)
        : code_(code.begin()), size_(code.size()), source_(code), table_(table), out_(out) {}

    void run() {
        out_.entries_.resize(size_);
        out_.slots_.reserve(size_ + size_ / 4 + 16);
        out_.slots_.resize(kHeadSlots);  // so that no head has index 0
        for (size_t at = 0; at <= size_;) at = translate_block(at);
        resolve_jumps();
    }

private:
    /// A constant that an instruction pushes, and where the next instruction is.
    struct Constant {
        Uint256 value;
        size_t next;
        [[nodiscard]] bool is_small() const { return value <= Uint256(0xffffffff); }
    };
    struct Needs {
        int height = 0, least = 0, growth = 0;
        uint64_t gas = 0;
    };

    void emit(FastOp op, uint16_t extra = 0, uint32_t arg = 0) {
        out_.slots_.push_back({op, extra, arg});
    }
    [[nodiscard]] Constant constant_at(size_t at) const {
        const unsigned count = code_[at] - op::push0;
        Constant c{{}, at + 1 + count};
        if (count > 0) c.value = load_word(code_ + at + 1) >> (256 - 8 * count);
        return c;
    }
    [[nodiscard]] bool is_defined(size_t at) const {
        return at <= size_ && table_[code_[at]].is_defined();
    }
    [[nodiscard]] bool is_target(const Constant& c) const {
        return c.value.fits_u64() && source_.is_jump_target(c.value.low());
    }
    /// Counts what the instruction at `at` needs of stack and gas.
    void account(size_t at) {
        const Instruction& i = table_[code_[at]];
        needs_.least = std::max(needs_.least, i.stack_min - needs_.height);
        needs_.height += i.stack_change;
        needs_.growth = std::max(needs_.growth, needs_.height);
        needs_.gas += static_cast<uint64_t>(i.gas);
    }

    size_t translate_block(size_t at);
    size_t translate(size_t at, bool& ends);
    size_t translate_push(size_t at, bool& ends);
    size_t translate_dup(size_t at);
    size_t translate_swap(size_t at);
    size_t translate_pops(size_t at);
    std::optional<size_t> translate_compare(size_t at, bool& ends);
    size_t translate_rest(size_t at, bool& ends);
    [[nodiscard]] bool joins_next(size_t after) const;
    [[nodiscard]] bool push_joins_next(const Constant& c) const;
    void write_heads(size_t first_slot, size_t at, size_t run);
    uint32_t add_word(const Uint256& word) {
        out_.words_.push_back(word);
        return static_cast<uint32_t>(out_.words_.size() - 1);
    }
    void resolve_jumps() {
        for (const size_t slot : jumps_)
            out_.slots_[slot].arg = out_.entries_[out_.slots_[slot].arg];
    }

    const uint8_t* code_;
    size_t size_;
    const Code& source_;
    const InstructionTable& table_;
    FastCode& out_;
    Needs needs_;
    std::vector<size_t> jumps_;    ///< slots whose arg is the offset of a JUMPDEST
    std::vector<size_t> gas_ops_;  ///< slots of this block whose arg is the gas used before
};

/// A pushed or copied word that goes straight into the instruction at `after`.
bool Translator::joins_next(size_t after) const {
    if (!is_defined(after)) return false;
    const uint8_t next = code_[after];
    return binary_index(next) || next == op::mload || next == op::mstore;
}

bool Translator::push_joins_next(const Constant& c) const {
    if (joins_next(c.next)) return true;
    return is_defined(c.next) && is_target(c) &&
           (code_[c.next] == op::jump || code_[c.next] == op::jumpi);
}

size_t Translator::translate_push(size_t at, bool& ends) {
    const Constant c = constant_at(at);
    const auto low = static_cast<uint32_t>(c.value.low());
    const uint8_t next = c.next <= size_ ? code_[c.next] : uint8_t{op::stop};
    account(at);
    if (push_joins_next(c)) {
        const auto binary = binary_index(next);
        if (next == op::jump || next == op::jumpi) {
            ends = true;
            jumps_.push_back(out_.slots_.size());
            emit(next == op::jump ? FastOp::jump_to : FastOp::nonzero_jumpi, 0, low);
        } else if (binary && c.is_small()) {
            emit(op_in_group(FastOp::push_add, *binary), 0, low);
        } else if (binary) {
            emit(op_in_group(FastOp::wide_add, *binary), 0, add_word(c.value));
        } else if (c.is_small()) {
            emit(next == op::mload ? FastOp::push_mload : FastOp::push_mstore, 0, low);
        } else {
            emit(FastOp::push_wide, 0, add_word(c.value));
            return c.next;
        }
        account(c.next);
        return c.next + 1;
    }
    if (c.is_small() && is_dup(next) && !joins_next(c.next + 1)) {
        emit(FastOp::push_dup, dup_depth(next), low);
        account(c.next);
        return c.next + 1;
    }
    if (low <= 0xffff && c.is_small() && is_push(next) && is_defined(c.next)) {
        const Constant second = constant_at(c.next);
        if (second.is_small() && !push_joins_next(second)) {
            emit(FastOp::push_push, static_cast<uint16_t>(low),
                 static_cast<uint32_t>(second.value.low()));
            account(c.next);
            return second.next;
        }
    }
    if (c.is_small())
        emit(FastOp::push, 0, low);
    else
        emit(FastOp::push_wide, 0, add_word(c.value));
    return c.next;
}

size_t Translator::translate_dup(size_t at) {
    const uint16_t depth = dup_depth(code_[at]);
    const uint8_t next = code_[at + 1];
    account(at);
    if (joins_next(at + 1)) {
        const auto binary = binary_index(next);
        emit(binary ? op_in_group(FastOp::dup_add, *binary)
                    : (next == op::mload ? FastOp::dup_mload : FastOp::dup_mstore),
             depth);
        account(at + 1);
        return at + 2;
    }
    if (is_dup(next) && !joins_next(at + 2)) {
        emit(FastOp::dup_dup, depth, dup_depth(next));
        account(at + 1);
        return at + 2;
    }
    if (is_push(next) && is_defined(at + 1)) {
        const Constant c = constant_at(at + 1);
        const auto low = static_cast<uint32_t>(c.value.low());
        const auto binary =
            is_defined(c.next) ? binary_index(code_[c.next]) : std::optional<uint16_t>();
        if (c.is_small() && binary) {
            emit(op_in_group(FastOp::dup_push_add, *binary), depth, low);
            account(at + 1);
            account(c.next);
            return c.next + 1;
        }
        if (c.is_small() && !push_joins_next(c)) {
            emit(FastOp::dup_push, depth, low);
            account(at + 1);
            return c.next;
        }
    }
    emit(FastOp::dup, depth);
    return at + 1;
}

size_t Translator::translate_swap(size_t at) {
    const uint16_t depth = swap_depth(code_[at]);
    const uint8_t next = code_[at + 1];
    account(at);
    if (next == op::pop) {
        emit(FastOp::swap_pop, depth);
        account(at + 1);
        return at + 2;
    }
    if (is_swap(next) && code_[at + 2] != op::pop) {
        emit(FastOp::swap_swap, depth, swap_depth(next));
        account(at + 1);
        return at + 2;
    }
    emit(FastOp::swap, depth);
    return at + 1;
}

size_t Translator::translate_pops(size_t at) {
    uint32_t count = 0;
    for (; at < size_ && code_[at] == op::pop; ++at, ++count) account(at);
    if (count == 1)
        emit(FastOp::pop);
    else
        emit(FastOp::pop_many, 0, count);
    return at;
}

/// A comparison or ISZEROs that end in a jump to a known place.
std::optional<size_t> Translator::translate_compare(size_t at, bool& ends) {
    constexpr unsigned kNonzero = 5;
    const auto compare = compare_index(code_[at]);
    if (!compare && code_[at] != op::iszero) return std::nullopt;
    size_t end = compare ? at + 1 : at;
    while (end < size_ && code_[end] == op::iszero) ++end;
    const bool negated = (end - at - (compare ? 1 : 0)) % 2 != 0;
    if (!is_push(code_[end]) || !is_defined(end)) return std::nullopt;
    const Constant c = constant_at(end);
    if (c.next > size_ || code_[c.next] != op::jumpi || !is_target(c)) return std::nullopt;
    for (size_t i = at; i <= end; ++i) account(i);
    account(c.next);
    jumps_.push_back(out_.slots_.size());
    emit(op_in_group(negated ? FastOp::not_lt_jumpi : FastOp::lt_jumpi, compare.value_or(kNonzero)),
         0, static_cast<uint32_t>(c.value.low()));
    ends = true;
    return c.next + 1;
}

size_t Translator::translate_rest(size_t at, bool& ends) {
    const uint8_t opcode = code_[at];
    account(at);
    switch (opcode) {
        case op::stop:
            ends = true;
            emit(FastOp::stop);
            break;
        case op::jump:
        case op::jumpi:
            ends = true;
            emit(opcode == op::jump ? FastOp::jump : FastOp::jumpi);
            break;
        case op::pc:
            emit(FastOp::push, 0, static_cast<uint32_t>(at));
            break;
        case op::gas:
            gas_ops_.push_back(out_.slots_.size());
            emit(FastOp::gas, 0, static_cast<uint32_t>(needs_.gas));
            break;
        case op::return_:
        case op::revert:
        case op::selfdestruct:
            ends = true;
            emit(FastOp::finish, opcode);
            break;
        default:
            ends = ends_block(opcode);
            emit(FastOp::other, opcode, static_cast<uint32_t>(table_[opcode].stack_change));
    }
    return at + 1;
}

/// Translates the instruction at `at`, with those that join it; gives the offset after them.
size_t Translator::translate(size_t at, bool& ends) {
    const uint8_t opcode = code_[at];
    if (!table_[opcode].is_defined()) {
        ends = true;
        emit(FastOp::leave, 0, static_cast<uint32_t>(at));
        return at + 1;
    }
    if (is_push(opcode)) return translate_push(at, ends);
    if (is_dup(opcode)) return translate_dup(at);
    if (is_swap(opcode)) return translate_swap(at);
    if (opcode == op::pop) return translate_pops(at);
    if (const auto next = translate_compare(at, ends)) return *next;
    const auto single = single_op(opcode);
    if (!single) return translate_rest(at, ends);
    account(at);
    emit(*single);
    return at + 1;
}

void Translator::write_heads(size_t first_slot, size_t at, size_t run) {
    const bool fits = needs_.least + std::max(needs_.growth, 0) <= kStackSizeMax;
    BlockHead head{FastOp::block, 0xffff, 0, 0, 0, 0};  // a height that no stack reaches
    if (fits) {
        head.height_min = static_cast<uint16_t>(needs_.least * kWordBytes);
        head.height_range =
            static_cast<uint16_t>((kStackSizeMax - needs_.growth - needs_.least) * kWordBytes);
    }
    const size_t heads = std::max<size_t>(run, 1);
    for (size_t i = 0; i < heads; ++i) {
        const size_t slot = first_slot + kHeadSlots * i;
        const uint64_t gas =
            needs_.gas + (run - i) * (run == 0 ? 0 : uint64_t{1} * table_[op::jumpdest].gas);
        head.gas = static_cast<uint32_t>(gas);
        head.body = static_cast<uint16_t>(kHeadSlots * (heads - i));
        head.offset = static_cast<uint32_t>(at + i);
        std::memcpy(static_cast<void*>(&out_.slots_[slot]), &head, sizeof(head));
        if (run > 0) out_.entries_[at + i] = static_cast<uint32_t>(slot);
    }
}

/// One block with its heads; gives the offset after it.
size_t Translator::translate_block(size_t at) {
    const size_t first_slot = out_.slots_.size();
    size_t run = 0;
    while (run < kRunMax && at + run < size_ && code_[at + run] == op::jumpdest) ++run;
    out_.slots_.resize(first_slot + kHeadSlots * std::max<size_t>(run, 1));
    needs_ = {};
    gas_ops_.clear();
    size_t next = at + run;
    bool ends = false;
    while (!ends && next <= size_ && code_[next] != op::jumpdest) next = translate(next, ends);
    if (!ends && next > size_) emit(FastOp::stop);  // after a PUSH whose data the end cuts off
    for (const size_t slot : gas_ops_)
        out_.slots_[slot].arg = static_cast<uint32_t>(needs_.gas) - out_.slots_[slot].arg;
    write_heads(first_slot, at, run);
    return next;
}

FastCode::FastCode(const Code& code, const InstructionTable& table) : table_(table) {
    Translator(code, table, *this).run();
}

}  // namespace trainyard::vm
