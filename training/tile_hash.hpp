// SPDX-License-Identifier: Apache-2.0
// Leaves and inner nodes of Merkle trees over tiles, sixteen at once where the machine can.
#pragma once

#include <functional>
#include <vector>

#include "core/bytes.hpp"

namespace trainyard::training {

inline constexpr size_t kHashLanes = 16;

/// merkle::leaf of `count` tiles of `bytes` bytes each; `copy(to, i)` fills in tile i.
[[nodiscard]] std::vector<Hash> hash_tiles(size_t count, size_t bytes,
                                           const std::function<void(uint8_t* to, size_t i)>& copy);
/// As merkle::root.
[[nodiscard]] Hash hash_root(std::vector<Hash> leaves);

}  // namespace trainyard::training
