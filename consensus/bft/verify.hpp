// SPDX-License-Identifier: Apache-2.0
// Checks a certificate outside the vote machine: for sync, light clients and audits of the past.
#pragma once

#include "consensus/bft/messages.hpp"

namespace trainyard::consensus::bft {

/// True if distinct validators of `set` with at least its quorum of weight signed what it says.
[[nodiscard]] bool verify_certificate(const Certificate& certificate, const ValidatorSet& set,
                                      const ChainIdentity& chain);

}  // namespace trainyard::consensus::bft
