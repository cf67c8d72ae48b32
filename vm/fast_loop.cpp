// SPDX-License-Identifier: Apache-2.0
// The fast loop: a table of labels and one short piece of code for each operation.
#include "vm/fast_loop.hpp"

#include "vm/arithmetic.hpp"
#include "vm/instructions.hpp"

namespace trainyard::vm {
namespace {

#define INLINE [[gnu::always_inline]] inline

// Words are moved limb by limb: a wide load of what was just stored in limbs would have to wait
// until the stores have left the core.
INLINE void copy(Uint256& to, const Uint256& from) {
    uint64_t a = from.limbs[0], b = from.limbs[1], c = from.limbs[2], d = from.limbs[3];
    asm("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    to.limbs[0] = a;
    to.limbs[1] = b;
    to.limbs[2] = c;
    to.limbs[3] = d;
}
INLINE void swap(Uint256& x, Uint256& y) {
    for (size_t i = 0; i < 4; ++i) {
        uint64_t a = x.limbs[i], b = y.limbs[i];
        asm("" : "+r"(a), "+r"(b));
        x.limbs[i] = b;
        y.limbs[i] = a;
    }
}

// One function per TRAINYARD_FAST_BINARY: `a` was on top, `b` below it.
INLINE Uint256 f_add(const Uint256& a, const Uint256& b) {
    return a + b;
}
INLINE Uint256 f_mul(const Uint256& a, const Uint256& b) {
    return a * b;
}
INLINE Uint256 f_sub(const Uint256& a, const Uint256& b) {
    return a - b;
}
INLINE Uint256 f_div(const Uint256& a, const Uint256& b) {
    return a / b;
}
INLINE Uint256 f_sdiv(const Uint256& a, const Uint256& b) {
    return sdiv(a, b);
}
INLINE Uint256 f_mod(const Uint256& a, const Uint256& b) {
    return a % b;
}
INLINE Uint256 f_smod(const Uint256& a, const Uint256& b) {
    return smod(a, b);
}
INLINE Uint256 f_signextend(const Uint256& a, const Uint256& b) {
    return sign_extend(a, b);
}
INLINE bool is_lt(const Uint256& a, const Uint256& b) {
    return a < b;
}
INLINE bool is_gt(const Uint256& a, const Uint256& b) {
    return b < a;
}
INLINE bool is_slt(const Uint256& a, const Uint256& b) {
    return signed_less(a, b);
}
INLINE bool is_sgt(const Uint256& a, const Uint256& b) {
    return signed_less(b, a);
}
INLINE bool is_eq(const Uint256& a, const Uint256& b) {
    return ((a.limbs[0] ^ b.limbs[0]) | (a.limbs[1] ^ b.limbs[1]) | (a.limbs[2] ^ b.limbs[2]) |
            (a.limbs[3] ^ b.limbs[3])) == 0;
}
INLINE Uint256 f_lt(const Uint256& a, const Uint256& b) {
    return is_lt(a, b);
}
INLINE Uint256 f_gt(const Uint256& a, const Uint256& b) {
    return is_gt(a, b);
}
INLINE Uint256 f_slt(const Uint256& a, const Uint256& b) {
    return is_slt(a, b);
}
INLINE Uint256 f_sgt(const Uint256& a, const Uint256& b) {
    return is_sgt(a, b);
}
INLINE Uint256 f_eq(const Uint256& a, const Uint256& b) {
    return is_eq(a, b);
}
INLINE Uint256 f_and_(const Uint256& a, const Uint256& b) {
    return a & b;
}
INLINE Uint256 f_or_(const Uint256& a, const Uint256& b) {
    return a | b;
}
INLINE Uint256 f_xor_(const Uint256& a, const Uint256& b) {
    return a ^ b;
}
INLINE Uint256 f_byte(const Uint256& a, const Uint256& b) {
    return byte_of(a, b);
}
INLINE Uint256 f_shl(const Uint256& a, const Uint256& b) {
    return b << shift_amount(a);
}
INLINE Uint256 f_shr(const Uint256& a, const Uint256& b) {
    return b >> shift_amount(a);
}
INLINE Uint256 f_sar(const Uint256& a, const Uint256& b) {
    return arithmetic_shift_right(b, shift_amount(a));
}

/// The gas left after making the word at `offset` part of memory; negative if too little.
[[gnu::noinline]] int64_t grow_to_word(Machine& m, const Uint256& offset, int64_t gas) {
    return touch_memory(m, offset, 32, gas);
}
INLINE int64_t reach_word(Machine& m, const Uint256& offset, int64_t gas) {
    if (offset.fits_u64() && m.memory.has_word(offset.low())) [[likely]]
        return gas;
    return grow_to_word(m, offset, gas);
}

Ending finish(Machine& m, uint8_t opcode, Uint256* top, int64_t gas) {
    Step step =
        opcode == op::selfdestruct
            ? do_selfdestruct(m, top, gas)
            : do_return(m, top, gas, opcode == op::return_ ? Status::success : Status::revert);
    if (step.gas < 0) step.status = Status::out_of_gas;
    return {step.gas, step.status};
}

}  // namespace

// `pc` is the slot that runs, `top` the top word, `gas` what is left after paying for the block.
// NEXT goes on to another slot, ENTER to a block after checking its head. Blocks of the chain never
// pause, so that their loop compares with a constant.
#define NEXT                                          \
    do {                                              \
        goto* kLabels[static_cast<uint16_t>(pc->op)]; \
    } while (false)
#define ENTER(slot)                                                                            \
    do {                                                                                       \
        pc = (slot);                                                                           \
        const auto height = static_cast<uint32_t>(reinterpret_cast<const char*>(top) - floor); \
        gas -= pc[0].arg;                                                                      \
        if (height - pc[0].extra > pc[1].extra || gas < (kPauses ? m.pause_below : 0))         \
            [[unlikely]]                                                                       \
            goto unfit;                                                                        \
        pc += static_cast<uint16_t>(pc[1].op);                                                 \
        NEXT;                                                                                  \
    } while (false)
#define AND_ON \
    do {       \
        ++pc;  \
        NEXT;  \
    } while (false)
#define CHECKED                   \
    do {                          \
        if (gas < 0) [[unlikely]] \
            goto out_of_gas;      \
    } while (false)
#define JUMP_IF(condition)                            \
    do {                                              \
        if (condition) ENTER(code.slots() + pc->arg); \
        ENTER(pc + 1);                                \
    } while (false)

static_assert(kHeadSlots == 2, "ENTER reads a head as two slots");

template <bool kPauses>
Ending run_fast(Machine& m, Uint256* stack, const FastCode& code, const Position& at) {
    static const void* const kLabels[] = {
#define X(name) &&l_##name,
        TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) &&l_dup_##name,
            TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) &&l_push_##name,
                TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) &&l_wide_##name,
                    TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) &&l_dup_push_##name,
                        TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) &&l_##name##_jumpi,
                            TRAINYARD_FAST_COMPARE(X)
#undef X
#define X(name) &&l_not_##name##_jumpi,
                                TRAINYARD_FAST_COMPARE(X)
#undef X
#define X(name) &&l_##name,
                                    TRAINYARD_FAST_OTHER(X)
#undef X
    };
    // So that the height in bytes is 0 for an empty stack.
    const char* const floor = reinterpret_cast<const char*>(stack - 1);
    Uint256* top = at.top;
    int64_t gas = at.gas;
    const Slot* pc = at.offset == 0 ? code.start() : code.entry(at.offset);
    ENTER(pc);

#define X(name)                                                         \
    l_##name : {                                                        \
        copy(top[-1], f_##name(top[0], top[-1]));                       \
        --top;                                                          \
        AND_ON;                                                         \
    }                                                                   \
    l_dup_##name : {                                                    \
        copy(top[0], f_##name(top[-int{pc->extra}], top[0]));           \
        AND_ON;                                                         \
    }                                                                   \
    l_push_##name : {                                                   \
        copy(top[0], f_##name(Uint256(pc->arg), top[0]));               \
        AND_ON;                                                         \
    }                                                                   \
    l_wide_##name : {                                                   \
        copy(top[0], f_##name(code.word(pc->arg), top[0]));             \
        AND_ON;                                                         \
    }                                                                   \
    l_dup_push_##name : {                                               \
        copy(top[1], f_##name(Uint256(pc->arg), top[-int{pc->extra}])); \
        ++top;                                                          \
        AND_ON;                                                         \
    }
    TRAINYARD_FAST_BINARY(X)
#undef X

#define COMPARE(name)                                  \
    l_##name##_jumpi : {                               \
        const bool holds = is_##name(top[0], top[-1]); \
        top -= 2;                                      \
        JUMP_IF(holds);                                \
    }                                                  \
    l_not_##name##_jumpi : {                           \
        const bool holds = is_##name(top[0], top[-1]); \
        top -= 2;                                      \
        JUMP_IF(!holds);                               \
    }
    COMPARE(lt)
    COMPARE(gt)
    COMPARE(slt)
    COMPARE(sgt)
    COMPARE(eq)
l_nonzero_jumpi : {
    const bool holds = !top[0].is_zero();
    --top;
    JUMP_IF(holds);
}
l_not_nonzero_jumpi : {
    const bool holds = top[0].is_zero();
    --top;
    JUMP_IF(holds);
}

l_block:
    ENTER(pc);
l_stop:
    return {gas, Status::success};
l_leave:  // undefined here: the plain loop says how
    return {gas, Status::success, Ending::Kind::is_unfit, {pc->arg, top, gas}};
l_iszero:
    copy(top[0], Uint256(top[0].is_zero()));
    AND_ON;
l_not_:
    copy(top[0], ~top[0]);
    AND_ON;
l_clz:
    copy(top[0], Uint256(static_cast<uint64_t>(256 - top[0].bit_length())));
    AND_ON;
l_addmod:
    copy(top[-2], addmod(top[0], top[-1], top[-2]));
    top -= 2;
    AND_ON;
l_mulmod:
    copy(top[-2], mulmod(top[0], top[-1], top[-2]));
    top -= 2;
    AND_ON;
l_pop:
    --top;
    AND_ON;
l_pop_many:
    top -= pc->arg;
    AND_ON;
l_push:
    copy(top[1], Uint256(pc->arg));
    ++top;
    AND_ON;
l_push_wide:
    copy(top[1], code.word(pc->arg));
    ++top;
    AND_ON;
l_push_push:
    copy(top[1], Uint256(pc->extra));
    copy(top[2], Uint256(pc->arg));
    top += 2;
    AND_ON;
l_push_dup:  // PUSH arg, then DUP of the word `extra` below the top
    copy(top[1], Uint256(pc->arg));
    copy(top[2], top[1 - int{pc->extra}]);
    top += 2;
    AND_ON;
l_dup:
    copy(top[1], top[-int{pc->extra}]);
    ++top;
    AND_ON;
l_dup_dup:
    copy(top[1], top[-int{pc->extra}]);
    copy(top[2], top[1 - static_cast<int>(pc->arg)]);
    top += 2;
    AND_ON;
l_dup_push:
    copy(top[1], top[-int{pc->extra}]);
    copy(top[2], Uint256(pc->arg));
    top += 2;
    AND_ON;
l_swap:
    swap(top[0], top[-int{pc->extra}]);
    AND_ON;
l_swap_swap:
    swap(top[0], top[-int{pc->extra}]);
    swap(top[0], top[-static_cast<int>(pc->arg)]);
    AND_ON;
l_swap_pop:
    copy(top[-int{pc->extra}], top[0]);
    --top;
    AND_ON;

l_mload:
    gas = reach_word(m, top[0], gas);
    CHECKED;
    copy(top[0], load_word(m.memory.data() + top[0].low()));
    AND_ON;
l_mstore:
    gas = reach_word(m, top[0], gas);
    CHECKED;
    store_word(m.memory.data() + top[0].low(), top[-1]);
    top -= 2;
    AND_ON;
l_mstore8:
    gas = touch_memory(m, top[0], 1, gas);
    CHECKED;
    m.memory.data()[top[0].low()] = static_cast<uint8_t>(top[-1].low());
    top -= 2;
    AND_ON;
l_push_mload:
    gas = reach_word(m, Uint256(pc->arg), gas);
    CHECKED;
    copy(top[1], load_word(m.memory.data() + pc->arg));
    ++top;
    AND_ON;
l_push_mstore:
    gas = reach_word(m, Uint256(pc->arg), gas);
    CHECKED;
    store_word(m.memory.data() + pc->arg, top[0]);
    --top;
    AND_ON;
l_dup_mload : {
    const Uint256& offset = top[-int{pc->extra}];
    gas = reach_word(m, offset, gas);
    CHECKED;
    copy(top[1], load_word(m.memory.data() + offset.low()));
    ++top;
    AND_ON;
}
l_dup_mstore : {
    const Uint256& offset = top[-int{pc->extra}];
    gas = reach_word(m, offset, gas);
    CHECKED;
    store_word(m.memory.data() + offset.low(), top[0]);
    --top;
    AND_ON;
}

l_jump : {
    const Slot* const to = top[0].fits_u64() ? code.entry(top[0].low()) : nullptr;
    if (to == nullptr) return {gas, Status::bad_jump};
    --top;
    ENTER(to);
}
l_jumpi : {
    const bool holds = !top[-1].is_zero();
    top -= 2;
    if (!holds) ENTER(pc + 1);
    const Slot* const to = top[2].fits_u64() ? code.entry(top[2].low()) : nullptr;
    if (to == nullptr) return {gas, Status::bad_jump};
    ENTER(to);
}
l_jump_to:
    ENTER(code.slots() + pc->arg);

l_gas:  // the rest of the block is paid already
    copy(top[1], Uint256(static_cast<uint64_t>(gas) + pc->arg));
    ++top;
    AND_ON;
l_msize:
    copy(top[1], Uint256(m.memory.size()));
    ++top;
    AND_ON;
l_address:
    copy(top[1], address_word(m.message.recipient));
    ++top;
    AND_ON;
l_caller:
    copy(top[1], address_word(m.message.sender));
    ++top;
    AND_ON;
l_callvalue:
    copy(top[1], m.message.value);
    ++top;
    AND_ON;
l_origin:
    copy(top[1], address_word(m.tx.origin));
    ++top;
    AND_ON;
l_gasprice:
    copy(top[1], m.tx.gas_price);
    ++top;
    AND_ON;
l_calldatasize:
    copy(top[1], Uint256(m.message.input.size()));
    ++top;
    AND_ON;
l_codesize:
    copy(top[1], Uint256(m.code.size()));
    ++top;
    AND_ON;
l_returndatasize:
    copy(top[1], Uint256(m.return_data.size()));
    ++top;
    AND_ON;
l_calldataload : {
    const BytesView input = m.message.input;
    if (top[0].fits_u64() && top[0].low() < input.size() && input.size() - top[0].low() >= 32)
        copy(top[0], load_word(input.data() + top[0].low()));
    else
        (void)do_calldataload(m, top, gas);
    AND_ON;
}
l_sload:
    gas = do_sload(m, top, gas).gas;
    CHECKED;
    AND_ON;
l_other : {
    const Step step = run_other(m, static_cast<uint8_t>(pc->extra), top, gas);
    gas = step.gas;
    if (step.status != Status::success) [[unlikely]]
        return {gas, step.status};
    CHECKED;
    top += static_cast<int32_t>(pc->arg);
    AND_ON;
}
l_finish:
    return finish(m, static_cast<uint8_t>(pc->extra), top, gas);

unfit:
    gas += pc[0].arg;
    return {gas, Status::success, Ending::Kind::is_unfit, {pc[1].arg, top, gas}};
out_of_gas:
    return {gas, Status::out_of_gas};
}

template Ending run_fast<false>(Machine&, Uint256*, const FastCode&, const Position&);
template Ending run_fast<true>(Machine&, Uint256*, const FastCode&, const Position&);

}  // namespace trainyard::vm
