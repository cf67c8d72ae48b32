// SPDX-License-Identifier: Apache-2.0
// One transaction: from validity to receipt, fees and diff.
#pragma once

#include <optional>

#include "consensus/rules/tx.hpp"
#include "consensus/transition/context.hpp"
#include "consensus/transition/evm.hpp"
#include "core/block.hpp"
#include "core/result.hpp"
#include "core/tx.hpp"
#include "state/view.hpp"

namespace trainyard::consensus {

struct TxOutcome {
    Receipt receipt;        ///< cumulative_gas_used is this transaction's alone
    state::StateDiff diff;  ///< empty where the caller keeps a World
    uint64_t gas_used = 0;
    uint64_t gas_peak = 0;  ///< before refunds: the least limit that would have been enough
    vm::Status status = vm::Status::success;
    Bytes output;  ///< return or revert data
    std::optional<Address> created;
    Uint256 gas_price;                    ///< effective, in wei
    std::optional<Uint256> tip_owed_wei;  ///< what the beneficiary has yet to get (Evm::defer_tip)
};

/// Applies one transaction to `view`. `sender` is the recovered signer.
///
/// Errors: the first rule that it breaks; then nothing has changed.
/// Source: Yellow Paper section 6 and the EIPs named in consensus/rules/tx.hpp.
[[nodiscard]] Result<TxOutcome, TxInvalid> apply_transaction(const state::StateView& view,
                                                             const ExecutionContext& context,
                                                             const Tx& tx, const Address& sender);

/// The rules against a world in progress; also what the mempool and eth_sendRawTransaction ask.
[[nodiscard]] Result<Done, TxInvalid> check_transaction(World& world,
                                                        const ExecutionContext& context,
                                                        const Tx& tx, const Address& sender);

/// Runs a transaction that `check_transaction` accepted and ends it; `diff` stays empty.
[[nodiscard]] TxOutcome run_transaction(Evm& evm, const Tx& tx, const Address& sender);

}  // namespace trainyard::consensus
