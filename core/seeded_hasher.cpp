// SPDX-License-Identifier: Apache-2.0
// The secret comes from the kernel, once.
#include "core/seeded_hasher.hpp"

#include <unistd.h>

#include "core/assert.hpp"

namespace trainyard {

ProcessSecret process_secret() {
    static const ProcessSecret secret = [] {
        ProcessSecret drawn;
        ASSERT(getentropy(&drawn, sizeof(drawn)) == 0);
        drawn.factor |= 1;
        return drawn;
    }();
    return secret;
}

}  // namespace trainyard
