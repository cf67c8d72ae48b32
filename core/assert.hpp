// SPDX-License-Identifier: Apache-2.0
// ASSERT is always on and means a bug of ours; never use it on input from outside.
#pragma once

namespace trainyard {
/// Prints the place and the condition, then aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}  // namespace trainyard

#define ASSERT(condition) \
    ((condition) ? void(0) : ::trainyard::assertion_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define DEBUG_ASSERT(condition) void(0)
#else
#define DEBUG_ASSERT(condition) ASSERT(condition)
#endif
