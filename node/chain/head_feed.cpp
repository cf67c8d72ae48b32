// SPDX-License-Identifier: Apache-2.0
// Walks a new branch back to where it leaves the one that was told.
#include "node/chain/head_feed.hpp"

#include <algorithm>

namespace trainyard::node::chain {
namespace {

/// A jump longer than this (after a sync) is told as its last blocks only.
constexpr size_t kBlocksMax = 256;

}  // namespace

bool HeadFeed::has_told(const ChainBlock& block) const {
    const uint64_t lowest = told_.front()->height();
    return block.height() >= lowest && block.height() - lowest < told_.size() &&
           told_[block.height() - lowest]->hash == block.hash;
}

bool HeadFeed::is_final(const ChainBlock& block) const {
    return chain_.final_number(block.hash).has_value();
}

HeadFeed::Change HeadFeed::move_to(const ChainBlockPtr& head) {
    Change change;
    ChainBlockPtr at = head;
    while (!has_told(*at) && change.added.size() < kBlocksMax) {
        change.added.push_back(at);
        at = chain_.by_hash(at->block.header.parent_hash);
        if (at == nullptr) return {};
    }
    std::reverse(change.added.begin(), change.added.end());
    const bool is_joined = has_told(*at);
    while (!told_.empty() &&
           (is_joined ? told_.back()->hash != at->hash : !chain_.is_canonical(*told_.back()))) {
        change.removed.push_back(told_.back());
        told_.pop_back();
    }
    if (!is_joined) told_.clear();
    told_.insert(told_.end(), change.added.begin(), change.added.end());
    while (told_.size() > 1 && is_final(*told_[1])) told_.pop_front();
    return change;
}

}  // namespace trainyard::node::chain
