// SPDX-License-Identifier: Apache-2.0
// Whole files in and out, bounded, and written so that a crash leaves the old or the new one.
#pragma once

#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "node/wallet/error.hpp"

namespace trainyard::node::wallet {

/// A file, or a pipe that somebody writes into; what else may stand at a path is refused unread, as
/// is a file of more than `size_bytes_max`. A pipe without a writer counts as empty and is refused.
[[nodiscard]] Result<Bytes, WalletError> read_file(const std::string& path, size_t size_bytes_max);
[[nodiscard]] Result<std::string, WalletError> read_text(const std::string& path,
                                                         size_t size_bytes_max);

/// All of it to an open file, from where that stands; if false, errno says why.
[[nodiscard]] bool write_all(int fd, BytesView content);

enum class FileMode { shared, owner_only };

/// Writes beside the target, syncs, renames, syncs the folder. Only a file is replaced: a device or
/// a pipe would be lost.
[[nodiscard]] Result<Done, WalletError> write_file(const std::string& path, BytesView content,
                                                   FileMode mode = FileMode::shared);
[[nodiscard]] Result<Done, WalletError> write_text(const std::string& path,
                                                   std::string_view content,
                                                   FileMode mode = FileMode::shared);
/// Makes the folder and its parents; fine when it exists.
[[nodiscard]] Result<Done, WalletError> make_folder(const std::string& path);
[[nodiscard]] bool file_exists(const std::string& path);
/// Removes a file; fine when it is not there.
void remove_file(const std::string& path);
/// Names of the entries of a folder, sorted; empty when there is no such folder.
[[nodiscard]] std::vector<std::string> list_folder(const std::string& path);

}  // namespace trainyard::node::wallet
