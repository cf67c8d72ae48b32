// SPDX-License-Identifier: Apache-2.0
// Events to filters, subscribers and waiting calls.
#include "rpc/service.hpp"

#include <chrono>

namespace trainyard::rpc {

Service::Service(Backend& backend, Options options)
    : backend_(backend),
      options_(std::move(options)),
      waits_({.all = options_.sync_waits_max, .of_one = options_.sync_waits_of_client_max}),
      works_({.all = options_.works_max, .of_one = options_.works_of_client_max}),
      filters_(options_),
      subscriptions_(options_) {}

void Service::on_head(const std::vector<BlockPtr>& removed, const std::vector<BlockPtr>& added) {
    {
        const std::lock_guard lock(mutex_);
        for (const auto& block : removed) tell(*block, true);
        for (const auto& block : added) tell(*block, false);
        ++heads_;
    }
    head_changed_.notify_all();
}

void Service::tell(const FullBlock& block, bool removed) {
    WrittenLogs logs(block, removed);
    filters_.on_block(logs);
    subscriptions_.on_block(logs);
}

void Service::on_pending_tx(const PooledTx& tx) {
    const std::lock_guard lock(mutex_);
    filters_.on_pending_tx(tx.hash);
    subscriptions_.on_pending_tx(tx);
}

void Service::on_syncing(const std::optional<SyncStatus>& status) {
    const std::lock_guard lock(mutex_);
    subscriptions_.on_syncing(status);
}

void Service::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
    }
    head_changed_.notify_all();
}

WorkSlot::WorkSlot(Service& service, const std::string& client, std::optional<uint64_t> timeout_ms)
    : place_(service.works().take(client)) {
    const Options& options = service.options();
    const uint64_t time_ms = std::min(timeout_ms.value_or(options.work_ms), options.work_ms_max);
    limits_.bytes = options.response_bytes_max;
    limits_.is_time_up = [&now_ms = options.now_ms, end_ms = options.now_ms() + time_ms] {
        return now_ms() > end_ms;
    };
}

Error WorkSlot::refusal() {
    return {kLimitExceeded, "too many traces and simulations at once; ask again in a moment"};
}

std::optional<TxPlace> Service::wait_for_tx(const std::string& client, const Hash& hash,
                                            uint64_t timeout_ms) {
    const auto waits = waits_.take(client);
    if (!waits) return std::nullopt;
    std::unique_lock lock(mutex_);
    std::optional<TxPlace> place;
    uint64_t left_ms = timeout_ms;
    while (!stopped_) {
        const uint64_t seen = heads_;
        lock.unlock();
        place = backend_.find_tx(hash);
        lock.lock();
        if (place || left_ms == 0) break;
        // Waiting in slices keeps the sum of waits, which needs no clock, near the timeout.
        const uint64_t slice_ms = std::min<uint64_t>(left_ms, 50);
        if (!head_changed_.wait_for(lock, std::chrono::milliseconds(slice_ms),
                                    [&] { return stopped_ || heads_ != seen; }))
            left_ms -= slice_ms;
    }
    return place;
}

}  // namespace trainyard::rpc
