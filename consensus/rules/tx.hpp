// SPDX-License-Identifier: Apache-2.0
// Is this transaction valid? Predicates alone: first of its shape, then of its price, then of its
// sender.
#pragma once

#include <string_view>

#include "consensus/params.hpp"
#include "core/result.hpp"
#include "core/tx.hpp"
#include "core/uint256.hpp"
#include "vm/revision.hpp"

namespace trainyard::consensus {

/// Why a transaction may not be in a block. `to_text` gives geth's words, which tools look for.
enum class TxInvalid : uint8_t {
    type_not_supported,      ///< EIP-2718: before its fork, or switched off on this chain
    wrong_chain,             ///< EIP-155
    bad_signature,           ///< EIP-2, EIP-2718
    nonce_too_low,           ///< Yellow Paper equation 65
    nonce_too_high,          ///< Yellow Paper equation 65
    nonce_max,               ///< EIP-2681
    sender_is_contract,      ///< EIP-3607
    insufficient_funds,      ///< Yellow Paper equation 65
    intrinsic_gas_too_low,   ///< Yellow Paper equation 64, EIP-2028, 2930, 3860, 7702
    floor_gas_too_low,       ///< EIP-7623
    gas_above_tx_cap,        ///< EIP-7825
    gas_above_block_limit,   ///< Yellow Paper equation 65
    init_code_too_large,     ///< EIP-3860
    fee_cap_below_base_fee,  ///< EIP-1559
    tip_above_fee_cap,       ///< EIP-1559
    fee_overflow,            ///< gas limit times price does not fit 256 bits
    blob_fee_cap_too_low,    ///< EIP-4844
    blob_without_hashes,     ///< EIP-4844
    blob_bad_version,        ///< EIP-4844
    blob_too_many,           ///< EIP-4844, EIP-7594
    blob_creates,            ///< EIP-4844: `to` is required
    set_code_without_list,   ///< EIP-7702
    set_code_creates,        ///< EIP-7702: `to` is required
};
[[nodiscard]] std::string_view to_text(TxInvalid error);

/// What the rules need of the sender.
struct SenderState {
    uint64_t nonce = 0;
    Uint256 balance;
    bool has_code = false;  ///< other than an EIP-7702 delegation
};

/// The prices of the block.
struct FeeEnv {
    Uint256 base_fee;
    Uint256 blob_base_fee;
};

/// Gas that is due before the first instruction, and the least that is due at the end (EIP-7623;
/// else 0).
struct IntrinsicGas {
    uint64_t intrinsic = 0;
    uint64_t floor = 0;
};
[[nodiscard]] IntrinsicGas intrinsic_gas(const Tx& tx, const vm::Rules& rules);

/// What needs neither state nor block: type, chain, sizes, lists. `fork` is the block's.
[[nodiscard]] Result<Done, TxInvalid> check_tx_shape(const Tx& tx, const ForkAt& fork,
                                                     const ChainConfig& config);

/// The gas limit against what is due in any case and against the cap of EIP-7825.
[[nodiscard]] Result<Done, TxInvalid> check_tx_gas(const Tx& tx, const vm::Rules& rules);

/// Fee caps against the block's prices.
[[nodiscard]] Result<Done, TxInvalid> check_tx_fees(const Tx& tx, const vm::Rules& rules,
                                                    const FeeEnv& fees);

/// Nonce, code and funds of the sender; EIP-3607 holds at every fork.
[[nodiscard]] Result<Done, TxInvalid> check_tx_sender(const Tx& tx, const SenderState& sender);

/// The most the sender can lose: gas, blobs and value; nullopt if it does not fit 256 bits.
[[nodiscard]] std::optional<Uint256> max_cost_wei(const Tx& tx);

/// What one gas costs: the cap, or base fee and tip if that is less. Precondition: cap >= base fee.
[[nodiscard]] Uint256 effective_gas_price(const Tx& tx, const Uint256& base_fee);

}  // namespace trainyard::consensus
