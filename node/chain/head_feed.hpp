// SPDX-License-Identifier: Apache-2.0
// Turns "the latest block is now this one" into blocks removed and added.
#pragma once

#include <deque>
#include <vector>

#include "node/chain/chain.hpp"

namespace trainyard::node::chain {

/// Remembers what it told and is not final: the chain forgets a branch that it went on without, and
/// whoever is told late could not be told of its end. Not thread-safe.
class HeadFeed {
public:
    struct Change {
        std::vector<ChainBlockPtr> removed;  ///< from the old head down
        std::vector<ChainBlockPtr> added;    ///< upwards; of a long jump its last 256
        [[nodiscard]] bool is_empty() const { return removed.empty() && added.empty(); }
    };
    /// `chain` must outlive it.
    explicit HeadFeed(const Chain& chain) : chain_(chain), told_{chain.latest()} {}

    /// Nothing changes where the chain has forgotten `head` already: another one follows then.
    [[nodiscard]] Change move_to(const ChainBlockPtr& head);
    [[nodiscard]] const ChainBlockPtr& head() const { return told_.back(); }

private:
    [[nodiscard]] bool has_told(const ChainBlock& block) const;
    [[nodiscard]] bool is_final(const ChainBlock& block) const;

    const Chain& chain_;
    std::deque<ChainBlockPtr> told_;  ///< a branch, upwards; only the first may be final
};

}  // namespace trainyard::node::chain
