// SPDX-License-Identifier: Apache-2.0
// RLP: examples of the Yellow Paper, round trips, and everything that is not canonical.
#include "core/rlp.hpp"

#include <random>

#include <gtest/gtest.h>

namespace trainyard::rlp {
namespace {

std::string hex(Bytes bytes) {
    return to_hex(bytes);
}

/// The error of reading one string, and nothing more, from this hexadecimal text.
std::optional<Error> string_error(std::string_view text) {
    const Bytes encoded = *from_hex(text);
    Reader in(encoded);
    const auto value = in.bytes();
    if (!value) return value.error();
    const auto end = in.finish();
    return end ? std::nullopt : std::optional(end.error());
}

std::optional<Error> number_error(std::string_view text) {
    const Bytes encoded = *from_hex(text);
    const auto value = Reader(encoded).number();
    return value ? std::nullopt : std::optional(value.error());
}

TEST(rlp, prefixes_stand_before_what_a_writer_writes) {
    for (const size_t length : {2, 55, 56, 255, 256, 70'000}) {
        const Bytes payload(length, 0x11);
        Bytes string = string_prefix(length), list = list_prefix(length);
        append(string, payload);
        append(list, payload);
        EXPECT_EQ(string, Writer().bytes(payload).take()) << length;
        EXPECT_EQ(list, Writer().begin_list().raw(payload).end_list().take()) << length;
    }
}

TEST(rlp, writes_the_known_examples) {
    EXPECT_EQ(hex(Writer().bytes(as_bytes("dog")).take()), "83646f67");
    EXPECT_EQ(hex(Writer().bytes({}).take()), "80");
    EXPECT_EQ(hex(Writer().number(uint64_t{0}).take()), "80");
    EXPECT_EQ(hex(Writer().number(uint64_t{15}).take()), "0f");
    EXPECT_EQ(hex(Writer().number(uint64_t{128}).take()), "8180");
    EXPECT_EQ(hex(Writer().number(uint64_t{1024}).take()), "820400");
    EXPECT_EQ(hex(Writer().begin_list().end_list().take()), "c0");
    Writer nested;
    nested.begin_list().begin_list().end_list().begin_list().begin_list().end_list().end_list();
    EXPECT_EQ(hex(nested.end_list().take()), "c3c0c1c0");
    EXPECT_EQ(hex(Writer().bytes(Bytes(56, 1)).take()).substr(0, 6), "b83801");
    EXPECT_EQ(hex(Writer().bytes(Bytes(1024, 1)).take()).substr(0, 6), "b90400");
}

TEST(rlp, strings_and_lists_of_every_length_survive_the_round_trip) {
    for (size_t n = 0; n < 300; ++n) {
        const Bytes value(n, 0x7f + n % 3);
        const Bytes encoded = Writer()
                                  .begin_list()
                                  .bytes(value)
                                  .begin_list()
                                  .bytes(value)
                                  .end_list()
                                  .end_list()
                                  .take();
        Reader outer(encoded);
        auto in = outer.list();
        ASSERT_TRUE(in && outer.at_end());
        ASSERT_TRUE(!in->next_is_list());
        const auto first = in->bytes();
        ASSERT_TRUE(first && std::equal(first->begin(), first->end(), value.begin(), value.end()));
        ASSERT_TRUE(in->next_is_list());
        auto inner = in->list();
        ASSERT_TRUE(inner && inner->bytes() && inner->finish() && in->finish());
    }
}

TEST(rlp, numbers_survive_the_round_trip) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 2000; ++i) {
        const uint64_t small = random() >> (random() % 64);
        const Uint256 large(random(), random(), random() >> (random() % 64), small);
        const Bytes encoded = Writer().number(small).number(large).take();
        Reader in(encoded);
        ASSERT_EQ(*in.number(), small);
        ASSERT_EQ(*in.number256(), large);
        ASSERT_TRUE(in.finish());
    }
}

TEST(rlp, rejects_lengths_past_the_end) {
    for (const char* text :
         {"", "81", "83646f", "b8", "b838", "b9ffff", "bfffffffffffffffff", "bbffffffff00", "b7ff"})
        EXPECT_EQ(string_error(text), Error::truncated) << text;
    for (const char* text : {"c1", "f8", "f838", "ffffffffffffffffff", "ff8000000000000000"}) {
        const Bytes encoded = *from_hex(text);
        EXPECT_EQ(Reader(encoded).list().error(), Error::truncated) << text;
        EXPECT_EQ(Reader(encoded).raw().error(), Error::truncated) << text;
    }
}

TEST(rlp, rejects_forms_longer_than_needed) {
    for (const char* text : {"8100", "817f", "b800", "b90000", "b83700", "b900ff"})
        EXPECT_EQ(string_error(text), Error::not_canonical) << text;
    for (const char* text : {"00", "820001", "8200ff"})
        EXPECT_EQ(number_error(text), Error::not_canonical) << text;
    const Bytes list = *from_hex("f800");
    EXPECT_EQ(Reader(list).list().error(), Error::not_canonical);
}

TEST(rlp, rejects_the_wrong_kind) {
    EXPECT_EQ(string_error("c0"), Error::wrong_kind);
    EXPECT_EQ(number_error("c101"), Error::wrong_kind);
    const Bytes text = *from_hex("83646f67");
    EXPECT_EQ(Reader(text).list().error(), Error::wrong_kind);
}

TEST(rlp, rejects_values_of_the_wrong_size) {
    EXPECT_EQ(number_error("88ffffffffffffffff"), std::nullopt);
    EXPECT_EQ(number_error("89010000000000000000"), Error::too_long);
    const Bytes wide = Writer().bytes(Bytes(33, 1)).take();
    EXPECT_EQ(Reader(wide).number256().error(), Error::too_long);
    EXPECT_EQ(Reader(wide).fixed<Hash>().error(), Error::too_long);
    const Bytes exact = Writer().fixed(Hash{}).take();
    EXPECT_TRUE(Reader(exact).fixed<Hash>());
    EXPECT_FALSE(Reader(exact).fixed<Address>());
}

TEST(rlp, rejects_leftovers) {
    EXPECT_EQ(string_error("83646f6700"), Error::leftover);
    EXPECT_EQ(string_error("0000"), Error::leftover);
}

TEST(rlp, rejects_lists_nested_too_deep) {
    Writer out;
    for (size_t i = 0; i < kDepthMax + 1; ++i) out.begin_list();
    for (size_t i = 0; i < kDepthMax + 1; ++i) out.end_list();
    const Bytes encoded = out.take();
    Reader in(encoded);
    for (size_t i = 0; i < kDepthMax; ++i) in = *in.list();
    EXPECT_EQ(in.list().error(), Error::too_deep);
}

TEST(rlp, a_failed_read_consumes_nothing) {
    const Bytes encoded = *from_hex("89010000000000000000");
    Reader in(encoded);
    EXPECT_FALSE(in.number());
    EXPECT_EQ(*in.number256(), Uint256(0, 0, 1, 0));
}

TEST(rlp_fields, keep_the_first_error_and_read_nothing_after_it) {
    const Bytes encoded = *from_hex("c4820001c005");
    Fields outer(BytesView(encoded).first(5));
    outer.list([](Fields& in) {
        EXPECT_EQ(in.number(), 0u);
        EXPECT_FALSE(in.more());
        in.each([](Fields&) { ADD_FAILURE(); });
        EXPECT_EQ(in.fixed<Address>(), Address{});
    });
    EXPECT_EQ(outer.finish().error(), Error::not_canonical);
}

TEST(rlp_fields, rejects_a_list_that_is_not_read_to_its_end) {
    const Bytes encoded = *from_hex("c20102");
    Fields outer(encoded);
    outer.list([](Fields& in) { EXPECT_EQ(in.number(), 1u); });
    EXPECT_EQ(outer.finish().error(), Error::leftover);
}

}  // namespace
}  // namespace trainyard::rlp
