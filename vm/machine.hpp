// SPDX-License-Identifier: Apache-2.0
// One running frame: its memory, and the rule by which memory grows and is paid for.
#pragma once

#include <cstring>
#include <memory>

#include "vm/code.hpp"
#include "vm/host.hpp"
#include "vm/revision.hpp"

namespace trainyard::vm {

/// Byte memory that grows in words and reads as zero where never written.
class Memory {
public:
    [[nodiscard]] uint8_t* data() { return buffer_.data(); }
    [[nodiscard]] uint64_t size() const { return size_; }
    [[nodiscard]] BytesView view() const { return {buffer_.data(), size_}; }
    void clear() { size_ = 0; }
    /// True if the word at `offset` lies within.
    [[nodiscard]] bool has_word(uint64_t offset) const {
        return offset < size_ && size_ - offset >= 32;
    }
    /// `size` is a multiple of 32, larger than now.
    void grow(uint64_t size) {
        if (size > buffer_.size()) {
            buffer_.resize(size_);  // so that only what is in use is copied
            buffer_.resize(std::max<uint64_t>({4096, 2 * size_, size}));
        }
        std::memset(buffer_.data() + size_, 0, size - size_);
        size_ = size;
    }
    /// Keeps one unusually large frame from holding its memory for ever.
    void release_if_large() {
        constexpr size_t kKeptBytes = 1 << 20;
        if (buffer_.size() > kKeptBytes) buffer_ = Bytes();
        size_ = 0;
    }

private:
    Bytes buffer_;
    uint64_t size_ = 0;
};

/// Everything an instruction may touch besides the stack, the gas and the program counter.
struct Machine {
    Host& host;
    const Rules& rules;
    const Message& message;
    const Code& code;
    Memory& memory;
    int64_t refund = 0;
    Bytes return_data;  ///< of the last call
    uint64_t output_offset = 0;
    uint64_t output_size = 0;
    const TxContext& tx;
    int64_t pause_below = 0;  ///< the loops come back at a jump when the gas is less
};

/// Where an execution stands between two instructions.
struct Position {
    size_t offset = 0;  ///< in the code
    Uint256* top;       ///< the top word; one below the stack if there is none
    int64_t gas;
};

/// Why a loop has come back.
struct Ending {
    enum class Kind : uint8_t {
        finished,   ///< the frame has ended with `status`
        is_paused,  ///< the plain loop, at a JUMPDEST: the gas is less than `pause_below`
        is_unfit,   ///< the fast loop: the plain one knows what is wrong here, if anything is
    };
    int64_t gas;
    Status status = Status::success;
    Kind kind = Kind::finished;
    Position at{0, nullptr, 0};
};

/// What an instruction leaves: the gas (negative: too little) and whether the frame goes on.
struct Step {
    int64_t gas;
    Status status = Status::success;
};

inline constexpr int64_t kNoGas = -1;

[[nodiscard]] constexpr int64_t words_of(uint64_t bytes) {
    return static_cast<int64_t>((bytes + 31) / 32);
}

/// Yellow Paper equation 326: 3 w + w² / 512.
[[nodiscard]] constexpr int64_t memory_cost(uint64_t bytes) {
    const int64_t words = words_of(bytes);
    return kMemoryWordGas * words + words * words / 512;
}

/// Pays for and makes memory up to `end` bytes, where end <= 2^33.
[[nodiscard]] inline int64_t grow_memory(Machine& m, uint64_t end, int64_t gas) {
    if (end <= m.memory.size()) return gas;
    const uint64_t rounded = (end + 31) / 32 * 32;
    gas -= memory_cost(rounded) - memory_cost(m.memory.size());
    if (gas >= 0) m.memory.grow(rounded);
    return gas;
}

/// Makes [offset, offset + size) readable and writable; returns the gas left, negative if too
/// little.
[[nodiscard]] inline int64_t touch_memory(Machine& m, const Uint256& offset, const Uint256& size,
                                          int64_t gas) {
    constexpr uint64_t kMax = uint64_t{1}
                              << 32;  // costs more than 2^44 gas, more than any frame has
    if (size.is_zero()) return gas;
    if (!size.fits_u64() || size.low() > kMax || !offset.fits_u64() || offset.low() > kMax)
        return kNoGas;
    return grow_memory(m, offset.low() + size.low(), gas);
}

/// The same for one word or byte.
[[nodiscard]] inline int64_t touch_memory(Machine& m, const Uint256& offset, uint64_t size,
                                          int64_t gas) {
    constexpr uint64_t kMax = uint64_t{1} << 32;
    if (!offset.fits_u64() || offset.low() > kMax) return kNoGas;
    return grow_memory(m, offset.low() + size, gas);
}

}  // namespace trainyard::vm
