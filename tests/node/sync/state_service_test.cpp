// SPDX-License-Identifier: Apache-2.0
// How many of the answers that are being read one peer has, and all of them together.
#include "node/sync/state_service.hpp"

#include <future>
#include <numeric>

#include "tests/node/p2p/cluster.hpp"

namespace trainyard::sync {
namespace {

using namespace p2p::test;

/// One that asks, and what it has heard.
struct Asker {
    std::unique_ptr<p2p::Network> network;
    std::atomic<int> answered = 0, throttled = 0;
};

class state_service : public ::testing::Test {
protected:
    void SetUp() override { runtime_.start(); }
    void TearDown() override {
        runtime_.request_stop();
        runtime_.join();
    }
    void ask(Asker& asker, uint32_t questions) {
        for (uint32_t i = 0; i < questions; ++i)
            asker.network->request(
                id_of(1), p2p::Kind::get_boundaries, p2p::encode_get_boundaries({Epoch{i}, 1}),
                runtime::Duration(60'000), strand_, [&](const auto& answer) {
                    if (answer) ++asker.answered;
                    if (!answer && answer.error() == p2p::RequestError::throttled)
                        ++asker.throttled;
                });
    }

    runtime::Runtime runtime_{runtime::Runtime::Options{.io_threads = 2, .pool_threads = 1}};
    runtime::Logger log_ = runtime::Logger::null();
    runtime::Strand strand_ = runtime_.make_strand();
};

TEST_F(state_service, one_peer_has_a_quarter_of_the_answers_that_are_read) {
    constexpr int kAskers = 5, kQuestions = 6, kOfOne = 4, kOfAll = 16;
    p2p::Network server(runtime_, options(1), log_);
    std::promise<void> gate;
    const StateService service({runtime_, server, nullptr,
                                [open = gate.get_future().share()](Epoch) -> std::optional<Bytes> {
                                    open.wait();
                                    return Bytes{1};
                                }});
    ASSERT_TRUE(server.start());
    std::array<Asker, kAskers> askers;
    for (uint8_t i = 0; i < kAskers; ++i) {
        auto o = options(static_cast<uint8_t>(i + 2));
        o.peers = {peer_at(1, server.port())};
        askers[i].network = std::make_unique<p2p::Network>(runtime_, o, log_);
        ASSERT_TRUE(askers[i].network->start());
        ASSERT_TRUE(eventually([&] { return askers[i].network->is_connected(id_of(1)); }));
    }
    const auto sum = [&](auto what) {
        return std::accumulate(askers.begin(), askers.end(), 0,
                               [&](int all, const Asker& one) { return all + one.*what; });
    };
    ask(askers[0], kQuestions);
    EXPECT_TRUE(eventually([&] { return askers[0].throttled == kQuestions - kOfOne; }));
    for (size_t i = 1; i < kAskers; ++i) ask(askers[i], kQuestions);
    EXPECT_TRUE(
        eventually([&] { return sum(&Asker::throttled) == kAskers * kQuestions - kOfAll; }));
    gate.set_value();
    EXPECT_TRUE(eventually([&] { return sum(&Asker::answered) == kOfAll; }));
    for (const Asker& asker : askers) EXPECT_LE(asker.answered, kOfOne);
}

}  // namespace
}  // namespace trainyard::sync
