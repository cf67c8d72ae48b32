// SPDX-License-Identifier: Apache-2.0
// Leaves of pieces, their root and the id above it.
#include "core/blob.hpp"

#include "core/assert.hpp"
#include "core/hash.hpp"
#include "core/merkle.hpp"

namespace trainyard::blob {
namespace {

constexpr uint8_t kDomain = 0x03;

std::vector<Hash> leaves_of(BytesView bytes) {
    std::vector<Hash> out;
    out.reserve(piece_count(bytes.size()));
    for (uint64_t i = 0; i < piece_count(bytes.size()); ++i)
        out.push_back(merkle::leaf(bytes.subspan(i * kPieceBytes, piece_bytes(bytes.size(), i))));
    return out;
}

}  // namespace

Hash root(BytesView bytes) {
    return merkle::root(leaves_of(bytes));
}

Hash id(uint64_t size_bytes, const Hash& root) {
    Bytes preimage{kDomain};
    append_le(preimage, size_bytes);
    append(preimage, root.bytes);
    return sha256(preimage);
}

Hash id(BytesView content) {
    return id(content.size(), root(content));
}

std::vector<Hash> piece_path(BytesView content, uint64_t index) {
    ASSERT(index < piece_count(content.size()));
    return merkle::path(leaves_of(content), index);
}

bool verify_piece(const Hash& id, uint64_t size_bytes, uint64_t index, BytesView piece,
                  const std::vector<Hash>& path) {
    const uint64_t count = piece_count(size_bytes);
    if (index >= count || piece.size() != piece_bytes(size_bytes, index)) return false;
    const auto root = merkle::root_from(merkle::leaf(piece), index, count, path);
    return root && blob::id(size_bytes, *root) == id;
}

}  // namespace trainyard::blob
