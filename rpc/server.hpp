// SPDX-License-Identifier: Apache-2.0
// The JSON-RPC server without its sockets: request text in, response text out, events in, pushes
// out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rpc/backend.hpp"

namespace trainyard::rpc {

/// One WebSocket connection as the server sees it. `push` must not block; it may drop the
/// connection.
class Session {
public:
    virtual ~Session() = default;
    virtual void push(std::shared_ptr<const std::string> message) = 0;
    /// False once the connection was dropped: what is pushed then is written for nobody.
    [[nodiscard]] virtual bool is_open() const { return true; }
};

/// Who asks, and how.
struct Asker {
    std::string client;  ///< its address; empty: this machine, or a proxy that names nobody
    std::shared_ptr<Session> session;  ///< null over plain HTTP
};

/// Limits follow geth's defaults where clients rely on them (docs/spec/rpc.md, section 4).
struct Options {
    std::function<uint64_t()> now_ms;  ///< any monotonic clock; ends idle filters
    Hash id_seed;  ///< random per start: makes the ids of filters and subscriptions hard to guess
    uint64_t request_bytes_max = 5ull << 20;
    uint64_t response_bytes_max = 25ull << 20;  ///< of a whole batch, and of logs
    uint64_t batch_items_max = 1000;
    uint64_t batch_ms = 30'000;         ///< the rest of a batch that takes longer is refused
    uint64_t log_blocks_max = 100'000;  ///< blocks in one range of eth_getLogs
    uint64_t log_results_max = 20'000;
    uint64_t read_ms = 10'000;  ///< a query of logs, of past fees or of the market that takes
                                ///< longer is refused
    uint64_t filters_max = 10'000;
    uint64_t filter_backlog_max = 20'000;  ///< changes kept for one filter; more ends the filter,
                                           ///< as does more than response_bytes_max of them
    uint64_t filters_bytes_max = 256ull << 20;  ///< of what all filters keep; the same again of
                                                ///< what all subscriptions look for
    uint64_t filter_idle_ms = 300'000;
    uint64_t subscriptions_per_session_max = 1000;
    uint64_t subscriptions_max = 10'000;  ///< of all: each costs a message with every block
    uint64_t call_gas_max = 50'000'000;
    uint64_t blob_hex_bytes_max = 2ull << 20;  ///< yard_putBlob; larger blobs go to PUT /blob
    uint64_t sync_wait_ms = 20'000;            ///< eth_sendRawTransactionSync: default,
    uint64_t sync_wait_ms_max = 60'000;        ///< longest,
    size_t sync_waits_max = 4;                 ///< how many may hold a thread at once,
    size_t sync_waits_of_client_max = 2;       ///< and how many of those one client's
    uint64_t work_ms = 5000;                   ///< a trace or simulation: default,
    uint64_t work_ms_max = 30'000;             ///< longest,
    size_t works_max = 4;                      ///< how many may run at once,
    size_t works_of_client_max = 2;            ///< and how many of those for one client
};

class Service;  // the state behind the methods, rpc/service.hpp

/// Thread-safe. Calls run on the caller's thread and may block as long as the backend does.
class Server {
public:
    /// `backend` must outlive the server.
    Server(Backend& backend, Options options);
    ~Server();

    /// Answers one body: a request, a notification or a batch. Empty: nothing is to be sent.
    /// Without a session eth_subscribe is refused; with one the answer goes to its `push` and the
    /// result is empty.
    [[nodiscard]] std::string handle(std::string_view body, const Asker& asker);

    /// Ends the session's subscriptions.
    void close(const Session& session);

    /// The canonical chain changed: `removed` from the old head down, then `added` upwards.
    void on_head(const std::vector<BlockPtr>& removed, const std::vector<BlockPtr>& added);
    /// A transaction became pending.
    void on_pending_tx(const PooledTx& tx);
    /// The node fell behind (a status) or caught up (nullopt).
    void on_syncing(const std::optional<SyncStatus>& status);
    /// Wakes every waiting call; no new one waits.
    void stop();

private:
    std::unique_ptr<Service> service_;
};

}  // namespace trainyard::rpc
