// SPDX-License-Identifier: Apache-2.0
// eth_subscribe: who is told of what over which connection.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "rpc/log_match.hpp"
#include "rpc/params.hpp"
#include "rpc/server.hpp"

namespace trainyard::rpc {

/// Not thread-safe; Service holds the lock. A subscription is silent until its id was sent.
class Subscriptions {
public:
    enum class Topic { heads, logs, pending_txs, full_pending_txs, syncing };

    explicit Subscriptions(const Options& options) : options_(options) {}

    /// nullopt: the session has as many as it may, or all look for too much.
    [[nodiscard]] std::optional<std::string> add(const std::shared_ptr<Session>& session,
                                                 Topic topic, LogFilter filter);
    /// False unless this session has the subscription.
    [[nodiscard]] bool remove(const Session& session, const std::string& id);
    void close(const Session& session);
    /// The session has been told its new ids.
    void activate(const Session& session);

    void on_block(WrittenLogs& logs);
    void on_pending_tx(const PooledTx& tx);
    void on_syncing(const std::optional<SyncStatus>& status);

private:
    struct Subscription {
        std::weak_ptr<Session> session;
        const Session* key = nullptr;
        Topic topic = Topic::heads;
        LogMatcher filter;
        bool active = false;
    };
    bool push(const std::string& id, const Subscription& to, std::string_view result);

    const Options& options_;
    uint64_t next_id_ = 1;
    std::map<std::string, Subscription> subscriptions_;
    std::map<const Session*, uint64_t> counts_;
    uint64_t criteria_bytes_ = 0;
};

}  // namespace trainyard::rpc
