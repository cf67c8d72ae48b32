// SPDX-License-Identifier: Apache-2.0
// Ids, manifests and their checks.
#include "node/blobs/blob.hpp"

#include "core/blob.hpp"
#include "core/merkle.hpp"

namespace trainyard::blobs {

namespace {

// Else a chunk would not be a subtree of the tree over all pieces.
constexpr uint64_t kChunkPieces = kChunkBytes / blob::kPieceBytes;
static_assert(kChunkBytes % blob::kPieceBytes == 0 && (kChunkPieces & (kChunkPieces - 1)) == 0);

bool has_right_shape(const Manifest& manifest) {
    return manifest.size_bytes <= kBlobBytesMax &&
           manifest.leaves.size() == chunk_count(manifest.size_bytes);
}

}  // namespace

Hash blob_id(const Manifest& manifest) {
    return blob::id(manifest.size_bytes, merkle::root(manifest.leaves));
}

bool verify_manifest(const Hash& id, const Manifest& manifest) {
    return has_right_shape(manifest) && blob_id(manifest) == id;
}

bool verify_chunk(const Manifest& manifest, uint64_t index, BytesView chunk) {
    return index < manifest.leaves.size() &&
           chunk.size() == chunk_bytes(manifest.size_bytes, index) &&
           blob::root(chunk) == manifest.leaves[index];
}

Manifest manifest_of(BytesView content) {
    Manifest manifest{content.size(), {}};
    for (uint64_t i = 0; i < chunk_count(content.size()); ++i) {
        const auto chunk = content.subspan(i * kChunkBytes, chunk_bytes(content.size(), i));
        manifest.leaves.push_back(blob::root(chunk));
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
