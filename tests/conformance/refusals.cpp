// SPDX-License-Identifier: Apache-2.0
// The vectors' names of exceptions and the faults of ours that each may be.
#include "tests/conformance/refusals.hpp"

#include <algorithm>
#include <variant>

namespace trainyard::conformance {
namespace {

using consensus::BlockFault;
using consensus::TxInvalid;

struct Undecodable {
    bool operator==(const Undecodable&) const = default;
};

/// One row: this name may stand for this fault. Several rows for one name are alternatives.
struct Row {
    std::string_view name;
    std::variant<TxInvalid, BlockFault, Undecodable> is;
};

constexpr Row kRows[] = {
    {"TransactionException.EC_RECOVERY_FAIL", TxInvalid::bad_signature},
    {"TransactionException.GASLIMIT_PRICE_PRODUCT_OVERFLOW", TxInvalid::fee_overflow},
    {"TransactionException.GASLIMIT_PRICE_PRODUCT_OVERFLOW", TxInvalid::insufficient_funds},
    {"TransactionException.GAS_ALLOWANCE_EXCEEDED", TxInvalid::gas_above_block_limit},
    {"TransactionException.GAS_LIMIT_EXCEEDS_MAXIMUM", TxInvalid::gas_above_tx_cap},
    {"TransactionException.INITCODE_SIZE_EXCEEDED", TxInvalid::init_code_too_large},
    {"TransactionException.INSUFFICIENT_ACCOUNT_FUNDS", TxInvalid::insufficient_funds},
    {"TransactionException.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS", TxInvalid::blob_fee_cap_too_low},
    {"TransactionException.INSUFFICIENT_MAX_FEE_PER_GAS", TxInvalid::fee_cap_below_base_fee},
    {"TransactionException.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST", TxInvalid::floor_gas_too_low},
    {"TransactionException.INTRINSIC_GAS_TOO_LOW", TxInvalid::intrinsic_gas_too_low},
    // Before Prague there is no floor, and the older name then covers both limits.
    {"TransactionException.INTRINSIC_GAS_TOO_LOW", TxInvalid::floor_gas_too_low},
    {"TransactionException.INVALID_CHAINID", TxInvalid::wrong_chain},
    {"TransactionException.INVALID_SIGNATURE_VRS", TxInvalid::bad_signature},
    {"TransactionException.NONCE_IS_MAX", TxInvalid::nonce_max},
    {"TransactionException.NONCE_MISMATCH_TOO_HIGH", TxInvalid::nonce_too_high},
    {"TransactionException.NONCE_MISMATCH_TOO_LOW", TxInvalid::nonce_too_low},
    {"TransactionException.NONCE_TOO_BIG", TxInvalid::nonce_max},
    {"TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS", TxInvalid::tip_above_fee_cap},
    {"TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2", TxInvalid::tip_above_fee_cap},
    {"TransactionException.SENDER_NOT_EOA", TxInvalid::sender_is_contract},
    {"TransactionException.TYPE_NOT_SUPPORTED", TxInvalid::type_not_supported},
    {"TransactionException.TYPE_1_TX_PRE_FORK", TxInvalid::type_not_supported},
    {"TransactionException.TYPE_2_TX_PRE_FORK", TxInvalid::type_not_supported},
    {"TransactionException.TYPE_3_TX_PRE_FORK", TxInvalid::type_not_supported},
    {"TransactionException.TYPE_3_TX_ZERO_BLOBS_PRE_FORK", TxInvalid::type_not_supported},
    {"TransactionException.TYPE_4_TX_PRE_FORK", TxInvalid::type_not_supported},
    {"TransactionException.TYPE_3_TX_BLOB_COUNT_EXCEEDED", TxInvalid::blob_too_many},
    {"TransactionException.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED", TxInvalid::blob_too_many},
    {"TransactionException.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH", TxInvalid::blob_bad_version},
    {"TransactionException.TYPE_3_TX_ZERO_BLOBS", TxInvalid::blob_without_hashes},
    {"TransactionException.TYPE_3_TX_CONTRACT_CREATION", TxInvalid::blob_creates},
    {"TransactionException.TYPE_4_TX_CONTRACT_CREATION", TxInvalid::set_code_creates},
    {"TransactionException.TYPE_4_EMPTY_AUTHORIZATION_LIST", TxInvalid::set_code_without_list},
    // The header owns up to more blob gas than a block may have.
    {"TransactionException.TYPE_3_TX_BLOB_COUNT_EXCEEDED", BlockFault::bad_blob_gas},
    {"TransactionException.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED", BlockFault::bad_blob_gas},
    // On the wire these types have an address where others may have none.
    {"TransactionException.TYPE_3_TX_CONTRACT_CREATION", Undecodable{}},
    {"TransactionException.TYPE_4_TX_CONTRACT_CREATION", Undecodable{}},
    {"TransactionException.TYPE_3_TX_WITH_FULL_BLOBS", Undecodable{}},
    {"TransactionException.TYPE_4_INVALID_AUTHORITY_SIGNATURE", Undecodable{}},
    {"TransactionException.TYPE_4_INVALID_AUTHORIZATION_FORMAT", Undecodable{}},
    // A v that is neither 27, 28 nor 35 and more, or of a chain whose number has more than 64 bits.
    {"TransactionException.INVALID_CHAINID", Undecodable{}},
    {"TransactionException.INVALID_SIGNATURE_VRS", Undecodable{}},
    {"TransactionException.TYPE_NOT_SUPPORTED", Undecodable{}},
    {"TransactionException.ADDRESS_TOO_LONG", Undecodable{}},
    {"TransactionException.ADDRESS_TOO_SHORT", Undecodable{}},
    {"TransactionException.GASLIMIT_OVERFLOW", Undecodable{}},
    {"TransactionException.GASPRICE_OVERFLOW", Undecodable{}},
    {"TransactionException.NONCE_OVERFLOW", Undecodable{}},
    {"TransactionException.PRIORITY_OVERFLOW", Undecodable{}},
    {"TransactionException.VALUE_OVERFLOW", Undecodable{}},

    {"BlockException.BLOB_GAS_USED_ABOVE_LIMIT", BlockFault::bad_blob_gas},
    {"BlockException.EXTRA_DATA_TOO_BIG", BlockFault::extra_data_too_long},
    {"BlockException.GASLIMIT_TOO_BIG", BlockFault::bad_gas_limit},
    {"BlockException.GAS_USED_OVERFLOW", BlockFault::gas_used_above_limit},
    {"BlockException.GAS_USED_OVERFLOW", TxInvalid::gas_above_block_limit},
    {"BlockException.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS", BlockFault::bad_difficulty},
    {"BlockException.IMPORT_IMPOSSIBLE_LEGACY", BlockFault::bad_fork_fields},
    {"BlockException.IMPORT_IMPOSSIBLE_LEGACY_WRONG_PARENT", BlockFault::bad_fork_fields},
    {"BlockException.IMPORT_IMPOSSIBLE_LONDON_OVER_PARIS", BlockFault::bad_difficulty},
    {"BlockException.IMPORT_IMPOSSIBLE_LONDON_OVER_PARIS", BlockFault::bad_fork_fields},
    {"BlockException.IMPORT_IMPOSSIBLE_LONDON_WRONG_PARENT", BlockFault::bad_fork_fields},
    {"BlockException.IMPORT_IMPOSSIBLE_PARIS_OVER_SHANGHAI", BlockFault::bad_fork_fields},
    {"BlockException.IMPORT_IMPOSSIBLE_PARIS_WRONG_POS", BlockFault::bad_difficulty},
    {"BlockException.IMPORT_IMPOSSIBLE_PARIS_WRONG_POW", BlockFault::bad_difficulty},
    {"BlockException.IMPORT_IMPOSSIBLE_SHANGHAI", BlockFault::bad_fork_fields},
    {"BlockException.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS", BlockFault::bad_ommers},
    {"BlockException.INCORRECT_BLOB_GAS_USED", BlockFault::bad_blob_gas},
    {"BlockException.INCORRECT_BLOCK_FORMAT", BlockFault::bad_fork_fields},
    {"BlockException.INCORRECT_BLOCK_FORMAT", Undecodable{}},
    {"BlockException.INCORRECT_EXCESS_BLOB_GAS", BlockFault::bad_excess_blob_gas},
    {"BlockException.INVALID_BASEFEE_PER_GAS", BlockFault::bad_base_fee},
    {"BlockException.INVALID_BLOCK_NUMBER", BlockFault::bad_number},
    {"BlockException.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT", BlockFault::bad_timestamp},
    {"BlockException.INVALID_DEPOSIT_EVENT_LAYOUT", BlockFault::bad_deposit},
    {"BlockException.INVALID_DIFFICULTY", BlockFault::bad_difficulty},
    {"BlockException.INVALID_GASLIMIT", BlockFault::bad_gas_limit},
    {"BlockException.INVALID_GAS_USED", BlockFault::bad_gas_used},
    {"BlockException.INVALID_GAS_USED_ABOVE_LIMIT", BlockFault::gas_used_above_limit},
    {"BlockException.INVALID_LOG_BLOOM", BlockFault::bad_bloom},
    {"BlockException.INVALID_RECEIPTS_ROOT", BlockFault::bad_receipts_root},
    {"BlockException.INVALID_REQUESTS", BlockFault::bad_requests},
    {"BlockException.INVALID_STATE_ROOT", BlockFault::bad_state_root},
    {"BlockException.INVALID_TRANSACTIONS_ROOT", BlockFault::bad_transactions_root},
    {"BlockException.INVALID_UNCLES_HASH", BlockFault::bad_ommers},
    {"BlockException.INVALID_WITHDRAWALS_ROOT", BlockFault::bad_withdrawals},
    {"BlockException.SYSTEM_CONTRACT_CALL_FAILED", BlockFault::system_call_failed},
    {"BlockException.SYSTEM_CONTRACT_EMPTY", BlockFault::system_contract_missing},
    {"BlockException.TOO_MANY_UNCLES", BlockFault::bad_ommers},
    {"BlockException.UNCLE_IN_CHAIN", BlockFault::bad_ommers},
    {"BlockException.UNCLE_IS_ANCESTOR", BlockFault::bad_ommers},
    {"BlockException.UNCLE_IS_BROTHER", BlockFault::bad_ommers},
    {"BlockException.UNCLE_PARENT_INCORRECT", BlockFault::bad_ommers},
    {"BlockException.UNCLE_UNKNOWN_PARENT", BlockFault::bad_ommers},
    {"BlockException.UNKNOWN_PARENT", BlockFault::wrong_parent},
    {"BlockException.UNKNOWN_PARENT_ZERO", BlockFault::wrong_parent},
    {"BlockException.RLP_BLOCK_LIMIT_EXCEEDED", BlockFault::block_too_large},
    {"BlockException.RLP_INVALID_ADDRESS", Undecodable{}},
    {"BlockException.RLP_INVALID_FIELD_OVERFLOW_64", Undecodable{}},
    {"BlockException.RLP_STRUCTURES_ENCODING", Undecodable{}},
    {"BlockException.RLP_WITHDRAWALS_NOT_READ", BlockFault::bad_withdrawals},
    {"BlockException.RLP_WITHDRAWALS_NOT_READ", Undecodable{}},
};

bool is_undecodable(const Refusal& refusal) {
    return !refusal.fault && !refusal.tx_error;
}

bool matches(const Row& row, const Refusal& refusal) {
    if (const auto* error = std::get_if<TxInvalid>(&row.is)) return refusal.tx_error == *error;
    if (const auto* fault = std::get_if<BlockFault>(&row.is)) return refusal.fault == *fault;
    return is_undecodable(refusal);
}

}  // namespace

Refusal refusal_of(const consensus::BlockInvalid& invalid) {
    Refusal refusal{invalid.fault, invalid.tx_error, std::string(to_text(invalid.fault))};
    if (invalid.tx_error)
        refusal.text += " (transaction " + std::to_string(invalid.tx_index) + ": " +
                        std::string(to_text(*invalid.tx_error)) + ")";
    return refusal;
}

Refusal refusal_of(TxInvalid invalid) {
    return {std::nullopt, invalid, std::string(to_text(invalid))};
}

Refusal undecodable(std::string text) {
    return {std::nullopt, std::nullopt, "does not decode: " + std::move(text)};
}

bool is_refused_as(std::string_view expected, const Refusal& refusal) {
    while (!expected.empty()) {
        const auto name = expected.substr(0, expected.find('|'));
        expected.remove_prefix(std::min(expected.size(), name.size() + 1));
        // Some thirty names, each of one field.
        if (name.starts_with("TransactionException.RLP_") && is_undecodable(refusal)) return true;
        if (std::any_of(std::begin(kRows), std::end(kRows),
                        [&](const Row& row) { return row.name == name && matches(row, refusal); }))
            return true;
    }
    return false;
}

}  // namespace trainyard::conformance
