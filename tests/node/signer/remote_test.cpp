// SPDX-License-Identifier: Apache-2.0
// A signer and its nodes over real sockets: what is asked, what is refused, and what happens when
// one side goes away.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "consensus/beacon/beacon.hpp"
#include "node/signer/remote_signer.hpp"
#include "node/signer/signer_server.hpp"
#include "tests/node/signer/votes.hpp"

namespace trainyard::node::signer {
namespace {

const SecretKey kConsensus = secret(1), kVrf = secret(2);

KeysReply public_keys() {
    return {*public_key(kConsensus), *public_key(kVrf)};
}

/// A signer in this process; its store outlives it, as a disk does.
class Host {
public:
    explicit Host(state::Kv& kv, const std::string& address, const p2p::TlsContext* tls = nullptr,
                  std::vector<PublicKey> allowed = {})
        : db_(std::move(*SigningDb::open(kv, test_owner(), state::Durability::synced))),
          keys_(kConsensus, kVrf, *db_, {}) {
        auto listener = Listener::open(*channel_address_from(address));
        EXPECT_TRUE(listener) << listener.error();
        server_ = std::make_unique<SignerServer>(
            SignerServer::Parts{keys_, *db_, public_keys(), tls, std::move(allowed),
                                [](const std::string&) {}},
            std::move(*listener));
        server_->start();
    }
    [[nodiscard]] uint16_t port() const { return server_->port(); }

private:
    std::unique_ptr<SigningDb> db_;
    GuardedSigner keys_;
    std::unique_ptr<SignerServer> server_;
};

struct Scene {
    Scene()
        : folder(std::filesystem::temp_directory_path() /
                 ("ty-signer-" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(folder);
        address = "unix:" + (folder / "s").string();
    }
    ~Scene() { std::filesystem::remove_all(folder); }
    Result<std::unique_ptr<RemoteSigner>, std::string> connect(
        const std::string& to, std::unique_ptr<p2p::TlsContext> tls = {},
        ChainIdentity chain = test_chain()) {
        RemoteSigner::Options options;
        options.address = *channel_address_from(to);
        options.chain = chain;
        options.tls = std::move(tls);
        options.timeout_ms = 500;
        options.on_change = [this](const std::string& why) { changes.push_back(why); };
        return RemoteSigner::open(std::move(options), runtime.clock(), 300);
    }
    runtime::Runtime runtime;
    std::filesystem::path folder;
    std::string address;
    std::unique_ptr<state::Kv> kv = state::make_memory_kv();
    std::vector<std::string> changes;
};

Bytes alpha(const ChainIdentity& chain) {
    return consensus::beacon_alpha(chain.chain_id, chain.genesis_hash, {7}, block_hash(3));
}

TEST(remote_signer, signs_and_proves_as_local_keys_do) {
    Scene s;
    Host host(*s.kv, s.address);
    auto remote = s.connect(s.address);
    ASSERT_TRUE(remote) << remote.error();
    EXPECT_EQ((*remote)->keys(), public_keys());
    consensus::bft::KeySigner local(kConsensus, kVrf);
    for (const auto& v : {vote(VoteKind::notarize, 5, 1), vote(VoteKind::finalize, 5, 1),
                          vote(VoteKind::nullify, 6)})
        EXPECT_EQ((*remote)->sign(test_chain(), v), local.sign(test_chain(), v));
    const auto proof = (*remote)->prove(alpha(test_chain())),
               same = local.prove(alpha(test_chain()));
    ASSERT_TRUE(proof);
    EXPECT_EQ(proof->beta, same->beta);
    EXPECT_EQ((*remote)->newest(), (NewestReply{{{0}, {6}}, false}));
    EXPECT_EQ((*remote)->trouble(), "");
}

TEST(remote_signer, two_nodes_on_one_signer_never_sign_twice) {
    Scene s;
    Host host(*s.kv, s.address);
    auto a = s.connect(s.address), b = s.connect(s.address);
    ASSERT_TRUE(a && b);
    // Both run through the same views and disagree about every block and about giving up.
    std::vector<std::pair<Vote, CompactSig>> out[2];
    const auto run = [&](int side, RemoteSigner& signer) {
        for (uint64_t view = 1; view <= 150; ++view)
            for (const auto& v :
                 {vote(VoteKind::notarize, view, 1 + side),
                  side == 0 ? vote(VoteKind::finalize, view, 1) : vote(VoteKind::nullify, view),
                  vote(VoteKind::finalize, view, 1 + side)})
                if (const auto signature = signer.sign(test_chain(), v))
                    out[side].emplace_back(v, *signature);
    };
    std::thread other([&] { run(1, **b); });
    run(0, **a);
    other.join();
    History seen;
    for (const auto& side : out)
        for (const auto& [v, signature] : side) {
            ASSERT_EQ(seen.objection(v), std::nullopt) << "view " << v.view.value;
            seen.record(v);
        }
    EXPECT_EQ(seen.views.size(), 150u) << "and each view got some vote";
    uint64_t refused = 0;
    for (const auto n : (*a)->refusals()) refused += n;
    for (const auto n : (*b)->refusals()) refused += n;
    EXPECT_GE(refused, 150u);
}

TEST(remote_signer, says_when_the_signer_is_away_and_goes_on_when_it_is_back) {
    Scene s;
    auto host = std::make_unique<Host>(*s.kv, s.address);
    auto remote = s.connect(s.address);
    ASSERT_TRUE(remote);
    ASSERT_TRUE((*remote)->sign(test_chain(), vote(VoteKind::notarize, 5, 1)));
    host.reset();
    EXPECT_EQ((*remote)->sign(test_chain(), vote(VoteKind::notarize, 6, 1)), std::nullopt);
    EXPECT_NE((*remote)->trouble(), "");
    EXPECT_FALSE((*remote)->prove(alpha(test_chain())));
    host = std::make_unique<Host>(*s.kv, s.address);
    std::optional<CompactSig> signature;
    for (int i = 0; i < 100 && !signature; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        signature = (*remote)->sign(test_chain(), vote(VoteKind::notarize, 6, 1));
    }
    EXPECT_TRUE(signature);
    EXPECT_EQ((*remote)->trouble(), "");
    EXPECT_EQ((*remote)->sign(test_chain(), vote(VoteKind::notarize, 5, 2)), std::nullopt)
        << "the database outlives the process";
    ASSERT_EQ(s.changes.size(), 3u);
    EXPECT_EQ(s.changes[0], "");
    EXPECT_NE(s.changes[1], "");
    EXPECT_EQ(s.changes[2], "");
}

TEST(remote_signer, refuses_other_chains_and_proves_for_the_beacon_alone) {
    Scene s;
    Host host(*s.kv, s.address);
    ChainIdentity other = test_chain();
    other.chain_id = 8;
    const auto refused = s.connect(s.address, {}, other);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().find("another chain"), std::string::npos) << refused.error();
    auto remote = s.connect(s.address);
    ASSERT_TRUE(remote);
    EXPECT_FALSE((*remote)->sign(other, vote(VoteKind::nullify, 1)));
    EXPECT_FALSE((*remote)->prove(alpha(other)));
    EXPECT_FALSE((*remote)->prove(as_bytes("sign this, please")));
    EXPECT_FALSE((*remote)->prove({}));
    EXPECT_FALSE((*remote)->raise_mark(kNoMore)) << "a node cannot retire the key";
    EXPECT_TRUE((*remote)->raise_mark({{0}, {10}}));
    EXPECT_FALSE((*remote)->sign(test_chain(), vote(VoteKind::nullify, 9)));
}

int raw_connection(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), to.sun_path);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    return fd;
}

TEST(signer_server, closes_on_what_is_no_request_and_serves_the_others) {
    Scene s;
    Host host(*s.kv, s.address);
    for (const Bytes& sent :
         {Bytes{0, 0, 0, 0}, Bytes{1, 0, 0, 0, 0xc0}, Bytes{0xff, 0xff, 0xff, 0xff},
          Bytes{1, 4, 0, 0, 1}, Bytes{3, 0, 0, 0, 0xc2, 0x09, 0x01}}) {
        const int fd = raw_connection((s.folder / "s").string());
        ASSERT_EQ(::send(fd, sent.data(), sent.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(sent.size()));
        uint8_t byte = 0;
        EXPECT_LE(::recv(fd, &byte, 1, 0), 0) << to_hex(sent);
        ::close(fd);
    }
    EXPECT_TRUE(s.connect(s.address));
}

TEST(signer_server, has_a_bounded_number_of_connections) {
    Scene s;
    Host host(*s.kv, s.address);
    std::vector<int> held;
    for (size_t i = 0; i < SignerServer::kConnectionsMax; ++i)
        held.push_back(raw_connection((s.folder / "s").string()));
    const int one_more = raw_connection((s.folder / "s").string());
    uint8_t byte = 0;
    EXPECT_EQ(::recv(one_more, &byte, 1, 0), 0) << "closed at once";
    ::close(one_more);
    for (const int fd : held) ::close(fd);
}

TEST(signer_server, its_socket_is_for_the_owner_alone_and_a_stale_one_is_replaced) {
    Scene s;
    { std::ofstream stale(s.folder / "s"); }
    Host host(*s.kv, s.address);
    struct stat info {};
    ASSERT_EQ(::stat((s.folder / "s").c_str(), &info), 0);
    EXPECT_TRUE(S_ISSOCK(info.st_mode));
    EXPECT_EQ(info.st_mode & 0777u, 0600u);
    EXPECT_FALSE(Listener::open(*channel_address_from(s.address))) << "one signer on a socket";
}

TEST(remote_signer, over_tls_both_ends_prove_who_they_are) {
    Scene s;
    const SecretKey signer_id = secret(50), node_id = secret(51), stranger_id = secret(52);
    const auto tls = make_signer_tls(signer_id);
    Host host(*s.kv, "tls:127.0.0.1:0", tls.get(), {*public_key(node_id)});
    const auto address = [&](const SecretKey& key) {
        return "tls:" + to_hex(public_key(key)->bytes) +
               "@127.0.0.1:" + std::to_string(host.port());
    };
    auto node = s.connect(address(signer_id), make_signer_tls(node_id));
    ASSERT_TRUE(node) << node.error();
    EXPECT_TRUE((*node)->sign(test_chain(), vote(VoteKind::notarize, 1, 1)));
    EXPECT_FALSE(s.connect(address(signer_id), make_signer_tls(stranger_id)));
    const auto wrong = s.connect(address(stranger_id), make_signer_tls(node_id));
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().find("another key answers"), std::string::npos) << wrong.error();
    EXPECT_TRUE((*node)->sign(test_chain(), vote(VoteKind::notarize, 2, 1)));
}

TEST(signer_protocol, reads_what_it_writes_and_nothing_else) {
    const std::vector<Request> requests{
        HelloRequest{test_chain()},
        SignRequest{test_chain(), vote(VoteKind::notarize, 5, 1, 2)},
        SignRequest{test_chain(), vote(VoteKind::nullify, UINT64_MAX)},
        ProveRequest{Bytes(90, 7)},
        NewestRequest{},
        RaiseMarkRequest{{{1}, {2}}}};
    for (const auto& request : requests) {
        const Bytes encoded = encode_request(request);
        const auto read = decode_request(encoded);
        ASSERT_TRUE(read);
        EXPECT_EQ(*read, request);
        Bytes longer = encoded;
        longer.push_back(0);
        EXPECT_FALSE(decode_request(longer));
        for (size_t size = 0; size < encoded.size(); ++size)
            EXPECT_FALSE(decode_request(BytesView(encoded).first(size)));
    }
    const std::vector<Reply> replies{public_keys(),     CompactSig{{{1}}},
                                     vrf::Proof{{{2}}}, NewestReply{{{1}, {2}}, true},
                                     RaisedReply{},     Refusal::not_stored};
    for (const auto& reply : replies) {
        const auto read = decode_reply(encode_reply(reply));
        ASSERT_TRUE(read);
        EXPECT_EQ(*read, reply);
    }
    EXPECT_FALSE(decode_request(encode_request(ProveRequest{Bytes(kAlphaBytesMax + 1, 1)})));
    EXPECT_FALSE(
        decode_request(encode_request(SignRequest{test_chain(), vote(VoteKind::nullify, 5, 1)})));
    EXPECT_FALSE(
        decode_request(encode_request(SignRequest{test_chain(), vote(VoteKind::notarize, 5)})));
    EXPECT_FALSE(decode_request(Bytes(kFrameBytesMax + 1, 0xc0)));
}

TEST(channel_address, is_a_path_or_a_key_and_a_host) {
    const std::string key(66, '2');
    EXPECT_EQ(channel_address_from("unix:/run/s")->path, "/run/s");
    EXPECT_EQ(channel_address_from("tls:" + key + "@10.0.0.1:77")->port, 77);
    EXPECT_TRUE(channel_address_from("tls:[::1]:77"));
    for (const std::string& wrong :
         {std::string("unix:"), std::string("/run/s"), std::string("tls:10.0.0.1"),
          "tls:" + key + "@", std::string("tls:22@10.0.0.1:77"), "unix:" + std::string(200, 'a'),
          std::string()})
        EXPECT_FALSE(channel_address_from(wrong)) << wrong;
}

}  // namespace
}  // namespace trainyard::node::signer
