// SPDX-License-Identifier: Apache-2.0
// What all connections of one server share; private to this folder.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "node/http/http_server.hpp"

namespace trainyard::node::http {

struct Shared {
    rpc::Server& server;
    rpc::Backend& backend;
    runtime::Logger log;
    const Options options;
    const Hooks hooks;
    boost::asio::thread_pool pool;
    std::atomic<bool> stopping{false};

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
          pool(std::max(1u, options.rpc_threads)) {}
};

/// Runs `work` on the pool and resumes the coroutine on its own executor with the result.
template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work>> on_pool(Shared& shared, Work work) {
    using Value = std::invoke_result_t<Work>;
    co_return co_await boost::asio::co_spawn(
        shared.pool.get_executor(),
        [w = std::move(work)]() mutable -> boost::asio::awaitable<Value> { co_return w(); },
        boost::asio::use_awaitable);
}

}  // namespace trainyard::node::http
