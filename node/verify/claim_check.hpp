// SPDX-License-Identifier: Apache-2.0
// A verdict on which somebody stakes money: what one replay finds wrong is replayed again.
#pragma once

#include <functional>
#include <string>

#include "node/verify/job_watch.hpp"
#include "node/verify/verifier.hpp"

namespace trainyard::node::verify {

struct CheckedClaim {
    Finding finding = Finding::unjudged;
    std::string text;  ///< what differs and where, or why nothing can be said
};

/// `again` gives the verifier that must find the same before a mismatch counts, one on the CPU: a
/// device or memory that errs convicts nobody. Empty: one replay is enough.
[[nodiscard]] CheckedClaim check_claim(Verifier& verifier, const std::function<Verifier&()>& again,
                                       const ReplayRequest& request);

}  // namespace trainyard::node::verify
