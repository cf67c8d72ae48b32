// SPDX-License-Identifier: Apache-2.0
// A server on this machine that answers one connection, as a test wants.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/wallet/http_client.hpp"

namespace trainyard::node::wallet {

/// Answers one connection by a function of its descriptor.
class OneAnswer {
public:
    explicit OneAnswer(std::function<void(int fd)> answer) {
        listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
        const int small = 64 << 10;  // so that bodies do not vanish in the kernel's buffers
        ::setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(at);
        EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&at), size), 0);
        EXPECT_EQ(::listen(listener_, 1), 0);
        EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size), 0);
        url_ = *parse_http_url("http://127.0.0.1:" + std::to_string(ntohs(at.sin_port)) + "/");
        thread_ = std::thread([this, answer = std::move(answer)] {
            const int fd = ::accept(listener_, nullptr, nullptr);
            if (fd < 0) return;
            answer(fd);
            ::close(fd);
        });
    }
    ~OneAnswer() {
        ::shutdown(listener_, SHUT_RDWR);  // where nobody came
        thread_.join();
        ::close(listener_);
    }
    [[nodiscard]] const HttpUrl& url() const { return url_; }
    [[nodiscard]] std::string text() const { return "http://" + url_.host + ":" + url_.port; }

private:
    int listener_ = -1;
    HttpUrl url_;
    std::thread thread_;
};

inline void write_all(int fd, BytesView bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return;
        bytes = bytes.subspan(static_cast<size_t>(n));
    }
}
inline void write_head(int fd, size_t body_bytes) {
    const auto head =
        "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body_bytes) + "\r\n\r\n";
    write_all(fd, as_bytes(head));
}
/// The request's first bytes, its head among them.
inline void read_head(int fd) {
    uint8_t some[1024];
    EXPECT_GT(::recv(fd, some, sizeof(some), 0), 0);
}

}  // namespace trainyard::node::wallet
