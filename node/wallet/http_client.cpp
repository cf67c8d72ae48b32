// SPDX-License-Identifier: Apache-2.0
// Beast's asynchronous calls, run to their end one after the other so that each has a deadline.
#include "node/wallet/http_client.hpp"

#include <chrono>
#include <mutex>
#include <optional>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace trainyard::node::wallet {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

}  // namespace

struct HttpClient::Impl {
    HttpUrl url;
    std::mutex mutex;
    asio::io_context io{1};
    std::optional<beast::tcp_stream> stream;
    beast::flat_buffer buffer;

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

    error_code connect(std::chrono::steady_clock::time_point deadline) {
        error_code result;
        asio::ip::tcp::resolver resolver(io);
        const auto found = resolver.resolve(url.host, url.port, result);
        if (result) return result;
        stream.emplace(io);
        stream->expires_at(deadline);
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

    Outcome exchange(const HttpRequest& request, std::chrono::steady_clock::time_point deadline) {
        Outcome out;
        http::request<http::vector_body<uint8_t>> message;
        message.method_string(request.method);
        message.target(request.path);
        message.version(11);
        message.set(http::field::host, url.host + ":" + url.port);
        message.set(http::field::user_agent, "trainyard");
        message.keep_alive(true);
        if (!request.content_type.empty() && request.method != "GET")
            message.set(http::field::content_type, request.content_type);
        if (!request.blob_owner.empty()) message.set("Blob-Owner", request.blob_owner);
        message.body() = request.body;
        message.prepare_payload();
        stream->expires_at(deadline);
        http::async_write(*stream, message, [&](error_code e, size_t) { out.error = e; });
        run();
        if (out.error) return out;
        http::response_parser<http::vector_body<uint8_t>> parser;
        parser.body_limit(request.answer_bytes_max);
        http::async_read(*stream, buffer, parser, [&](error_code e, size_t n) {
            out.error = e;
            out.sent = n > 0;
        });
        run();
        if (out.error) return out;
        out.answer = {parser.get().result_int(), std::move(parser.get().body())};
        if (!parser.get().keep_alive()) close();
        return out;
    }
};

namespace {

WalletError describe(const error_code& error, const std::string& where) {
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

Result<HttpAnswer, WalletError> HttpClient::send(const HttpRequest& request) {
    const std::lock_guard lock(impl_->mutex);
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(request.timeout_ms);
    const bool reused = impl_->stream.has_value();
    for (int attempt = 0;; ++attempt) {
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
