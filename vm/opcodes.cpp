// SPDX-License-Identifier: Apache-2.0
// The instruction tables of all forks, computed once by the compiler.
#include "vm/opcodes.hpp"

namespace trainyard::vm {
namespace {
constexpr std::array<InstructionTable, kRevisionCount> kTables = detail::make_all_tables();
}

const InstructionTable& instructions_of(Revision revision) {
    return kTables[static_cast<size_t>(revision)];
}

std::string_view name_of(uint8_t opcode, Revision revision) {
    if (opcode >= op::push1 && opcode <= op::push32) return detail::kPushNames[opcode - op::push1];
    if (opcode >= op::dup1 && opcode <= op::dup16) return detail::kDupNames[opcode - op::dup1];
    if (opcode >= op::swap1 && opcode <= op::swap16) return detail::kSwapNames[opcode - op::swap1];
    std::string_view name;
    for (const auto& row : detail::kRows)
        if (row.opcode == opcode && is_at_least(revision, row.since)) name = row.name;
    return name;
}

}  // namespace trainyard::vm
