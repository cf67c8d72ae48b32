// SPDX-License-Identifier: Apache-2.0
// Names and files of snapshot folders.
#include "node/sync/snapshot_files.hpp"

#include "node/blobs/file.hpp"

namespace trainyard::sync {

namespace fs = std::filesystem;

fs::path manifest_path(const fs::path& folder) {
    return folder / "manifest";
}

fs::path chunk_path(const fs::path& folder, uint64_t index) {
    constexpr size_t kDigits = 6;
    std::string number = std::to_string(index);
    number.insert(0, number.size() < kDigits ? kDigits - number.size() : 0, '0');
    return folder / ("chunk-" + number);
}

Result<Done, std::string> write_whole(const fs::path& path, BytesView content) {
    fs::path beside = path;
    beside += ".new";
    {
        const auto file = blobs::File::create(beside);
        if (!file) return unexpected(file.error());
        if (auto done = file->write_at(0, content); !done) return done;
        if (auto done = file->sync(); !done) return done;
    }
    std::error_code error;
    fs::rename(beside, path, error);
    if (error) return unexpected("cannot rename " + beside.string() + ": " + error.message());
    return blobs::sync_folder(path.parent_path());
}

Result<Bytes, std::string> read_whole(const fs::path& path, uint64_t size_bytes_max) {
    std::error_code error;
    const uint64_t size = fs::file_size(path, error);
    if (error) return unexpected("cannot read " + path.string() + ": " + error.message());
    if (size > size_bytes_max)
        return unexpected(path.string() + ": larger than " + std::to_string(size_bytes_max) +
                          " bytes");
    const auto file = blobs::File::open(path);
    if (!file) return unexpected(file.error());
    return file->read_at(0, size);
}

Result<state::CheckedManifest, std::string> read_manifest(const fs::path& folder) {
    const auto bytes = read_whole(manifest_path(folder), state::kManifestBytesMax);
    if (!bytes) return unexpected(bytes.error());
    auto checked = state::check_manifest(*bytes);
    if (!checked) return unexpected(manifest_path(folder).string() + ": " + checked.error());
    return checked;
}

}  // namespace trainyard::sync
