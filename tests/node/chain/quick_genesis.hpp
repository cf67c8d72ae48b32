// SPDX-License-Identifier: Apache-2.0
// What the chains of tests begin with.
#pragma once

#include "node/config/genesis.hpp"

namespace trainyard::node::chain {

inline constexpr uint64_t kQuickChainId = 7777;

/// Short epochs and quick blocks; validators and money are for the test to add.
inline config::Genesis quick_genesis() {
    config::Genesis genesis;
    genesis.chain_id = kQuickChainId;
    genesis.gas_limit = 60'000'000;
    genesis.base_fee_wei = Uint256(1'000'000'000);
    genesis.mini_epoch_length = 8;
    genesis.epoch_length = 16;
    genesis.cutoff = 2;
    genesis.block_interval_ms = 250;
    genesis.delta_ms = 400;
    return genesis;
}

}  // namespace trainyard::node::chain
