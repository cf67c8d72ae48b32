// SPDX-License-Identifier: Apache-2.0
// Both stores keep the same promises.
#include "state/kv.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/state/temporary_folder.hpp"

namespace trainyard::state {
namespace {

Bytes text(std::string_view from) {
    return {as_bytes(from).begin(), as_bytes(from).end()};
}

class kv : public testing::TestWithParam<bool> {
protected:
    kv() { reopen(); }
    /// For the store in memory, keeps what is there.
    void reopen() {
        if (!GetParam()) {
            if (!store_) store_ = make_memory_kv();
            return;
        }
        store_.reset();
        auto opened = open_leveldb(folder_.path());
        ASSERT_TRUE(opened);
        store_ = *std::move(opened);
    }
    void put(std::string_view key, std::string_view value) {
        Batch batch;
        batch.put(as_bytes(key), as_bytes(value));
        ASSERT_TRUE(store_->write(batch, Durability::synced));
    }
    std::string keys_from(std::string_view prefix, size_t limit = 100) {
        std::string out;
        store_->scan(as_bytes(prefix), [&](BytesView key, BytesView) {
            out += std::string(as_text(key)) + " ";
            return --limit > 0;
        });
        return out;
    }
    TemporaryFolder folder_;
    std::unique_ptr<Kv> store_;
};

TEST_P(kv, reads_what_was_written_and_nothing_else) {
    put("a", "1");
    put("b", "");
    EXPECT_EQ(store_->get(as_bytes("a")), text("1"));
    EXPECT_EQ(store_->get(as_bytes("b")), Bytes{});
    EXPECT_EQ(store_->get(as_bytes("c")), std::nullopt);
    EXPECT_EQ(store_->get_once(as_bytes("a")), text("1"));
    EXPECT_EQ(store_->get_once(as_bytes("c")), std::nullopt);
    EXPECT_EQ(store_->get(as_bytes("")), std::nullopt);
    EXPECT_EQ(store_->read_failure(), std::nullopt);
}

TEST_P(kv, later_entries_of_a_batch_win) {
    Batch batch;
    batch.put(as_bytes("a"), as_bytes("1"));
    batch.erase(as_bytes("a"));
    batch.erase(as_bytes("b"));
    batch.put(as_bytes("b"), as_bytes("2"));
    ASSERT_TRUE(store_->write(batch, Durability::buffered));
    EXPECT_EQ(store_->get(as_bytes("a")), std::nullopt);
    EXPECT_EQ(store_->get(as_bytes("b")), text("2"));
}

TEST_P(kv, scans_a_prefix_in_the_order_of_bytes) {
    for (const char* key : {"b2", "a", "b", "b\xff", "c", "b10", "b\x01"}) put(key, key);
    EXPECT_EQ(keys_from("b"), "b b\x01 b10 b2 b\xff ");
    EXPECT_EQ(keys_from("b", 2), "b b\x01 ");
    EXPECT_EQ(keys_from("d"), "");
    EXPECT_EQ(keys_from(""), "a b b\x01 b10 b2 b\xff c ");
}

TEST_P(kv, keeps_everything_over_a_restart) {
    for (int i = 0; i < 500; ++i)
        put("key" + std::to_string(i), std::string(200, char('a' + i % 26)));
    reopen();
    for (int i = 0; i < 500; ++i)
        EXPECT_EQ(store_->get(as_bytes("key" + std::to_string(i))),
                  text(std::string(200, char('a' + i % 26))));
}

INSTANTIATE_TEST_SUITE_P(stores, kv, testing::Bool(),
                         [](const auto& which) { return which.param ? "leveldb" : "memory"; });

TEST(leveldb, is_locked_while_open) {
    const TemporaryFolder folder;
    const auto first = open_leveldb(folder.path());
    ASSERT_TRUE(first);
    const auto second = open_leveldb(folder.path());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), KvError::locked);
}

TEST(leveldb, reports_a_folder_it_cannot_make) {
    const TemporaryFolder folder;
    std::ofstream(folder.path() + "/file") << "x";
    const auto opened = open_leveldb(folder.path() + "/file/db");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(), KvError::io);
}

TEST(leveldb, rejects_a_store_whose_manifest_is_garbage) {
    const TemporaryFolder folder;
    { ASSERT_TRUE(open_leveldb(folder.path())); }
    std::ofstream(folder.path() + "/CURRENT", std::ios::trunc) << "garbage";
    const auto opened = open_leveldb(folder.path());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(), KvError::corrupt);
}

TEST(leveldb, loses_only_the_last_record_when_its_log_is_torn) {
    const TemporaryFolder folder;
    const auto write = [&](std::string_view key) {
        const auto store = open_leveldb(folder.path());
        ASSERT_TRUE(store);
        Batch batch;
        batch.put(as_bytes(key), Bytes(1000, 7));
        batch.put(as_bytes("both"), as_bytes(key));
        ASSERT_TRUE((*store)->write(batch, Durability::synced));
    };
    write("first");
    write("second");
    for (const auto& file : std::filesystem::directory_iterator(folder.path()))
        if (file.path().extension() == ".log" && file.file_size() > 100)
            std::filesystem::resize_file(file, file.file_size() - 100);
    const auto store = open_leveldb(folder.path());
    ASSERT_TRUE(store);
    EXPECT_EQ((*store)->get(as_bytes("second")), std::nullopt);
    EXPECT_EQ((*store)->get(as_bytes("both")), text("first"));
}

}  // namespace
}  // namespace trainyard::state
