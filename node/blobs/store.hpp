// SPDX-License-Identifier: Apache-2.0
// Blobs on disk by their id. Whatever is found there is whole, whenever the process was killed.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "node/blobs/blob.hpp"
#include "node/blobs/file.hpp"

namespace trainyard::blobs {

enum class BlobError : uint8_t {
    not_found,
    too_large,       ///< above the limit for one blob
    quota_exceeded,  ///< the store is full, of bytes or of blobs
    bad_range,
    wrong_chunk,  ///< bytes that are not this chunk of this blob
    incomplete,   ///< finished before all chunks were there
    corrupt,      ///< the disk gave other bytes than it was given
    locked,       ///< another process uses the folder
    older_ids,    ///< the folder's blobs were named by another rule
    io,
};

struct BlobFailure {
    BlobError error;
    std::string detail;  ///< what, where, and what to do
};

template <class T>
using BlobResult = Result<T, BlobFailure>;

struct StoreOptions {
    std::filesystem::path folder;
    /// Sum of all blobs, also of those being written. Where it is reached, blobs that came by
    /// `chunk_writer`, and can come again, and those that all owners have released make room, the
    /// longest unread first; others never do.
    uint64_t quota_bytes = 64ull << 30;
    uint64_t blob_bytes_max = kBlobBytesMax;
    /// The same for their number: small ones take little of the quota, but two files each.
    size_t blobs_max = size_t{1} << 20;
};

class BlobStore;

/// Takes a blob bit by bit. Dropped before `finish` it leaves nothing; it keeps the folder in use.
class BlobWriter {
public:
    ~BlobWriter();
    [[nodiscard]] BlobResult<Done> append(BytesView bytes);
    /// Makes the blob durable and visible, and gives its id. Once.
    [[nodiscard]] BlobResult<Hash> finish();

    struct Impl;
    explicit BlobWriter(std::unique_ptr<Impl> impl);

private:
    std::unique_ptr<Impl> impl_;
};

/// Takes the chunks of a known blob in any order; each is checked before it is written. Dropped
/// before `finish` it leaves nothing; it keeps the folder in use.
class ChunkWriter {
public:
    ~ChunkWriter();
    [[nodiscard]] BlobResult<Done> put(uint64_t index, BytesView chunk);
    [[nodiscard]] BlobResult<Done> finish();

    struct Impl;
    explicit ChunkWriter(std::unique_ptr<Impl> impl);

private:
    std::unique_ptr<Impl> impl_;
};

/// A folder of blobs. Every member may be called from any thread, and blocks on the disk.
///
/// A blob is <id>.tree (its manifest) and <id>.blob (its bytes). Both are written and synced under
/// other names, then renamed, .blob last: where that name exists, both are complete. <id>.owners
/// beside them, the owners one after the other, says for whom the blob is kept; an empty
/// <id>.fetched that it may make room; neither, that it is kept for good.
class BlobStore {
public:
    /// Opens or makes the folder, and removes what an earlier process left unfinished. A folder of
    /// blobs that were named by an earlier rule is refused and left as it is.
    [[nodiscard]] static BlobResult<std::unique_ptr<BlobStore>> open(StoreOptions options);
    ~BlobStore();

    /// Whom a blob is kept for: 32 bytes that only the owner knows. None: it is kept for good.
    using Owner = std::optional<Hash>;
    /// Who writes. Guests may not bring what is kept above half of the quota, in bytes or blobs:
    /// anybody can be one, and the operator's own blobs, and those that are fetched, need the rest.
    enum class Writes : uint8_t { own, guest };
    static constexpr size_t kOwnersMax = 64;  ///< of one blob

    [[nodiscard]] BlobResult<Hash> put(BytesView blob, const Owner& owner = {});
    [[nodiscard]] BlobResult<std::unique_ptr<BlobWriter>> writer(const Owner& owner = {},
                                                                 Writes who = Writes::own);
    /// This owner does not need the blob any more: without another it may make room. Nothing
    /// happens where the owner has no part in it.
    [[nodiscard]] BlobResult<Done> release(const Hash& id, const Hash& owner);
    /// Nobody needs it any more, whoever it was kept for: it may make room. Errors: not_found, io.
    [[nodiscard]] BlobResult<Done> release(const Hash& id);
    /// Precondition: verify_manifest(id, manifest). Reserves the whole size at once.
    [[nodiscard]] BlobResult<std::unique_ptr<ChunkWriter>> chunk_writer(const Hash& id,
                                                                        Manifest manifest);

    [[nodiscard]] bool has(const Hash& id) const;
    [[nodiscard]] BlobResult<std::shared_ptr<const Manifest>> manifest(const Hash& id) const;
    /// Reads are checked against the manifest: bytes come back right or not at all.
    [[nodiscard]] BlobResult<Bytes> get(const Hash& id) const;
    [[nodiscard]] BlobResult<Bytes> get_range(const Hash& id, uint64_t offset, uint64_t size) const;
    [[nodiscard]] BlobResult<Bytes> chunk(const Hash& id, uint64_t index) const;
    /// All of it without taking memory, checked once by so many threads, each of which reads for
    /// itself: what lies on the disk may still change behind it. Errors: as of `get`.
    [[nodiscard]] BlobResult<Mapped> map(const Hash& id, unsigned threads) const;
    /// The file with the blob's bytes; unchecked, gone after `remove`.
    [[nodiscard]] BlobResult<std::filesystem::path> path(const Hash& id) const;

    [[nodiscard]] BlobResult<Done> remove(const Hash& id);
    [[nodiscard]] std::vector<Hash> list() const;  ///< in the order of ids
    struct Held {
        Hash id;
        uint64_t size_bytes = 0;
        bool is_kept = false;  ///< it does not make room: for its owners or, without any, for good
        size_t owners = 0;
    };
    /// The next blobs behind an id, in the order of ids.
    [[nodiscard]] std::vector<Held> held_after(const Hash& id, size_t count_max) const;
    [[nodiscard]] uint64_t used_bytes() const;
    [[nodiscard]] uint64_t kept_bytes() const;  ///< of those that do not make room

    struct Impl;

private:
    explicit BlobStore(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

}  // namespace trainyard::blobs
