// SPDX-License-Identifier: Apache-2.0
// Networks that talk to each other: meshes, requests, restarts, and peers that misbehave.
#include "node/p2p/network.hpp"

#include <future>
#include <mutex>
#include <set>

#include <gmock/gmock.h>

#include "node/p2p/frame.hpp"
#include "tests/node/p2p/cluster.hpp"

namespace trainyard::p2p {
namespace {

using namespace test;
using ::testing::HasSubstr;

class network : public ::testing::Test {
protected:
    void SetUp() override { runtime_.start(); }
    void TearDown() override {
        runtime_.request_stop();
        runtime_.join();
    }

    std::unique_ptr<Network> make(NetworkOptions o) {
        return std::make_unique<Network>(runtime_, std::move(o), log_);
    }
    static void start(Network& net) {
        ASSERT_TRUE(eventually([&] { return net.start().has_value(); })) << "the port is not free";
    }
    std::unique_ptr<Network> started(NetworkOptions o) {
        auto net = make(std::move(o));
        start(*net);
        return net;
    }

    runtime::Runtime runtime_{runtime::Runtime::Options{.io_threads = 2, .pool_threads = 1}};
    runtime::Logger log_ = runtime::Logger::null();
    runtime::Strand strand_ = runtime_.make_strand();
};

TEST_F(network, two_nodes_meet_and_exchange_messages) {
    auto a = make(options(1));
    std::atomic<int> seen = 0;
    a->on(Kind::tx, strand_, [&](const PeerId& from, Bytes payload) {
        EXPECT_TRUE(strand_.runs_here());
        EXPECT_EQ(from, id_of(2));
        EXPECT_EQ(payload, (Bytes{1, 2, 3}));
        ++seen;
    });
    start(*a);
    auto o = options(2);
    o.peers = {peer_at(1, a->port())};
    auto b = started(o);
    ASSERT_TRUE(eventually([&] { return a->is_connected(id_of(2)) && b->is_connected(id_of(1)); }));
    b->send(id_of(1), Kind::tx, {1, 2, 3});
    b->broadcast(Kind::tx, {1, 2, 3});
    b->send(id_of(3), Kind::tx, {9});  // nobody there: dropped
    EXPECT_TRUE(eventually([&] { return seen == 2; }));
    ASSERT_TRUE(eventually([&] { return b->peers()[0].bytes_sent > 0; }));
    const auto info = b->peers();
    ASSERT_EQ(info.size(), 1u);
    EXPECT_EQ(info[0].source, Source::settings);
    EXPECT_FALSE(info[0].is_inbound);
    EXPECT_EQ(info[0].agent, "trainyard");
    EXPECT_EQ(info[0].score, 100);
}

TEST_F(network, four_nodes_that_all_dial_form_a_full_mesh_of_single_connections) {
    // Ports must be known before the lists are: the first round of networks only finds them.
    std::array<uint16_t, 4> ports{};
    for (uint8_t i = 0; i < 4; ++i) {
        auto probe = started(options(i + 1));
        ports[i] = probe->port();
    }
    std::vector<std::unique_ptr<Network>> nodes;
    std::array<std::atomic<int>, 4> votes{};
    std::atomic<int> lost_to_another = 0;
    for (uint8_t i = 0; i < 4; ++i) {
        auto o = options(i + 1);
        o.listen.port = ports[i];
        for (uint8_t j = 0; j < 4; ++j) o.peers.push_back(peer_at(j + 1, ports[j]));  // also itself
        nodes.push_back(make(o));
        nodes.back()->on(Kind::bft_vote, strand_, [&, i](const PeerId&, Bytes) { ++votes[i]; });
        nodes.back()->on_peer(strand_,
                              [&](const PeerEvent& e) { lost_to_another += e.to_another; });
        start(*nodes.back());
    }
    const auto is_full = [&] {
        return std::all_of(nodes.begin(), nodes.end(),
                           [](auto& n) { return n->connected().size() == 3; });
    };
    ASSERT_TRUE(eventually(is_full));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // duplicates are settled by now
    ASSERT_TRUE(is_full());
    for (auto& node : nodes) node->broadcast(Kind::bft_vote, {42});
    EXPECT_TRUE(eventually(
        [&] { return std::all_of(votes.begin(), votes.end(), [](auto& n) { return n == 3; }); }));
    EXPECT_EQ(lost_to_another, 0) << "duplicates of one machine are no other machine";
}

TEST_F(network, two_machines_with_one_key_take_connections_from_each_other_and_know_it) {
    auto a = started(options(1));
    std::array<std::atomic<int>, 2> lost_to_another{};
    std::vector<std::unique_ptr<Network>> twins;
    for (size_t i = 0; i < 2; ++i) {
        auto o = options(2);
        o.peers = {peer_at(1, a->port())};
        twins.push_back(make(o));
        twins.back()->on_peer(strand_, [&lost_to_another, i](const PeerEvent& e) {
            if (e.to_another) ++lost_to_another[i];
        });
        start(*twins.back());
        ASSERT_TRUE(eventually([&] { return a->is_connected(id_of(2)); }));
    }
    EXPECT_TRUE(eventually([&] { return lost_to_another[0] > 1 && lost_to_another[1] > 1; }));
}

TEST_F(network, request_is_answered_refused_or_timed_out) {
    auto a = make(options(1));
    a->on_request(Kind::get_block, strand_, [](const PeerId&, Bytes payload, Responder responder) {
        payload.push_back(7);
        responder.answer(payload);
    });
    a->on_request(Kind::have_blob, strand_,
                  [](const PeerId&, Bytes, Responder) {});  // lets it drop
    std::vector<Responder> kept;                            // never answered
    a->on_request(Kind::get_blob_chunk, strand_,
                  [&](const PeerId&, Bytes, Responder responder) { kept.push_back(responder); });
    start(*a);
    auto o = options(2);
    o.peers = {peer_at(1, a->port())};
    auto b = started(o);
    ASSERT_TRUE(eventually([&] { return b->is_connected(id_of(1)); }));
    const auto ask = [&](const PeerId& to, Kind kind) {
        auto answer = std::make_shared<std::promise<Answer>>();
        auto future = answer->get_future();
        b->request(to, kind, {5}, runtime::Duration(200), strand_,
                   [answer](Answer got) { answer->set_value(std::move(got)); });
        return future.get();
    };
    const Answer good = ask(id_of(1), Kind::get_block);
    ASSERT_TRUE(good.has_value());
    EXPECT_EQ(*good, (Bytes{5, 7}));
    EXPECT_EQ(ask(id_of(1), Kind::have_blob).error(), RequestError::unsupported);
    EXPECT_EQ(ask(id_of(1), Kind::get_blocks).error(), RequestError::unsupported);
    EXPECT_EQ(ask(id_of(1), Kind::get_blob_chunk).error(), RequestError::timed_out);
    EXPECT_EQ(ask(id_of(3), Kind::get_block).error(), RequestError::not_connected);
    runtime_.request_stop();  // `kept` must not outlive the network's strand
    runtime_.join();
}

TEST_F(network, request_fails_at_once_when_the_peer_goes_away) {
    auto a = make(options(1));
    std::vector<Responder> kept;
    std::atomic<bool> asked = false;
    a->on_request(Kind::get_block, strand_, [&](const PeerId&, Bytes, Responder responder) {
        kept.push_back(responder);
        asked = true;
    });
    start(*a);
    auto o = options(2);
    o.peers = {peer_at(1, a->port())};
    auto b = started(o);
    ASSERT_TRUE(eventually([&] { return b->is_connected(id_of(1)); }));
    std::promise<Answer> answer;
    b->request(id_of(1), Kind::get_block, {5}, runtime::Duration(60'000), strand_,
               [&](Answer got) { answer.set_value(std::move(got)); });
    ASSERT_TRUE(eventually([&] { return asked.load(); }));
    a->stop();
    EXPECT_EQ(answer.get_future().get().error(), RequestError::not_connected);
}

TEST_F(network, throttles_requests_above_the_budget_of_their_lane) {
    auto oa = options(1);
    oa.rates[static_cast<size_t>(Lane::bulk)] = {1, 600u << 10};  // two answers of 256 KiB
    auto a = make(oa);
    a->on_request(Kind::get_blob_chunk, strand_,
                  [](const PeerId&, Bytes, Responder responder) { responder.answer({1}); });
    start(*a);
    auto o = options(2);
    o.peers = {peer_at(1, a->port())};
    auto b = started(o);
    ASSERT_TRUE(eventually([&] { return b->is_connected(id_of(1)); }));
    std::atomic<int> served = 0, throttled = 0;
    for (int i = 0; i < 5; ++i) {
        b->request(id_of(1), Kind::get_blob_chunk, {}, runtime::Duration(2000), strand_,
                   [&](Answer got) {
                       if (got) return void(++served);
                       if (got.error() == RequestError::throttled) ++throttled;
                   });
    }
    EXPECT_TRUE(eventually([&] { return served + throttled == 5; }));
    EXPECT_EQ(served, 2);
}

/// Bytes that `node` has read from the peer so far.
uint64_t read_from(const Network& node, const PeerId& peer) {
    for (const auto& info : node.peers())
        if (info.id == peer) return info.bytes_received;
    return 0;
}

TEST_F(network, reads_slowly_what_it_only_drops) {
    auto oa = options(1);
    oa.rates[static_cast<size_t>(Lane::txs)] = {1, 1};
    oa.waste = {50'000, 100'000};
    auto a = started(oa);
    auto ob = options(2);
    ob.peers = {peer_at(1, a->port())};
    auto b = started(ob);
    ASSERT_TRUE(eventually([&] { return a->is_connected(id_of(2)) && b->is_connected(id_of(1)); }));
    for (int i = 0; i < 300; ++i) b->send(id_of(1), Kind::tx, Bytes(10'000, 1));
    ASSERT_TRUE(eventually([&] { return read_from(*a, id_of(2)) >= 100'000; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(1'500));
    EXPECT_LT(read_from(*a, id_of(2)), 1'000'000u) << "of 3,000,000";
    EXPECT_TRUE(a->is_connected(id_of(2)));
}

TEST_F(network, answers_that_nobody_asked_for_are_read_slowly_too) {
    auto oa = options(1);
    oa.waste = {50'000, 100'000};
    auto a = started(oa);
    auto ob = options(2);
    ob.peers = {peer_at(1, a->port())};
    auto b = make(ob);
    std::atomic<bool> is_asked = false;
    b->on_request(Kind::get_blob_chunk, strand_, [&](const PeerId&, Bytes, Responder responder) {
        responder.answer(Bytes(200'000, 1));
        is_asked = true;
    });
    start(*b);
    ASSERT_TRUE(eventually([&] { return a->is_connected(id_of(2)) && b->is_connected(id_of(1)); }));
    for (int i = 0; i < 20; ++i)  // each is given up before its answer can come
        a->request(id_of(2), Kind::get_blob_chunk, {}, runtime::Duration(0), strand_,
                   [](Answer) {});
    ASSERT_TRUE(eventually([&] { return is_asked.load(); }));
    std::this_thread::sleep_for(std::chrono::milliseconds(1'500));
    EXPECT_LT(read_from(*a, id_of(2)), 1'000'000u) << "of 4,000,000";
}

TEST_F(network, one_peer_cannot_take_all_room_before_a_slow_handler) {
    auto a = make(options(1));
    std::promise<void> gate;
    std::atomic<int> of_flood = 0, of_other = 0;
    a->on(Kind::tx, strand_, [&, open = gate.get_future().share()](const PeerId& from, Bytes) {
        open.wait();
        ++(from == id_of(2) ? of_flood : of_other);
    });
    start(*a);
    auto ob = options(2), oc = options(3);
    ob.peers = oc.peers = {peer_at(1, a->port())};
    auto b = started(ob), c = started(oc);
    ASSERT_TRUE(eventually([&] { return b->is_connected(id_of(1)) && c->is_connected(id_of(1)); }));
    constexpr int kFlood = 9'000;
    for (int i = 0; i < kFlood; ++i) b->send(id_of(1), Kind::tx, {1});
    ASSERT_TRUE(eventually([&] {
        for (const auto& info : a->peers())
            if (info.id == id_of(2) && info.bytes_received > 8 * kFlood) return true;
        return false;
    }));
    c->send(id_of(1), Kind::tx, {1});
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    gate.set_value();
    EXPECT_TRUE(eventually([&] { return of_other == 1; }));
    EXPECT_TRUE(eventually([&] { return of_flood > 0; }));
    EXPECT_LE(of_flood, 1024);
}

TEST_F(network, finds_a_restarted_peer_again) {
    auto o2 = options(2);
    auto a = started(options(1));
    const uint16_t port = a->port();
    o2.peers = {peer_at(1, port)};
    auto b = make(o2);
    std::mutex mutex;
    std::vector<bool> ups;
    b->on_peer(strand_, [&](const PeerEvent& event) {
        const std::lock_guard lock(mutex);
        ups.push_back(event.is_up);
    });
    start(*b);
    ASSERT_TRUE(eventually([&] { return b->is_connected(id_of(1)); }));
    a->stop();
    ASSERT_TRUE(eventually([&] { return !b->is_connected(id_of(1)); }));
    auto o1 = options(1);
    o1.listen.port = port;
    auto again = started(o1);
    ASSERT_TRUE(
        eventually([&] { return b->is_connected(id_of(1)) && again->is_connected(id_of(2)); }));
    EXPECT_TRUE(eventually([&] {
        const std::lock_guard lock(mutex);
        return ups == std::vector<bool>{true, false, true};
    }));
}

TEST_F(network, rejects_a_peer_with_another_identity_than_configured) {
    auto a = started(options(1));
    auto o = options(2);
    o.peers = {peer_at(3, a->port())};  // expects 3, finds 1
    auto b = started(o);
    ASSERT_TRUE(eventually([&] { return !b->peers()[0].last_problem.empty(); }));
    EXPECT_THAT(b->peers()[0].last_problem, HasSubstr("wrong identity"));
    EXPECT_TRUE(b->connected().empty());
}

TEST_F(network, rejects_a_peer_of_another_chain_and_says_so) {
    auto a = started(options(1));
    auto o = options(2);
    o.genesis = sha256(as_bytes("another chain"));
    o.peers = {peer_at(1, a->port())};
    auto b = started(o);
    ASSERT_TRUE(eventually([&] { return !b->peers()[0].last_problem.empty(); }));
    EXPECT_THAT(b->peers()[0].last_problem, HasSubstr("another chain"));
    EXPECT_TRUE(a->connected().empty());
}

TEST_F(network, rejects_a_hello_whose_genesis_differs_beyond_the_protocol_name) {
    auto a = started(options(1));
    RawPeer peer(a->port());
    ASSERT_FALSE(peer.error) << peer.error.message();
    Hash other = genesis();
    other[31] ^= 1;  // the name has only the first eight bytes
    peer.greet(other);
    EXPECT_EQ(peer.goodbye(), "another genesis block");
    EXPECT_TRUE(a->connected().empty());
}

TEST_F(network, rejects_certificates_without_a_proven_identity) {
    auto a = started(options(1));
    const std::vector<MakeExtension> forgeries{
        [](BytesView) { return Bytes{}; },       // no extension at all
        [](BytesView) { return Bytes(97, 1); },  // noise
        [](BytesView key) {                      // somebody else's key with our signature
            Bytes content = identity_extension(secret(99), key);
            std::copy_n(id_of(2).begin(), 33, content.begin());
            return content;
        },
        [](BytesView key) {  // a signature over another certificate's key
            Bytes other(key.begin(), key.end());
            other.back() ^= 1;
            return identity_extension(secret(99), other);
        },
        [](BytesView key) {
            Bytes content = identity_extension(secret(99), key);
            content.push_back(0);
            return content;
        },
    };
    for (const MakeExtension& forgery : forgeries) {
        RawPeer peer(a->port(), forgery);
        peer.greet();
        const auto first =
            peer.read();  // TLS 1.3 tells a client of its fate only after the handshake
        EXPECT_FALSE(first.has_value());
        EXPECT_TRUE(a->connected().empty());
    }
    RawPeer honest(a->port());
    honest.greet();
    EXPECT_TRUE(eventually([&] { return a->is_connected(id_of(99)); }));
}

class malformed : public network,
                  public ::testing::WithParamInterface<std::pair<const char*, Bytes>> {};

TEST_P(malformed, rejects_the_frame_and_bans_its_sender) {
    auto a = started(options(1));
    {
        RawPeer peer(a->port());
        peer.greet();
        ASSERT_TRUE(eventually([&] { return a->is_connected(id_of(99)); }));
        peer.write(GetParam().second);
        EXPECT_FALSE(peer.goodbye().empty());
        EXPECT_TRUE(eventually([&] { return !a->is_connected(id_of(99)); }));
    }
    RawPeer again(a->port());
    again.greet();
    EXPECT_THAT(again.goodbye(), HasSubstr("banned"));
}

Bytes frame_header(uint32_t length, uint8_t kind) {
    Bytes out;
    append_le(out, length);
    out.push_back(kind);
    return out;
}

Bytes frame(Kind kind, const Bytes& envelope) {
    Bytes out =
        frame_header(static_cast<uint32_t>(envelope.size() + 1), static_cast<uint8_t>(kind));
    append(out, envelope);
    return out;
}

INSTANTIATE_TEST_SUITE_P(
    frames, malformed,
    ::testing::Values(
        // The announced bytes never come: a refusal proves that the length alone decided.
        std::pair{"oversize_vote", frame_header(1 + 256 + 17, 16)},
        std::pair{"oversize_everything", frame_header(0xffffffff, 35)},
        std::pair{"zero_length", frame_header(0, 16)},
        std::pair{"unknown_kind", frame_header(10, 200)},
        std::pair{"noise_envelope", frame(Kind::bft_vote, {0xff, 0xff, 0xff})},
        std::pair{"unknown_field", frame(Kind::bft_vote, {0x18, 0x01})},
        std::pair{"request_without_id", frame(Kind::get_block, {0x12, 0x01, 0x00})},
        std::pair{"vote_with_id", frame(Kind::bft_vote, {0x09, 1, 0, 0, 0, 0, 0, 0, 0})},
        std::pair{"second_hello",
                  *encode_frame(Kind::hello, 0, encode_hello({genesis(), 7, 0, ""}))}),
    [](const auto& param_info) { return param_info.param.first; });

TEST_F(network, slow_reader_blocks_nobody_and_is_let_go) {
    auto oa = options(1);
    oa.idle_timeout = runtime::Duration(400);
    auto a = started(oa);
    auto o = options(2);
    o.peers = {peer_at(1, a->port())};
    auto b = make(o);
    std::atomic<int> blocks = 0, votes = 0;
    b->on(Kind::bft_block, strand_, [&](const PeerId&, Bytes) { ++blocks; });
    b->on(Kind::bft_vote, strand_, [&](const PeerId&, Bytes) { ++votes; });
    start(*b);
    RawPeer slow(a->port());
    slow.greet();
    ASSERT_TRUE(eventually([&] { return a->connected().size() == 2; }));
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 40; ++i) a->broadcast(Kind::bft_block, Bytes(1u << 20, 7));
    a->broadcast(Kind::bft_vote, {1});
    // A sender that waited would wait for ever; the margin is for slow machines and sanitizers.
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(20));
    // The vote overtakes the blocks, and the reader beside the slow one gets both.
    EXPECT_TRUE(eventually([&] { return votes == 1 && blocks >= 1; }));
    // The slow one never reads; it does send, so only its not reading can be the reason.
    EXPECT_TRUE(eventually([&] {
        slow.write(Kind::ping, 0, Bytes(8, 0));
        return !a->is_connected(id_of(99));
    }));
    EXPECT_TRUE(a->is_connected(id_of(2)));
}

TEST_F(network, answers_that_nobody_reads_have_a_limit_together_and_leave_room_for_others) {
    auto oa = options(1);
    oa.bulk_queues_bytes_max = 1u << 20;
    auto a = make(oa);
    a->on_request(Kind::get_blob_chunk, strand_, [](const PeerId&, Bytes, Responder responder) {
        responder.answer(Bytes(256u << 10));
    });
    start(*a);
    RawPeer slow(a->port());
    slow.greet();
    for (uint64_t id = 1; id <= 120; ++id) slow.write(Kind::get_blob_chunk, id, {});  // 30 MiB
    EXPECT_TRUE(eventually([&] {
        const auto peers = a->peers();
        return peers.size() == 1 && peers[0].messages_dropped > 0;
    }));
    RawPeer other(a->port(), 98);
    other.greet();
    other.write(Kind::get_blob_chunk, 1, {});
    std::optional<Message> got;
    while ((got = other.read()) && got->kind != Kind::blob_chunk) {
    }
    EXPECT_TRUE(got);
}

TEST_F(network, limits_strangers_but_not_configured_peers) {
    auto oa = options(1);
    oa.inbound_max = 1;
    oa.peers = {peer_at(2, 1)};  // nothing listens there; it will come to us
    auto a = started(oa);
    RawPeer first(a->port(), 50);
    first.greet();
    ASSERT_TRUE(eventually([&] { return a->is_connected(id_of(50)); }));
    RawPeer second(a->port(), 51);
    second.greet();
    EXPECT_EQ(second.goodbye(), "too many connections");
    RawPeer configured(a->port(), 2);
    configured.greet();
    EXPECT_TRUE(eventually([&] { return a->is_connected(id_of(2)); }));
}

TEST_F(network, who_connects_and_says_nothing_shuts_nobody_out) {
    auto oa = options(1);
    oa.handshakes_max = 4;
    oa.handshake_timeout = runtime::Duration(60'000);
    auto a = started(oa);
    boost::asio::io_context io;
    std::vector<boost::asio::ip::tcp::socket> silent;
    for (int i = 0; i < 8; ++i)
        silent.emplace_back(io).connect({boost::asio::ip::make_address("127.0.0.1"), a->port()});
    auto ob = options(2);
    ob.peers = {peer_at(1, a->port())};
    auto b = started(ob);
    EXPECT_TRUE(eventually([&] { return a->is_connected(id_of(2)); }));
}

TEST_F(network, punished_peer_is_banned_and_dialled_again_after_the_ban) {
    auto a = started(options(1));
    auto o = options(2);
    o.peers = {peer_at(1, a->port())};
    o.ban_time = runtime::Duration(3000);  // of a configured peer: 300 ms
    auto b = started(o);
    ASSERT_TRUE(eventually([&] { return b->is_connected(id_of(1)); }));
    b->punish(id_of(1), 40, "wrong chunk");
    b->punish(id_of(1), 60, "another wrong chunk");
    ASSERT_TRUE(eventually([&] { return !b->is_connected(id_of(1)); }));
    EXPECT_THAT(b->peers()[0].last_problem, HasSubstr("another wrong chunk"));
    EXPECT_TRUE(eventually([&] { return b->is_connected(id_of(1)); }));
}

TEST_F(network, a_ban_by_hand_ends_the_connection_lasts_over_a_restart_and_can_be_lifted) {
    auto a = started(options(1));
    auto o = options(2);
    o.peers = {peer_at(1, a->port())};
    std::vector<Ban> saved;
    std::mutex mutex;
    o.on_bans = [&](const std::vector<Ban>& bans) {
        const std::lock_guard lock(mutex);
        saved = bans;
    };
    auto b = started(o);
    ASSERT_TRUE(eventually([&] { return b->is_connected(id_of(1)); }));
    b->ban(id_of(1), runtime::Duration(3'600'000), "by the operator");
    ASSERT_TRUE(eventually([&] { return !b->is_connected(id_of(1)); }));
    ASSERT_EQ(b->bans().size(), 1u);
    EXPECT_EQ(b->bans()[0].peer, id_of(1));
    EXPECT_EQ(b->bans()[0].reason, "by the operator");
    b.reset();
    o.bans = [&] {
        const std::lock_guard lock(mutex);
        return saved;
    }();
    ASSERT_EQ(o.bans.size(), 1u);
    auto again = started(o);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_FALSE(again->is_connected(id_of(1)));
    EXPECT_EQ(again->bans(), o.bans);
    again->unban(id_of(1));
    EXPECT_TRUE(eventually([&] { return again->is_connected(id_of(1)); }));
    EXPECT_TRUE(again->bans().empty());
}

TEST_F(network, start_says_what_is_wrong_with_its_address) {
    auto a = started(options(1));
    auto o = options(2);
    o.listen.port = a->port();
    EXPECT_EQ(make(o)->start().error().error, NetError::port_in_use);
    o.listen = {"no-address", 1};
    EXPECT_EQ(make(o)->start().error().error, NetError::bad_listen_address);
    o = options(0);
    EXPECT_EQ(make(o)->start().error().error, NetError::bad_identity_key);
}

}  // namespace
}  // namespace trainyard::p2p
