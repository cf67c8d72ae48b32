// SPDX-License-Identifier: Apache-2.0
// Stake of a provider that leaves in two requests: the second one begins the delay of both anew.
#pragma once

#include <cstdint>
#include <string>

#include "node/wallet/market.hpp"

namespace trainyard::node::cli {

/// What a further request would meet.
struct StakeDelay {
    uint64_t head = 0;
    uint64_t blocks = 0;       ///< that the registry makes stake wait
    double block_seconds = 0;  ///< 0: the chain is too young to tell
    uint64_t now_s = 0;        ///< unix time
};
[[nodiscard]] wallet::Answer<StakeDelay> stake_delay(wallet::MarketApi& market);

/// Until when what leaves already waits, and until when it would after a further request. Empty if
/// nothing is leaving.
[[nodiscard]] std::string delay_text(const wallet::ProviderRecord& record, const StakeDelay& delay);

}  // namespace trainyard::node::cli
