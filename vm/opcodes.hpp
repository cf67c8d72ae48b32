// SPDX-License-Identifier: Apache-2.0
// The instruction set as data: one row per instruction, and one more for each fork that changed its
// gas.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "vm/revision.hpp"

namespace trainyard::vm {

namespace op {
enum Opcode : uint8_t {
    stop = 0x00,
    add,
    mul,
    sub,
    div,
    sdiv,
    mod,
    smod,
    addmod,
    mulmod,
    exp,
    signextend,
    lt = 0x10,
    gt,
    slt,
    sgt,
    eq,
    iszero,
    and_,
    or_,
    xor_,
    not_,
    byte,
    shl,
    shr,
    sar,
    clz,
    keccak256 = 0x20,
    address = 0x30,
    balance,
    origin,
    caller,
    callvalue,
    calldataload,
    calldatasize,
    calldatacopy,
    codesize,
    codecopy,
    gasprice,
    extcodesize,
    extcodecopy,
    returndatasize,
    returndatacopy,
    extcodehash,
    blockhash = 0x40,
    coinbase,
    timestamp,
    number,
    prevrandao,
    gaslimit,
    chainid,
    selfbalance,
    basefee,
    blobhash,
    blobbasefee,
    pop = 0x50,
    mload,
    mstore,
    mstore8,
    sload,
    sstore,
    jump,
    jumpi,
    pc,
    msize,
    gas,
    jumpdest,
    tload,
    tstore,
    mcopy,
    push0,
    push1 = 0x60,
    push2,
    push3,
    push4,
    push32 = 0x7f,
    dup1 = 0x80,
    dup16 = 0x8f,
    swap1 = 0x90,
    swap16 = 0x9f,
    log0 = 0xa0,
    log1,
    log2,
    log3,
    log4,
    create = 0xf0,
    call,
    callcode,
    return_,
    delegatecall,
    create2,
    staticcall = 0xfa,
    revert = 0xfd,
    invalid = 0xfe,
    selfdestruct = 0xff,
};
}  // namespace op

/// From fork `since` on, `opcode` takes `pops` words, leaves `pushes` and costs `gas` at least.
/// What depends on operands is added by the instruction itself.
struct InstructionRow {
    uint8_t opcode;
    Revision since;
    int16_t gas;
    uint8_t pops;
    uint8_t pushes;
    std::string_view name;
};

namespace detail {
using enum Revision;
// clang-format off
inline constexpr InstructionRow kRows[] = {
    // Yellow Paper, appendices G and H
    {op::stop, frontier, 0, 0, 0, "STOP"},
    {op::add, frontier, 3, 2, 1, "ADD"},
    {op::mul, frontier, 5, 2, 1, "MUL"},
    {op::sub, frontier, 3, 2, 1, "SUB"},
    {op::div, frontier, 5, 2, 1, "DIV"},
    {op::sdiv, frontier, 5, 2, 1, "SDIV"},
    {op::mod, frontier, 5, 2, 1, "MOD"},
    {op::smod, frontier, 5, 2, 1, "SMOD"},
    {op::addmod, frontier, 8, 3, 1, "ADDMOD"},
    {op::mulmod, frontier, 8, 3, 1, "MULMOD"},
    {op::exp, frontier, 10, 2, 1, "EXP"},
    {op::signextend, frontier, 5, 2, 1, "SIGNEXTEND"},
    {op::lt, frontier, 3, 2, 1, "LT"},
    {op::gt, frontier, 3, 2, 1, "GT"},
    {op::slt, frontier, 3, 2, 1, "SLT"},
    {op::sgt, frontier, 3, 2, 1, "SGT"},
    {op::eq, frontier, 3, 2, 1, "EQ"},
    {op::iszero, frontier, 3, 1, 1, "ISZERO"},
    {op::and_, frontier, 3, 2, 1, "AND"},
    {op::or_, frontier, 3, 2, 1, "OR"},
    {op::xor_, frontier, 3, 2, 1, "XOR"},
    {op::not_, frontier, 3, 1, 1, "NOT"},
    {op::byte, frontier, 3, 2, 1, "BYTE"},
    {op::shl, constantinople, 3, 2, 1, "SHL"},   // EIP-145
    {op::shr, constantinople, 3, 2, 1, "SHR"},   // EIP-145
    {op::sar, constantinople, 3, 2, 1, "SAR"},   // EIP-145
    {op::clz, osaka, 5, 1, 1, "CLZ"},            // EIP-7939
    {op::keccak256, frontier, 30, 2, 1, "KECCAK256"},
    {op::address, frontier, 2, 0, 1, "ADDRESS"},
    {op::balance, frontier, 20, 1, 1, "BALANCE"},
    {op::balance, tangerine_whistle, 400, 1, 1, "BALANCE"},  // EIP-150
    {op::balance, istanbul, 700, 1, 1, "BALANCE"},           // EIP-1884
    {op::balance, berlin, 100, 1, 1, "BALANCE"},             // EIP-2929
    {op::origin, frontier, 2, 0, 1, "ORIGIN"},
    {op::caller, frontier, 2, 0, 1, "CALLER"},
    {op::callvalue, frontier, 2, 0, 1, "CALLVALUE"},
    {op::calldataload, frontier, 3, 1, 1, "CALLDATALOAD"},
    {op::calldatasize, frontier, 2, 0, 1, "CALLDATASIZE"},
    {op::calldatacopy, frontier, 3, 3, 0, "CALLDATACOPY"},
    {op::codesize, frontier, 2, 0, 1, "CODESIZE"},
    {op::codecopy, frontier, 3, 3, 0, "CODECOPY"},
    {op::gasprice, frontier, 2, 0, 1, "GASPRICE"},
    {op::extcodesize, frontier, 20, 1, 1, "EXTCODESIZE"},
    {op::extcodesize, tangerine_whistle, 700, 1, 1, "EXTCODESIZE"},  // EIP-150
    {op::extcodesize, berlin, 100, 1, 1, "EXTCODESIZE"},             // EIP-2929
    {op::extcodecopy, frontier, 20, 4, 0, "EXTCODECOPY"},
    {op::extcodecopy, tangerine_whistle, 700, 4, 0, "EXTCODECOPY"},  // EIP-150
    {op::extcodecopy, berlin, 100, 4, 0, "EXTCODECOPY"},             // EIP-2929
    {op::returndatasize, byzantium, 2, 0, 1, "RETURNDATASIZE"},      // EIP-211
    {op::returndatacopy, byzantium, 3, 3, 0, "RETURNDATACOPY"},      // EIP-211
    {op::extcodehash, constantinople, 400, 1, 1, "EXTCODEHASH"},     // EIP-1052
    {op::extcodehash, istanbul, 700, 1, 1, "EXTCODEHASH"},           // EIP-1884
    {op::extcodehash, berlin, 100, 1, 1, "EXTCODEHASH"},             // EIP-2929
    {op::blockhash, frontier, 20, 1, 1, "BLOCKHASH"},
    {op::coinbase, frontier, 2, 0, 1, "COINBASE"},
    {op::timestamp, frontier, 2, 0, 1, "TIMESTAMP"},
    {op::number, frontier, 2, 0, 1, "NUMBER"},
    {op::prevrandao, frontier, 2, 0, 1, "DIFFICULTY"},
    {op::prevrandao, paris, 2, 0, 1, "PREVRANDAO"},         // EIP-4399
    {op::gaslimit, frontier, 2, 0, 1, "GASLIMIT"},
    {op::chainid, istanbul, 2, 0, 1, "CHAINID"},            // EIP-1344
    {op::selfbalance, istanbul, 5, 0, 1, "SELFBALANCE"},    // EIP-1884
    {op::basefee, london, 2, 0, 1, "BASEFEE"},              // EIP-3198
    {op::blobhash, cancun, 3, 1, 1, "BLOBHASH"},            // EIP-4844
    {op::blobbasefee, cancun, 2, 0, 1, "BLOBBASEFEE"},      // EIP-7516
    {op::pop, frontier, 2, 1, 0, "POP"},
    {op::mload, frontier, 3, 1, 1, "MLOAD"},
    {op::mstore, frontier, 3, 2, 0, "MSTORE"},
    {op::mstore8, frontier, 3, 2, 0, "MSTORE8"},
    {op::sload, frontier, 50, 1, 1, "SLOAD"},
    {op::sload, tangerine_whistle, 200, 1, 1, "SLOAD"},     // EIP-150
    {op::sload, istanbul, 800, 1, 1, "SLOAD"},              // EIP-1884
    {op::sload, berlin, 100, 1, 1, "SLOAD"},                // EIP-2929
    {op::sstore, frontier, 0, 2, 0, "SSTORE"},
    {op::jump, frontier, 8, 1, 0, "JUMP"},
    {op::jumpi, frontier, 10, 2, 0, "JUMPI"},
    {op::pc, frontier, 2, 0, 1, "PC"},
    {op::msize, frontier, 2, 0, 1, "MSIZE"},
    {op::gas, frontier, 2, 0, 1, "GAS"},
    {op::jumpdest, frontier, 1, 0, 0, "JUMPDEST"},
    {op::tload, cancun, 100, 1, 1, "TLOAD"},                // EIP-1153
    {op::tstore, cancun, 100, 2, 0, "TSTORE"},              // EIP-1153
    {op::mcopy, cancun, 3, 3, 0, "MCOPY"},                  // EIP-5656
    {op::push0, shanghai, 2, 0, 1, "PUSH0"},                // EIP-3855
    {op::log0, frontier, 375, 2, 0, "LOG0"},
    {op::log1, frontier, 750, 3, 0, "LOG1"},
    {op::log2, frontier, 1125, 4, 0, "LOG2"},
    {op::log3, frontier, 1500, 5, 0, "LOG3"},
    {op::log4, frontier, 1875, 6, 0, "LOG4"},
    {op::create, frontier, 32000, 3, 1, "CREATE"},
    {op::call, frontier, 40, 7, 1, "CALL"},
    {op::call, tangerine_whistle, 700, 7, 1, "CALL"},       // EIP-150
    {op::call, berlin, 100, 7, 1, "CALL"},                  // EIP-2929
    {op::callcode, frontier, 40, 7, 1, "CALLCODE"},
    {op::callcode, tangerine_whistle, 700, 7, 1, "CALLCODE"},
    {op::callcode, berlin, 100, 7, 1, "CALLCODE"},
    {op::return_, frontier, 0, 2, 0, "RETURN"},
    {op::delegatecall, homestead, 40, 6, 1, "DELEGATECALL"},           // EIP-7
    {op::delegatecall, tangerine_whistle, 700, 6, 1, "DELEGATECALL"},
    {op::delegatecall, berlin, 100, 6, 1, "DELEGATECALL"},
    {op::create2, constantinople, 32000, 4, 1, "CREATE2"},  // EIP-1014
    {op::staticcall, byzantium, 700, 6, 1, "STATICCALL"},   // EIP-214
    {op::staticcall, berlin, 100, 6, 1, "STATICCALL"},
    {op::revert, byzantium, 0, 2, 0, "REVERT"},             // EIP-140
    {op::selfdestruct, frontier, 0, 1, 0, "SELFDESTRUCT"},
    {op::selfdestruct, tangerine_whistle, 5000, 1, 0, "SELFDESTRUCT"},  // EIP-150
};
inline constexpr std::string_view kPushNames[32] = {
    "PUSH1", "PUSH2", "PUSH3", "PUSH4", "PUSH5", "PUSH6", "PUSH7", "PUSH8", "PUSH9", "PUSH10",
    "PUSH11", "PUSH12", "PUSH13", "PUSH14", "PUSH15", "PUSH16", "PUSH17", "PUSH18", "PUSH19",
    "PUSH20", "PUSH21", "PUSH22", "PUSH23", "PUSH24", "PUSH25", "PUSH26", "PUSH27", "PUSH28",
    "PUSH29", "PUSH30", "PUSH31", "PUSH32"};
inline constexpr std::string_view kDupNames[16] = {
    "DUP1", "DUP2", "DUP3", "DUP4", "DUP5", "DUP6", "DUP7", "DUP8", "DUP9", "DUP10", "DUP11",
    "DUP12", "DUP13", "DUP14", "DUP15", "DUP16"};
inline constexpr std::string_view kSwapNames[16] = {
    "SWAP1", "SWAP2", "SWAP3", "SWAP4", "SWAP5", "SWAP6", "SWAP7", "SWAP8", "SWAP9", "SWAP10",
    "SWAP11", "SWAP12", "SWAP13", "SWAP14", "SWAP15", "SWAP16"};
// clang-format on
}  // namespace detail

/// One instruction at one fork, as the interpreter's inner loop reads it.
struct Instruction {
    int16_t gas = 0;
    int16_t stack_min = kStackSizeMax + 1;  ///< more than the stack can hold: undefined
    int16_t stack_span = 0;                 ///< stack_min + stack_span is the greatest legal height
    int16_t stack_change = 0;

    [[nodiscard]] constexpr bool is_defined() const { return stack_min <= kStackSizeMax; }
};

using InstructionTable = std::array<Instruction, 256>;

namespace detail {
constexpr Instruction make_instruction(int gas, int pops, int pushes) {
    const int change = pushes - pops;
    const int highest = kStackSizeMax - (change > 0 ? change : 0);
    return {static_cast<int16_t>(gas), static_cast<int16_t>(pops),
            static_cast<int16_t>(highest - pops), static_cast<int16_t>(change)};
}

constexpr InstructionTable make_table(Revision revision) {
    InstructionTable table{};
    for (const auto& row : kRows)
        if (is_at_least(revision, row.since))
            table[row.opcode] = make_instruction(row.gas, row.pops, row.pushes);
    for (int i = 0; i < 32; ++i) table[op::push1 + i] = make_instruction(3, 0, 1);
    for (int i = 0; i < 16; ++i) table[op::dup1 + i] = make_instruction(3, i + 1, i + 2);
    for (int i = 0; i < 16; ++i) table[op::swap1 + i] = make_instruction(3, i + 2, i + 2);
    return table;
}

constexpr std::array<InstructionTable, kRevisionCount> make_all_tables() {
    std::array<InstructionTable, kRevisionCount> all{};
    for (size_t i = 0; i < kRevisionCount; ++i) all[i] = make_table(static_cast<Revision>(i));
    return all;
}
}  // namespace detail

/// The instructions of a fork by opcode.
[[nodiscard]] const InstructionTable& instructions_of(Revision revision);

/// "ADD", "PUSH1", …; "opcode 0x0c not defined" in geth's words is left to the caller: empty here.
[[nodiscard]] std::string_view name_of(uint8_t opcode, Revision revision);

}  // namespace trainyard::vm
