// SPDX-License-Identifier: Apache-2.0
// The scan for jump destinations (Yellow Paper 9.4.3): a JUMPDEST byte that is not the data of a
// PUSH.
#include "vm/code.hpp"

#include "vm/fast_code.hpp"
#include "vm/opcodes.hpp"

namespace trainyard::vm {

Code::Code(BytesView code)
    : padded_(code.size() + kPadding),
      jump_targets_(code.size() / 64 + 1),
      gas_before_fast_(static_cast<int64_t>(code.size()) * kGasPerByte) {
    std::copy(code.begin(), code.end(), padded_.begin());
    for (size_t i = 0; i < code.size(); ++i) {
        const uint8_t opcode = code[i];
        if (opcode == op::jumpdest) jump_targets_[i / 64] |= 1ull << (i % 64);
        if (opcode >= op::push1 && opcode <= op::push32) i += opcode - op::push1 + 1;
    }
}

Code::~Code() {
    delete fast_.load(std::memory_order_relaxed);
}

const FastCode* Code::fast(const InstructionTable& table) const {
    const FastCode* made = fast_.load(std::memory_order_acquire);
    return made != nullptr && &made->table() == &table ? made : nullptr;
}

const FastCode* Code::make_fast(const InstructionTable& table) const {
    if (fast_.load(std::memory_order_acquire) == nullptr) {
        auto made = std::make_unique<const FastCode>(*this, table);
        const FastCode* none = nullptr;
        if (fast_.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel))
            (void)made.release();
    }
    return fast(table);
}

}  // namespace trainyard::vm
