// SPDX-License-Identifier: Apache-2.0
// Roots, paths and their verification; a level of n nodes has ceil(n / 2) parents.
#include "core/merkle.hpp"

#include "core/assert.hpp"

namespace trainyard::merkle {
namespace {

/// Replaces a level by its parents.
void ascend(std::vector<Hash>& level) {
    size_t out = 0;
    for (size_t i = 0; i < level.size(); i += 2, ++out)
        level[out] = i + 1 < level.size() ? node(level[i], level[i + 1]) : level[i];
    level.resize(out);
}

}  // namespace

Hash leaf(BytesView data) {
    if (data.size() > 1024) {
        const uint8_t tag = 0;
        return Sha256().update({&tag, 1}).update(data).finish();
    }
    std::array<uint8_t, 1025> buffer;
    buffer[0] = 0;
    std::copy(data.begin(), data.end(), buffer.begin() + 1);
    return sha256({buffer.data(), data.size() + 1});
}

Hash node(const Hash& left, const Hash& right) {
    std::array<uint8_t, 65> buffer;
    buffer[0] = 1;
    std::copy(left.begin(), left.end(), buffer.begin() + 1);
    std::copy(right.begin(), right.end(), buffer.begin() + 33);
    return sha256(buffer);
}

Hash root(std::vector<Hash> leaves) {
    if (leaves.empty()) return {};
    while (leaves.size() > 1) ascend(leaves);
    return leaves[0];
}

std::vector<Hash> path(const std::vector<Hash>& leaves, size_t index) {
    ASSERT(index < leaves.size());
    std::vector<Hash> level = leaves, siblings;
    for (; level.size() > 1; index /= 2) {
        const size_t other = index ^ 1;
        if (other < level.size()) siblings.push_back(level[other]);
        ascend(level);
    }
    return siblings;
}

std::vector<std::vector<Hash>> paths(std::vector<Hash> leaves) {
    std::vector<std::vector<Hash>> all(leaves.size());
    for (size_t depth = 0; leaves.size() > 1; ++depth, ascend(leaves)) {
        for (size_t i = 0; i < all.size(); ++i) {
            const size_t other = (i >> depth) ^ 1;
            if (other < leaves.size()) all[i].push_back(leaves[other]);
        }
    }
    return all;
}

std::optional<Hash> root_from(const Hash& leaf_hash, size_t index, size_t count,
                              const std::vector<Hash>& siblings) {
    if (index >= count) return std::nullopt;
    Hash at = leaf_hash;
    size_t used = 0;
    for (; count > 1; index /= 2, count = count / 2 + count % 2) {
        if ((index ^ 1) >= count) continue;
        if (used == siblings.size()) return std::nullopt;
        const Hash& other = siblings[used++];
        at = index % 2 == 0 ? node(at, other) : node(other, at);
    }
    return used == siblings.size() ? std::optional(at) : std::nullopt;
}

bool verify(const Hash& root, const Hash& leaf_hash, size_t index, size_t count,
            const std::vector<Hash>& siblings) {
    return root_from(leaf_hash, index, count, siblings) == root;
}

}  // namespace trainyard::merkle
