// SPDX-License-Identifier: Apache-2.0
// Files with the few POSIX calls that durability needs.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace trainyard::blobs {

/// Bytes of a file in the system's page cache; not memory of this process, which may lose them
/// and reads them again.
struct Mapped {
    std::shared_ptr<const void> owner;
    BytesView bytes;
};

/// An open file; closed on destruction. Errors are texts with the path and the system's reason.
class File {
public:
    File() = default;
    ~File();
    File(File&& other) noexcept;
    File& operator=(File&& other) noexcept;

    using Outcome = Result<Done, std::string>;
    [[nodiscard]] static Result<File, std::string> create(const std::filesystem::path& path);
    [[nodiscard]] static Result<File, std::string> open(const std::filesystem::path& path);

    [[nodiscard]] Outcome write_at(uint64_t offset, BytesView bytes) const;
    /// Fails if the file ends before.
    [[nodiscard]] Result<Bytes, std::string> read_at(uint64_t offset, uint64_t size) const;
    /// Its first bytes, to read; they stay when the file is removed. A disk that fails ends the
    /// process that touches them (SIGBUS), and system calls with EFAULT.
    [[nodiscard]] Result<Mapped, std::string> map(uint64_t size) const;
    [[nodiscard]] Outcome sync() const;
    /// True if no other process holds the lock; held until the file is closed.
    [[nodiscard]] bool lock() const;

private:
    File(int descriptor, std::filesystem::path path);
    int descriptor_ = -1;
    std::filesystem::path path_;
};

/// Makes renames and removals inside a folder durable.
[[nodiscard]] File::Outcome sync_folder(const std::filesystem::path& folder);

}  // namespace trainyard::blobs
