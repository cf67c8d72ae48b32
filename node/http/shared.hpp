// SPDX-License-Identifier: Apache-2.0
// What all connections of one server share; private to this folder.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/places.hpp"
#include "node/http/fair_pool.hpp"
#include "node/http/http_server.hpp"

namespace trainyard::node::http {

struct Shared {
    rpc::Server& server;
    rpc::Backend& backend;
    runtime::Logger log;
    const Options options;
    const Hooks hooks;
    FairPool pool;
    Places<Client> places;             ///< connections, or requests that a proxy brings
    std::optional<ClientRules> rules;  ///< from the start on
    std::atomic<uint64_t> refused_full{0};
    std::atomic<size_t> turned_away{0};  ///< connections that are being told why
    std::atomic<bool> stopping{false};
    std::atomic<uint64_t> ws_queued_bytes{0};  ///< unsent pushes of all WebSockets
    std::atomic<uint64_t> rpc_bytes{0};        ///< that Shares hold

    /// Open connections and how to end each; `close` may be called from any thread.
    struct Handle {
        std::function<void(bool at_once)> close;
    };
    std::mutex mutex;
    std::condition_variable empty;
    std::map<uint64_t, Handle> connections;
    uint64_t next_id = 1;

    Shared(const HttpServer::Parts& parts, Options o, Hooks h)
        : server(parts.server),
          backend(parts.backend),
          log(parts.log),
          options(std::move(o)),
          hooks(std::move(h)),
          pool(options.rpc_threads),
          places({.of_one = options.client_connections_max == 0 ? Places<Client>::kNoLimit
                                                                : options.client_connections_max}) {
    }
};

/// What one connection holds in memory of a request that comes or an answer that goes. Those who
/// are slow at either may be many: together they have a limit, from which short ones are free.
class Share {
public:
    explicit Share(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
    ~Share() { shared_->rpc_bytes -= bytes_; }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    /// From now on it is so much; false, and nothing changes, where that is too much for all.
    [[nodiscard]] bool set(uint64_t bytes) {
        constexpr uint64_t kFree = 64 << 10;
        const uint64_t counted = bytes > kFree ? bytes : 0;
        const uint64_t all = shared_->rpc_bytes += counted - bytes_;  // modulo 2^64
        if (counted > bytes_ && all > shared_->options.rpc_bytes_max) {
            shared_->rpc_bytes -= counted - bytes_;
            return false;
        }
        bytes_ = counted;
        return true;
    }

private:
    std::shared_ptr<Shared> shared_;
    uint64_t bytes_ = 0;
};

/// Runs `work` on the pool, when `client` has its turn, and resumes the coroutine on its own
/// executor with the result.
///
/// GCC 12 destroys closures and other class temporaries twice when they are arguments inside a
/// co_await expression, so here and in `send` callers pass named objects.
template <class Work>
auto on_pool(Shared& shared, const Client& client, Work&& work) {
    using Function = std::decay_t<Work>;
    using Value = std::invoke_result_t<Function>;
    auto start = [&shared, client](auto handler, Function job) {
        auto executor = boost::asio::get_associated_executor(handler);
        auto guard = boost::asio::make_work_guard(executor);
        auto run = [h = std::move(handler), g = std::move(guard), executor,
                    w = std::move(job)]() mutable {
            auto value = w();
            boost::asio::post(executor, [h2 = std::move(h), v = std::move(value)]() mutable {
                std::move(h2)(std::move(v));
            });
        };
        // A handler cannot be copied, and a std::function has to be.
        auto held = std::make_shared<decltype(run)>(std::move(run));
        shared.pool.post(client, [held = std::move(held)] { (*held)(); });
    };
    boost::asio::use_awaitable_t<> token;
    return boost::asio::async_initiate<boost::asio::use_awaitable_t<>, void(Value)>(
        std::move(start), token, std::forward<Work>(work));
}

}  // namespace trainyard::node::http
