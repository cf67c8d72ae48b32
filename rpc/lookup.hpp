// SPDX-License-Identifier: Apache-2.0
// From the block a caller names to the block, with the errors for one that is not there.
#pragma once

#include <optional>

#include "rpc/method.hpp"

namespace trainyard::rpc {

/// The block, or nullptr where the method answers null for an unknown one. Error: pruned here.
[[nodiscard]] Result<BlockPtr, Error> find_block(const Backend& backend, const BlockId& id);
/// The block, or "header not found" / "header for hash not found", or pruned here.
[[nodiscard]] Result<BlockPtr, Error> require_block(const Backend& backend, const BlockId& id);
/// The block named by optional parameter `i`, the head without it.
[[nodiscard]] Result<BlockPtr, Error> block_argument(const Call& call, size_t i);
[[nodiscard]] BlockPtr head(const Backend& backend);
/// A transaction's encoding, in a block or in the pool; nullopt where it is in neither.
[[nodiscard]] std::optional<Bytes> find_raw_tx(const Backend& backend, const Hash& hash);

}  // namespace trainyard::rpc
