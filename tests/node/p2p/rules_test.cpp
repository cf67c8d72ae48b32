// SPDX-License-Identifier: Apache-2.0
// What needs no sockets: lanes, budgets, codecs, names, duplicates, backoff and bans.
#include <gtest/gtest.h>

#include "node/p2p/ban_list.hpp"

#include "core/hash.hpp"

#include "node/p2p/frame.hpp"
#include "node/p2p/lanes.hpp"
#include "node/p2p/messages.hpp"
#include "node/p2p/peer_rules.hpp"

namespace trainyard::p2p {
namespace {

Frame bytes(size_t n, uint8_t value = 0) {
    return std::make_shared<const Bytes>(n, value);
}

PeerId peer(uint8_t n) {
    PeerId id;
    id[0] = 2;
    id[32] = n;
    return id;
}

TEST(lanes, higher_lanes_go_first_and_each_lane_keeps_its_order) {
    LaneQueues queues({100, 100, 100, 100, 100});
    queues.push(Lane::bulk, bytes(1, 1));
    queues.push(Lane::proposals, bytes(1, 2));
    queues.push(Lane::votes, bytes(1, 3));
    queues.push(Lane::votes, bytes(1, 4));
    for (const uint8_t expected : {3, 4, 2, 1}) EXPECT_EQ(queues.pop()->at(0), expected);
    EXPECT_EQ(queues.pop(), nullptr);
    EXPECT_TRUE(queues.empty());
}

TEST(lanes, full_lane_drops_its_oldest_and_leaves_others_alone) {
    LaneQueues queues({100, 100, 100, 100, 100});
    queues.push(Lane::txs, bytes(50, 1));
    queues.push(Lane::votes, bytes(1, 9));
    for (uint8_t i = 2; i <= 4; ++i) queues.push(Lane::votes, bytes(40, i));
    queues.push(Lane::votes, bytes(101, 5));  // larger than its lane: refused
    EXPECT_EQ(queues.dropped(), 3u);
    for (const uint8_t expected : {3, 4, 1}) EXPECT_EQ(queues.pop()->at(0), expected);
    EXPECT_TRUE(queues.empty());
}

TEST(token_bucket, gives_its_burst_then_its_rate) {
    TokenBucket bucket(1000, 500, 0);
    EXPECT_TRUE(bucket.take(500, 0));
    EXPECT_FALSE(bucket.take(1, 0));
    EXPECT_FALSE(bucket.take(101, 100));
    EXPECT_TRUE(bucket.take(100, 100));
    EXPECT_FALSE(bucket.take(501, 1'000'000'000));  // idle time fills it no further than the burst
    EXPECT_TRUE(bucket.take(500, 1'000'000'000));
}

TEST(token_bucket, counts_small_steps_of_time) {
    TokenBucket bucket(100, 10, 0);  // one byte each 10 ms
    ASSERT_TRUE(bucket.take(10, 0));
    int taken = 0;
    for (uint64_t now = 1; now <= 100; ++now) taken += bucket.take(1, now) ? 1 : 0;
    EXPECT_EQ(taken, 10);
}

TEST(token_bucket, a_charge_is_taken_in_any_case_and_waited_for) {
    TokenBucket bucket(1000, 500, 0);
    EXPECT_EQ(bucket.charge(400, 0), 0u);
    EXPECT_EQ(bucket.charge(200, 0), 101u) << "a hundred were there";
    EXPECT_FALSE(bucket.take(1, 101)) << "what came in until then is spent";
    EXPECT_TRUE(bucket.take(100, 201));
    EXPECT_EQ(bucket.charge(1000, 201), 1001u);
    EXPECT_EQ(bucket.charge(1000, 301), 1902u) << "behind what the one before it waits for";
    EXPECT_FALSE(bucket.take(1, 2203));
    EXPECT_TRUE(bucket.take(1, 2204));
}

TEST(kinds, fit_their_frames_and_answers_exist) {
    for (const KindRow& row : kKinds) {
        EXPECT_LE(row.payload_max + kEnvelopeOverheadMax + kFrameHeaderBytes, kFrameBytesMax)
            << row.name;
        EXPECT_EQ(find_kind(row.kind), &row) << row.name << " has the number of another kind";
        if (row.is_request()) {
            EXPECT_NE(find_kind(row.answer), nullptr) << row.name;
            EXPECT_GT(row.work_cost, 0u) << row.name;
        }
    }
    EXPECT_EQ(find_kind(uint8_t{0}), nullptr);
}

TEST(frame, round_trips_the_longest_payload_of_each_kind) {
    for (const KindRow& row : kKinds) {
        const uint64_t id = row.is_request() ? 0x0102030405060708u : 0;
        const Bytes payload(row.payload_max, 0x5a);
        const Frame encoded = encode_frame(row.kind, id, payload);
        std::array<uint8_t, kFrameHeaderBytes> header{};
        std::copy_n(encoded->begin(), header.size(), header.begin());
        const auto decoded = decode_header(header);
        ASSERT_TRUE(decoded.has_value()) << row.name;
        EXPECT_EQ(decoded->envelope_bytes + kFrameHeaderBytes, encoded->size());
        const auto message =
            decode_envelope(*decoded->row, BytesView(*encoded).subspan(header.size()));
        if (!message) {
            EXPECT_EQ(message.error(), FrameError::bad_request_id) << row.name;  // answers need one
            continue;
        }
        EXPECT_EQ(*message, (Message{row.kind, id, payload})) << row.name;
    }
}

TEST(frame, rejects_a_payload_one_byte_above_the_limit_of_its_kind) {
    const KindRow& longest = *find_kind(Kind::blocks);
    for (const KindRow& row : kKinds) {
        if (row.payload_max >= longest.payload_max) continue;  // its header refuses it
        const Frame encoded = encode_frame(longest.kind, 1, Bytes(row.payload_max + 1, 0x5a));
        const auto message = decode_envelope(row, BytesView(*encoded).subspan(kFrameHeaderBytes));
        ASSERT_FALSE(message) << row.name;
        EXPECT_EQ(message.error(), FrameError::too_long) << row.name;
    }
    std::array<uint8_t, kFrameHeaderBytes> header{};
    for (const KindRow& row : kKinds) {
        const auto length = static_cast<uint32_t>(1 + row.payload_max + kEnvelopeOverheadMax);
        header = {static_cast<uint8_t>(length + 1), static_cast<uint8_t>((length + 1) >> 8),
                  static_cast<uint8_t>((length + 1) >> 16), 0, static_cast<uint8_t>(row.kind)};
        const auto decoded = decode_header(header);
        ASSERT_FALSE(decoded) << row.name;
        EXPECT_EQ(decoded.error(), FrameError::too_long) << row.name;
    }
}

TEST(clocks, the_middle_one_counts_and_few_do_not) {
    EXPECT_FALSE(median({}, 0));
    EXPECT_FALSE(median({1, 2}, 3));
    EXPECT_EQ(median({900, -5, 7}, 3), 7);
    EXPECT_EQ(median({4, 3, 2, 1}, 3), 2);
    EXPECT_EQ(median({INT64_MIN, INT64_MAX, 0}, 3), 0) << "liars do not move it";
}

TEST(messages, round_trip) {
    const Hash hash = sha256(as_bytes("x"));
    const Hello hello{hash, 0x1122334455667788, 30303, "trainyard/0.1"};
    EXPECT_EQ(decode_hello(encode_hello(hello)), hello);
    const Status status{Height{7}, hash, Epoch{2}, View{9}};
    EXPECT_EQ(decode_status(encode_status(status)), status);
    EXPECT_EQ(decode_goodbye(encode_goodbye("because")), "because");
    EXPECT_EQ(decode_get_block(encode_get_block(hash)), hash);
    const GetBlocks range{Height{5}, 64};
    EXPECT_EQ(decode_get_blocks(encode_get_blocks(range)), range);
    const std::vector<FinalisedBlock> blocks{{{1, 2}, {}}, {{3}, {4, 5}}};
    EXPECT_EQ(decode_blocks(encode_blocks(blocks)), blocks);
    EXPECT_EQ(decode_blocks(encode_blocks({})), std::vector<FinalisedBlock>{});
    const std::vector<SnapshotOffer> offers{{hash, Hash{}, Height{64}, 3, 1u << 20, 5000},
                                            {Hash{}, hash, Height{128}, 0, 0, 0}};
    EXPECT_EQ(decode_snapshots(encode_snapshots(offers)), offers);
    EXPECT_EQ(decode_snapshots(encode_snapshots({})), std::vector<SnapshotOffer>{});
    const GetBoundaries epochs{Epoch{7}, kBoundariesPerRequestMax};
    EXPECT_EQ(decode_get_boundaries(encode_get_boundaries(epochs)), epochs);
    const std::vector<Bytes> boundaries{{1, 2, 3}, {}};
    EXPECT_EQ(decode_boundaries(encode_boundaries(boundaries)), boundaries);
    const GetSnapshotPart part{hash, true, 2};
    EXPECT_EQ(decode_get_snapshot_part(encode_get_snapshot_part(part)), part);
    const BlobRequest request{hash, 3};
    EXPECT_EQ(decode_blob_request(encode_blob_request(request)), request);
    EXPECT_EQ(decode_has_blob(encode_has_blob(true)), true);
    EXPECT_EQ(decode_has_blob(encode_has_blob(false)), false);
    const BlobManifest manifest{1u << 18, {hash, Hash{}}};
    EXPECT_EQ(decode_blob_manifest(encode_blob_manifest(manifest)), manifest);
}

TEST(messages, rejects_every_prefix_and_every_leftover) {
    const Hash hash = sha256(as_bytes("x"));
    const Bytes blocks = encode_blocks({{{1, 2}, {}}, {{3}, {4, 5}}});
    for (size_t n = 0; n < blocks.size(); ++n) {
        EXPECT_FALSE(decode_blocks(BytesView(blocks).first(n))) << n;
    }
    Bytes longer = blocks;
    longer.push_back(0);
    EXPECT_FALSE(decode_blocks(longer));
    const Bytes hello = encode_hello({hash, 1, 2, "a"});
    for (size_t n = 0; n < 34; ++n) EXPECT_FALSE(decode_hello(BytesView(hello).first(n))) << n;
    EXPECT_FALSE(decode_hello(Bytes(200, 0xff)));
}

TEST(messages, rejects_values_out_of_range_and_second_encodings) {
    const Hash hash = sha256(as_bytes("x"));
    EXPECT_FALSE(decode_get_blocks(encode_get_blocks({Height{1}, 0})));
    EXPECT_FALSE(decode_get_blocks(encode_get_blocks({Height{1}, kBlocksPerRequestMax + 1})));
    EXPECT_FALSE(decode_get_boundaries(encode_get_boundaries({Epoch{1}, 0})));
    EXPECT_FALSE(decode_get_boundaries(encode_get_boundaries({Epoch{1}, 65})));
    EXPECT_FALSE(decode_boundaries(Bytes{65}));
    EXPECT_FALSE(decode_boundaries(Bytes{1, 2, 0, 0, 0, 7}));
    EXPECT_FALSE(decode_boundaries(Bytes{0, 0}));
    Bytes many;
    for (size_t i = 0; i <= kOffersMax; ++i)
        append(many, encode_snapshots({{hash, hash, Height{i}, 1, 1, 1}}));
    EXPECT_FALSE(decode_snapshots(many));
    EXPECT_FALSE(decode_snapshots(Bytes{0x0a, 0x00}));          // an offer without hashes
    EXPECT_FALSE(decode_get_snapshot_part(Bytes{0x18, 0x01}));  // of no snapshot
    EXPECT_FALSE(decode_hello(encode_hello({hash, 1, 2, std::string(65, 'a')})));
    EXPECT_FALSE(decode_blocks(Bytes{65}));
    EXPECT_FALSE(decode_blocks(Bytes{1, 0xff, 0xff, 0xff, 0xff}));
    EXPECT_FALSE(decode_has_blob(Bytes{0x08, 0x00}));             // false is written as nothing
    EXPECT_FALSE(decode_has_blob(Bytes{0x08, 0x02}));             // true is written as 1
    EXPECT_FALSE(decode_blob_manifest(Bytes{0x12, 0x01, 0x00}));  // not a whole hash
    Bytes twice = encode_get_block(hash);
    append(twice, encode_get_block(hash));
    EXPECT_FALSE(decode_get_block(twice));
}

TEST(names, endpoints_and_static_peers) {
    EXPECT_EQ(endpoint_from("example.org:30303"), (Endpoint{"example.org", 30303}));
    EXPECT_EQ(endpoint_from("[::1]:5"), (Endpoint{"::1", 5}));
    EXPECT_EQ(to_string(Endpoint{"::1", 5}), "[::1]:5");
    for (const char* bad :
         {"", "host", "host:", ":5", "::1:5", "host:65536", "host:-1", "host:5x"}) {
        EXPECT_FALSE(endpoint_from(bad)) << bad;
    }
    EXPECT_EQ(endpoint_from("host:0"), (Endpoint{"host", 0}));
    EXPECT_EQ(peer_endpoint_from("host:1"), (Endpoint{"host", 1}));
    for (const char* bad : {"", "host", "host:0", "[::1]:0"})
        EXPECT_FALSE(peer_endpoint_from(bad)) << bad;
    const std::string key = to_hex(peer(7).bytes);
    EXPECT_EQ(static_peer_from(key + "@1.2.3.4:5"), (StaticPeer{{"1.2.3.4", 5}, peer(7)}));
    EXPECT_FALSE(static_peer_from(key + "@1.2.3.4:0"));
    EXPECT_FALSE(static_peer_from("1.2.3.4:5"));
    EXPECT_FALSE(static_peer_from(key.substr(2) + "@1.2.3.4:5"));
}

TEST(duplicates, both_ends_keep_the_same_connection) {
    const PeerId small = peer(1), large = peer(2);
    // Connection s was dialled by the smaller key, l by the larger; each end sees them in either
    // order.
    const Link s_at_small{false, 10}, l_at_small{true, 10}, s_at_large{true, 20},
        l_at_large{false, 20};
    EXPECT_TRUE(newer_link_wins(small, large, l_at_small, s_at_small));
    EXPECT_FALSE(newer_link_wins(small, large, s_at_small, l_at_small));
    EXPECT_TRUE(newer_link_wins(large, small, l_at_large, s_at_large));
    EXPECT_FALSE(newer_link_wins(large, small, s_at_large, l_at_large));
}

TEST(duplicates, restarted_peer_and_same_direction_replace_the_older) {
    EXPECT_TRUE(newer_link_wins(peer(1), peer(2), {false, 10}, {true, 11}));
    EXPECT_TRUE(newer_link_wins(peer(1), peer(2), {true, 10}, {true, 10}));
}

TEST(guests, the_latest_of_the_fullest_network_leaves_for_one_of_another) {
    const auto guest = [](uint8_t n, uint8_t net, uint64_t since_ms) {
        return Guest{peer(n), {4, net}, since_ms};
    };
    const std::vector<Guest> guests{guest(1, 7, 10), guest(2, 7, 30), guest(3, 7, 20),
                                    guest(4, 8, 40)};
    EXPECT_EQ(whom_to_replace(guests, {4, 9}), peer(2));
    EXPECT_EQ(whom_to_replace(guests, {4, 8}), peer(2)) << "two of each afterwards";
    EXPECT_FALSE(whom_to_replace(guests, {4, 7}));
    EXPECT_FALSE(whom_to_replace({guest(1, 7, 1), guest(2, 8, 1)}, {4, 9})) << "nobody has more";
    EXPECT_FALSE(whom_to_replace({}, {4, 9}));
}

TEST(greeters, the_earliest_of_the_fullest_network_makes_room) {
    const std::vector<Greeter> greeters{
        {{4, 7}, 30}, {{4, 8}, 10}, {{4, 7}, 20}, {{4, 7}, 40}, {{4, 8}, 50}};
    EXPECT_EQ(whom_to_cut_short(greeters), 2u);
    EXPECT_EQ(whom_to_cut_short({{{4, 1}, 9}, {{4, 2}, 8}}), 1u) << "each has one";
}

TEST(backoff_rule, doubles_up_to_its_limit_and_keeps_at_least_half) {
    NetworkOptions o;
    o.backoff_min = runtime::Duration(100);
    o.backoff_max = runtime::Duration(1000);
    EXPECT_EQ(backoff(o, 0, 0).count(), 100);
    EXPECT_EQ(backoff(o, 2, 0).count(), 400);
    EXPECT_EQ(backoff(o, 9, 0).count(), 1000);
    EXPECT_EQ(backoff(o, 4'000'000'000u, 0).count(), 1000);
    for (uint64_t random = 0; random < 2000; ++random) {
        EXPECT_GE(backoff(o, 2, random).count(), 200);
        EXPECT_LE(backoff(o, 2, random).count(), 400);
    }
}

TEST(scores, regain_with_time_and_ban_at_zero) {
    Scores scores;
    EXPECT_EQ(scores.score(peer(1), 0), 100);
    EXPECT_FALSE(scores.punish(peer(1), 60, "a", 5000, 0));
    EXPECT_EQ(scores.score(peer(1), 10'000), 50);
    EXPECT_FALSE(scores.punish(peer(1), 49, "b", 5000, 10'000));
    EXPECT_TRUE(scores.punish(peer(1), 1, "c", 5000, 10'000));
    const auto ban = scores.ban(peer(1), 12'000);
    ASSERT_TRUE(ban.has_value());
    EXPECT_EQ(ban->reason, "c");
    EXPECT_EQ(ban->left_ms, 3000u);
    EXPECT_FALSE(scores.punish(peer(1), 100, "while banned", 5000, 12'000));
    EXPECT_FALSE(scores.ban(peer(1), 15'000));
    EXPECT_EQ(scores.score(peer(1), 15'000), 50);
    EXPECT_FALSE(scores.ban(peer(2), 12'000));
}

TEST(scores, memory_is_bounded_and_bans_survive_the_longest) {
    Scores scores;
    const auto nth = [](uint32_t n) {
        PeerId id;
        id[0] = 3;
        id[1] = static_cast<uint8_t>(n >> 16);
        id[2] = static_cast<uint8_t>(n >> 8);
        id[3] = static_cast<uint8_t>(n);
        return id;
    };
    scores.punish(nth(0), 100, "banned for long", 1'000'000'000, 0);
    for (uint32_t n = 1; n < 3 * Scores::kRecordsMax; ++n) scores.punish(nth(n), 1, "x", 1, n);
    EXPECT_TRUE(scores.ban(nth(0), 100'000).has_value());
}

TEST(scores, bans_by_hand_replace_each_other_and_are_listed_until_they_end) {
    Scores scores;
    scores.set_ban(peer(1), "first", 1000, 0);
    scores.set_ban(peer(1), "second", 5000, 100);
    scores.set_ban(peer(2), "for ever", UINT64_MAX, 100);
    ASSERT_EQ(scores.bans(200).size(), 2u);
    EXPECT_EQ(scores.ban(peer(1), 200)->reason, "second");
    EXPECT_EQ(scores.ban(peer(1), 200)->left_ms, 4900u);
    EXPECT_EQ(scores.bans(6000).size(), 1u);
    scores.lift_ban(peer(2));
    EXPECT_TRUE(scores.bans(6000).empty());
    EXPECT_EQ(scores.score(peer(2), 6000), Scores::kSpotless);
}

TEST(ban_list, reads_what_it_writes) {
    const std::vector<Ban> bans{{peer(1), 1'800'000'000'000, "wrong chunk"},
                                {peer(2), UINT64_MAX, ""}};
    const auto list = read_ban_list(write_ban_list(bans));
    EXPECT_EQ(list.bans, bans);
    EXPECT_EQ(list.lines_skipped, 0u);
    const auto one_line = read_ban_list(write_ban_list({{peer(1), 1, "two\nlines\r\n"}}));
    ASSERT_EQ(one_line.bans.size(), 1u);
    EXPECT_EQ(one_line.bans[0].reason, "two lines  ");
}

TEST(ban_list, takes_what_it_can_of_a_torn_or_damaged_file) {
    const std::string good = write_ban_list({{peer(1), 5, "a"}, {peer(2), 6, "b"}});
    for (size_t size = 0; size < good.size(); ++size) {
        const auto list = read_ban_list(good.substr(0, size));
        EXPECT_LE(list.bans.size(), 1u) << size;
        for (const auto& ban : list.bans) EXPECT_EQ(ban, (Ban{peer(1), 5, "a"}));
    }
    const std::string key = to_hex(peer(1).bytes);
    for (const std::string& line :
         {std::string("x"), key, key + " 5", key + " -5 why", key + " 5x why",
          key + " 99999999999999999999 why", key.substr(2) + " 5 why",
          key + " 5 " + std::string(kBanReasonMax + 1, 'r')}) {
        const auto list = read_ban_list("trainyard bans 1\n" + line + "\n" + key + " 7 good\n");
        ASSERT_EQ(list.bans.size(), 1u) << line;
        EXPECT_EQ(list.bans[0].until_wall_ms, 7u);
        EXPECT_EQ(list.lines_skipped, 1u);
    }
    std::string many;
    for (size_t i = 0; i < kBansMax + 10; ++i) many += key + " 7 x\n";
    EXPECT_EQ(read_ban_list(many).bans.size(), kBansMax);
}

}  // namespace
}  // namespace trainyard::p2p
