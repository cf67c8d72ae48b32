// SPDX-License-Identifier: Apache-2.0
// Transaction rules in the order in which geth reports them.
#include "consensus/rules/tx.hpp"

#include <algorithm>
#include <limits>

namespace trainyard::consensus {
namespace {

constexpr uint64_t kTxGas = 21000;
constexpr uint64_t kCreateTxGas = 32000;  // EIP-2
constexpr uint64_t kZeroByteGas = 4;
constexpr uint64_t kByteGasFrontier = 68;
constexpr uint64_t kByteGas = 16;              // EIP-2028
constexpr uint64_t kAccessAddressGas = 2400;   // EIP-2930
constexpr uint64_t kAccessKeyGas = 1900;       // EIP-2930
constexpr uint64_t kAuthorizationGas = 25000;  // EIP-7702
constexpr uint64_t kFloorTokenGas = 10;        // EIP-7623
constexpr uint64_t kTokensPerByte = 4;         // EIP-7623
constexpr uint8_t kBlobHashVersion = 0x01;     // EIP-4844

bool type_is_active(const Tx& tx, const vm::Rules& rules, const ChainConfig& config) {
    switch (tx.type) {
        case TxType::legacy:
            return true;
        case TxType::access_list:
            return rules.access_list_tx;
        case TxType::dynamic_fee:
            return rules.fee_market;
        case TxType::blob:
            return rules.blob_tx && config.blob_txs;
        case TxType::set_code:
            return rules.set_code_tx;
    }
    return false;
}

Result<Done, TxInvalid> check_blobs(const Tx& tx, const ForkAt& fork) {
    if (!tx.to) return unexpected(TxInvalid::blob_creates);
    if (tx.blob_hashes.empty()) return unexpected(TxInvalid::blob_without_hashes);
    const bool capped = vm::rules_of(fork.revision).blob_count_per_tx_capped;
    const uint64_t most = capped ? std::min(kBlobsPerTxMax, fork.blobs.max) : fork.blobs.max;
    if (tx.blob_hashes.size() > most) return unexpected(TxInvalid::blob_too_many);
    for (const auto& hash : tx.blob_hashes)
        if (hash[0] != kBlobHashVersion) return unexpected(TxInvalid::blob_bad_version);
    return Done{};
}

}  // namespace

std::string_view to_text(TxInvalid error) {
    switch (error) {
        case TxInvalid::type_not_supported:
            return "transaction type not supported";
        case TxInvalid::wrong_chain:
            return "invalid chain id for signer";
        case TxInvalid::bad_signature:
            return "invalid sender";
        case TxInvalid::nonce_too_low:
            return "nonce too low";
        case TxInvalid::nonce_too_high:
            return "nonce too high";
        case TxInvalid::nonce_max:
            return "nonce has max value";
        case TxInvalid::sender_is_contract:
            return "sender not an eoa";
        case TxInvalid::insufficient_funds:
            return "insufficient funds for gas * price + value";
        case TxInvalid::intrinsic_gas_too_low:
            return "intrinsic gas too low";
        case TxInvalid::floor_gas_too_low:
            return "insufficient gas for floor data gas cost";
        case TxInvalid::gas_above_tx_cap:
            return "transaction gas limit too high";
        case TxInvalid::gas_above_block_limit:
            return "exceeds block gas limit";
        case TxInvalid::init_code_too_large:
            return "max initcode size exceeded";
        case TxInvalid::fee_cap_below_base_fee:
            return "max fee per gas less than block base fee";
        case TxInvalid::tip_above_fee_cap:
            return "max priority fee per gas higher than max fee per gas";
        case TxInvalid::fee_overflow:
            return "max fee per gas times gas exceeds 256 bits";
        case TxInvalid::blob_fee_cap_too_low:
            return "max fee per blob gas less than block blob gas fee";
        case TxInvalid::blob_without_hashes:
            return "blob transaction missing blob hashes";
        case TxInvalid::blob_bad_version:
            return "blob hash has wrong version";
        case TxInvalid::blob_too_many:
            return "blob transaction has too many blobs";
        case TxInvalid::blob_creates:
            return "blob transaction of type create";
        case TxInvalid::set_code_without_list:
            return "EIP-7702 transaction with empty auth list";
        case TxInvalid::set_code_creates:
            return "EIP-7702 transaction cannot be used to create";
    }
    return "invalid transaction";
}

IntrinsicGas intrinsic_gas(const Tx& tx, const vm::Rules& rules) {
    const auto zeros =
        static_cast<uint64_t>(std::count(tx.data.begin(), tx.data.end(), uint8_t{0}));
    const uint64_t others = tx.data.size() - zeros;
    IntrinsicGas due;
    due.intrinsic = kTxGas + zeros * kZeroByteGas +
                    others * (rules.cheap_call_data ? kByteGas : kByteGasFrontier);
    if (!tx.to && rules.create_tx_costs_more) due.intrinsic += kCreateTxGas;
    if (!tx.to && rules.init_code_is_metered)
        due.intrinsic += (tx.data.size() + 31) / 32 * vm::kInitCodeWordGas;
    for (const auto& tuple : tx.access_list)
        due.intrinsic += kAccessAddressGas + tuple.storage_keys.size() * kAccessKeyGas;
    due.intrinsic += tx.authorizations.size() * kAuthorizationGas;
    if (rules.call_data_floor)
        due.floor = kTxGas + (zeros + others * kTokensPerByte) * kFloorTokenGas;
    return due;
}

Result<Done, TxInvalid> check_tx_shape(const Tx& tx, const ForkAt& fork,
                                       const ChainConfig& config) {
    const vm::Rules& rules = vm::rules_of(fork.revision);
    if (!type_is_active(tx, rules, config)) return unexpected(TxInvalid::type_not_supported);
    if (tx.chain_id && (*tx.chain_id != config.chain_id || !rules.replay_protection))
        return unexpected(TxInvalid::wrong_chain);
    if (!tx.chain_id && tx.type != TxType::legacy) return unexpected(TxInvalid::wrong_chain);
    if (!tx.to && rules.init_code_is_metered && tx.data.size() > vm::kInitCodeSizeMax)
        return unexpected(TxInvalid::init_code_too_large);
    if (tx.type == TxType::blob)
        if (const auto blobs = check_blobs(tx, fork); !blobs) return blobs;
    if (tx.type == TxType::set_code) {
        if (!tx.to) return unexpected(TxInvalid::set_code_creates);
        if (tx.authorizations.empty()) return unexpected(TxInvalid::set_code_without_list);
    }
    if (tx.max_fee_per_gas < tx.max_priority_fee_per_gas)
        return unexpected(TxInvalid::tip_above_fee_cap);
    return Done{};
}

Result<Done, TxInvalid> check_tx_gas(const Tx& tx, const vm::Rules& rules) {
    if (tx.gas_limit > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        return unexpected(TxInvalid::gas_above_block_limit);
    if (rules.tx_gas_is_capped && tx.gas_limit > kTxGasMax)
        return unexpected(TxInvalid::gas_above_tx_cap);
    const auto due = intrinsic_gas(tx, rules);
    if (tx.gas_limit < due.intrinsic) return unexpected(TxInvalid::intrinsic_gas_too_low);
    if (tx.gas_limit < due.floor) return unexpected(TxInvalid::floor_gas_too_low);
    return Done{};
}

Result<Done, TxInvalid> check_tx_fees(const Tx& tx, const vm::Rules& rules, const FeeEnv& fees) {
    if (rules.fee_market && tx.max_fee_per_gas < fees.base_fee)
        return unexpected(TxInvalid::fee_cap_below_base_fee);
    if (tx.type == TxType::blob && tx.max_fee_per_blob_gas < fees.blob_base_fee)
        return unexpected(TxInvalid::blob_fee_cap_too_low);
    return Done{};
}

Result<Done, TxInvalid> check_tx_sender(const Tx& tx, const SenderState& sender) {
    if (tx.nonce < sender.nonce) return unexpected(TxInvalid::nonce_too_low);
    if (tx.nonce > sender.nonce) return unexpected(TxInvalid::nonce_too_high);
    if (tx.nonce == std::numeric_limits<uint64_t>::max()) return unexpected(TxInvalid::nonce_max);
    if (sender.has_code) return unexpected(TxInvalid::sender_is_contract);
    const auto cost = max_cost_wei(tx);
    if (!cost || sender.balance < *cost) return unexpected(TxInvalid::insufficient_funds);
    return Done{};
}

std::optional<Uint256> max_cost_wei(const Tx& tx) {
    const auto gas = checked_mul(tx.max_fee_per_gas, tx.gas_limit);
    const auto blobs =
        checked_mul(tx.max_fee_per_blob_gas, Uint256(tx.blob_hashes.size() * kBlobGas));
    if (!gas || !blobs) return std::nullopt;
    const auto fees = checked_add(*gas, *blobs);
    return fees ? checked_add(*fees, tx.value) : std::nullopt;
}

Uint256 effective_gas_price(const Tx& tx, const Uint256& base_fee) {
    const Uint256 room = tx.max_fee_per_gas - base_fee;
    return base_fee + std::min(room, tx.max_priority_fee_per_gas);
}

}  // namespace trainyard::consensus
