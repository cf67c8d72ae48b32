// SPDX-License-Identifier: Apache-2.0
// Code translated for the fast loop: blocks whose gas and stack needs are known, frequent sequences
// in one operation, jumps to known places resolved.
#pragma once

#include <cstdint>
#include <vector>

#include "core/uint256.hpp"
#include "vm/code.hpp"
#include "vm/opcodes.hpp"

// Lists that an enumeration and a table of labels must have in the same order: the one place where
// the house uses macros for code. X(name) stands for one operation.

/// Two words in, one out.
#define TRAINYARD_FAST_BINARY(X) \
    X(add)                       \
    X(mul)                       \
    X(sub)                       \
    X(div)                       \
    X(sdiv)                      \
    X(mod)                       \
    X(smod)                      \
    X(signextend)                \
    X(lt)                        \
    X(gt)                        \
    X(slt)                       \
    X(sgt)                       \
    X(eq)                        \
    X(and_)                      \
    X(or_)                       \
    X(xor_)                      \
    X(byte)                      \
    X(shl)                       \
    X(shr)                       \
    X(sar)
/// Comparisons that may decide a jump to a known place.
#define TRAINYARD_FAST_COMPARE(X) \
    X(lt)                         \
    X(gt)                         \
    X(slt)                        \
    X(sgt)                        \
    X(eq)                         \
    X(nonzero)
#define TRAINYARD_FAST_OTHER(X) \
    X(block)                    \
    X(stop)                     \
    X(leave)                    \
    X(iszero)                   \
    X(not_)                     \
    X(clz)                      \
    X(addmod)                   \
    X(mulmod)                   \
    X(pop)                      \
    X(pop_many)                 \
    X(push)                     \
    X(push_wide)                \
    X(push_push)                \
    X(push_dup)                 \
    X(dup)                      \
    X(dup_dup)                  \
    X(dup_push)                 \
    X(swap)                     \
    X(swap_swap)                \
    X(swap_pop)                 \
    X(mload)                    \
    X(mstore)                   \
    X(mstore8)                  \
    X(push_mload)               \
    X(push_mstore)              \
    X(dup_mload)                \
    X(dup_mstore)               \
    X(jump)                     \
    X(jumpi)                    \
    X(jump_to)                  \
    X(gas)                      \
    X(msize)                    \
    X(address)                  \
    X(caller)                   \
    X(callvalue)                \
    X(origin)                   \
    X(gasprice)                 \
    X(calldatasize)             \
    X(codesize)                 \
    X(returndatasize)           \
    X(calldataload)             \
    X(sload)                    \
    X(other)                    \
    X(finish)

namespace trainyard::vm {

/// dup_x: DUPn x.  push_x, wide_x: PUSH c x with c in the slot or among the words.
/// dup_push_x: DUPn PUSH c x.  x_jumpi, not_x_jumpi: x (ISZERO) PUSH c JUMPI.
enum class FastOp : uint16_t {
#define X(name) name,
    TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) dup_##name,
        TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) push_##name,
            TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) wide_##name,
                TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) dup_push_##name,
                    TRAINYARD_FAST_BINARY(X)
#undef X
#define X(name) name##_jumpi,
                        TRAINYARD_FAST_COMPARE(X)
#undef X
#define X(name) not_##name##_jumpi,
                            TRAINYARD_FAST_COMPARE(X)
#undef X
#define X(name) name,
                                TRAINYARD_FAST_OTHER(X)
#undef X
};

/// One operation. What `extra` and `arg` hold is said where the loop reads them.
struct Slot {
    FastOp op;
    uint16_t extra;
    uint32_t arg;
};

/// A block begins with a head of two slots: {block, least height, gas} and {-, range of heights,
/// offset in the code}; heights in bytes of stack. `op` of the second slot counts the slots from
/// the head to the body: the heads of neighbouring JUMPDESTs share one body.
struct BlockHead {
    FastOp op;
    uint16_t height_min;
    uint32_t gas;
    uint16_t body;
    uint16_t height_range;
    uint32_t offset;
};
static_assert(sizeof(BlockHead) == 2 * sizeof(Slot));
inline constexpr size_t kHeadSlots = 2;

/// Gas is taken for a whole block at its head. That is exact because whatever may see the gas or
/// fail from anything but gas ends its block, and a block that cannot be paid, or whose stack does
/// not fit, is left to the plain loop, which finds the very instruction that fails.
class FastCode {
public:
    FastCode(const Code& code, const InstructionTable& table);

    [[nodiscard]] const Slot* start() const { return slots_.data() + kHeadSlots; }
    /// The block that a jump to `offset` enters; nullptr where there is no JUMPDEST.
    [[nodiscard]] const Slot* entry(uint64_t offset) const {
        if (offset >= entries_.size() || entries_[offset] == 0) return nullptr;
        return slots_.data() + entries_[offset];
    }
    [[nodiscard]] const Slot* slots() const { return slots_.data(); }
    [[nodiscard]] const Uint256& word(uint32_t index) const { return words_[index]; }
    [[nodiscard]] const InstructionTable& table() const { return table_; }

private:
    friend class Translator;
    const InstructionTable& table_;
    std::vector<Slot> slots_;
    std::vector<Uint256> words_;     ///< constants too wide for a slot
    std::vector<uint32_t> entries_;  ///< by offset in the code: the head of a JUMPDEST, 0 for none
};

}  // namespace trainyard::vm
