// SPDX-License-Identifier: Apache-2.0
// The blob store: ids, ranges, limits, damage, and kills at any moment.
#include "node/blobs/store.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "core/blob.hpp"
#include "core/hash.hpp"
#include "core/merkle.hpp"

namespace trainyard::blobs {
namespace {

namespace fs = std::filesystem;

Bytes pattern(size_t size, uint32_t seed = 1) {
    Bytes out(size);
    uint32_t x = seed * 2654435761u + 1;
    for (uint8_t& b : out) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        b = static_cast<uint8_t>(x);
    }
    return out;
}

class store : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("trainyard-blobs-" + std::to_string(::getpid()));
        fs::remove_all(folder_);
        reopen();
    }
    void TearDown() override {
        store_.reset();
        fs::remove_all(folder_);
    }
    void reopen(uint64_t quota = 64u << 20, uint64_t most = 32u << 20, size_t blobs = 1000) {
        store_.reset();
        auto opened = BlobStore::open({folder_, quota, most, blobs});
        ASSERT_TRUE(opened.has_value()) << opened.error().detail;
        store_ = *std::move(opened);
    }
    size_t files() const {
        size_t n = 0;
        for (const auto& entry : fs::recursive_directory_iterator(folder_))
            n += entry.is_regular_file();
        return n - 2;  // without LOCK and PIECES
    }
    fs::path folder_;
    std::unique_ptr<BlobStore> store_;
};

TEST(blob_id, is_the_hash_of_size_and_root) {
    const Bytes two_chunks = pattern(kChunkBytes + 5);
    const BytesView view(two_chunks);
    Bytes preimage{3, 5, 0, 4, 0, 0, 0, 0, 0};  // 0x03, then 262149 as u64 LE
    append(preimage,
           merkle::node(blob::root(view.first(kChunkBytes)), blob::root(view.subspan(kChunkBytes)))
               .bytes);
    EXPECT_EQ(blob_id(manifest_of(two_chunks)), sha256(preimage));
}

TEST(blob_id, of_chunks_is_that_of_all_pieces) {
    for (const uint64_t size :
         {uint64_t{0}, uint64_t{1}, blob::kPieceBytes, blob::kPieceBytes + 1, kChunkBytes - 1,
          kChunkBytes, kChunkBytes + 1, kChunkBytes + 3 * blob::kPieceBytes, 2 * kChunkBytes,
          5 * kChunkBytes + blob::kPieceBytes + 7}) {
        const Bytes content = pattern(size);
        EXPECT_EQ(blob_id(manifest_of(content)), blob::id(content)) << size;
    }
}

TEST(manifest, rejects_wrong_shapes_and_ids) {
    const Manifest good = manifest_of(pattern(2 * kChunkBytes + 1));
    const Hash id = blob_id(good);
    EXPECT_TRUE(verify_manifest(id, good));
    EXPECT_EQ(decode_manifest(encode_manifest(good)), good);
    Manifest bad = good;
    bad.size_bytes = 2 * kChunkBytes;  // two leaves would do
    EXPECT_FALSE(verify_manifest(blob_id(bad), bad));
    EXPECT_FALSE(decode_manifest(encode_manifest(bad)));
    bad = good;
    bad.size_bytes += 1;
    EXPECT_FALSE(verify_manifest(id, bad));
    bad = good;
    std::swap(bad.leaves[0], bad.leaves[1]);
    EXPECT_FALSE(verify_manifest(id, bad));
    bad = {kBlobBytesMax + 1, std::vector<Hash>(chunk_count(kBlobBytesMax + 1))};
    EXPECT_FALSE(verify_manifest(blob_id(bad), bad));
    Bytes encoded = encode_manifest(good);
    encoded.pop_back();
    EXPECT_FALSE(decode_manifest(encoded));
    EXPECT_FALSE(decode_manifest(Bytes(7)));
}

TEST(manifest, rejects_wrong_chunks) {
    const Bytes blob = pattern(kChunkBytes + 5);
    const Manifest manifest = manifest_of(blob);
    const BytesView view(blob);
    EXPECT_TRUE(verify_chunk(manifest, 0, view.first(kChunkBytes)));
    EXPECT_TRUE(verify_chunk(manifest, 1, view.subspan(kChunkBytes)));
    EXPECT_FALSE(verify_chunk(manifest, 1, view.first(kChunkBytes)));
    EXPECT_FALSE(verify_chunk(manifest, 0, view.first(kChunkBytes - 1)));
    EXPECT_FALSE(verify_chunk(manifest, 2, view.subspan(kChunkBytes)));
    Bytes flipped(view.begin() + kChunkBytes, view.end());
    flipped[4] ^= 1;
    EXPECT_FALSE(verify_chunk(manifest, 1, flipped));
}

TEST_F(store, keeps_blobs_of_every_shape_across_reopening) {
    std::vector<Bytes> blobs;
    for (const size_t size : {size_t{0}, size_t{1}, size_t{kChunkBytes - 1}, size_t{kChunkBytes},
                              size_t{kChunkBytes + 1}, size_t{3 * kChunkBytes + 17}}) {
        blobs.push_back(pattern(size, static_cast<uint32_t>(size)));
        const auto id = store_->put(blobs.back());
        ASSERT_TRUE(id.has_value()) << id.error().detail;
        EXPECT_EQ(*id, blob_id(manifest_of(blobs.back())));
    }
    const uint64_t used = store_->used_bytes();
    reopen();
    EXPECT_EQ(store_->used_bytes(), used);
    EXPECT_EQ(store_->list().size(), blobs.size());
    for (const Bytes& blob : blobs) {
        const Hash id = blob_id(manifest_of(blob));
        EXPECT_EQ(store_->get(id).value(), blob);
        EXPECT_EQ(*store_->manifest(id).value(), manifest_of(blob));
        EXPECT_EQ(fs::file_size(store_->path(id).value()), blob.size());
    }
}

TEST_F(store, same_blob_twice_is_one_blob) {
    const Bytes blob = pattern(1000);
    EXPECT_EQ(store_->put(blob).value(), store_->put(blob).value());
    EXPECT_EQ(store_->used_bytes(), 1000u);
    EXPECT_EQ(files(), 2u);
}

TEST_F(store, reads_ranges_and_chunks) {
    const Bytes blob = pattern(2 * kChunkBytes + 100);
    const Hash id = store_->put(blob).value();
    const auto expect_range = [&](uint64_t offset, uint64_t size) {
        const auto got = store_->get_range(id, offset, size);
        ASSERT_TRUE(got.has_value()) << got.error().detail;
        EXPECT_EQ(*got, Bytes(blob.begin() + offset, blob.begin() + offset + size));
    };
    expect_range(0, 10);
    expect_range(kChunkBytes - 5, 10);
    expect_range(kChunkBytes - 5, kChunkBytes + 10);
    expect_range(blob.size(), 0);
    EXPECT_EQ(store_->get_range(id, blob.size(), 1).error().error, BlobError::bad_range);
    EXPECT_EQ(store_->get_range(id, ~0ull, 2).error().error, BlobError::bad_range);
    EXPECT_EQ(store_->chunk(id, 2).value().size(), 100u);
    EXPECT_EQ(store_->chunk(id, 3).error().error, BlobError::bad_range);
    EXPECT_EQ(store_->get(Hash{}).error().error, BlobError::not_found);
    EXPECT_FALSE(store_->has(Hash{}));
}

TEST_F(store, streams_in_pieces_of_any_size) {
    const Bytes blob = pattern(kChunkBytes + 3000);
    auto writer = store_->writer().value();
    for (size_t at = 0; at < blob.size(); at += 777) {
        const size_t n = std::min<size_t>(777, blob.size() - at);
        ASSERT_TRUE(writer->append(BytesView(blob).subspan(at, n)).has_value());
    }
    const Hash id = writer->finish().value();
    EXPECT_EQ(store_->get(id).value(), blob);
}

TEST_F(store, rejects_what_exceeds_limit_or_quota_and_frees_what_it_reserved) {
    reopen(1000, 600);
    EXPECT_EQ(store_->put(pattern(601)).error().error, BlobError::too_large);
    ASSERT_TRUE(store_->put(pattern(600)).has_value());
    const auto full = store_->put(pattern(401));
    EXPECT_EQ(full.error().error, BlobError::quota_exceeded);
    EXPECT_NE(full.error().detail.find("600 of 1000"), std::string::npos) << full.error().detail;
    {
        auto writer = store_->writer().value();
        ASSERT_TRUE(writer->append(pattern(400)).has_value());
        EXPECT_EQ(store_->put(pattern(1)).error().error, BlobError::quota_exceeded);
    }
    EXPECT_EQ(store_->used_bytes(), 600u);
    EXPECT_EQ(files(), 2u);
    ASSERT_TRUE(store_->remove(blob_id(manifest_of(pattern(600)))).has_value());
    EXPECT_EQ(store_->used_bytes(), 0u);
    EXPECT_EQ(files(), 0u);
    EXPECT_TRUE(store_->put(pattern(401)).has_value());
}

TEST_F(store, keeps_of_guests_no_more_than_half_and_leaves_the_rest_to_its_operator) {
    using Writes = BlobStore::Writes;
    reopen(1000);
    const auto put = [&](const Bytes& blob, Writes who) {
        auto writer = store_->writer({}, who).value();
        return writer->append(blob) && writer->finish();
    };
    EXPECT_TRUE(put(pattern(300, 1), Writes::guest));
    EXPECT_FALSE(put(pattern(201, 2), Writes::guest));
    EXPECT_TRUE(put(pattern(200, 2), Writes::guest));
    EXPECT_FALSE(put(pattern(1, 3), Writes::guest));
    EXPECT_TRUE(put(pattern(400, 4), Writes::own));
    ASSERT_TRUE(store_->release(blob_id(manifest_of(pattern(400, 4)))).has_value());
    EXPECT_FALSE(put(pattern(1, 3), Writes::guest)) << "500 bytes are kept still";
    ASSERT_TRUE(store_->release(blob_id(manifest_of(pattern(300, 1)))).has_value());
    reopen(1000);
    EXPECT_FALSE(put(pattern(301, 5), Writes::guest));
    EXPECT_TRUE(put(pattern(300, 5), Writes::guest)) << "what may go makes room";
    EXPECT_EQ(store_->kept_bytes(), 500u);
    EXPECT_TRUE(put(pattern(500, 6), Writes::own));
    EXPECT_EQ(store_->used_bytes(), 1000u);
}

TEST_F(store, what_makes_room_takes_none_from_guests) {
    reopen(1000, 600);
    for (const uint32_t seed : {1, 2}) {
        const Bytes blob = pattern(400, seed);
        const Manifest manifest = manifest_of(blob);
        auto fetched = store_->chunk_writer(blob_id(manifest), manifest).value();
        ASSERT_TRUE(fetched->put(0, blob) && fetched->finish());
    }
    const auto put = [&](size_t size, uint32_t seed) {
        auto writer = store_->writer({}, BlobStore::Writes::guest).value();
        return writer->append(pattern(size, seed)) && writer->finish();
    };
    EXPECT_TRUE(put(300, 3)) << "in the place of one that was fetched";
    EXPECT_TRUE(put(200, 4));
    EXPECT_FALSE(put(1, 5));
    EXPECT_EQ(store_->kept_bytes(), 500u);
    EXPECT_EQ(store_->used_bytes(), 900u);
}

TEST_F(store, keeps_of_guests_no_more_than_half_of_the_number) {
    using Writes = BlobStore::Writes;
    reopen(1000, 600, 4);
    for (const uint8_t seed : {1, 2}) {
        auto writer = store_->writer({}, Writes::guest).value();
        ASSERT_TRUE(writer->append(pattern(1, seed)) && writer->finish());
    }
    EXPECT_FALSE(store_->writer({}, Writes::guest).value()->append(pattern(1, 3)));
    EXPECT_TRUE(store_->put(pattern(1, 3)).has_value());
}

TEST_F(store, counts_right_while_many_write_give_up_release_and_read) {
    constexpr uint64_t kQuota = 20'000;
    constexpr uint32_t kRounds = 60;
    reopen(kQuota);
    std::atomic<size_t> above{0};
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (uint32_t i = 0; i < kRounds; ++i) {
                const Bytes blob = pattern(500 + 100 * t, i % 20 + 20 * (t % 2));
                const Hash owner = keccak256(BytesView(blob).first(1 + t));
                const auto who = t < 2 ? BlobStore::Writes::guest : BlobStore::Writes::own;
                auto writer = store_->writer(owner, who).value();
                const bool is_in = writer->append(blob).has_value();
                if (is_in && i % 3 != 0) {
                    const auto id = writer->finish();
                    if (id && i % 3 == 1) (void)store_->release(*id, owner);
                    if (id && i % 5 == 1) (void)store_->remove(*id);
                    if (id && i % 5 == 2) (void)store_->get(*id);
                }
                if (store_->used_bytes() > kQuota || store_->kept_bytes() > kQuota) ++above;
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(above, 0u);
    uint64_t used = 0, kept = 0;
    for (const auto& held : store_->held_after({}, 1000)) {
        used += held.size_bytes;
        kept += held.is_kept ? held.size_bytes : 0;
        EXPECT_TRUE(store_->get(held.id).has_value());
    }
    EXPECT_EQ(store_->used_bytes(), used) << "nothing is left of what was given up";
    EXPECT_EQ(store_->kept_bytes(), kept);
    EXPECT_TRUE(fs::is_empty(folder_ / "unfinished"));
    reopen(kQuota);
    EXPECT_EQ(store_->used_bytes(), used);
    EXPECT_EQ(store_->kept_bytes(), kept);
}

TEST_F(store, takes_a_bounded_number_of_blobs_however_small) {
    const Hash owner = blob_id(manifest_of(pattern(1)));
    reopen(64u << 20, 32u << 20, 3);
    for (uint32_t seed = 1; seed <= 3; ++seed)
        ASSERT_TRUE(store_->put(pattern(1, seed), owner).has_value());
    const auto full = store_->put(pattern(1, 4));
    EXPECT_EQ(full.error().error, BlobError::quota_exceeded);
    EXPECT_NE(full.error().detail.find("3 blobs"), std::string::npos) << full.error().detail;
    const Hash first = blob_id(manifest_of(pattern(1, 1)));
    ASSERT_TRUE(store_->release(first, owner));
    EXPECT_TRUE(store_->put(pattern(1, 4)).has_value());
    EXPECT_FALSE(store_->has(first)) << "it made room";
    EXPECT_EQ(store_->list().size(), 3u);
}

TEST_F(store, what_was_fetched_makes_room_the_longest_unread_first) {
    const auto fetched = [&](uint32_t seed) {
        const Bytes blob = pattern(300, seed);
        const Manifest manifest = manifest_of(blob);
        auto writer = store_->chunk_writer(blob_id(manifest), manifest);
        EXPECT_TRUE(writer.has_value());
        EXPECT_TRUE((*writer)->put(0, blob) && (*writer)->finish());
        return blob_id(manifest);
    };
    reopen(1000, 600);
    const Hash own = store_->put(pattern(300, 1)).value();
    const Hash a = fetched(2), b = fetched(3);
    EXPECT_TRUE(store_->get(a).has_value());
    const Hash c = fetched(4);
    EXPECT_FALSE(store_->has(b)) << "a was read after it";
    EXPECT_TRUE(store_->has(own) && store_->has(a) && store_->has(c));
    EXPECT_EQ(store_->put(pattern(300, 4)).value(), c) << "from now on it is our own";
    EXPECT_EQ(store_->used_bytes(), 600u) << "room for it was made before it was known";
    reopen(1000, 600);
    const Hash d = fetched(5);
    reopen(1000, 600);
    const Hash more = store_->put(pattern(350, 6)).value();
    EXPECT_FALSE(store_->has(d)) << "the mark survives";
    EXPECT_TRUE(store_->has(own) && store_->has(c) && store_->has(more));
    EXPECT_EQ(store_->put(pattern(100, 7)).error().error, BlobError::quota_exceeded);
    EXPECT_EQ(store_->used_bytes(), 950u);
    EXPECT_EQ(files(), 6u);
}

TEST_F(store, what_its_owners_have_released_makes_room) {
    const auto owner = [](uint8_t n) {
        Hash out;
        out.bytes.fill(n);
        return out;
    };
    reopen(1000, 600);
    const Hash state = store_->put(pattern(300, 1), owner(1)).value();
    EXPECT_EQ(store_->put(pattern(300, 1), owner(2)).value(), state);
    const Hash data = store_->put(pattern(300, 2), owner(1)).value();
    EXPECT_EQ(store_->kept_bytes(), 600u);
    EXPECT_TRUE(store_->release(data, owner(3))) << "a stranger says so";
    EXPECT_TRUE(store_->release(state, owner(1)));
    EXPECT_EQ(store_->kept_bytes(), 600u) << "the second owner needs it";
    EXPECT_EQ(store_->put(pattern(500, 3)).error().error, BlobError::quota_exceeded);
    reopen(1000, 600);
    EXPECT_EQ(store_->kept_bytes(), 600u);
    EXPECT_TRUE(store_->release(state, owner(2)));
    EXPECT_TRUE(store_->release(state, owner(2))) << "once more";
    EXPECT_EQ(store_->kept_bytes(), 300u);
    EXPECT_TRUE(store_->has(state)) << "until the room is needed";
    reopen(1000, 600);
    EXPECT_EQ(store_->kept_bytes(), 300u);
    const Hash more = store_->put(pattern(500, 3)).value();
    EXPECT_FALSE(store_->has(state));
    EXPECT_TRUE(store_->has(data) && store_->has(more));
    EXPECT_EQ(files(), 5u) << "two blobs, two trees, one list of owners";
}

TEST_F(store, shows_what_is_kept_for_whom_and_lets_its_operator_release_it) {
    const Hash owner = sha256(as_bytes("owner"));
    reopen(1000, 600);
    std::map<Hash, std::pair<bool, size_t>> due;
    const Hash good = store_->put(pattern(300, 1)).value();
    const Hash owned = store_->put(pattern(200, 2), owner).value();
    const Hash gone = store_->put(pattern(100, 3), owner).value();
    ASSERT_TRUE(store_->release(gone, owner));
    due = {{good, {true, 0}}, {owned, {true, 1}}, {gone, {false, 0}}};
    const auto look = [&] {
        std::map<Hash, std::pair<bool, size_t>> out;
        Hash last;
        for (auto page = store_->held_after({}, 2); !page.empty();
             page = store_->held_after(last, 2)) {
            EXPECT_LE(page.size(), 2U);
            for (const auto& blob : page) out[blob.id] = {blob.is_kept, blob.owners};
            last = page.back().id;
        }
        return out;
    };
    EXPECT_EQ(look(), due);
    for (const Hash& id : {good, owned}) {
        EXPECT_TRUE(store_->release(id));
        EXPECT_TRUE(store_->release(id)) << "once more";
        due[id] = {false, 0};
    }
    EXPECT_EQ(store_->release(sha256({})).error().error, BlobError::not_found);
    EXPECT_EQ(look(), due);
    EXPECT_EQ(store_->kept_bytes(), 0U);
    reopen(1000, 600);
    EXPECT_EQ(look(), due);
    EXPECT_TRUE(store_->has(good)) << "until the room is needed";
    EXPECT_TRUE(store_->put(pattern(590, 4)) && store_->put(pattern(400, 5)));
    for (const auto& [id, kept] : due) EXPECT_FALSE(store_->has(id));
    // Put again, it is kept again.
    reopen(2000, 600);
    EXPECT_EQ(store_->put(pattern(300, 1)).value(), good);
    EXPECT_EQ(look().at(good), std::pair(true, size_t{0}));
}

TEST_F(store, what_is_kept_for_good_stays_so_whoever_owns_it_too) {
    const Hash owner = sha256(as_bytes("owner"));
    const Bytes first = pattern(300, 1), second = pattern(300, 2), third = pattern(300, 3);
    const Hash a = store_->put(first).value();
    EXPECT_EQ(store_->put(first, owner).value(), a);
    const Hash b = store_->put(second, owner).value();
    EXPECT_EQ(store_->put(second).value(), b) << "a client keeps it as well";
    const Hash c = store_->put(third, owner).value();
    EXPECT_TRUE(store_->release(c, owner));
    EXPECT_EQ(store_->put(third, owner).value(), c) << "needed again";
    for (const Hash& id : {a, b}) EXPECT_TRUE(store_->release(id, owner));
    EXPECT_EQ(store_->kept_bytes(), 900u);
    reopen();
    EXPECT_EQ(store_->kept_bytes(), 900u);
    EXPECT_TRUE(store_->release(sha256({}), owner)) << "of a blob that is not here";
    for (uint8_t n = 0; n < BlobStore::kOwnersMax - 1; ++n) {
        Hash other;
        other.bytes.fill(n);
        ASSERT_TRUE(store_->put(third, other));
    }
    EXPECT_EQ(store_->put(third, sha256(as_bytes("one more"))).error().error,
              BlobError::quota_exceeded);
    EXPECT_EQ(store_->used_bytes(), 900u);
}

TEST_F(store, takes_checked_chunks_in_any_order) {
    const Bytes blob = pattern(2 * kChunkBytes + 9);
    const Manifest manifest = manifest_of(blob);
    const Hash id = blob_id(manifest);
    const BytesView view(blob);
    auto writer = store_->chunk_writer(id, manifest).value();
    EXPECT_TRUE(writer->put(2, view.subspan(2 * kChunkBytes)).has_value());
    EXPECT_TRUE(writer->put(0, view.first(kChunkBytes)).has_value());
    EXPECT_EQ(writer->put(1, view.first(kChunkBytes)).error().error, BlobError::wrong_chunk);
    EXPECT_EQ(writer->finish().error().error, BlobError::incomplete);
    EXPECT_FALSE(store_->has(id));
    EXPECT_TRUE(writer->put(1, view.subspan(kChunkBytes, kChunkBytes)).has_value());
    ASSERT_TRUE(writer->finish().has_value());
    EXPECT_EQ(store_->get(id).value(), blob);
    EXPECT_EQ(store_->used_bytes(), blob.size());
}

TEST_F(store, rejects_bytes_that_the_disk_changed) {
    const Hash id = store_->put(pattern(kChunkBytes + 10)).value();
    {
        std::fstream file(store_->path(id).value(),
                          std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(kChunkBytes + 3);
        file.put('!');
    }
    EXPECT_TRUE(store_->chunk(id, 0).has_value());
    EXPECT_EQ(store_->chunk(id, 1).error().error, BlobError::corrupt);
    EXPECT_EQ(store_->get(id).error().error, BlobError::corrupt);
}

TEST_F(store, maps_a_blob_that_stays_when_it_is_removed) {
    for (const size_t size : {size_t{0}, size_t{1}, 5 * kChunkBytes + 10}) {
        const Bytes blob = pattern(size);
        const Hash id = store_->put(blob).value();
        for (const unsigned threads : {0U, 1U, 3U, 100U}) {
            const auto mapped = store_->map(id, threads);
            ASSERT_TRUE(mapped) << size << " " << threads;
            EXPECT_EQ(Bytes(mapped->bytes.begin(), mapped->bytes.end()), blob);
        }
        const auto kept = store_->map(id, 2);
        ASSERT_TRUE(store_->remove(id));
        EXPECT_EQ(store_->map(id, 2).error().error, BlobError::not_found);
        EXPECT_EQ(Bytes(kept->bytes.begin(), kept->bytes.end()), blob);
    }
}

TEST_F(store, maps_nothing_that_the_disk_changed_wherever_it_is) {
    const Bytes blob = pattern(5 * kChunkBytes + 10);
    const Hash id = store_->put(blob).value();
    for (size_t chunk = 0; chunk < 6; ++chunk) {
        std::fstream file(store_->path(id).value(),
                          std::ios::in | std::ios::out | std::ios::binary);
        const auto at = static_cast<std::streamoff>(chunk * kChunkBytes + 3);
        file.seekp(at).put(static_cast<char>(blob[chunk * kChunkBytes + 3] ^ 1)).flush();
        for (const unsigned threads : {1U, 3U})
            EXPECT_EQ(store_->map(id, threads).error().error, BlobError::corrupt) << chunk;
        file.seekp(at).put(static_cast<char>(blob[chunk * kChunkBytes + 3])).flush();
        EXPECT_TRUE(store_->map(id, 3)) << chunk;
    }
    fs::resize_file(store_->path(id).value(), kChunkBytes);
    EXPECT_EQ(store_->map(id, 3).error().error, BlobError::io);
}

TEST_F(store, opening_ignores_and_removes_what_is_not_whole) {
    const Hash whole = store_->put(pattern(100, 1)).value();
    const Hash short_blob = store_->put(pattern(100, 2)).value();
    const Hash no_tree = store_->put(pattern(100, 3)).value();
    const Hash no_blob = store_->put(pattern(100, 4)).value();
    const auto file = [&](const Hash& id, const char* end) {
        return folder_ / (to_hex(id.bytes) + end);
    };
    store_.reset();
    fs::resize_file(file(short_blob, ".blob"), 99);
    fs::remove(file(no_tree, ".tree"));
    fs::remove(file(no_blob, ".blob"));
    std::ofstream(folder_ / "unfinished" / "7") << "half";
    reopen();
    EXPECT_EQ(store_->list(), std::vector{whole});
    EXPECT_EQ(store_->used_bytes(), 100u);
    EXPECT_EQ(files(), 2u);
}

TEST_F(store, refuses_a_folder_of_blobs_that_an_earlier_rule_named) {
    const Hash id = store_->put(pattern(100)).value();
    store_.reset();
    fs::remove(folder_ / "PIECES");
    for (int i = 0; i < 2; ++i) {
        const auto opened = BlobStore::open({folder_, 1000, 1000});
        ASSERT_FALSE(opened.has_value());
        EXPECT_EQ(opened.error().error, BlobError::older_ids);
    }
    EXPECT_TRUE(fs::exists(folder_ / (to_hex(id.bytes) + ".blob"))) << "left as it is";
    fs::remove(folder_ / (to_hex(id.bytes) + ".blob"));
    reopen();
    EXPECT_TRUE(store_->list().empty());
}

TEST_F(store, rejects_a_second_process_in_its_folder) {
    const auto second = BlobStore::open({folder_, 1000, 1000});
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().error, BlobError::locked);
}

// The child says on a pipe which blobs were promised to it as stored; those must be there after its
// death.
TEST_F(store, what_was_fetched_before_a_kill_still_makes_room) {
    store_.reset();
    for (int round = 0; round < 15; ++round) {
        const pid_t child = ::fork();
        if (child == 0) {
            auto opened = BlobStore::open({folder_, 1u << 30, 32u << 20});
            for (uint32_t i = 0; opened; ++i) {
                const Bytes blob = pattern(100, 1000 * round + i);
                const Manifest manifest = manifest_of(blob);
                auto writer = (*opened)->chunk_writer(blob_id(manifest), manifest);
                if (!writer || !(*writer)->put(0, blob) || !(*writer)->finish()) break;
            }
            ::_exit(1);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20 + round));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        reopen(1u << 30);
        EXPECT_EQ(store_->kept_bytes(), 0u) << round;
        store_.reset();
    }
}

TEST_F(store, survives_kill_at_any_moment) {
    store_.reset();
    size_t promised = 0;
    for (int round = 0; round < 15; ++round) {
        int pipe_ends[2];
        ASSERT_EQ(::pipe(pipe_ends), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            auto opened = BlobStore::open({folder_, 1u << 30, 32u << 20});
            for (uint32_t i = 0; opened; ++i) {
                const auto id = (*opened)->put(pattern(1000 + 40'000 * (i % 8), 1000 * round + i));
                if (!id || ::write(pipe_ends[1], id->data(), 32) != 32) break;
                if (i % 3 == 2 && !(*opened)->remove(*id)) break;
            }
            ::_exit(1);
        }
        ::close(pipe_ends[1]);
        std::this_thread::sleep_for(std::chrono::milliseconds(5 + 7 * round));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        std::vector<Hash> ids;
        for (Hash id; ::read(pipe_ends[0], id.data(), 32) == 32;) ids.push_back(id);
        ::close(pipe_ends[0]);
        reopen(1u << 30);
        for (size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_EQ(store_->has(ids[i]), i % 3 != 2) << i;
        for (const Hash& id : store_->list()) EXPECT_TRUE(store_->get(id).has_value());
        promised += ids.size();
        store_.reset();
    }
    EXPECT_GT(promised, 10u);
}

}  // namespace
}  // namespace trainyard::blobs
