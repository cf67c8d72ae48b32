// SPDX-License-Identifier: Apache-2.0
// admin_*: what an operator asks when nothing moves. Nothing here changes the node.
#include <algorithm>

#include "rpc/lookup.hpp"
#include "rpc/method.hpp"

namespace trainyard::rpc {

namespace {

Outcome consensus_state(Call& call) {
    const auto node = call.backend.node_status();
    const auto latest = call.backend.block(Tag::latest), final = call.backend.block(Tag::finalized);
    auto& out = call.out;
    out.begin_object().key("epoch").quantity(node.epoch).key("view").quantity(node.view);
    out.key("leader").data(node.leader);
    out.key("certified").quantity(latest ? latest->block.header.number : 0);
    out.key("finalized").quantity(final ? final->block.header.number : 0);
    out.key("waitsFor").text(node.halted.empty() ? node.waits_for : "nothing: " + node.halted);
    out.key("whyNotVoting");
    node.why_not_voting.empty() ? out.null() : out.text(node.why_not_voting);
    out.key("missing").begin_array();
    for (const auto& validator : node.missing) out.data(validator);
    out.end_array().end_object();
    return Done{};
}

/// As geth does, with the score, the round trip and the last problem of each peer besides.
Outcome peers(Call& call) {
    auto& out = call.out;
    out.begin_array();
    for (const auto& peer : call.backend.peers()) {
        out.begin_object().key("id").text(peer.id).key("name").text(peer.agent);
        out.key("network").begin_object().key("remoteAddress").text(peer.address);
        out.key("inbound").boolean(peer.inbound).end_object();
        out.key("connectedSeconds").quantity(peer.connected_s);
        out.key("roundTripMs").quantity(peer.round_trip_ms);
        out.key("score").quantity(static_cast<uint64_t>(std::max(0, peer.score)));
        out.key("lastProblem").text(peer.last_problem).end_object();
    }
    out.end_array();
    return Done{};
}

constexpr Method kMethods[] = {
    {"admin_consensusState",
     consensus_state,
     {},
     Shape::object,
     false,
     "view, leader, heights, and in words what consensus waits for"},
    {"admin_peers", peers, {}, Shape::array, false, "connected peers with score and round trip"},
};

}  // namespace

std::span<const Method> admin_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
