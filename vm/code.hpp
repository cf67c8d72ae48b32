// SPDX-License-Identifier: Apache-2.0
// Code prepared for the interpreter: padded, and with its jump destinations found. Made once per
// code.
#pragma once

#include <memory>

#include "core/bytes.hpp"

namespace trainyard::vm {

/// Invariant: `padded` is the code and 33 zero bytes, so that it ends with STOP and every PUSH may
/// be read whole.
class Code {
public:
    explicit Code(BytesView code);
    [[nodiscard]] size_t size() const { return padded_.size() - kPadding; }
    [[nodiscard]] const uint8_t* begin() const { return padded_.data(); }
    [[nodiscard]] BytesView bytes() const { return {padded_.data(), size()}; }
    [[nodiscard]] bool is_jump_target(uint64_t offset) const {
        return offset < size() && (jump_targets_[offset / 64] >> (offset % 64) & 1) != 0;
    }

private:
    static constexpr size_t kPadding = 33;
    Bytes padded_;
    std::vector<uint64_t> jump_targets_;  ///< one bit per byte of code
};

}  // namespace trainyard::vm
