// SPDX-License-Identifier: Apache-2.0
// What a blob is: bytes in chunks, their hashes, and the id that commits to all of them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/bytes.hpp"

namespace trainyard::blobs {

inline constexpr uint64_t kChunkBytes = 256u << 10;
/// Keeps a manifest below the limit of its message.
inline constexpr uint64_t kBlobBytesMax = 16ull << 30;

/// Leaf i is the Merkle root over the pieces of chunk i (core/blob.hpp); all chunks but the last
/// have kChunkBytes, and none is empty.
struct Manifest {
    uint64_t size_bytes = 0;
    std::vector<Hash> leaves;
    bool operator==(const Manifest&) const = default;
};

[[nodiscard]] constexpr uint64_t chunk_count(uint64_t size_bytes) {
    return (size_bytes + kChunkBytes - 1) / kChunkBytes;
}
/// Precondition: index < chunk_count(size_bytes).
[[nodiscard]] constexpr uint64_t chunk_bytes(uint64_t size_bytes, uint64_t index) {
    return index + 1 < chunk_count(size_bytes) ? kChunkBytes : size_bytes - index * kChunkBytes;
}

/// The id that the blob would have whose chunks have these leaves.
[[nodiscard]] Hash blob_id(const Manifest& manifest);

/// True if the manifest has as many leaves as its size needs, is within the limit and gives this
/// id.
[[nodiscard]] bool verify_manifest(const Hash& id, const Manifest& manifest);

/// True if `chunk` is chunk `index` of the blob. Any index may be asked for.
[[nodiscard]] bool verify_chunk(const Manifest& manifest, uint64_t index, BytesView chunk);

[[nodiscard]] Manifest manifest_of(BytesView content);

/// size u64 LE | leaves, as kept on disk. Decoding checks that the number of leaves fits the size.
[[nodiscard]] Bytes encode_manifest(const Manifest& manifest);
[[nodiscard]] std::optional<Manifest> decode_manifest(BytesView from);

}  // namespace trainyard::blobs
