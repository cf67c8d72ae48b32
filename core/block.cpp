// SPDX-License-Identifier: Apache-2.0
// Headers (15 to 21 fields, Frontier to Prague), blocks, receipts and their bloom filters as RLP.
#include "core/block.hpp"

#include "core/hash.hpp"

namespace trainyard {
namespace {

constexpr uint8_t kListStart = 0xc0;

void write_header(rlp::Writer& out, const Header& h) {
    out.begin_list();
    out.fixed(h.parent_hash).fixed(h.ommers_hash).fixed(h.beneficiary).fixed(h.state_root);
    out.fixed(h.transactions_root).fixed(h.receipts_root).fixed(h.logs_bloom);
    out.number(h.difficulty).number(h.number).number(h.gas_limit).number(h.gas_used);
    out.number(h.timestamp).bytes(h.extra_data).fixed(h.prev_randao).fixed(h.nonce);
    if (h.base_fee_per_gas) out.number(*h.base_fee_per_gas);
    if (h.withdrawals_root) out.fixed(*h.withdrawals_root);
    if (h.blob_gas_used) out.number(*h.blob_gas_used);
    if (h.excess_blob_gas) out.number(*h.excess_blob_gas);
    if (h.parent_beacon_block_root) out.fixed(*h.parent_beacon_block_root);
    if (h.requests_hash) out.fixed(*h.requests_hash);
    out.end_list();
}

/// A field is there exactly if the list goes on, so that the optional ones are a prefix.
void read_header(rlp::Fields& outer, Header& h) {
    outer.list([&](rlp::Fields& in) {
        h.parent_hash = in.fixed<Hash>();
        h.ommers_hash = in.fixed<Hash>();
        h.beneficiary = in.fixed<Address>();
        h.state_root = in.fixed<Hash>();
        h.transactions_root = in.fixed<Hash>();
        h.receipts_root = in.fixed<Hash>();
        h.logs_bloom = in.fixed<Bloom>();
        h.difficulty = in.number256();
        h.number = in.number();
        h.gas_limit = in.number();
        h.gas_used = in.number();
        h.timestamp = in.number();
        h.extra_data = in.bytes();
        h.prev_randao = in.fixed<Hash>();
        h.nonce = in.fixed<FixedBytes<8>>();
        if (in.more()) h.base_fee_per_gas = in.number256();
        if (in.more()) h.withdrawals_root = in.fixed<Hash>();
        if (in.more()) h.blob_gas_used = in.number();
        if (in.more()) h.excess_blob_gas = in.number();
        if (in.more()) h.parent_beacon_block_root = in.fixed<Hash>();
        if (in.more()) h.requests_hash = in.fixed<Hash>();
    });
}

void write_tx(rlp::Writer& out, const Tx& tx) {
    const Bytes encoded = encode_tx(tx);
    if (tx.type == TxType::legacy)
        out.raw(encoded);
    else
        out.bytes(encoded);
}

/// A legacy transaction lies in the list as a list, a typed one as a string.
void read_tx(rlp::Fields& in, std::vector<Tx>& txs) {
    const bool legacy = in.next_is_list();
    const BytesView encoded = legacy ? in.raw() : in.view();
    if (!legacy && !encoded.empty() && encoded[0] >= kListStart)
        return in.fail(rlp::Error::wrong_kind);
    auto tx = decode_tx(encoded);
    if (!tx) return in.fail(rlp::Error::bad_value);
    txs.push_back(*std::move(tx));
}

void write_withdrawals(rlp::Writer& out, const std::vector<Withdrawal>& withdrawals) {
    out.begin_list();
    for (const Withdrawal& w : withdrawals) {
        out.begin_list().number(w.index).number(w.validator_index).fixed(w.address);
        out.number(w.amount_gwei).end_list();
    }
    out.end_list();
}

void read_withdrawal(rlp::Fields& outer, std::vector<Withdrawal>& withdrawals) {
    outer.list([&](rlp::Fields& in) {
        Withdrawal& w = withdrawals.emplace_back();
        w.index = in.number();
        w.validator_index = in.number();
        w.address = in.fixed<Address>();
        w.amount_gwei = in.number();
    });
}

void read_log(rlp::Fields& outer, std::vector<Log>& logs) {
    outer.list([&](rlp::Fields& in) {
        Log& log = logs.emplace_back();
        log.address = in.fixed<Address>();
        in.each([&](rlp::Fields& topic) { log.topics.push_back(topic.fixed<Hash>()); });
        log.data = in.bytes();
    });
}

/// EIP-658: a status byte, or before it the state root after the transaction.
void read_outcome(rlp::Fields& in, Receipt& receipt) {
    const BytesView value = in.view();
    receipt.post_state = fixed_from<Hash>(value);
    receipt.success = value.size() == 1 && value[0] == 1;
    if (!receipt.post_state && !receipt.success && !value.empty()) in.fail(rlp::Error::bad_value);
}

void add_to_bloom(Bloom& bloom, BytesView value) {
    const Hash digest = keccak256(value);
    for (size_t i = 0; i < 6; i += 2) {
        const unsigned bit = ((digest[i] << 8) | digest[i + 1]) & 2047u;
        bloom[255 - bit / 8] |= static_cast<uint8_t>(1u << (bit % 8));
    }
}

}  // namespace

Bytes encode_header(const Header& header) {
    rlp::Writer out;
    write_header(out, header);
    return out.take();
}

Result<Header, rlp::Error> decode_header(BytesView encoded) {
    rlp::Fields in(encoded);
    Header header;
    read_header(in, header);
    if (const auto end = in.finish(); !end) return unexpected(end.error());
    return header;
}

Hash hash_header(const Header& header) {
    return keccak256(encode_header(header));
}

Bytes encode_block(const Block& block) {
    rlp::Writer out;
    out.begin_list();
    write_header(out, block.header);
    out.begin_list();
    for (const Tx& tx : block.txs) write_tx(out, tx);
    out.end_list().begin_list();
    for (const Header& ommer : block.ommers) write_header(out, ommer);
    out.end_list();
    if (block.withdrawals) write_withdrawals(out, *block.withdrawals);
    return out.end_list().take();
}

Result<Block, rlp::Error> decode_block(BytesView encoded) {
    rlp::Fields outer(encoded);
    Block block;
    outer.list([&](rlp::Fields& in) {
        read_header(in, block.header);
        in.each([&](rlp::Fields& tx) { read_tx(tx, block.txs); });
        in.each([&](rlp::Fields& ommer) { read_header(ommer, block.ommers.emplace_back()); });
        if (!in.more()) return;
        auto& withdrawals = block.withdrawals.emplace();
        in.each([&](rlp::Fields& withdrawal) { read_withdrawal(withdrawal, withdrawals); });
    });
    if (const auto end = outer.finish(); !end) return unexpected(end.error());
    return block;
}

Bytes encode_receipt(const Receipt& receipt) {
    rlp::Writer out;
    out.begin_list();
    if (receipt.post_state)
        out.fixed(*receipt.post_state);
    else
        out.number(uint64_t{receipt.success});
    out.number(receipt.cumulative_gas_used).fixed(receipt.bloom).begin_list();
    for (const Log& log : receipt.logs) {
        out.begin_list().fixed(log.address).begin_list();
        for (const Hash& topic : log.topics) out.fixed(topic);
        out.end_list().bytes(log.data).end_list();
    }
    const Bytes body = out.end_list().end_list().take();
    if (receipt.type == TxType::legacy) return body;
    Bytes encoded{static_cast<uint8_t>(receipt.type)};
    append(encoded, body);
    return encoded;
}

Result<Receipt, rlp::Error> decode_receipt(BytesView encoded) {
    Receipt receipt;
    if (!encoded.empty() && encoded[0] < kListStart) {
        if (encoded[0] == 0 || encoded[0] > static_cast<uint8_t>(TxType::set_code))
            return unexpected(rlp::Error::bad_value);
        receipt.type = static_cast<TxType>(encoded[0]);
        encoded = encoded.subspan(1);
    }
    rlp::Fields outer(encoded);
    outer.list([&](rlp::Fields& in) {
        read_outcome(in, receipt);
        receipt.cumulative_gas_used = in.number();
        receipt.bloom = in.fixed<Bloom>();
        in.each([&](rlp::Fields& log) { read_log(log, receipt.logs); });
    });
    if (const auto end = outer.finish(); !end) return unexpected(end.error());
    return receipt;
}

Bloom bloom_of(const std::vector<Log>& logs) {
    Bloom bloom;
    for (const Log& log : logs) {
        add_to_bloom(bloom, log.address.bytes);
        for (const Hash& topic : log.topics) add_to_bloom(bloom, topic.bytes);
    }
    return bloom;
}

}  // namespace trainyard
