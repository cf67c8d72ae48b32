// SPDX-License-Identifier: Apache-2.0
// Lines of a pipe, bounded.
#include "node/verify/child_output.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace trainyard::node::verify {
namespace {

constexpr size_t kReadBytes = 4096;
constexpr auto kBetweenReads = std::chrono::milliseconds(10);
constexpr int kReadsAtEnd = 16;  ///< as much as a pipe holds

uint64_t now_ms() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace

std::vector<std::string> LineGuard::take(std::string_view bytes, uint64_t now_ms) {
    std::vector<std::string> out;
    for (const char byte : bytes) {
        if (byte == '\n')
            end_line(now_ms, out);
        else if (line_.size() < kBytesMax)
            line_ += byte >= ' ' && byte <= '~' ? byte : '?';
        else
            is_cut_ = true;
    }
    return out;
}

std::vector<std::string> LineGuard::finish(uint64_t now_ms) {
    std::vector<std::string> out;
    if (!line_.empty()) end_line(now_ms, out);
    if (left_out_ > 0) out.push_back("(" + std::to_string(left_out_) + " lines left out)");
    left_out_ = 0;
    return out;
}

void LineGuard::end_line(uint64_t now_ms, std::vector<std::string>& out) {
    const uint64_t refill = (now_ms - refilled_ms_) / kPause_ms;
    passed_ -= std::min(passed_, refill);
    refilled_ms_ += refill * kPause_ms;
    if (passed_ == kBurst) {
        ++left_out_;
    } else {
        ++passed_;
        if (left_out_ > 0) out.push_back("(" + std::to_string(left_out_) + " lines left out)");
        left_out_ = 0;
        out.push_back(line_ + (is_cut_ ? "..." : ""));
    }
    line_.clear();
    is_cut_ = false;
}

struct OutputReader::Impl {
    int fd, stop;
    std::function<void(const std::string&)> hear;
    LineGuard guard;
    std::thread thread;

    void pass_on(const std::vector<std::string>& lines) const {
        for (const auto& line : lines) hear(line);
    }
    /// False at the end.
    bool read_some() {
        char bytes[kReadBytes];
        const ssize_t n = ::read(fd, bytes, sizeof(bytes));
        if (n > 0) pass_on(guard.take({bytes, static_cast<size_t>(n)}, now_ms()));
        return n > 0;
    }
    void run() {
        pollfd entries[] = {{fd, POLLIN, 0}, {stop, POLLIN, 0}};
        bool is_open = true;
        while (is_open) {
            if (::poll(entries, 2, -1) < 0) continue;  // a signal
            if (entries[1].revents != 0) break;
            is_open = read_some();
            std::this_thread::sleep_for(kBetweenReads);
        }
        for (int i = 0; is_open && i < kReadsAtEnd; ++i) is_open = read_some();
        pass_on(guard.finish(now_ms()));
    }
};

OutputReader::OutputReader(int fd, std::function<void(const std::string&)> hear)
    : impl_(std::make_unique<Impl>()) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    impl_->fd = fd;
    impl_->stop = ::eventfd(0, EFD_CLOEXEC);
    impl_->hear = std::move(hear);
    impl_->thread = std::thread([state = impl_.get()] { state->run(); });
}

OutputReader::~OutputReader() {
    ::eventfd_write(impl_->stop, 1);
    impl_->thread.join();
    ::close(impl_->stop);
    ::close(impl_->fd);
}

}  // namespace trainyard::node::verify
