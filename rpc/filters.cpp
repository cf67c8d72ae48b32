// SPDX-License-Identifier: Apache-2.0
// Polled filters.
#include "rpc/filters.hpp"

#include <utility>

#include "core/hash.hpp"
#include "rpc/log_match.hpp"

namespace trainyard::rpc {

namespace {

/// Numbers bound what a filter collects; tags mean "from now on".
bool in_range(const LogFilter& filter, uint64_t number) {
    const auto* from = filter.from ? std::get_if<uint64_t>(&*filter.from) : nullptr;
    const auto* to = filter.to ? std::get_if<uint64_t>(&*filter.to) : nullptr;
    return (!from || number >= *from) && (!to || number <= *to);
}

}  // namespace

std::optional<std::string> Filters::add(Topic topic, LogFilter filter) {
    drop_idle();
    const uint64_t bytes = kept_bytes_ + filter.size_bytes();
    if (filters_.size() >= options_.filters_max || bytes > options_.filters_bytes_max)
        return std::nullopt;
    kept_bytes_ = bytes;
    // An id is not to be guessed by other clients: it comes from a seed that only this node knows.
    Bytes seed(options_.id_seed.begin(), options_.id_seed.end());
    append_le(seed, next_id_++);
    const Hash hash = keccak256(seed);
    std::string id = to_hex0x(BytesView(hash.bytes).first(16));
    filters_[id] = Filter{topic, std::move(filter), now(), {}, 0, false};
    return id;
}

bool Filters::remove(const std::string& id) {
    const auto found = filters_.find(id);
    if (found == filters_.end()) return false;
    end(found);
    return true;
}

Filters::Entry Filters::end(Entry at) {
    kept_bytes_ -= at->second.changes_bytes + at->second.criteria.size_bytes();
    return filters_.erase(at);
}

std::optional<std::vector<std::string>> Filters::take_changes(const std::string& id) {
    drop_idle();
    const auto found = filters_.find(id);
    if (found == filters_.end()) return std::nullopt;
    found->second.last_used_ms = now();
    return take(found->second);
}

std::optional<LogFilter> Filters::criteria(const std::string& id) {
    drop_idle();
    const auto found = filters_.find(id);
    if (found == filters_.end() || found->second.topic != Topic::logs) return std::nullopt;
    found->second.last_used_ms = now();
    return found->second.criteria;
}

void Filters::on_block(const FullBlock& block, bool removed) {
    drop_idle();
    for (auto& [id, filter] : filters_) {
        if (filter.topic == Topic::blocks && !removed) {
            collect(filter, '"' + to_hex0x(block.hash.bytes) + '"');
        } else if (filter.topic == Topic::logs &&
                   in_range(filter.criteria, block.block.header.number)) {
            for_each_match(filter.criteria, block, [&, &to = filter](const LogPlace& place) {
                std::string json;
                JsonWriter writer(json);
                write_log(writer, block, place, removed);
                collect(to, std::move(json));
            });
        }
    }
}

void Filters::on_pending_tx(const Hash& hash) {
    for (auto& [id, filter] : filters_)
        if (filter.topic == Topic::pending_txs) collect(filter, '"' + to_hex0x(hash.bytes) + '"');
}

void Filters::collect(Filter& filter, std::string change) {
    const uint64_t bytes = sizeof(change) + change.size();
    filter.overflowed = filter.overflowed || filter.changes.size() >= options_.filter_backlog_max ||
                        filter.changes_bytes + bytes > options_.response_bytes_max ||
                        kept_bytes_ + bytes > options_.filters_bytes_max;
    if (filter.overflowed) return void(take(filter));
    filter.changes.push_back(std::move(change));
    filter.changes_bytes += bytes;
    kept_bytes_ += bytes;
}

std::vector<std::string> Filters::take(Filter& filter) {
    kept_bytes_ -= std::exchange(filter.changes_bytes, 0);
    return std::exchange(filter.changes, {});
}

/// A filter that overflowed would answer with a gap, so it ends like one that nobody reads.
void Filters::drop_idle() {
    const uint64_t at = now();
    for (auto entry = filters_.begin(); entry != filters_.end();) {
        const Filter& filter = entry->second;
        const bool is_over =
            filter.overflowed || at - filter.last_used_ms > options_.filter_idle_ms;
        entry = is_over ? end(entry) : std::next(entry);
    }
}

}  // namespace trainyard::rpc
