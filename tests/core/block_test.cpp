// SPDX-License-Identifier: Apache-2.0
// Headers of all forks, blocks, receipts and blooms.
#include "core/block.hpp"

#include <bit>

#include <gtest/gtest.h>

#include "core/hash.hpp"

namespace trainyard {
namespace {

/// A header with the first `optional_fields` of the six optional ones.
Header header_with(int optional_fields) {
    Header h;
    h.parent_hash = keccak256({});
    h.ommers_hash = kEmptyListHash;
    h.beneficiary.bytes.fill(1);
    h.state_root = h.transactions_root = h.receipts_root = kEmptyTrieRoot;
    h.logs_bloom[9] = 4;
    h.difficulty = Uint256::max();
    h.number = 1;
    h.gas_limit = 30'000'000;
    h.gas_used = ~0ull;
    h.timestamp = 1'700'000'000;
    h.extra_data = Bytes(100, 7);
    if (optional_fields > 0) h.base_fee_per_gas = 7;
    if (optional_fields > 1) h.withdrawals_root = kEmptyTrieRoot;
    if (optional_fields > 2) h.blob_gas_used = 0;
    if (optional_fields > 3) h.excess_blob_gas = 131072;
    if (optional_fields > 4) h.parent_beacon_block_root = Hash{};
    if (optional_fields > 5) h.requests_hash = kEmptyCodeHash;
    return h;
}

Block full_block() {
    Block block;
    block.header = header_with(6);
    for (const TxType type : {TxType::legacy, TxType::access_list, TxType::dynamic_fee,
                              TxType::blob, TxType::set_code}) {
        Tx tx;
        tx.type = type;
        tx.chain_id = 1;
        tx.to.emplace();
        tx.r = tx.s = 1;
        block.txs.push_back(tx);
    }
    block.withdrawals = {{1, 2, {}, 3}, {~0ull, 0, {}, 0}};
    return block;
}

Receipt full_receipt(TxType type) {
    Receipt receipt;
    receipt.type = type;
    receipt.success = true;
    receipt.cumulative_gas_used = 21000;
    receipt.logs = {{{}, {kEmptyCodeHash, kEmptyTrieRoot}, {1, 2, 3}}, {{}, {}, {}}};
    receipt.bloom = bloom_of(receipt.logs);
    return receipt;
}

TEST(header, of_every_fork_survives_the_round_trip) {
    for (int fields = 0; fields <= 6; ++fields) {
        const Header header = header_with(fields);
        const Bytes encoded = encode_header(header);
        const auto decoded = decode_header(encoded);
        ASSERT_TRUE(decoded) << fields;
        EXPECT_EQ(*decoded, header);
        EXPECT_EQ(hash_header(header), keccak256(encoded));
    }
}

TEST(header, of_the_ethereum_mainnet_genesis_has_its_known_hash) {
    Header h;
    h.ommers_hash = kEmptyListHash;
    h.state_root =
        *fixed_from_hex<Hash>("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544");
    h.transactions_root = h.receipts_root = kEmptyTrieRoot;
    h.difficulty = 17'179'869'184;
    h.gas_limit = 5000;
    h.extra_data = *from_hex("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa");
    h.nonce[7] = 0x42;
    EXPECT_EQ(to_hex(hash_header(h)),
              "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
}

TEST(header, rejects_fourteen_and_twenty_two_fields) {
    const Bytes whole = encode_header(header_with(6));
    rlp::Writer longer, shorter;
    longer.begin_list();
    shorter.begin_list();
    auto in = *rlp::Reader(whole).list();
    for (int i = 0; !in.at_end(); ++i) {
        const BytesView item = *in.raw();
        longer.raw(item);
        if (i < 14) shorter.raw(item);
    }
    EXPECT_EQ(decode_header(longer.number(uint64_t{1}).end_list().take()).error(),
              rlp::Error::leftover);
    EXPECT_EQ(decode_header(shorter.end_list().take()).error(), rlp::Error::truncated);
}

TEST(block, survives_the_round_trip_with_and_without_withdrawals) {
    Block block = full_block();
    EXPECT_EQ(*decode_block(encode_block(block)), block);
    block.withdrawals.emplace();
    EXPECT_EQ(*decode_block(encode_block(block)), block);
    block.withdrawals.reset();
    block.ommers = {header_with(0), header_with(1)};
    EXPECT_EQ(*decode_block(encode_block(block)), block);
}

TEST(block, rejects_every_truncation_and_leftover) {
    Bytes encoded = encode_block(full_block());
    for (size_t n = 0; n < encoded.size(); ++n)
        EXPECT_FALSE(decode_block(BytesView(encoded).first(n))) << n;
    encoded.push_back(0);
    EXPECT_EQ(decode_block(encoded).error(), rlp::Error::leftover);
}

TEST(block, rejects_a_transaction_in_the_other_wrapping) {
    const auto block_with = [](BytesView item) {
        rlp::Writer out;
        out.begin_list().raw(encode_header(header_with(0)));
        out.begin_list().raw(item).end_list().begin_list().end_list();
        return out.end_list().take();
    };
    Tx tx;
    tx.r = tx.s = 1;
    const Bytes legacy = encode_tx(tx);
    EXPECT_TRUE(decode_block(block_with(legacy)));
    EXPECT_EQ(decode_block(block_with(rlp::Writer().bytes(legacy).take())).error(),
              rlp::Error::wrong_kind);
    tx.type = TxType::dynamic_fee;
    tx.chain_id = 1;
    const Bytes typed = encode_tx(tx);
    EXPECT_TRUE(decode_block(block_with(rlp::Writer().bytes(typed).take())));
    EXPECT_FALSE(decode_block(block_with(typed)));
    EXPECT_EQ(decode_block(block_with(Bytes{0x80})).error(), rlp::Error::bad_value);
    EXPECT_EQ(decode_block(block_with(Bytes{0x05})).error(), rlp::Error::bad_value);
}

TEST(receipt, of_every_type_survives_the_round_trip) {
    for (const TxType type : {TxType::legacy, TxType::access_list, TxType::dynamic_fee,
                              TxType::blob, TxType::set_code}) {
        Receipt receipt = full_receipt(type);
        EXPECT_EQ(*decode_receipt(encode_receipt(receipt)), receipt);
        receipt.success = false;
        EXPECT_EQ(*decode_receipt(encode_receipt(receipt)), receipt);
        receipt.post_state = kEmptyTrieRoot;
        EXPECT_EQ(*decode_receipt(encode_receipt(receipt)), receipt);
    }
}

TEST(receipt, rejects_other_statuses_types_truncations_and_leftovers) {
    Bytes encoded = encode_receipt(full_receipt(TxType::dynamic_fee));
    for (size_t n = 0; n < encoded.size(); ++n)
        EXPECT_FALSE(decode_receipt(BytesView(encoded).first(n)));
    encoded[0] = 5;
    EXPECT_EQ(decode_receipt(encoded).error(), rlp::Error::bad_value);
    encoded[0] = 2;
    EXPECT_TRUE(decode_receipt(encoded));
    encoded[4] = 2;  // after the type and the three bytes of the list's prefix
    EXPECT_EQ(decode_receipt(encoded).error(), rlp::Error::bad_value);
    encoded[4] = 1;
    encoded.push_back(0);
    EXPECT_EQ(decode_receipt(encoded).error(), rlp::Error::leftover);
}

TEST(bloom, sets_three_bits_per_address_and_topic) {
    EXPECT_EQ(bloom_of({}), Bloom{});
    const Bloom bloom = bloom_of({{{}, {}, {1, 2, 3}}});
    int bits = 0;
    for (const uint8_t byte : bloom) bits += std::popcount(byte);
    EXPECT_EQ(bits, 3);
    // keccak256 of twenty zero bytes begins 5380c7b7ae81: bits 0x380, 0x7b7 and 0x681.
    EXPECT_EQ(bloom[255 - 0x380 / 8], 1 << (0x380 % 8));
    EXPECT_EQ(bloom[255 - 0x7b7 / 8], 1 << (0x7b7 % 8));
    EXPECT_EQ(bloom[255 - 0x681 / 8], 1 << (0x681 % 8));
}

}  // namespace
}  // namespace trainyard
