// SPDX-License-Identifier: Apache-2.0
// The one place where the program stops on a bug of its own.
#include "core/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace trainyard {

void assertion_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "bug: %s at %s:%d\n", condition, file, line);
    std::abort();
}

}  // namespace trainyard
