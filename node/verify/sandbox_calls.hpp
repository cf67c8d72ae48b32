// SPDX-License-Identifier: Apache-2.0
// Which calls of the kernel a verifier may not make: seccomp answers them with an error.
#pragma once

#include <string>

#include "core/result.hpp"

namespace trainyard::node::verify {

/// Refuses this process the calls of the table from now on. A list of what is refused and not of
/// what is allowed: a driver of GPUs makes many calls, and others with each of its releases. The
/// error is a text; needs no_new_privs.
[[nodiscard]] Result<Done, std::string> confine_calls();

}  // namespace trainyard::node::verify
