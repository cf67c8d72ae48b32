// SPDX-License-Identifier: Apache-2.0
// The floating-point mode that the rules assume: round to nearest, subnormals kept.
#pragma once

#include <cstdint>

namespace trainyard::training {

/// Sets the calling thread's mode for its lifetime and restores the former one. A library built
/// with -ffast-math may have switched subnormals off when it was loaded.
class FloatModeGuard {
public:
    FloatModeGuard();
    ~FloatModeGuard();
    FloatModeGuard(const FloatModeGuard&) = delete;
    FloatModeGuard& operator=(const FloatModeGuard&) = delete;

private:
    uint64_t before_ = 0;
};

/// True if the calling thread rounds to nearest and keeps subnormals.
[[nodiscard]] bool is_float_mode_exact();

}  // namespace trainyard::training
