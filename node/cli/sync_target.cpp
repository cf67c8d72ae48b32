// SPDX-License-Identifier: Apache-2.0
// Final blocks in and out for block sync.
#include "node/cli/sync_target.hpp"

namespace trainyard::node::cli {

p2p::Status ChainSyncTarget::status() const {
    const auto head = chain_.finalised();
    const auto standing = bft_.standing();
    return {Height{head->height()}, head->hash, standing.epoch, standing.view};
}

std::optional<p2p::FinalisedBlock> ChainSyncTarget::final_block(Height height) const {
    auto bytes = chain_.final_bytes(height.value);
    if (!bytes) return std::nullopt;
    return p2p::FinalisedBlock{std::move(bytes->block), std::move(bytes->certificate)};
}

std::optional<Bytes> ChainSyncTarget::block(const Hash& hash) const {
    const auto found = chain_.by_hash(hash);
    return found ? std::optional(encode_block(found->block)) : std::nullopt;
}

Result<Done, sync::SyncTarget::Refusal> ChainSyncTarget::apply_final(
    const p2p::FinalisedBlock& block) {
    const auto decoded = decode_block(block.block);
    if (decoded && !limits_.allows(decoded->header))
        return unexpected(Refusal{"this node ends before that block", true});
    const auto done = chain_.apply_final(block.block, block.certificate);
    if (done) return Done{};
    if (done.error().is_own) bft_.halt(done.error().what);
    return unexpected(Refusal{done.error().what, done.error().is_own});
}

}  // namespace trainyard::node::cli
