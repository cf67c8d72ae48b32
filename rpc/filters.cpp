// SPDX-License-Identifier: Apache-2.0
// Polled filters.
#include "rpc/filters.hpp"

#include <utility>

#include "core/hash.hpp"

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
    LogMatcher criteria(std::move(filter));
    const uint64_t bytes = kept_bytes_ + criteria.size_bytes();
    if (filters_.size() >= options_.filters_max || bytes > options_.filters_bytes_max)
        return std::nullopt;
    kept_bytes_ = bytes;
    // An id is not to be guessed by other clients: it comes from a seed that only this node knows.
    Bytes seed(options_.id_seed.begin(), options_.id_seed.end());
    append_le(seed, next_id_++);
    const Hash hash = keccak256(seed);
    std::string id = to_hex0x(BytesView(hash.bytes).first(16));
    filters_.emplace(id, Filter{topic, std::move(criteria), now(), {}, 0, false});
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

std::optional<std::vector<Filters::Change>> Filters::take_changes(const std::string& id) {
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
    return found->second.criteria.filter();
}

void Filters::on_block(WrittenLogs& logs) {
    drop_idle();
    const FullBlock& block = logs.block();
    const auto hash = std::make_shared<const std::string>('"' + to_hex0x(block.hash.bytes) + '"');
    for (auto& [id, filter] : filters_) {
        if (filter.topic == Topic::blocks && !logs.removed()) {
            (void)collect(filter, hash);
        } else if (filter.topic == Topic::logs &&
                   in_range(filter.criteria.filter(), block.block.header.number)) {
            for_each_match(filter.criteria, block, [&, &to = filter](const LogPlace& place) {
                return collect(to, logs.at(place));
            });
        }
    }
}

void Filters::on_pending_tx(const Hash& hash) {
    const auto text = std::make_shared<const std::string>('"' + to_hex0x(hash.bytes) + '"');
    for (auto& [id, filter] : filters_)
        if (filter.topic == Topic::pending_txs) (void)collect(filter, text);
}

/// False once the filter holds too much: it takes no more then.
bool Filters::collect(Filter& filter, const Change& change) {
    const uint64_t bytes = sizeof(*change) + change->size();
    filter.overflowed = filter.overflowed || filter.changes.size() >= options_.filter_backlog_max ||
                        filter.changes_bytes + bytes > options_.response_bytes_max ||
                        kept_bytes_ + bytes > options_.filters_bytes_max;
    if (filter.overflowed) {
        take(filter);
        return false;
    }
    filter.changes.push_back(change);
    filter.changes_bytes += bytes;
    kept_bytes_ += bytes;
    return true;
}

std::vector<Filters::Change> Filters::take(Filter& filter) {
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
