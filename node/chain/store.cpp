// SPDX-License-Identifier: Apache-2.0
// Final blocks from the world.
#include "node/chain/store.hpp"

#include "core/old_tx.hpp"

namespace trainyard::node::chain {
namespace {
constexpr size_t kRecentMax = 64;  // their trie nodes stay in memory with them
}

std::optional<std::vector<Address>> recover_senders(const std::vector<Tx>& txs) {
    std::vector<Address> senders;
    senders.reserve(txs.size());
    for (const Tx& tx : txs) {
        const auto sender = recover_sender(tx, SRange::any_s);  // its rules were checked
        if (!sender) return std::nullopt;
        senders.push_back(*sender);
    }
    return senders;
}

void FinalBlocks::remember(ChainBlockPtr block) {
    const std::lock_guard lock(mutex_);
    recent_.push_back(std::move(block));
    if (recent_.size() > kRecentMax) recent_.pop_front();
}

ChainBlockPtr FinalBlocks::by_number(uint64_t number) const {
    {
        const std::lock_guard lock(mutex_);
        for (const auto& block : recent_)
            if (block->height() == number) return block;
    }
    auto block = world_.block_by_number(number);
    auto receipts = world_.receipts(number);
    if (!block || !receipts) return nullptr;
    auto senders = recover_senders(block->txs);
    if (!senders) return nullptr;
    auto made = std::make_shared<ChainBlock>();
    made->hash = hash_header(block->header);
    made->update.root = block->header.state_root;
    made->block = std::move(*block);
    made->senders = std::move(*senders);
    made->receipts = std::move(*receipts);
    return made;
}

ChainBlockPtr FinalBlocks::by_hash(const Hash& hash) const {
    const auto number = world_.number_of_hash(hash);
    return number ? by_number(*number) : nullptr;
}

}  // namespace trainyard::node::chain
