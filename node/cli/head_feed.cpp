// SPDX-License-Identifier: Apache-2.0
// Walks two branches back to where they part.
#include "node/cli/head_feed.hpp"

#include <algorithm>

namespace trainyard::node::cli {
namespace {

/// A jump longer than this (after a sync) is told as its last blocks only.
constexpr size_t kBlocksMax = 256;

}  // namespace

HeadFeed::Change HeadFeed::move_to(const chain::ChainBlockPtr& head) {
    Change change;
    auto old = head_, next = head;
    while (old != nullptr && next != nullptr && old->hash != next->hash) {
        if (next->height() >= old->height()) {
            change.added.push_back(next);
            if (change.added.size() >= kBlocksMax) break;
            next = chain_.by_hash(next->block.header.parent_hash);
        } else {
            change.removed.push_back(old);
            old = chain_.by_hash(old->block.header.parent_hash);
        }
    }
    std::reverse(change.added.begin(), change.added.end());
    head_ = head;
    return change;
}

}  // namespace trainyard::node::cli
