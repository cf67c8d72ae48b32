// SPDX-License-Identifier: Apache-2.0
// Binary SHA-256 Merkle trees: leaf H(00 | data), node H(01 | left | right), an odd last moves up.
#pragma once

#include <optional>
#include <vector>

#include "core/bytes.hpp"
#include "core/hash.hpp"

namespace trainyard::merkle {

[[nodiscard]] Hash leaf(BytesView data);
[[nodiscard]] Hash node(const Hash& left, const Hash& right);

/// Root over hashes that already are leaves. One leaf is its own root; none give the zero hash.
[[nodiscard]] Hash root(std::vector<Hash> leaves);

/// Siblings from leaf `index` up to the root. A level at which the node moves up unpaired has none.
[[nodiscard]] std::vector<Hash> path(const std::vector<Hash>& leaves, size_t index);

/// The paths of all leaves, by index; the tree is hashed once.
[[nodiscard]] std::vector<std::vector<Hash>> paths(std::vector<Hash> leaves);

/// The root to which `siblings` lead from leaf `index` of `count`; none if that shape has another
/// number of siblings or no such leaf.
[[nodiscard]] std::optional<Hash> root_from(const Hash& leaf_hash, size_t index, size_t count,
                                            const std::vector<Hash>& siblings);

/// True if `leaf_hash` is leaf `index` of `count` under `root`, with exactly the siblings that
/// shape has.
[[nodiscard]] bool verify(const Hash& root, const Hash& leaf_hash, size_t index, size_t count,
                          const std::vector<Hash>& siblings);

}  // namespace trainyard::merkle
