// SPDX-License-Identifier: Apache-2.0
// POSIX files: whole reads and writes, syncs and locks.
#include "node/blobs/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace trainyard::blobs {

namespace {

Unexpected<std::string> failure(const char* what, const std::filesystem::path& path) {
    return unexpected(std::string(what) + " " + path.string() + ": " + std::strerror(errno));
}

}  // namespace

File::File(int descriptor, std::filesystem::path path)
    : descriptor_(descriptor), path_(std::move(path)) {}

File::~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(path_, other.path_);
    return *this;
}

Result<File, std::string> File::create(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0) return failure("cannot create", path);
    return File(descriptor, path);
}

Result<File, std::string> File::open(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return failure("cannot open", path);
    return File(descriptor, path);
}

File::Outcome File::write_at(uint64_t offset, BytesView bytes) const {
    while (!bytes.empty()) {
        const ssize_t n =
            ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return failure("cannot write", path_);
        offset += static_cast<uint64_t>(n);
        bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return Done{};
}

Result<Bytes, std::string> File::read_at(uint64_t offset, uint64_t size) const {
    Bytes out(size);
    size_t have = 0;
    while (have < out.size()) {
        const ssize_t n = ::pread(descriptor_, out.data() + have, out.size() - have,
                                  static_cast<off_t>(offset + have));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failure("cannot read", path_);
        if (n == 0) return unexpected("ends too early: " + path_.string());
        have += static_cast<size_t>(n);
    }
    return out;
}

Result<Mapped, std::string> File::map(uint64_t size) const {
    if (size == 0) return Mapped{};
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (at == MAP_FAILED) return failure("cannot map", path_);
    std::shared_ptr<const void> owner(at, [size](void* p) { ::munmap(p, size); });
    return Mapped{std::move(owner), {static_cast<const uint8_t*>(at), size}};
}

File::Outcome File::sync() const {
    if (::fsync(descriptor_) != 0) return failure("cannot sync", path_);
    return Done{};
}

bool File::lock() const {
    return ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
}

File::Outcome sync_folder(const std::filesystem::path& folder) {
    const auto opened = File::open(folder);
    return opened ? opened->sync() : File::Outcome(unexpected(opened.error()));
}

}  // namespace trainyard::blobs
