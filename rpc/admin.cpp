// SPDX-License-Identifier: Apache-2.0
// admin_*: what an operator asks when nothing moves, and who may not be a peer.
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

void write_peer(JsonWriter& out, const PeerInfo& peer) {
    out.begin_object().key("id").text(peer.id).key("name").text(peer.agent);
    out.key("network").begin_object().key("remoteAddress").text(peer.address);
    out.key("inbound").boolean(peer.inbound).end_object();
    out.key("source").text(peer.source).key("sentry");
    peer.sentry.empty() ? out.null() : out.text(peer.sentry);
    out.key("connected").boolean(peer.connected);
    out.key("connectedSeconds").quantity(peer.connected_s);
    out.key("roundTripMs").quantity(peer.round_trip_ms).key("clockAheadMs");
    peer.clock_ahead_ms ? out.number(static_cast<double>(*peer.clock_ahead_ms)) : out.null();
    out.key("queues").begin_object();
    for (const auto& [lane, bytes] : peer.queued_bytes) out.key(lane).quantity(bytes);
    out.end_object().key("dropped").quantity(peer.dropped);
    out.key("score").quantity(static_cast<uint64_t>(std::max(0, peer.score)));
    out.key("lastProblem").text(peer.last_problem).end_object();
}

/// As geth does, with what else is known of each peer besides.
Outcome peers(Call& call) {
    call.out.begin_array();
    for (const auto& peer : call.backend.peers()) write_peer(call.out, peer);
    if (call.args.value_or<bool>(0, false))
        for (const auto& peer : call.backend.away_peers()) write_peer(call.out, peer);
    call.out.end_array();
    return Done{};
}

Outcome node_info(Call& call) {
    const auto info = call.backend.network();
    auto& out = call.out;
    out.begin_object().key("id").text(info.id).key("name").text(call.backend.client_version());
    out.key("listenAddr").text(info.listen);
    out.key("addressBook").begin_object().key("heard").quantity(info.addresses_heard);
    out.key("tried").quantity(info.addresses_tried).end_object().end_object();
    return Done{};
}

Outcome bans(Call& call) {
    auto& out = call.out;
    out.begin_array();
    for (const auto& ban : call.backend.bans()) {
        out.begin_object().key("id").text(ban.id).key("reason").text(ban.reason);
        out.key("secondsLeft").quantity(ban.seconds_left).end_object();
    }
    out.end_array();
    return Done{};
}

Outcome answer(Call& call, const Result<Done, Refusal>& done) {
    if (!done) return unexpected(server_error(done.error().message));
    call.out.boolean(true);
    return Done{};
}

Outcome ban(Call& call) {
    constexpr uint64_t kUsual_s = 24 * 3600, kLongest_s = 10ull * 365 * 24 * 3600;
    constexpr size_t kReasonMax = 200;
    const auto peer = fixed_from<PublicKey>(call.args.at<Bytes>(0));
    if (!peer) return unexpected(invalid_params("a peer's id has 33 bytes"));
    const auto seconds = call.args.value_or<uint64_t>(1, kUsual_s);
    const auto reason = call.args.value_or<std::string>(2, "by the operator");
    if (seconds == 0 || seconds > kLongest_s)
        return unexpected(invalid_params("a ban lasts 1 second to 10 years"));
    if (reason.empty() || reason.size() > kReasonMax)
        return unexpected(invalid_params("a reason has 1 to 200 characters"));
    return answer(call, call.backend.ban(*peer, seconds, reason));
}

Outcome unban(Call& call) {
    const auto peer = fixed_from<PublicKey>(call.args.at<Bytes>(0));
    if (!peer) return unexpected(invalid_params("a peer's id has 33 bytes"));
    return answer(call, call.backend.unban(*peer));
}

Outcome add_peer(Call& call) {
    return answer(call, call.backend.add_peer(call.args.at<std::string>(0)));
}

Outcome remove_peer(Call& call) {
    return answer(call, call.backend.remove_peer(call.args.at<std::string>(0)));
}

/// A page of what the operator's disk holds.
Outcome blobs(Call& call) {
    constexpr uint64_t kPageMax = 1000;
    const auto after = call.args.value_or<Hash>(0, Hash{});
    const auto count = std::min(call.args.value_or<uint64_t>(1, kPageMax), kPageMax);
    const auto held = call.backend.held_blobs(after, count);
    if (!held) return unexpected(server_error(held.error().message));
    auto& out = call.out;
    out.begin_array();
    for (const auto& blob : *held) {
        out.begin_object().key("id").data(blob.info.id).key("size").quantity(blob.info.size_bytes);
        out.key("kept").boolean(blob.is_kept).key("owners").quantity(blob.owners).end_object();
    }
    out.end_array();
    return Done{};
}

Outcome release_blob(Call& call) {
    return answer(call, call.backend.release_blob(call.args.at<Hash>(0)));
}

constexpr Param kPeerText{"peer", Kind::text, true};

constexpr Method kMethods[] = {
    {"admin_addPeer",
     add_peer,
     {{kPeerText}},
     Shape::boolean,
     false,
     "dial <public key>@host:port until it answers; needs `http.admin`"},
    {"admin_removePeer",
     remove_peer,
     {{kPeerText}},
     Shape::boolean,
     false,
     "end that, and the connection; needs `http.admin`"},
    {"admin_blobs",
     blobs,
     {{{"after", Kind::hash, false}, {"count", Kind::count, false}}},
     Shape::array,
     false,
     "blobs stored here and whether they are kept, 1000 at most; needs `http.admin`"},
    {"admin_releaseBlob",
     release_blob,
     {{{"id", Kind::hash, true}}},
     Shape::boolean,
     false,
     "let a blob make room, whoever it is kept for; needs `http.admin`"},
    {"admin_nodeInfo", node_info, {}, Shape::object, false, "this node as its peers name it"},
    {"admin_consensusState",
     consensus_state,
     {},
     Shape::object,
     false,
     "view, leader, heights, and in words what consensus waits for"},
    {"admin_ban",
     ban,
     {{{"peer", Kind::data, true}, {"seconds", Kind::count, false}, {"reason", Kind::text, false}}},
     Shape::boolean,
     false,
     "refuse a peer for a time [a day]; needs `http.admin`"},
    {"admin_bans", bans, {}, Shape::array, false, "peers that are refused, until when and why"},
    {"admin_unban",
     unban,
     {{{"peer", Kind::data, true}}},
     Shape::boolean,
     false,
     "lift a ban; needs `http.admin`"},
    {"admin_peers",
     peers,
     {{{"withAway", Kind::boolean, false}}},
     Shape::array,
     false,
     "connected peers with queues, score and round trip; also those of the settings that are away"},
};

}  // namespace

std::span<const Method> admin_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
