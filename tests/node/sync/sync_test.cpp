// SPDX-License-Identifier: Apache-2.0
// Nodes that give each other blobs and final blocks over localhost, and liars among them.
#include <atomic>
#include <future>
#include <mutex>

#include <gmock/gmock.h>

#include "core/block.hpp"
#include "node/sync/block_sync.hpp"
#include "node/sync/blob_service.hpp"
#include "tests/node/p2p/cluster.hpp"

namespace trainyard::sync {
namespace {

using namespace p2p::test;
using p2p::FinalisedBlock;
using p2p::Kind;
using p2p::Network;
using p2p::PeerId;
namespace fs = std::filesystem;

Block block_at(uint64_t height) {
    Block block;
    block.header.number = height;
    block.header.base_fee_per_gas = Uint256(7);
    return block;
}
Bytes certificate_at(uint64_t height) {
    return Bytes(10, static_cast<uint8_t>(height));
}

// A chain that holds whatever fits its pattern, and knows a forged certificate when it sees one.
class FakeChain final : public SyncTarget {
public:
    explicit FakeChain(uint64_t height) : height_(height) {}
    p2p::Status status() const override {
        return {Height{height_}, hash_header(block_at(height_).header), Epoch{}, View{}};
    }
    std::optional<FinalisedBlock> final_block(Height height) const override {
        if (height.value > height_) return std::nullopt;
        while (is_slow) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        Bytes certificate = certificate_at(height.value);
        if (forges) certificate[0] ^= 1;
        Block block = block_at(height.value);
        if (proves_nothing) block.header.base_fee_per_gas = Uint256(8), certificate = {0};
        return FinalisedBlock{encode_block(block), certificate};
    }
    std::optional<Bytes> block(const Hash& hash) const override {
        if (lies_about_blocks) return encode_block(block_at(12345));
        for (uint64_t h = 1; h <= height_; ++h) {
            if (hash_header(block_at(h).header) == hash) return encode_block(block_at(h));
        }
        return std::nullopt;
    }
    /// A block with a certificate of one byte waits for the next.
    Result<Done, Refusal> apply_final(const FinalisedBlock& given) override {
        const auto decoded = decode_block(given.block);
        if (!decoded) return unexpected(Refusal{"malformed"});
        const uint64_t number = decoded->header.number;
        if (number == height_ + 1) waiting_ = 0;
        if (number != height_ + waiting_ + 1) return unexpected(Refusal{"gap"});
        if (given.certificate.size() == 1) return ++waiting_, Done{};
        if (waiting_ > 0) return unexpected(Refusal{"does not follow what waits"});
        if (given.certificate != certificate_at(height_ + 1)) return unexpected(Refusal{"forged"});
        if (height_ >= disk_full_at) {
            ++refused;
            return unexpected(Refusal{"disk full", true});
        }
        ++height_;
        return Done{};
    }

    uint64_t waiting() const { return waiting_; }

    std::atomic<bool> forges = false;
    std::atomic<bool> is_slow = false;         ///< its disk gives nothing until it is not
    std::atomic<bool> proves_nothing = false;  ///< gives blocks of its own, never a certificate
    std::atomic<bool> lies_about_blocks = false;
    std::atomic<uint64_t> disk_full_at = UINT64_MAX;
    std::atomic<int> refused = 0;

private:
    std::atomic<uint64_t> height_, waiting_ = 0;
};

class nodes : public ::testing::Test {
protected:
    struct Node {
        std::unique_ptr<Network> network;
        std::unique_ptr<blobs::BlobStore> store;
        std::unique_ptr<BlobService> blobs;
        std::unique_ptr<FakeChain> chain;
        std::unique_ptr<BlockSync> sync;
    };

    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("trainyard-sync-" + std::to_string(::getpid()));
        fs::remove_all(folder_);
        runtime_.start();
    }
    void TearDown() override {
        runtime_.request_stop();
        runtime_.join();
        nodes_.clear();
        fs::remove_all(folder_);
    }

    // Node n, connected to all made before it.
    Node& add(uint8_t n, uint64_t height = 0, uint64_t quota = 1u << 30) {
        auto o = options(n);
        for (size_t i = 0; i < nodes_.size(); ++i) {
            o.peers.push_back(
                {{"127.0.0.1", nodes_[i]->network->port()}, nodes_[i]->network->id()});
        }
        auto node = std::make_unique<Node>();
        node->network = std::make_unique<Network>(runtime_, o, log_);
        auto opened =
            blobs::BlobStore::open({folder_ / std::to_string(n), quota, blobs::kBlobBytesMax});
        node->store = *std::move(opened);
        BlobService::Options blob_options;
        blob_options.fetches_max = fetches_max_;
        blob_options.serving_of_peer_max = serving_of_peer_max_;
        blob_options.limits.no_progress_ms = 1500;
        blob_options.limits.reask_ms = 200;
        node->blobs = std::make_unique<BlobService>(
            BlobService::Parts{runtime_, *node->network, *node->store, log_}, blob_options);
        node->chain = std::make_unique<FakeChain>(height);
        BlockSync::Options sync_options;
        sync_options.limits.lag_ms = 300;
        sync_options.limits.pause_ms = 100;
        sync_options.status_interval = runtime::Duration(100);
        node->sync = std::make_unique<BlockSync>(
            BlockSync::Parts{runtime_, *node->network, *node->chain, log_}, sync_options);
        nodes_.push_back(std::move(node));
        return *nodes_.back();
    }
    void start(Node& node) {
        ASSERT_TRUE(node.network->start().has_value());
        node.sync->start();
    }
    Fetched fetch(Node& node, const Hash& id) {
        auto promise = std::make_shared<std::promise<Fetched>>();
        auto future = promise->get_future();
        node.blobs->fetch(id, strand_,
                          [promise](Fetched got) { promise->set_value(std::move(got)); });
        return future.get();
    }
    bool is_at(const Node& node, uint64_t height) {
        return eventually([&] { return node.chain->status().finalised_height.value == height; });
    }

    fs::path folder_;
    size_t fetches_max_ = 256, serving_of_peer_max_ = 32;
    runtime::Runtime runtime_{runtime::Runtime::Options{.io_threads = 2, .pool_threads = 2}};
    runtime::Logger log_ = runtime::Logger::null();
    runtime::Strand strand_ = runtime_.make_strand();
    std::vector<std::unique_ptr<Node>> nodes_;
};

Bytes pattern(size_t size) {
    Bytes out(size);
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(i * i >> 7);
    return out;
}

TEST_F(nodes, blob_is_fetched_from_several_peers_and_then_served_too) {
    const Bytes blob = pattern(5'000'000);
    Node& a = add(1);
    start(a);
    Node& b = add(2);
    start(b);
    const Hash id = a.store->put(blob).value();
    ASSERT_EQ(b.store->put(blob).value(), id);
    Node& c = add(3);
    start(c);
    ASSERT_TRUE(eventually([&] { return c.network->connected().size() == 2; }));
    std::atomic<int> done = 0;
    for (int i = 0; i < 5; ++i) {
        c.blobs->fetch(id, strand_, [&](Fetched got) { done += got.has_value() ? 1 : 100; });
    }
    ASSERT_TRUE(eventually([&] { return done == 5; })) << done;
    EXPECT_EQ(c.store->get(id).value(), blob);
    EXPECT_EQ(c.store->used_bytes(), blob.size());
    a.network->stop();
    b.network->stop();
    Node& d = add(4);
    start(d);
    ASSERT_TRUE(fetch(d, id).has_value());
    EXPECT_EQ(d.store->get(id).value(), blob);
}

TEST_F(nodes, blob_is_not_read_for_who_has_no_place) {
    serving_of_peer_max_ = 0;
    Node& giver = add(1);
    const Hash id = giver.store->put(pattern(1000)).value();
    start(giver);
    Node& taker = add(2);
    start(taker);
    EXPECT_FALSE(fetch(taker, id));
    EXPECT_FALSE(taker.store->has(id));
}

TEST_F(nodes, empty_blob_is_fetched_too) {
    Node& a = add(1);
    start(a);
    Node& b = add(2);
    start(b);
    const Hash id = a.store->put({}).value();
    EXPECT_TRUE(fetch(b, id).has_value());
    EXPECT_TRUE(b.store->has(id));
}

TEST_F(nodes, blob_that_appears_later_is_found) {
    Node& a = add(1);
    start(a);
    Node& b = add(2);
    start(b);
    const Bytes blob = pattern(1000);
    const Hash id = blobs::blob_id(blobs::manifest_of(blob));
    std::promise<bool> fetched;
    b.blobs->fetch(id, strand_, [&](Fetched got) { fetched.set_value(got.has_value()); });
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    ASSERT_TRUE(a.store->put(blob).has_value());
    EXPECT_TRUE(fetched.get_future().get());
}

TEST_F(nodes, searches_in_vain_make_room_for_others) {
    fetches_max_ = 4;
    Node& a = add(1);
    start(a);
    Node& b = add(2);
    start(b);
    const Hash id = a.store->put(pattern(1000)).value();
    std::atomic<int> ended = 0;
    for (uint8_t n = 1; n <= 4; ++n) {
        Hash nowhere;
        nowhere[0] = n;
        b.blobs->fetch(nowhere, strand_, [&](Fetched got) { ended += got ? 100 : 1; });
    }
    EXPECT_TRUE(fetch(b, id).has_value());
    EXPECT_TRUE(eventually([&] { return ended == 4; }));
}

TEST_F(nodes, fetch_fails_clearly_when_nobody_has_it_or_it_does_not_fit) {
    Node& a = add(1);
    start(a);
    Node& b = add(2, 0, 1000);
    start(b);
    const auto nobody = fetch(b, Hash{});
    ASSERT_FALSE(nobody.has_value());
    EXPECT_EQ(nobody.error().error, FetchError::no_source);
    const Hash id = a.store->put(pattern(1001)).value();
    const auto too_big = fetch(b, id);
    ASSERT_FALSE(too_big.has_value());
    EXPECT_EQ(too_big.error().error, FetchError::store);
    EXPECT_THAT(too_big.error().detail, ::testing::HasSubstr("quota"));
}

// A network that claims to have every blob and answers with what the test says.
std::unique_ptr<Network> liar(runtime::Runtime& runtime, const runtime::Strand& strand, uint8_t n,
                              std::function<Bytes(Kind, const p2p::BlobRequest&)> say) {
    auto network = std::make_unique<Network>(runtime, options(n), runtime::Logger::null());
    for (const Kind kind : {Kind::have_blob, Kind::get_blob_manifest, Kind::get_blob_chunk}) {
        network->on_request(
            kind, strand, [kind, say](const PeerId&, Bytes payload, p2p::Responder r) {
                r.answer(kind == Kind::have_blob ? p2p::encode_has_blob(true)
                                                 : say(kind, *p2p::decode_blob_request(payload)));
            });
    }
    return network;
}

TEST_F(nodes, rejects_forged_chunks_and_manifests_and_still_gets_the_blob) {
    const Bytes blob = pattern(700'000);
    const blobs::Manifest manifest = blobs::manifest_of(blob);
    const auto bad_chunks = liar(runtime_, strand_, 1, [&](Kind kind, const p2p::BlobRequest&) {
        if (kind == Kind::get_blob_chunk) return Bytes(blobs::kChunkBytes, 7);
        return p2p::encode_blob_manifest({manifest.size_bytes, manifest.leaves});
    });
    const auto bad_manifest = liar(runtime_, strand_, 2, [&](Kind, const p2p::BlobRequest&) {
        return p2p::encode_blob_manifest({1, {Hash{}}});
    });
    ASSERT_TRUE(bad_chunks->start().has_value());
    ASSERT_TRUE(bad_manifest->start().has_value());
    Node& honest = add(3);
    start(honest);
    const Hash id = honest.store->put(blob).value();
    auto o = options(4);
    o.peers = {peer_at(1, bad_chunks->port()), peer_at(2, bad_manifest->port()),
               peer_at(3, honest.network->port())};
    Network network(runtime_, o, log_);
    auto store = blobs::BlobStore::open({folder_ / "4", 1u << 30, 1u << 30}).value().release();
    const std::unique_ptr<blobs::BlobStore> owned(store);
    BlobService service({runtime_, network, *store, log_});
    ASSERT_TRUE(network.start().has_value());
    ASSERT_TRUE(eventually([&] { return network.connected().size() == 3; }));
    std::promise<bool> fetched;
    service.fetch(id, strand_, [&](Fetched got) { fetched.set_value(got.has_value()); });
    EXPECT_TRUE(fetched.get_future().get());
    EXPECT_EQ(store->get(id).value(), blob);
    EXPECT_TRUE(eventually([&] {
        const auto peers = network.peers();
        return std::any_of(peers.begin(), peers.end(),
                           [](const p2p::PeerInfo& p) { return p.score < 90; });
    }));
    runtime_.request_stop();
    runtime_.join();
}

TEST_F(nodes, late_node_catches_up_and_follows) {
    Node& a = add(1, 500);
    start(a);
    Node& b = add(2, 300);
    start(b);
    Node& c = add(3, 0);
    start(c);
    EXPECT_TRUE(is_at(c, 500));
    EXPECT_TRUE(is_at(b, 500));
    EXPECT_TRUE(eventually([&] {
        const auto progress = c.sync->progress();
        return progress.finalised == Height{500} && !progress.is_behind;
    }));
    // One more block: nobody tells consensus here, so sync brings it after its patience.
    ASSERT_TRUE(
        a.chain->apply_final({encode_block(block_at(501)), certificate_at(501)}).has_value());
    EXPECT_TRUE(is_at(c, 501));
}

TEST_F(nodes, is_not_behind_because_a_peer_claims_so) {
    Node& boaster = add(1, 1000);
    boaster.chain->is_slow = true;
    start(boaster);
    Node& other = add(2, 0);
    start(other);
    ASSERT_TRUE(eventually([&] { return !other.network->connected().empty(); }));
    bool was_behind = false;
    for (int i = 0; i < 60; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        was_behind |= other.sync->progress().is_behind;
    }
    EXPECT_FALSE(was_behind);
    boaster.chain->is_slow = false;
    EXPECT_TRUE(is_at(other, 1000)) << "it was true";
}

TEST_F(nodes, rejects_forged_certificates_and_syncs_from_the_honest) {
    Node& forger = add(1, 1000);
    forger.chain->forges = true;
    start(forger);
    Node& honest = add(2, 200);
    start(honest);
    Node& late = add(3, 0);
    start(late);
    EXPECT_TRUE(is_at(late, 200));
    EXPECT_TRUE(eventually([&] {
        for (const auto& peer : late.network->peers()) {
            if (peer.id == id_of(1)) return peer.score < 100;
        }
        return false;
    }));
}

TEST_F(nodes, who_proves_nothing_makes_nobody_else_lose_points) {
    Node& liar = add(1, 1000);
    liar.chain->proves_nothing = true;
    start(liar);
    Node& late = add(2, 0);
    start(late);
    ASSERT_TRUE(eventually([&] { return late.chain->waiting() > 0; }));
    for (const uint8_t honest : {3, 4}) start(add(honest, 300));
    EXPECT_TRUE(is_at(late, 300));
    for (const auto& peer : late.network->peers())
        EXPECT_TRUE(peer.id == id_of(1) || peer.last_problem.empty()) << peer.last_problem;
}

TEST_F(nodes, questions_for_blocks_leave_the_pool_to_others_and_are_bounded) {
    Node& asked = add(1, 10);
    asked.chain->is_slow = true;
    start(asked);
    p2p::test::RawPeer asker(asked.network->port(), 50);
    asker.greet();
    for (uint64_t id = 1; id <= 40; ++id)
        asker.write(Kind::get_blocks, id, p2p::encode_get_blocks({Height{1}, 1}));
    constexpr size_t kWaiting = 4 + 1;  // its part of the queue, and one in hand
    size_t refused = 0;
    for (std::optional<p2p::Message> m; refused < 40 - kWaiting && (m = asker.read());)
        refused += m->kind == Kind::refused ? 1 : 0;
    EXPECT_EQ(refused, 40 - kWaiting) << asker.error.message();
    std::promise<void> done;  // of two threads one waits for the disk
    runtime_.offload([&] { done.set_value(); });
    EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
    asked.chain->is_slow = false;
}

TEST_F(nodes, own_failure_stops_the_sync_and_costs_no_peer_points) {
    Node& honest = add(1, 200);
    start(honest);
    Node& late = add(2, 0);
    late.chain->disk_full_at = 40;
    start(late);
    ASSERT_TRUE(eventually([&] { return late.chain->refused == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(600));  // twice the lag that starts it
    EXPECT_EQ(late.chain->refused, 1);
    EXPECT_EQ(late.chain->status().finalised_height.value, 40u);
    for (const auto& peer : late.network->peers()) EXPECT_EQ(peer.score, 100);
}

TEST_F(nodes, single_block_is_fetched_by_hash_past_a_liar) {
    Node& liar = add(1, 10);
    liar.chain->lies_about_blocks = true;
    start(liar);
    Node& honest = add(2, 10);
    start(honest);
    Node& asker = add(3, 10);
    start(asker);
    ASSERT_TRUE(eventually([&] { return asker.network->connected().size() == 2; }));
    const auto get = [&](const Hash& hash) {
        auto promise = std::make_shared<std::promise<std::optional<Bytes>>>();
        auto future = promise->get_future();
        asker.sync->fetch_block(hash, id_of(1), strand_, [promise](std::optional<Bytes> got) {
            promise->set_value(std::move(got));
        });
        return future.get();
    };
    EXPECT_EQ(get(hash_header(block_at(7).header)), encode_block(block_at(7)));
    EXPECT_EQ(get(hash_header(block_at(77).header)), std::nullopt);
}

}  // namespace
}  // namespace trainyard::sync
