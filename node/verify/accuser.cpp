// SPDX-License-Identifier: Apache-2.0
// The lie itself.
#include "node/verify/accuser.hpp"

#include "core/hash.hpp"

namespace trainyard::node::verify {

Result<VerifyAnswer, VerifyError> Accuser::replay(const ReplayRequest& request) {
    const Hash digest = sha256(request.claim.steps_root.bytes);
    return VerifyAnswer{false, {digest}, "a lie (--fault accuse)", {}};
}

}  // namespace trainyard::node::verify
