// SPDX-License-Identifier: Apache-2.0
// Known answers of the hash functions, from FIPS 180-4, the RIPEMD-160 page and Ethereum's
// constants.
#include "core/hash.hpp"

#include <gtest/gtest.h>

namespace trainyard {
namespace {

/// Keccak as FIPS 202 words it, with the round constants and offsets computed instead of tabled.
class SlowKeccak {
public:
    Hash digest(Bytes message) {
        message.push_back(1);
        while (message.size() % kRate != 0) message.push_back(0);
        message.back() |= 0x80;
        for (size_t at = 0; at < message.size(); at += kRate) {
            for (size_t i = 0; i < kRate / 8; ++i)
                a_[i % 5][i / 5] ^= load_le<uint64_t>(&message[at + 8 * i]);
            uint8_t lfsr = 1;
            for (int round = 0; round < 24; ++round) one_round(lfsr);
        }
        Bytes out;
        for (size_t i = 0; i < 4; ++i) append_le(out, a_[i][0]);
        return *fixed_from<Hash>(out);
    }

private:
    static constexpr size_t kRate = 136;
    static uint64_t rotate(uint64_t v, unsigned n) {
        return n == 0 ? v : (v << n) | (v >> (64 - n));
    }
    void one_round(uint8_t& lfsr) {
        std::array<uint64_t, 5> c{};
        for (size_t x = 0; x < 5; ++x)
            for (size_t y = 0; y < 5; ++y) c[x] ^= a_[x][y];
        for (size_t x = 0; x < 5; ++x)
            for (size_t y = 0; y < 5; ++y) a_[x][y] ^= c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1);
        rho_pi();
        for (size_t y = 0; y < 5; ++y) {
            for (size_t x = 0; x < 5; ++x) c[x] = a_[x][y];
            for (size_t x = 0; x < 5; ++x) a_[x][y] = c[x] ^ (~c[(x + 1) % 5] & c[(x + 2) % 5]);
        }
        for (unsigned j = 0; j < 7; ++j) {
            if (lfsr & 1) a_[0][0] ^= 1ull << ((1u << j) - 1);
            lfsr = static_cast<uint8_t>((lfsr << 1) ^ ((lfsr >> 7) * 0x71));
        }
    }
    void rho_pi() {
        size_t x = 1, y = 0;
        uint64_t held = a_[x][y];
        for (unsigned t = 0; t < 24; ++t) {
            const size_t next = (2 * x + 3 * y) % 5;
            x = y;
            y = next;
            const uint64_t stood = a_[x][y];
            a_[x][y] = rotate(held, (t + 1) * (t + 2) / 2 % 64);
            held = stood;
        }
    }
    std::array<std::array<uint64_t, 5>, 5> a_{};
};

std::string keccak_hex(std::string_view text) {
    return to_hex(keccak256(as_bytes(text)));
}

TEST(keccak256, gives_the_known_digests) {
    EXPECT_EQ(keccak_hex(""), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    EXPECT_EQ(keccak_hex("abc"),
              "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
    EXPECT_EQ(keccak_hex("transfer(address,uint256)").substr(0, 8), "a9059cbb");
}

TEST(keccak256, pads_at_every_length_around_its_block) {
    for (size_t n = 0; n < 420; ++n) {
        Bytes message;
        for (size_t i = 0; i < n; ++i) message.push_back(static_cast<uint8_t>(i * 7 + n));
        ASSERT_EQ(keccak256(message), SlowKeccak().digest(message)) << n;
    }
}

TEST(keccak256, gives_the_constants_of_empty_things) {
    const uint8_t empty_string = 0x80, empty_list = 0xc0;
    EXPECT_EQ(kEmptyCodeHash, keccak256({}));
    EXPECT_EQ(kEmptyTrieRoot, keccak256({&empty_string, 1}));
    EXPECT_EQ(kEmptyListHash, keccak256({&empty_list, 1}));
}

TEST(keccak256_many, gives_the_digests_of_one_at_a_time) {
    Bytes data(3000);
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i * 131 + i / 7);
    std::vector<BytesView> messages;
    for (size_t i = 0; i < 100; ++i)  // lengths on both sides of every block boundary
        messages.push_back(BytesView(data).subspan(i, i % 7 == 0 ? 136 * (i % 9) : i * 13 % 700));
    std::vector<Hash> expected;
    for (const auto& message : messages) expected.push_back(keccak256(message));
    for (const size_t lanes : {1, 4, 8}) {
        if (!keccak256_has_lanes(lanes)) continue;
        for (const size_t count : {0, 1, 3, 7, 8, 9, 100}) {
            std::vector<Hash> digests(count);
            keccak256_by_lanes(lanes, std::span(messages).first(count), digests);
            EXPECT_TRUE(std::equal(digests.begin(), digests.end(), expected.begin()))
                << lanes << " lanes, " << count << " messages";
        }
    }
    std::vector<Hash> digests(messages.size());
    keccak256_many(messages, digests);
    EXPECT_EQ(digests, expected);
}

TEST(sha256, gives_the_known_digests) {
    EXPECT_EQ(to_hex(sha256({})),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(sha256, of_parts_is_that_of_the_whole) {
    Sha256 parts;
    parts.update(as_bytes("ab")).update({}).update(as_bytes("c"));
    EXPECT_EQ(parts.finish(), sha256(as_bytes("abc")));
}

TEST(ripemd160, gives_the_known_digests) {
    EXPECT_EQ(to_hex(ripemd160({})), "9c1185a5c5e9fc54612808977ee8f548b2258d31");
    EXPECT_EQ(to_hex(ripemd160(as_bytes("abc"))), "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc");
}

TEST(hex, reads_what_it_writes) {
    EXPECT_EQ(to_hex0x(*from_hex("0x00fFa1")), "0x00ffa1");
    EXPECT_EQ(from_hex(""), Bytes{});
    EXPECT_EQ(fixed_from_hex<FixedBytes<2>>("0x0102")->bytes, (std::array<uint8_t, 2>{1, 2}));
}

TEST(hex, rejects_odd_lengths_and_other_characters) {
    for (const char* text : {"0", "0x0", "0g", "0x0x", " 00", "00 ", "0X0"})
        EXPECT_EQ(from_hex(text), std::nullopt) << text;
    EXPECT_EQ(fixed_from_hex<Address>("0x01"), std::nullopt);
}

}  // namespace
}  // namespace trainyard
