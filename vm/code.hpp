// SPDX-License-Identifier: Apache-2.0
// Code prepared for the interpreter: padded, and with its jump destinations found. Made once per
// code.
#pragma once

#include <atomic>
#include <memory>

#include "core/bytes.hpp"
#include "vm/opcodes.hpp"

namespace trainyard::vm {

class FastCode;

/// Invariant: `padded` is the code and 33 zero bytes, so that it ends with STOP and every PUSH may
/// be read whole.
class Code {
public:
    explicit Code(BytesView code);
    ~Code();
    Code(const Code&) = delete;
    Code& operator=(const Code&) = delete;
    [[nodiscard]] size_t size() const { return padded_.size() - kPadding; }
    [[nodiscard]] const uint8_t* begin() const { return padded_.data(); }
    [[nodiscard]] BytesView bytes() const { return {padded_.data(), size()}; }
    [[nodiscard]] bool is_jump_target(uint64_t offset) const {
        return offset < size() && (jump_targets_[offset / 64] >> (offset % 64) & 1) != 0;
    }

    /// The translation for these instructions; nullptr while there is none. A code is translated
    /// for one fork only: whoever keeps codes over a fork makes new ones.
    [[nodiscard]] const FastCode* fast(const InstructionTable& table) const;
    /// The same, made now. Thread-safe; nullptr if it exists for another fork.
    const FastCode* make_fast(const InstructionTable& table) const;
    /// How much gas may be used here before a translation is worth its time.
    [[nodiscard]] int64_t gas_before_fast() const {
        return gas_before_fast_.load(std::memory_order_relaxed);
    }
    void note_gas_used(int64_t gas) const {
        gas_before_fast_.fetch_sub(gas, std::memory_order_relaxed);
    }

private:
    static constexpr size_t kPadding = 33;
    /// Translating a byte takes about as long as using this much gas.
    static constexpr int64_t kGasPerByte = 8;

    Bytes padded_;
    std::vector<uint64_t> jump_targets_;                  ///< one bit per byte of code
    mutable std::atomic<const FastCode*> fast_{nullptr};  ///< owned
    mutable std::atomic<int64_t> gas_before_fast_;
};

}  // namespace trainyard::vm
