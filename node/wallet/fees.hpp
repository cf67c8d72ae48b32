// SPDX-License-Identifier: Apache-2.0
// What is offered for the gas of a transaction, and how much more where that was not enough.
#pragma once

#include <optional>

#include "core/uint256.hpp"

namespace trainyard::node::wallet {

/// EIP-1559, in wei for one gas.
struct Fees {
    Uint256 tip_max, fee_max;
    bool operator==(const Fees&) const = default;
};

inline constexpr uint64_t kWeiInGwei = 1'000'000'000;
/// A thousand Gwei: a call of the market of 3 million gas costs three coins at the most.
inline constexpr uint64_t kFeeMaxGwei = 1000;

/// A tip of a Gwei, and room for a base fee that doubles; as much of both as the bound leaves.
/// nullopt: the base fee leaves nothing.
[[nodiscard]] std::optional<Fees> first_fees(const Uint256& base_fee_wei, const Uint256& bound_wei);
/// Fees for which pools take a replacement (ten per cent more of both), with the room of the first.
/// What could not be raised once more goes to the bound at once. nullopt: the bound is reached.
[[nodiscard]] std::optional<Fees> raised_fees(const Fees& before, const Uint256& base_fee_wei,
                                              const Uint256& bound_wei);

}  // namespace trainyard::node::wallet
