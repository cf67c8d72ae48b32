// SPDX-License-Identifier: Apache-2.0
// The state behind the methods: filters, subscriptions and calls that wait for a block.
#pragma once

#include <condition_variable>
#include <mutex>

#include "core/places.hpp"
#include "rpc/error.hpp"
#include "rpc/filters.hpp"
#include "rpc/server.hpp"
#include "rpc/subscriptions.hpp"

namespace trainyard::rpc {

using ClientPlaces = Places<std::string>;

/// Thread-safe.
class Service {
public:
    Service(Backend& backend, Options options);

    [[nodiscard]] Backend& backend() { return backend_; }
    [[nodiscard]] const Options& options() const { return options_; }

    /// Runs `use` with the filters, or the subscriptions, under the lock.
    template <class Use>
    auto with_filters(Use use) {
        const std::lock_guard lock(mutex_);
        return use(filters_);
    }
    template <class Use>
    auto with_subscriptions(Use use) {
        const std::lock_guard lock(mutex_);
        return use(subscriptions_);
    }

    void on_head(const std::vector<BlockPtr>& removed, const std::vector<BlockPtr>& added);
    void on_pending_tx(const PooledTx& tx);
    void on_syncing(const std::optional<SyncStatus>& status);
    void stop();

    /// Waits until `hash` is in a block, for at most `timeout_ms`; nullopt when it is not by then,
    /// or when as many calls wait already as may, of all or of this client.
    [[nodiscard]] std::optional<TxPlace> wait_for_tx(const std::string& client, const Hash& hash,
                                                     uint64_t timeout_ms);

    /// Of traces and simulations that run.
    [[nodiscard]] ClientPlaces& works() { return works_; }

private:
    void tell(const FullBlock& block, bool removed);

    Backend& backend_;
    const Options options_;
    std::mutex mutex_;
    std::condition_variable head_changed_;
    uint64_t heads_ = 0;
    ClientPlaces waits_, works_;
    bool stopped_ = false;
    Filters filters_;
    Subscriptions subscriptions_;
};

/// How long a question that reads many blocks, or runs many views, may take.
class ReadTime {
public:
    explicit ReadTime(const Options& options)
        : options_(options), end_ms_(options.now_ms() + options.read_ms) {}
    [[nodiscard]] bool is_up() const { return options_.now_ms() > end_ms_; }
    [[nodiscard]] static Error refusal() {
        return {kLimitExceeded, "query timeout exceeded: ask for less at once"};
    }

private:
    const Options& options_;
    const uint64_t end_ms_;
};

/// A place among the traces and simulations that run at once, of which one client may hold a part,
/// and the limits that hold in it.
class WorkSlot {
public:
    /// `timeout_ms`: what the caller wants; the node's own longest time holds all the same.
    WorkSlot(Service& service, const std::string& client, std::optional<uint64_t> timeout_ms);

    /// False: all places are taken, or all that this client may hold; `refusal` says so.
    explicit operator bool() const { return place_ != nullptr; }
    [[nodiscard]] static Error refusal();
    [[nodiscard]] const WorkLimits& limits() const { return limits_; }

private:
    const ClientPlaces::Held place_;
    WorkLimits limits_;
};

}  // namespace trainyard::rpc
