// SPDX-License-Identifier: Apache-2.0
// Reading, answering and writing on a WebSocket.
#include "node/http/websocket.hpp"

#include <chrono>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_to_string.hpp>

namespace trainyard::node::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

namespace {
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = 64 << 10;
}  // namespace

WebSocketSession::WebSocketSession(beast::tcp_stream stream, std::shared_ptr<Shared> shared,
                                   Client client)
    : ws_(std::move(stream)),
      shared_(std::move(shared)),
      client_(std::move(client)),
      deadline_(ws_.get_executor()) {}

WebSocketSession::~WebSocketSession() {
    shared_->ws_queued_bytes -= queued_bytes_;
}

asio::awaitable<void> WebSocketSession::run(
    const beast_http::request<beast_http::empty_body>& upgrade) {
    const auto& options = shared_->options;
    const auto self = shared_from_this();
    beast::get_lowest_layer(ws_).expires_never();
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = std::chrono::milliseconds(options.request_ms);
    timeout.idle_timeout = std::chrono::milliseconds(options.idle_ms);
    timeout.keep_alive_pings = true;
    ws_.set_option(timeout);
    ws_.read_message_max(options.body_bytes_max);
    ws_.text(true);
    const auto [refused] = co_await ws_.async_accept(upgrade, kTuple);
    while (!refused) {
        beast::flat_buffer buffer;
        Share share(shared_);
        if (!co_await read_message(buffer, share)) break;
        auto text = beast::buffers_to_string(buffer.data());
        auto work = [self, shared = shared_, body = std::move(text)] {
            return shared->stopping ? std::string()
                                    : shared->server.handle(body, {self->client_, self});
        };
        const auto rest = co_await on_pool(*shared_, client_, std::move(work));
        if (!rest.empty()) push(std::make_shared<const std::string>(rest));
    }
    dropped_ = true;
    shared_->server.close(*this);
    beast::get_lowest_layer(ws_).close();
}

/// Part by part: who begins long messages and does not end them, while it answers pings, must not
/// fill the memory. It has as long as for a request over HTTP.
asio::awaitable<bool> WebSocketSession::read_message(beast::flat_buffer& message, Share& share) {
    bool is_timed = false;
    do {
        const auto [failed, size] = co_await ws_.async_read_some(message, kReadBytes, kTuple);
        if (failed || !share.set(message.size())) co_return false;
        if (std::exchange(is_timed, true) || ws_.is_message_done()) continue;
        deadline_.expires_after(std::chrono::milliseconds(shared_->options.request_ms));
        deadline_.async_wait([weak = weak_from_this()](boost::system::error_code cancelled) {
            const auto self = weak.lock();
            if (!cancelled && self) self->close(true);
        });
    } while (!ws_.is_message_done());
    deadline_.cancel();
    co_return true;
}

/// Accounts for a message before it is handed over, so that a stuck strand is bounded too.
bool WebSocketSession::reserve(const std::string& message) {
    const auto& options = shared_->options;
    const uint64_t bytes = queued_bytes_.fetch_add(message.size()) + message.size();
    const uint64_t messages = queued_messages_.fetch_add(1) + 1;
    const uint64_t of_all = shared_->ws_queued_bytes.fetch_add(message.size()) + message.size();
    return bytes <= options.ws_queue_bytes_max && messages <= options.ws_queue_messages_max &&
           of_all <= options.ws_queues_bytes_max;
}

void WebSocketSession::push(std::shared_ptr<const std::string> message) {
    if (dropped_) return;
    if (!reserve(*message)) {
        if (dropped_.exchange(true)) return;
        shared_->log.warn("dropped a WebSocket that reads too slowly", {});
        asio::post(ws_.get_executor(), [self = shared_from_this()] { self->close(true); });
        return;
    }
    asio::post(ws_.get_executor(), [self = shared_from_this(), m = std::move(message)]() mutable {
        self->enqueue(std::move(m));
    });
}

void WebSocketSession::enqueue(std::shared_ptr<const std::string> message) {
    queue_.push_back(std::move(message));
    if (queue_.size() == 1) write_next();
}

void WebSocketSession::write_next() {
    const auto message = queue_.front();
    ws_.async_write(asio::buffer(*message),
                    [self = shared_from_this(), message](boost::system::error_code failed, size_t) {
                        self->queued_bytes_ -= message->size();
                        self->shared_->ws_queued_bytes -= message->size();
                        --self->queued_messages_;
                        self->queue_.pop_front();
                        if (failed) {
                            self->dropped_ = true;
                            self->queue_.clear();
                        } else if (!self->queue_.empty()) {
                            self->write_next();
                        } else if (self->closing_) {
                            self->close(false);
                        }
                    });
}

void WebSocketSession::close(bool at_once) {
    if (at_once) {
        dropped_ = true;
        beast::get_lowest_layer(ws_).close();
        return;
    }
    closing_ = true;
    if (!queue_.empty()) return;  // the last write comes back here
    ws_.async_close(websocket::close_code::going_away,
                    [self = shared_from_this()](boost::system::error_code) {});
}

}  // namespace trainyard::node::http
