// SPDX-License-Identifier: Apache-2.0
// Keys and values of the store, in both directions.
#include "state/records.hpp"

#include "core/assert.hpp"
#include "core/rlp.hpp"

namespace trainyard::state {
namespace {

constexpr size_t kNumberBytes = 8;

void write_change(rlp::Writer& out, const AccountChange& change) {
    const bool has_code = change.code_hash != kEmptyCodeHash;
    out.number(change.nonce).number(change.balance);
    out.bytes(has_code ? BytesView(change.code_hash.bytes) : BytesView());
    out.number(uint64_t{change.storage_cleared}).begin_list();
    for (const auto& [slot, value] : change.storage)
        out.begin_list().number(slot).number(value).end_list();
    out.end_list();
}

AccountChange read_change(rlp::Fields& in) {
    AccountChange change;
    change.nonce = in.number();
    change.balance = in.number256();
    const BytesView code_hash = in.view();
    if (const auto hash = fixed_from<Hash>(code_hash))
        change.code_hash = *hash;
    else if (!code_hash.empty())
        in.fail(rlp::Error::bad_value);
    const uint64_t cleared = in.number();
    if (cleared > 1) in.fail(rlp::Error::bad_value);
    change.storage_cleared = cleared == 1;
    in.each([&](rlp::Fields& slots) {
        slots.list([&](rlp::Fields& pair) {
            const Uint256 slot = pair.number256();
            change.storage[slot] = pair.number256();
        });
    });
    return change;
}

}  // namespace

Bytes record_key(Table table, BytesView rest) {
    Bytes out(1 + rest.size(), static_cast<uint8_t>(table));
    std::copy(rest.begin(), rest.end(), out.begin() + 1);
    return out;
}

Bytes big_endian(uint64_t value, size_t size) {
    Bytes out(size);
    for (size_t i = size; i-- > 0; value >>= 8) out[i] = static_cast<uint8_t>(value);
    return out;
}

Bytes record_key(Table table, uint64_t number) {
    return record_key(table, big_endian(number, kNumberBytes));
}

Bytes meta_key(std::string_view name) {
    return record_key(Table::meta, as_bytes(name));
}

std::vector<Hash> hash_txs(const std::vector<Tx>& txs) {
    std::vector<Bytes> encoded;
    encoded.reserve(txs.size());
    for (const Tx& tx : txs) encoded.push_back(encode_tx(tx));
    const std::vector<BytesView> messages(encoded.begin(), encoded.end());
    std::vector<Hash> hashes(txs.size());
    keccak256_many(messages, hashes);
    return hashes;
}

Bytes slot_key(const Address& address, const Uint256& slot) {
    Bytes out = record_key(Table::slot, address);
    append(out, to_hash(slot));
    return out;
}

Bytes node_key(std::string_view place, const Hash& hash) {
    Bytes out;
    out.reserve(place.size() + Hash::size());
    append(out, as_bytes(place));
    append(out, hash);
    return out;
}

Bytes encode_node_record(uint64_t made_by, BytesView node) {
    Bytes out = big_endian(made_by, kNumberBytes);
    append(out, node);
    return out;
}

std::optional<NodeRecord> decode_node_record(BytesView record) {
    if (record.size() <= kNumberBytes) return std::nullopt;
    return NodeRecord{from_be(record.first(kNumberBytes)).low(), record.subspan(kNumberBytes)};
}

Bytes encode_head(const HeadRecord& head) {
    rlp::Writer out;
    out.begin_list().number(head.format).number(head.number).fixed(head.hash).end_list();
    return out.take();
}

std::optional<HeadRecord> decode_head(BytesView record) {
    HeadRecord head;
    rlp::Fields outer(record);
    outer.list([&](rlp::Fields& in) {
        head.format = in.number();
        head.number = in.number();
        head.hash = in.fixed<Hash>();
    });
    return outer.finish() ? std::optional(head) : std::nullopt;
}

Bytes encode_state(const StateRecord& state) {
    rlp::Writer out;
    return out.begin_list().number(state.number).fixed(state.root).end_list().take();
}

std::optional<StateRecord> decode_state(BytesView record) {
    StateRecord state;
    rlp::Fields outer(record);
    outer.list([&](rlp::Fields& in) {
        state.number = in.number();
        state.root = in.fixed<Hash>();
    });
    return outer.finish() ? std::optional(state) : std::nullopt;
}

Bytes encode_kept(const KeptRecord& kept) {
    rlp::Writer out;
    out.begin_list().bytes(as_bytes(to_text(kept.mode))).number(kept.first_state);
    return out.number(kept.first_block).number(kept.next_journal).end_list().take();
}

std::optional<KeptRecord> decode_kept(BytesView record) {
    KeptRecord kept;
    rlp::Fields outer(record);
    outer.list([&](rlp::Fields& in) {
        const auto mode = pruning_from(as_text(in.view()));
        if (!mode) return in.fail(rlp::Error::bad_value);
        kept.mode = *mode;
        kept.first_state = in.number();
        kept.first_block = in.number();
        kept.next_journal = in.number();
    });
    return outer.finish() ? std::optional(kept) : std::nullopt;
}

Bytes encode_diff(const StateDiff& diff) {
    rlp::Writer out;
    out.begin_list().begin_list();
    for (const auto& [address, change] : diff.accounts) {
        out.begin_list().fixed(address);
        if (change) write_change(out, *change);
        out.end_list();
    }
    out.end_list().begin_list();
    for (const auto& [hash, code] : diff.codes) out.bytes(code);
    return out.end_list().end_list().take();
}

std::optional<StateDiff> decode_diff(BytesView record) {
    StateDiff diff;
    rlp::Fields outer(record);
    outer.list([&](rlp::Fields& in) {
        in.each([&](rlp::Fields& accounts) {
            accounts.list([&](rlp::Fields& one) {
                const auto address = one.fixed<Address>();
                auto& change = diff.accounts[address];
                if (one.more()) change = read_change(one);
            });
        });
        in.each([&](rlp::Fields& codes) {
            Bytes code = codes.bytes();
            const Hash hash = keccak256(code);
            diff.codes[hash] = std::move(code);
        });
    });
    return outer.finish() ? std::optional(std::move(diff)) : std::nullopt;
}

Bytes encode_journal(const std::vector<StaleNode>& stale) {
    rlp::Writer out;
    out.begin_list();
    for (const StaleNode& node : stale) out.bytes(node_key(node.place, node.hash));
    return out.end_list().take();
}

std::optional<std::vector<StaleNode>> decode_journal(BytesView record) {
    std::vector<StaleNode> stale;
    rlp::Fields in(record);
    in.each([&](rlp::Fields& element) {
        const BytesView key = element.view();
        if (key.size() <= Hash::size()) return element.fail(rlp::Error::bad_value);
        const size_t place = key.size() - Hash::size();
        stale.push_back(
            {*fixed_from<Hash>(key.subspan(place)), std::string(as_text(key.first(place)))});
    });
    return in.finish() ? std::optional(std::move(stale)) : std::nullopt;
}

Bytes encode_receipts(const std::vector<Receipt>& receipts) {
    rlp::Writer out;
    out.begin_list();
    for (const Receipt& receipt : receipts) out.bytes(encode_receipt(receipt));
    return out.end_list().take();
}

std::optional<std::vector<Receipt>> decode_receipts(BytesView encoded) {
    std::vector<Receipt> receipts;
    rlp::Fields in(encoded);
    in.each([&](rlp::Fields& element) {
        auto receipt = decode_receipt(element.view());
        if (!receipt) return element.fail(receipt.error());
        receipts.push_back(*std::move(receipt));
    });
    return in.finish() ? std::optional(std::move(receipts)) : std::nullopt;
}

Bytes encode_body(const Block& block) {
    const Bytes whole = encode_block(block);
    auto items = rlp::Reader(whole).list();
    ASSERT(items && items->raw());
    return {items->rest().begin(), items->rest().end()};
}

std::optional<Block> join_block(BytesView header, BytesView body) {
    rlp::Writer whole;
    auto block = decode_block(whole.begin_list().raw(header).raw(body).end_list().take());
    return block ? std::optional(*std::move(block)) : std::nullopt;
}

StoreError malformed(std::string what, std::string where) {
    return {StoreError::Kind::malformed, std::move(what), std::move(where),
            "restore the data folder from a copy, or remove it and synchronise again"};
}

StoreError missing(std::string what, std::string where) {
    StoreError error = malformed(std::move(what), std::move(where));
    error.kind = StoreError::Kind::missing;
    return error;
}

StoreError refused(KvError error, std::string where) {
    const std::string_view help =
        error == KvError::corrupt  ? "restore the data folder from a copy, or synchronise again"
        : error == KvError::locked ? "stop the other process that uses this data folder"
                                   : "check free space, permissions and health of the disk";
    return {StoreError::Kind::refused, std::string(to_text(error)), std::move(where),
            std::string(help)};
}

std::string block_name(uint64_t number) {
    return "block " + std::to_string(number);
}

}  // namespace trainyard::state
