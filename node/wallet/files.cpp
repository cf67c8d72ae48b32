// SPDX-License-Identifier: Apache-2.0
// POSIX files with fsync.
#include "node/wallet/files.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
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
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.fd < 0) return unexpected(io_error("open", path));
    struct stat info {};
    if (::fstat(file.fd, &info) != 0) return unexpected(io_error("read", path));
    if (S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return unexpected(io_error("read", path));
    }
    Bytes out;
    Bytes buffer(1 << 16);
    for (;;) {
        const ssize_t n = ::read(file.fd, buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return unexpected(io_error("read", path));
        if (n == 0) return out;
        if (out.size() + static_cast<size_t>(n) > size_bytes_max)
            return unexpected(WalletError{
                WalletErrorCode::too_large,
                "'" + path + "' is larger than " + std::to_string(size_bytes_max) + " bytes"});
        append(out, BytesView(buffer).first(static_cast<size_t>(n)));
    }
}

Result<std::string, WalletError> read_text(const std::string& path, size_t size_bytes_max) {
    auto content = read_file(path, size_bytes_max);
    if (!content) return unexpected(content.error());
    return std::string(as_text(*content));
}

Result<Done, WalletError> write_file(const std::string& path, BytesView content, FileMode mode) {
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
