// SPDX-License-Identifier: Apache-2.0
// The id of a blob, and proofs of single pieces small enough for a transaction.
#pragma once

#include <vector>

#include "core/bytes.hpp"

namespace trainyard::blob {

inline constexpr uint64_t kPieceBytes = 4096;

[[nodiscard]] constexpr uint64_t piece_count(uint64_t size_bytes) {
    return size_bytes / kPieceBytes + (size_bytes % kPieceBytes != 0);
}
/// Precondition: index < piece_count(size_bytes).
[[nodiscard]] constexpr uint64_t piece_bytes(uint64_t size_bytes, uint64_t index) {
    return index + 1 < piece_count(size_bytes) ? kPieceBytes : size_bytes - index * kPieceBytes;
}

/// Merkle root over the leaves of the pieces; zero for no bytes. Of a chunk, which is 64 pieces or
/// what is left at the end, it is the node of the blob's tree above them.
[[nodiscard]] Hash root(BytesView bytes);

/// SHA256(03 | size u64 LE | root).  Source: docs/spec/wire.md, section 5.
[[nodiscard]] Hash id(uint64_t size_bytes, const Hash& root);
[[nodiscard]] Hash id(BytesView content);

/// Siblings from piece `index` up to the root. Precondition: index < piece_count(content.size()).
[[nodiscard]] std::vector<Hash> piece_path(BytesView content, uint64_t index);

/// True if `piece` is piece `index` of the blob with this id and size. Anything may be asked.
[[nodiscard]] bool verify_piece(const Hash& id, uint64_t size_bytes, uint64_t index,
                                BytesView piece, const std::vector<Hash>& path);

}  // namespace trainyard::blob
