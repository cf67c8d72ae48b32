// SPDX-License-Identifier: Apache-2.0
// Snapshots: out of one store into another that goes on from there; and what must not pass.
#include "state/snapshot.hpp"

#include <random>

#include <gtest/gtest.h>

#include "core/rlp.hpp"
#include "tests/state/next_block.hpp"

namespace trainyard::state {
namespace {

/// Commits a block with this diff on the head.
void commit(World& world, StateDiff diff) {
    Block block = next_block(world);
    const Hash parent = head_root(world);
    auto update = *state_root(parent, diff, world.nodes());
    block.header.state_root = update.root;
    const std::vector<Receipt> receipts(1);
    ASSERT_TRUE(world.commit_block(
        {block, receipts, std::make_shared<const StateDiff>(std::move(diff)),
         std::make_shared<const StateUpdate>(std::move(update)), as_bytes("certificate")}));
}

StateDiff some_diff(std::mt19937& random) {
    StateDiff diff;
    for (int i = 0; i < 60; ++i) {
        auto& change = diff.accounts[address_at(static_cast<uint8_t>(random()))];
        change.emplace();
        change->balance = random();
        change->storage_cleared = true;
        for (unsigned j = 0; j < random() % 8; ++j) change->storage[random()] = 1 + random() % 9;
        const Bytes code(1 + random() % 3000, static_cast<uint8_t>(random()));
        if (i % 4 == 0) diff.codes[change->code_hash = keccak256(code)] = code;
    }
    return diff;
}

struct Snapshot {
    Manifest manifest;
    std::vector<Bytes> chunks;
};

Snapshot take_frozen(const World& world, const KvReader& tables, uint64_t number) {
    Snapshot out;
    auto manifest = export_snapshot(world, tables, number, [&](const Bytes& chunk) {
        out.chunks.push_back(chunk);
        return Result<Done, std::string>(Done{});
    });
    EXPECT_TRUE(manifest);
    if (manifest) out.manifest = *std::move(manifest);
    return out;
}

/// A store of some blocks, and the snapshot of its head.
struct Source {
    std::unique_ptr<Kv> kv = make_memory_kv();
    std::unique_ptr<World> world = *World::open(*kv);
    Snapshot snapshot;

    explicit Source(int blocks = 9, int seed = 1) {
        std::mt19937 random(static_cast<unsigned>(seed));
        for (int i = 0; i < blocks; ++i) commit(*world, some_diff(random));
        take();
    }
    void take() {
        const uint64_t number = world->head()->header.number;
        snapshot = take_frozen(*world, **world->freeze(number), number);
    }
};

Result<SnapshotReader::Counts, std::string> read(const Snapshot& snapshot, Kv* into) {
    auto checked = check_manifest(encode_manifest(snapshot.manifest));
    if (!checked) return unexpected(checked.error());
    SnapshotReader reader(*std::move(checked), into);
    for (const Bytes& chunk : snapshot.chunks)
        if (const auto added = reader.add(chunk); !added) return unexpected(added.error());
    return reader.finish();
}

TEST(build_trie, gives_the_root_and_the_nodes_of_the_trie) {
    std::mt19937 random(3);
    for (const int count : {0, 1, 2, 3, 17, 300, 2000}) {
        std::map<Hash, Bytes> items;
        for (int i = 0; i < count; ++i)
            items[keccak256(rlp::Writer().number(uint64_t(i)).take())] =
                Bytes(1 + random() % 60, static_cast<uint8_t>(random()));
        const NoNodes none;
        Trie trie(none, kEmptyTrieRoot);
        std::vector<TrieItem> sorted;
        for (const auto& [key, value] : items) {
            ASSERT_TRUE(trie.put(key, value));
            sorted.push_back({key, value});
        }
        NodeMap due;
        const Hash root = trie.commit(due);
        size_t emitted = 0;
        EXPECT_EQ(build_trie(sorted, kAccountPlace,
                             [&](const Hash& hash, const std::string& place, const Bytes& node) {
                                 EXPECT_TRUE(due.contains(hash, place));
                                 EXPECT_EQ(keccak256(node), hash);
                                 ++emitted;
                             }),
                  root)
            << count;
        EXPECT_EQ(emitted, due.size()) << count;
    }
}

TEST(snapshot, makes_a_store_that_goes_on_like_the_one_it_came_from) {
    Source source;
    const auto kv = make_memory_kv();
    const auto counts = read(source.snapshot, kv.get());
    ASSERT_TRUE(counts) << counts.error();
    EXPECT_GT(counts->accounts, 100u);
    EXPECT_GT(counts->slots, 100u);
    EXPECT_GT(counts->codes, 10u);
    auto opened = World::open(*kv);
    ASSERT_TRUE(opened) << to_text(opened.error());
    World& world = **opened;
    EXPECT_EQ(world.head()->hash, source.world->head()->hash);
    EXPECT_EQ(world.block_by_number(8), source.world->block_by_number(8));
    EXPECT_EQ(world.block_by_number(0), source.world->block_by_number(0));
    EXPECT_EQ(world.block_by_number(5), std::nullopt);
    EXPECT_EQ(world.header_by_number(5), source.world->header_by_number(5));
    EXPECT_EQ(world.certificate(8), source.world->certificate(8));
    EXPECT_FALSE(world.keeps_state(7));
    std::mt19937 random(77);
    for (int i = 0; i < 4; ++i) {
        const StateDiff diff = some_diff(random);
        commit(world, diff);
        commit(*source.world, diff);
        ASSERT_EQ(world.head()->hash, source.world->head()->hash);
    }
    const auto view = *world.view_at(world.head()->header.state_root);
    const auto due = *source.world->view_at(world.head()->header.state_root);
    for (int i = 0; i < 256; ++i) {
        const Address address = address_at(static_cast<uint8_t>(i));
        const auto account = view.account(address);
        EXPECT_EQ(account, due.account(address));
        const Hash code_hash = account ? account->code_hash : kEmptyCodeHash;
        EXPECT_EQ(view.code(code_hash), due.code(code_hash));
    }
    EXPECT_FALSE(world.damage());
    // The same state gives the same chunks, whichever store it is in.
    source.take();
    const Snapshot again = take_frozen(world, **world.freeze(12), 12);
    EXPECT_EQ(again.manifest.block, source.snapshot.manifest.block);
    EXPECT_TRUE(read(again, nullptr));
}

TEST(snapshot, of_a_frozen_state_is_the_same_while_the_chain_goes_on) {
    Source source;  // up to block 8
    std::mt19937 random(5);
    commit(*source.world, some_diff(random));
    const auto tables = *source.world->freeze(9);
    ASSERT_NE(tables, nullptr);
    const Snapshot at_once = take_frozen(*source.world, *tables, 9);
    for (int i = 0; i < 5; ++i) commit(*source.world, some_diff(random));
    ASSERT_TRUE(source.world->flush());
    EXPECT_EQ(source.world->tables_at(), 14u);
    const Snapshot later = take_frozen(*source.world, *tables, 9);
    EXPECT_EQ(later.manifest, at_once.manifest);
    EXPECT_EQ(later.chunks, at_once.chunks);
    EXPECT_TRUE(read(later, nullptr));
    EXPECT_EQ(*source.world->freeze(9), nullptr) << "the tables have gone past it";
}

TEST(snapshot, freezing_writes_no_state_after_the_block) {
    Source source;
    std::mt19937 random(6);
    for (int i = 0; i < 4; ++i) commit(*source.world, some_diff(random));  // 9 to 12
    const auto tables = *source.world->freeze(10);
    ASSERT_NE(tables, nullptr);
    EXPECT_EQ(source.world->tables_at(), 10u);
    EXPECT_EQ(source.world->dirty_size().blocks, 2u);
    EXPECT_TRUE(read(take_frozen(*source.world, *tables, 10), nullptr));
}

TEST(snapshot, id_names_block_and_chunks_and_not_the_certificate) {
    const Source source(3);
    Manifest manifest = source.snapshot.manifest;
    const Hash id = snapshot_id(manifest, Hash{});
    manifest.certificate = {1, 2, 3};
    EXPECT_EQ(snapshot_id(manifest, Hash{}), id);
    manifest.chunks[0][0] ^= 1;
    EXPECT_NE(snapshot_id(manifest, Hash{}), id);
    EXPECT_NE(snapshot_id(source.snapshot.manifest, keccak256({})), id);
}

TEST(snapshot, chunks_have_their_size_and_no_more) {
    const auto kv = make_memory_kv();
    const auto world = *World::open(*kv);
    StateDiff diff;
    for (int i = 0; i < 200; ++i) {
        auto& change = diff.accounts[address_at(static_cast<uint8_t>(i))].emplace();
        Bytes code(24576, static_cast<uint8_t>(i));
        change.code_hash = keccak256(code);
        diff.codes[change.code_hash] = std::move(code);
    }
    commit(*world, std::move(diff));
    size_t count = 0, bytes = 0;
    ASSERT_TRUE(export_snapshot(*world, **world->freeze(0), 0, [&](const Bytes& chunk) {
        EXPECT_LE(chunk.size(), kChunkBytesMax);
        ++count;
        bytes += chunk.size();
        return Result<Done, std::string>(Done{});
    }));
    EXPECT_EQ(count, 5u);
    EXPECT_GT(bytes, 200u * 24576);
}

/// A snapshot whose chunks say what they like, with the hashes that belong to them.
Snapshot forged(const Snapshot& from,
                const std::function<void(std::vector<Record>& records)>& change) {
    Snapshot out = from;
    std::vector<Record> records;
    rlp::Fields in(out.chunks.at(0));
    in.each([&](rlp::Fields& list) {
        list.list([&](rlp::Fields& pair) {
            Record& record = records.emplace_back();
            record.key = pair.bytes();
            record.value = pair.bytes();
        });
    });
    change(records);
    rlp::Writer chunk;
    chunk.begin_list();
    for (const auto& r : records) chunk.begin_list().bytes(r.key).bytes(r.value).end_list();
    out.chunks[0] = chunk.end_list().take();
    out.manifest.chunks[0] = keccak256(out.chunks[0]);
    return out;
}

TEST(snapshot, rejects_chunks_that_lie_and_leaves_no_store) {
    const Source source(2);
    ASSERT_EQ(source.snapshot.chunks.size(), 1u);
    using Records = std::vector<Record>;
    const auto with = [&](const std::function<void(Records&)>& change) {
        const auto kv = make_memory_kv();
        const auto done = read(forged(source.snapshot, change), kv.get());
        const auto opened = World::open(*kv);
        EXPECT_FALSE(opened && (*opened)->head()) << "no head may be there";
        return done ? std::string("taken") : done.error();
    };
    const auto of_table = [](Records& records, char table) -> Record& {
        return *std::find_if(records.begin(), records.end(),
                             [&](const Record& r) { return r.key[0] == table; });
    };
    const auto has = [](const std::string& text, std::string_view words) {
        return text.find(words) != std::string::npos;
    };
    EXPECT_TRUE(read(source.snapshot, nullptr)) << "unchanged it passes";
    EXPECT_TRUE(has(with([&](Records& r) { of_table(r, 'a').value.push_back(0); }), "malformed"));
    EXPECT_TRUE(has(with([&](Records& r) { of_table(r, 's').value = {0}; }), "malformed slot"));
    EXPECT_TRUE(has(with([&](Records& r) { of_table(r, 's').value = {7, 7}; }), "storage root"));
    EXPECT_TRUE(
        has(with([&](Records& r) { of_table(r, 'c').value.push_back(1); }), "another hash"));
    EXPECT_TRUE(has(with([&](Records& r) { r[0].key[0] = 'm'; }), "another table"));
    EXPECT_TRUE(has(with([&](Records& r) { r[0].key.clear(); }), "another table"));
    EXPECT_TRUE(has(with([&](Records& r) { std::swap(r[0], r[1]); }), "out of order"));
    EXPECT_TRUE(has(with([&](Records& r) { r.insert(r.begin(), r[0]); }), "out of order"));
    EXPECT_TRUE(has(with([&](Records& r) { r.pop_back(); }), "storage root"));
    EXPECT_TRUE(has(with([&](Records& r) {
                        std::erase_if(r, [](const Record& x) { return x.key[0] == 'c'; });
                    }),
                    "code of an account is missing"));
    EXPECT_TRUE(has(with([&](Records& r) {
                        auto account = *decode_account(r[0].value);
                        account.balance += 1;
                        r[0].value = encode_account(account);
                    }),
                    "another state root"));
}

TEST(snapshot, rejects_chunks_that_are_not_the_manifests) {
    const Source source(2);
    auto other = source.snapshot;
    other.chunks[0].back() ^= 1;
    EXPECT_NE(read(other, nullptr).error().find("chunk 0: its hash"), std::string::npos);
    other = source.snapshot;
    other.chunks.push_back(other.chunks[0]);
    EXPECT_NE(read(other, nullptr).error().find("no such chunk"), std::string::npos);
    other = source.snapshot;
    other.chunks.clear();
    EXPECT_NE(read(other, nullptr).error().find("chunks are missing"), std::string::npos);
    other = source.snapshot;
    other.chunks[0] = Bytes(kChunkBytesMax + 1);
    other.manifest.chunks[0] = keccak256(other.chunks[0]);
    EXPECT_NE(read(other, nullptr).error().find("larger than"), std::string::npos);
    other.chunks[0] = {0xc1, 0x80, 0x80};
    other.manifest.chunks[0] = keccak256(other.chunks[0]);
    EXPECT_NE(read(other, nullptr).error().find("does not decode"), std::string::npos);
}

TEST(snapshot, rejects_manifests_that_do_not_hang_together) {
    const Source source(6);
    const Bytes good = encode_manifest(source.snapshot.manifest);
    ASSERT_TRUE(check_manifest(good));
    for (size_t n = 0; n < good.size(); n += 37)
        EXPECT_FALSE(check_manifest(BytesView(good).first(n)));
    const auto broken = [&](const std::function<void(Manifest&)>& change) {
        Manifest manifest = source.snapshot.manifest;
        change(manifest);
        return !check_manifest(encode_manifest(manifest));
    };
    EXPECT_FALSE(broken([](Manifest&) {}));
    EXPECT_TRUE(broken([](Manifest& m) { m.headers.erase(m.headers.begin() + 2); }));
    EXPECT_TRUE(broken([](Manifest& m) { m.headers.pop_back(); }));
    EXPECT_TRUE(broken([](Manifest& m) { m.block = m.first_block; }));
    EXPECT_TRUE(broken([](Manifest& m) { m.first_block = m.block; }));
    EXPECT_TRUE(broken([](Manifest& m) { m.receipts = {0xc0}; }));
    EXPECT_TRUE(broken([](Manifest& m) { m.headers[1].push_back(0); }));
    EXPECT_TRUE(broken([](Manifest& m) { m.headers.assign(kSnapshotHeaders + 1, Bytes{}); }));
}

}  // namespace
}  // namespace trainyard::state
