// SPDX-License-Identifier: Apache-2.0
// A snapshot as a folder: the file `manifest`, and one for each chunk.
#pragma once

#include <filesystem>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "state/snapshot.hpp"

namespace trainyard::sync {

[[nodiscard]] std::filesystem::path manifest_path(const std::filesystem::path& folder);
[[nodiscard]] std::filesystem::path chunk_path(const std::filesystem::path& folder, uint64_t index);

/// Writes beside the target, syncs and renames: a crash leaves the whole file or none.
[[nodiscard]] Result<Done, std::string> write_whole(const std::filesystem::path& path,
                                                    BytesView content);
[[nodiscard]] Result<Bytes, std::string> read_whole(const std::filesystem::path& path,
                                                    uint64_t size_bytes_max);
[[nodiscard]] Result<state::CheckedManifest, std::string> read_manifest(
    const std::filesystem::path& folder);

}  // namespace trainyard::sync
