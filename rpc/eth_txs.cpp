// SPDX-License-Identifier: Apache-2.0
// eth_*: transactions: find, complete, send.
#include <algorithm>

#include "core/block.hpp"
#include "rpc/encode.hpp"
#include "rpc/fees.hpp"
#include "rpc/lookup.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

Outcome get_transaction_by_hash(Call& call) {
    const auto& hash = call.args.at<Hash>(0);
    if (const auto place = call.backend.find_tx(hash))
        write_mined_tx(call.out, *place->block, place->index);
    else if (const auto pooled = call.backend.pooled_tx(hash))
        write_pooled_tx(call.out, *pooled);
    else
        call.out.null();
    return Done{};
}

Result<bool, Error> has_used(const Backend& backend, uint64_t block, const Address& who,
                             uint64_t nonce) {
    const auto header = backend.header(block);
    if (!header) return Unexpected(server_error("header not found"));
    const auto account = backend.account(hash_header(*header), who);
    if (!account) return Unexpected(rpc::to_error(account.error()));
    return account->value_or(AccountInfo{}).nonce > nonce;
}

/// The block in which an account used a nonce that it has used at the head; null for one that it
/// had used at genesis. One look at a state for each halving of the chain, so that no index is
/// needed.
Result<BlockPtr, Error> block_that_used(const Backend& backend, uint64_t head_number,
                                        const Address& who, uint64_t nonce) {
    uint64_t before = std::min(backend.oldest_kept().state, head_number), after = head_number;
    const auto always = has_used(backend, before, who, nonce);
    if (!always) return Unexpected(always.error());
    if (*always && before == 0) return BlockPtr();
    if (*always) return Unexpected(rpc::to_error(StateError::unavailable));
    while (after - before > 1) {
        const uint64_t middle = before + (after - before) / 2;
        const auto used = has_used(backend, middle, who, nonce);
        if (!used) return Unexpected(used.error());
        (*used ? after : before) = middle;
    }
    return find_block(backend, after);
}

std::optional<PooledTx> find_pooled(const Backend& backend, const Address& who, uint64_t nonce) {
    const auto pool = backend.pool_content(who);
    for (const auto* part : {&pool.pending, &pool.queued}) {
        const auto queue = part->find(who);
        if (queue == part->end()) continue;
        const auto found = queue->second.find(nonce);
        if (found != queue->second.end()) return found->second;
    }
    return std::nullopt;
}

Outcome get_transaction_by_sender(Call& call) {
    const auto& who = call.args.at<Address>(0);
    const uint64_t nonce = call.args.at<uint64_t>(1);
    const uint64_t head_number = head(call.backend)->block.header.number;
    const auto used = has_used(call.backend, head_number, who, nonce);
    if (!used) return Unexpected(used.error());
    if (!*used) {
        const auto pooled = find_pooled(call.backend, who, nonce);
        pooled ? write_pooled_tx(call.out, *pooled) : void(call.out.null());
        return Done{};
    }
    const auto block = block_that_used(call.backend, head_number, who, nonce);
    if (!block) return Unexpected(block.error());
    const size_t count = *block ? (*block)->senders.size() : 0;
    for (size_t i = 0; i < count; ++i) {
        if ((*block)->senders[i] != who || (*block)->block.txs[i].nonce != nonce) continue;
        write_mined_tx(call.out, **block, i);
        return Done{};
    }
    call.out.null();  // an authorization used the nonce (EIP-7702)
    return Done{};
}

Outcome write_tx_of(Call& call, const Result<BlockPtr, Error>& found) {
    if (!found) return Unexpected(found.error());
    const BlockPtr& block = *found;
    const uint64_t index = call.args.at<uint64_t>(1);
    if (block && index < block->block.txs.size())
        write_mined_tx(call.out, *block, index);
    else
        call.out.null();
    return Done{};
}

Outcome get_transaction_by_block_hash(Call& call) {
    return write_tx_of(call, find_block(call.backend, BlockByHash{call.args.at<Hash>(0), false}));
}

Outcome get_transaction_by_block_number(Call& call) {
    return write_tx_of(call, find_block(call.backend, call.args.at<BlockId>(0)));
}

Outcome write_raw_of(Call& call, const Result<BlockPtr, Error>& found) {
    if (!found) return Unexpected(found.error());
    const BlockPtr& block = *found;
    const uint64_t index = call.args.at<uint64_t>(1);
    const bool is_there = block && index < block->block.txs.size();
    call.out.data(BytesView(is_there ? encode_tx(block->block.txs[index]) : Bytes{}));
    return Done{};
}

Outcome get_raw_transaction_by_block_hash(Call& call) {
    return write_raw_of(call, find_block(call.backend, BlockByHash{call.args.at<Hash>(0), false}));
}

Outcome get_raw_transaction_by_block_number(Call& call) {
    return write_raw_of(call, find_block(call.backend, call.args.at<BlockId>(0)));
}

Outcome get_raw_transaction_by_hash(Call& call) {
    const auto raw = find_raw_tx(call.backend, call.args.at<Hash>(0));
    raw ? void(call.out.data(BytesView(*raw))) : void(call.out.null());
    return Done{};
}

void write_receipt_at(Call& call, const TxPlace& place) {
    const Uint256 blob_fee = call.backend.blob_base_fee(place.block->block.header);
    write_receipt(call.out, *place.block, place.index, blob_fee);
}

Outcome get_transaction_receipt(Call& call) {
    const auto place = call.backend.find_tx(call.args.at<Hash>(0));
    place ? write_receipt_at(call, *place) : void(call.out.null());
    return Done{};
}

Error to_error(TxError error) {
    switch (error) {
        case TxError::unknown_type:
            return server_error("transaction type not supported");
        case TxError::bad_signature:
            return server_error("invalid sender");
        case TxError::wrong_chain:
            return server_error("invalid chain id for signer");
        case TxError::malformed:
            return server_error("rlp: malformed transaction");
    }
    ASSERT(false);
}

bool is_of_type(BytesView encoded, TxType type) {
    return !encoded.empty() && encoded[0] == static_cast<uint8_t>(type);
}

Result<Hash, Error> send(Call& call) {
    const auto& raw = call.args.at<Bytes>(0);
    const auto tx = decode_tx(raw);
    // Wallets send a blob transaction together with its blobs, in a form that no block has.
    const bool brings_blobs = !tx && is_of_type(raw, TxType::blob);
    if (brings_blobs) return Unexpected(to_error(TxError::unknown_type));
    if (!tx) return Unexpected(to_error(tx.error()));
    if (!tx->chain_id)
        return Unexpected(
            server_error("only replay-protected (EIP-155) transactions allowed over RPC"));
    const auto hash = call.backend.submit(*tx);
    if (!hash) return Unexpected(server_error(hash.error().message));
    return *hash;
}

Outcome send_raw_transaction(Call& call) {
    const auto hash = send(call);
    if (!hash) return Unexpected(hash.error());
    call.out.data(*hash);
    return Done{};
}

/// EIP-7966: the receipt, or error 4 with the hash when no block holds the transaction in time.
Outcome send_raw_transaction_sync(Call& call) {
    const auto& options = call.service.options();
    const auto timeout = call.args.value_or<uint64_t>(1, options.sync_wait_ms);
    const auto hash = send(call);
    if (!hash) return Unexpected(hash.error());
    const auto place = call.service.wait_for_tx(call.asker.client, *hash,
                                                std::min(timeout, options.sync_wait_ms_max));
    if (!place)
        return Unexpected(Error{kSyncTimeout,
                                "the transaction was added to the pool but is in no block yet",
                                '"' + to_hex0x(hash->bytes) + '"'});
    write_receipt_at(call, *place);
    return Done{};
}

TxType type_of(const CallRequest& request) {
    if (!request.authorizations.empty()) return TxType::set_code;
    if (!request.gas_price) return TxType::dynamic_fee;
    return request.has_access_list ? TxType::access_list : TxType::legacy;
}

void fill_fees(const Backend& backend, const CallRequest& request, Tx& tx) {
    if (request.gas_price) {
        tx.max_fee_per_gas = tx.max_priority_fee_per_gas = *request.gas_price;
        return;
    }
    const Uint256 base_fee = backend.next_base_fee(head(backend)->block.header);
    const Uint256 tip = request.max_priority_fee_per_gas.value_or(suggested_tip(backend));
    tx.max_fee_per_gas = request.max_fee_per_gas.value_or(base_fee * Uint256(2) + tip);
    tx.max_priority_fee_per_gas = std::min(tip, tx.max_fee_per_gas);
}

Result<uint64_t, Error> fill_gas(const Call& call, const CallRequest& request) {
    if (request.gas) return *request.gas;
    const auto gas = call.backend.estimate_gas(head(call.backend)->hash, request, Overrides{});
    if (!gas) return Unexpected(rpc::to_error(gas.error()));
    return *gas;
}

/// What a wallet would ask for one by one: nonce, fees, gas and chain id (viem's default path).
Outcome fill_transaction(Call& call) {
    const auto& request = call.args.at<CallRequest>(0);
    if (!request.from)
        return Unexpected(invalid_params("invalid argument 0 (transaction): from: missing"));
    if (!request.blob_hashes.empty())
        return Unexpected(server_error("transaction type not supported"));
    const auto gas = fill_gas(call, request);
    if (!gas) return Unexpected(gas.error());
    Tx tx;
    tx.type = type_of(request);
    tx.chain_id = call.backend.chain_id();
    tx.nonce = request.nonce.value_or(call.backend.pending_nonce(*request.from));
    tx.gas_limit = *gas;
    tx.to = request.to;
    tx.value = request.value;
    tx.data = request.data;
    tx.access_list = request.access_list;
    tx.authorizations = request.authorizations;
    fill_fees(call.backend, request, tx);
    call.out.begin_object().key("raw").data(BytesView(encode_tx(tx))).key("tx");
    write_unsigned_tx(call.out, tx);
    call.out.end_object();
    return Done{};
}

constexpr Param kHash{"hash", Kind::hash, true};
constexpr Param kNumber{"block", Kind::block_number, true};
constexpr Param kIndex{"index", Kind::quantity, true};
constexpr Param kRaw{"transaction", Kind::data, true};

constexpr Method kMethods[] = {
    {"eth_getTransactionByHash",
     get_transaction_by_hash,
     {kHash},
     Shape::object,
     true,
     "a transaction in a block or in the pool"},
    {"eth_getTransactionBySenderAndNonce",
     get_transaction_by_sender,
     {{{"sender", Kind::address, true}, {"nonce", Kind::quantity, true}}},
     Shape::object,
     true,
     "the transaction in which an account used a nonce, or will"},
    {"eth_getTransactionByBlockHashAndIndex",
     get_transaction_by_block_hash,
     {kHash, kIndex},
     Shape::object,
     true,
     "a transaction of a block"},
    {"eth_getTransactionByBlockNumberAndIndex",
     get_transaction_by_block_number,
     {kNumber, kIndex},
     Shape::object,
     true,
     "a transaction of a block"},
    {"eth_getRawTransactionByHash",
     get_raw_transaction_by_hash,
     {kHash},
     Shape::data,
     true,
     "a transaction's encoding, in a block or in the pool"},
    {"eth_getRawTransactionByBlockHashAndIndex",
     get_raw_transaction_by_block_hash,
     {kHash, kIndex},
     Shape::data,
     false,
     "a transaction's encoding; 0x for none"},
    {"eth_getRawTransactionByBlockNumberAndIndex",
     get_raw_transaction_by_block_number,
     {kNumber, kIndex},
     Shape::data,
     false,
     "a transaction's encoding; 0x for none"},
    {"eth_getTransactionReceipt",
     get_transaction_receipt,
     {kHash},
     Shape::object,
     true,
     "the receipt of a transaction in a certified block"},
    {"eth_sendRawTransaction",
     send_raw_transaction,
     {kRaw},
     Shape::data,
     false,
     "put a signed transaction into the pool"},
    {"eth_sendRawTransactionSync",
     send_raw_transaction_sync,
     {{kRaw, {"timeoutMs", Kind::count, false}}},
     Shape::object,
     false,
     "the same, and wait for the receipt (EIP-7966)"},
    {"eth_fillTransaction",
     fill_transaction,
     {{{"transaction", Kind::call, true}}},
     Shape::object,
     false,
     "complete an unsigned transaction with nonce, fees, gas and chain id"},
};

}  // namespace

std::span<const Method> tx_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
