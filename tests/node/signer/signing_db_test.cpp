// SPDX-License-Identifier: Apache-2.0
// The database on disk: what was signed is known after a restart, and damage is never guessed away.
#include "node/signer/signing_db.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "node/signer/guarded_signer.hpp"
#include "node/signer/interchange.hpp"
#include "node/signer/joined_store.hpp"
#include "tests/node/signer/votes.hpp"

namespace trainyard::node::signer {
namespace {

std::unique_ptr<SigningDb> open(state::Kv& kv) {
    auto db = SigningDb::open(kv, test_owner(), state::Durability::synced);
    EXPECT_TRUE(db) << db.error();
    return std::move(*db);
}

Result<Done, Refusal> admit(SigningDb& db, const Vote& v) {
    return db.admit(test_chain(), v);
}

TEST(signing_db, knows_after_a_restart_what_it_admitted) {
    const auto kv = state::make_memory_kv();
    {
        const auto db = open(*kv);
        EXPECT_TRUE(db->is_empty());
        ASSERT_TRUE(admit(*db, vote(VoteKind::notarize, 5, 1)));
        ASSERT_TRUE(admit(*db, vote(VoteKind::finalize, 5, 1)));
        ASSERT_TRUE(admit(*db, vote(VoteKind::nullify, 6)));
    }
    const auto db = open(*kv);
    EXPECT_EQ(db->newest(), (Position{{0}, {6}}));
    EXPECT_EQ(admit(*db, vote(VoteKind::notarize, 5, 2)).error(), Refusal::two_notarize);
    EXPECT_EQ(admit(*db, vote(VoteKind::nullify, 5)).error(), Refusal::nullify_and_finalize);
    EXPECT_EQ(admit(*db, vote(VoteKind::finalize, 6, 1)).error(), Refusal::nullify_and_finalize);
    EXPECT_TRUE(admit(*db, vote(VoteKind::nullify, 6)));
}

TEST(signing_db, refuses_votes_of_another_chain_and_stores_of_another_key) {
    const auto kv = state::make_memory_kv();
    const auto db = open(*kv);
    auto chain = test_chain();
    chain.genesis_hash[0] ^= 1;
    EXPECT_EQ(db->admit(chain, vote(VoteKind::nullify, 1)).error(), Refusal::other_chain);
    Owner other = test_owner();
    other.key = *public_key(secret(2));
    const auto refused = SigningDb::open(*kv, other, state::Durability::synced);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().find("belongs to key"), std::string::npos) << refused.error();
}

TEST(signing_db, a_damaged_record_stops_it) {
    for (const char* key : {"sign/owner", "sign/mark"}) {
        const auto kv = state::make_memory_kv();
        (void)open(*kv);
        state::Batch batch;
        batch.put(as_bytes(key), Bytes{1, 2, 3});
        ASSERT_TRUE(kv->write(batch, state::Durability::synced));
        EXPECT_FALSE(SigningDb::open(*kv, test_owner(), state::Durability::synced)) << key;
    }
    for (const Bytes& value : {Bytes{}, Bytes{0}, Bytes{8}, Bytes{1}, Bytes(34, 1), Bytes(32, 1)}) {
        const auto kv = state::make_memory_kv();
        (void)open(*kv);
        Bytes key(as_bytes("sign/view").begin(), as_bytes("sign/view").end());
        key.resize(key.size() + 16);
        state::Batch batch;
        batch.put(key, value);
        ASSERT_TRUE(kv->write(batch, state::Durability::synced));
        const auto opened = SigningDb::open(*kv, test_owner(), state::Durability::synced);
        ASSERT_FALSE(opened);
        EXPECT_NE(opened.error().find("damaged"), std::string::npos);
    }
}

/// A store whose disk is full.
class FullKv final : public state::Kv {
public:
    std::optional<Bytes> get(BytesView) const override { return std::nullopt; }
    Result<Done, state::KvError> write(const state::Batch&, state::Durability) override {
        if (is_full) return unexpected(state::KvError::io);
        return Done{};
    }
    void scan(BytesView, const std::function<bool(BytesView, BytesView)>&) const override {}
    bool is_full = false;
};

TEST(signing_db, what_cannot_be_stored_is_not_signed) {
    FullKv kv;
    const auto db = open(kv);
    kv.is_full = true;
    std::vector<Refusal> told;
    GuardedSigner signer(secret(1), secret(2), *db,
                         [&](const Vote&, Refusal why) { told.push_back(why); });
    EXPECT_EQ(signer.sign(test_chain(), vote(VoteKind::notarize, 1, 1)), std::nullopt);
    EXPECT_EQ(told, std::vector<Refusal>{Refusal::not_stored});
    EXPECT_EQ(signer.refusals()[static_cast<size_t>(Refusal::not_stored)], 1u);
    kv.is_full = false;
    EXPECT_TRUE(signer.sign(test_chain(), vote(VoteKind::notarize, 1, 2)))
        << "the first vote was never signed";
}

TEST(signing_db, keeps_a_bounded_number_of_views) {
    const auto kv = state::make_memory_kv();
    const auto db = open(*kv);
    constexpr uint64_t kViews = 2 * SigningDb::kViewsKept + 2000;
    for (uint64_t view = 1; view <= kViews; ++view)
        ASSERT_TRUE(admit(*db, vote(VoteKind::notarize, view, 1)));
    size_t records = 0;
    kv->scan(as_bytes("sign/view"), [&](BytesView, BytesView) { return ++records, true; });
    EXPECT_LE(records, SigningDb::kViewsKept + 1100);
    EXPECT_EQ(admit(*db, vote(VoteKind::notarize, 5, 2)).error(), Refusal::below_mark);
    EXPECT_EQ(open(*kv)->history(), db->history());
}

TEST(signing_db, a_second_process_is_refused_while_the_store_is_open) {
    const auto folder = std::filesystem::temp_directory_path() / "trainyard-signing-db-test";
    std::filesystem::remove_all(folder);
    const auto first = state::open_leveldb(folder.string());
    ASSERT_TRUE(first);
    const auto second = state::open_leveldb(folder.string());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), state::KvError::locked);
    std::filesystem::remove_all(folder);
}

TEST(signing_db, exports_and_imports_without_loosening) {
    const auto old_kv = state::make_memory_kv(), new_kv = state::make_memory_kv();
    const auto before = open(*old_kv), after = open(*new_kv);
    ASSERT_TRUE(admit(*before, vote(VoteKind::finalize, 5, 1)));
    ASSERT_TRUE(admit(*after, vote(VoteKind::nullify, 7)));
    const auto text = write_interchange({test_chain(), {{test_owner().key, before->history()}}});
    const auto read = parse_interchange(text);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->chain, test_chain());
    ASSERT_EQ(read->keys.size(), 1u);
    ASSERT_TRUE(after->merge_in(read->keys[0].history));
    EXPECT_EQ(admit(*after, vote(VoteKind::nullify, 5)).error(), Refusal::nullify_and_finalize);
    EXPECT_EQ(admit(*after, vote(VoteKind::finalize, 7, 1)).error(), Refusal::nullify_and_finalize);
    ASSERT_TRUE(before->raise_mark(kNoMore));
    EXPECT_EQ(admit(*before, vote(VoteKind::notarize, 100, 1)).error(), Refusal::below_mark);
    ASSERT_TRUE(before->merge_in(after->history()));
    EXPECT_EQ(admit(*before, vote(VoteKind::notarize, 100, 1)).error(), Refusal::below_mark)
        << "an import gives nothing back to a retired database";
}

TEST(interchange, reads_what_it_writes) {
    Interchange all{test_chain(), {}};
    KeyHistory key{test_owner().key, {}};
    key.history.mark = {{1}, {3}};
    key.history.views[{{1}, {3}}] = {block_hash(1), block_hash(1), false};
    key.history.views[{{2}, {1}}] = {block_hash(2), std::nullopt, true};
    all.keys = {key, {*public_key(secret(2)), {}}};
    const auto read = parse_interchange(write_interchange(all));
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(*read, all);
}

TEST(interchange, refuses_what_is_not_exactly_one) {
    const std::string good = write_interchange(
        {test_chain(), {{test_owner().key, {{}, {{{{0}, {4}}, {block_hash(1), {}, false}}}}}}});
    ASSERT_TRUE(parse_interchange(good));
    const auto changed = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        const auto at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        return text.replace(at, from.size(), to);
    };
    const std::pair<std::string, std::string> changes[] = {
        {"\"1\"", "\"2\""},
        {"\"7\"", "7"},
        {"\"7\"", "\"07\""},
        {"\"7\"", "\"-7\""},
        {"\"7\"", "\"18446744073709551616\""},
        {"\"view\": \"4\"", "\"view\": \"4\", \"propose\": \"0x\""},
        {"\"notarize\": \"0x", "\"notarize\": \"0y"},
        {"\"epoch\": \"0\", \"view\": \"0\"", "\"epoch\": \"0\", \"view\": \"5\""},
        {"\"signed_views\"", "\"signed_blocks\""},
        {"\"low_water_mark\"", "\"lowest\""},
        {"[", "{"},
        {"}\n", ""},
    };
    for (const auto& [from, to] : changes)
        EXPECT_FALSE(parse_interchange(changed(from, to))) << from << " -> " << to;
    EXPECT_FALSE(parse_interchange(std::string(kInterchangeBytesMax + 1, ' ')));
    EXPECT_FALSE(parse_interchange(std::string(100'000, '[')));
    const std::string entry = R"({"epoch": "0", "view": "9", "nullify": true})";
    EXPECT_FALSE(
        parse_interchange(changed("{\"epoch\": \"0\", \"view\": \"4\"",
                                  entry + "," + entry + ", {\"epoch\": \"0\", \"view\": \"4\"")));
    EXPECT_FALSE(parse_interchange(
        changed("{\"epoch\": \"0\", \"view\": \"4\"",
                R"({"epoch": "0", "view": "9", "nullify": false}, {"epoch": "0", "view": "4")")));
}

/// Counts syncs, and shows what a power cut would leave.
class CountingKv final : public state::Kv {
public:
    std::optional<Bytes> get(BytesView key) const override { return durable->get(key); }
    Result<Done, state::KvError> write(const state::Batch& batch,
                                       state::Durability durability) override {
        EXPECT_EQ(durability, state::Durability::synced);
        ++syncs;
        return durable->write(batch, durability);
    }
    void scan(BytesView prefix,
              const std::function<bool(BytesView, BytesView)>& visit) const override {
        durable->scan(prefix, visit);
    }
    std::unique_ptr<state::Kv> durable = state::make_memory_kv();
    int syncs = 0;
};

state::Batch put(std::string_view key, std::string_view value) {
    state::Batch batch;
    batch.put(as_bytes(key), as_bytes(value));
    return batch;
}

TEST(joined_store, buffered_writes_reach_the_disk_with_the_next_synced_one) {
    auto below = std::make_unique<CountingKv>();
    CountingKv& disk = *below;
    JoinedStore store(std::move(below));
    ASSERT_TRUE(store.write(put("a", "1"), state::Durability::buffered));
    ASSERT_TRUE(store.write(put("b", "2"), state::Durability::buffered));
    EXPECT_EQ(disk.syncs, 0);
    EXPECT_EQ(disk.get(as_bytes("a")), std::nullopt);
    EXPECT_NE(store.get(as_bytes("a")), std::nullopt);
    ASSERT_TRUE(store.write(put("c", "3"), state::Durability::synced));
    EXPECT_EQ(disk.syncs, 1);
    for (const char* key : {"a", "b", "c"}) EXPECT_NE(disk.get(as_bytes(key)), std::nullopt);
}

TEST(joined_store, scans_held_and_written_keys_in_order_the_latest_of_each) {
    JoinedStore store(state::make_memory_kv());
    for (const char* key : {"kb", "kd", "kf"})
        ASSERT_TRUE(store.write(put(key, "old"), state::Durability::synced));
    for (const char* key : {"ka", "kd", "ke", "kz", "other"})
        ASSERT_TRUE(store.write(put(key, "new"), state::Durability::buffered));
    state::Batch erase;
    erase.erase(as_bytes("kf"));
    ASSERT_TRUE(store.write(erase, state::Durability::buffered));
    std::string seen;
    store.scan(as_bytes("k"), [&](BytesView key, BytesView value) {
        seen += std::string(as_text(key)) + "=" + std::string(as_text(value)) + " ";
        return true;
    });
    EXPECT_EQ(seen, "ka=new kb=old kd=new ke=new kz=new ");
    size_t visits = 0;
    store.scan(as_bytes("k"), [&](BytesView, BytesView) { return ++visits < 2; });
    EXPECT_EQ(visits, 2u);
    EXPECT_EQ(store.get(as_bytes("kf")), std::nullopt);
}

TEST(joined_store, holds_a_bounded_number_of_bytes) {
    auto below = std::make_unique<CountingKv>();
    CountingKv& disk = *below;
    JoinedStore store(std::move(below));
    const std::string value(1u << 20, 'x');
    for (int i = 0; i < 40; ++i)
        ASSERT_TRUE(store.write(put(std::to_string(i), value), state::Durability::buffered));
    EXPECT_EQ(disk.syncs, 2);
}

}  // namespace
}  // namespace trainyard::node::signer
