// SPDX-License-Identifier: Apache-2.0
// The store on disk: LevelDB with checksums verified on every read and synced commits.
#include <atomic>
#include <filesystem>

#include "state/kv.hpp"

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

namespace trainyard::state {
namespace {

constexpr size_t kCacheBytes = 64u << 20, kWriteBufferBytes = 16u << 20, kBlockBytes = 1u << 10;
constexpr int kFilterBitsPerKey = 10;  ///< about one false disk read in a hundred

leveldb::Slice slice(BytesView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
BytesView view(const leveldb::Slice& from) {
    return as_bytes({from.data(), from.size()});
}

KvError error_of(const leveldb::Status& status) {
    // LevelDB has no code for a held lock; only this text tells it from other I/O errors.
    if (status.ToString().starts_with("IO error: lock ")) return KvError::locked;
    return status.IsCorruption() || status.IsInvalidArgument() ? KvError::corrupt : KvError::io;
}

leveldb::ReadOptions reading() {
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    return options;
}

/// The first error of reading; -1: none.
using Failure = std::atomic<int>;

void note(Failure& failure, const leveldb::Status& status) {
    int none = -1;
    failure.compare_exchange_strong(none, static_cast<int>(error_of(status)));
}
std::optional<KvError> failure_of(const Failure& failure) {
    const int code = failure.load();
    return code < 0 ? std::nullopt : std::optional(static_cast<KvError>(code));
}

void scan_records(leveldb::DB& db, const leveldb::ReadOptions& options, BytesView prefix,
                  const std::function<bool(BytesView, BytesView)>& visit, leveldb::Status& status) {
    const std::unique_ptr<leveldb::Iterator> at(db.NewIterator(options));
    for (at->Seek(slice(prefix)); at->Valid(); at->Next()) {
        if (!at->key().starts_with(slice(prefix))) return;
        if (!visit(view(at->key()), view(at->value()))) return;
    }
    status = at->status();
}

class LevelDbKv final : public Kv {
    class Frozen final : public KvReader {
    public:
        explicit Frozen(leveldb::DB& db) : db_(db), snapshot_(db.GetSnapshot()) {}
        ~Frozen() override { db_.ReleaseSnapshot(snapshot_); }
        Frozen(const Frozen&) = delete;
        Frozen& operator=(const Frozen&) = delete;

        std::optional<Bytes> get(BytesView key) const override {
            std::string value;
            const auto status = db_.Get(options(), slice(key), &value);
            if (status.ok()) return Bytes(value.begin(), value.end());
            if (!status.IsNotFound()) note(failure_, status);
            return std::nullopt;
        }
        void scan(BytesView prefix,
                  const std::function<bool(BytesView, BytesView)>& visit) const override {
            leveldb::Status status;
            scan_records(db_, options(), prefix, visit, status);
            if (!status.ok()) note(failure_, status);
        }
        std::optional<KvError> read_failure() const override { return failure_of(failure_); }

    private:
        /// A long scan does not push out what other readers have in the cache.
        leveldb::ReadOptions options() const {
            auto options = reading();
            options.snapshot = snapshot_;
            options.fill_cache = false;
            return options;
        }
        leveldb::DB& db_;
        const leveldb::Snapshot* const snapshot_;
        mutable Failure failure_{-1};
    };

public:
    Result<Done, KvError> open(const std::string& path) {
        leveldb::Options options;
        options.create_if_missing = true;
        options.paranoid_checks = true;
        options.block_cache = cache_.get();
        options.filter_policy = filter_.get();
        options.write_buffer_size = kWriteBufferBytes;
        options.block_size = kBlockBytes;
        leveldb::DB* db = nullptr;
        const auto status = leveldb::DB::Open(options, path, &db);
        db_.reset(db);
        if (!status.ok()) return unexpected(error_of(status));
        return Done{};
    }

    std::optional<Bytes> get(BytesView key) const override { return get(key, reading()); }
    std::optional<Bytes> get_once(BytesView key) const override {
        auto options = reading();
        options.fill_cache = false;
        return get(key, options);
    }

    Result<Done, KvError> write(const Batch& batch, Durability durability) override {
        leveldb::WriteBatch updates;
        for (const auto& [key, value] : batch.entries) {
            if (value)
                updates.Put(slice(key), slice(*value));
            else
                updates.Delete(slice(key));
        }
        leveldb::WriteOptions options;
        options.sync = durability == Durability::synced;
        const auto status = db_->Write(options, &updates);
        if (!status.ok()) return unexpected(error_of(status));
        return Done{};
    }

    void scan(BytesView prefix,
              const std::function<bool(BytesView, BytesView)>& visit) const override {
        leveldb::Status status;
        scan_records(*db_, reading(), prefix, visit, status);
        if (!status.ok()) note(failure_, status);
    }

    void compact(BytesView first, BytesView last) override {
        const leveldb::Slice begin = slice(first), end = slice(last);
        db_->CompactRange(&begin, &end);
    }

    std::optional<KvError> read_failure() const override { return failure_of(failure_); }

    std::unique_ptr<const KvReader> freeze() const override {
        return std::make_unique<Frozen>(*db_);
    }

private:
    std::optional<Bytes> get(BytesView key, const leveldb::ReadOptions& options) const {
        std::string value;
        const auto status = db_->Get(options, slice(key), &value);
        if (status.ok()) return Bytes(value.begin(), value.end());
        if (!status.IsNotFound()) note(failure_, status);
        return std::nullopt;
    }

    std::unique_ptr<leveldb::Cache> cache_{leveldb::NewLRUCache(kCacheBytes)};
    std::unique_ptr<const leveldb::FilterPolicy> filter_{
        leveldb::NewBloomFilterPolicy(kFilterBitsPerKey)};
    std::unique_ptr<leveldb::DB> db_;
    mutable Failure failure_{-1};
};

}  // namespace

Result<std::unique_ptr<Kv>, KvError> open_leveldb(const std::string& path) {
    std::error_code failed;
    std::filesystem::create_directories(path, failed);
    if (failed) return unexpected(KvError::io);
    auto kv = std::make_unique<LevelDbKv>();
    if (const auto opened = kv->open(path); !opened) return unexpected(opened.error());
    return std::unique_ptr<Kv>(std::move(kv));
}

}  // namespace trainyard::state
