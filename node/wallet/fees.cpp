// SPDX-License-Identifier: Apache-2.0
// Raises by an eighth, which is above the tenth that pools ask for.
#include "node/wallet/fees.hpp"

#include <algorithm>

namespace trainyard::node::wallet {
namespace {

/// The least that pools take in place of `fee`: mempool/pool_state.hpp, price_bump_percent.
Uint256 least_above(const Uint256& fee) {
    return fee + fee / Uint256(10) + Uint256(1);
}

Uint256 an_eighth_more(const Uint256& fee) {
    return fee + fee / Uint256(8) + Uint256(1);
}

/// To the bound, or so far below that it can be raised again.
Uint256 below(const Uint256& fee, const Uint256& bound) {
    return least_above(fee) > bound ? bound : fee;
}

Uint256 with_room(const Uint256& base_fee, const Uint256& tip) {
    return base_fee + base_fee + tip;
}

}  // namespace

std::optional<Fees> first_fees(const Uint256& base_fee_wei, const Uint256& bound_wei) {
    if (base_fee_wei >= bound_wei) return std::nullopt;
    const Uint256 tip = std::min(Uint256(kWeiInGwei), bound_wei - base_fee_wei);
    return Fees{tip, below(with_room(base_fee_wei, tip), bound_wei)};
}

std::optional<Fees> raised_fees(const Fees& before, const Uint256& base_fee_wei,
                                const Uint256& bound_wei) {
    if (least_above(before.fee_max) > bound_wei) return std::nullopt;
    const Uint256 tip = an_eighth_more(before.tip_max);
    const Uint256 fee = std::max(an_eighth_more(before.fee_max), with_room(base_fee_wei, tip));
    const Fees out{tip, below(fee, bound_wei)};
    if (out.tip_max > out.fee_max) return std::nullopt;
    return out;
}

}  // namespace trainyard::node::wallet
