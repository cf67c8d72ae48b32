// SPDX-License-Identifier: Apache-2.0
// Four nodes in one process, over real TLS connections, agree on blocks; one may stop and come
// back.
#include "node/bft/bft_node.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <mutex>
#include <thread>

#include "consensus/bft/evidence.hpp"
#include "node/bft/wire.hpp"
#include "tests/node/chain/quick_genesis.hpp"

namespace trainyard::node::bft {
namespace {

constexpr uint64_t kChainId = chain::kQuickChainId;

SecretKey secret(uint8_t n) {
    SecretKey key;
    key[31] = n;
    return key;
}

struct Keys {
    SecretKey account, consensus, vrf, p2p;
};

struct Chainspec {
    config::Genesis genesis;
    consensus::ValidatorSet set;
    std::vector<Keys> keys;  ///< in the order of the set
    chain::SetReader read_set{};
    uint64_t execute_ms = 100;
};

Chainspec make_spec() {
    config::Genesis genesis = chain::quick_genesis();
    std::vector<consensus::Validator> validators;
    std::map<Address, Keys> keys;
    for (uint8_t i = 1; i <= 4; ++i) {
        const Keys k{secret(i), secret(10 + i), secret(20 + i), secret(30 + i)};
        const consensus::Validator v{*address_of(k.account), *public_key(k.consensus),
                                     *public_key(k.vrf), *public_key(k.p2p), 32'000'000'000};
        keys[v.address] = k;
        validators.push_back(v);
        genesis.validators.push_back({v.address, v.consensus_key, v.vrf_key, v.p2p_key,
                                      Uint256(v.stake_gwei) * Uint256(1'000'000'000), ""});
    }
    genesis.block_interval_ms = 50;
    genesis.delta_ms = 150;
    genesis.alloc[*address_of(secret(100))].balance =
        Uint256(1'000'000'000) * Uint256(1'000'000'000);
    auto set = consensus::ValidatorSet::make(validators);
    std::vector<Keys> ordered;
    for (const auto& v : set->all()) ordered.push_back(keys[v.address]);
    return {genesis, *set, ordered, {}};
}

/// A node without RPC; its stores outlive it, as a disk does.
class TestNode {
public:
    TestNode(const Chainspec& spec, size_t index, state::Kv& chain_kv, state::Kv& votes,
             std::vector<p2p::StaticPeer> peers, uint16_t port)
        : signer_(spec.keys[index].consensus, spec.keys[index].vrf) {
        consensus::ChainConfig config;
        config.chain_id = kChainId;
        config.mini_epoch_length = 8;
        config.epoch_length = spec.genesis.epoch_length;
        config.commit_cutoff = 2;
        chain_ = std::move(*chain::Chain::open(
            chain_kv, {config, spec.genesis, spec.set, nullptr, spec.read_set, {}}));
        pool_ = std::make_unique<mempool::Mempool>(*chain_, mempool::Mempool::Options{});
        p2p::NetworkOptions net;
        net.listen = {"127.0.0.1", port};
        net.identity = spec.keys[index].p2p;
        net.genesis = chain_->genesis_hash();
        net.peers = std::move(peers);
        network_ = std::make_unique<p2p::Network>(runtime_, net, runtime::Logger::null());
        BftNode::Options options;
        options.params.chain = {kChainId, chain_->genesis_hash()};
        options.params.self = *public_key(spec.keys[index].consensus);
        options.params.delta_ms = spec.genesis.delta_ms;
        options.params.execute_ms = spec.execute_ms;
        options.params.block_interval_ms = spec.genesis.block_interval_ms;
        options.params.mini_epoch_length = 8;
        options.params.epoch_length = spec.genesis.epoch_length;
        options.signer = &signer_;
        options.beneficiary = spec.set.at(static_cast<uint16_t>(index)).address;
        options.on_evidence = [this](const Address& who, Bytes proof) {
            const std::lock_guard lock(mutex_);
            evidence_.emplace_back(who, std::move(proof));
        };
        bft_ = std::make_unique<BftNode>(
            BftNode::Parts{runtime_, *network_, *chain_, *pool_, votes, runtime::Logger::null()},
            std::move(options));
        bft_->attach();
        chain_->listen({[this](const chain::ChainBlockPtr&) { pool_->on_head(); }, {}});
        runtime_.start();
        EXPECT_TRUE(network_->start());
        bft_->start();
    }
    ~TestNode() {
        network_->stop();
        runtime_.request_stop();
        runtime_.join();
    }
    chain::Chain& chain() { return *chain_; }
    mempool::Mempool& pool() { return *pool_; }
    [[nodiscard]] uint64_t height() const { return chain_->finalised()->height(); }
    [[nodiscard]] consensus::bft::Standing standing() const { return bft_->standing(); }
    BftNode& bft() { return *bft_; }
    /// To all peers, past the vote machine.
    void broadcast(const consensus::bft::Message& message) {
        network_->broadcast(kind_of(message), consensus::bft::encode_message(message));
    }
    [[nodiscard]] std::vector<std::pair<Address, Bytes>> evidence() const {
        const std::lock_guard lock(mutex_);
        return evidence_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::pair<Address, Bytes>> evidence_;
    runtime::Runtime runtime_;
    consensus::bft::KeySigner signer_;
    std::unique_ptr<chain::Chain> chain_;
    std::unique_ptr<mempool::Mempool> pool_;
    std::unique_ptr<p2p::Network> network_;
    std::unique_ptr<BftNode> bft_;
};

/// Whether this process could listen there now.
bool is_free(uint16_t port) {
    namespace asio = boost::asio;
    asio::io_context io;
    asio::ip::tcp::acceptor acceptor(io, asio::ip::tcp::v4());
    boost::system::error_code error;
    acceptor.set_option(asio::ip::tcp::acceptor::reuse_address(true), error);
    acceptor.bind({asio::ip::make_address("127.0.0.1"), port}, error);
    if (!error) acceptor.listen(1, error);
    return !error;
}

/// The first of four ports. Tests that run at once start at different ones, as their process ids
/// are different (a clock is too coarse: two that start together may read the same). They lie
/// below the range from which the kernel takes the ports of outgoing connections.
uint16_t four_free_ports() {
    constexpr uint32_t kFirst = 10'000, kBlocks = 5'500;
    for (auto block = static_cast<uint32_t>(::getpid());; block += 101) {
        const auto base = static_cast<uint16_t>(kFirst + block % kBlocks * 4);
        bool all = true;
        for (uint16_t i = 0; i < 4; ++i) all = all && is_free(static_cast<uint16_t>(base + i));
        if (all) return base;
    }
}

class Cluster {
public:
    Cluster() : Cluster(make_spec()) {}
    explicit Cluster(Chainspec spec) : spec_(std::move(spec)) {
        for (size_t i = 0; i < 4; ++i) {
            chains_.push_back(state::make_memory_kv());
            votes_.push_back(state::make_memory_kv());
            nodes_.emplace_back();
        }
    }
    void start(size_t i) {
        std::vector<p2p::StaticPeer> peers;
        for (size_t j = 0; j < 4; ++j)
            peers.push_back({{"127.0.0.1", port_of(j)}, *public_key(spec_.keys[j].p2p)});
        nodes_[i] = std::make_unique<TestNode>(spec_, i, *chains_[i], *votes_[i], std::move(peers),
                                               port_of(i));
    }
    void stop(size_t i) { nodes_[i].reset(); }
    TestNode& node(size_t i) { return *nodes_[i]; }
    /// True once every running node has this height final.
    bool reaches(uint64_t height, int seconds) {
        for (int waited = 0; waited < seconds * 50; ++waited) {
            bool all = true;
            for (const auto& node : nodes_) all = all && (!node || node->height() >= height);
            if (all) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        return false;
    }
    bool agree(uint64_t height) {
        std::optional<Hash> hash;
        for (const auto& node : nodes_) {
            if (!node) continue;
            const auto block = node->chain().by_number(height);
            if (block == nullptr || (hash && *hash != block->hash)) return false;
            hash = block->hash;
        }
        return true;
    }

private:
    static uint16_t port_of(size_t i) {
        static const uint16_t base = four_free_ports();
        return static_cast<uint16_t>(base + i);
    }
    Chainspec spec_;
    std::vector<std::unique_ptr<state::Kv>> chains_, votes_;
    std::vector<std::unique_ptr<TestNode>> nodes_;
};

TEST(bft_node, four_nodes_finalise_blocks_and_a_transaction) {
    Cluster cluster;
    for (size_t i = 0; i < 4; ++i) cluster.start(i);
    ASSERT_TRUE(cluster.reaches(5, 30));
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = kChainId;
    tx.max_fee_per_gas = Uint256(5'000'000'000);
    tx.max_priority_fee_per_gas = Uint256(1'000'000);
    tx.gas_limit = 21'000;
    tx.to = *address_of(secret(101));
    tx.value = Uint256(5);
    sign_tx(tx, secret(100));
    for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(cluster.node(i).pool().submit(tx));
    ASSERT_TRUE(cluster.reaches(cluster.node(0).height() + 8, 30));
    EXPECT_TRUE(cluster.agree(5));
    for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(cluster.node(i).chain().find_tx(hash_tx(tx)));
}

TEST(bft_node, more_bytes_in_the_pools_than_a_block_carries_stop_nobody) {
    constexpr uint64_t kTxs = 20;
    auto spec = make_spec();
    spec.execute_ms = 2000;  // the time is not what ends a block here
    Cluster cluster(std::move(spec));
    for (size_t i = 0; i < 4; ++i) cluster.start(i);
    ASSERT_TRUE(cluster.reaches(1, 30));
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = kChainId;
    tx.max_fee_per_gas = Uint256(5'000'000'000);
    tx.max_priority_fee_per_gas = Uint256(1'000'000);
    tx.gas_limit = 1'400'000;
    tx.to = *address_of(secret(101));
    tx.data = Bytes(130'000);
    for (uint64_t left = kTxs; left > 0; --left) {  // the first last, so that all are due at once
        tx.nonce = left - 1;
        sign_tx(tx, secret(100));
        for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(cluster.node(i).pool().submit(tx));
    }
    ASSERT_TRUE(cluster.reaches(cluster.node(0).height() + 8, 30));
    const auto& chain = cluster.node(0).chain();
    const auto view = chain.view(chain.finalised()->hash);
    EXPECT_EQ(view->account(*address_of(secret(100)))->nonce, kTxs);
}

TEST(bft_node, sets_that_change_in_every_epoch_make_one_chain) {
    auto spec = make_spec();
    spec.genesis.epoch_length = 4;
    // From epoch 2 on, another validator is out in each; from epoch 4 on none is, once more.
    spec.read_set = [set = spec.set](const state::StateView&, const consensus::ChainConfig&,
                                     Epoch epoch) -> Result<consensus::ValidatorSet, std::string> {
        if (epoch.value == 5) return unexpected(std::string("nothing there"));
        auto members = set.all();
        if (epoch.value < 4)
            members.erase(members.begin() + static_cast<std::ptrdiff_t>(epoch.value % 4));
        return *consensus::ValidatorSet::make(members);
    };
    Cluster cluster(std::move(spec));
    for (size_t i = 0; i < 4; ++i) cluster.start(i);
    ASSERT_TRUE(cluster.reaches(6, 60));
    cluster.stop(1);
    cluster.start(1);
    ASSERT_TRUE(cluster.reaches(26, 60));
    for (const uint64_t height : {4, 5, 8, 9, 12, 16, 17, 20, 24, 26})
        EXPECT_TRUE(cluster.agree(height)) << height;
    const auto& sets = cluster.node(0).chain().sets();
    EXPECT_EQ(sets.of_epoch({1})->size(), 4u);
    EXPECT_EQ(sets.of_epoch({2})->size(), 3u);
    EXPECT_EQ(sets.of_epoch({3})->size(), 3u);
    EXPECT_EQ(sets.of_epoch({5})->size(), 4u) << "the one before stays";
    EXPECT_GE(cluster.node(2).standing().epoch.value, 6u);
}

TEST(bft_node, a_validator_that_votes_twice_is_reported_with_what_proves_it) {
    namespace cb = consensus::bft;
    const auto spec = make_spec();
    const auto guilty = spec.set.at(3);
    Cluster cluster;
    for (size_t i = 0; i < 4; ++i) cluster.start(i);
    ASSERT_TRUE(cluster.reaches(3, 30));
    const cb::ChainIdentity chain{kChainId, cluster.node(0).chain().genesis_hash()};
    const auto vote = [&](uint8_t block) {
        const auto at = cluster.node(3).standing();
        cb::Vote v{cb::VoteKind::notarize, at.epoch, at.view + 4, Hash{}, 3, {}};
        v.block[0] = block;
        v.signature = sign(spec.keys[3].consensus, cb::vote_digest(chain, v)).rs;
        return v;
    };
    for (int i = 0; i < 200 && cluster.node(0).evidence().empty(); ++i) {
        const auto first = vote(1);
        auto second = first;
        second.block[0] = 2;
        second.signature = sign(spec.keys[3].consensus, cb::vote_digest(chain, second)).rs;
        cluster.node(3).broadcast(first);
        cluster.node(3).broadcast(second);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    const auto evidence = cluster.node(0).evidence();
    ASSERT_FALSE(evidence.empty());
    EXPECT_EQ(evidence[0].first, guilty.address);
    EXPECT_EQ(cb::judge_evidence(evidence[0].second, guilty.consensus_key, chain),
              cb::Offence::two_notarize);
}

TEST(bft_node, one_that_stands_still_keeps_nothing_of_what_it_hears) {
    Cluster cluster;
    for (size_t i = 0; i < 4; ++i) cluster.start(i);
    ASSERT_TRUE(cluster.reaches(1, 30));
    auto& node = cluster.node(0).bft();
    node.halt("for a test");
    for (int i = 0; i < 500 && node.counters().dropped == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_GT(node.counters().dropped, 0u);
}

TEST(bft_node, three_of_four_go_on_and_the_fourth_comes_back) {
    Cluster cluster;
    for (size_t i = 0; i < 4; ++i) cluster.start(i);
    ASSERT_TRUE(cluster.reaches(3, 30));
    cluster.stop(2);
    const uint64_t alone = cluster.node(0).height();
    ASSERT_TRUE(cluster.reaches(alone + 6, 60));
    cluster.start(2);
    ASSERT_TRUE(cluster.reaches(cluster.node(0).height() + 4, 60));
    EXPECT_TRUE(cluster.agree(alone + 4));
}

}  // namespace
}  // namespace trainyard::node::bft
