// SPDX-License-Identifier: Apache-2.0
// poll, recv and send until all is there.
#include "node/verify/socket_bytes.hpp"

#include <algorithm>
#include <cerrno>

#include <poll.h>
#include <sys/socket.h>

namespace trainyard::node::verify {
namespace {

using Clock = std::chrono::steady_clock;

/// Waits until the descriptor is ready or the deadline has passed.
bool wait_ready(int fd, short events, const Deadline& deadline) {
    for (;;) {
        int wait_ms = -1;
        if (deadline) {
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(*deadline - Clock::now());
            if (left.count() <= 0) return false;
            wait_ms = static_cast<int>(std::min<int64_t>(left.count() + 1, 60'000));
        }
        pollfd entry{fd, events, 0};
        const int ready = ::poll(&entry, 1, wait_ms);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return true;  // the next read or write tells why
    }
}

}  // namespace

Deadline deadline_of(uint32_t timeout_ms) {
    if (timeout_ms == 0) return std::nullopt;
    return Clock::now() + std::chrono::milliseconds(timeout_ms);
}

Result<Done, FrameError> read_exactly(int fd, std::span<uint8_t> out, const Deadline& deadline) {
    while (!out.empty()) {
        if (!wait_ready(fd, POLLIN, deadline)) return unexpected(FrameError::timed_out);
        const ssize_t n = ::recv(fd, out.data(), out.size(), MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return unexpected(FrameError::closed);
        out = out.subspan(static_cast<size_t>(n));
    }
    return Done{};
}

Result<Done, FrameError> write_exactly(int fd, BytesView from, const Deadline& deadline) {
    while (!from.empty()) {
        if (!wait_ready(fd, POLLOUT, deadline)) return unexpected(FrameError::timed_out);
        const ssize_t n = ::send(fd, from.data(), from.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return unexpected(FrameError::closed);
        from = from.subspan(static_cast<size_t>(n));
    }
    return Done{};
}

}  // namespace trainyard::node::verify
