// SPDX-License-Identifier: Apache-2.0
// Permits and ways through sentries, and the messages that take them.
#include "node/p2p/routes.hpp"

#include <gtest/gtest.h>

namespace trainyard::p2p {
namespace {

constexpr uint64_t kNow = 1'800'000'000;

SecretKey secret(uint8_t n) {
    SecretKey key;
    key.bytes[31] = n;
    return key;
}
PublicKey id(uint8_t n) {
    return *public_key(secret(n));
}
Permit permit(uint8_t validator, uint8_t sentry, uint64_t expires_s = kNow + kPermitLifetime_s) {
    return make_permit(secret(validator), Hash{}, id(sentry), expires_s);
}

TEST(permit, is_the_validators_word_for_one_sentry_chain_and_time) {
    const Permit good = permit(1, 2);
    EXPECT_TRUE(is_genuine(good, Hash{}));
    EXPECT_FALSE(is_genuine(good, Hash{{{1}}}));
    Permit bad = good;
    bad.sentry = id(3);
    EXPECT_FALSE(is_genuine(bad, Hash{}));
    bad = good;
    ++bad.expires_s;
    EXPECT_FALSE(is_genuine(bad, Hash{}));
    bad = good;
    bad.validator = id(3);
    EXPECT_FALSE(is_genuine(bad, Hash{}));
}

TEST(permit, round_trips_and_rejects_every_other_length) {
    const Bytes bytes = encode_permit(permit(1, 2));
    EXPECT_EQ(bytes.size(), find_kind(Kind::permit)->payload_max);
    EXPECT_EQ(decode_permit(bytes), permit(1, 2));
    for (size_t size = 0; size < bytes.size(); ++size)
        EXPECT_FALSE(decode_permit(BytesView(bytes).first(size))) << size;
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(decode_permit(longer));
}

TEST(routes, are_taken_renewed_and_dropped) {
    Routes routes;
    ASSERT_TRUE(routes.is_news(permit(1, 2), kNow));
    routes.take(permit(1, 2));
    EXPECT_FALSE(routes.is_news(permit(1, 2), kNow)) << "it says nothing new";
    EXPECT_TRUE(routes.is_news(permit(1, 2, kNow + kPermitLifetime_s + 1), kNow));
    EXPECT_FALSE(routes.is_news(permit(1, 3, kNow), kNow)) << "it is over";
    EXPECT_FALSE(routes.is_news(permit(1, 3, kNow + 3 * kPermitLifetime_s), kNow));
    routes.take(permit(1, 3, kNow + 10));
    EXPECT_EQ(routes.way_to(id(1)), id(2)) << "the older way stays while it works";
    EXPECT_TRUE(routes.carries(id(3), id(1)));
    EXPECT_FALSE(routes.carries(id(1), id(3)));
    routes.drop(id(1), id(2));
    EXPECT_EQ(routes.way_to(id(1)), id(3));
    routes.drop_expired(kNow + 10);
    EXPECT_FALSE(routes.way_to(id(1)));
    routes.take(permit(1, 2));
    routes.take(permit(4, 2));
    EXPECT_EQ(routes.validators().size(), 2u);
    routes.drop_sentry(id(2));
    EXPECT_TRUE(routes.validators().empty());
}

TEST(routes, one_sentry_speaks_for_few) {
    Routes routes;
    for (uint8_t n = 0; n < Routes::kPerSentryMax; ++n) {
        const auto next = permit(static_cast<uint8_t>(10 + n), 2);
        ASSERT_TRUE(routes.is_news(next, kNow));
        routes.take(next);
    }
    EXPECT_FALSE(routes.is_news(permit(100, 2), kNow));
    EXPECT_TRUE(routes.is_news(permit(100, 3), kNow));
}

TEST(routes, strangers_leave_room_for_validators) {
    Routes routes;
    for (size_t n = 0; n < Routes::kStrangersMax; ++n) {
        const auto next = permit(static_cast<uint8_t>(1 + n % 8), static_cast<uint8_t>(10 + n / 8));
        ASSERT_TRUE(routes.is_news(next, kNow, true)) << n;
        routes.take(next);
    }
    EXPECT_FALSE(routes.is_news(permit(100, 200), kNow, true));
    EXPECT_TRUE(routes.is_news(permit(100, 200), kNow));
}

TEST(routed, carries_consensus_alone_within_the_limits_of_its_kinds) {
    for (const KindRow& row : kKinds) {
        const auto carrier = carrier_of(row.kind);
        const bool is_consensus = row.name.starts_with("bft_");
        EXPECT_EQ(carrier.has_value(), is_consensus) << row.name;
        if (!carrier) continue;
        EXPECT_EQ(find_kind(*carrier)->lane, row.lane) << row.name;
        EXPECT_LE(row.payload_max + kRoutedOverhead, find_kind(*carrier)->payload_max) << row.name;
        const Routed longest{id(1), id(2), row.kind, Bytes(row.payload_max, 7)};
        Bytes bytes = encode_routed(longest);
        EXPECT_EQ(decode_routed(*carrier, bytes), longest) << row.name;
        bytes.push_back(7);
        EXPECT_FALSE(decode_routed(*carrier, bytes)) << row.name;
    }
    const Bytes vote = encode_routed({id(1), id(2), Kind::bft_vote, {1}});
    EXPECT_FALSE(decode_routed(Kind::routed_repair, vote)) << "in another lane than its own";
    for (size_t size = 0; size < kRoutedOverhead; ++size)
        EXPECT_FALSE(decode_routed(Kind::routed_vote, BytesView(vote).first(size))) << size;
    Bytes other = vote;
    other[kRoutedOverhead - 1] = static_cast<uint8_t>(Kind::tx);
    EXPECT_FALSE(decode_routed(Kind::routed_vote, other));
    other[kRoutedOverhead - 1] = static_cast<uint8_t>(Kind::routed_vote);
    EXPECT_FALSE(decode_routed(Kind::routed_vote, other)) << "a message is wrapped once";
}

}  // namespace
}  // namespace trainyard::p2p
