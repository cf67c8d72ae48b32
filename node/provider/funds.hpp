// SPDX-License-Identifier: Apache-2.0
// Whether an account has what a provider spends before it is paid: stake, and gas.
#pragma once

#include <string>

#include "node/wallet/market.hpp"

namespace trainyard::node::provider {

struct Funds {
    Address who;
    Uint256 has_wei;    ///< on the account itself
    Uint256 stake_wei;  ///< to be staked first
    Uint256 gas_wei;    ///< of the calls around it, at today's price and with room
};

/// For a provider that is to stake so much more. Errors: those of the node.
[[nodiscard]] wallet::Answer<Funds> read_funds(wallet::MarketApi& market, const Uint256& stake_wei);

[[nodiscard]] bool is_enough(const Funds& funds);
/// "0x… has 0 coins and needs 10.02: 10 to stake and 0.02 for gas".
[[nodiscard]] std::string to_text(const Funds& funds);
/// What is to be sent to the account, in coins: "10.02". Precondition: it has not enough.
[[nodiscard]] std::string missing_coins(const Funds& funds);

}  // namespace trainyard::node::provider
