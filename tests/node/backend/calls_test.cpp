// SPDX-License-Identifier: Apache-2.0
// Calls on the state of a real chain: the time that they may take.
#include <gtest/gtest.h>

#include "node/backend/node_backend.hpp"
#include "tests/node/chain/small_chain.hpp"

namespace trainyard::node::backend {
namespace {

class NoBlobs final : public Blobs {
public:
    Result<std::unique_ptr<rpc::BlobWriter>, rpc::BlobError> begin(const std::optional<Hash>&,
                                                                   rpc::Uploader) override {
        return unexpected(rpc::BlobError::io);
    }
    Result<Done, rpc::BlobError> release(const Hash&, const Hash&) override {
        return unexpected(rpc::BlobError::io);
    }
    Result<Done, rpc::BlobError> release(const Hash&) override {
        return unexpected(rpc::BlobError::io);
    }
    std::vector<rpc::HeldBlob> held_after(const Hash&, size_t) const override { return {}; }
    Result<rpc::BlobInfo, rpc::BlobError> info(const Hash&) override {
        return unexpected(rpc::BlobError::io);
    }
    Result<rpc::BlobInfo, rpc::BlobError> fetch(const std::string&, const Hash&) override {
        return unexpected(rpc::BlobError::io);
    }
    rpc::BlobPlace seek(const Hash&) override { return rpc::BlobPlace::absent; }
    Result<Bytes, rpc::BlobError> read(const Hash&, uint64_t, uint64_t) const override {
        return unexpected(rpc::BlobError::io);
    }
};

/// A node at block 0, whose clock goes on by `step_ms` whenever somebody looks at it.
class Node {
public:
    uint64_t step_ms = 0;

    Node() {
        pool_ = std::make_unique<mempool::Mempool>(chain_.chain(), mempool::Mempool::Options{});
        NodeBackend::Parts parts{.chain = chain_.chain(),
                                 .pool = *pool_,
                                 .blobs = blobs_,
                                 .condition = {},
                                 .now_s = [] { return uint64_t{0}; },
                                 .now_ms = [this] { return now_ms_ += step_ms; },
                                 .call_ms = 7000,
                                 .self = {},
                                 .version = "test"};
        backend_ = std::make_unique<NodeBackend>(std::move(parts));
    }
    [[nodiscard]] const NodeBackend& backend() const { return *backend_; }
    [[nodiscard]] Hash head() const { return chain_.head()->hash; }

private:
    uint64_t now_ms_ = 1;
    chain::SmallChain chain_{[](config::Genesis& genesis) {
        genesis.alloc[chain::contract_of(1)].code = *from_hex("5b5f56");            // for ever
        genesis.alloc[chain::contract_of(2)].code = *from_hex("602a5f5260205ff3");  // 42
    }};
    std::unique_ptr<mempool::Mempool> pool_;
    NoBlobs blobs_;
    std::unique_ptr<NodeBackend> backend_;
};

rpc::CallRequest call_of(uint8_t n) {
    rpc::CallRequest request;
    request.to = chain::contract_of(n);
    request.gas = 50'000'000;
    return request;
}

template <class T>
std::string too_slow(const Result<T, rpc::CallError>& outcome) {
    if (outcome) return "in time";
    return outcome.error().kind == rpc::CallError::Kind::too_slow ? outcome.error().message
                                                                  : "another error";
}

TEST(backend_calls, end_when_they_take_longer_than_the_node_allows) {
    Node node;
    node.step_ms = 1000;
    const auto why = "execution aborted (timeout = 7s)";
    const auto& backend = node.backend();
    EXPECT_EQ(too_slow(backend.call(node.head(), call_of(1), {})), why);
    EXPECT_EQ(too_slow(backend.estimate_gas(node.head(), call_of(1), {})), why);
    EXPECT_EQ(too_slow(backend.create_access_list(node.head(), call_of(1))), why);
}

TEST(backend_calls, that_are_in_time_say_what_they_gave) {
    Node node;
    node.step_ms = 1000;
    const auto outcome = node.backend().call(node.head(), call_of(2), {});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(from_be(outcome->output), Uint256(42));
    node.step_ms = 0;
    const auto endless = node.backend().call(node.head(), call_of(1), {});
    ASSERT_TRUE(endless);
    EXPECT_EQ(endless->error, "out of gas");
}

}  // namespace
}  // namespace trainyard::node::backend
