// SPDX-License-Identifier: Apache-2.0
// A store filled from peers over localhost: honest ones, and those that lie about blocks, chunks
// and whole states.
#include "node/sync/state_sync.hpp"

#include <filesystem>
#include <fstream>
#include <random>

#include <gtest/gtest.h>

#include "consensus/rules/work.hpp"
#include "core/rlp.hpp"
#include "node/sync/snapshot_files.hpp"
#include "node/sync/snapshot_shelf.hpp"
#include "node/sync/state_folder.hpp"
#include "node/sync/state_service.hpp"
#include "tests/consensus/staking/fake_staking.hpp"
#include "tests/node/p2p/cluster.hpp"

namespace trainyard::sync {
namespace {

namespace cb = consensus::bft;
namespace cl = consensus::light;
namespace fs = std::filesystem;
using namespace p2p::test;
using End = StateSync::End;

constexpr uint64_t kEpochBlocks = 4;

Bytes boundary_key(Epoch epoch) {
    return {'w', static_cast<uint8_t>(epoch.value)};
}

consensus::ValidatorSet voters() {
    std::vector<consensus::Validator> members;
    for (const uint8_t n : {1, 2, 3, 4}) {
        members.push_back(consensus::member(n));
        members.back().stake_gwei = 100;
    }
    return *consensus::ValidatorSet::make(members);
}

/// A chain of two epochs with a state of some chunks, and the proofs of its boundaries.
struct Source {
    Source() {
        config.epoch_length = kEpochBlocks;
        chain = {7, {}};
        commit(first_state());
        genesis = *world->block_by_number(0);
        chain.genesis_hash = hash_header(genesis.header);
        for (uint8_t n = 1; n <= 8; ++n) {
            state::StateDiff diff;
            Address who;
            who[3] = n;
            diff.accounts[who] = state::AccountChange{n, Uint256(1000), kEmptyCodeHash, false, {}};
            commit(std::move(diff));
        }
    }
    static state::StateDiff first_state() {
        state::StateDiff diff;
        std::mt19937 random(3);
        const auto put = [&](const Address& who, const Bytes& code) {
            state::AccountChange change;
            change.code_hash = keccak256(code);
            diff.codes[change.code_hash] = code;
            diff.accounts[who] = change;
        };
        put(consensus::address::kStaking,
            consensus::code_that_answers(consensus::encode(voters().all())));
        for (uint8_t i = 0; i < 180; ++i) {
            Address who;
            who[0] = 1;
            who[1] = i;
            Bytes code(24'000);
            for (auto& byte : code) byte = static_cast<uint8_t>(random());
            put(who, code);
        }
        return diff;
    }
    void commit(state::StateDiff diff) {
        const auto head = world->head();
        Block block;
        block.withdrawals.emplace();
        Header& header = block.header;
        header.number = head ? head->header.number + 1 : 0;
        header.timestamp = 1'000 + header.number;
        header.parent_hash = head ? head->hash : Hash{};
        header.withdrawals_root = header.transactions_root = header.receipts_root = kEmptyTrieRoot;
        header.ommers_hash = consensus::ommers_hash({});
        header.base_fee_per_gas = 7;
        header.blob_gas_used = 0;
        auto update = *state::state_root(head ? head->header.state_root : kEmptyTrieRoot, diff,
                                         world->nodes());
        header.state_root = update.root;
        const Height height{header.number};
        if (height.value > 0)
            header.extra_data =
                cb::encode_seal({consensus::epoch_of(height, kEpochBlocks), {9}, {8}, {}});
        const Bytes certificate =
            height.value > 0 ? cb::encode_certificate(certify(header)) : Bytes{};
        const std::vector<Receipt> none;
        ASSERT_TRUE(world->commit_block(
            {block, none, std::make_shared<const state::StateDiff>(std::move(diff)),
             std::make_shared<const state::StateUpdate>(std::move(update)), certificate}));
        if (height.value > 0 && height.value % kEpochBlocks == 0) on_boundary(header);
    }
    void on_boundary(const Header& header) {
        const Epoch epoch = consensus::epoch_of({header.number}, kEpochBlocks);
        boundaries[epoch] = {
            header, certify(header),
            *cl::witness_of_sets(world->nodes(), header.state_root, config, epoch)};
        tables[header.number] = std::move(*world->freeze(header.number));
    }
    cb::Certificate certify(const Header& header) const {
        cb::Certificate out;
        out.kind = cb::VoteKind::finalize;
        out.epoch = consensus::epoch_of({header.number}, kEpochBlocks);
        out.view = {9};
        out.block = hash_header(header);
        const auto set = voters();
        out.set_size = static_cast<uint16_t>(set.size());
        out.signers = {0xf};
        for (consensus::ValidatorIndex i = 0; i < set.size(); ++i) {
            const auto key = consensus::key_number(static_cast<uint8_t>(3 * set.at(i).address[19]));
            const Hash digest = cb::vote_digest(chain, out.kind, out.epoch, out.view, out.block);
            out.signatures.push_back(sign(key, digest).rs);
        }
        return out;
    }

    consensus::ChainConfig config;
    cb::ChainIdentity chain;
    Block genesis;
    std::unique_ptr<state::Kv> kv = state::make_memory_kv();
    std::unique_ptr<state::World> world = *state::World::open(*kv);
    std::map<Epoch, cl::Boundary> boundaries;
    std::map<uint64_t, std::unique_ptr<const state::KvReader>> tables;
};

class state_sync : public ::testing::Test {
protected:
    struct Server {
        std::unique_ptr<SnapshotShelf> shelf;
        std::map<Epoch, cl::Boundary> boundaries;
        std::unique_ptr<p2p::Network> network;
        std::unique_ptr<StateService> service;
    };
    struct Client {
        std::unique_ptr<state::Kv> store = state::make_memory_kv();
        std::unique_ptr<p2p::Network> network;
        std::unique_ptr<StateSync> sync;
        std::optional<End> end;
    };

    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("trainyard-state-" + std::to_string(::getpid()));
        fs::remove_all(folder_);
        runtime_.start();
    }
    void TearDown() override {
        runtime_.request_stop();
        runtime_.join();
        clients_.clear();
        servers_.clear();
        fs::remove_all(folder_);
    }

    fs::path shelf_of(uint8_t n) const { return folder_ / ("shelf-" + std::to_string(n)); }
    /// Makes the snapshots, lets `change` damage them, and serves what is there then.
    Server& serve(uint8_t n, const std::function<void(const fs::path&)>& change = {}) {
        const std::atomic<bool> stops = false;
        {
            auto shelf = std::move(*SnapshotShelf::open({shelf_of(n), 2}));
            for (const auto& [number, tables] : source_.tables)
                EXPECT_TRUE(shelf->make(*source_.world, *tables, number, stops));
        }
        if (change) change(shelf_of(n));
        return serve_shelf(n, std::move(*SnapshotShelf::open({shelf_of(n), 2})));
    }
    Server& serve_shelf(uint8_t n, std::unique_ptr<SnapshotShelf> shelf) {
        auto server = std::make_unique<Server>();
        server->shelf = std::move(shelf);
        server->boundaries = source_.boundaries;
        server->network = std::make_unique<p2p::Network>(runtime_, options(n), log_);
        server->service = std::make_unique<StateService>(StateService::Parts{
            runtime_, *server->network, server->shelf.get(),
            [known = &server->boundaries](Epoch epoch) -> std::optional<Bytes> {
                const auto found = known->find(epoch);
                return found == known->end() ? std::nullopt
                                             : std::optional(cl::encode_boundary(found->second));
            }});
        EXPECT_TRUE(server->network->start());
        servers_[n] = std::move(server);
        return *servers_[n];
    }
    Client& sync(uint8_t n, std::optional<TrustedBoundary> trust = {}) {
        auto client = std::make_unique<Client>();
        auto net = options(n);
        for (const auto& [id, server] : servers_)
            net.peers.push_back(peer_at(id, server->network->port()));
        client->network = std::make_unique<p2p::Network>(runtime_, net, log_);
        StateSync::Options o{.chain = source_.config,
                             .identity = source_.chain,
                             .genesis_validators = voters(),
                             .genesis_block = source_.genesis,
                             .folder = folder_ / ("client-" + std::to_string(n)),
                             .trust = trust,
                             .boundary_key = boundary_key,
                             .limits = {},
                             .on_end = {}};
        o.limits.gather_ms = 300;
        o.limits.reask_ms = 300;
        o.limits.patience_ms = 1'500;
        o.on_end = [this, to = client.get()](End end) {
            const std::lock_guard lock(mutex_);
            to->end = end;
        };
        client->sync = std::make_unique<StateSync>(
            StateSync::Parts{runtime_, *client->network, *client->store, log_}, std::move(o));
        EXPECT_TRUE(client->network->start());
        EXPECT_TRUE(
            eventually([&] { return client->network->connected().size() == servers_.size(); }));
        client->sync->start();
        clients_.push_back(std::move(client));
        return *clients_.back();
    }
    std::optional<End> end_of(const Client& client) {
        (void)eventually([&] {
            const std::lock_guard lock(mutex_);
            return client.end.has_value();
        });
        const std::lock_guard lock(mutex_);
        return client.end;
    }
    void expect_state(const Client& client, uint64_t number = 8) {
        const auto opened = state::World::open(*client.store);
        ASSERT_TRUE(opened) << state::to_text(opened.error());
        ASSERT_TRUE((*opened)->head());
        EXPECT_EQ((*opened)->head()->header, source_.world->header_by_number(number));
        Address who;
        who[3] = 2;
        EXPECT_EQ((*opened)->view_at((*opened)->head()->header.state_root)->account(who)->nonce,
                  2u);
    }
    static bool is_banned(const Client& client, uint8_t n) {
        const auto bans = client.network->bans();
        return std::any_of(bans.begin(), bans.end(),
                           [&](const p2p::Ban& ban) { return ban.peer == id_of(n); });
    }

    fs::path folder_;
    runtime::Runtime runtime_{runtime::Runtime::Options{.io_threads = 2, .pool_threads = 2}};
    runtime::Logger log_ = runtime::Logger::null();
    std::mutex mutex_;
    Source source_;
    std::map<uint8_t, std::unique_ptr<Server>> servers_;
    std::vector<std::unique_ptr<Client>> clients_;
};

TEST_F(state_sync, fills_a_store_with_the_newest_boundary_and_its_proofs) {
    serve(1);
    serve(2);
    Client& client = sync(9);
    ASSERT_EQ(end_of(client), End::synced);
    expect_state(client);
    const auto proof = client.store->get(boundary_key({1}));
    ASSERT_TRUE(proof);
    EXPECT_EQ(cl::decode_boundary(*proof)->header.number, 8u);
    const auto progress = client.sync->progress();
    EXPECT_EQ(progress.height, Height{8});
    EXPECT_GE(progress.chunks, 4u);
    EXPECT_EQ(progress.chunks_here, progress.chunks);
    EXPECT_GT(progress.bytes_received, 4'000'000u);
}

void flip(const fs::path& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);
    file.put('!');
}

TEST_F(state_sync, rejects_wrong_chunks_and_takes_them_from_another) {
    serve(1, [](const fs::path& shelf) {
        for (uint64_t i = 0; i < 4; ++i) flip(chunk_path(shelf / "8", i));
    });
    serve(2);
    Client& client = sync(9);
    ASSERT_EQ(end_of(client), End::synced);
    expect_state(client);
    EXPECT_TRUE(is_banned(client, 1));
    EXPECT_FALSE(is_banned(client, 2));
}

/// Another state under the same block: the first account is richer, and the hashes fit.
void forge(const fs::path& shelf) {
    const fs::path folder = shelf / "8";
    auto manifest = read_manifest(folder)->manifest;
    std::vector<state::Record> records;
    Bytes chunk = *read_whole(chunk_path(folder, 0), state::kChunkBytesMax);
    rlp::Fields fields(chunk);
    fields.each([&](rlp::Fields& list) {
        list.list([&](rlp::Fields& pair) {
            auto& record = records.emplace_back();
            record.key = pair.bytes();
            record.value = pair.bytes();
        });
    });
    auto account = *state::decode_account(records[0].value);
    account.balance += 1'000'000;
    records[0].value = state::encode_account(account);
    rlp::Writer out;
    out.begin_list();
    for (const auto& r : records) out.begin_list().bytes(r.key).bytes(r.value).end_list();
    chunk = out.end_list().take();
    manifest.chunks[0] = keccak256(chunk);
    ASSERT_TRUE(write_whole(chunk_path(folder, 0), chunk));
    ASSERT_TRUE(write_whole(manifest_path(folder), state::encode_manifest(manifest)));
}

TEST_F(state_sync, rejects_a_whole_state_that_is_a_lie_of_many_and_takes_the_true_one) {
    serve(1, forge);
    serve(2, forge);
    serve(3);
    Client& client = sync(9);
    ASSERT_EQ(end_of(client), End::synced);
    expect_state(client);
    EXPECT_TRUE(is_banned(client, 1));
    EXPECT_TRUE(is_banned(client, 2));
    EXPECT_FALSE(is_banned(client, 3));
}

TEST_F(state_sync, rejects_boundaries_that_no_quorum_signed) {
    Server& liar = serve(1);
    liar.boundaries[{1}].certificate.signatures[0].bytes[5] ^= 1;
    serve(2);
    Client& client = sync(9);
    ASSERT_EQ(end_of(client), End::synced);
    expect_state(client);
    EXPECT_FALSE(is_banned(client, 2));
}

TEST_F(state_sync, takes_up_again_what_had_come_before_it_was_stopped) {
    Server& poor = serve(1, {});
    fs::remove(chunk_path(shelf_of(1) / "8", 1));  // asked for, it is not there
    uint64_t chunks = 0;
    {
        Client& client = sync(9);
        ASSERT_TRUE(eventually([&] {
            const auto at = client.sync->progress();
            chunks = at.chunks;
            return chunks > 0 && at.chunks_here == chunks - 1;
        }));
        EXPECT_FALSE(state::holds_chain(*client.store));
        client.network->stop();
    }
    poor.network->stop();
    servers_.clear();
    serve(2);
    Client& again = sync(9);
    ASSERT_EQ(end_of(again), End::synced);
    expect_state(again);
    EXPECT_LT(again.sync->progress().bytes_received, 2'000'000u) << "one chunk of " << chunks;
}

TEST_F(state_sync, begins_at_a_boundary_that_the_operator_trusts) {
    serve(1);
    Client& client = sync(9, TrustedBoundary{{0}, hash_header(source_.boundaries[{0}].header)});
    ASSERT_EQ(end_of(client), End::synced);
    expect_state(client);
    Client& misled = sync(10, TrustedBoundary{{0}, Hash{}});
    EXPECT_TRUE(eventually([&] { return is_banned(misled, 1); }));
    EXPECT_FALSE(state::holds_chain(*misled.store));
}

TEST_F(state_sync, ends_where_nobody_offers_a_snapshot) {
    serve_shelf(1, nullptr);
    Client& client = sync(9);
    EXPECT_EQ(end_of(client), End::none_offered);
}

TEST_F(state_sync, shelf_keeps_the_newest_and_forgets_what_is_not_whole) {
    const std::atomic<bool> stops = false, stopped = true;
    auto shelf = std::move(*SnapshotShelf::open({shelf_of(1), 1}));
    EXPECT_FALSE(shelf->newest());
    EXPECT_FALSE(shelf->make(*source_.world, *source_.tables[4], 4, stopped));
    const auto old = *shelf->make(*source_.world, *source_.tables[4], 4, stops);
    const auto made = *shelf->make(*source_.world, *source_.tables[8], 8, stops);
    ASSERT_EQ(shelf->offers().size(), 1u);
    EXPECT_EQ(shelf->offers()[0], made.offer);
    EXPECT_FALSE(fs::exists(shelf_of(1) / "4"));
    EXPECT_FALSE(shelf->part({old.offer.id, false, 0}));
    EXPECT_TRUE(shelf->part({made.offer.id, false, 0}));
    EXPECT_FALSE(shelf->part({made.offer.id, false, made.offer.chunks}));
    EXPECT_EQ(shelf->part({made.offer.id, true, 0})->size(), made.offer.manifest_bytes);
    EXPECT_FALSE(shelf->part({made.offer.id, true, 1}));
    fs::remove(chunk_path(shelf_of(1) / "8", 0));
    EXPECT_FALSE(SnapshotShelf::open({shelf_of(1), 1}).value()->newest());
    EXPECT_FALSE(fs::exists(shelf_of(1) / "8"));
}

TEST_F(state_sync, judges_all_of_a_manifest_but_the_chunks) {
    const std::atomic<bool> stops = false;
    auto shelf = std::move(*SnapshotShelf::open({shelf_of(1), 1}));
    const auto made = *shelf->make(*source_.world, *source_.tables[8], 8, stops);
    const auto good = read_manifest(shelf_of(1) / "8")->manifest;
    const auto judge = [&](const state::Manifest& manifest) {
        const auto checked =
            check_snapshot(state::encode_manifest(manifest),
                           {made.offer, source_.boundaries[{1}], source_.genesis, source_.config});
        return checked ? std::string() : checked.error();
    };
    const auto with = [&](const std::function<void(state::Manifest&)>& change) {
        auto manifest = good;
        change(manifest);
        return judge(manifest);
    };
    EXPECT_EQ(judge(good), "");
    EXPECT_EQ(with([](auto& m) { m.certificate = {1}; }), "") << "the boundary's is taken";
    EXPECT_EQ(with([](auto& m) { m.chunks.pop_back(); }),
              "the manifest lists other chunks than were offered");
    EXPECT_EQ(with([](auto& m) { m.headers.erase(m.headers.begin()); }),
              "the manifest lacks headers");
    EXPECT_EQ(with([&](auto& m) {
                  auto other = source_.genesis;
                  other.header.gas_limit += 1;
                  m.headers.clear();
                  m.first_block = encode_block(other);
              }),
              "the manifest is of a chain with another block 0");
    EXPECT_EQ(with([&](auto& m) {
                  m.block = encode_block(*source_.world->block_by_number(7));
                  m.headers.pop_back();
              }),
              "the manifest is of another block");
    EXPECT_EQ(with([&](auto& m) {
                  auto block = *source_.world->block_by_number(8);
                  block.txs.emplace_back();
                  m.block = encode_block(block);
                  m.receipts = {0xc2, 0x81, 0x80};
              }).rfind("the manifest", 0),
              0u);
}

TEST(trusted_boundary, is_an_epoch_and_a_hash) {
    const std::string hash = "0x" + std::string(64, 'a');
    const auto good = trusted_boundary_from("12:" + hash);
    ASSERT_TRUE(good);
    EXPECT_EQ(good->epoch, Epoch{12});
    for (const std::string& bad : {hash, ":" + hash, "x:" + hash, "-1:" + hash, "12 :" + hash})
        EXPECT_FALSE(trusted_boundary_from(bad)) << bad;
    EXPECT_FALSE(trusted_boundary_from("12:" + hash + "0"));
    EXPECT_FALSE(trusted_boundary_from("99999999999999999999:" + hash));
}

}  // namespace
}  // namespace trainyard::sync
