// SPDX-License-Identifier: Apache-2.0
// HTTP and WebSocket on one port: JSON-RPC, blobs, health and the explorer page.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "node/runtime/log.hpp"
#include "node/runtime/runtime.hpp"
#include "rpc/backend.hpp"
#include "rpc/server.hpp"

namespace trainyard::node::http {

/// Limits are geth's where it has them (docs/spec/rpc.md, section 4).
struct Options {
    std::string address = "127.0.0.1";
    uint16_t port = 8545;                          ///< 0: any free one
    std::vector<std::string> cors_origins;         ///< "*" for all; empty: no web page of others
    std::vector<std::string> vhosts{"localhost"};  ///< besides bare IP addresses; "*" for all
    size_t connections_max = 1024;
    size_t client_connections_max = 128;  ///< of one address, or one IPv6 /64; 0: no limit
    /// Addresses and ranges, besides this machine: they have no limit of their own, and say in
    /// X-Forwarded-For for whom they ask.
    std::vector<std::string> proxies;
    bool believes_machine = true;  ///< false: this machine is a client like others; for tests
    uint64_t body_bytes_max = 5ull << 20;
    uint64_t blob_bytes_max = 4ull << 30;
    uint64_t request_ms = 30'000;     ///< to read a header, or a JSON body
    uint64_t blob_chunk_ms = 30'000;  ///< for progress of a blob in either direction
    uint64_t write_ms = 30'000;
    uint64_t idle_ms = 120'000;
    uint64_t ws_queue_bytes_max = 64ull << 20;  ///< unsent pushes; more ends the connection
    uint64_t ws_queue_messages_max = 20'000;
    uint64_t ws_queues_bytes_max = 512ull << 20;  ///< of all connections together
    uint64_t rpc_bytes_max = 512ull << 20;  ///< of long requests being read and long answers being
                                            ///< sent, of all connections together
    unsigned rpc_threads = 8;
    uint64_t stop_ms = 3'000;  ///< for requests in flight when the node stops
};

/// What the routes need besides JSON-RPC.
struct Hooks {
    /// GET /readyz: empty when the node can serve, else why not.
    std::function<std::string()> why_not_ready;
    /// GET /metrics in Prometheus' text format; null: no such route.
    std::function<std::string()> metrics;
};

struct HttpError {
    std::string what;  ///< what failed, where, and what to do
};

/// Connections run on the runtime's I/O threads, RPC handlers on a pool of their own.
class HttpServer {
public:
    struct Parts {
        runtime::Runtime& runtime;
        rpc::Server& server;
        rpc::Backend& backend;
        runtime::Logger log;
    };
    /// What `parts` refers to must outlive the server.
    HttpServer(Parts parts, Options options, Hooks hooks);
    ~HttpServer();  ///< stops
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Binds and accepts; gives the port.
    [[nodiscard]] Result<uint16_t, HttpError> start();
    /// No new connections; waits for answers in flight, at most `stop_ms`. The runtime must still
    /// run.
    void stop();
    [[nodiscard]] size_t connections() const;
    /// Since the start.
    struct Refused {
        uint64_t of_clients = 0;  ///< connections and requests above the limit of one client
        uint64_t full = 0;        ///< connections above that of all
    };
    [[nodiscard]] Refused refused() const;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace trainyard::node::http
