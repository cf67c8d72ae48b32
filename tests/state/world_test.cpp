// SPDX-License-Identifier: Apache-2.0
// The block store: what a commit writes, what a restart finds, and what it says of a damaged store.
#include "state/world.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "tests/state/failing_kv.hpp"
#include "tests/state/next_block.hpp"
#include "tests/state/temporary_folder.hpp"

namespace trainyard::state {
namespace {

struct Made {
    Block block;
    std::vector<Receipt> receipts;
    StateDiff diff;
    StateUpdate update;

    Commit commit(BytesView certificate) const {
        return {block,
                receipts,
                std::make_shared<const StateDiff>(diff),
                std::make_shared<const StateUpdate>(update),
                certificate,
                nullptr,
                on_two_threads};
    }
    static void on_two_threads(const std::function<void()>& work) {
        std::thread other(work);
        work();
        other.join();
    }
};

/// Commits blocks that each pay account `number` and write one slot of account 1.
class Chain {
public:
    explicit Chain(World& world) : world_(world) {}

    Made make_next(uint64_t balance) const {
        Made made;
        made.block = next_block(world_);
        Header& header = made.block.header;
        const auto low = static_cast<uint8_t>(header.number);
        auto& paid = made.diff.accounts[address_at(low)].emplace();
        paid.balance = balance;
        paid.code_hash = keccak256(as_bytes("code"));
        made.diff.codes[paid.code_hash] = {as_bytes("code").begin(), as_bytes("code").end()};
        auto& slots = made.diff.accounts[address_at(200)].emplace();
        slots.storage[header.number] = header.number + 1;
        Tx tx = tx_of_block(header.number);
        tx.type = TxType::dynamic_fee;
        tx.chain_id = 1;
        made.block.txs.push_back(tx);
        made.receipts.resize(2);
        made.receipts[1].type = TxType::dynamic_fee;
        made.receipts[1].success = true;
        made.receipts[1].logs = {{address_at(3), {kEmptyCodeHash}, {1, 2}}};
        made.update = *state_root(head_root(world_), made.diff, world_.nodes());
        header.state_root = made.update.root;
        return made;
    }
    Result<Done, StoreError> commit(const Made& made) {
        const Bytes certificate{9, static_cast<uint8_t>(made.block.header.number)};
        return world_.commit_block(made.commit(certificate));
    }
    Made grow() {
        Made made = make_next(100);
        EXPECT_TRUE(commit(made));
        return made;
    }

private:
    World& world_;
};

TEST(world, is_empty_before_genesis) {
    const auto kv = make_memory_kv();
    const auto world = World::open(*kv);
    ASSERT_TRUE(world);
    EXPECT_FALSE((*world)->head());
    EXPECT_EQ((*world)->block_by_number(0), std::nullopt);
    EXPECT_TRUE((*world)->view_at(kEmptyTrieRoot));
}

TEST(world, reads_back_all_of_a_commit_also_after_opening_again) {
    const auto kv = make_memory_kv();
    std::vector<Made> made;
    {
        const auto world = World::open(*kv);
        Chain chain(**world);
        for (int i = 0; i < 5; ++i) made.push_back(chain.grow());
    }
    const auto opened = World::open(*kv);
    ASSERT_TRUE(opened);
    const World& world = **opened;
    ASSERT_TRUE(world.head());
    EXPECT_EQ(world.head()->header, made[4].block.header);
    EXPECT_EQ(world.head()->hash, hash_header(made[4].block.header));
    for (uint64_t n = 0; n < 5; ++n) {
        const Block& block = made[n].block;
        const Hash hash = hash_header(block.header);
        EXPECT_EQ(world.block_by_number(n), block);
        EXPECT_EQ(world.header_by_number(n), block.header);
        EXPECT_EQ(world.block_by_hash(hash), block);
        EXPECT_EQ(world.number_of_hash(hash), n);
        EXPECT_EQ(world.receipts(n), made[n].receipts);
        EXPECT_EQ(world.certificate(n), (Bytes{9, static_cast<uint8_t>(n)}));
        for (uint32_t i = 0; i < 2; ++i)
            EXPECT_EQ(world.tx_location(hash_tx(block.txs[i])), (TxLocation{n, i}));
    }
    EXPECT_EQ(world.block_by_number(5), std::nullopt);
    EXPECT_EQ(world.tx_location({}), std::nullopt);
    EXPECT_FALSE(world.damage());
}

TEST(world, flat_state_equals_the_trie_and_old_roots_stay_readable) {
    const auto kv = make_memory_kv();
    const auto world = World::open(*kv);
    Chain chain(**world);
    const Made first = chain.grow(), second = chain.grow();
    const auto before = (*world)->view_at(first.block.header.state_root);
    const auto now = (*world)->view_at(second.block.header.state_root);
    const auto flat_view = (*world)->flat_at(second.block.header);
    const StateView& flat = *flat_view;
    ASSERT_TRUE(before && now);
    EXPECT_FALSE((*world)->view_at(keccak256({})));
    for (const uint8_t i : {0, 1, 2, 200})
        EXPECT_EQ(flat.account(address_at(i)), now->account(address_at(i)));
    EXPECT_FALSE(before->account(address_at(1)));
    EXPECT_EQ(flat.storage(address_at(200), 1), 2);
    EXPECT_EQ(now->storage(address_at(200), 1), 2);
    EXPECT_EQ(before->storage(address_at(200), 1), 0);
    EXPECT_EQ(as_text(flat.code(keccak256(as_bytes("code")))), "code");
}

TEST(world, a_deleted_account_leaves_no_slots_behind) {
    const auto kv = make_memory_kv();
    const auto world = World::open(*kv);
    Chain chain(**world);
    chain.grow();
    Made made = chain.make_next(1);
    made.diff.accounts[address_at(200)] = std::nullopt;
    made.update = *state_root((*world)->head()->header.state_root, made.diff, (*world)->nodes());
    made.block.header.state_root = made.update.root;
    ASSERT_TRUE(chain.commit(made));
    const auto flat = (*world)->flat_at(made.block.header);
    EXPECT_EQ(flat->storage(address_at(200), 0), 0);
    EXPECT_FALSE(flat->account(address_at(200)));
    ASSERT_TRUE((*world)->flush());
    EXPECT_EQ(flat->storage(address_at(200), 0), 0);
    kv->scan(as_bytes("s"), [](BytesView key, BytesView) {
        ADD_FAILURE() << to_hex(key);
        return true;
    });
}

TEST(world, rejects_a_block_that_does_not_follow_the_head) {
    const auto kv = make_memory_kv();
    const auto world = World::open(*kv);
    Chain chain(**world);
    chain.grow();
    Made gap = chain.make_next(1), orphan = gap;
    ++gap.block.header.number;
    orphan.block.header.parent_hash = {};
    EXPECT_EQ(chain.commit(gap).error().kind, StoreError::Kind::wrong_parent);
    EXPECT_EQ(chain.commit(orphan).error().kind, StoreError::Kind::wrong_parent);
    EXPECT_EQ((*world)->head()->header.number, 0u);
}

TEST(world, says_what_is_missing_where_and_what_to_do) {
    // Every record of the head block in turn; accounts and slots are checked when read.
    for (const char table : {'h', 'b', 'H', 'r', 'A'}) {
        for (const bool erase : {true, false}) {
            const auto kv = make_memory_kv();
            Hash root;
            {
                const auto world = World::open(*kv);
                root = Chain(**world).grow().block.header.state_root;
            }
            Batch batch;
            kv->scan(as_bytes({&table, 1}), [&](BytesView key, BytesView) {
                if (erase)
                    batch.erase(key);
                else
                    batch.put(key, as_bytes("garbage"));
                return true;
            });
            ASSERT_FALSE(batch.entries.empty());
            ASSERT_TRUE(kv->write(batch, Durability::synced));
            const auto opened = World::open(*kv);
            ASSERT_FALSE(opened) << table;
            EXPECT_FALSE(opened.error().what.empty());
            EXPECT_NE(opened.error().where.find("block 0"), std::string::npos);
            EXPECT_NE(to_text(opened.error()).find("synchronise again"), std::string::npos);
        }
    }
}

TEST(world, rejects_a_store_of_another_format_and_one_without_its_head) {
    const auto kv = make_memory_kv();
    {
        const auto world = World::open(*kv);
        Chain(**world).grow();
    }
    Batch batch;
    batch.put(as_bytes("mhead"), rlp::Writer()
                                     .begin_list()
                                     .number(uint64_t{1})
                                     .number(uint64_t{0})
                                     .fixed(Hash{})
                                     .end_list()
                                     .take());
    ASSERT_TRUE(kv->write(batch, Durability::synced));
    EXPECT_EQ(World::open(*kv).error().kind, StoreError::Kind::wrong_format);
    batch.erase(as_bytes("mhead"));
    ASSERT_TRUE(kv->write(batch, Durability::synced));
    EXPECT_EQ(World::open(*kv).error().kind, StoreError::Kind::missing);
}

TEST(world, a_fault_met_while_reading_is_kept_and_stops_commits) {
    const auto kv = make_memory_kv();
    const auto world = World::open(*kv);
    Chain chain(**world);
    const Made first = chain.grow();
    Made next = chain.make_next(1);
    Batch batch;
    kv->scan(as_bytes("a"), [&](BytesView key, BytesView) {
        batch.put(key, as_bytes("garbage"));
        return true;
    });
    ASSERT_TRUE(kv->write(batch, Durability::synced));
    EXPECT_FALSE((*world)->flat_at(first.block.header)->account(address_at(200)));
    ASSERT_TRUE((*world)->damage());
    EXPECT_EQ((*world)->damage()->kind, StoreError::Kind::malformed);
    EXPECT_FALSE(chain.commit(next));
}

TEST(world, readers_beside_the_writer_see_whole_blocks) {
    const auto kv = make_memory_kv();
    const auto world = World::open(*kv);
    Chain chain(**world);
    chain.grow();
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> reads{0}, faults{0};
    const auto read = [&] {
        while (!stop) {
            const auto head = (*world)->head();
            const uint64_t number = head->header.number;
            const auto block = (*world)->block_by_number(number);
            const auto view = (*world)->view_at(head->header.state_root);
            const bool good = block && block->header == head->header && view &&
                              view->storage(address_at(200), number) == number + 1 &&
                              (*world)->receipts(number) && (*world)->certificate(number);
            ++(good ? reads : faults);
        }
    };
    std::thread first(read), second(read);
    for (int i = 0; i < 200 || reads < 20; ++i) chain.grow();
    stop = true;
    first.join();
    second.join();
    EXPECT_EQ(faults, 0u);
    EXPECT_FALSE((*world)->damage());
}

TEST(world, the_records_have_the_frozen_form) {
    const auto kv = make_memory_kv();
    {
        const auto world = World::open(*kv);
        Chain chain(**world);
        for (int i = 0; i < 3; ++i) chain.grow();
        ASSERT_TRUE((*world)->flush());
        chain.grow();  // its state is a diff
    }
    Sha256 all;
    std::string tables;
    kv->scan({}, [&](BytesView key, BytesView value) {
        const char table = static_cast<char>(key[0]);
        if (tables.empty() || tables.back() != table) tables.push_back(table);
        Bytes sizes;
        append_le(sizes, key.size());
        append_le(sizes, value.size());
        all.update(sizes).update(key).update(value);
        return true;
    });
    EXPECT_EQ(tables, "AHSabcdfhjmrst");
    // A new hash needs a new kFormat: stores in the field are of the old form.
    EXPECT_EQ(to_hex(all.finish()),
              "6fa5f641aa039230b4eff3e450a3691a6b545a2e1422f004089d9392c9ea09f8");
}

/// Every state that the store should have, in the tables or made again.
void expect_states(const World& world, uint64_t last) {
    for (uint64_t n = 0; n <= last; ++n) {
        const auto header = world.header_by_number(n);
        ASSERT_TRUE(header) << n;
        const auto view = world.view_at(header->state_root);
        ASSERT_TRUE(view) << n;
        for (uint64_t slot = 0; slot <= last + 1; ++slot)
            ASSERT_EQ(view->storage(address_at(200), slot), slot <= n ? slot + 1 : 0) << n;
        for (uint8_t i = 0; i <= last; ++i)
            ASSERT_EQ(view->account(address_at(i)).has_value(), i <= n) << n;
    }
    const auto flat = world.flat_at(world.head()->header);
    for (uint64_t slot = 0; slot <= last + 1; ++slot)
        ASSERT_EQ(flat->storage(address_at(200), slot), slot <= last ? slot + 1 : 0);
    for (uint8_t i = 0; i <= last + 1; ++i)
        ASSERT_EQ(flat->account(address_at(i)).has_value(), i <= last);
    ASSERT_FALSE(world.damage());
}

TEST(world, a_failure_after_any_batch_loses_nothing_that_was_final) {
    bool has_failed = true;
    for (int batches = 1; has_failed; ++batches) {
        const auto kv = make_memory_kv();
        uint64_t final = 0;
        {
            FailingKv failing(*kv, batches);
            World::Options options;
            options.dirty_blocks = 3;
            const auto world = World::open(failing, options);
            ASSERT_TRUE(world);
            Chain chain(**world);
            for (int i = 0; i < 20; ++i) {
                const Made made = chain.make_next(100);
                if (!chain.commit(made)) break;
                final = made.block.header.number;
                if ((*world)->is_flush_due() && !(*world)->flush()) break;
            }
            has_failed = failing.has_failed();
        }
        const auto world = World::open(*kv);
        ASSERT_TRUE(world) << to_text(world.error());
        ASSERT_EQ((*world)->head()->header.number, final);
        expect_states(**world, final);
        ASSERT_TRUE((*world)->flush());
        expect_states(**world, final);
        Chain(**world).grow();
        expect_states(**world, final + 1);
    }
}

/// A full disk, on which there is room again later.
class RefusingKv final : public Kv {
public:
    explicit RefusingKv(Kv& below) : below_(below) {}
    std::optional<Bytes> get(BytesView key) const override { return below_.get(key); }
    Result<Done, KvError> write(const Batch& batch, Durability durability) override {
        if (is_full) return unexpected(KvError::io);
        return below_.write(batch, durability);
    }
    void scan(BytesView prefix,
              const std::function<bool(BytesView, BytesView)>& visit) const override {
        below_.scan(prefix, visit);
    }
    bool is_full = false;

private:
    Kv& below_;
};

TEST(world, a_block_that_was_refused_leaves_no_trace_and_can_come_again) {
    const auto kv = make_memory_kv();
    RefusingKv refusing(*kv);
    const auto world = World::open(refusing);
    Chain chain(**world);
    for (int i = 0; i < 3; ++i) chain.grow();
    const Made next = chain.make_next(100);
    refusing.is_full = true;
    for (int i = 0; i < 2; ++i) {
        const auto refused = chain.commit(next);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, StoreError::Kind::refused);
        EXPECT_EQ((*world)->dirty_size().blocks, 2u);
        expect_states(**world, 2);
    }
    refusing.is_full = false;
    ASSERT_TRUE(chain.commit(next));
    expect_states(**world, 3);
    ASSERT_TRUE((*world)->flush());
    EXPECT_EQ((*world)->dirty_size().bytes, 0u);
    expect_states(**world, 3);
    const auto again = World::open(*kv);
    ASSERT_TRUE(again);
    expect_states(**again, 3);
}

TEST(world, flat_views_stay_right_while_states_move_to_the_tables) {
    const auto kv = make_memory_kv();
    const auto world = World::open(*kv);
    Chain chain(**world);
    std::vector<std::unique_ptr<const StateView>> views;
    for (int i = 0; i < 12; ++i) {
        views.push_back((*world)->flat_at(chain.grow().block.header));
        if (i % 5 == 4) {
            ASSERT_TRUE((*world)->flush());
        }
        for (uint64_t n = 0; n < views.size(); ++n)
            for (uint64_t slot = 0; slot < views.size(); ++slot) {
                EXPECT_EQ(views[n]->storage(address_at(200), slot), slot <= n ? slot + 1 : 0);
                EXPECT_EQ(views[n]->account(address_at(static_cast<uint8_t>(slot))).has_value(),
                          slot <= n);
            }
    }
    EXPECT_FALSE((*world)->damage());
}

TEST(world, flat_views_stay_right_after_a_flush_that_was_cut_off) {
    const auto kv = make_memory_kv();
    std::vector<Header> headers;
    {
        FailingKv failing(*kv, 8);  // seven blocks, and of the flush all but its last batch
        const auto world = World::open(failing);
        Chain chain(**world);
        for (int i = 0; i < 7; ++i) headers.push_back(chain.grow().block.header);
        EXPECT_FALSE((*world)->flush());
    }
    const auto world = World::open(*kv);
    ASSERT_TRUE(world);
    ASSERT_EQ((*world)->head()->header, headers.back());
    const auto expect_views = [&] {
        for (uint64_t n = 0; n < headers.size(); ++n) {
            const auto view = (*world)->flat_at(headers[n]);
            for (uint64_t i = 0; i < headers.size(); ++i) {
                EXPECT_EQ(view->storage(address_at(200), i), i <= n ? i + 1 : 0) << n << ' ' << i;
                EXPECT_EQ(view->account(address_at(static_cast<uint8_t>(i))).has_value(), i <= n);
            }
        }
    };
    expect_views();
    EXPECT_EQ(*(*world)->freeze(3), nullptr) << "records of later states may be among its own";
    ASSERT_TRUE((*world)->flush());
    expect_views();
    EXPECT_FALSE((*world)->damage());
}

TEST(world, a_flush_writes_what_was_made_once_and_ends_the_diffs) {
    const auto kv = make_memory_kv();
    const auto world = World::open(*kv);
    Chain chain(**world);
    for (int i = 0; i < 6; ++i) chain.grow();
    EXPECT_EQ((*world)->dirty_size().blocks, 5u);
    ASSERT_TRUE((*world)->flush());
    EXPECT_EQ((*world)->dirty_size().blocks, 0u);
    EXPECT_EQ((*world)->dirty_size().bytes, 0u);
    kv->scan(as_bytes("d"), [](BytesView key, BytesView) {
        ADD_FAILURE() << to_hex(key);
        return true;
    });
}

TEST(world, says_which_state_cannot_be_made_again) {
    for (const char* value : {"", "garbage", "other"}) {
        const auto kv = make_memory_kv();
        {
            const auto world = World::open(*kv);
            Chain chain(**world);
            chain.grow(), chain.grow(), chain.grow();
        }
        Batch batch;
        Bytes first, second;
        kv->scan(as_bytes("d"), [&](BytesView key, BytesView diff) {
            (first.empty() ? first : second).assign(diff.begin(), diff.end());
            if (std::string_view(value) == "other" && !second.empty())
                batch.put(key, first);
            else if (std::string_view(value).empty())
                batch.erase(key);
            else if (std::string_view(value) == "garbage")
                batch.put(key, as_bytes(value));
            return true;
        });
        ASSERT_TRUE(kv->write(batch, Durability::synced));
        const auto opened = World::open(*kv);
        ASSERT_FALSE(opened) << value;
        EXPECT_NE(opened.error().where.find("block "), std::string::npos);
        EXPECT_NE(to_text(opened.error()).find("state changes"), std::string::npos) << value;
    }
}

TEST(world, a_torn_commit_leaves_the_block_before_it) {
    const TemporaryFolder folder;
    std::vector<Made> made;
    for (int i = 0; i < 3; ++i) {
        auto kv = open_leveldb(folder.path());
        ASSERT_TRUE(kv);
        const auto world = World::open(**kv);
        ASSERT_TRUE(world);
        made.push_back(Chain(**world).grow());
    }
    for (const auto& file : std::filesystem::directory_iterator(folder.path()))
        if (file.path().extension() == ".log" && file.file_size() > 50)
            std::filesystem::resize_file(file, file.file_size() - 50);
    auto kv = open_leveldb(folder.path());
    ASSERT_TRUE(kv);
    const auto world = World::open(**kv);
    ASSERT_TRUE(world);
    EXPECT_EQ((*world)->head()->header, made[1].block.header);
    EXPECT_EQ((*world)->flat_at(made[1].block.header)->storage(address_at(200), 2), 0);
    EXPECT_TRUE(Chain(**world).commit(made[2]));
}

/// Commits until killed, and moves states to the tables on a second thread.
[[noreturn]] void commit_for_ever(const std::string& path) {
    auto kv = open_leveldb(path);
    if (!kv) _exit(1);
    World::Options options;
    options.dirty_blocks = 7;
    const auto world = World::open(**kv, options);
    if (!world) _exit(2);
    std::thread([&world] {
        while (true)
            if ((*world)->is_flush_due() && !(*world)->flush()) _exit(3);
    }).detach();
    Chain chain(**world);
    while (true) chain.grow();
}

TEST(world, killed_at_any_moment_it_goes_on_from_a_whole_block) {
    const TemporaryFolder folder;
    uint64_t last = 0;
    for (int round = 0; round < 12; ++round) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) commit_for_ever(folder.path());
        std::this_thread::sleep_for(std::chrono::milliseconds(40 + 7 * round));
        kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
        auto kv = open_leveldb(folder.path());
        ASSERT_TRUE(kv);
        const auto world = World::open(**kv);
        ASSERT_TRUE(world) << to_text(world.error());
        const auto head = (*world)->head();
        if (!head) continue;
        ASSERT_GE(head->header.number, last);
        last = head->header.number;
        const auto view = (*world)->view_at(head->header.state_root);
        const auto flat = (*world)->flat_at(head->header);
        for (uint64_t n = 0; n <= last; ++n) {
            ASSERT_TRUE((*world)->block_by_number(n) && (*world)->receipts(n)) << n;
            ASSERT_EQ(flat->storage(address_at(200), n), n + 1);
            ASSERT_EQ(view->storage(address_at(200), n), n + 1);
        }
        ASSERT_EQ(flat->storage(address_at(200), last + 1), 0);
        ASSERT_FALSE((*world)->damage());
    }
    EXPECT_GT(last, 0u);
}

TEST(world, a_store_with_flipped_bytes_is_reported) {
    const TemporaryFolder folder;
    {
        auto kv = open_leveldb(folder.path());
        const auto world = World::open(**kv);
        Chain chain(**world);
        for (int i = 0; i < 300; ++i) chain.grow();
    }
    { ASSERT_TRUE(open_leveldb(folder.path())); }  // moves the log into tables
    int flipped = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
        if (file.path().extension() != ".ldb") continue;
        std::fstream data(file.path(), std::ios::in | std::ios::out | std::ios::binary);
        for (size_t at = 1000; at < file.file_size() / 2; at += 500, ++flipped) {
            data.seekp(static_cast<std::streamoff>(at));
            data.put('\x5a');
        }
    }
    ASSERT_GT(flipped, 0);
    auto kv = open_leveldb(folder.path());
    if (!kv) {
        EXPECT_EQ(kv.error(), KvError::corrupt);
        return;
    }
    const auto world = World::open(**kv);
    if (!world) {
        EXPECT_EQ(world.error().kind, StoreError::Kind::refused);
        return;
    }
    for (uint64_t n = 0; n < 300; ++n) (void)(*world)->block_by_number(n);
    ASSERT_TRUE((*world)->damage());
    EXPECT_EQ((*world)->damage()->kind, StoreError::Kind::refused);
}

}  // namespace
}  // namespace trainyard::state
