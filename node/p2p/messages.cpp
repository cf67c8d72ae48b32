// SPDX-License-Identifier: Apache-2.0
// Payloads to and from Protobuf; a message is accepted only in the form that we would write
// ourselves.
#include "node/p2p/messages.hpp"

#include "core/assert.hpp"
#include "proto/wire.pb.h"

namespace trainyard::p2p {

namespace {

template <class M>
Bytes serialise(const M& message) {
    Bytes out(message.ByteSizeLong());
    const bool written = message.SerializeToArray(out.data(), static_cast<int>(out.size()));
    ASSERT(written);
    return out;
}

// One value has one encoding: a field given twice, out of order or unknown to us is an error.
template <class M>
std::optional<M> parse(BytesView from) {
    M message;
    if (!message.ParseFromArray(from.data(), static_cast<int>(from.size()))) return std::nullopt;
    message.DiscardUnknownFields();
    if (message.ByteSizeLong() != from.size()) return std::nullopt;
    const Bytes again = serialise(message);
    if (!std::equal(again.begin(), again.end(), from.begin())) return std::nullopt;
    return message;
}

std::string to_field(BytesView bytes) {
    return std::string(as_text(bytes));
}
std::optional<Hash> hash_from(const std::string& field) {
    return fixed_from<Hash>(as_bytes(field));
}

void append_sized(Bytes& to, const Bytes& part) {
    append_le(to, static_cast<uint32_t>(part.size()));
    append(to, part);
}

bool take_sized(BytesView& from, Bytes& part) {
    if (from.size() < 4) return false;
    const auto size = load_le<uint32_t>(from.data());
    from = from.subspan(4);
    if (from.size() < size) return false;
    part.assign(from.begin(), from.begin() + size);
    from = from.subspan(size);
    return true;
}

}  // namespace

Bytes encode_hello(const Hello& hello) {
    wire::Hello message;
    message.set_genesis(to_field(hello.genesis.bytes));
    message.set_instance(hello.instance);
    message.set_listen_port(hello.listen_port);
    message.set_agent(hello.agent);
    return serialise(message);
}

std::optional<Hello> decode_hello(BytesView from) {
    const auto message = parse<wire::Hello>(from);
    if (!message) return std::nullopt;
    const auto genesis = hash_from(message->genesis());
    if (!genesis || message->listen_port() > 0xffff) return std::nullopt;
    if (message->agent().size() > kAgentBytesMax) return std::nullopt;
    return Hello{*genesis, message->instance(), static_cast<uint16_t>(message->listen_port()),
                 message->agent()};
}

Bytes encode_goodbye(std::string_view reason) {
    wire::Goodbye message;
    message.set_reason(std::string(reason.substr(0, kReasonBytesMax)));
    return serialise(message);
}

std::optional<std::string> decode_goodbye(BytesView from) {
    const auto message = parse<wire::Goodbye>(from);
    if (!message || message->reason().size() > kReasonBytesMax) return std::nullopt;
    return message->reason();
}

Bytes encode_status(const Status& status) {
    wire::Status message;
    message.set_finalised_height(status.finalised_height.value);
    message.set_finalised_hash(to_field(status.finalised_hash.bytes));
    message.set_epoch(status.epoch.value);
    message.set_view(status.view.value);
    return serialise(message);
}

std::optional<Status> decode_status(BytesView from) {
    const auto message = parse<wire::Status>(from);
    if (!message) return std::nullopt;
    const auto hash = hash_from(message->finalised_hash());
    if (!hash) return std::nullopt;
    return Status{Height{message->finalised_height()}, *hash, Epoch{message->epoch()},
                  View{message->view()}};
}

Bytes encode_get_block(const Hash& hash) {
    wire::GetBlock message;
    message.set_hash(to_field(hash.bytes));
    return serialise(message);
}

std::optional<Hash> decode_get_block(BytesView from) {
    const auto message = parse<wire::GetBlock>(from);
    return message ? hash_from(message->hash()) : std::nullopt;
}

Bytes encode_get_blocks(const GetBlocks& request) {
    wire::GetBlocks message;
    message.set_from_height(request.from_height.value);
    message.set_count(request.count);
    return serialise(message);
}

std::optional<GetBlocks> decode_get_blocks(BytesView from) {
    const auto message = parse<wire::GetBlocks>(from);
    if (!message || message->count() == 0 || message->count() > kBlocksPerRequestMax) {
        return std::nullopt;
    }
    return GetBlocks{Height{message->from_height()}, message->count()};
}

Bytes encode_blocks(const std::vector<FinalisedBlock>& blocks) {
    ASSERT(blocks.size() <= kBlocksPerRequestMax);
    Bytes out{static_cast<uint8_t>(blocks.size())};
    for (const FinalisedBlock& block : blocks) {
        append_sized(out, block.block);
        append_sized(out, block.certificate);
    }
    return out;
}

std::optional<std::vector<FinalisedBlock>> decode_blocks(BytesView from) {
    if (from.empty() || from[0] > kBlocksPerRequestMax) return std::nullopt;
    std::vector<FinalisedBlock> blocks(from[0]);
    from = from.subspan(1);
    for (FinalisedBlock& block : blocks) {
        if (!take_sized(from, block.block) || !take_sized(from, block.certificate)) {
            return std::nullopt;
        }
    }
    if (!from.empty()) return std::nullopt;
    return blocks;
}

Bytes encode_snapshots(const std::vector<SnapshotOffer>& offers) {
    ASSERT(offers.size() <= kOffersMax);
    wire::Snapshots message;
    for (const SnapshotOffer& offer : offers) {
        wire::SnapshotOffer& out = *message.add_offers();
        out.set_id(to_field(offer.id.bytes));
        out.set_block(to_field(offer.block.bytes));
        out.set_height(offer.height.value);
        out.set_chunks(offer.chunks);
        out.set_size(offer.size_bytes);
        out.set_manifest_size(offer.manifest_bytes);
    }
    return serialise(message);
}

std::optional<std::vector<SnapshotOffer>> decode_snapshots(BytesView from) {
    const auto message = parse<wire::Snapshots>(from);
    if (!message || static_cast<size_t>(message->offers_size()) > kOffersMax) return std::nullopt;
    std::vector<SnapshotOffer> offers;
    for (const wire::SnapshotOffer& offer : message->offers()) {
        const auto id = hash_from(offer.id()), block = hash_from(offer.block());
        if (!id || !block) return std::nullopt;
        offers.push_back({*id, *block, Height{offer.height()}, offer.chunks(), offer.size(),
                          offer.manifest_size()});
    }
    return offers;
}

Bytes encode_get_boundaries(const GetBoundaries& request) {
    wire::GetBoundaries message;
    message.set_from_epoch(request.from_epoch.value);
    message.set_count(request.count);
    return serialise(message);
}

std::optional<GetBoundaries> decode_get_boundaries(BytesView from) {
    const auto message = parse<wire::GetBoundaries>(from);
    if (!message || message->count() == 0 || message->count() > kBoundariesPerRequestMax) {
        return std::nullopt;
    }
    return GetBoundaries{Epoch{message->from_epoch()}, message->count()};
}

Bytes encode_boundaries(const std::vector<Bytes>& boundaries) {
    ASSERT(boundaries.size() <= kBoundariesPerRequestMax);
    Bytes out{static_cast<uint8_t>(boundaries.size())};
    for (const Bytes& boundary : boundaries) append_sized(out, boundary);
    return out;
}

std::optional<std::vector<Bytes>> decode_boundaries(BytesView from) {
    if (from.empty() || from[0] > kBoundariesPerRequestMax) return std::nullopt;
    std::vector<Bytes> boundaries(from[0]);
    from = from.subspan(1);
    for (Bytes& boundary : boundaries) {
        if (!take_sized(from, boundary)) return std::nullopt;
    }
    if (!from.empty()) return std::nullopt;
    return boundaries;
}

Bytes encode_get_snapshot_part(const GetSnapshotPart& request) {
    wire::GetSnapshotPart message;
    message.set_id(to_field(request.id.bytes));
    message.set_manifest(request.is_manifest);
    message.set_index(request.index);
    return serialise(message);
}

std::optional<GetSnapshotPart> decode_get_snapshot_part(BytesView from) {
    const auto message = parse<wire::GetSnapshotPart>(from);
    if (!message) return std::nullopt;
    const auto id = hash_from(message->id());
    if (!id) return std::nullopt;
    return GetSnapshotPart{*id, message->manifest(), message->index()};
}

Bytes encode_blob_request(const BlobRequest& request) {
    wire::BlobRequest message;
    message.set_id(to_field(request.id.bytes));
    message.set_chunk(request.chunk);
    return serialise(message);
}

std::optional<BlobRequest> decode_blob_request(BytesView from) {
    const auto message = parse<wire::BlobRequest>(from);
    if (!message) return std::nullopt;
    const auto id = hash_from(message->id());
    if (!id) return std::nullopt;
    return BlobRequest{*id, message->chunk()};
}

Bytes encode_has_blob(bool has) {
    wire::HasBlob message;
    message.set_has(has);
    return serialise(message);
}

std::optional<bool> decode_has_blob(BytesView from) {
    const auto message = parse<wire::HasBlob>(from);
    return message ? std::optional(message->has()) : std::nullopt;
}

Bytes encode_blob_manifest(const BlobManifest& manifest) {
    wire::BlobManifest message;
    message.set_size(manifest.size_bytes);
    std::string& leaves = *message.mutable_leaves();
    leaves.reserve(manifest.leaves.size() * Hash::size());
    for (const Hash& leaf : manifest.leaves) leaves += as_text(leaf.bytes);
    return serialise(message);
}

std::optional<BlobManifest> decode_blob_manifest(BytesView from) {
    const auto message = parse<wire::BlobManifest>(from);
    if (!message || message->leaves().size() % Hash::size() != 0) return std::nullopt;
    BlobManifest manifest{message->size(), {}};
    const BytesView leaves = as_bytes(message->leaves());
    manifest.leaves.reserve(leaves.size() / Hash::size());
    for (size_t at = 0; at < leaves.size(); at += Hash::size()) {
        manifest.leaves.push_back(*fixed_from<Hash>(leaves.subspan(at, Hash::size())));
    }
    return manifest;
}

}  // namespace trainyard::p2p
