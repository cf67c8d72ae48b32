// SPDX-License-Identifier: Apache-2.0
// The scan for jump destinations (Yellow Paper 9.4.3): a JUMPDEST byte that is not the data of a
// PUSH.
#include "vm/code.hpp"

#include "vm/opcodes.hpp"

namespace trainyard::vm {

Code::Code(BytesView code) : padded_(code.size() + kPadding), jump_targets_(code.size() / 64 + 1) {
    std::copy(code.begin(), code.end(), padded_.begin());
    for (size_t i = 0; i < code.size(); ++i) {
        const uint8_t opcode = code[i];
        if (opcode == op::jumpdest) jump_targets_[i / 64] |= 1ull << (i % 64);
        if (opcode >= op::push1 && opcode <= op::push32) i += opcode - op::push1 + 1;
    }
}

}  // namespace trainyard::vm
