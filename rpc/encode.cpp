// SPDX-License-Identifier: Apache-2.0
// The shapes of blocks, transactions, receipts and logs.
#include "rpc/encode.hpp"

#include "core/hash.hpp"
#include "core/rlp.hpp"

namespace trainyard::rpc {

namespace {

constexpr uint64_t kGasPerBlob = 131'072;  // EIP-4844

template <class T>
void write_optional_data(JsonWriter& out, std::string_view name, const std::optional<T>& value) {
    if (value) out.key(name).data(*value);
}
template <class T>
void write_optional_quantity(JsonWriter& out, std::string_view name,
                             const std::optional<T>& value) {
    if (value) out.key(name).quantity(*value);
}

void write_header_fields(JsonWriter& out, const Hash& hash, const Header& h) {
    out.key("hash").data(hash).key("parentHash").data(h.parent_hash);
    out.key("number").quantity(h.number).key("timestamp").quantity(h.timestamp);
    out.key("miner").data(h.beneficiary).key("stateRoot").data(h.state_root);
    out.key("transactionsRoot").data(h.transactions_root);
    out.key("receiptsRoot").data(h.receipts_root).key("logsBloom").data(h.logs_bloom);
    out.key("sha3Uncles").data(h.ommers_hash).key("difficulty").quantity(h.difficulty);
    out.key("gasLimit").quantity(h.gas_limit).key("gasUsed").quantity(h.gas_used);
    out.key("extraData").data(BytesView(h.extra_data));
    out.key("mixHash").data(h.prev_randao).key("nonce").data(h.nonce);
    write_optional_quantity(out, "baseFeePerGas", h.base_fee_per_gas);
    write_optional_data(out, "withdrawalsRoot", h.withdrawals_root);
    write_optional_quantity(out, "blobGasUsed", h.blob_gas_used);
    write_optional_quantity(out, "excessBlobGas", h.excess_blob_gas);
    write_optional_data(out, "parentBeaconBlockRoot", h.parent_beacon_block_root);
    write_optional_data(out, "requestsHash", h.requests_hash);
}

void write_withdrawals(JsonWriter& out, const std::vector<Withdrawal>& withdrawals) {
    out.key("withdrawals").begin_array();
    for (const auto& w : withdrawals) {
        out.begin_object().key("index").quantity(w.index);
        out.key("validatorIndex").quantity(w.validator_index);
        out.key("address").data(w.address).key("amount").quantity(w.amount_gwei).end_object();
    }
    out.end_array();
}

/// EIP-155 folds the chain id into v; typed transactions have the parity alone.
Uint256 v_of(const Tx& tx) {
    if (tx.type != TxType::legacy) return Uint256(tx.y_parity);
    if (!tx.chain_id) return Uint256(27u + tx.y_parity);
    return Uint256(*tx.chain_id) * Uint256(2) + Uint256(35u + tx.y_parity);
}

void write_authorizations(JsonWriter& out, const std::vector<Authorization>& list) {
    out.key("authorizationList").begin_array();
    for (const auto& a : list) {
        out.begin_object().key("chainId").quantity(a.chain_id).key("address").data(a.address);
        out.key("nonce").quantity(a.nonce).key("yParity").quantity(uint64_t{a.y_parity});
        out.key("r").quantity(a.r).key("s").quantity(a.s).end_object();
    }
    out.end_array();
}

void write_blob_fields(JsonWriter& out, const Tx& tx) {
    out.key("maxFeePerBlobGas").quantity(tx.max_fee_per_blob_gas);
    out.key("blobVersionedHashes").begin_array();
    for (const auto& hash : tx.blob_hashes) out.data(hash);
    out.end_array();
}

void write_typed_fields(JsonWriter& out, const Tx& tx) {
    if (tx.type >= TxType::dynamic_fee) {
        out.key("maxFeePerGas").quantity(tx.max_fee_per_gas);
        out.key("maxPriorityFeePerGas").quantity(tx.max_priority_fee_per_gas);
    }
    if (tx.type != TxType::legacy) {
        out.key("accessList");
        write_access_list(out, tx.access_list);
        out.key("yParity").quantity(uint64_t{tx.y_parity});
    }
    if (tx.type == TxType::blob) write_blob_fields(out, tx);
    if (tx.type == TxType::set_code) write_authorizations(out, tx.authorizations);
}

void write_tx_fields(JsonWriter& out, const Tx& tx, const Hash& hash) {
    out.key("hash").data(hash);
    out.key("type").quantity(static_cast<uint64_t>(tx.type)).key("nonce").quantity(tx.nonce);
    out.key("to");
    tx.to ? out.data(*tx.to) : out.null();
    out.key("gas").quantity(tx.gas_limit).key("value").quantity(tx.value);
    out.key("input").data(BytesView(tx.data));
    if (tx.chain_id) out.key("chainId").quantity(*tx.chain_id);
    write_typed_fields(out, tx);
    out.key("v").quantity(v_of(tx)).key("r").quantity(tx.r).key("s").quantity(tx.s);
}

size_t logs_before(const FullBlock& block, size_t tx_index) {
    size_t n = 0;
    for (size_t i = 0; i < tx_index; ++i) n += block.receipts[i].logs.size();
    return n;
}

uint64_t gas_used_by(const FullBlock& block, size_t index) {
    const uint64_t before = index == 0 ? 0 : block.receipts[index - 1].cumulative_gas_used;
    return block.receipts[index].cumulative_gas_used - before;
}

void write_receipt_logs(JsonWriter& out, const FullBlock& block, size_t index) {
    LogPlace place{index, 0, logs_before(block, index)};
    out.key("logs").begin_array();
    for (; place.i < block.receipts[index].logs.size(); ++place.i, ++place.log_index)
        write_log(out, block, place, false);
    out.end_array();
}

}  // namespace

void write_block(JsonWriter& out, const FullBlock& block, bool with_txs) {
    out.begin_object();
    write_block_members(out, block, with_txs);
    out.end_object();
}

void write_block_members(JsonWriter& out, const FullBlock& block, bool with_txs) {
    write_header_fields(out, block.hash, block.block.header);
    out.key("size").quantity(block.size_bytes);
    out.key("transactions").begin_array();
    for (size_t i = 0; i < block.tx_hashes.size(); ++i)
        with_txs ? write_mined_tx(out, block, i) : void(out.data(block.tx_hashes[i]));
    out.end_array();
    out.key("uncles").begin_array();
    for (const auto& ommer : block.block.ommers) out.data(hash_header(ommer));
    out.end_array();
    if (block.block.withdrawals) write_withdrawals(out, *block.block.withdrawals);
}

void write_header(JsonWriter& out, const Hash& hash, const Header& header) {
    out.begin_object();
    write_header_fields(out, hash, header);
    out.end_object();
}

void write_mined_tx(JsonWriter& out, const FullBlock& block, size_t index) {
    const Tx& tx = block.block.txs[index];
    const Header& header = block.block.header;
    out.begin_object();
    out.key("blockHash").data(block.hash).key("blockNumber").quantity(header.number);
    out.key("blockTimestamp").quantity(header.timestamp);
    out.key("transactionIndex").quantity(uint64_t{index});
    out.key("gasPrice").quantity(effective_gas_price(tx, header));
    out.key("from").data(block.senders[index]);
    write_tx_fields(out, tx, block.tx_hashes[index]);
    out.end_object();
}

void write_pooled_tx(JsonWriter& out, const PooledTx& pooled) {
    out.begin_object();
    for (const auto* name : {"blockHash", "blockNumber", "blockTimestamp", "transactionIndex"})
        out.key(name).null();
    out.key("gasPrice").quantity(pooled.tx.max_fee_per_gas);
    out.key("from").data(pooled.sender);
    write_tx_fields(out, pooled.tx, pooled.hash);
    out.end_object();
}

void write_unsigned_tx(JsonWriter& out, const Tx& tx) {
    out.begin_object().key("gasPrice");
    tx.type < TxType::dynamic_fee ? out.quantity(tx.max_fee_per_gas) : out.null();
    write_tx_fields(out, tx, hash_tx(tx));
    out.end_object();
}

void write_receipt(JsonWriter& out, const FullBlock& block, size_t index,
                   const Uint256& blob_base_fee) {
    const Tx& tx = block.block.txs[index];
    const Receipt& receipt = block.receipts[index];
    const Header& header = block.block.header;
    out.begin_object();
    out.key("transactionHash").data(block.tx_hashes[index]);
    out.key("transactionIndex").quantity(uint64_t{index});
    out.key("blockHash").data(block.hash).key("blockNumber").quantity(header.number);
    out.key("from").data(block.senders[index]).key("to");
    tx.to ? out.data(*tx.to) : out.null();
    out.key("contractAddress");
    tx.to ? out.null() : out.data(created_address(block.senders[index], tx.nonce));
    out.key("cumulativeGasUsed").quantity(receipt.cumulative_gas_used);
    out.key("gasUsed").quantity(gas_used_by(block, index));
    out.key("effectiveGasPrice").quantity(effective_gas_price(tx, header));
    if (tx.type == TxType::blob) {
        out.key("blobGasUsed").quantity(kGasPerBlob * tx.blob_hashes.size());
        out.key("blobGasPrice").quantity(blob_base_fee);
    }
    write_receipt_logs(out, block, index);
    out.key("logsBloom").data(receipt.bloom);
    if (receipt.post_state)
        out.key("root").data(*receipt.post_state);
    else
        out.key("status").quantity(uint64_t{receipt.success});
    out.key("type").quantity(static_cast<uint64_t>(tx.type)).end_object();
}

void write_log(JsonWriter& out, const FullBlock& block, const LogPlace& place, bool removed) {
    write_log(out, block, block.receipts[place.tx_index].logs[place.i], place, removed);
}

void write_log(JsonWriter& out, const FullBlock& block, const Log& log, const LogPlace& place,
               bool removed) {
    out.begin_object().key("address").data(log.address).key("topics").begin_array();
    for (const auto& topic : log.topics) out.data(topic);
    out.end_array().key("data").data(BytesView(log.data));
    out.key("blockHash").data(block.hash).key("blockNumber").quantity(block.block.header.number);
    out.key("blockTimestamp").quantity(block.block.header.timestamp);
    out.key("transactionHash").data(block.tx_hashes[place.tx_index]);
    out.key("transactionIndex").quantity(uint64_t{place.tx_index});
    out.key("logIndex").quantity(uint64_t{place.log_index}).key("removed").boolean(removed);
    out.end_object();
}

void write_access_list(JsonWriter& out, const std::vector<AccessTuple>& list) {
    out.begin_array();
    for (const auto& tuple : list) {
        out.begin_object().key("address").data(tuple.address).key("storageKeys").begin_array();
        for (const auto& key : tuple.storage_keys) out.data(key);
        out.end_array().end_object();
    }
    out.end_array();
}

Uint256 effective_gas_price(const Tx& tx, const Header& header) {
    if (tx.type < TxType::dynamic_fee || !header.base_fee_per_gas) return tx.max_fee_per_gas;
    const auto sum = checked_add(*header.base_fee_per_gas, tx.max_priority_fee_per_gas);
    return sum ? std::min(*sum, tx.max_fee_per_gas) : tx.max_fee_per_gas;
}

Address created_address(const Address& sender, uint64_t nonce) {
    const Bytes encoded = rlp::Writer().begin_list().fixed(sender).number(nonce).end_list().take();
    const Hash hash = keccak256(encoded);
    return *fixed_from<Address>(BytesView(hash.bytes).subspan(12));
}

BlockPtr make_full_block(Block block, std::vector<Address> senders, std::vector<Receipt> receipts) {
    ASSERT(senders.size() == block.txs.size() && receipts.size() == block.txs.size());
    auto full = std::make_shared<FullBlock>();
    full->hash = hash_header(block.header);
    full->size_bytes = encode_block(block).size();
    for (const auto& tx : block.txs) full->tx_hashes.push_back(hash_tx(tx));
    full->block = std::move(block);
    full->senders = std::move(senders);
    full->receipts = std::move(receipts);
    return full;
}

}  // namespace trainyard::rpc
