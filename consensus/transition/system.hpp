// SPDX-License-Identifier: Apache-2.0
// What the protocol itself does at both ends of a block: calls of system contracts, withdrawals,
// requests.
#pragma once

#include <optional>
#include <vector>

#include "consensus/rules/block.hpp"
#include "consensus/rules/work.hpp"
#include "consensus/transition/evm.hpp"
#include "core/block.hpp"
#include "core/result.hpp"

namespace trainyard::consensus {

/// EIP-4788, EIP-2935 and, on our chains, the Beacon and Staking contracts. Errors:
/// system_call_failed, bad_seal.
[[nodiscard]] Result<Done, BlockFault> begin_block(Evm& evm, const Header& header,
                                                   const Header& parent);

/// The same for a block that nobody proposed: it has no seal, and Staking hears nothing of it.
/// Errors: system_call_failed.
[[nodiscard]] Result<Done, BlockFault> begin_unsealed_block(Evm& evm, const Header& header,
                                                            const Header& parent);

/// EIP-4895: credits withdrawals, in gwei.
void apply_withdrawals(World& world, const std::vector<Withdrawal>& withdrawals);

/// Pays for the work of a block and its ommers.
void apply_rewards(World& world, const std::vector<Reward>& rewards);

/// EIP-7685: the hash over deposits (EIP-6110), withdrawal (EIP-7002) and consolidation requests
/// (EIP-7251). Errors: system_contract_missing, system_call_failed, bad_deposit.
[[nodiscard]] Result<Hash, BlockFault> collect_requests(Evm& evm,
                                                        const std::vector<Receipt>& receipts);

}  // namespace trainyard::consensus
