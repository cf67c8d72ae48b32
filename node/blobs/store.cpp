// SPDX-License-Identifier: Apache-2.0
// The folder of blobs: what opening finds, how writes become visible, checked reads.
#include "node/blobs/store.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "core/assert.hpp"
#include "core/blob.hpp"
#include "node/blobs/file.hpp"

namespace trainyard::blobs {
namespace fs = std::filesystem;

namespace {

/// Why a blob is here.
struct Keep {
    bool is_fetched = false;
    BlobStore::Owner owner;  ///< else, without one, for good
};

constexpr size_t kCachedManifestsMax = 16;
constexpr unsigned kMapThreadsMax = 8;  ///< more than memory can serve
constexpr char kUnfinished[] = "unfinished";
constexpr char kLock[] = "LOCK";
/// There where the leaves of chunks are roots over pieces; they were hashes of whole chunks before.
constexpr char kMadeOfPieces[] = "PIECES";

Unexpected<BlobFailure> fail(BlobError error, std::string detail) {
    return unexpected(BlobFailure{error, std::move(detail)});
}
Unexpected<BlobFailure> io_failure(std::string detail) {
    return fail(BlobError::io, std::move(detail));
}

template <class T, class From>
BlobResult<T> or_io(Result<From, std::string> outcome) {
    if (!outcome) return io_failure(std::move(outcome).error());
    return T(*std::move(outcome));
}
BlobResult<Done> or_io(File::Outcome outcome) {
    return or_io<Done>(std::move(outcome));
}

}  // namespace

struct BlobStore::Impl {
    using ManifestPtr = std::shared_ptr<const Manifest>;

    explicit Impl(StoreOptions o) : options(std::move(o)) {}

    [[nodiscard]] fs::path blob_path(const Hash& id) const {
        return options.folder / (to_hex(id.bytes) + ".blob");
    }
    [[nodiscard]] fs::path tree_path(const Hash& id) const {
        return options.folder / (to_hex(id.bytes) + ".tree");
    }
    [[nodiscard]] fs::path mark_path(const Hash& id) const {
        return options.folder / (to_hex(id.bytes) + ".fetched");
    }
    [[nodiscard]] fs::path owners_path(const Hash& id) const {
        return options.folder / (to_hex(id.bytes) + ".owners");
    }
    [[nodiscard]] fs::path unfinished_path() {
        const std::lock_guard lock(mutex);
        return options.folder / kUnfinished / std::to_string(next_name++);
    }

    BlobResult<Done> prepare_folder();
    [[nodiscard]] BlobResult<Done> refuse_older_ids() const;
    BlobResult<Done> scan();
    [[nodiscard]] ManifestPtr load_manifest(const Hash& id) const;
    [[nodiscard]] BlobResult<Done> has_room_for_guests(uint64_t bytes) const;
    BlobResult<Done> reserve(uint64_t bytes, Writes who);
    void release(uint64_t bytes);
    BlobResult<Done> publish(const Hash& id, const Manifest& manifest, const fs::path& written,
                             const Keep& keep);
    [[nodiscard]] std::set<Hash> load_owners(const Hash& id) const;
    BlobResult<Done> set_owners(const Hash& id, std::set<Hash> all);
    BlobResult<Done> keep_also(const Hash& id, const Keep& keep);
    BlobResult<Done> release_from(const Hash& id, const Hash& owner);
    BlobResult<Done> release_from_all(const Hash& id);
    void set_mark(const Hash& id, bool is_fetched);
    bool drop_unread();
    BlobResult<Done> drop(const Hash& id);
    BlobResult<uint64_t> size_of(const Hash& id) const;

    const StoreOptions options;
    File lock_file;
    mutable std::mutex mutex;  // guards all below
    uint64_t next_name = 0;
    uint64_t used_bytes = 0;
    std::map<Hash, uint64_t> sizes;
    std::map<Hash, std::set<Hash>> owners;     // none of these is empty
    mutable std::map<Hash, uint64_t> read_at;  // of those that may make room, in reads
    uint64_t loose_bytes = 0;                  // of the same
    mutable uint64_t reads = 0;
    mutable std::deque<std::pair<Hash, ManifestPtr>> cache;  // newest first
};

BlobResult<Done> BlobStore::Impl::prepare_folder() {
    std::error_code error;
    fs::create_directories(options.folder, error);
    if (error) return io_failure("cannot make " + options.folder.string() + ": " + error.message());
    auto lock = File::create(options.folder / kLock);
    if (!lock) return io_failure(std::move(lock).error());
    if (!lock->lock()) {
        return fail(BlobError::locked, options.folder.string() + " is used by another process");
    }
    lock_file = *std::move(lock);
    if (auto done = refuse_older_ids(); !done) return done;
    fs::remove_all(options.folder / kUnfinished, error);
    fs::create_directories(options.folder / kUnfinished, error);
    if (error)
        return io_failure("cannot clean " + options.folder.string() + ": " + error.message());
    return Done{};
}

// Their trees give their names, so that nothing else would tell before their bytes are read.
BlobResult<Done> BlobStore::Impl::refuse_older_ids() const {
    std::error_code error;
    if (fs::exists(options.folder / kMadeOfPieces, error)) return Done{};
    for (fs::directory_iterator at(options.folder, error), end; !error && at != end;
         at.increment(error)) {
        if (at->path().extension() != ".blob") continue;
        return fail(BlobError::older_ids,
                    options.folder.string() +
                        " holds blobs of an earlier version, whose ids are others now; move the "
                        "folder away and publish again what is in its .blob files");
    }
    if (error) return io_failure("cannot list " + options.folder.string() + ": " + error.message());
    const auto mark = File::create(options.folder / kMadeOfPieces);
    if (!mark) return io_failure(mark.error());
    return or_io(sync_folder(options.folder));
}

// A .blob without its right .tree, and a .tree without a .blob, are what a crash between two
// renames or removals leaves; they were never promised to anyone.
BlobResult<Done> BlobStore::Impl::scan() {
    std::error_code error;
    std::vector<fs::path> leftovers;
    for (fs::directory_iterator at(options.folder, error), end; !error && at != end;
         at.increment(error)) {
        const fs::path& path = at->path();
        const auto id = fixed_from_hex<Hash>(path.stem().string());
        if (!id || path.stem().string().size() != 2 * Hash::size()) continue;
        const bool is_beside = path.extension() == ".tree" || path.extension() == ".fetched" ||
                               path.extension() == ".owners";
        if (is_beside && !fs::exists(blob_path(*id))) leftovers.push_back(path);
        if (path.extension() != ".blob") continue;
        const ManifestPtr manifest = load_manifest(*id);
        std::error_code no_size;
        if (!manifest || fs::file_size(path, no_size) != manifest->size_bytes) {
            leftovers.push_back(path);
            leftovers.push_back(tree_path(*id));
            leftovers.push_back(mark_path(*id));
            leftovers.push_back(owners_path(*id));
            continue;
        }
        if (auto all = load_owners(*id); !all.empty())
            owners[*id] = std::move(all);
        else if (fs::exists(mark_path(*id)) && read_at.emplace(*id, 0).second)
            loose_bytes += manifest->size_bytes;
        sizes[*id] = manifest->size_bytes;
        used_bytes += manifest->size_bytes;
    }
    if (error) return io_failure("cannot list " + options.folder.string() + ": " + error.message());
    for (const fs::path& path : leftovers) fs::remove(path, error);
    return Done{};
}

BlobStore::Impl::ManifestPtr BlobStore::Impl::load_manifest(const Hash& id) const {
    std::error_code error;
    const auto size = fs::file_size(tree_path(id), error);
    if (error || size > sizeof(uint64_t) + chunk_count(kBlobBytesMax) * Hash::size())
        return nullptr;
    const auto file = File::open(tree_path(id));
    if (!file) return nullptr;
    const auto bytes = file->read_at(0, size);
    if (!bytes) return nullptr;
    auto manifest = decode_manifest(*bytes);
    if (!manifest || !verify_manifest(id, *manifest)) return nullptr;
    return std::make_shared<const Manifest>(*std::move(manifest));
}

// What is on its way counts as kept: most of it will be. The lock is held.
BlobResult<Done> BlobStore::Impl::has_room_for_guests(uint64_t bytes) const {
    const uint64_t kept = used_bytes - loose_bytes, most = options.quota_bytes / 2;
    if (bytes <= most && kept <= most - bytes &&
        sizes.size() - read_at.size() < options.blobs_max / 2)
        return Done{};
    return fail(BlobError::quota_exceeded,
                std::to_string(kept) + " bytes in " +
                    std::to_string(sizes.size() - read_at.size()) +
                    " blobs are kept here, and guests may fill half of " +
                    std::to_string(options.quota_bytes) + " bytes and " +
                    std::to_string(options.blobs_max) + " blobs");
}

BlobResult<Done> BlobStore::Impl::reserve(uint64_t bytes, Writes who) {
    const std::lock_guard lock(mutex);
    if (who == Writes::guest)
        if (auto room = has_room_for_guests(bytes); !room) return room;
    const auto is_full = [&] {
        return bytes > options.quota_bytes || used_bytes > options.quota_bytes - bytes ||
               sizes.size() >= options.blobs_max;
    };
    while (is_full() && bytes <= options.quota_bytes && drop_unread()) {
    }
    if (sizes.size() >= options.blobs_max) {
        return fail(
            BlobError::quota_exceeded,
            std::to_string(options.blobs_max) + " blobs are here, which is the most; remove some");
    }
    if (is_full()) {
        return fail(BlobError::quota_exceeded,
                    std::to_string(bytes) + " bytes more do not fit: " +
                        std::to_string(used_bytes) + " of " + std::to_string(options.quota_bytes) +
                        " bytes are used; raise the blob quota or remove blobs");
    }
    used_bytes += bytes;
    return Done{};
}

void BlobStore::Impl::release(uint64_t bytes) {
    const std::lock_guard lock(mutex);
    used_bytes -= bytes;
}

// The lock is held in the three below.
bool BlobStore::Impl::drop_unread() {
    const auto oldest =
        std::min_element(read_at.begin(), read_at.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    return oldest != read_at.end() && drop(Hash(oldest->first));
}

BlobResult<Done> BlobStore::Impl::drop(const Hash& id) {
    std::error_code error;
    fs::remove(blob_path(id), error);
    if (error) return io_failure("cannot remove " + blob_path(id).string());
    fs::remove(tree_path(id), error);
    set_mark(id, false);
    if (owners.erase(id) != 0) fs::remove(owners_path(id), error);
    used_bytes -= sizes.at(id);
    sizes.erase(id);
    return or_io(sync_folder(options.folder));
}

// A mark that is lost keeps a blob that need not be kept; one too many is removed with the blob.
void BlobStore::Impl::set_mark(const Hash& id, bool is_fetched) {
    std::error_code ignored;
    if (is_fetched) {
        (void)File::create(mark_path(id));
        if (read_at.insert_or_assign(id, ++reads).second) loose_bytes += sizes.at(id);
    } else if (read_at.erase(id) != 0) {
        loose_bytes -= sizes.at(id);
        fs::remove(mark_path(id), ignored);
    }
}

std::set<Hash> BlobStore::Impl::load_owners(const Hash& id) const {
    std::error_code error;
    const auto size = fs::file_size(owners_path(id), error);
    if (error || size > kOwnersMax * Hash::size() || size % Hash::size() != 0) return {};
    const auto file = File::open(owners_path(id));
    const auto bytes = file ? file->read_at(0, size) : unexpected(file.error());
    std::set<Hash> out;
    for (size_t at = 0; bytes && at < bytes->size(); at += Hash::size())
        out.insert(*fixed_from<Hash>(BytesView(*bytes).subspan(at, Hash::size())));
    return out;
}

// The lock is held in the four below. A crash between two steps keeps a blob that need not be.
BlobResult<Done> BlobStore::Impl::set_owners(const Hash& id, std::set<Hash> all) {
    const fs::path beside = options.folder / kUnfinished / owners_path(id).filename();
    Bytes content;
    for (const Hash& owner : all) append(content, owner.bytes);
    const auto file = File::create(beside);
    if (!file) return io_failure(file.error());
    if (auto done = or_io(file->write_at(0, content)); !done) return done;
    if (auto done = or_io(file->sync()); !done) return done;
    std::error_code error;
    fs::rename(beside, owners_path(id), error);
    if (error) return io_failure("cannot rename " + beside.string() + ": " + error.message());
    owners[id] = std::move(all);
    set_mark(id, false);
    return or_io(sync_folder(options.folder));
}

BlobResult<Done> BlobStore::Impl::keep_also(const Hash& id, const Keep& keep) {
    const auto known = owners.find(id);
    const bool is_for_good = known == owners.end() && read_at.count(id) == 0;
    if (keep.is_fetched || is_for_good) return Done{};
    if (!keep.owner) {
        std::error_code ignored;
        set_mark(id, false);
        if (owners.erase(id) != 0) fs::remove(owners_path(id), ignored);
        return or_io(sync_folder(options.folder));
    }
    std::set<Hash> all = known == owners.end() ? std::set<Hash>{} : known->second;
    if (!all.insert(*keep.owner).second) return Done{};
    if (all.size() > kOwnersMax)
        return fail(BlobError::quota_exceeded,
                    "blob " + to_hex(id.bytes) + " has " + std::to_string(kOwnersMax) + " owners");
    return set_owners(id, std::move(all));
}

BlobResult<Done> BlobStore::Impl::release_from(const Hash& id, const Hash& owner) {
    const auto known = owners.find(id);
    if (known == owners.end() || known->second.count(owner) == 0) return Done{};
    std::set<Hash> rest = known->second;
    rest.erase(owner);
    if (!rest.empty()) return set_owners(id, std::move(rest));
    return release_from_all(id);
}

BlobResult<Done> BlobStore::Impl::release_from_all(const Hash& id) {
    set_mark(id, true);
    std::error_code error;
    if (owners.count(id) != 0) fs::remove(owners_path(id), error);
    if (error) return io_failure("cannot remove " + owners_path(id).string());
    owners.erase(id);
    return or_io(sync_folder(options.folder));
}

// Precondition: `written` is synced and holds the bytes; its size is reserved and now belongs to
// the blob, or is released if the blob is there already.
BlobResult<Done> BlobStore::Impl::publish(const Hash& id, const Manifest& manifest,
                                          const fs::path& written, const Keep& keep) {
    const fs::path tree = written.string() + ".tree";
    const auto tree_file = File::create(tree);
    if (!tree_file) return io_failure(tree_file.error());
    if (auto done = or_io(tree_file->write_at(0, encode_manifest(manifest))); !done) return done;
    if (auto done = or_io(tree_file->sync()); !done) return done;
    const std::lock_guard lock(mutex);
    if (sizes.count(id) != 0) {
        std::error_code ignored;
        fs::remove(tree, ignored);
        // Before the size is given back: on failure the writer does that.
        if (auto done = keep_also(id, keep); !done) return done;
        fs::remove(written, ignored);
        used_bytes -= manifest.size_bytes;
        return Done{};
    }
    // What the blob is kept for comes first: a crash behind it would keep the blob for good.
    if (keep.is_fetched) (void)File::create(mark_path(id));
    if (keep.owner)
        if (auto done = set_owners(id, {*keep.owner}); !done) return done;
    std::error_code error;
    fs::rename(tree, tree_path(id), error);
    if (!error) fs::rename(written, blob_path(id), error);
    if (error) {
        std::error_code ignored;
        fs::remove(mark_path(id), ignored);
        if (owners.erase(id) != 0) fs::remove(owners_path(id), ignored);
        return io_failure("cannot rename " + written.string() + ": " + error.message());
    }
    if (auto done = or_io(sync_folder(options.folder)); !done) return done;
    sizes[id] = manifest.size_bytes;
    if (!keep.is_fetched) return Done{};
    read_at[id] = ++reads;
    loose_bytes += manifest.size_bytes;
    return Done{};
}

BlobResult<uint64_t> BlobStore::Impl::size_of(const Hash& id) const {
    const std::lock_guard lock(mutex);
    const auto found = sizes.find(id);
    if (found == sizes.end()) {
        return fail(BlobError::not_found, "no blob " + to_hex(id.bytes) + " here");
    }
    return found->second;
}

struct BlobWriter::Impl {
    Impl(std::shared_ptr<BlobStore::Impl> s, const BlobStore::Owner& o, BlobStore::Writes w)
        : store(std::move(s)), owner(o), who(w), path(store->unfinished_path()) {}
    ~Impl() {
        if (is_published) return;
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
        store->release(reserved);
    }

    BlobResult<Done> flush() {
        manifest.leaves.push_back(blob::root(chunk));
        auto done = or_io(file.write_at(manifest.size_bytes, chunk));
        manifest.size_bytes += chunk.size();
        chunk.clear();
        return done;
    }

    const std::shared_ptr<BlobStore::Impl> store;
    const BlobStore::Owner owner;
    const BlobStore::Writes who;
    const fs::path path;
    File file;
    Manifest manifest;
    Bytes chunk;  // less than a whole one
    uint64_t reserved = 0;
    bool is_published = false;
};

BlobWriter::BlobWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlobWriter::~BlobWriter() = default;

BlobResult<Done> BlobWriter::append(BytesView bytes) {
    const uint64_t limit = std::min(impl_->store->options.blob_bytes_max, kBlobBytesMax);
    if (bytes.size() > limit - impl_->reserved) {
        return fail(BlobError::too_large,
                    "a blob may have at most " + std::to_string(limit) + " bytes");
    }
    if (auto done = impl_->store->reserve(bytes.size(), impl_->who); !done) return done;
    impl_->reserved += bytes.size();
    while (!bytes.empty()) {
        const size_t take = std::min<size_t>(bytes.size(), kChunkBytes - impl_->chunk.size());
        trainyard::append(impl_->chunk, bytes.first(take));
        bytes = bytes.subspan(take);
        if (impl_->chunk.size() < kChunkBytes) break;
        if (auto done = impl_->flush(); !done) return done;
    }
    return Done{};
}

BlobResult<Hash> BlobWriter::finish() {
    ASSERT(!impl_->is_published);
    if (!impl_->chunk.empty()) {
        if (auto done = impl_->flush(); !done) return unexpected(std::move(done).error());
    }
    if (auto done = or_io(impl_->file.sync()); !done) return unexpected(std::move(done).error());
    const Hash id = blob_id(impl_->manifest);
    auto done = impl_->store->publish(id, impl_->manifest, impl_->path, {false, impl_->owner});
    if (!done) return unexpected(std::move(done).error());
    impl_->is_published = true;
    return id;
}

struct ChunkWriter::Impl {
    Impl(std::shared_ptr<BlobStore::Impl> s, const Hash& i, Manifest m)
        : store(std::move(s)), id(i), manifest(std::move(m)), path(store->unfinished_path()) {}
    ~Impl() {
        if (is_published) return;
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
        store->release(manifest.size_bytes);
    }

    const std::shared_ptr<BlobStore::Impl> store;
    const Hash id;
    const Manifest manifest;
    const fs::path path;
    File file;
    std::mutex mutex;  // guards `written`
    std::set<uint64_t> written;
    bool is_published = false;
};

ChunkWriter::ChunkWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChunkWriter::~ChunkWriter() = default;

BlobResult<Done> ChunkWriter::put(uint64_t index, BytesView chunk) {
    if (!verify_chunk(impl_->manifest, index, chunk)) {
        return fail(BlobError::wrong_chunk,
                    "not chunk " + std::to_string(index) + " of blob " + to_hex(impl_->id.bytes));
    }
    if (auto done = or_io(impl_->file.write_at(index * kChunkBytes, chunk)); !done) return done;
    const std::lock_guard lock(impl_->mutex);
    impl_->written.insert(index);
    return Done{};
}

BlobResult<Done> ChunkWriter::finish() {
    ASSERT(!impl_->is_published);
    if (impl_->written.size() != impl_->manifest.leaves.size()) {
        return fail(BlobError::incomplete, "chunks of " + to_hex(impl_->id.bytes) + " are missing");
    }
    if (auto done = or_io(impl_->file.sync()); !done) return done;
    auto done = impl_->store->publish(impl_->id, impl_->manifest, impl_->path, {true, {}});
    impl_->is_published = done.has_value();
    return done;
}

BlobStore::BlobStore(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlobStore::~BlobStore() = default;

BlobResult<std::unique_ptr<BlobStore>> BlobStore::open(StoreOptions options) {
    auto impl = std::make_shared<Impl>(std::move(options));
    if (auto done = impl->prepare_folder(); !done) return unexpected(std::move(done).error());
    if (auto done = impl->scan(); !done) return unexpected(std::move(done).error());
    return std::unique_ptr<BlobStore>(new BlobStore(std::move(impl)));
}

BlobResult<Hash> BlobStore::put(BytesView blob, const Owner& owner) {
    auto writing = writer(owner);
    if (!writing) return unexpected(std::move(writing).error());
    if (auto done = (*writing)->append(blob); !done) return unexpected(std::move(done).error());
    return (*writing)->finish();
}

BlobResult<std::unique_ptr<BlobWriter>> BlobStore::writer(const Owner& owner, Writes who) {
    auto impl = std::make_unique<BlobWriter::Impl>(impl_, owner, who);
    auto file = File::create(impl->path);
    if (!file) return io_failure(std::move(file).error());
    impl->file = *std::move(file);
    return std::make_unique<BlobWriter>(std::move(impl));
}

BlobResult<std::unique_ptr<ChunkWriter>> BlobStore::chunk_writer(const Hash& id,
                                                                 Manifest manifest) {
    ASSERT(verify_manifest(id, manifest));
    if (manifest.size_bytes > impl_->options.blob_bytes_max) {
        return fail(BlobError::too_large,
                    "a blob may have at most " + std::to_string(impl_->options.blob_bytes_max) +
                        " bytes, this one has " + std::to_string(manifest.size_bytes));
    }
    if (auto done = impl_->reserve(manifest.size_bytes, Writes::own); !done) {
        return unexpected(std::move(done).error());
    }
    auto impl = std::make_unique<ChunkWriter::Impl>(impl_, id, std::move(manifest));
    auto file = File::create(impl->path);
    if (!file) return io_failure(std::move(file).error());
    impl->file = *std::move(file);
    return std::make_unique<ChunkWriter>(std::move(impl));
}

bool BlobStore::has(const Hash& id) const {
    return impl_->size_of(id).has_value();
}

BlobResult<std::shared_ptr<const Manifest>> BlobStore::manifest(const Hash& id) const {
    {
        const std::lock_guard lock(impl_->mutex);
        const auto fetched = impl_->read_at.find(id);
        if (fetched != impl_->read_at.end()) fetched->second = ++impl_->reads;
        for (const auto& [cached, manifest] : impl_->cache) {
            if (cached == id && impl_->sizes.count(id) != 0) return manifest;
        }
    }
    if (auto size = impl_->size_of(id); !size) return unexpected(std::move(size).error());
    auto manifest = impl_->load_manifest(id);
    if (!manifest) {
        return fail(BlobError::corrupt, "damaged file " + impl_->tree_path(id).string() +
                                            "; remove the blob and fetch it again");
    }
    const std::lock_guard lock(impl_->mutex);
    impl_->cache.emplace_front(id, manifest);
    if (impl_->cache.size() > kCachedManifestsMax) impl_->cache.pop_back();
    return manifest;
}

BlobResult<Bytes> BlobStore::get(const Hash& id) const {
    const auto size = impl_->size_of(id);
    if (!size) return unexpected(size.error());
    return get_range(id, 0, *size);
}

BlobResult<Bytes> BlobStore::get_range(const Hash& id, uint64_t offset, uint64_t size) const {
    const auto whole = impl_->size_of(id);
    if (!whole) return unexpected(whole.error());
    if (offset > *whole || size > *whole - offset) {
        return fail(BlobError::bad_range,
                    "blob " + to_hex(id.bytes) + " has only " + std::to_string(*whole) + " bytes");
    }
    Bytes out;
    out.reserve(size);
    while (out.size() < size) {
        const uint64_t at = offset + out.size();
        const auto content = chunk(id, at / kChunkBytes);
        if (!content) return content;
        const uint64_t skip = at % kChunkBytes;
        const uint64_t take = std::min(content->size() - skip, size - out.size());
        append(out, BytesView(*content).subspan(skip, take));
    }
    return out;
}

BlobResult<Bytes> BlobStore::chunk(const Hash& id, uint64_t index) const {
    auto known = manifest(id);
    if (!known) return unexpected(std::move(known).error());
    const Manifest& manifest = **known;
    if (index >= manifest.leaves.size()) {
        return fail(BlobError::bad_range, "blob " + to_hex(id.bytes) + " has only " +
                                              std::to_string(manifest.leaves.size()) + " chunks");
    }
    const auto file = File::open(impl_->blob_path(id));
    if (!file) return io_failure(file.error());
    auto bytes = file->read_at(index * kChunkBytes, chunk_bytes(manifest.size_bytes, index));
    if (!bytes) return io_failure(std::move(bytes).error());
    if (!verify_chunk(manifest, index, *bytes)) {
        return fail(BlobError::corrupt, "damaged file " + impl_->blob_path(id).string() +
                                            "; remove the blob and fetch it again");
    }
    return *std::move(bytes);
}

BlobResult<Mapped> BlobStore::map(const Hash& id, unsigned threads) const {
    const auto size = impl_->size_of(id);
    if (!size) return unexpected(size.error());
    const auto file = File::open(impl_->blob_path(id));
    if (!file) return io_failure(file.error());
    const uint64_t chunks = chunk_count(*size);
    std::atomic<uint64_t> next{0};
    std::mutex wrong_mutex;
    std::optional<BlobFailure> wrong;
    const auto check = [&] {
        for (uint64_t k = next++; k < chunks; k = next++) {
            auto content = chunk(id, k);
            if (content) continue;
            next = chunks;
            const std::lock_guard lock(wrong_mutex);
            wrong = std::move(content).error();
        }
    };
    std::vector<std::jthread> others;
    const uint64_t helpers = std::min<uint64_t>(std::clamp(threads, 1U, kMapThreadsMax), chunks);
    for (uint64_t k = 1; k < helpers; ++k) others.emplace_back(check);
    check();
    others.clear();
    if (wrong) return unexpected(*std::move(wrong));
    return or_io<Mapped>(file->map(*size));
}

BlobResult<std::filesystem::path> BlobStore::path(const Hash& id) const {
    if (auto size = impl_->size_of(id); !size) return unexpected(std::move(size).error());
    return impl_->blob_path(id);
}

BlobResult<Done> BlobStore::remove(const Hash& id) {
    const std::lock_guard lock(impl_->mutex);
    return impl_->sizes.count(id) == 0 ? Done{} : impl_->drop(id);
}

BlobResult<Done> BlobStore::release(const Hash& id, const Hash& owner) {
    const std::lock_guard lock(impl_->mutex);
    return impl_->release_from(id, owner);
}

BlobResult<Done> BlobStore::release(const Hash& id) {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->sizes.count(id) == 0)
        return fail(BlobError::not_found, "no blob " + to_hex(id.bytes) + " here");
    return impl_->release_from_all(id);
}

std::vector<BlobStore::Held> BlobStore::held_after(const Hash& id, size_t count_max) const {
    const std::lock_guard lock(impl_->mutex);
    std::vector<Held> out;
    for (auto at = impl_->sizes.upper_bound(id); at != impl_->sizes.end(); ++at) {
        if (out.size() == count_max) break;
        const auto owners = impl_->owners.find(at->first);
        out.push_back({at->first, at->second, impl_->read_at.count(at->first) == 0,
                       owners == impl_->owners.end() ? 0 : owners->second.size()});
    }
    return out;
}

std::vector<Hash> BlobStore::list() const {
    const std::lock_guard lock(impl_->mutex);
    std::vector<Hash> out;
    for (const auto& [id, size] : impl_->sizes) out.push_back(id);
    return out;
}

uint64_t BlobStore::used_bytes() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->used_bytes;
}

uint64_t BlobStore::kept_bytes() const {
    const std::lock_guard lock(impl_->mutex);
    uint64_t out = 0;
    for (const auto& [id, size] : impl_->sizes)
        if (impl_->read_at.count(id) == 0) out += size;
    return out;
}

}  // namespace trainyard::blobs
