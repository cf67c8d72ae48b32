// SPDX-License-Identifier: Apache-2.0
// The chain as block sync sees it.
#pragma once

#include "node/bft/bft_node.hpp"
#include "node/chain/chain.hpp"
#include "node/cli/node_limits.hpp"
#include "node/sync/block_sync.hpp"

namespace trainyard::node::cli {

class ChainSyncTarget final : public sync::SyncTarget {
public:
    ChainSyncTarget(chain::Chain& chain, bft::BftNode& bft, const NodeLimits& limits)
        : chain_(chain), bft_(bft), limits_(limits) {}
    [[nodiscard]] p2p::Status status() const override;
    [[nodiscard]] std::optional<p2p::FinalisedBlock> final_block(Height height) const override;
    [[nodiscard]] std::optional<Bytes> block(const Hash& hash) const override;
    [[nodiscard]] Result<Done, Refusal> apply_final(const p2p::FinalisedBlock& block) override;

private:
    chain::Chain& chain_;
    bft::BftNode& bft_;
    const NodeLimits& limits_;
};

}  // namespace trainyard::node::cli
