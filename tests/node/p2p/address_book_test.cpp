// SPDX-License-Identifier: Apache-2.0
// The address book: who may fill it, who leaves it, what is chosen, and what a file may do to it.
#include "node/p2p/address_book.hpp"

#include <random>
#include <set>

#include <gtest/gtest.h>

namespace trainyard::p2p {
namespace {

constexpr uint64_t kNow = 1'800'000'000, kHour = 3600, kDay = 24 * kHour;

Ip ip(const char* text) {
    return *ip_from(text);
}

NodeAddress node(uint32_t n, const Ip& at, uint16_t port = 30303) {
    PublicKey id;
    id.bytes[0] = 2;
    for (size_t i = 0; i < 4; ++i) id.bytes[32 - i] = static_cast<uint8_t>(n >> (8 * i));
    return {id, at, port};
}

Ip v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    Ip out = ip("0.0.0.0");
    out.bytes[12] = a, out.bytes[13] = b, out.bytes[14] = c, out.bytes[15] = d;
    return out;
}

AddressBook make_book() {
    return AddressBook(Hash{{{7}}});
}

struct Drawer {
    std::mt19937_64 engine{1};
    AddressBook::Random random = [this] { return engine(); };
};
const AddressBook::MayUse anybody = [](const PublicKey&) { return true; };

TEST(ip, reads_digits_and_knows_how_far_they_reach) {
    EXPECT_EQ(to_string(ip("203.0.113.9")), "203.0.113.9");
    EXPECT_EQ(to_string(ip("2001:db8::1")), "2001:db8::1");
    EXPECT_EQ(ip("::ffff:1.2.3.4"), ip("1.2.3.4"));
    for (const char* bad : {"", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.4 ", "::g", "256.1.1.1"})
        EXPECT_FALSE(ip_from(bad)) << bad;
    EXPECT_FALSE(ip_from(std::string_view("1.2.3.4\0", 8)));
    const std::pair<const char*, Reach> known[] = {
        {"0.0.0.0", Reach::nowhere},     {"255.255.255.255", Reach::nowhere},
        {"224.0.0.1", Reach::nowhere},   {"::", Reach::nowhere},
        {"ff02::1", Reach::nowhere},     {"127.0.0.1", Reach::machine},
        {"::1", Reach::machine},         {"10.1.2.3", Reach::site},
        {"172.15.0.1", Reach::internet}, {"172.16.0.1", Reach::site},
        {"192.168.1.1", Reach::site},    {"169.254.1.1", Reach::site},
        {"100.64.0.1", Reach::site},     {"fe80::1", Reach::site},
        {"fd00::1", Reach::site},        {"8.8.8.8", Reach::internet},
        {"2a00::1", Reach::internet},    {"4000::1", Reach::nowhere}};
    for (const auto& [text, reach] : known) EXPECT_EQ(reach_of(ip(text)), reach) << text;
}

TEST(address_book, one_group_of_tellers_cannot_fill_it) {
    auto book = make_book();
    // One /16 tells of a different network each time, as somebody with many names would.
    for (uint32_t n = 0; n < 60'000; ++n)
        book.hear(node(n, v4(static_cast<uint8_t>(1 + n % 9), static_cast<uint8_t>(n >> 4), 1, 1)),
                  v4(50, 60, static_cast<uint8_t>(n), 1), kNow, kNow);
    const size_t most = AddressBook::kNewBucketsOfSource * AddressBook::kBucketPlaces;
    EXPECT_LE(book.new_count(), most);
    EXPECT_GT(book.new_count(), most / 2);
    // Others still find room, whatever the first has told.
    size_t taken = 0;
    for (uint32_t n = 0; n < 200; ++n)
        taken += book.hear(node(100'000 + n, v4(20, static_cast<uint8_t>(n), 1, 1)),
                           v4(70, static_cast<uint8_t>(n), 1, 1), kNow, kNow);
    EXPECT_GT(taken, 150u);
}

TEST(address_book, one_network_cannot_fill_either_table) {
    auto book = make_book();
    for (uint32_t n = 0; n < 20'000; ++n)
        book.hear(node(n, v4(50, 60, static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n))),
                  v4(50, 60, 1, 1), kNow, kNow);
    EXPECT_LE(book.new_count(), AddressBook::kBucketPlaces);
    for (uint32_t n = 0; n < 20'000; ++n)
        book.on_success(node(n, v4(50, 60, static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n))),
                        kNow);
    EXPECT_LE(book.tried_count(), AddressBook::kTriedBucketsOfGroup * AddressBook::kBucketPlaces);
    EXPECT_LE(book.new_count() + book.tried_count(), 9 * AddressBook::kBucketPlaces);
}

TEST(address_book, one_network_of_ones_own_fits) {
    auto book = make_book();
    size_t taken = 0;
    for (uint32_t n = 0; n < 40; ++n)
        taken +=
            book.hear(node(n, v4(10, 0, 0, static_cast<uint8_t>(n))), v4(10, 0, 0, 99), kNow, kNow);
    EXPECT_GE(taken, 36u);  // of 1,024 places
    for (uint32_t n = 0; n < 40; ++n)
        book.on_success(node(n, v4(10, 0, 0, static_cast<uint8_t>(n))), kNow);
    EXPECT_GE(book.new_count() + book.tried_count(), 36u);
}

TEST(address_book, rejects_addresses_that_the_teller_cannot_know_or_nobody_can_dial) {
    auto book = make_book();
    const Ip far = ip("8.8.8.8"), near = ip("10.0.0.1"), self = ip("127.0.0.1");
    EXPECT_FALSE(book.hear(node(1, near), far, kNow, kNow));
    EXPECT_FALSE(book.hear(node(1, self), far, kNow, kNow));
    EXPECT_FALSE(book.hear(node(1, self), near, kNow, kNow));
    EXPECT_FALSE(book.hear(node(1, ip("0.0.0.0")), far, kNow, kNow));
    EXPECT_FALSE(book.hear(node(1, far, 0), far, kNow, kNow));
    EXPECT_FALSE(book.hear(node(1, far), far, kNow - 31 * kDay, kNow));
    EXPECT_EQ(book.new_count(), 0u);
    EXPECT_TRUE(book.hear(node(1, near), near, kNow, kNow));
    EXPECT_TRUE(book.hear(node(2, far), near, kNow, kNow));
    EXPECT_TRUE(book.hear(node(3, self), self, kNow, kNow));
}

TEST(address_book, nobodys_word_moves_an_address_that_works) {
    auto book = make_book();
    const auto good = node(1, ip("8.8.8.8"));
    book.on_success(good, kNow);
    EXPECT_TRUE(book.is_tried(good.id));
    EXPECT_FALSE(book.hear(node(1, ip("9.9.9.9")), ip("9.9.9.9"), kNow, kNow));
    Drawer draw;
    EXPECT_EQ(book.pick(draw.random, kNow, anybody), good);
    // What was only heard is replaced once it has failed often enough.
    const auto heard = node(2, ip("8.8.4.4")), other = node(2, ip("9.9.4.4"));
    ASSERT_TRUE(book.hear(heard, ip("8.8.4.4"), kNow, kNow));
    EXPECT_FALSE(book.hear(other, ip("9.9.4.4"), kNow, kNow));
    for (int i = 0; i < 3; ++i) book.on_attempt(heard.id, kNow);
    EXPECT_TRUE(book.hear(other, ip("9.9.4.4"), kNow, kNow));
}

TEST(address_book, waits_longer_after_each_failure_and_gives_up_in_the_end) {
    auto book = make_book();
    Drawer draw;
    const auto one = node(1, ip("8.8.8.8"));
    ASSERT_TRUE(book.hear(one, one.ip, kNow, kNow));
    EXPECT_TRUE(book.pick(draw.random, kNow, anybody));
    book.on_attempt(one.id, kNow);
    EXPECT_FALSE(book.pick(draw.random, kNow + 9, anybody));
    EXPECT_TRUE(book.pick(draw.random, kNow + 10, anybody));
    book.on_attempt(one.id, kNow + 10);
    EXPECT_FALSE(book.pick(draw.random, kNow + 29, anybody));
    EXPECT_TRUE(book.pick(draw.random, kNow + 30, anybody));
    book.on_attempt(one.id, kNow + 30);
    EXPECT_FALSE(book.pick(draw.random, kNow + kDay, anybody)) << "three failures, never an answer";
    // One that has answered is given more time.
    book.on_success(one, kNow);
    for (int i = 0; i < 12; ++i) book.on_attempt(one.id, kNow);
    EXPECT_TRUE(book.pick(draw.random, kNow + kHour, anybody));
    EXPECT_FALSE(book.pick(draw.random, kNow + 8 * kDay, anybody));
}

TEST(address_book, chooses_from_both_tables_and_passes_over_the_excluded) {
    auto book = make_book();
    Drawer draw;
    for (uint32_t n = 0; n < 40; ++n) {
        const auto address = node(n, v4(20, static_cast<uint8_t>(n), 1, 1));
        n % 2 == 0 ? book.on_success(address, kNow)
                   : void(book.hear(address, v4(30, static_cast<uint8_t>(n), 1, 1), kNow, kNow));
    }
    std::set<PublicKey> seen;
    for (int i = 0; i < 2000; ++i) seen.insert(book.pick(draw.random, kNow, anybody)->id);
    EXPECT_EQ(seen.size(), book.new_count() + book.tried_count());
    const auto none = [](const PublicKey&) { return false; };
    EXPECT_FALSE(book.pick(draw.random, kNow, none));
    EXPECT_TRUE(book.sample(draw.random, 64, kNow, none).empty());
    const auto told = book.sample(draw.random, 8, kNow + 5 * kHour, anybody);
    ASSERT_EQ(told.size(), 8u);
    std::set<PublicKey> different;
    for (const auto& each : told) {
        different.insert(each.address.id);
        EXPECT_EQ(each.age_hours, 5);
    }
    EXPECT_EQ(different.size(), 8u);
}

TEST(address_book, a_place_among_the_tried_is_kept_by_who_answered_lately) {
    auto book = make_book();
    std::vector<NodeAddress> all;
    for (uint32_t n = 0; n < 3000; ++n)
        all.push_back(node(n, v4(50, 60, static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n))));
    for (const auto& each : all) book.on_success(each, kNow);
    std::set<PublicKey> first;
    for (const auto& each : all)
        if (book.is_tried(each.id)) first.insert(each.id);
    for (const auto& each : all) book.on_success(each, kNow + kDay);
    for (const auto& each : all) EXPECT_EQ(book.is_tried(each.id), first.count(each.id) == 1);
}

TEST(address_book, reads_what_it_writes_and_nothing_that_was_torn_or_changed) {
    auto book = make_book();
    for (uint32_t n = 0; n < 50; ++n) {
        const auto address = node(n, v4(20, static_cast<uint8_t>(n), 1, 1));
        n % 3 == 0 ? book.on_success(address, kNow)
                   : void(book.hear(address, v4(30, static_cast<uint8_t>(n), 1, 1), kNow, kNow));
        if (n % 5 == 0) book.on_attempt(address.id, kNow + n);
    }
    const Bytes good = book.encode();
    const auto again = AddressBook::decode(good);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->encode(), good);
    EXPECT_EQ(again->new_count(), book.new_count());
    EXPECT_EQ(again->tried_count(), book.tried_count());
    for (size_t size = 0; size < good.size(); ++size)
        EXPECT_FALSE(AddressBook::decode(BytesView(good).first(size))) << size;
    for (size_t at = 0; at < good.size(); ++at) {
        Bytes changed = good;
        changed[at] ^= 1;
        EXPECT_FALSE(AddressBook::decode(changed)) << at;
    }
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_FALSE(AddressBook::decode(longer));
    EXPECT_TRUE(AddressBook::decode(make_book().encode()));
}

TEST(told_addresses, round_trip_and_reject_what_nobody_can_dial) {
    const std::vector<ToldAddress> told{{node(1, ip("8.8.8.8")), 3},
                                        {node(2, ip("2a00::7"), 1), 0xffff}};
    const Bytes bytes = encode_told(told);
    EXPECT_EQ(decode_told(bytes), told);
    EXPECT_EQ(decode_told(encode_told({})), std::vector<ToldAddress>{});
    for (size_t size = 0; size < bytes.size(); ++size)
        EXPECT_FALSE(decode_told(BytesView(bytes).first(size))) << size;
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(decode_told(longer));
    EXPECT_FALSE(decode_told(encode_told({{node(1, ip("0.0.0.0")), 0}})));
    EXPECT_FALSE(decode_told(encode_told({{node(1, ip("8.8.8.8"), 0), 0}})));
    Bytes no_point = bytes;
    no_point[1] = 4;
    EXPECT_FALSE(decode_told(no_point));
    const std::vector<ToldAddress> many(kToldMax + 1, told[0]);
    EXPECT_EQ(decode_told(encode_told(many))->size(), kToldMax);
    Bytes counted(1 + (kToldMax + 1) * 53);
    counted[0] = kToldMax + 1;
    EXPECT_FALSE(decode_told(counted));
}

}  // namespace
}  // namespace trainyard::p2p
