// SPDX-License-Identifier: Apache-2.0
// Making, finding and reading snapshots on disk.
#include "node/sync/snapshot_shelf.hpp"

#include <algorithm>

#include "node/blobs/file.hpp"
#include "node/sync/snapshot_files.hpp"

namespace trainyard::sync {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUnfinished = "unfinished";

}  // namespace

fs::path SnapshotShelf::folder_of(Height height) const {
    return options_.folder / std::to_string(height.value);
}

Result<SnapshotShelf::Made, std::string> SnapshotShelf::read(const fs::path& folder) const {
    const auto checked = read_manifest(folder);
    if (!checked) return unexpected(checked.error());
    std::error_code error;
    Made made;
    const auto& chunks = checked->manifest.chunks;
    for (uint64_t i = 0; i < chunks.size(); ++i) {
        const uint64_t size = fs::file_size(chunk_path(folder, i), error);
        if (error) return unexpected(chunk_path(folder, i).string() + ": " + error.message());
        made.offer.size_bytes += size;
    }
    const uint64_t manifest_size = fs::file_size(manifest_path(folder), error);
    made.offer.id = state::snapshot_id(checked->manifest, checked->hash);
    made.offer.block = checked->hash;
    made.offer.height = {checked->block.header.number};
    made.offer.chunks = static_cast<uint32_t>(chunks.size());
    made.offer.manifest_bytes = static_cast<uint32_t>(manifest_size);
    made.time_s = checked->block.header.timestamp;
    return made;
}

Result<std::unique_ptr<SnapshotShelf>, std::string> SnapshotShelf::open(Options options) {
    std::error_code error;
    fs::create_directories(options.folder, error);
    if (error) return unexpected(options.folder.string() + ": " + error.message());
    std::unique_ptr<SnapshotShelf> shelf(new SnapshotShelf(std::move(options)));
    for (const auto& entry : fs::directory_iterator(shelf->options_.folder, error)) {
        auto made = shelf->read(entry.path());
        if (made && entry.path() == shelf->folder_of(made->offer.height))
            shelf->made_.push_back(*std::move(made));
        else
            fs::remove_all(entry.path(), error);
    }
    shelf->keep_newest();
    return shelf;
}

Result<SnapshotShelf::Made, std::string> SnapshotShelf::make(const state::World& world,
                                                             const state::KvReader& tables,
                                                             uint64_t number,
                                                             const std::atomic<bool>& stops) {
    if (const auto last = newest(); last && last->offer.height.value >= number) return *last;
    const fs::path folder = options_.folder / kUnfinished;
    std::error_code error;
    fs::remove_all(folder, error);
    fs::create_directories(folder, error);
    if (error) return unexpected(folder.string() + ": " + error.message());
    uint64_t count = 0;
    const auto manifest = state::export_snapshot(
        world, tables, number, [&](const Bytes& chunk) -> Result<Done, std::string> {
            if (stops) return unexpected(std::string("the node stops"));
            return write_whole(chunk_path(folder, count++), chunk);
        });
    if (!manifest) return unexpected(manifest.error());
    // The manifest comes last: a folder without one is no snapshot.
    const auto written = write_whole(manifest_path(folder), state::encode_manifest(*manifest));
    if (!written) return unexpected(written.error());
    auto made = read(folder);
    if (!made) return made;
    fs::rename(folder, folder_of({number}), error);
    if (error) return unexpected(folder.string() + ": cannot be renamed (" + error.message() + ")");
    if (auto synced = blobs::sync_folder(options_.folder); !synced)
        return unexpected(synced.error());
    const std::lock_guard lock(mutex_);
    made_.push_back(*made);
    keep_newest();
    return made;
}

void SnapshotShelf::keep_newest() {
    std::sort(made_.begin(), made_.end(),
              [](const Made& a, const Made& b) { return a.offer.height > b.offer.height; });
    std::error_code error;
    for (; made_.size() > options_.keep; made_.pop_back())
        fs::remove_all(folder_of(made_.back().offer.height), error);
}

std::vector<p2p::SnapshotOffer> SnapshotShelf::offers() const {
    const std::lock_guard lock(mutex_);
    std::vector<p2p::SnapshotOffer> out;
    for (const Made& made : made_)
        if (out.size() < p2p::kOffersMax) out.push_back(made.offer);
    return out;
}

std::optional<SnapshotShelf::Made> SnapshotShelf::newest() const {
    const std::lock_guard lock(mutex_);
    return made_.empty() ? std::nullopt : std::optional(made_.front());
}

std::optional<Bytes> SnapshotShelf::part(const p2p::GetSnapshotPart& request) const {
    std::optional<p2p::SnapshotOffer> offer;
    for (const auto& known : offers())
        if (known.id == request.id) offer = known;
    if (!offer) return std::nullopt;
    const fs::path folder = folder_of(offer->height);
    if (!request.is_manifest) {
        auto chunk = request.index < offer->chunks
                         ? read_whole(chunk_path(folder, request.index), state::kChunkBytesMax)
                         : Result<Bytes, std::string>(unexpected(std::string()));
        return chunk ? std::optional(*std::move(chunk)) : std::nullopt;
    }
    const uint64_t from = uint64_t{request.index} * p2p::kSnapshotPartBytes;
    if (from >= offer->manifest_bytes) return std::nullopt;
    const auto file = blobs::File::open(manifest_path(folder));
    if (!file) return std::nullopt;
    const uint64_t left = offer->manifest_bytes - from;
    auto part = file->read_at(from, std::min<uint64_t>(left, p2p::kSnapshotPartBytes));
    return part ? std::optional(*std::move(part)) : std::nullopt;
}

}  // namespace trainyard::sync
