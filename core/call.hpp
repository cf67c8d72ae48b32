// SPDX-License-Identifier: Apache-2.0
// Transactions that nobody signed, and what they may pretend about state and blocks: eth_call and
// its kin.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/tx.hpp"
#include "core/uint256.hpp"

namespace trainyard {

/// What is absent takes the default that geth documents.
struct CallArgs {
    std::optional<Address> from, to;
    std::optional<uint64_t> gas, nonce;
    std::optional<Uint256> gas_price, max_fee_per_gas, max_priority_fee_per_gas;
    std::optional<Uint256> max_fee_per_blob_gas;
    Uint256 value;
    Bytes data;
    std::vector<AccessTuple> access_list;
    std::vector<Authorization> authorizations;
    std::vector<Hash> blob_hashes;
    bool has_access_list = false;  ///< distinguishes an empty list from none
};

struct AccountOverride {
    std::optional<uint64_t> nonce;
    std::optional<Uint256> balance;
    std::optional<Bytes> code;
    std::optional<std::map<Uint256, Uint256>> state;  ///< replaces all storage
    std::map<Uint256, Uint256> state_diff;            ///< replaces single slots
    std::optional<Address> move_precompile_to;        ///< the account is a precompile
};
using StateOverrides = std::map<Address, AccountOverride>;

struct BlockOverrides {
    std::optional<uint64_t> number, time, gas_limit;
    std::optional<Address> fee_recipient;
    std::optional<Hash> prev_randao;
    std::optional<Uint256> base_fee_per_gas, blob_base_fee;
    std::optional<Hash> beacon_root;                     ///< EIP-4788; whole blocks alone
    std::optional<std::vector<Withdrawal>> withdrawals;  ///< EIP-4895; whole blocks alone
};

/// One block of eth_simulateV1.
struct BlockCalls {
    BlockOverrides block;
    StateOverrides accounts;
    std::vector<CallArgs> calls;
};

struct SimulateRequest {
    std::vector<BlockCalls> blocks;
    bool validation = false;         ///< nonces and fees as in a real block
    bool trace_transfers = false;    ///< coins that move show as logs
    bool full_transactions = false;  ///< in the answer, in place of their hashes
};

}  // namespace trainyard
