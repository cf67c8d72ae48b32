// SPDX-License-Identifier: Apache-2.0
// Lookups of blocks.
#include "rpc/lookup.hpp"

namespace trainyard::rpc {

Result<BlockPtr, Error> find_block(const Backend& backend, const BlockId& id) {
    const auto* tag = std::get_if<Tag>(&id);
    if (tag && *tag == Tag::pending) return backend.block(Tag::latest);
    auto block = backend.block(id);
    if (!block && backend.is_pruned(id)) return Unexpected(pruned_history());
    return block;
}

Result<BlockPtr, Error> require_block(const Backend& backend, const BlockId& id) {
    auto block = find_block(backend, id);
    if (!block || *block) return block;
    const auto* by_hash = std::get_if<BlockByHash>(&id);
    if (!by_hash) return Unexpected(server_error("header not found"));
    if (by_hash->require_canonical && backend.block(BlockByHash{by_hash->hash, false}))
        return Unexpected(server_error("hash is not currently canonical"));
    return Unexpected(server_error("header for hash not found"));
}

Result<BlockPtr, Error> block_argument(const Call& call, size_t i) {
    return require_block(call.backend, call.args.value_or<BlockId>(i, Tag::latest));
}

BlockPtr head(const Backend& backend) {
    auto block = backend.block(Tag::latest);
    ASSERT(block != nullptr);
    return block;
}

std::optional<Bytes> find_raw_tx(const Backend& backend, const Hash& hash) {
    if (const auto place = backend.find_tx(hash))
        return encode_tx(place->block->block.txs[place->index]);
    if (const auto pooled = backend.pooled_tx(hash)) return encode_tx(pooled->tx);
    return std::nullopt;
}

}  // namespace trainyard::rpc
