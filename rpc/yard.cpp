// SPDX-License-Identifier: Apache-2.0
// yard_*: blobs, the node's own condition and the validators.
#include <algorithm>

#include "rpc/lookup.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

void write_blob(JsonWriter& out, const BlobInfo& info) {
    out.begin_object().key("id").data(info.id).key("size").quantity(info.size_bytes).end_object();
}

Outcome put_blob(Call& call) {
    const auto& data = call.args.at<Bytes>(0);
    const uint64_t max = call.service.options().blob_hex_bytes_max;
    if (data.size() > max)
        return Unexpected(Error{kLimitExceeded, "blob too large for JSON: at most " +
                                                    std::to_string(max) +
                                                    " bytes; use PUT /blob for larger ones"});
    auto writer = call.backend.begin_blob(std::nullopt, Uploader::guest);
    if (!writer) return Unexpected(to_error(writer.error()));
    if (const auto done = (*writer)->append(data); !done) return Unexpected(to_error(done.error()));
    const auto info = (*writer)->finish();
    if (!info) return Unexpected(to_error(info.error()));
    write_blob(call.out, *info);
    return Done{};
}

Outcome get_blob(Call& call) {
    const auto& id = call.args.at<Hash>(0);
    const auto info = call.backend.fetch_blob(call.asker.client, id);
    if (!info) return Unexpected(to_error(info.error()));
    const uint64_t offset = call.args.value_or<uint64_t>(1, 0);
    if (offset > info->size_bytes) return Unexpected(to_error(BlobError::out_of_range));
    const uint64_t rest = info->size_bytes - offset;
    const uint64_t length = std::min(rest, call.args.value_or<uint64_t>(2, rest));
    const uint64_t max = call.service.options().blob_hex_bytes_max;
    if (length > max)
        return Unexpected(Error{kLimitExceeded, "blob too large for JSON: ask for at most " +
                                                    std::to_string(max) +
                                                    " bytes, or use GET /blob/<id>"});
    const auto data = call.backend.read_blob(id, offset, length);
    if (!data) return Unexpected(to_error(data.error()));
    call.out.data(BytesView(*data));
    return Done{};
}

Outcome has_blob(Call& call) {
    call.out.boolean(call.backend.blob_info(call.args.at<Hash>(0)).has_value());
    return Done{};
}

std::string_view to_text(BlobPlace place) {
    return place == BlobPlace::here ? "here" : place == BlobPlace::sought ? "sought" : "absent";
}

Outcome seek_blob(Call& call) {
    call.out.text(to_text(call.backend.seek_blob(call.args.at<Hash>(0))));
    return Done{};
}

Outcome blob_info(Call& call) {
    const auto info = call.backend.fetch_blob(call.asker.client, call.args.at<Hash>(0));
    if (!info && info.error() != BlobError::not_found) return Unexpected(to_error(info.error()));
    info ? write_blob(call.out, *info) : void(call.out.null());
    return Done{};
}

void write_point(JsonWriter& out, std::string_view name, const BlockPtr& block) {
    out.key(name);
    if (!block) {
        out.null();
        return;
    }
    out.begin_object().key("number").quantity(block->block.header.number);
    out.key("hash").data(block->hash).key("timestamp").quantity(block->block.header.timestamp);
    out.end_object();
}

void write_peers(JsonWriter& out, const std::vector<PeerInfo>& peers) {
    out.key("peers").begin_array();
    for (const auto& peer : peers) {
        out.begin_object().key("id").text(peer.id).key("address").text(peer.address);
        out.key("inbound").boolean(peer.inbound);
        out.key("finalizedNumber").quantity(peer.finalised_height).end_object();
    }
    out.end_array();
}

/// What `trainyard status` judges by.
void write_condition(JsonWriter& out, const NodeStatus& node) {
    out.key("operator");
    node.operator_address ? out.data(*node.operator_address) : out.null();
    out.key("waitsFor").text(node.waits_for).key("whyNotVoting");
    node.why_not_voting.empty() ? out.null() : out.text(node.why_not_voting);
    out.key("diskFree");
    node.disk_free_bytes ? out.quantity(*node.disk_free_bytes) : out.null();
    out.key("clockAheadMs");
    node.clock_ahead_ms ? out.number(static_cast<double>(*node.clock_ahead_ms)) : out.null();
}

Outcome status(Call& call) {
    const auto node = call.backend.node_status();
    auto& out = call.out;
    out.begin_object().key("version").text(call.backend.client_version());
    out.key("chainId").quantity(call.backend.chain_id());
    write_point(out, "head", head(call.backend));
    write_point(out, "finalized", call.backend.block(Tag::finalized));
    out.key("epoch").quantity(node.epoch).key("view").quantity(node.view);
    out.key("role").text(node.role).key("verifier").text(node.verifier);
    out.key("syncing").boolean(call.backend.syncing().has_value());
    out.key("uptime").quantity(node.uptime_s).key("halted");
    node.halted.empty() ? out.null() : out.text(node.halted);
    write_condition(out, node);
    write_peers(out, call.backend.peers());
    const auto pool = call.backend.pool_status();
    out.key("pool").begin_object().key("pending").quantity(pool.pending);
    out.key("queued").quantity(pool.queued).end_object().end_object();
    return Done{};
}

Outcome validators(Call& call) {
    call.out.begin_array();
    for (const auto& v : call.backend.validators()) {
        call.out.begin_object().key("operator").data(v.operator_address);
        call.out.key("consensusKey").data(v.consensus_key).key("vrfKey").data(v.vrf_key);
        call.out.key("p2pKey").data(v.p2p_key).key("stake").quantity(v.stake_wei);
        call.out.key("connected").boolean(v.connected).key("self").boolean(v.is_self).end_object();
    }
    call.out.end_array();
    return Done{};
}

constexpr Param kId{"id", Kind::hash, true};

constexpr Method kMethods[] = {
    {"yard_putBlob",
     put_blob,
     {{{"data", Kind::data, true}}},
     Shape::object,
     false,
     "store a blob; the answer has its id and size"},
    {"yard_getBlob",
     get_blob,
     {{kId, {"offset", Kind::quantity, false}, {"length", Kind::quantity, false}}},
     Shape::data,
     false,
     "bytes of a blob, fetched from peers where needed"},
    {"yard_hasBlob", has_blob, {kId}, Shape::boolean, false, "is the blob stored at this node?"},
    {"yard_seekBlob",
     seek_blob,
     {kId},
     Shape::text,
     false,
     "is the blob here, or sought at peers now, or absent there, too? Does not wait"},
    {"yard_blobInfo",
     blob_info,
     {kId},
     Shape::object,
     true,
     "id and size of a blob, fetched from peers where needed"},
    {"yard_status", status, {}, Shape::object, false, "head, finality, peers, role and verifier"},
    {"yard_validators", validators, {}, Shape::array, false, "the validators of this epoch"},
};

}  // namespace

std::span<const Method> yard_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
