// SPDX-License-Identifier: Apache-2.0
// What to pay: the tip that recent blocks suggest.
#pragma once

#include "rpc/method.hpp"

namespace trainyard::rpc {

/// The 60th percentile of the three lowest tips of each of the last 20 blocks; kTipDefaultWei if
/// all are empty. The method is that of geth's oracle.
[[nodiscard]] Uint256 suggested_tip(const Backend& backend);
/// What a transaction in the block paid the leader for a unit of gas.
[[nodiscard]] Uint256 tip_paid(const Tx& tx, const Header& header);

}  // namespace trainyard::rpc
