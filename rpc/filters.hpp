// SPDX-License-Identifier: Apache-2.0
// Filters that a client polls: each collects changes until asked, and ends when nobody asks.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rpc/log_match.hpp"
#include "rpc/params.hpp"
#include "rpc/server.hpp"

namespace trainyard::rpc {

/// Not thread-safe; Service holds the lock. Every size is bounded by Options.
class Filters {
public:
    enum class Topic { blocks, pending_txs, logs };

    explicit Filters(const Options& options) : options_(options) {}

    /// nullopt: filters_max are alive, or they keep filters_bytes_max.
    [[nodiscard]] std::optional<std::string> add(Topic topic, LogFilter filter);
    [[nodiscard]] bool remove(const std::string& id);
    /// A JSON value, which filters share.
    using Change = std::shared_ptr<const std::string>;
    /// Those since the last call, oldest first; nullopt: no such filter.
    [[nodiscard]] std::optional<std::vector<Change>> take_changes(const std::string& id);
    /// The criteria of a log filter; nullopt: no such filter, or one of another topic.
    [[nodiscard]] std::optional<LogFilter> criteria(const std::string& id);

    void on_block(WrittenLogs& logs);
    void on_pending_tx(const Hash& hash);

private:
    struct Filter {
        Topic topic;
        LogMatcher criteria;
        uint64_t last_used_ms = 0;
        std::vector<Change> changes;
        uint64_t changes_bytes = 0;
        bool overflowed = false;
    };
    using Entry = std::map<std::string, Filter>::iterator;
    [[nodiscard]] bool collect(Filter& filter, const Change& change);
    std::vector<Change> take(Filter& filter);
    Entry end(Entry at);
    void drop_idle();
    [[nodiscard]] uint64_t now() const { return options_.now_ms ? options_.now_ms() : 0; }

    const Options& options_;
    uint64_t next_id_ = 1;
    std::map<std::string, Filter> filters_;
    uint64_t kept_bytes_ = 0;  ///< criteria and changes of all
};

}  // namespace trainyard::rpc
