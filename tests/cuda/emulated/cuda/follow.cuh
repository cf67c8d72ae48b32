// SPDX-License-Identifier: Apache-2.0
// What a kernel of the emulated device calls first: the threads that do are counted.
#pragma once

#include "machine.hpp"

namespace trainyard::cuda {

inline constexpr int kFollowingCode = 90;

inline void follow_kernel_before() {
    ++emulated::followers();
}

}  // namespace trainyard::cuda
