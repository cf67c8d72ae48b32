// SPDX-License-Identifier: Apache-2.0
// Executed blocks above the last final one, as a tree by hash.
#pragma once

#include <map>
#include <vector>

#include "node/chain/chain.hpp"

namespace trainyard::node::chain {

/// Not thread-safe. Invariant: every block's ancestors down to the final block are in the tree.
class Tree {
public:
    void set_final(ChainBlockPtr block);
    [[nodiscard]] const ChainBlockPtr& final_block() const { return final_; }

    /// False, and nothing kept, if the parent is neither in the tree nor final.
    bool insert(const ChainBlockPtr& block);
    /// A block of the tree or the final one; null otherwise.
    [[nodiscard]] ChainBlockPtr find(const Hash& hash) const;
    /// From the child of the final block to `tip`; empty if `tip` is final or unknown.
    [[nodiscard]] std::vector<ChainBlockPtr> branch(const Hash& tip) const;
    /// Moves the final block to its child `next` and drops every block that does not descend from
    /// it.
    void advance(const ChainBlockPtr& next);

private:
    ChainBlockPtr final_;
    std::map<Hash, ChainBlockPtr> blocks_;
};

}  // namespace trainyard::node::chain
