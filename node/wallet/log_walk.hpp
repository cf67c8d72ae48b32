// SPDX-License-Identifier: Apache-2.0
// The logs of many blocks, asked for piece by piece: private to node/wallet.
#pragma once

#include <functional>

#include "node/wallet/eth_client.hpp"

namespace trainyard::node::wallet {

inline constexpr uint64_t kLogSpanMost = 100'000;  ///< blocks in one query

/// Nodes differ in how many blocks they allow in a query. `take` says whether to go on; `progress`
/// hears how many blocks were read and may be empty.
Answer<Done> each_log(EthClient& client, LogQuery query,
                      const std::function<bool(const PlacedLog&)>& take,
                      const std::function<void(uint64_t blocks)>& progress = {});

}  // namespace trainyard::node::wallet
