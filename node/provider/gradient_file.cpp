// SPDX-License-Identifier: Apache-2.0
// POSIX files of gradients.
#include "node/provider/gradient_file.hpp"

#include <bit>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "node/wallet/files.hpp"

namespace trainyard::node::provider {
namespace {

using training::EngineError;
using training::Tensor;

static_assert(std::endian::native == std::endian::little, "files hold what memory holds");

bool read_all(int file, std::span<std::byte> bytes, off_t at) {
    while (!bytes.empty()) {
        const ssize_t n = ::pread(file, bytes.data(), bytes.size(), at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes = bytes.subspan(static_cast<size_t>(n));
        at += n;
    }
    return true;
}

struct Descriptor {
    int file;
    ~Descriptor() {
        if (file >= 0) ::close(file);
    }
};

}  // namespace

GradientWriter::GradientWriter(std::string path)
    : path_(std::move(path)), file_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)) {
    if (file_ < 0) failure_ = "cannot create '" + path_ + "': " + std::strerror(errno);
}

GradientWriter::~GradientWriter() {
    static_cast<void>(wait());
    if (file_ >= 0) ::close(file_);
}

void GradientWriter::start(std::vector<std::span<const float>> set) {
    ASSERT(!thread_.joinable());
    if (!failure_.empty()) return;
    thread_ = std::thread([this, elements = std::move(set)] { write(elements); });
}

void GradientWriter::write(const std::vector<std::span<const float>>& set) {
    for (const std::span<const float> x : set)
        if (!wallet::write_all(file_,
                               {reinterpret_cast<const uint8_t*>(x.data()), x.size_bytes()})) {
            failure_ = "cannot write '" + path_ + "': " + std::strerror(errno);
            return;
        }
}

bool GradientWriter::wait() {
    if (thread_.joinable()) thread_.join();
    return failure_.empty();
}

Result<std::vector<Tensor>, EngineError> GradientReader::read(size_t i) const {
    const Descriptor from{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
    if (from.file < 0) return unexpected(EngineError::bad_log);
    size_t set_bytes = 0;
    for (const training::Shape& shape : shapes_) set_bytes += shape.count() * sizeof(float);
    size_t at = i * set_bytes;
    std::vector<Tensor> out;
    for (const training::Shape& shape : shapes_) {
        Tensor& t = out.emplace_back(Tensor::zeros(shape));
        const std::span bytes = std::as_writable_bytes(std::span(t.data));
        if (!read_all(from.file, bytes, static_cast<off_t>(at)))
            return unexpected(EngineError::bad_log);
        at += bytes.size();
    }
    return out;
}

}  // namespace trainyard::node::provider
