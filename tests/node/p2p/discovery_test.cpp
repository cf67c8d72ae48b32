// SPDX-License-Identifier: Apache-2.0
// Nodes that find each other through one seed, validators that hide behind sentries, and caps.
#include <mutex>

#include <gmock/gmock.h>

#include "node/p2p/frame.hpp"
#include "node/p2p/network.hpp"
#include "node/p2p/routes.hpp"
#include "tests/node/p2p/cluster.hpp"

namespace trainyard::p2p {
namespace {

using namespace test;
using ::testing::HasSubstr;

NetworkOptions finding_options(uint8_t n) {
    auto o = options(n);
    o.discovery_interval = runtime::Duration(20);
    o.ask_interval = runtime::Duration(40);
    o.settle_time = runtime::Duration(50);
    o.answer_interval = runtime::Duration(1);
    return o;
}

class finding : public ::testing::Test {
protected:
    void SetUp() override { runtime_.start(); }
    void TearDown() override {
        runtime_.request_stop();
        runtime_.join();
    }

    /// A node that counts and keeps the votes it hears, with who said them.
    struct Node {
        std::unique_ptr<Network> net;
        std::vector<std::pair<PeerId, Bytes>> heard;
        std::mutex mutex;
        [[nodiscard]] bool has(uint8_t from, const Bytes& what) {
            const std::lock_guard lock(mutex);
            return std::find(heard.begin(), heard.end(), std::pair(id_of(from), what)) !=
                   heard.end();
        }
        [[nodiscard]] size_t count(const Bytes& what) {
            const std::lock_guard lock(mutex);
            return static_cast<size_t>(std::count_if(
                heard.begin(), heard.end(), [&](const auto& one) { return one.second == what; }));
        }
        [[nodiscard]] bool sees(uint8_t peer) const { return net->is_connected(id_of(peer)); }
    };

    std::unique_ptr<Node> start(NetworkOptions o) {
        auto node = std::make_unique<Node>();
        node->net = std::make_unique<Network>(runtime_, std::move(o), log_);
        for (const Kind kind : {Kind::bft_vote, Kind::bft_proposal, Kind::bft_ask})
            node->net->on(kind, strand_, [at = node.get()](const PeerId& from, Bytes payload) {
                const std::lock_guard lock(at->mutex);
                at->heard.emplace_back(from, std::move(payload));
            });
        EXPECT_TRUE(eventually([&] { return node->net->start().has_value(); }));
        return node;
    }
    StaticPeer at(const Node& node, uint8_t n) const { return peer_at(n, node.net->port()); }

    runtime::Runtime runtime_{runtime::Runtime::Options{.io_threads = 2, .pool_threads = 1}};
    runtime::Logger log_ = runtime::Logger::null();
    runtime::Strand strand_ = runtime_.make_strand();
};

TEST_F(finding, a_node_that_knows_one_seed_finds_all_others) {
    const auto seed = start(finding_options(1));
    std::vector<std::unique_ptr<Node>> nodes;
    for (uint8_t n = 2; n <= 5; ++n) {
        auto o = finding_options(n);
        o.seeds = {at(*seed, 1)};
        nodes.push_back(start(o));
    }
    for (const auto& node : nodes)
        EXPECT_TRUE(eventually([&] { return node->net->connected().size() == 4; }));
    // Known to somebody who has found them, they are there after a restart without any seed.
    const auto last = nodes.back()->net.get();
    ASSERT_TRUE(eventually([&] { return last->book_counts().tried >= 1; }));
    EXPECT_TRUE(eventually([&] {
        const auto counts = last->book_counts();
        return counts.heard + counts.tried == 4;
    }));
}

TEST_F(finding, never_tells_of_private_peers) {
    auto os = finding_options(1);
    os.private_peers = {id_of(2)};
    const auto seed = start(os);
    auto o2 = finding_options(2);
    o2.seeds = {at(*seed, 1)};
    const auto hidden = start(o2);
    ASSERT_TRUE(eventually([&] { return seed->sees(2); }));
    auto o3 = finding_options(3);
    o3.seeds = {at(*seed, 1)};
    const auto open = start(o3);
    auto o4 = finding_options(4);
    o4.seeds = {at(*seed, 1)};
    const auto asker = start(o4);
    ASSERT_TRUE(eventually([&] { return asker->sees(3) && hidden->sees(3); }));
    // The private one dials others itself, so that they know it; the seed alone keeps quiet.
    RawPeer curious(seed->net->port(), 90);
    curious.greet();
    ASSERT_TRUE(curious.read());  // its hello
    curious.write(Kind::get_peers, 7, {});
    std::optional<Message> answer = curious.read();
    while (answer && answer->kind != Kind::peers) answer = curious.read();
    ASSERT_TRUE(answer);
    const auto told = decode_told(answer->payload);
    ASSERT_TRUE(told);
    EXPECT_GE(told->size(), 1u);
    for (const auto& each : *told) EXPECT_NE(each.address.id, id_of(2));
}

TEST_F(finding, tells_addresses_on_request_alone_and_seldom) {
    auto o = finding_options(1);
    o.answer_interval = runtime::Duration(60'000);
    const auto node = start(o);
    RawPeer asker(node->net->port(), 90);
    asker.greet();
    ASSERT_TRUE(asker.read());
    std::vector<Kind> answers;
    for (uint64_t id = 1; id <= 3; ++id) asker.write(Kind::get_peers, id, {});
    while (answers.size() < 3) {
        const auto message = asker.read();
        ASSERT_TRUE(message);
        if (message->kind == Kind::peers || message->kind == Kind::refused)
            answers.push_back(message->kind);
    }
    EXPECT_EQ(answers, (std::vector<Kind>{Kind::peers, Kind::refused, Kind::refused}));
    // Addresses that nobody asked for are an answer to no question: nothing is taken from them.
    NodeAddress made_up{id_of(77), *ip_from("127.0.0.1"), 1};
    asker.write(Kind::peers, 99, encode_told({{made_up, 0}}));
    asker.write(Kind::ping, 0, Bytes(8, 1));
    while (const auto message = asker.read())
        if (message->kind == Kind::pong) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(node->net->book_counts().heard, 0u);
}

TEST_F(finding, a_malformed_list_of_addresses_costs_points) {
    const auto node = start(finding_options(1));
    RawPeer liar(node->net->port(), 90);
    liar.greet();
    // The node asks whoever is connected, since it knows too few.
    for (int i = 0; i < 100; ++i) {
        const auto message = liar.read();
        ASSERT_TRUE(message);
        if (message->kind != Kind::get_peers) continue;
        liar.write(Kind::peers, message->request_id, Bytes{1, 2, 3});
        break;
    }
    EXPECT_TRUE(eventually([&] {
        const auto peers = node->net->peers();
        return peers.size() == 1 && peers[0].score < 80;
    }));
    EXPECT_THAT(node->net->peers()[0].last_problem, HasSubstr("malformed list of addresses"));
}

TEST_F(finding, a_node_that_turns_everybody_away_has_not_answered) {
    auto full = finding_options(1);
    full.inbound_max = 0;
    const auto crowded = start(full);
    auto o = finding_options(2);
    AddressBook book(Hash{});
    const uint64_t now_s = runtime_.clock().wall_ms() / 1000;
    const Ip here = *ip_from("127.0.0.1");
    ASSERT_TRUE(book.hear({id_of(1), here, crowded->net->port()}, here, now_s, now_s));
    o.book = book;
    o.settle_time = runtime::Duration(1000);
    const auto node = start(o);
    ASSERT_TRUE(eventually([&] { return node->net->book_counts().heard == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_EQ(node->net->book_counts().tried, 0u);
    EXPECT_FALSE(node->sees(1));
    EXPECT_EQ(crowded->net->connected().size(), 0u);
}

TEST_F(finding, a_banned_peer_leaves_the_book) {
    const auto a = start(finding_options(1));
    auto o = finding_options(2);
    o.seeds = {at(*a, 1)};
    const auto b = start(o);
    ASSERT_TRUE(eventually([&] { return b->net->book_counts().tried == 1; }));
    b->net->ban(id_of(1), runtime::Duration(60'000), "by a test");
    EXPECT_TRUE(eventually([&] {
        const auto counts = b->net->book_counts();
        return !b->sees(1) && counts.heard + counts.tried == 0;
    }));
}

TEST_F(finding, peers_are_added_and_removed_by_hand) {
    const auto a = start(finding_options(1));
    auto o = finding_options(2);
    o.outbound_max = 0;
    const auto b = start(o);
    b->net->add_peer(at(*a, 1));
    ASSERT_TRUE(eventually([&] { return b->sees(1); }));
    EXPECT_EQ(b->net->peers()[0].source, Source::settings);
    b->net->remove_peer(id_of(1));
    ASSERT_TRUE(eventually([&] { return b->net->peers().empty(); }));
}

TEST_F(finding, measures_how_far_clocks_differ) {
    const auto hub = start(finding_options(1));
    std::vector<std::unique_ptr<Node>> nodes;
    for (uint8_t n = 2; n <= 4; ++n) {
        EXPECT_FALSE(hub->net->clock_ahead_ms()) << "fewer than three peers are no judges";
        auto o = finding_options(n);
        o.peers = {at(*hub, 1)};
        nodes.push_back(start(o));
        ASSERT_TRUE(eventually([&] { return hub->sees(n); }));
    }
    ASSERT_TRUE(eventually([&] { return hub->net->clock_ahead_ms().has_value(); }));
    EXPECT_LT(std::abs(*hub->net->clock_ahead_ms()), 1000) << "all have one machine's clock";
}

TEST_F(finding, believes_the_middle_of_its_peers_clocks) {
    auto o = finding_options(1);
    o.ping_interval = runtime::Duration(60'000);  // one ping each, at the beginning
    const auto hub = start(o);
    constexpr int64_t kHour_ms = 3'600'000;
    std::vector<std::unique_ptr<RawPeer>> peers;
    for (const int64_t ahead_ms : {int64_t{5000}, kHour_ms, int64_t{4000}}) {
        auto& peer = *peers.emplace_back(
            std::make_unique<RawPeer>(hub->net->port(), static_cast<uint8_t>(90 + peers.size())));
        peer.greet();
        auto ping = peer.read();
        while (ping && ping->kind != Kind::ping) ping = peer.read();
        ASSERT_TRUE(ping);
        Bytes pong = ping->payload;
        append_le(pong, static_cast<uint64_t>(static_cast<int64_t>(runtime_.clock().wall_ms()) +
                                              ahead_ms));
        peer.write(Kind::pong, 0, pong);
    }
    ASSERT_TRUE(eventually([&] { return hub->net->clock_ahead_ms().has_value(); }));
    EXPECT_NEAR(static_cast<double>(*hub->net->clock_ahead_ms()), 5000, 900);
}

TEST_F(finding, a_pong_of_another_length_ends_the_connection) {
    const auto node = start(finding_options(1));
    for (const size_t size : {size_t{0}, size_t{8}, size_t{15}}) {
        RawPeer peer(node->net->port(), static_cast<uint8_t>(90 + size));
        peer.greet();
        peer.write(Kind::pong, 0, Bytes(size));
        EXPECT_EQ(peer.goodbye(), "a pong has 16 bytes");
    }
    RawPeer peer(node->net->port(), 120);
    peer.greet();
    peer.write(Kind::ping, 0, Bytes(16));  // its answer would not fit
    EXPECT_EQ(peer.goodbye(), "a ping has 8 bytes");
}

TEST_F(finding, pongs_that_nobody_asked_for_are_paid_with_time) {
    auto o = finding_options(1);
    o.ping_interval = runtime::Duration(60'000);
    o.waste = {.bytes_per_second = 400, .burst_bytes = 0};
    const auto node = start(o);
    RawPeer peer(node->net->port(), 121);
    peer.greet();
    const uint64_t begin_ms = runtime_.clock().steady_ms();
    for (int i = 0; i < 4; ++i) peer.write(Kind::pong, 0, Bytes(16, 0xff));
    peer.write(Kind::ping, 0, Bytes(8, 7));
    while (const auto message = peer.read())
        if (message->kind == Kind::pong) break;
    ASSERT_FALSE(peer.error);
    EXPECT_GE(runtime_.clock().steady_ms(), begin_ms + 4 * 200) << "of 80 bytes each, at least";
}

/// hidden 10 behind sentry 1, hidden 11 behind sentry 2, and 3 in the open.
TEST_F(finding, hidden_validators_hear_and_are_heard_through_their_sentries) {
    auto o1 = finding_options(1);
    o1.private_peers = {id_of(10)};
    const auto first = start(o1);
    auto o2 = finding_options(2);
    o2.private_peers = {id_of(11)};
    o2.peers = {at(*first, 1)};
    const auto second = start(o2);
    auto o3 = finding_options(3);
    o3.peers = {at(*first, 1), at(*second, 2)};
    const auto open = start(o3);
    auto o10 = finding_options(10), o11 = finding_options(11);
    o10.sentries = {at(*first, 1)};
    o11.sentries = {at(*second, 2)};
    o11.peers = {at(*open, 3)};  // what else the settings name does not count
    auto a = start(o10), b = start(o11);
    ASSERT_TRUE(eventually([&] { return open->sees(10) && open->sees(11) && first->sees(11); }));
    EXPECT_EQ(a->net->connected().size(), 1u);
    EXPECT_EQ(b->net->connected().size(), 1u);
    for (const auto& info : open->net->peers())
        if (info.id == id_of(10)) {
            EXPECT_EQ(info.source, Source::carried);
            EXPECT_EQ(info.sentry, id_of(1));
            EXPECT_EQ(info.endpoint, Endpoint{});
        }
    // To all, from inside and from outside; large ones too.
    a->net->broadcast(Kind::bft_vote, {1});
    open->net->broadcast(Kind::bft_vote, {2});
    const Bytes large(1u << 20, 5);
    a->net->broadcast(Kind::bft_proposal, large);
    for (auto* node : {first.get(), second.get(), open.get(), b.get()})
        EXPECT_TRUE(eventually([&] { return node->has(10, {1}) && node->has(10, large); }));
    EXPECT_TRUE(eventually([&] { return a->has(3, {2}) && b->has(3, {2}); }));
    // To one: from the open to a hidden one, back, and between two that both hide.
    open->net->send(id_of(10), Kind::bft_ask, {3});
    a->net->send(id_of(3), Kind::bft_ask, {4});
    a->net->send(id_of(11), Kind::bft_ask, {5});
    EXPECT_TRUE(
        eventually([&] { return a->has(3, {3}) && open->has(10, {4}) && b->has(10, {5}); }));
    EXPECT_EQ(open->count({5}), 0u);
    EXPECT_EQ(open->count({1}), 1u) << "one way, one copy";
    // Where it goes, the others are told.
    a.reset();
    EXPECT_TRUE(eventually([&] { return !open->sees(10) && !first->sees(10); }));
    EXPECT_TRUE(open->sees(11));
}

TEST_F(finding, nobody_is_heard_under_anothers_name) {
    auto o1 = finding_options(1);
    o1.private_peers = {id_of(10)};
    const auto sentry = start(o1);
    auto o10 = finding_options(10);
    o10.sentries = {at(*sentry, 1)};
    const auto hidden = start(o10);
    ASSERT_TRUE(eventually([&] { return sentry->sees(10); }));
    RawPeer liar(sentry->net->port(), 90);
    liar.greet();
    ASSERT_TRUE(eventually([&] { return sentry->sees(90); }));
    const auto forge = [&](const PeerId& origin, const PeerId& to, const Bytes& what) {
        liar.write(Kind::routed_vote, 0, encode_routed({origin, to, Kind::bft_vote, what}));
    };
    forge(id_of(10), id_of(1), {1});  // the sentry's own validator
    forge(id_of(3), id_of(10), {2});
    forge(id_of(3), PeerId{}, {3});
    forge(id_of(90), id_of(10), {4});  // its own name: passed on
    ASSERT_TRUE(eventually([&] { return hidden->has(90, {4}); }));
    for (const Bytes& what : {Bytes{1}, Bytes{2}, Bytes{3}}) {
        EXPECT_EQ(hidden->count(what), 0u);
        EXPECT_EQ(sentry->count(what), 0u);
    }
    // Nor does a stranger become a way to a validator by saying so.
    Permit forged = make_permit(secret(90), genesis(), id_of(90), 1);
    forged.validator = id_of(10);
    forged.expires_s = static_cast<uint64_t>(std::time(nullptr)) + 1000;
    liar.write(Kind::permit, 0, encode_permit(forged));
    EXPECT_TRUE(eventually([&] {
        for (const auto& info : sentry->net->peers())
            if (info.id == id_of(90)) return info.score < 80;
        return false;
    }));
}

TEST_F(finding, copies_go_to_carried_validators_and_to_nobody_who_says_that_he_is_one) {
    auto o = finding_options(1);
    o.is_validator = [](const PeerId& peer) { return peer == id_of(11); };
    const auto node = start(o);
    RawPeer sentry(node->net->port(), 90);
    sentry.greet();
    const auto until = static_cast<uint64_t>(std::time(nullptr)) + 1000;
    for (const uint8_t n : {10, 11})
        sentry.write(Kind::permit, 0,
                     encode_permit(make_permit(secret(n), genesis(), id_of(90), until)));
    ASSERT_TRUE(eventually([&] { return node->sees(10) && node->sees(11); }));
    node->net->broadcast(Kind::bft_vote, {7});
    node->net->broadcast(Kind::status, {8});  // comes last
    std::vector<PeerId> to;
    for (std::optional<Message> m; (m = sentry.read()) && m->payload != Bytes{8};)
        if (const auto routed =
                m->kind == Kind::routed_vote ? decode_routed(m->kind, m->payload) : std::nullopt)
            to.push_back(routed->to);
    EXPECT_EQ(to, std::vector{id_of(11)});
}

TEST_F(finding, blame_for_a_carried_peer_falls_on_its_only_sentry) {
    const auto node = start(finding_options(1));
    const auto until = static_cast<uint64_t>(std::time(nullptr)) + 1000;
    const auto carry = [&](RawPeer& sentry, uint8_t self, uint8_t validator) {
        sentry.write(Kind::permit, 0,
                     encode_permit(make_permit(secret(validator), genesis(), id_of(self), until)));
    };
    RawPeer second(node->net->port(), 91);
    second.greet();
    carry(second, 91, 11);
    ASSERT_TRUE(eventually([&] { return node->sees(11); }));
    RawPeer first(node->net->port(), 90);
    first.greet();
    carry(first, 90, 11), carry(first, 90, 10);  // in this order, so that 10 tells of both
    ASSERT_TRUE(eventually([&] { return node->sees(10); }));
    const auto is_up = [&](uint8_t n) { return node->net->is_connected(id_of(n)); };
    node->net->punish(id_of(11), 100, "a wrong signature");
    node->net->punish(id_of(10), 100, "a wrong signature");
    EXPECT_TRUE(eventually([&] { return !is_up(90); }));
    EXPECT_TRUE(is_up(91)) << "one of two sentries must not silence the other";
    EXPECT_TRUE(is_up(11));
}

TEST_F(finding, a_hidden_validator_does_not_blame_its_own_sentry_for_another) {
    auto o1 = finding_options(1);
    o1.private_peers = {id_of(10), id_of(11)};
    const auto sentry = start(o1);
    auto o10 = finding_options(10), o11 = finding_options(11);
    o10.sentries = o11.sentries = {at(*sentry, 1)};
    const auto one = start(o10), other = start(o11);
    ASSERT_TRUE(eventually([&] { return one->sees(11); }));
    one->net->punish(id_of(11), 100, "a wrong signature");
    other->net->broadcast(Kind::bft_vote, {1});
    sentry->net->broadcast(Kind::bft_vote, {2});
    EXPECT_TRUE(eventually([&] { return one->has(1, {2}); }));
    EXPECT_FALSE(one->has(11, {1})) << "it is banned";
}

TEST_F(finding, a_hidden_validator_lets_nobody_in_but_its_sentries) {
    const auto sentry = start(finding_options(1));
    auto o = finding_options(10);
    o.sentries = {at(*sentry, 1)};
    const auto hidden = start(o);
    ASSERT_TRUE(eventually([&] { return hidden->sees(1); }));
    RawPeer stranger(hidden->net->port(), 90);
    stranger.greet();
    EXPECT_EQ(stranger.goodbye(), "this node talks to its sentries alone");
    // Its sentry, which was not told to carry it, does not.
    EXPECT_EQ(sentry->net->book_counts().heard, 0u);
}

TEST_F(finding, a_byte_more_than_a_kind_allows_is_refused_with_its_reason) {
    auto o = finding_options(1);
    o.ban_time = runtime::Duration(1000);
    const auto node = start(o);
    uint8_t n = 100;
    for (const KindRow& row : kKinds) {
        if (row.kind == Kind::hello) continue;  // only the first frame may be one
        RawPeer peer(node->net->port(), ++n);
        peer.greet();
        // A header alone: the node does not wait for bytes that it will not read.
        Bytes header;
        append_le(header, static_cast<uint32_t>(row.payload_max + kEnvelopeOverheadMax + 2));
        header.push_back(static_cast<uint8_t>(row.kind));
        peer.write(header);
        EXPECT_EQ(peer.goodbye(), "message longer than its kind allows") << row.name;
    }
}

}  // namespace
}  // namespace trainyard::p2p
