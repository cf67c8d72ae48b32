// SPDX-License-Identifier: Apache-2.0
// One WebSocket: requests in, answers and pushes out through a bounded queue; private to this
// folder.
#pragma once

#include <deque>

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "node/http/routes.hpp"

namespace trainyard::node::http {

/// `push` may be called from any thread, the rest on the connection's strand. A peer that reads
/// slower than its subscriptions write is dropped when the queue is full.
class WebSocketSession final : public rpc::Session,
                               public std::enable_shared_from_this<WebSocketSession> {
public:
    WebSocketSession(boost::beast::tcp_stream stream, std::shared_ptr<Shared> shared,
                     Client client);
    ~WebSocketSession() override;

    boost::asio::awaitable<void> run(const beast_http::request<beast_http::empty_body>& upgrade);
    void push(std::shared_ptr<const std::string> message) override;
    [[nodiscard]] bool is_open() const override { return !dropped_; }
    void close(bool at_once);

private:
    boost::asio::awaitable<bool> read_message(boost::beast::flat_buffer& message, Share& share);
    [[nodiscard]] bool reserve(const std::string& message);
    void enqueue(std::shared_ptr<const std::string> message);
    void write_next();

    boost::beast::websocket::stream<boost::beast::tcp_stream> ws_;
    std::shared_ptr<Shared> shared_;
    const Client client_;
    std::deque<std::shared_ptr<const std::string>> queue_;
    std::atomic<uint64_t> queued_bytes_{0};
    std::atomic<uint64_t> queued_messages_{0};
    std::atomic<bool> dropped_{false};
    bool closing_ = false;
    boost::asio::steady_timer deadline_;  ///< of a message that has begun
};

}  // namespace trainyard::node::http
