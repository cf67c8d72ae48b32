// SPDX-License-Identifier: Apache-2.0
// Amounts as people write and read them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/uint256.hpp"

namespace trainyard::node::wallet {

inline constexpr uint64_t kWeiInCoin = 1'000'000'000'000'000'000;

/// One coin is kWeiInCoin: "1.5", "0.000000001".
[[nodiscard]] std::string coins(const Uint256& wei);
/// With the unit: "1.5 coins", "1 coin".
[[nodiscard]] std::string in_coins(const Uint256& wei);
/// "12", "0.5", "3gwei", "100wei".
[[nodiscard]] std::optional<Uint256> parse_coins(std::string_view text);

}  // namespace trainyard::node::wallet
