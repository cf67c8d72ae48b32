// SPDX-License-Identifier: Apache-2.0
// Beast's asynchronous calls, run to their end one after the other so that each has a deadline.
#include "node/wallet/http_client.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace trainyard::node::wallet {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

/// Until when the next bytes must have passed.
class Deadline {
public:
    explicit Deadline(const HttpRequest& request)
        : time_(request.timeout_ms), is_long_(request.is_long), at_(Clock::now() + time_) {}
    [[nodiscard]] Clock::time_point at() const { return at_; }
    void passed(uint64_t bytes) {
        left_ -= std::min(left_, bytes);
        if (left_ != 0 || !is_long_) return;
        left_ = kPieceBytes;
        at_ = Clock::now() + time_;
    }

private:
    static constexpr uint64_t kPieceBytes = 1 << 20;
    std::chrono::milliseconds time_;
    bool is_long_;
    Clock::time_point at_;
    uint64_t left_ = kPieceBytes;
};

}  // namespace

struct HttpClient::Impl {
    HttpUrl url;
    std::mutex mutex;
    asio::io_context io{1};
    std::optional<beast::tcp_stream> stream;
    beast::flat_buffer buffer;
    std::atomic<bool> is_closed{false};

    /// Runs the started operation to its end; the stream's own deadline ends it at the latest.
    void run() {
        io.restart();
        io.run();
    }

    void close() {
        if (!stream) return;
        error_code ignored;
        stream->socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
        stream.reset();
        buffer.clear();
    }

    error_code connect(const Deadline& deadline) {
        error_code result;
        asio::ip::tcp::resolver resolver(io);
        const auto found = resolver.resolve(url.host, url.port, result);
        if (result) return result;
        stream.emplace(io);
        stream->expires_at(deadline.at());
        stream->async_connect(found, [&](error_code e, const auto&) { result = e; });
        run();
        if (!result) stream->socket().set_option(asio::ip::tcp::no_delay(true), result);
        return result;
    }

    struct Outcome {
        error_code error;
        bool sent = false;  ///< at least part of an answer came, so a retry could repeat an effect
        HttpAnswer answer;
    };

    using Message = http::request<http::span_body<const uint8_t>>;
    using Parser = http::response_parser<http::vector_body<uint8_t>>;

    Message message_of(const HttpRequest& request) const {
        Message message;
        message.method_string(request.method);
        message.target(request.path);
        message.version(11);
        message.set(http::field::host, url.host + ":" + url.port);
        message.set(http::field::user_agent, "trainyard");
        message.keep_alive(true);
        if (!request.content_type.empty() && request.method != "GET")
            message.set(http::field::content_type, request.content_type);
        if (!request.blob_owner.empty()) message.set("Blob-Owner", request.blob_owner);
        message.body() = {request.body.data(), request.body.size()};
        message.prepare_payload();
        return message;
    }

    /// Starts calls of `some` until it is done, each of which moves some bytes.
    template <class Some>
    error_code move_all(const auto& what, Deadline& deadline, Some some) {
        error_code error;
        while (!what.is_done() && !error) {
            if (is_closed) return asio::error::operation_aborted;
            stream->expires_at(deadline.at());
            some([&](error_code e, size_t n) {
                error = e;
                deadline.passed(n);
            });
            run();
        }
        return error;
    }

    Outcome exchange(const HttpRequest& request, Deadline& deadline) {
        Outcome out;
        const Message message = message_of(request);
        http::request_serializer<Message::body_type> serializer(message);
        out.error = move_all(serializer, deadline,
                             [&](auto done) { http::async_write_some(*stream, serializer, done); });
        if (out.error) return out;
        Parser parser;
        parser.body_limit(request.answer_bytes_max);
        out.error = move_all(parser, deadline, [&](auto done) {
            http::async_read_some(*stream, buffer, parser, done);
        });
        out.sent = parser.got_some();
        if (out.error) return out;
        out.answer = {parser.get().result_int(), std::move(parser.get().body())};
        if (!parser.get().keep_alive()) close();
        return out;
    }
};

namespace {

WalletError describe(const error_code& error, const std::string& where) {
    if (error == asio::error::operation_aborted) return {WalletErrorCode::closed, "shutting down"};
    if (error == beast::error::timeout)
        return {WalletErrorCode::timeout, where + " did not answer in time"};
    if (error == http::error::body_limit)
        return {WalletErrorCode::too_large, where + " sent more than was asked for"};
    return {WalletErrorCode::unreachable,
            "cannot reach " + where + ": " + error.message() + " (does a node run there?)"};
}

}  // namespace

Result<HttpUrl, WalletError> parse_http_url(std::string_view url) {
    const auto bad = [&](WalletErrorCode code, const std::string& why) {
        return unexpected(WalletError{code, "URL '" + std::string(url) + "': " + why});
    };
    if (url.starts_with("https://"))
        return bad(WalletErrorCode::unsupported, "https is not supported; use a local node");
    if (!url.starts_with("http://"))
        return bad(WalletErrorCode::malformed, "must begin with http://");
    const auto rest = url.substr(7);
    const auto slash = std::min(rest.find('/'), rest.size());
    const auto authority = rest.substr(0, slash);
    const auto colon = authority.rfind(':');
    HttpUrl out;
    out.host = std::string(authority.substr(0, colon));
    out.port = colon == std::string_view::npos ? "80" : std::string(authority.substr(colon + 1));
    out.path = slash == rest.size() ? "/" : std::string(rest.substr(slash));
    const bool digits = !out.port.empty() && out.port.size() <= 5 &&
                        out.port.find_first_not_of("0123456789") == std::string::npos;
    if (out.host.empty() || out.host.find('@') != std::string::npos || !digits)
        return bad(WalletErrorCode::malformed, "expected http://host:port/path");
    return out;
}

HttpClient::HttpClient(HttpUrl url) : impl_(std::make_unique<Impl>()) {
    impl_->url = std::move(url);
}
HttpClient::~HttpClient() {
    impl_->close();
}

std::string HttpClient::text() const {
    return "http://" + impl_->url.host + ":" + impl_->url.port;
}

void HttpClient::close() {
    impl_->is_closed = true;
    asio::post(impl_->io, [impl = impl_.get()] {
        if (impl->stream) impl->stream->cancel();
    });
}

Result<HttpAnswer, WalletError> HttpClient::send(const HttpRequest& request) {
    const std::lock_guard lock(impl_->mutex);
    Deadline deadline(request);
    const bool reused = impl_->stream.has_value();
    for (int attempt = 0;; ++attempt) {
        if (impl_->is_closed) return unexpected(describe(asio::error::operation_aborted, text()));
        if (!impl_->stream) {
            if (const auto error = impl_->connect(deadline)) {
                impl_->close();
                return unexpected(describe(error, text()));
            }
        }
        auto outcome = impl_->exchange(request, deadline);
        if (!outcome.error) return std::move(outcome.answer);
        impl_->close();
        const bool stale =
            reused && attempt == 0 && !outcome.sent && outcome.error != beast::error::timeout;
        if (!stale) return unexpected(describe(outcome.error, text()));
    }
}

}  // namespace trainyard::node::wallet
