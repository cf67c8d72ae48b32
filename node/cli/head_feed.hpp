// SPDX-License-Identifier: Apache-2.0
// Turns "the latest block is now this one" into blocks removed and added, for subscribers.
#pragma once

#include <vector>

#include "node/chain/chain.hpp"

namespace trainyard::node::cli {

/// Not thread-safe.
class HeadFeed {
public:
    struct Change {
        std::vector<chain::ChainBlockPtr> removed;  ///< from the old head down
        std::vector<chain::ChainBlockPtr> added;    ///< upwards
    };
    explicit HeadFeed(const chain::Chain& chain) : chain_(chain), head_(chain.latest()) {}
    [[nodiscard]] Change move_to(const chain::ChainBlockPtr& head);

private:
    const chain::Chain& chain_;
    chain::ChainBlockPtr head_;
};

}  // namespace trainyard::node::cli
