// SPDX-License-Identifier: Apache-2.0
// Transactions on the wire (EIP-155, 2718, 2930, 1559, 4844, 7702) and who signed them.
#include "core/tx.hpp"

#include "core/assert.hpp"
#include "core/hash.hpp"
#include "core/old_tx.hpp"
#include "core/rlp.hpp"

namespace trainyard {
namespace {

constexpr uint8_t kListStart = 0xc0;
constexpr uint8_t kAuthorizationMagic = 0x05;  ///< EIP-7702

/// Half of the group order, rounded down: the highest s of EIP-2.
constexpr Uint256 kHighestS{0x7fffffffffffffff, 0xffffffffffffffff, 0x5d576e7357a4501d,
                            0xdfe92f46681b20a0};

enum class Part { signing, whole };

void write_to(rlp::Writer& out, const std::optional<Address>& to) {
    if (to)
        out.fixed(*to);
    else
        out.bytes({});
}

void write_access_list(rlp::Writer& out, const std::vector<AccessTuple>& list) {
    out.begin_list();
    for (const AccessTuple& tuple : list) {
        out.begin_list().fixed(tuple.address).begin_list();
        for (const Hash& key : tuple.storage_keys) out.fixed(key);
        out.end_list().end_list();
    }
    out.end_list();
}

void write_authorizations(rlp::Writer& out, const std::vector<Authorization>& list) {
    out.begin_list();
    for (const Authorization& a : list) {
        out.begin_list().number(a.chain_id).fixed(a.address).number(a.nonce);
        out.number(uint64_t{a.y_parity}).number(a.r).number(a.s).end_list();
    }
    out.end_list();
}

Bytes encode_legacy(const Tx& tx, Part part) {
    rlp::Writer out;
    out.begin_list().number(tx.nonce).number(tx.max_fee_per_gas).number(tx.gas_limit);
    write_to(out, tx.to);
    out.number(tx.value).bytes(tx.data);
    if (part == Part::whole) {
        Uint256 v = tx.y_parity;
        v += tx.chain_id ? Uint256(*tx.chain_id) * 2 + 35 : Uint256(27);
        out.number(v).number(tx.r).number(tx.s);
    } else if (tx.chain_id) {
        out.number(*tx.chain_id).number(uint64_t{0}).number(uint64_t{0});
    }
    return out.end_list().take();
}

Bytes encode_typed(const Tx& tx, Part part) {
    rlp::Writer out;
    out.begin_list().number(tx.chain_id.value_or(0)).number(tx.nonce);
    if (tx.type != TxType::access_list) out.number(tx.max_priority_fee_per_gas);
    out.number(tx.max_fee_per_gas).number(tx.gas_limit);
    write_to(out, tx.to);
    out.number(tx.value).bytes(tx.data);
    write_access_list(out, tx.access_list);
    if (tx.type == TxType::blob) {
        out.number(tx.max_fee_per_blob_gas).begin_list();
        for (const Hash& hash : tx.blob_hashes) out.fixed(hash);
        out.end_list();
    }
    if (tx.type == TxType::set_code) write_authorizations(out, tx.authorizations);
    if (part == Part::whole) out.number(uint64_t{tx.y_parity}).number(tx.r).number(tx.s);
    Bytes encoded{static_cast<uint8_t>(tx.type)};
    append(encoded, out.end_list().take());
    return encoded;
}

Bytes encode(const Tx& tx, Part part) {
    return tx.type == TxType::legacy ? encode_legacy(tx, part) : encode_typed(tx, part);
}

std::optional<Address> read_to(rlp::Fields& in) {
    const BytesView to = in.view();
    if (to.empty()) return std::nullopt;
    const auto address = fixed_from<Address>(to);
    if (!address) in.fail(rlp::Error::too_long);
    return address;
}

uint8_t read_small(rlp::Fields& in) {
    const uint64_t value = in.number();
    if (value > 0xff) in.fail(rlp::Error::too_long);
    return static_cast<uint8_t>(value);
}

void read_access_list(rlp::Fields& in, std::vector<AccessTuple>& list) {
    in.each([&](rlp::Fields& element) {
        element.list([&](rlp::Fields& fields) {
            AccessTuple& tuple = list.emplace_back();
            tuple.address = fields.fixed<Address>();
            fields.each([&](rlp::Fields& key) { tuple.storage_keys.push_back(key.fixed<Hash>()); });
        });
    });
}

void read_authorizations(rlp::Fields& in, std::vector<Authorization>& list) {
    in.each([&](rlp::Fields& element) {
        element.list([&](rlp::Fields& fields) {
            Authorization& a = list.emplace_back();
            a.chain_id = fields.number256();
            a.address = fields.fixed<Address>();
            a.nonce = fields.number();
            a.y_parity = read_small(fields);
            a.r = fields.number256();
            a.s = fields.number256();
        });
    });
}

/// v = 27 + parity, or 35 + 2 * chain + parity (EIP-155).
std::optional<TxError> split_v(Tx& tx, const Uint256& v) {
    if (v == 27 || v == 28) {
        tx.y_parity = static_cast<uint8_t>(v.low() - 27);
        return std::nullopt;
    }
    if (v < 35) return TxError::bad_signature;
    const Uint256 rest = v - 35, chain = rest >> 1;
    if (!chain.fits_u64()) return TxError::wrong_chain;
    tx.chain_id = chain.low();
    tx.y_parity = rest.low() & 1;
    return std::nullopt;
}

Result<Tx, TxError> decode_legacy(BytesView encoded) {
    Tx tx;
    Uint256 v;
    rlp::Fields outer(encoded);
    outer.list([&](rlp::Fields& in) {
        tx.nonce = in.number();
        tx.max_fee_per_gas = tx.max_priority_fee_per_gas = in.number256();
        tx.gas_limit = in.number();
        tx.to = read_to(in);
        tx.value = in.number256();
        tx.data = in.bytes();
        v = in.number256();
        tx.r = in.number256();
        tx.s = in.number256();
    });
    if (!outer.finish()) return unexpected(TxError::malformed);
    if (const auto error = split_v(tx, v)) return unexpected(*error);
    return tx;
}

void read_typed(rlp::Fields& in, Tx& tx, Uint256& chain) {
    chain = in.number256();
    tx.nonce = in.number();
    tx.max_priority_fee_per_gas = in.number256();
    tx.max_fee_per_gas =
        tx.type == TxType::access_list ? tx.max_priority_fee_per_gas : in.number256();
    tx.gas_limit = in.number();
    tx.to = read_to(in);
    // EIP-4844 and EIP-7702 make the destination a plain address: these types create nothing.
    if (tx.type >= TxType::blob && !tx.to) in.fail(rlp::Error::too_long);
    tx.value = in.number256();
    tx.data = in.bytes();
    read_access_list(in, tx.access_list);
    if (tx.type == TxType::blob) {
        tx.max_fee_per_blob_gas = in.number256();
        in.each([&](rlp::Fields& hash) { tx.blob_hashes.push_back(hash.fixed<Hash>()); });
    }
    if (tx.type == TxType::set_code) read_authorizations(in, tx.authorizations);
    tx.y_parity = read_small(in);
    tx.r = in.number256();
    tx.s = in.number256();
}

Result<Tx, TxError> decode_typed(TxType type, BytesView payload) {
    Tx tx;
    tx.type = type;
    Uint256 chain;
    rlp::Fields outer(payload);
    outer.list([&](rlp::Fields& in) { read_typed(in, tx, chain); });
    if (!outer.finish()) return unexpected(TxError::malformed);
    if (!chain.fits_u64()) return unexpected(TxError::wrong_chain);
    tx.chain_id = chain.low();
    return tx;
}

RecoverableSig signature(const Uint256& r, const Uint256& s, uint8_t y_parity) {
    RecoverableSig sig;
    const Hash high = to_hash(r), low = to_hash(s);
    std::copy(high.begin(), high.end(), sig.rs.bytes.begin());
    std::copy(low.begin(), low.end(), sig.rs.bytes.begin() + 32);
    sig.y_parity = y_parity;
    return sig;
}

}  // namespace

Result<Tx, TxError> decode_tx(BytesView encoded) {
    if (encoded.empty()) return unexpected(TxError::malformed);
    const uint8_t first = encoded[0];
    if (first >= kListStart) return decode_legacy(encoded);
    if (first == 0 || first > static_cast<uint8_t>(TxType::set_code))
        return unexpected(TxError::unknown_type);
    return decode_typed(static_cast<TxType>(first), encoded.subspan(1));
}

Bytes encode_tx(const Tx& tx) {
    return encode(tx, Part::whole);
}

Hash hash_tx(const Tx& tx) {
    return keccak256(encode_tx(tx));
}

Hash signing_hash(const Tx& tx) {
    return keccak256(encode(tx, Part::signing));
}

Result<Address, TxError> recover_sender(const Tx& tx) {
    return recover_sender(tx, SRange::low_s);
}

Result<Address, TxError> recover_sender(const Tx& tx, SRange range) {
    if (range == SRange::low_s && tx.s > kHighestS) return unexpected(TxError::bad_signature);
    const auto sender = recover(signing_hash(tx), signature(tx.r, tx.s, tx.y_parity));
    if (!sender) return unexpected(TxError::bad_signature);
    return *sender;
}

std::optional<Address> recover_authority(const Authorization& authorization) {
    if (authorization.s > kHighestS) return std::nullopt;
    rlp::Writer out;
    out.begin_list().number(authorization.chain_id).fixed(authorization.address);
    Bytes message{kAuthorizationMagic};
    append(message, out.number(authorization.nonce).end_list().take());
    return recover(keccak256(message),
                   signature(authorization.r, authorization.s, authorization.y_parity));
}

void sign_tx(Tx& tx, const SecretKey& key) {
    const RecoverableSig sig = sign(key, signing_hash(tx));
    tx.r = from_be(BytesView(sig.rs.bytes).first(32));
    tx.s = from_be(BytesView(sig.rs.bytes).subspan(32));
    tx.y_parity = sig.y_parity;
}

std::string_view to_text(TxError error) {
    switch (error) {
        case TxError::malformed:
            return "transaction is not canonical RLP of its type";
        case TxError::unknown_type:
            return "transaction type not supported";
        case TxError::bad_signature:
            return "invalid transaction v, r, s values";
        case TxError::wrong_chain:
            return "chain id does not fit 64 bits";
    }
    return "unknown error";
}

}  // namespace trainyard
