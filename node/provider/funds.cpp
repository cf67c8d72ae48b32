// SPDX-License-Identifier: Apache-2.0
// Sums, and how they are told.
#include "node/provider/funds.hpp"

#include "node/wallet/coins.hpp"

namespace trainyard::node::provider {
namespace {

/// What a call reserves: its gas with the sender's margin, at twice the price in case that rises.
constexpr uint64_t kGas = 4'000'000, kPrices = 2;
constexpr uint64_t kRound = wallet::kWeiInCoin / 1000;  ///< amounts that people type

Uint256 rounded_up(const Uint256& wei) {
    return (wei + Uint256(kRound - 1)) / Uint256(kRound) * Uint256(kRound);
}

}  // namespace

wallet::Answer<Funds> read_funds(wallet::MarketApi& market, const Uint256& stake_wei) {
    const auto has = market.balance(market.self());
    if (!has) return unexpected(has.error());
    const auto price = market.gas_price();
    if (!price) return unexpected(price.error());
    return Funds{market.self(), *has, stake_wei, rounded_up(*price * Uint256(kGas * kPrices))};
}

bool is_enough(const Funds& funds) {
    return funds.has_wei >= funds.stake_wei + funds.gas_wei;
}

std::string to_text(const Funds& funds) {
    const std::string gas = wallet::coins(funds.gas_wei) + " for gas";
    const bool stakes = !funds.stake_wei.is_zero();
    return to_hex0x(funds.who.bytes) + " has " + wallet::in_coins(funds.has_wei) + " and needs " +
           (stakes ? wallet::coins(funds.stake_wei + funds.gas_wei) + ": " +
                         wallet::coins(funds.stake_wei) + " to stake and " + gas
                   : gas);
}

std::string missing_coins(const Funds& funds) {
    return wallet::coins(rounded_up(funds.stake_wei + funds.gas_wei - funds.has_wei));
}

}  // namespace trainyard::node::provider
