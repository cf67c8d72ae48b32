// SPDX-License-Identifier: Apache-2.0
// What JSON-RPC says of a blob that could not be fetched.
#include "node/cli/node_blobs.hpp"

#include <deque>
#include <filesystem>
#include <future>

#include "tests/node/p2p/cluster.hpp"

namespace trainyard::node::cli {
namespace {

using p2p::test::eventually;
using p2p::test::options;
using p2p::test::peer_at;

class NodeBlobsTest : public testing::Test {
protected:
    void SetUp() override {
        std::filesystem::remove_all(folder_);
        runtime_.start();
    }
    void TearDown() override {
        runtime_.request_stop();
        runtime_.join();
        std::filesystem::remove_all(folder_);
    }
    struct Node {
        std::unique_ptr<p2p::Network> network;
        std::unique_ptr<blobs::BlobStore> store;
        std::unique_ptr<sync::BlobService> service;
        std::unique_ptr<NodeBlobs> blobs;
    };
    /// They outlive what the runtime does with them.
    Node& add(const p2p::NetworkOptions& o, uint64_t quota, size_t fetches_max,
              runtime::Duration wait = NodeBlobs::kFetchWait) {
        Node& node = nodes_.emplace_back();
        node.network = std::make_unique<p2p::Network>(runtime_, o, log_);
        auto store = blobs::BlobStore::open(
            {folder_ / to_hex(node.network->id().bytes), quota, blobs::kBlobBytesMax});
        EXPECT_TRUE(store);
        node.store = *std::move(store);
        sync::BlobService::Options limits;
        limits.limits.no_progress_ms = 300;
        limits.fetches_max = fetches_max;
        node.service = std::make_unique<sync::BlobService>(
            sync::BlobService::Parts{runtime_, *node.network, *node.store, log_}, limits);
        node.blobs =
            std::make_unique<NodeBlobs>(*node.store, *node.service, runtime_.make_strand(), wait);
        EXPECT_TRUE(node.network->start());
        return node;
    }

    runtime::Runtime runtime_{{1, 1}};
    runtime::Logger log_ = runtime::Logger::null();
    std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("node_blobs_" + std::to_string(::getpid()));
    std::deque<Node> nodes_;
};

TEST_F(NodeBlobsTest, absent_is_only_what_no_peer_has) {
    const auto& has = add(options(1), 1 << 20, 16);
    const Hash id = *has.store->put(Bytes(100, 7));
    auto o = options(2);
    o.peers = {peer_at(1, has.network->port())};
    const auto& full = add(o, 10, 16);
    ASSERT_TRUE(eventually([&] { return !full.network->connected().empty(); }));
    EXPECT_EQ(full.blobs->fetch("", id).error(), rpc::BlobError::quota);
    EXPECT_EQ(full.blobs->fetch("", Hash{}).error(), rpc::BlobError::not_found);
    EXPECT_EQ(full.blobs->info(id).error(), rpc::BlobError::not_found);
    const auto& busy = add(options(3), 1 << 20, 0);
    EXPECT_EQ(busy.blobs->fetch("", id).error(), rpc::BlobError::busy);
}

TEST_F(NodeBlobsTest, one_that_is_sought_comes_or_counts_as_absent_after_a_while) {
    const auto& has = add(options(1), 1 << 20, 16);
    const Hash id = *has.store->put(Bytes(100, 7));
    auto o = options(2);
    o.peers = {peer_at(1, has.network->port())};
    const auto& node = add(o, 1 << 20, 16, runtime::Duration(1));
    using rpc::BlobPlace;
    EXPECT_EQ(node.blobs->seek(Hash{}), BlobPlace::sought);
    EXPECT_TRUE(eventually([&] { return node.blobs->seek(Hash{}) == BlobPlace::absent; }));
    EXPECT_TRUE(eventually([&] { return node.blobs->seek(id) == BlobPlace::here; }));
    EXPECT_EQ(has.blobs->seek(id), BlobPlace::here);
    // A search that has ended in vain begins anew.
    EXPECT_TRUE(eventually([&] { return node.service->progress().empty(); }));
    EXPECT_EQ(node.blobs->seek(Hash{}), BlobPlace::sought);
}

TEST_F(NodeBlobsTest, a_few_calls_alone_wait_for_absent_blobs) {
    const auto& node = add(options(1), 1 << 20, 16);
    std::atomic<bool> is_over{false};
    std::vector<std::thread> waiting;
    for (size_t i = 0; i < NodeBlobs::kWaitsMax; ++i)
        waiting.emplace_back([&] {
            while (!is_over) (void)node.blobs->fetch("", Hash{});
        });
    EXPECT_TRUE(
        eventually([&] { return node.blobs->fetch("", Hash{}).error() == rpc::BlobError::busy; }));
    is_over = true;
    for (auto& thread : waiting) thread.join();
    EXPECT_EQ(node.blobs->fetch("", Hash{}).error(), rpc::BlobError::not_found);
}

TEST_F(NodeBlobsTest, one_client_alone_does_not_hold_all_places_for_waiting) {
    const auto& node = add(options(1), 1 << 20, 16);
    std::promise<void> gate;
    runtime_.make_strand().post([open = gate.get_future().share()] { open.wait(); });
    std::vector<std::future<rpc::BlobError>> calls;
    const auto ask = [&](const char* client) {
        calls.push_back(std::async(std::launch::async, [&node, client] {
            return node.blobs->fetch(client, Hash{}).error();
        }));
    };
    const auto answered = [&](size_t count) {
        return eventually([&] {
            return count == static_cast<size_t>(std::ranges::count_if(calls, [](const auto& call) {
                       return call.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
                   }));
        });
    };
    for (const char* client : {"a", "a", "a"}) ask(client);
    EXPECT_TRUE(answered(1));
    for (const char* client : {"b", "b", "b"}) ask(client);
    EXPECT_TRUE(answered(3)) << "a place is left for one other";
    gate.set_value();
    std::multiset<rpc::BlobError> answers;
    for (auto& call : calls) answers.insert(call.get());
    EXPECT_EQ(answers.count(rpc::BlobError::busy), 3u);
    EXPECT_EQ(answers.count(rpc::BlobError::not_found), 3u);
}

}  // namespace
}  // namespace trainyard::node::cli
