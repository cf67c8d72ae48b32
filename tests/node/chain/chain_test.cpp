// SPDX-License-Identifier: Apache-2.0
// The tree of executed blocks over a real store: build, execute, finalise, restart, catch up.
#include "node/chain/chain.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "consensus/bft/messages.hpp"
#include "consensus/bft/seal.hpp"
#include "consensus/light/light.hpp"
#include "node/chain/body.hpp"
#include "node/chain/executor.hpp"
#include "state/snapshot.hpp"
#include "tests/node/chain/quick_genesis.hpp"
#include "tests/state/failing_kv.hpp"

namespace trainyard::node::chain {
namespace {

namespace cb = consensus::bft;

constexpr uint64_t kChainId = kQuickChainId;

SecretKey secret(uint8_t n) {
    SecretKey key;
    key[31] = n;
    return key;
}

struct Network {
    std::vector<SecretKey> consensus_keys;
    consensus::ValidatorSet set;
    config::Genesis genesis;
};

Network make_network() {
    std::vector<consensus::Validator> validators;
    std::map<Address, SecretKey> keys;
    config::Genesis genesis = quick_genesis();
    for (uint8_t i = 1; i <= 4; ++i) {
        consensus::Validator v;
        v.address = *address_of(secret(i));
        v.consensus_key = *public_key(secret(10 + i));
        v.vrf_key = *public_key(secret(20 + i));
        v.p2p_key = *public_key(secret(30 + i));
        v.stake_gwei = 32'000'000'000;
        keys[v.address] = secret(10 + i);
        genesis.validators.push_back({v.address, v.consensus_key, v.vrf_key, v.p2p_key,
                                      Uint256(32'000'000'000) * Uint256(1'000'000'000), ""});
        validators.push_back(v);
    }
    genesis.alloc[*address_of(secret(100))].balance =
        Uint256(1'000'000'000) * Uint256(1'000'000'000);
    auto set = consensus::ValidatorSet::make(validators);
    std::vector<SecretKey> ordered;
    for (const auto& v : set->all()) ordered.push_back(keys[v.address]);
    return {ordered, *set, genesis};
}

Chain::Options options_of(const Network& network) {
    consensus::ChainConfig config;
    config.chain_id = kChainId;
    config.mini_epoch_length = 8;
    config.commit_cutoff = 2;
    return {config, network.genesis, network.set};
}

std::unique_ptr<Chain> open(state::Kv& kv, const Network& network) {
    auto chain = Chain::open(kv, options_of(network));
    EXPECT_TRUE(chain.has_value()) << (chain ? "" : chain.error().what);
    return chain ? std::move(*chain) : nullptr;
}

Tx payment(uint64_t nonce) {
    Tx tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = kChainId;
    tx.nonce = nonce;
    tx.max_fee_per_gas = Uint256(2'000'000'000);
    tx.max_priority_fee_per_gas = Uint256(1);
    tx.gas_limit = 21'000;
    tx.to = *address_of(secret(101));
    tx.value = Uint256(5);
    sign_tx(tx, secret(100));
    return tx;
}

/// The next block on the latest one, with payments of one account.
cb::BlockPtr build_next(Chain& chain, uint64_t payments = 1,
                        std::function<bool()> is_time_up = {},
                        const std::function<Tx(uint64_t nonce)>& make = payment) {
    const auto parent = chain.latest();
    cb::Seal seal;
    seal.view = View{parent->height() + 1};
    seal.parent_view = View{parent->height()};
    BuildRequest request;
    request.parent = parent->block.header;
    request.parent_hash = parent->hash;
    request.extra_data = cb::encode_seal(seal);
    request.prev_randao = keccak256(parent->hash.bytes);
    request.beneficiary = *address_of(secret(1));
    request.now_s = parent->block.header.timestamp + 1;
    request.is_time_up = std::move(is_time_up);
    uint64_t given = 0;
    return chain.build(request, [&]() -> std::optional<consensus::Candidate> {
        if (given == payments) return std::nullopt;
        const uint64_t nonce = parent->height() * payments + given++;
        return consensus::Candidate{make(nonce), *address_of(secret(100))};
    });
}

cb::Certificate finalization(const Chain& chain, const Network& network, const Hash& block,
                             uint64_t view, size_t signers = 3, Epoch epoch = {}) {
    cb::Certificate cert;
    cert.kind = cb::VoteKind::finalize;
    cert.epoch = epoch;
    cert.view = View{view};
    cert.block = block;
    cert.set_size = 4;
    cert.signers = {static_cast<uint8_t>((1u << signers) - 1)};
    const auto digest =
        cb::vote_digest({kChainId, chain.genesis_hash()}, cert.kind, cert.epoch, cert.view, block);
    for (size_t i = 0; i < signers; ++i)
        cert.signatures.push_back(sign(network.consensus_keys[i], digest).rs);
    return cert;
}

TEST(chain, rejects_a_body_with_the_right_transactions_and_other_ommers_or_withdrawals) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    const auto chain = open(*kv, network);
    const auto block = build_next(*chain);
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(chain->is_body_of(block->header, block->body));
    const auto whole = join_body(block->header, block->body);
    ASSERT_TRUE(whole && whole->withdrawals);
    auto more = *whole, fewer = *whole, ommers = *whole, none = *whole;
    more.withdrawals->emplace_back();
    fewer.txs.clear();
    ommers.ommers.emplace_back();
    none.withdrawals.reset();
    for (const auto* other : {&more, &fewer, &ommers, &none})
        EXPECT_FALSE(chain->is_body_of(block->header, encode_body(*other)));
}

TEST(chain, builds_executes_and_finalises_the_same_block_on_two_nodes) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    const auto a = open(*kv_a, network), b = open(*kv_b, network);
    for (uint64_t height = 1; height <= 20; ++height) {
        const auto block = build_next(*a);
        ASSERT_NE(block, nullptr);
        EXPECT_EQ(a->by_hash(block->hash)->block.txs.size(), 1U);
        EXPECT_EQ(b->execute(*block), Verdict::valid);
        a->certify(block->hash);
        b->certify(block->hash);
        EXPECT_EQ(b->latest()->hash, block->hash);
        EXPECT_EQ(b->finalised()->height(), height - 1);
        const auto cert = finalization(*a, network, block->hash, height);
        ASSERT_TRUE(a->finalise(block->hash, cert));
        ASSERT_TRUE(b->finalise(block->hash, cert));
        EXPECT_EQ(b->finalised()->hash, block->hash);
    }
    const auto view = b->view(b->latest()->hash);
    EXPECT_EQ(view->account(*address_of(secret(101)))->balance, Uint256(100));
    const auto place = b->find_tx(hash_tx(payment(3)));
    ASSERT_TRUE(place);
    EXPECT_EQ(place->block->height(), 4U);
}

TEST(chain, a_block_takes_no_more_transactions_when_the_time_for_it_is_up) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    const auto chain = open(*kv, network);
    int asked = 0;
    const auto block = build_next(*chain, 50, [&] { return ++asked > 3; });
    EXPECT_EQ(join_body(block->header, block->body)->txs.size(), 3u);
}

TEST(chain, builds_no_block_that_consensus_cannot_carry) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    const auto chain = open(*kv, network);
    const auto long_one = [](uint64_t nonce) {
        Tx tx = payment(nonce);
        tx.data = Bytes(130'000);  // zeros are cheap: 5 MiB of them fit into the gas of a block
        tx.gas_limit = 1'400'000;
        sign_tx(tx, secret(100));
        return tx;
    };
    const auto block = build_next(*chain, 20, {}, long_one);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(join_body(block->header, block->body)->txs.size(), 16u);
    EXPECT_LE(block->body.size(), cb::kBodySizeMax);
    EXPECT_TRUE(cb::decode_message(cb::encode_message(cb::BlockMessage{block})));
}

TEST(chain, executes_a_block_on_several_threads) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    const auto a = open(*kv_a, network);
    ThreadExecutor executor(3);
    auto options = options_of(network);
    options.executor = &executor;
    const auto b = std::move(*Chain::open(*kv_b, std::move(options)));
    for (uint64_t height = 1; height <= 5; ++height) {
        const auto block = build_next(*a, 10);
        ASSERT_NE(block, nullptr);
        EXPECT_EQ(a->by_hash(block->hash)->block.txs.size(), 10U);
        ASSERT_EQ(b->execute(*block), Verdict::valid);
        EXPECT_EQ(a->by_hash(block->hash)->diff, b->by_hash(block->hash)->diff);
        EXPECT_EQ(a->by_hash(block->hash)->receipts, b->by_hash(block->hash)->receipts);
        a->certify(block->hash);
        b->certify(block->hash);
    }
}

TEST(chain, an_executor_calls_the_work_once_on_each_thread) {
    ThreadExecutor executor(4);
    for (int round = 0; round < 200; ++round) {
        std::atomic<int> calls = 0;
        executor.run([&] { ++calls; });
        EXPECT_EQ(calls, 4);
    }
}

TEST(chain, reopens_at_its_final_block_with_the_same_beacon) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    Hash head;
    {
        const auto chain = open(*kv, network);
        for (uint64_t height = 1; height <= 10; ++height) {
            const auto block = build_next(*chain);
            chain->certify(block->hash);
            ASSERT_TRUE(
                chain->finalise(block->hash, finalization(*chain, network, block->hash, height)));
            head = block->hash;
        }
    }
    const auto again = open(*kv, network);
    EXPECT_EQ(again->latest()->hash, head);
    EXPECT_EQ(again->final_point().hash, head);
    EXPECT_EQ(again->final_point().beacon.tip(), again->latest()->block.header.prev_randao);
    ASSERT_NE(again->final_point().certificate, nullptr);
}

TEST(chain, catches_up_from_final_bytes_of_another) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    const auto a = open(*kv_a, network), b = open(*kv_b, network);
    std::vector<cb::BlockPtr> blocks;
    for (uint64_t height = 1; height <= 6; ++height) {
        blocks.push_back(build_next(*a));
        a->certify(blocks.back()->hash);
    }
    // One certificate makes all six final, so five of them carry a descendant's.
    ASSERT_TRUE(
        a->finalise(blocks.back()->hash, finalization(*a, network, blocks.back()->hash, 6)));
    for (uint64_t height = 1; height <= 6; ++height) {
        const auto bytes = a->final_bytes(height);
        ASSERT_TRUE(bytes);
        ASSERT_TRUE(b->apply_final(bytes->block, bytes->certificate));
    }
    EXPECT_EQ(b->finalised()->hash, a->finalised()->hash);
}

TEST(chain, final_blocks_that_wait_unproven_give_way_to_others) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    const auto a = open(*kv_a, network), b = open(*kv_b, network);
    std::vector<Block> blocks;
    Hash last;
    for (uint64_t height = 1; height <= 3; ++height) {
        const auto block = build_next(*a);
        a->certify(block->hash);
        blocks.push_back(*join_body(block->header, block->body));
        last = block->hash;
    }
    const Bytes proof = cb::encode_certificate(finalization(*a, network, last, 3));
    const auto give = [&](const Block& block) {
        return b->apply_final(encode_block(block), proof).has_value();
    };
    Block spoilt = blocks[0], lie = blocks[1];
    spoilt.txs.clear();  // the true header with another body
    lie.header.timestamp += 1;
    EXPECT_TRUE(give(spoilt));
    EXPECT_TRUE(give(lie));
    for (const auto& block : blocks) EXPECT_TRUE(give(block));
    EXPECT_EQ(b->finalised()->hash, last);
}

TEST(chain, rejects_a_final_block_without_a_quorum) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    const auto a = open(*kv_a, network), b = open(*kv_b, network);
    const auto block = build_next(*a);
    const auto whole = join_body(block->header, block->body);
    const auto weak = finalization(*a, network, block->hash, 1, 2);
    EXPECT_FALSE(b->apply_final(encode_block(*whole), cb::encode_certificate(weak)));
    auto forged = finalization(*a, network, block->hash, 1);
    forged.signatures[0][5] ^= 1;
    EXPECT_FALSE(b->apply_final(encode_block(*whole), cb::encode_certificate(forged)));
    EXPECT_EQ(b->finalised()->height(), 0U);
}

TEST(chain, tells_a_senders_fault_from_its_own_failure) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    const auto a = open(*kv_a, network);
    state::FailingKv full(*kv_b, 1);  // the batch of block 0
    const auto b = open(full, network);
    const auto block = build_next(*a);
    auto whole = join_body(block->header, block->body);
    const auto certificate = cb::encode_certificate(finalization(*a, network, block->hash, 1));
    whole->txs.clear();
    const auto spoilt = b->apply_final(encode_block(*whole), certificate);
    ASSERT_FALSE(spoilt);
    EXPECT_FALSE(spoilt.error().is_own) << spoilt.error().what;
    whole = join_body(block->header, block->body);
    const auto unwritten = b->apply_final(encode_block(*whole), certificate);
    ASSERT_FALSE(unwritten);
    EXPECT_TRUE(unwritten.error().is_own) << unwritten.error().what;
}

TEST(chain, block_that_a_quorum_made_final_and_execution_refuses_is_its_own_failure) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    const auto a = open(*kv_a, network), b = open(*kv_b, network);
    const auto block = build_next(*a);
    auto whole = join_body(block->header, block->body);
    whole->header.state_root[0] ^= 1;
    const Hash hash = hash_header(whole->header);
    const auto refused = b->apply_final(encode_block(*whole),
                                        cb::encode_certificate(finalization(*a, network, hash, 1)));
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is_own);
    EXPECT_NE(refused.error().what.find("invalid here"), std::string::npos);
}

/// Two blocks in an epoch; from epoch 2 on the first validator has all the weight, and so much more
/// with each epoch as account 101 has wei. What was unreadable is told.
Chain::Options churning(const Network& network, std::vector<uint64_t>& unreadable) {
    auto options = options_of(network);
    options.config.epoch_length = 2;
    options.read_set = [set = network.set](
                           const state::StateView& view, const consensus::ChainConfig&,
                           Epoch epoch) -> Result<consensus::ValidatorSet, std::string> {
        if (epoch.value == 3) return unexpected(std::string("nothing there"));
        auto members = set.all();
        const auto rich = view.account(*address_of(secret(101)));
        members[0].stake_gwei *= 100 + (rich ? rich->balance.low() : 0);
        return *consensus::ValidatorSet::make(members);
    };
    options.on_unreadable_set = [&](Epoch epoch, const std::string&) {
        unreadable.push_back(epoch.value);
    };
    return options;
}

std::unique_ptr<Chain> grow(state::Kv& kv, const Network& network, uint64_t height,
                            std::vector<uint64_t>& unreadable,
                            const state::World::Options& store = {}) {
    auto options = churning(network, unreadable);
    options.store = store;
    auto chain = std::move(*Chain::open(kv, std::move(options)));
    while (chain->finalised()->height() < height) {
        const auto block = build_next(*chain);
        chain->certify(block->hash);
        const auto cert = finalization(*chain, network, block->hash, 1, 3, chain->epoch());
        EXPECT_TRUE(chain->finalise(block->hash, cert));
    }
    return chain;
}

TEST(chain, rejects_a_final_block_whose_number_is_not_the_next) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    std::vector<uint64_t> unreadable;
    const auto a = open(*kv_a, network);
    const auto b = *Chain::open(*kv_b, churning(network, unreadable));
    const auto next = build_next(*a);
    for (const uint64_t number : {uint64_t{2}, uint64_t{1'000'000'000}, UINT64_MAX}) {
        auto whole = *join_body(next->header, next->body);
        whole.header.number = number;  // its set is not to be asked for: nobody can know it
        const Epoch epoch = consensus::epoch_of({number}, b->config().epoch_length);
        const auto certificate = finalization(*a, network, hash_header(whole.header), 1, 1, epoch);
        const auto done = b->apply_final(encode_block(whole), cb::encode_certificate(certificate));
        ASSERT_FALSE(done);
        EXPECT_FALSE(done.error().is_own);
    }
    EXPECT_EQ(b->finalised()->height(), 0U);
}

TEST(chain, sets_come_from_the_state_two_epochs_before) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    std::vector<uint64_t> unreadable;
    {
        const auto chain = grow(*kv, network, 8, unreadable);
        EXPECT_EQ(chain->epoch().value, 4u);
        EXPECT_EQ(chain->sets().of_epoch({1})->all(), network.set.all());
        const auto weight = [&](uint64_t epoch) {
            return chain->sets().of_epoch({epoch})->at(0).stake_gwei / network.set.at(0).stake_gwei;
        };
        const auto paid = [&](uint64_t height) {
            const auto view = chain->view(chain->by_number(height)->hash);
            return view->account(*address_of(secret(101)))->balance.low();
        };
        EXPECT_EQ(weight(2), 100 + paid(2));
        EXPECT_EQ(weight(3), weight(2)) << "unreadable: the one before stays";
        EXPECT_EQ(weight(4), 100 + paid(6));
        EXPECT_EQ(weight(5), 100 + paid(8));
        EXPECT_EQ(unreadable, std::vector<uint64_t>{3});
        EXPECT_EQ(chain->validators(), chain->sets().of_epoch({4}));
    }
    const auto again = grow(*kv, network, 8, unreadable);
    EXPECT_EQ(again->sets().of_epoch({3})->at(0).stake_gwei,
              again->sets().of_epoch({2})->at(0).stake_gwei);
}

TEST(chain, what_is_pruned_is_told_and_sets_stay) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    std::vector<uint64_t> unreadable;
    state::World::Options store;
    store.node_cache_bytes = 0;
    store.dirty_blocks = 1;
    store.retention = state::Retention{2, 4};
    std::vector<Hash> hashes;
    uint64_t weight = 0;
    {
        const auto chain = grow(*kv, network, 12, unreadable, store);
        for (int i = 0; i < 500 && chain->store_status().kept.first_state < 9; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        ASSERT_GE(chain->store_status().kept.first_state, 9u);
        for (uint64_t n = 0; n <= 12; ++n) hashes.push_back(chain->by_number(n)->hash);
        weight = chain->sets().of_epoch({2})->at(0).stake_gwei;
        EXPECT_TRUE(chain->keeps_state(chain->latest()->hash));
        EXPECT_FALSE(chain->keeps_state(hashes[4]));
        EXPECT_FALSE(chain->keeps_state(keccak256({}))) << "unknown";
        (void)chain->view(hashes[4])->account(*address_of(secret(101)));
    }
    const auto again = grow(*kv, network, 13, unreadable, store);
    EXPECT_EQ(again->sets().of_epoch({2})->at(0).stake_gwei, weight);
    EXPECT_EQ(unreadable, std::vector<uint64_t>{3});
    EXPECT_TRUE(again->is_pruned(1));
    EXPECT_FALSE(again->is_pruned(0));
    EXPECT_EQ(again->by_number(1), nullptr);
    ASSERT_TRUE(again->header(1)) << "logs are sought by its bloom";
    EXPECT_EQ(hash_header(*again->header(1)), hashes[1]);
    EXPECT_EQ(again->header(13), again->latest()->block.header);
    EXPECT_EQ(again->header(14), std::nullopt);
    EXPECT_EQ(again->final_number(hashes[1]), 1u);
    EXPECT_NE(again->by_number(0), nullptr);
    EXPECT_FALSE(again->final_bytes(1));
}

TEST(chain, boundaries_can_be_proven_when_their_states_are_gone) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    std::vector<uint64_t> unreadable;
    state::World::Options store;
    store.node_cache_bytes = 0;
    store.dirty_blocks = 1;
    store.retention = state::Retention{2, 4};
    const auto chain = grow(*kv, network, 12, unreadable, store);
    for (uint64_t epoch = 0; epoch < 5; ++epoch) {
        const auto record = chain->boundary({epoch});
        ASSERT_TRUE(record) << epoch;
        const auto boundary = consensus::light::decode_boundary(*record);
        ASSERT_TRUE(boundary) << epoch;
        EXPECT_EQ(boundary->header.number, 2 * (epoch + 1));
        EXPECT_EQ(boundary->certificate.block, hash_header(boundary->header));
        EXPECT_FALSE(boundary->witness.empty());
    }
    EXPECT_FALSE(chain->boundary({6})) << "not over yet";
}

TEST(chain, a_boundary_is_proven_also_where_the_node_ended_on_it) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    std::vector<uint64_t> unreadable;
    EXPECT_FALSE(grow(*kv, network, 4, unreadable)->boundary({1})) << "comes with the next block";
    EXPECT_TRUE(grow(*kv, network, 5, unreadable)->boundary({1}));
}

/// Waits for what another thread does.
bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 500 && !condition(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return condition();
}

TEST(chain, a_snapshot_of_a_boundary_starts_a_chain_that_knows_its_sets) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    std::vector<uint64_t> unreadable;
    std::mutex mutex;
    std::optional<Bytes> manifest;
    std::vector<Bytes> chunks;
    auto options = churning(network, unreadable);
    options.make_snapshot = [&](const FrozenState& frozen) {
        const std::lock_guard lock(mutex);
        chunks.clear();
        const auto made =
            state::export_snapshot(frozen.world, frozen.tables, frozen.number,
                                   [&](const Bytes& chunk) -> Result<Done, std::string> {
                                       chunks.push_back(chunk);
                                       return Done{};
                                   });
        ASSERT_TRUE(made) << made.error();
        manifest = state::encode_manifest(*made);
    };
    const auto source = [&] {
        const auto at_boundary = grow(*kv, network, 8, unreadable);
        return at_boundary->sets().of_epoch({5})->all();
    }();
    const auto chain = std::move(*Chain::open(*kv, std::move(options)));
    ASSERT_TRUE(eventually([&] {
        const std::lock_guard lock(mutex);
        return manifest.has_value();
    }));
    const auto copy = state::make_memory_kv();
    {
        auto checked = state::check_manifest(*manifest);
        ASSERT_TRUE(checked);
        EXPECT_EQ(checked->block.header.number, 8u);
        state::SnapshotReader reader(*std::move(checked), copy.get());
        for (const Bytes& chunk : chunks) ASSERT_TRUE(reader.add(chunk));
        ASSERT_TRUE(reader.finish());
    }
    const auto started = std::move(*Chain::open(*copy, churning(network, unreadable)));
    EXPECT_EQ(started->finalised()->height(), 8u);
    EXPECT_EQ(started->epoch().value, 4u);
    EXPECT_EQ(started->sets().of_epoch({5})->all(), source);
    EXPECT_EQ(started->sets().of_epoch({2})->size(), 4u) << "from the state at hand";
}

TEST(chain, final_blocks_are_checked_against_the_set_of_their_epoch) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    std::vector<uint64_t> unreadable;
    const auto a = grow(*kv_a, network, 6, unreadable);
    const auto b = grow(*kv_b, network, 0, unreadable);
    const auto apply = [&](uint64_t height, const cb::Certificate& cert) {
        return b->apply_final(a->final_bytes(height)->block, cb::encode_certificate(cert));
    };
    const auto hash = [&](uint64_t height) { return a->by_number(height)->hash; };
    EXPECT_FALSE(apply(1, finalization(*a, network, hash(1), 1, 3, {1}))) << "another epoch";
    EXPECT_TRUE(apply(1, finalization(*a, network, hash(1), 1, 3, {0})));
    EXPECT_FALSE(apply(2, finalization(*a, network, hash(3), 1, 3, {1}))) << "a boundary's own";
    for (uint64_t height = 2; height <= 4; ++height) {
        const Epoch epoch = consensus::epoch_of({height}, 2);
        EXPECT_FALSE(apply(height, finalization(*a, network, hash(height), 1, 1, epoch)));
        EXPECT_TRUE(apply(height, finalization(*a, network, hash(height), 1, 3, epoch)));
    }
    EXPECT_TRUE(apply(5, finalization(*a, network, hash(5), 1, 1, {2}))) << "the first decides";
    EXPECT_EQ(b->finalised()->height(), 5u);
    EXPECT_EQ(b->boundary_certificate({1})->block, hash(4));
    EXPECT_EQ(b->boundary_certificate({2}), nullptr) << "not final yet";
}

TEST(chain, rejects_a_block_whose_state_root_is_wrong) {
    const auto network = make_network();
    const auto kv_a = state::make_memory_kv(), kv_b = state::make_memory_kv();
    const auto a = open(*kv_a, network), b = open(*kv_b, network);
    const auto block = build_next(*a);
    Header header = block->header;
    header.state_root[0] ^= 1;
    EXPECT_EQ(b->execute(*cb::make_block(header, block->body)), Verdict::invalid);
    header = block->header;
    header.parent_hash[0] ^= 1;
    EXPECT_EQ(b->execute(*cb::make_block(header, block->body)), Verdict::unavailable);
}

TEST(chain, rejects_a_data_folder_of_another_chain) {
    auto network = make_network();
    const auto kv = state::make_memory_kv();
    ASSERT_NE(open(*kv, network), nullptr);
    network.genesis.gas_limit += 1;
    const auto other = Chain::open(*kv, options_of(network));
    ASSERT_FALSE(other);
    EXPECT_NE(other.error().what.find("another chain"), std::string::npos);
}

TEST(chain, drops_branches_that_lost) {
    const auto network = make_network();
    const auto kv = state::make_memory_kv();
    const auto chain = open(*kv, network);
    const auto winner = build_next(*chain);
    BuildRequest request;
    request.parent = chain->latest()->block.header;
    request.parent_hash = chain->latest()->hash;
    request.prev_randao = Hash{};
    request.beneficiary = *address_of(secret(2));
    request.now_s = 77;
    const auto loser = chain->build(request, [] { return std::nullopt; });
    ASSERT_NE(loser, nullptr);
    chain->certify(loser->hash);
    ASSERT_TRUE(chain->finalise(winner->hash, finalization(*chain, network, winner->hash, 1)));
    EXPECT_EQ(chain->by_hash(loser->hash), nullptr);
    EXPECT_EQ(chain->latest()->hash, winner->hash);
}

}  // namespace
}  // namespace trainyard::node::chain
