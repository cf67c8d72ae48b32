// SPDX-License-Identifier: Apache-2.0
// Accepts connections, counts them and ends them.
#include "node/http/http_server.hpp"

#include <chrono>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include "node/http/connection.hpp"

namespace trainyard::node::http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr auto kPauseAfterError = std::chrono::milliseconds(100);
constexpr size_t kTurnedAwayMax = 64;
constexpr size_t kTurnAwayPartsMax = 16;
constexpr auto kTurnAwayTime = std::chrono::seconds(1);

void forget(Shared& shared, uint64_t id) {
    {
        const std::lock_guard lock(shared.mutex);
        shared.connections.erase(id);
    }
    shared.empty.notify_all();
}

/// Says why, to a few at a time; it is read before the connection ends with unread bytes.
asio::awaitable<void> turn_away(std::shared_ptr<Shared> shared, tcp::socket socket) {
    boost::beast::tcp_stream stream(std::move(socket));
    const std::string text =
        "HTTP/1.1 429 Too Many Requests\r\nServer: trainyard\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        "Content-Length: " +
        std::to_string(kTooManyOfClient.size()) + "\r\n\r\n" + std::string(kTooManyOfClient);
    boost::system::error_code ignored;
    stream.expires_after(kTurnAwayTime);
    co_await asio::async_write(stream, asio::buffer(text), kTuple);
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    std::array<char, 4096> waste;
    for (size_t parts = 0; parts < kTurnAwayPartsMax; ++parts) {
        const auto [failed, size] = co_await stream.async_read_some(asio::buffer(waste), kTuple);
        if (failed) break;
    }
    --shared->turned_away;
}

/// Starts serving; a connection above the limit of all is closed at once.
void serve(const std::shared_ptr<Shared>& shared, tcp::socket socket) {
    auto executor = socket.get_executor();
    boost::system::error_code unconnected;
    const auto other = socket.remote_endpoint(unconnected);
    if (unconnected) return;
    auto from = shared->rules->client_of(other.address().to_string());
    auto place = shared->places.take(from);
    if (!place) {
        if (shared->turned_away.fetch_add(1) >= kTurnedAwayMax) return void(--shared->turned_away);
        return asio::co_spawn(executor, turn_away(shared, std::move(socket)), asio::detached);
    }
    auto connection =
        std::make_shared<Connection>(std::move(socket), shared, std::move(from), std::move(place));
    uint64_t id = 0;
    {
        const std::lock_guard lock(shared->mutex);
        if (shared->stopping) return;
        if (shared->connections.size() >= shared->options.connections_max)
            return void(++shared->refused_full);
        id = shared->next_id++;
        shared->connections[id] = {[weak = std::weak_ptr(connection)](bool at_once) {
            if (const auto alive = weak.lock()) alive->close(at_once);
        }};
    }
    asio::co_spawn(
        executor, [connection]() -> asio::awaitable<void> { co_await connection->run(); },
        [shared, id](std::exception_ptr thrown) {
            // Only a failure of the libraries ends here; the connection is gone either way.
            if (thrown) shared->log.warn("an HTTP connection ended with an exception", {});
            forget(*shared, id);
        });
}

asio::awaitable<void> accept_all(std::shared_ptr<Shared> shared,
                                 std::shared_ptr<tcp::acceptor> acceptor, asio::io_context& io) {
    asio::steady_timer pause(acceptor->get_executor());
    while (!shared->stopping) {
        auto [failed, socket] = co_await acceptor->async_accept(asio::make_strand(io), kTuple);
        if (shared->stopping) co_return;
        if (!failed) {
            serve(shared, std::move(socket));
            continue;
        }
        // Out of descriptors, or a peer that left already: neither is cured by haste.
        pause.expires_after(kPauseAfterError);
        co_await pause.async_wait(kTuple);
    }
}

}  // namespace

struct HttpServer::Impl {
    runtime::Runtime& runtime;
    std::shared_ptr<Shared> shared;
    std::shared_ptr<tcp::acceptor> acceptor;
    bool started = false;

    Impl(const Parts& parts, Options options, Hooks hooks)
        : runtime(parts.runtime),
          shared(std::make_shared<Shared>(parts, std::move(options), std::move(hooks))) {}

    Result<uint16_t, HttpError> start();
    void stop();
    void close_connections(bool at_once);
    [[nodiscard]] bool wait_until_empty(std::chrono::milliseconds time);
};

Result<uint16_t, HttpError> HttpServer::Impl::start() {
    const auto& options = shared->options;
    std::vector<AddressRange> proxies;
    for (const auto& text : options.proxies) {
        const auto range = range_from(text);
        if (!range)
            return Unexpected(HttpError{"http.proxies: \"" + text +
                                        "\" is neither an IP address nor a range as 10.0.0.0/8"});
        proxies.push_back(*range);
    }
    shared->rules.emplace(std::move(proxies), options.believes_machine);
    const auto where = options.address + ":" + std::to_string(options.port);
    boost::system::error_code failed;
    const auto address = asio::ip::make_address(options.address, failed);
    if (failed)
        return Unexpected(HttpError{"http.addr \"" + options.address + "\" is not an IP address"});
    const tcp::endpoint endpoint(address, options.port);
    acceptor = std::make_shared<tcp::acceptor>(asio::make_strand(runtime.io()));
    acceptor->open(endpoint.protocol(), failed);
    if (!failed) acceptor->set_option(tcp::acceptor::reuse_address(true), failed);
    if (!failed) acceptor->bind(endpoint, failed);
    if (!failed) acceptor->listen(asio::socket_base::max_listen_connections, failed);
    if (failed)
        return Unexpected(HttpError{"cannot listen on " + where + " for HTTP: " + failed.message() +
                                    "; choose another --http-port or --http-addr"});
    started = true;
    const uint16_t port = acceptor->local_endpoint(failed).port();
    asio::co_spawn(acceptor->get_executor(), accept_all(shared, acceptor, runtime.io()),
                   [](std::exception_ptr) {});
    return port;
}

void HttpServer::Impl::close_connections(bool at_once) {
    std::vector<std::function<void(bool)>> closers;
    {
        const std::lock_guard lock(shared->mutex);
        for (const auto& [id, handle] : shared->connections) closers.push_back(handle.close);
    }
    for (const auto& close : closers) close(at_once);
}

bool HttpServer::Impl::wait_until_empty(std::chrono::milliseconds time) {
    std::unique_lock lock(shared->mutex);
    return shared->empty.wait_for(lock, time, [this] { return shared->connections.empty(); });
}

void HttpServer::Impl::stop() {
    if (!started || shared->stopping.exchange(true)) return;
    asio::post(acceptor->get_executor(), [a = acceptor] {
        boost::system::error_code ignored;
        a->close(ignored);
    });
    shared->server.stop();
    close_connections(false);
    if (!wait_until_empty(std::chrono::milliseconds(shared->options.stop_ms))) {
        close_connections(true);
        if (!wait_until_empty(std::chrono::milliseconds(shared->options.stop_ms)))
            shared->log.warn("HTTP connections did not end in time", {});
    }
    shared->pool.join();
}

HttpServer::HttpServer(Parts parts, Options options, Hooks hooks)
    : impl_(std::make_shared<Impl>(parts, std::move(options), std::move(hooks))) {}

HttpServer::~HttpServer() {
    stop();
}

Result<uint16_t, HttpError> HttpServer::start() {
    return impl_->start();
}

void HttpServer::stop() {
    impl_->stop();
}

HttpServer::Refused HttpServer::refused() const {
    return {impl_->shared->places.refused(), impl_->shared->refused_full};
}

size_t HttpServer::connections() const {
    const std::lock_guard lock(impl_->shared->mutex);
    return impl_->shared->connections.size();
}

}  // namespace trainyard::node::http
