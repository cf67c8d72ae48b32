// SPDX-License-Identifier: Apache-2.0
// Transactions of every type: known encodings, round trips and what the decoder refuses.
#include "core/tx.hpp"

#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "core/rlp.hpp"

namespace trainyard {
namespace {

SecretKey key_of(uint8_t fill) {
    SecretKey key;
    key.bytes.fill(fill);
    return key;
}

/// The example of EIP-155, section "Example".
Tx eip155_example() {
    Tx tx;
    tx.chain_id = 1;
    tx.nonce = 9;
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = 20'000'000'000;
    tx.gas_limit = 21000;
    tx.to.emplace().bytes.fill(0x35);
    tx.value = 1'000'000'000'000'000'000;
    return tx;
}

constexpr std::string_view kEip155Signed =
    "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef"
    "61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800cc"
    "f555c9f3dc64214b297fb1966a3b6d83";

Tx full_tx(TxType type) {
    Tx tx = eip155_example();
    tx.type = type;
    tx.chain_id = 7777;
    tx.data = {1, 2, 3};
    if (type == TxType::legacy) return tx;
    Hash slot;
    slot.bytes.fill(9);
    tx.access_list = {{Address{}, {slot, Hash{}}}, {*tx.to, {}}};
    if (type >= TxType::dynamic_fee) tx.max_priority_fee_per_gas = 1;
    if (type == TxType::blob) {
        tx.max_fee_per_blob_gas = Uint256::max();
        tx.blob_hashes = {slot};
    }
    if (type == TxType::set_code)
        tx.authorizations = {{7777, *tx.to, ~0ull, 1, 5, 6}, {0, Address{}, 0, 0, 1, 1}};
    return tx;
}

constexpr TxType kAllTypes[] = {TxType::legacy, TxType::access_list, TxType::dynamic_fee,
                                TxType::blob, TxType::set_code};

TEST(tx, eip155_example_signs_to_the_bytes_of_the_eip) {
    Tx tx = eip155_example();
    EXPECT_EQ(to_hex(signing_hash(tx)),
              "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
    sign_tx(tx, key_of(0x46));
    EXPECT_EQ(to_hex(encode_tx(tx)), kEip155Signed);
    EXPECT_EQ(to_hex(*recover_sender(tx)), "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");
    EXPECT_EQ(*decode_tx(encode_tx(tx)), tx);
}

TEST(tx, every_type_survives_the_round_trip_and_names_its_sender) {
    for (const TxType type : kAllTypes) {
        Tx tx = full_tx(type);
        sign_tx(tx, key_of(0x11));
        const auto decoded = decode_tx(encode_tx(tx));
        ASSERT_TRUE(decoded) << static_cast<int>(type);
        EXPECT_EQ(*decoded, tx);
        EXPECT_EQ(*recover_sender(*decoded), *address_of(key_of(0x11)));
        EXPECT_EQ(hash_tx(*decoded), keccak256(encode_tx(tx)));
    }
}

TEST(tx, legacy_without_chain_and_creation_survive_the_round_trip) {
    Tx tx = eip155_example();
    tx.chain_id.reset();
    tx.to.reset();
    sign_tx(tx, key_of(0x22));
    EXPECT_EQ(*decode_tx(encode_tx(tx)), tx);
    EXPECT_EQ(*recover_sender(tx), *address_of(key_of(0x22)));
}

TEST(tx, the_largest_chain_id_survives_the_round_trip) {
    Tx tx = eip155_example();
    tx.chain_id = ~0ull;
    sign_tx(tx, key_of(0x22));
    EXPECT_EQ(*decode_tx(encode_tx(tx)), tx);
}

TEST(tx, rejects_every_truncation_and_every_leftover) {
    for (const TxType type : kAllTypes) {
        Tx tx = full_tx(type);
        sign_tx(tx, key_of(0x11));
        Bytes encoded = encode_tx(tx);
        for (size_t n = 0; n < encoded.size(); ++n)
            EXPECT_FALSE(decode_tx(BytesView(encoded).first(n))) << n;
        encoded.push_back(0);
        EXPECT_EQ(decode_tx(encoded).error(), TxError::malformed);
    }
}

TEST(tx, rejects_unknown_types) {
    for (const int type : {0, 5, 0x7f, 0x80, 0xbf})
        EXPECT_EQ(decode_tx(Bytes{static_cast<uint8_t>(type), 0xc0}).error(),
                  TxError::unknown_type);
}

TEST(tx, rejects_one_field_more_or_less) {
    rlp::Writer ten, eight;
    ten.begin_list();
    eight.begin_list();
    for (int i = 0; i < 10; ++i) ten.number(uint64_t{0});
    for (int i = 0; i < 8; ++i) eight.number(uint64_t{0});
    EXPECT_EQ(decode_tx(ten.end_list().take()).error(), TxError::malformed);
    EXPECT_EQ(decode_tx(eight.end_list().take()).error(), TxError::malformed);
}

TEST(tx, rejects_a_v_that_fits_no_chain) {
    const auto with_v = [](const Uint256& v) {
        rlp::Writer out;
        out.begin_list();
        for (int i = 0; i < 6; ++i) out.number(uint64_t{0});
        return out.number(v).number(uint64_t{1}).number(uint64_t{1}).end_list().take();
    };
    for (const uint64_t v : {0, 1, 26, 29, 34})
        EXPECT_EQ(decode_tx(with_v(v)).error(), TxError::bad_signature) << v;
    EXPECT_EQ(decode_tx(with_v(35))->chain_id, 0u);
    const Uint256 last = Uint256(~0ull) * 2 + 36;
    EXPECT_EQ(decode_tx(with_v(last))->chain_id, ~0ull);
    EXPECT_EQ(decode_tx(with_v(last + 1)).error(), TxError::wrong_chain);
}

TEST(tx, rejects_creation_in_blob_and_set_code_types) {
    for (const TxType type : {TxType::blob, TxType::set_code}) {
        Tx tx = full_tx(type);
        tx.to.reset();
        EXPECT_EQ(decode_tx(encode_tx(tx)).error(), TxError::malformed);
    }
}

TEST(tx, rejects_signatures_out_of_range) {
    const Uint256 order =
        *parse_uint256("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    Tx good = full_tx(TxType::dynamic_fee);
    sign_tx(good, key_of(0x11));
    const auto refused = [&](auto change) {
        Tx tx = good;
        change(tx);
        const auto sender = recover_sender(tx);
        return !sender && sender.error() == TxError::bad_signature;
    };
    EXPECT_TRUE(refused([](Tx& tx) { tx.r = 0; }));
    EXPECT_TRUE(refused([](Tx& tx) { tx.s = 0; }));
    EXPECT_TRUE(refused([&](Tx& tx) { tx.r = order; }));
    EXPECT_TRUE(refused([&](Tx& tx) { tx.y_parity ^= 1, tx.s = order - tx.s; }));
    EXPECT_TRUE(refused([](Tx& tx) { tx.y_parity = 2; }));
    EXPECT_FALSE(refused([](Tx&) {}));
}

TEST(tx, half_of_the_order_is_the_highest_s) {
    const Uint256 half =
        *parse_uint256("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141") >> 1;
    Tx tx = full_tx(TxType::dynamic_fee);
    sign_tx(tx, key_of(0x11));
    tx.s = half;
    EXPECT_TRUE(recover_sender(tx));
    tx.s = half + 1;
    EXPECT_FALSE(recover_sender(tx));
}

TEST(tx, an_authority_is_recovered_from_its_authorization) {
    Authorization a{1, {}, 3, 0, 0, 0};
    a.address.bytes.fill(0x42);
    rlp::Writer out;
    out.begin_list().number(a.chain_id).fixed(a.address).number(a.nonce);
    Bytes message{5};
    append(message, out.end_list().take());
    const RecoverableSig sig = sign(key_of(0x33), keccak256(message));
    a.r = from_be(BytesView(sig.rs.bytes).first(32));
    a.s = from_be(BytesView(sig.rs.bytes).subspan(32));
    a.y_parity = sig.y_parity;
    EXPECT_EQ(recover_authority(a), address_of(key_of(0x33)));
    a.nonce = 4;
    EXPECT_NE(recover_authority(a), address_of(key_of(0x33)));
    a.y_parity = 2;
    EXPECT_EQ(recover_authority(a), std::nullopt);
}

}  // namespace
}  // namespace trainyard
