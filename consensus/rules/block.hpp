// SPDX-License-Identifier: Apache-2.0
// Is this block valid? The rules that need only the block and its parent's header, and the prices
// they derive.
#pragma once

#include <optional>
#include <string_view>

#include "consensus/params.hpp"
#include "consensus/rules/tx.hpp"
#include "core/block.hpp"
#include "core/result.hpp"

namespace trainyard::consensus {

/// Which rule a block breaks.
enum class BlockFault : uint8_t {
    wrong_parent,          ///< Yellow Paper equation 44: parent hash
    bad_number,            ///< Yellow Paper equation 44: the parent's number and one
    bad_timestamp,         ///< Yellow Paper equation 49; equal_timestamps
    bad_gas_limit,         ///< Yellow Paper equation 47
    gas_used_above_limit,  ///< Yellow Paper equation 46
    extra_data_too_long,   ///< Yellow Paper equation 50
    bad_base_fee,          ///< EIP-1559
    bad_ommers,            ///< Yellow Paper section 11.1; EIP-3675: none
    bad_difficulty,        ///< Yellow Paper section 4.3.4; EIP-3675: zero, the nonce too
    bad_fork_fields,       ///< a field is missing or comes before its fork
    bad_withdrawals,       ///< EIP-4895
    bad_blob_gas,          ///< EIP-4844: blob gas used
    bad_excess_blob_gas,   ///< EIP-4844, EIP-7918
    bad_beacon_root,       ///< EIP-4788: not zero on a chain without a beacon chain
    block_too_large,       ///< EIP-7934
    bad_transactions_root,
    bad_transaction,  ///< one of its transactions; `tx_error` and `tx_index` say which
    bad_gas_used,
    bad_receipts_root,
    bad_bloom,
    bad_state_root,
    bad_requests,             ///< EIP-7685
    bad_deposit,              ///< EIP-6110: a deposit log of another shape
    system_contract_missing,  ///< EIP-7002, EIP-7251: no code at its address
    system_call_failed,       ///< EIP-7002, EIP-7251, the Beacon and Staking contracts
    bad_seal,                 ///< the Staking contract needs the view (consensus/bft/seal.hpp)
};
[[nodiscard]] std::string_view to_text(BlockFault fault);

struct BlockInvalid {
    BlockFault fault = BlockFault::wrong_parent;
    size_t tx_index = 0;                ///< of bad_transaction
    std::optional<TxInvalid> tx_error;  ///< of bad_transaction
    bool operator==(const BlockInvalid&) const = default;
};

/// The base fee of the child of `parent`; zero before London.
[[nodiscard]] Uint256 next_base_fee(const Header& parent, uint64_t timestamp,
                                    const ChainConfig& config);

/// EIP-4844 and EIP-7918: what the child of `parent` at `timestamp` carries over.
[[nodiscard]] uint64_t next_excess_blob_gas(const Header& parent, uint64_t timestamp,
                                            const ChainConfig& config);
/// EIP-4844: 1 wei times e to the power of excess / fraction, in integers.
[[nodiscard]] Uint256 blob_base_fee(uint64_t excess_blob_gas, const BlobSchedule& schedule);

/// True if a child may have this limit: within 1/1024 of its parent's and at least 5000.
[[nodiscard]] bool is_gas_limit_allowed(uint64_t limit, uint64_t parent_limit);
/// The allowed limit nearest to `wanted`.
[[nodiscard]] uint64_t next_gas_limit(uint64_t parent_limit, uint64_t wanted);

/// Everything about a header that its parent decides.
[[nodiscard]] Result<Done, BlockInvalid> check_header(const Header& header, const Header& parent,
                                                      const ChainConfig& config);
inline constexpr uint64_t kAheadMax_s = 10;
/// What clocks say, which is no rule of validity: the time is at most `kAheadMax_s` ahead of
/// `now_s`, or the parent's. Else one leader could bring every deadline and fork forward, for ever.
[[nodiscard]] bool is_timely(const Header& header, const Header& parent, uint64_t now_s);
/// The body against its header: roots, ommers, withdrawals, size; not the transactions themselves.
[[nodiscard]] Result<Done, BlockInvalid> check_body(const Block& block, const ChainConfig& config);

/// Roots of the tries whose keys are the RLP of 0, 1, 2, …
[[nodiscard]] Hash transactions_root(const std::vector<Tx>& txs);
[[nodiscard]] Hash receipts_root(const std::vector<Receipt>& receipts);
[[nodiscard]] Hash withdrawals_root(const std::vector<Withdrawal>& withdrawals);

}  // namespace trainyard::consensus
