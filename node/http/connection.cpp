// SPDX-License-Identifier: Apache-2.0
// The life of a connection: header, route, body, answer, and again.
#include "node/http/connection.hpp"

#include <chrono>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "node/http/policy.hpp"
#include "node/http/websocket.hpp"

namespace trainyard::node::http {

namespace asio = boost::asio;
using beast_http::field;
using beast_http::status;
using beast_http::verb;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr uint32_t kHeaderBytesMax = 16 << 10;
constexpr size_t kDrainBytesMax = 1 << 20;
constexpr auto kDrainTime = std::chrono::seconds(1);
constexpr std::string_view kTooMuch = "too many long requests at once; ask again in a moment\n";

std::chrono::milliseconds ms(uint64_t n) {
    return std::chrono::milliseconds(n);
}

std::string_view path_of(const RequestHead& request) {
    const auto target = to_view(request.target());
    return target.substr(0, target.find('?'));
}

std::string forwarded_for(const RequestHead& request) {
    std::string all;
    const auto [first, last] = request.equal_range("X-Forwarded-For");
    for (auto line = first; line != last; ++line)
        all += (all.empty() ? "" : ",") + std::string(to_view(line->value()));
    return all;
}

bool has_blob_path(const RequestHead& request) {
    return path_of(request).substr(0, 6) == "/blob/";
}

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, std::shared_ptr<Shared> shared, Client from,
                       Places<Client>::Held place)
    : stream_(std::move(socket)),
      shared_(std::move(shared)),
      from_(std::move(from)),
      place_(std::move(place)) {}

void Connection::close(bool at_once) {
    asio::post(stream_.get_executor(), [self = shared_from_this(), at_once] {
        if (self->close_websocket_) return self->close_websocket_(at_once);
        if (at_once || !self->busy_) self->stream_.close();
    });
}

asio::awaitable<void> Connection::run() {
    boost::system::error_code ignored;
    stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    bool more = true;
    while (more && !shared_->stopping) {
        if (!co_await wait_for_request()) break;
        Parser head;
        head.header_limit(kHeaderBytesMax);
        head.body_limit(boost::none);
        stream_.expires_after(ms(shared_->options.request_ms));
        const auto [failed, size] =
            co_await beast_http::async_read_header(stream_, buffer_, head, kTuple);
        if (failed == beast_http::error::end_of_stream || failed == boost::beast::error::timeout)
            break;
        if (failed) {
            const bool is_long = failed == beast_http::error::header_limit;
            co_await refuse(head.get(),
                            is_long ? status::request_header_fields_too_large : status::bad_request,
                            "malformed request\n");
            break;
        }
        busy_ = true;
        more = co_await answer(head);
        busy_ = false;
    }
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    stream_.close();
}

/// An idle connection may wait longer for its next request than a request may take to arrive.
asio::awaitable<bool> Connection::wait_for_request() {
    if (buffer_.size() != 0) co_return true;
    stream_.expires_after(ms(shared_->options.idle_ms));
    const auto [failed, size] = co_await stream_.async_read_some(buffer_.prepare(4096), kTuple);
    if (failed) co_return false;
    buffer_.commit(size);
    co_return true;
}

/// Who comes through a proxy has a place for each request, and a WebSocket as long as it is open.
asio::awaitable<bool> Connection::answer(Parser& head) {
    client_ = from_;
    Places<Client>::Held place;
    if (from_.empty()) {
        client_ = shared_->rules->forwarded_client(forwarded_for(head.get()));
        place = shared_->places.take(client_);
        if (!place) {
            co_await refuse(head.get(), status::too_many_requests, kTooManyOfClient);
            co_return false;
        }
    }
    co_return co_await answer_to_client(head);
}

asio::awaitable<bool> Connection::answer_to_client(Parser& head) {
    const RequestHead& request = head.get();
    const auto& options = shared_->options;
    if (!is_host_allowed(to_view(request[field::host]), options.vhosts)) {
        co_await refuse(request, status::forbidden, "invalid host specified\n");
        co_return false;
    }
    if (boost::beast::websocket::is_upgrade(head.get())) {
        co_await serve_websocket(head);
        co_return false;
    }
    const bool is_head = request.method() == verb::head;
    const auto path = path_of(request);
    if (request.method() == verb::post && path == "/") co_return co_await answer_rpc(head);
    if (request.method() == verb::put && path == "/blob") co_return co_await answer_put_blob(head);
    if (!head.is_done()) {
        co_await refuse(request, status::method_not_allowed, "method not allowed\n");
        co_return false;
    }
    if ((is_head || request.method() == verb::get) && has_blob_path(request))
        co_return co_await answer_get_blob(request);
    if (request.method() == verb::delete_ && has_blob_path(request))
        co_return co_await answer_release_blob(request);
    if (path == "/metrics") {
        // They read the chain and run code, which the threads of consensus have no time for.
        auto work = [self = shared_from_this(), &request] {
            return std::make_shared<Response>(self->answer_plain(request));
        };
        const auto metrics = co_await on_pool(*shared_, client_, std::move(work));
        co_return co_await send(*metrics, head.keep_alive(), is_head);
    }
    auto response = answer_plain(request);
    co_return co_await send(response, head.keep_alive(), is_head);
}

Response Connection::answer_plain(const RequestHead& request) {
    if (request.method() == verb::get || request.method() == verb::head)
        return answer_get(request, *shared_);
    if (request.method() == verb::options) return answer_options(request, shared_->options);
    auto response =
        make_text(request, shared_->options, status::method_not_allowed, "method not allowed\n");
    response.set(field::allow, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    return response;
}

asio::awaitable<bool> Connection::answer_rpc(Parser& head) {
    const auto& options = shared_->options;
    if (!is_json_content(to_view(head.get()[field::content_type]))) {
        co_await refuse(head.get(), status::unsupported_media_type,
                        "invalid content type, only application/json is supported\n");
        co_return false;
    }
    if (head.content_length().value_or(0) > options.body_bytes_max) {
        co_await refuse(head.get(), status::payload_too_large, "content length too large\n");
        co_return false;
    }
    Share share(shared_);
    if (!share.set(head.content_length().value_or(options.body_bytes_max))) {
        co_await refuse(head.get(), status::service_unavailable, kTooMuch);
        co_return false;
    }
    if (!co_await send_continue(head.get())) co_return false;
    beast_http::request_parser<beast_http::string_body> parser(std::move(head));
    parser.body_limit(options.body_bytes_max);
    stream_.expires_after(ms(options.request_ms));
    const auto [failed, size] = co_await beast_http::async_read(stream_, buffer_, parser, kTuple);
    if (failed) {
        if (failed == beast_http::error::body_limit)
            co_await refuse(parser.get(), status::payload_too_large, "content length too large\n");
        co_return false;
    }
    stream_.expires_never();
    const bool keep_alive = parser.keep_alive();
    auto request = parser.release();
    // Those that have not begun when the node stops never do: there may be a thousand.
    auto work = [shared = shared_, client = client_, text = std::move(request.body())] {
        return shared->stopping ? std::string() : shared->server.handle(text, {client, nullptr});
    };
    auto text = co_await on_pool(*shared_, client_, std::move(work));
    if (text.empty() && shared_->stopping) co_return false;
    const bool fits = share.set(text.size());
    auto response =
        fits ? make_response(request, options, status::ok, "application/json", std::move(text))
             : make_text(request, options, status::service_unavailable, kTooMuch);
    co_return co_await send(response, keep_alive, false);
}

asio::awaitable<bool> Connection::send_continue(const RequestHead& request) {
    if (to_view(request[field::expect]) != "100-continue") co_return true;
    beast_http::response<beast_http::empty_body> go_on(status::continue_, request.version());
    stream_.expires_after(ms(shared_->options.write_ms));
    const auto [failed, size] = co_await beast_http::async_write(stream_, go_on, kTuple);
    co_return !failed;
}

asio::awaitable<bool> Connection::send(Response& response, bool keep_alive, bool is_head) {
    keep_alive = keep_alive && !shared_->stopping;
    response.keep_alive(keep_alive);
    response.prepare_payload();
    if (response.result() == status::no_content || response.result() == status::not_modified)
        response.erase(field::content_length);
    stream_.expires_after(ms(shared_->options.write_ms));
    boost::system::error_code failed;
    if (is_head) {
        beast_http::response_serializer<beast_http::string_body> serializer(response);
        serializer.split(true);
        failed = std::get<0>(co_await beast_http::async_write_header(stream_, serializer, kTuple));
    } else {
        failed = std::get<0>(co_await beast_http::async_write(stream_, response, kTuple));
    }
    co_return !failed && keep_alive;
}

asio::awaitable<void> Connection::refuse(const RequestHead& request, status code,
                                         std::string_view text) {
    auto response = make_text(request, shared_->options, code, text);
    response.keep_alive(false);
    const bool sent = co_await send(response, true, false);
    if (sent) co_await drain();
}

/// A reset on unread bytes would destroy the answer on its way, so read on for a moment.
asio::awaitable<void> Connection::drain() {
    boost::system::error_code ignored;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kDrainTime);
    std::array<char, 16384> waste;
    for (size_t total = 0; total < kDrainBytesMax;) {
        const auto [failed, size] = co_await stream_.async_read_some(asio::buffer(waste), kTuple);
        if (failed) co_return;
        total += size;
    }
}

asio::awaitable<void> Connection::serve_websocket(Parser& head) {
    const RequestHead& request = head.get();
    const auto origin = to_view(request[field::origin]);
    if (!origin.empty() && !is_same_origin(origin, to_view(request[field::host])) &&
        !is_origin_allowed(origin, shared_->options.cors_origins)) {
        co_await refuse(request, status::forbidden, "origin not allowed\n");
        co_return;
    }
    auto session = std::make_shared<WebSocketSession>(std::move(stream_), shared_, client_);
    close_websocket_ = [weak = std::weak_ptr(session)](bool at_once) {
        if (const auto alive = weak.lock()) alive->close(at_once);
    };
    co_await session->run(head.get());
}

}  // namespace trainyard::node::http
