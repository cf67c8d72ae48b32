// SPDX-License-Identifier: Apache-2.0
// Execution that changes nothing: eth_call, eth_estimateGas, and the constructors of genesis
// contracts.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "consensus/rules/tx.hpp"
#include "consensus/transition/context.hpp"
#include "consensus/transition/evm.hpp"
#include "consensus/transition/transaction.hpp"
#include "core/block.hpp"
#include "core/result.hpp"
#include "core/tx.hpp"
#include "state/view.hpp"
#include "vm/host.hpp"

namespace trainyard::consensus {

/// A call that nobody signed. Without prices it is free and the base fee reads as zero, as in geth.
struct CallRequest {
    Address from;
    std::optional<Address> to;    ///< absent: create
    std::optional<uint64_t> gas;  ///< default: the block's gas limit
    Uint256 max_fee_per_gas;      ///< or the gas price
    Uint256 max_priority_fee_per_gas;
    Uint256 value;
    Bytes data;
    std::vector<AccessTuple> access_list;
    std::vector<Authorization> authorizations;
};

struct CallOutcome {
    vm::Status status = vm::Status::success;
    Bytes output;  ///< return data, or the data of the revert
    uint64_t gas_used = 0;
    uint64_t gas_peak = 0;  ///< before refunds
    std::vector<Log> logs;
    std::optional<Address> created;
};

/// Runs `request` on `view`. A revert or failure is an outcome. Errors: refused before execution
/// (insufficient_funds, intrinsic_gas_too_low, floor_gas_too_low, fee caps, init_code_too_large).
[[nodiscard]] Result<CallOutcome, TxInvalid> simulate_call(const state::StateView& view,
                                                           const ExecutionContext& context,
                                                           const CallRequest& request);

/// The context in which `request` runs: free calls see no base fee.
[[nodiscard]] ExecutionContext context_for(const ExecutionContext& context,
                                           const CallRequest& request);

/// A call as the transaction it was run as.
struct RanCall {
    Tx tx;  ///< unsigned
    TxOutcome done;
};
/// Runs `request` in a world of its own, whose context is that of `context_for`. Errors as above.
[[nodiscard]] Result<RanCall, TxInvalid> run_call(Evm& evm, const CallRequest& request);

struct EstimateError {
    enum class Kind : uint8_t {
        refused,                ///< `tx_error` says why
        gas_exceeds_allowance,  ///< "gas required exceeds allowance (`allowance`)"
        reverted,               ///< `output` holds the data
        failed,                 ///< fails for another reason at any gas; `status` says which
    };
    Kind kind = Kind::refused;
    std::optional<TxInvalid> tx_error;
    uint64_t allowance = 0;
    vm::Status status = vm::Status::success;
    Bytes output;
};

/// The least gas limit with which `request` succeeds, within 1.5 % above, as geth searches for it.
[[nodiscard]] Result<uint64_t, EstimateError> estimate_gas(const state::StateView& view,
                                                           const ExecutionContext& context,
                                                           const CallRequest& request);

/// The accounts and slots that a call reads or writes, in order, for eth_createAccessList.
/// Left out: the sender, the target, the precompiles and the beneficiary, unless a slot is used.
struct AccessListResult {
    std::vector<AccessTuple> access_list;
    CallOutcome outcome;  ///< of the run with this list
};
[[nodiscard]] Result<AccessListResult, TxInvalid> create_access_list(
    const state::StateView& view, const ExecutionContext& context, const CallRequest& request);

struct ConstructorFault {
    vm::Status status = vm::Status::success;
    Bytes output;  ///< what a revert says
};
/// Runs `init_code` as if it created a contract at `address` and gives the account with its storage
/// and code. The size limit of init code does not apply, that of code does.
[[nodiscard]] Result<state::StateDiff, ConstructorFault> run_constructor(
    const state::StateView& view, const ExecutionContext& context, const Address& address,
    BytesView init_code);

}  // namespace trainyard::consensus
