// SPDX-License-Identifier: Apache-2.0
// Which kind of the wire carries which message of the vote machine.
#pragma once

#include "consensus/bft/messages.hpp"
#include "node/p2p/kinds.hpp"

namespace trainyard::node::bft {

[[nodiscard]] p2p::Kind kind_of(const consensus::bft::Message& message);
/// True if a message of this type may come under `kind`; others are the peer's fault.
[[nodiscard]] bool may_carry(p2p::Kind kind, const consensus::bft::Message& message);

inline constexpr std::array kBftKinds{p2p::Kind::bft_vote, p2p::Kind::bft_certificate,
                                      p2p::Kind::bft_proposal, p2p::Kind::bft_ask,
                                      p2p::Kind::bft_block};

}  // namespace trainyard::node::bft
