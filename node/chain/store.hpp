// SPDX-License-Identifier: Apache-2.0
// Final blocks as ChainBlocks: read from the world, with the latest ones kept at hand.
#pragma once

#include <deque>
#include <mutex>

#include "node/chain/chain.hpp"

namespace trainyard::node::chain {

/// Thread-safe.
class FinalBlocks {
public:
    explicit FinalBlocks(const state::World& world) : world_(world) {}
    /// Keeps a block that has just become final.
    void remember(ChainBlockPtr block);
    /// Null if the number is above the head or a record is damaged (World::damage says so).
    [[nodiscard]] ChainBlockPtr by_number(uint64_t number) const;
    [[nodiscard]] ChainBlockPtr by_hash(const Hash& hash) const;

private:
    const state::World& world_;
    mutable std::mutex mutex_;
    mutable std::deque<ChainBlockPtr> recent_;
};

/// Every block's senders, recovered on the calling thread; nullopt if a signature is bad.
[[nodiscard]] std::optional<std::vector<Address>> recover_senders(const std::vector<Tx>& txs);

}  // namespace trainyard::node::chain
