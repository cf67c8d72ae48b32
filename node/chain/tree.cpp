// SPDX-License-Identifier: Apache-2.0
// The tree of executed blocks.
#include "node/chain/tree.hpp"

#include <set>

namespace trainyard::node::chain {

void Tree::set_final(ChainBlockPtr block) {
    final_ = std::move(block);
    blocks_.clear();
}

bool Tree::insert(const ChainBlockPtr& block) {
    const Hash& parent = block->block.header.parent_hash;
    if (parent != final_->hash && blocks_.count(parent) == 0) return false;
    blocks_.emplace(block->hash, block);
    return true;
}

ChainBlockPtr Tree::find(const Hash& hash) const {
    if (hash == final_->hash) return final_;
    const auto it = blocks_.find(hash);
    return it == blocks_.end() ? nullptr : it->second;
}

std::vector<ChainBlockPtr> Tree::branch(const Hash& tip) const {
    std::vector<ChainBlockPtr> path;
    for (Hash at = tip; at != final_->hash;) {
        const auto it = blocks_.find(at);
        if (it == blocks_.end()) return {};
        path.push_back(it->second);
        at = it->second->block.header.parent_hash;
    }
    return {path.rbegin(), path.rend()};
}

void Tree::advance(const ChainBlockPtr& next) {
    ASSERT(next->block.header.parent_hash == final_->hash);
    std::map<uint64_t, std::vector<ChainBlockPtr>> by_height;
    for (const auto& [hash, block] : blocks_) by_height[block->height()].push_back(block);
    std::set<Hash> kept{next->hash};
    std::map<Hash, ChainBlockPtr> blocks;
    for (const auto& [height, level] : by_height) {
        for (const auto& block : level) {
            if (kept.count(block->block.header.parent_hash) == 0) continue;
            kept.insert(block->hash);
            blocks.emplace(block->hash, block);
        }
    }
    blocks_ = std::move(blocks);
    final_ = next;
}

}  // namespace trainyard::node::chain
