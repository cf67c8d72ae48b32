// SPDX-License-Identifier: Apache-2.0
// Kinds of the wire for the messages of the vote machine.
#include "node/bft/wire.hpp"

namespace trainyard::node::bft {
namespace cb = consensus::bft;

p2p::Kind kind_of(const cb::Message& message) {
    struct Visitor {
        p2p::Kind operator()(const cb::Propose&) const { return p2p::Kind::bft_proposal; }
        p2p::Kind operator()(const cb::Vote&) const { return p2p::Kind::bft_vote; }
        p2p::Kind operator()(const cb::Cert&) const { return p2p::Kind::bft_certificate; }
        p2p::Kind operator()(const cb::GetCert&) const { return p2p::Kind::bft_ask; }
        p2p::Kind operator()(const cb::GetBlock&) const { return p2p::Kind::bft_ask; }
        p2p::Kind operator()(const cb::BlockMessage&) const { return p2p::Kind::bft_block; }
        p2p::Kind operator()(const cb::Status&) const { return p2p::Kind::bft_ask; }
        p2p::Kind operator()(const cb::Repropose&) const { return p2p::Kind::bft_proposal; }
        p2p::Kind operator()(const cb::Scatter&) const { return p2p::Kind::bft_proposal; }
        p2p::Kind operator()(const cb::Shards&) const { return p2p::Kind::bft_proposal; }
    };
    return std::visit(Visitor{}, message);
}

bool may_carry(p2p::Kind kind, const cb::Message& message) {
    return kind_of(message) == kind;
}

}  // namespace trainyard::node::bft
