// SPDX-License-Identifier: Apache-2.0
// Pruned stores: what is kept is whole, what need not be kept goes to the last node, whatever
// stops in between.
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tests/state/failing_kv.hpp"
#include "tests/state/next_block.hpp"
#include "tests/state/temporary_folder.hpp"
#include "state/world.hpp"

namespace trainyard::state {
namespace {

/// Few accounts, slots and values, so that nodes are superseded and come back.
StateDiff random_diff(std::mt19937& random, const StateView& before) {
    StateDiff diff;
    for (int i = 0; i < 5; ++i) {
        const Address address = address_at(static_cast<uint8_t>(random() % 12));
        auto& change = diff.accounts[address];
        change.reset();
        if (random() % 10 == 0) continue;
        change.emplace();
        change->balance = random() % 2;
        change->nonce = 1;
        change->storage_cleared = !before.account(address) || random() % 16 == 0;
        for (int j = 0; j < 6; ++j) change->storage[random() % 20] = random() % 2 * 77;
    }
    return diff;
}

/// A chain of random blocks; remembers nothing that the store does not.
class Growth {
public:
    Growth(World& world, uint32_t seed) : world_(world), random_(seed) {}

    Result<Done, StoreError> grow() {
        Block block = next_block(world_);
        const Hash parent = head_root(world_);
        auto diff = random_diff(random_, TrieView(world_.nodes(), parent));
        auto update = state_root(parent, diff, world_.nodes());
        if (!update) return unexpected(StoreError{StoreError::Kind::missing, "", "", ""});
        block.header.state_root = update->root;
        const std::vector<Receipt> receipts(1);
        return world_.commit_block({block,
                                    receipts,
                                    std::make_shared<const StateDiff>(std::move(diff)),
                                    std::make_shared<const StateUpdate>(*std::move(update)),
                                    {}});
    }

private:
    World& world_;
    std::mt19937 random_;
};

/// The keys of all nodes of a state; complains if one is missing.
std::set<std::string> nodes_of(const World& world, uint64_t number) {
    std::set<std::string> found;
    const auto take = [&](const std::string& place) {
        return [&found, place](const Hash& hash, const NodePtr&, BytesView path) {
            found.insert(place + std::string(as_text(path)) + std::string(as_text(hash.bytes)));
            return true;
        };
    };
    const Hash root = world.header_by_number(number)->state_root;
    EXPECT_TRUE(visit_nodes(world.nodes(), root, kAccountPlace, take(std::string(kAccountPlace))));
    const TrieView view(world.nodes(), root);
    for (uint8_t i = 0; i < 12; ++i) {
        const auto account = view.account(address_at(i));
        if (!account) continue;
        const std::string place = storage_place(keccak256(address_at(i)));
        EXPECT_TRUE(visit_nodes(world.nodes(), account->storage_root, place, take(place)));
    }
    return found;
}

std::set<std::string> stored_nodes(const Kv& kv) {
    std::set<std::string> found;
    for (const char* table : {"A", "S"})
        kv.scan(as_bytes(table), [&](BytesView key, BytesView) {
            found.insert(std::string(as_text(key)));
            return true;
        });
    return found;
}

World::Options keeping(uint64_t states, std::optional<uint64_t> blocks = std::nullopt) {
    World::Options options;
    options.node_cache_bytes = 0;  // what is gone from the disk shall be missed
    options.dirty_blocks = 3;
    options.retention = Retention{states, blocks};
    return options;
}

void prune_all(World& world) {
    for (auto more = world.prune(); more && *more;) more = world.prune();
}

TEST(prune, leaves_exactly_the_nodes_of_the_states_kept) {
    for (uint32_t seed = 1; seed <= 8; ++seed) {
        const auto kv = make_memory_kv();
        const auto world = World::open(*kv, keeping(5));
        Growth growth(**world, seed);
        std::mt19937 random(seed);
        for (uint64_t n = 0; n < 60; ++n) {
            ASSERT_TRUE(growth.grow());
            if (random() % 3 == 0) {
                ASSERT_TRUE((*world)->flush());
            }
            if (random() % 3 == 0) prune_all(**world);
            for (uint64_t at = (*world)->kept().first_state; at <= n; ++at)
                (void)nodes_of(**world, at);
        }
        ASSERT_TRUE((*world)->flush());
        prune_all(**world);
        EXPECT_EQ((*world)->kept().first_state, 54u);
        // A world of its own has nothing in its caches.
        const auto again = World::open(*kv, keeping(5));
        ASSERT_TRUE(again);
        std::set<std::string> due;
        for (uint64_t at = 54; at <= 59; ++at) due.merge(nodes_of(**again, at));
        EXPECT_TRUE(stored_nodes(*kv) == due) << seed;
        EXPECT_FALSE((*again)->damage());
        EXPECT_FALSE((*again)->keeps_state(53));
        EXPECT_TRUE((*again)->keeps_state(54));
    }
}

TEST(prune, stopped_after_any_batch_it_goes_on) {
    bool has_failed = true;
    for (int batches = 2; has_failed; ++batches) {
        const auto kv = make_memory_kv();
        {
            FailingKv failing(*kv, batches);
            const auto world = World::open(failing, keeping(4, 6));
            ASSERT_TRUE(world);
            Growth growth(**world, 3);
            for (int i = 0; i < 24 && growth.grow(); ++i) {
                if ((*world)->is_flush_due() && !(*world)->flush()) break;
                prune_all(**world);
            }
            has_failed = failing.has_failed();
        }
        const auto world = World::open(*kv, keeping(4, 6));
        ASSERT_TRUE(world) << to_text(world.error());
        ASSERT_TRUE((*world)->flush());
        prune_all(**world);
        const uint64_t head = (*world)->head()->header.number;
        std::set<std::string> due;
        for (uint64_t at = (*world)->kept().first_state; at <= head; ++at)
            due.merge(nodes_of(**world, at));
        EXPECT_TRUE(head < 4 || stored_nodes(*kv) == due) << batches;
        for (uint64_t n = (*world)->kept().first_block; n <= head; ++n)
            EXPECT_TRUE((*world)->block_by_number(n)) << n;
        EXPECT_FALSE((*world)->damage());
        ASSERT_TRUE(Growth(**world, 9).grow());
    }
}

TEST(prune, old_blocks_leave_their_headers_and_are_no_damage) {
    const auto kv = make_memory_kv();
    const auto world = World::open(*kv, keeping(4, 6));
    Growth growth(**world, 1);
    std::vector<Hash> txs;
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(growth.grow());
        const auto head = (*world)->head();
        txs.push_back(hash_tx((*world)->block_by_number(head->header.number)->txs[0]));
    }
    ASSERT_TRUE((*world)->flush());
    prune_all(**world);
    EXPECT_EQ((*world)->kept().first_block, 13u);
    for (uint64_t n = 0; n < 20; ++n) {
        const bool kept = n == 0 || n >= 13;
        EXPECT_TRUE((*world)->header_by_number(n)) << n;
        EXPECT_TRUE((*world)->certificate(n)) << n;
        EXPECT_EQ((*world)->keeps_block(n), kept) << n;
        EXPECT_EQ((*world)->block_by_number(n).has_value(), kept) << n;
        EXPECT_EQ((*world)->receipts(n).has_value(), kept) << n;
        EXPECT_EQ((*world)->tx_location(txs[n]).has_value(), kept) << n;
    }
    EXPECT_FALSE((*world)->damage());
}

TEST(prune, an_archive_can_be_pruned_later_and_never_the_other_way) {
    const auto kv = make_memory_kv();
    {
        const auto world = World::open(*kv);
        Growth growth(**world, 2);
        for (int i = 0; i < 30; ++i) ASSERT_TRUE(growth.grow());
        ASSERT_TRUE((*world)->flush());
        prune_all(**world);
        EXPECT_EQ((*world)->kept().mode, Pruning::archive);
        for (uint64_t n = 0; n < 30; ++n) (void)nodes_of(**world, n);
        EXPECT_FALSE((*world)->damage());
    }
    const auto with_mode = [](Pruning mode) {
        World::Options options = keeping(4);
        options.pruning = mode;
        return options;
    };
    {
        const auto world = World::open(*kv, with_mode(Pruning::full));
        ASSERT_TRUE(world);
        prune_all(**world);
        EXPECT_EQ((*world)->kept().first_state, 25u);
        std::set<std::string> due;
        for (uint64_t n = 25; n < 30; ++n) due.merge(nodes_of(**world, n));
        EXPECT_TRUE(stored_nodes(*kv) == due);
    }
    const auto refused = World::open(*kv, with_mode(Pruning::archive));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, StoreError::Kind::wrong_mode);
    EXPECT_NE(to_text(refused.error()).find("cannot become 'archive'"), std::string::npos);
    const auto unasked = World::open(*kv);
    ASSERT_TRUE(unasked);
    EXPECT_EQ((*unasked)->kept().mode, Pruning::full);
    EXPECT_TRUE(World::open(*kv, with_mode(Pruning::validator)));
    EXPECT_FALSE(World::open(*kv, with_mode(Pruning::full)));
}

TEST(prune, a_view_of_a_state_that_goes_is_no_damage) {
    const auto kv = make_memory_kv();
    World::Options options = keeping(3);
    const auto world = World::open(*kv, options);
    Growth growth(**world, 4);
    ASSERT_TRUE(growth.grow());
    const auto view = (*world)->flat_at((*world)->head()->header);
    for (int i = 0; i < 30; ++i) ASSERT_TRUE(growth.grow());
    ASSERT_TRUE((*world)->flush());
    prune_all(**world);
    for (uint8_t i = 0; i < 12; ++i)
        for (uint64_t slot = 0; slot < 20; ++slot) (void)view->storage(address_at(i), slot);
    EXPECT_FALSE((*world)->keeps_state(0));
    EXPECT_FALSE((*world)->damage());
}

/// Of the tables on disk; logs come and go.
uint64_t table_bytes(const std::string& folder) {
    uint64_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder))
        if (file.path().extension() == ".ldb") bytes += file.file_size();
    return bytes;
}

/// Prunes a copy of a store of 400 blocks down to the last 4 states; the bytes of its tables.
uint64_t bytes_after_pruning(const std::string& grown, size_t compact_after) {
    const TemporaryFolder folder;
    std::filesystem::copy(grown, folder.path());
    {
        const auto kv = open_leveldb(folder.path());
        World::Options options = keeping(4);
        options.compact_after = compact_after;
        const auto world = World::open(**kv, options);
        prune_all(**world);
        EXPECT_EQ((*world)->kept().first_state, 395u);
        (void)nodes_of(**world, 399);
        EXPECT_FALSE((*world)->damage());
    }
    (void)open_leveldb(folder.path());  // its log becomes tables
    return table_bytes(folder.path());
}

TEST(prune, gives_the_space_of_old_nodes_back_to_the_disk) {
    const TemporaryFolder folder;
    {
        const auto kv = open_leveldb(folder.path());
        const auto world = World::open(**kv, keeping(4));
        Growth growth(**world, 5);
        for (int n = 0; n < 400; ++n) ASSERT_TRUE(growth.grow());
        ASSERT_TRUE((*world)->flush());
    }
    (void)open_leveldb(folder.path());
    const uint64_t before = table_bytes(folder.path());
    EXPECT_GE(bytes_after_pruning(folder.path(), 1'000'000), before);
    EXPECT_LT(bytes_after_pruning(folder.path(), 1000) * 3, before * 2);
}

TEST(prune, modes_have_names_and_nothing_else_is_one) {
    for (const Pruning mode : {Pruning::archive, Pruning::full, Pruning::validator})
        EXPECT_EQ(pruning_from(to_text(mode)), mode);
    for (const char* text : {"", "Archive", "fully", "none"}) EXPECT_FALSE(pruning_from(text));
    EXPECT_FALSE(retention_of(Pruning::archive).states);
    EXPECT_FALSE(retention_of(Pruning::full).blocks);
    EXPECT_LE(retention_of(Pruning::validator).states, retention_of(Pruning::full).states);
}

}  // namespace
}  // namespace trainyard::state
