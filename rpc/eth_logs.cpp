// SPDX-License-Identifier: Apache-2.0
// eth_*: logs and polled filters.
#include "rpc/log_match.hpp"
#include "rpc/lookup.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

struct Range {
    uint64_t first = 0, last = 0;
};

Error too_many_results(uint64_t max) {
    return {kLimitExceeded, "query returned more than " + std::to_string(max) + " results"};
}

/// Tags become numbers; none means the head.
Result<uint64_t, Error> to_number(const Backend& backend, const std::optional<BlockId>& id) {
    if (!id) return head(backend)->block.header.number;
    if (const auto* number = std::get_if<uint64_t>(&*id)) return *number;
    const auto block = require_block(backend, *id);
    if (!block) return Unexpected(block.error());
    return (*block)->block.header.number;
}

Result<Range, Error> resolve_range(const Call& call, const LogFilter& filter) {
    const auto first = to_number(call.backend, filter.from);
    if (!first) return Unexpected(first.error());
    const auto last = to_number(call.backend, filter.to);
    if (!last) return Unexpected(last.error());
    const uint64_t head_number = head(call.backend)->block.header.number;
    if (*last > head_number || (!filter.to && *first > head_number))
        return Unexpected(invalid_params("block range extends beyond current head block"));
    if (*first > *last) return Unexpected(invalid_params("invalid block range params"));
    const uint64_t max = call.service.options().log_blocks_max;
    if (*last - *first >= max)
        return Unexpected(Error{
            kLimitExceeded, "block range too large: at most " + std::to_string(max) + " blocks"});
    return Range{*first, *last};
}

/// Appends the matches of one block, until they are too many or too long.
Outcome write_matches(Call& call, const LogMatcher& matcher, const FullBlock& block,
                      uint64_t& found) {
    const auto& options = call.service.options();
    const auto fits = [&] { return call.out.size() <= options.response_bytes_max; };
    for_each_match(matcher, block, [&](const LogPlace& place) {
        if (++found > options.log_results_max) return false;
        write_log(call.out, block, place, false);
        return fits();
    });
    if (found > options.log_results_max)
        return Unexpected(too_many_results(options.log_results_max));
    if (!fits()) return Unexpected(Error{kResponseTooLarge, "response too large"});
    return Done{};
}

Outcome write_logs_of_block(Call& call, const LogFilter& filter) {
    const auto looked_up = find_block(call.backend, BlockByHash{*filter.block_hash, false});
    if (!looked_up) return Unexpected(looked_up.error());
    const BlockPtr& block = *looked_up;
    if (!block) return Unexpected(server_error("unknown block"));
    uint64_t found = 0;
    call.out.begin_array();
    const LogMatcher matcher(filter);
    if (const auto written = write_matches(call, matcher, *block, found); !written) return written;
    call.out.end_array();
    return Done{};
}

Outcome write_logs(Call& call, const LogFilter& filter) {
    if (filter.block_hash) return write_logs_of_block(call, filter);
    const auto range = resolve_range(call, filter);
    if (!range) return Unexpected(range.error());
    const LogMatcher matcher(filter);
    const ReadTime time(call.service.options());
    uint64_t found = 0;
    call.out.begin_array();
    for (uint64_t number = range->first; number <= range->last; ++number) {
        if (time.is_up()) return Unexpected(time.refusal());
        const auto header = call.backend.header(number);
        if (!header && call.backend.is_pruned(number)) return Unexpected(pruned_history());
        if (!header || !matcher.may_match(header->logs_bloom)) continue;
        const auto block = call.backend.block(number);
        if (!block && call.backend.is_pruned(number)) return Unexpected(pruned_history());
        if (!block) continue;
        const auto written = write_matches(call, matcher, *block, found);
        if (!written) return written;
    }
    call.out.end_array();
    return Done{};
}

Outcome get_logs(Call& call) {
    return write_logs(call, call.args.at<LogFilter>(0));
}

Outcome add_filter(Call& call, Filters::Topic topic, const LogFilter& filter) {
    const auto id = call.service.with_filters([&](Filters& f) { return f.add(topic, filter); });
    if (!id) return Unexpected(Error{kLimitExceeded, "too many filters"});
    call.out.text(*id);
    return Done{};
}

Outcome new_filter(Call& call) {
    const auto& filter = call.args.at<LogFilter>(0);
    const auto* from = filter.from ? std::get_if<uint64_t>(&*filter.from) : nullptr;
    const auto* to = filter.to ? std::get_if<uint64_t>(&*filter.to) : nullptr;
    if (from && to && *from > *to) return Unexpected(invalid_params("invalid block range params"));
    return add_filter(call, Filters::Topic::logs, filter);
}

Outcome new_block_filter(Call& call) {
    return add_filter(call, Filters::Topic::blocks, {});
}
Outcome new_pending_filter(Call& call) {
    return add_filter(call, Filters::Topic::pending_txs, {});
}

Outcome get_filter_changes(Call& call) {
    const auto& id = call.args.at<std::string>(0);
    const auto changes = call.service.with_filters([&](Filters& f) { return f.take_changes(id); });
    if (!changes) return Unexpected(server_error("filter not found"));
    call.out.begin_array();
    for (const auto& change : *changes) call.out.raw(*change);
    call.out.end_array();
    return Done{};
}

Outcome get_filter_logs(Call& call) {
    const auto& id = call.args.at<std::string>(0);
    const auto filter = call.service.with_filters([&](Filters& f) { return f.criteria(id); });
    if (!filter) return Unexpected(server_error("filter not found"));
    return write_logs(call, *filter);
}

Outcome uninstall_filter(Call& call) {
    const auto& id = call.args.at<std::string>(0);
    call.out.boolean(call.service.with_filters([&](Filters& f) { return f.remove(id); }));
    return Done{};
}

constexpr Param kFilter{"filter", Kind::log_filter, true};
constexpr Param kId{"filterId", Kind::text, true};

constexpr Method kMethods[] = {
    {"eth_getLogs", get_logs, {kFilter}, Shape::array, false, "logs of a block or a range"},
    {"eth_newFilter", new_filter, {kFilter}, Shape::text, false, "collect logs from now on"},
    {"eth_newBlockFilter", new_block_filter, {}, Shape::text, false, "collect block hashes"},
    {"eth_newPendingTransactionFilter",
     new_pending_filter,
     {},
     Shape::text,
     false,
     "collect hashes of pending transactions"},
    {"eth_getFilterChanges",
     get_filter_changes,
     {kId},
     Shape::array,
     false,
     "what a filter collected since the last call"},
    {"eth_getFilterLogs",
     get_filter_logs,
     {kId},
     Shape::array,
     false,
     "all logs that a log filter selects"},
    {"eth_uninstallFilter", uninstall_filter, {kId}, Shape::boolean, false, "end a filter"},
};

}  // namespace

std::span<const Method> log_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
