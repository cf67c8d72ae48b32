// SPDX-License-Identifier: Apache-2.0
// Blocks, transactions, receipts and logs as JSON in the shapes of execution-apis.
#pragma once

#include "rpc/backend.hpp"
#include "rpc/json.hpp"

namespace trainyard::rpc {

void write_block(JsonWriter& out, const FullBlock& block, bool with_txs);
/// Its members, into an object that the caller opens and closes.
void write_block_members(JsonWriter& out, const FullBlock& block, bool with_txs);
/// What newHeads pushes: the header and its hash.
void write_header(JsonWriter& out, const Hash& hash, const Header& header);
void write_mined_tx(JsonWriter& out, const FullBlock& block, size_t index);
void write_pooled_tx(JsonWriter& out, const PooledTx& tx);
/// A transaction that nobody has signed yet: no sender, no place, signature zero.
void write_unsigned_tx(JsonWriter& out, const Tx& tx);
/// `blob_base_fee` is that of the block; it appears only in receipts of blob transactions.
void write_receipt(JsonWriter& out, const FullBlock& block, size_t index,
                   const Uint256& blob_base_fee);
/// Log number `log_index` of the block, which is log `i` of transaction `tx_index`.
struct LogPlace {
    size_t tx_index = 0;
    size_t i = 0;
    size_t log_index = 0;
};
void write_log(JsonWriter& out, const FullBlock& block, const LogPlace& place, bool removed);
/// `log` as if it were there.
void write_log(JsonWriter& out, const FullBlock& block, const Log& log, const LogPlace& place,
               bool removed);
void write_access_list(JsonWriter& out, const std::vector<AccessTuple>& list);

/// What a unit of gas cost the sender in a block with this base fee.
[[nodiscard]] Uint256 effective_gas_price(const Tx& tx, const Header& header);
/// keccak(rlp(sender, nonce)), the address that a creation gives.
[[nodiscard]] Address created_address(const Address& sender, uint64_t nonce);

}  // namespace trainyard::rpc
