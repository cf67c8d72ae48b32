// SPDX-License-Identifier: Apache-2.0
// Ids, manifests and their checks.
#include "node/blobs/blob.hpp"

#include "core/hash.hpp"
#include "core/merkle.hpp"

namespace trainyard::blobs {

namespace {

constexpr uint8_t kBlobDomain = 0x03;

bool has_right_shape(const Manifest& manifest) {
    return manifest.size_bytes <= kBlobBytesMax &&
           manifest.leaves.size() == chunk_count(manifest.size_bytes);
}

}  // namespace

Hash blob_id(const Manifest& manifest) {
    Bytes preimage{kBlobDomain};
    append_le(preimage, manifest.size_bytes);
    append(preimage, merkle::root(manifest.leaves).bytes);
    return sha256(preimage);
}

bool verify_manifest(const Hash& id, const Manifest& manifest) {
    return has_right_shape(manifest) && blob_id(manifest) == id;
}

bool verify_chunk(const Manifest& manifest, uint64_t index, BytesView chunk) {
    return index < manifest.leaves.size() &&
           chunk.size() == chunk_bytes(manifest.size_bytes, index) &&
           merkle::leaf(chunk) == manifest.leaves[index];
}

Manifest manifest_of(BytesView blob) {
    Manifest manifest{blob.size(), {}};
    for (uint64_t i = 0; i < chunk_count(blob.size()); ++i) {
        const auto chunk = blob.subspan(i * kChunkBytes, chunk_bytes(blob.size(), i));
        manifest.leaves.push_back(merkle::leaf(chunk));
    }
    return manifest;
}

Bytes encode_manifest(const Manifest& manifest) {
    Bytes out;
    append_le(out, manifest.size_bytes);
    for (const Hash& leaf : manifest.leaves) append(out, leaf.bytes);
    return out;
}

std::optional<Manifest> decode_manifest(BytesView from) {
    if (from.size() < sizeof(uint64_t)) return std::nullopt;
    Manifest manifest{load_le<uint64_t>(from.data()), {}};
    from = from.subspan(sizeof(uint64_t));
    if (from.size() % Hash::size() != 0) return std::nullopt;
    for (size_t at = 0; at < from.size(); at += Hash::size()) {
        manifest.leaves.push_back(*fixed_from<Hash>(from.subspan(at, Hash::size())));
    }
    return has_right_shape(manifest) ? std::optional(std::move(manifest)) : std::nullopt;
}

}  // namespace trainyard::blobs
