// SPDX-License-Identifier: Apache-2.0
// POSIX files with fsync.
#include "node/wallet/files.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trainyard::node::wallet {
namespace {

WalletError io_error(const std::string& what, const std::string& path) {
    return {WalletErrorCode::io, "cannot " + what + " '" + path + "': " + std::strerror(errno)};
}

struct Descriptor {
    int fd = -1;
    ~Descriptor() {
        if (fd >= 0) ::close(fd);
    }
};

/// What stands where a file should; nullptr: a file, or something that is none of these.
const char* kind_of(mode_t mode) {
    constexpr struct {
        mode_t type;
        const char* words;
    } kKinds[] = {{S_IFDIR, "a folder"},
                  {S_IFCHR, "a device"},
                  {S_IFBLK, "a device"},
                  {S_IFSOCK, "a socket"},
                  {S_IFIFO, "a pipe"}};
    for (const auto& kind : kKinds)
        if ((mode & S_IFMT) == kind.type) return kind.words;
    return nullptr;
}

WalletError no_file(const std::string& what, const std::string& path, const char* kind) {
    return {WalletErrorCode::io, "cannot " + what + " '" + path + "': it is " + kind + ", no file"};
}

WalletError too_large(const std::string& path, size_t size_bytes_max) {
    return {WalletErrorCode::too_large,
            "'" + path + "' is larger than " + std::to_string(size_bytes_max) + " bytes"};
}

/// An open file or pipe, and how large a file is. Looks before it opens, which a device may notice
/// and a socket refuses with another reason.
struct Source {
    Descriptor file;
    struct stat info {};

    [[nodiscard]] bool is_pipe() const { return S_ISFIFO(info.st_mode); }
    [[nodiscard]] const char* why_not() const {
        return is_pipe() ? nullptr : kind_of(info.st_mode);
    }
};

Result<Done, WalletError> open_source(Source& source, const std::string& path) {
    struct stat& info = source.info;
    if (::stat(path.c_str(), &info) == 0 && source.why_not() != nullptr)
        return unexpected(no_file("read", path, source.why_not()));
    // Else a pipe without a writer would be waited for.
    source.file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source.file.fd < 0) return unexpected(io_error("open", path));
    if (::fstat(source.file.fd, &info) != 0) return unexpected(io_error("read", path));
    if (source.why_not() != nullptr) return unexpected(no_file("read", path, source.why_not()));
    return Done{};
}

/// As read(2), but waits for a pipe's writer.
ssize_t read_some(int fd, Bytes& buffer) {
    for (;;) {
        const ssize_t n = ::read(fd, buffer.data(), buffer.size());
        if (n >= 0 || (errno != EINTR && errno != EAGAIN)) return n;
        pollfd wait{fd, POLLIN, 0};
        if (errno == EAGAIN && ::poll(&wait, 1, -1) < 0 && errno != EINTR) return -1;
    }
}

}  // namespace

bool write_all(int fd, BytesView content) {
    while (!content.empty()) {
        const ssize_t n = ::write(fd, content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        content = content.subspan(static_cast<size_t>(n));
    }
    return true;
}

Result<Bytes, WalletError> read_file(const std::string& path, size_t size_bytes_max) {
    Source source;
    if (auto opened = open_source(source, path); !opened) return unexpected(opened.error());
    const auto size = static_cast<size_t>(source.is_pipe() ? 0 : source.info.st_size);
    if (size > size_bytes_max) return unexpected(too_large(path, size_bytes_max));
    Bytes out;
    out.reserve(size);  // what memory does not hold fails here, before anything is read
    Bytes buffer(1 << 16);
    for (;;) {
        const ssize_t n = read_some(source.file.fd, buffer);
        if (n < 0) return unexpected(io_error("read", path));
        if (n == 0 && out.empty() && source.is_pipe())
            return unexpected(
                WalletError{WalletErrorCode::io, "nobody writes into the pipe '" + path + "'"});
        if (n == 0) return out;
        if (out.size() + static_cast<size_t>(n) > size_bytes_max)
            return unexpected(too_large(path, size_bytes_max));
        append(out, BytesView(buffer).first(static_cast<size_t>(n)));
    }
}

Result<std::string, WalletError> read_text(const std::string& path, size_t size_bytes_max) {
    auto content = read_file(path, size_bytes_max);
    if (!content) return unexpected(content.error());
    return std::string(as_text(*content));
}

Result<Done, WalletError> write_file(const std::string& path, BytesView content, FileMode mode) {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0)
        if (const char* kind = kind_of(info.st_mode); kind != nullptr)
            return unexpected(no_file("write", path, kind));
    const std::string temporary = path + ".tmp" + std::to_string(::getpid());
    {
        const mode_t bits = mode == FileMode::owner_only ? 0600 : 0644;
        const Descriptor file{
            ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, bits)};
        if (file.fd < 0) return unexpected(io_error("create", temporary));
        if (!write_all(file.fd, content) || ::fsync(file.fd) != 0) {
            auto error = io_error("write", temporary);
            ::unlink(temporary.c_str());
            return unexpected(std::move(error));
        }
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        auto error = io_error("write", path);
        ::unlink(temporary.c_str());
        return unexpected(std::move(error));
    }
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const Descriptor parent{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (parent.fd >= 0) ::fsync(parent.fd);
    return Done{};
}

Result<Done, WalletError> write_text(const std::string& path, std::string_view content,
                                     FileMode mode) {
    return write_file(path, as_bytes(content), mode);
}

Result<Done, WalletError> make_folder(const std::string& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error || !std::filesystem::is_directory(path, error))
        return unexpected(WalletError{WalletErrorCode::io,
                                      "cannot make the folder '" + path + "': " + error.message()});
    return Done{};
}

bool file_exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

void remove_file(const std::string& path) {
    ::unlink(path.c_str());
}

std::vector<std::string> list_folder(const std::string& path) {
    std::vector<std::string> names;
    std::error_code error;
    for (auto it = std::filesystem::directory_iterator(path, error);
         !error && it != std::filesystem::directory_iterator(); it.increment(error))
        names.push_back(it->path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace trainyard::node::wallet
