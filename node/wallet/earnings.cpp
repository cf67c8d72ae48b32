// SPDX-License-Identifier: Apache-2.0
// Events folded into segments; ranges of blocks that nodes with narrow limits answer, too.
#include "node/wallet/earnings.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "node/wallet/market_abi.hpp"
#include "node/wallet/view_call.hpp"

namespace trainyard::node::wallet {
namespace {

constexpr uint64_t kSpanMost = 100'000, kSpanLeast = 500;  ///< blocks in one query for logs

/// The first word of an event's data.
Uint256 first_word(const MarketEvent& event) {
    return event.data.size() < 32 ? Uint256{} : from_be(BytesView(event.data).first(32));
}

/// One job while its events pass by: which segments of it are neither final nor void.
class JobFold {
public:
    JobFold(Earnings& to, const Address& who) : to_(to), who_(who) {}

    void take(const MarketEvent& e) {
        if (e.name == "ProviderFined" && e.who == who_)
            to_.losses.push_back({e.job, false, first_word(e), e.block, 0, e.tx});
        if (!e.seg) return;
        if (e.name == "SegmentCommitted") commit(e);
        if (e.name == "SegmentFinal") settle(open_.find(*e.seg), SegmentState::final_, e);
        if (e.name == "SegmentVoid") annul(e);
    }
    void end(const Uint256& pending_wei) {
        for (const auto& [seg, at] : open_)
            to_.segments[at].wei = is_slashed_ ? Uint256{} : pending_wei;
    }

private:
    using Open = std::map<uint32_t, size_t>;  ///< segment -> index in to_.segments

    void commit(const MarketEvent& e) {
        open_.erase(*e.seg);
        if (e.who != who_) return;
        open_[*e.seg] = to_.segments.size();
        to_.segments.push_back({e.job, *e.seg, SegmentState::committed, {}, e.block, 0, e.tx});
    }
    void settle(Open::iterator at, SegmentState state, const MarketEvent& e) {
        if (at == open_.end()) return;
        auto& segment = to_.segments[at->second];
        segment.state = state;
        segment.wei = state == SegmentState::final_ ? first_word(e) : Uint256{};
        segment.block = e.block;
        segment.tx = e.tx;
        open_.erase(at);
    }
    void annul(const MarketEvent& e) {
        for (auto at = open_.lower_bound(*e.seg); at != open_.end(); at = open_.lower_bound(*e.seg))
            settle(at, SegmentState::void_, e);
        const auto slashed = first_word(e);
        if (e.who != who_ || slashed.is_zero()) return;
        is_slashed_ = true;
        to_.losses.push_back({e.job, true, slashed, e.block, 0, e.tx});
    }

    Earnings& to_;
    const Address who_;
    Open open_;
    bool is_slashed_ = false;
};

/// Asks for the logs of a long range piece by piece; nodes differ in how many blocks they allow.
/// `take` says whether to go on.
Answer<Done> each_log(EthClient& client, LogQuery query,
                      const std::function<bool(const PlacedLog&)>& take,
                      const std::function<void(uint64_t)>& progress) {
    const uint64_t last = query.to_block;
    uint64_t span = kSpanMost;
    while (query.from_block <= last) {
        query.to_block = std::min(last, query.from_block + span - 1);
        const auto logs = client.logs(query);
        if (!logs && logs.error().code == WalletErrorCode::rpc && span > kSpanLeast) {
            span = std::max(kSpanLeast, span / 4);
            continue;
        }
        if (!logs) return unexpected(logs.error());
        for (const auto& log : *logs)
            if (!take(log)) return Done{};
        if (progress) progress(query.to_block - query.from_block + 1);
        query.from_block = query.to_block + 1;
    }
    return Done{};
}

/// Job -> the first block of the query in which `who` has to do with it.
Answer<std::map<uint64_t, uint64_t>> jobs_of(EthClient& client, const EarningsQuery& query) {
    Hash account;
    std::copy(query.who.begin(), query.who.end(), account.bytes.begin() + 12);
    std::map<uint64_t, uint64_t> out;
    uint64_t done = 0;
    const uint64_t all = 2 * (query.to_block - query.from_block + 1);
    // JobTaken and ProviderFined index the provider second, SegmentCommitted third.
    const std::vector<std::vector<std::optional<Hash>>> places = {
        {std::nullopt, std::nullopt, account}, {std::nullopt, std::nullopt, std::nullopt, account}};
    for (const auto& topics : places) {
        const auto read = each_log(
            client, {query.from_block, query.to_block, kMarket, topics},
            [&](const PlacedLog& log) {
                const auto event = read_event(log);
                const bool is_part =
                    event && (event->name == "JobTaken" || event->name == "ProviderFined" ||
                              event->name == "SegmentCommitted");
                if (!is_part) return true;
                const auto known = out.try_emplace(event->job, event->block).first;
                known->second = std::min(known->second, event->block);
                return true;
            },
            [&](uint64_t blocks) {
                if (query.progress && all > 2 * kSpanMost) query.progress(done += blocks, all);
            });
        if (!read) return unexpected(read.error());
    }
    return out;
}

/// What a segment of the job pays after the market's fee.
Answer<Uint256> pay_of(EthClient& client, uint64_t job, const Uint256& fee_bps) {
    const auto spec =
        ask(client,
            {kMarket, "spec(uint256)", {AbiValue::of(Uint256(job))}, in_parentheses(kJobSpecType)});
    if (!spec) return unexpected(spec.error());
    const Uint256 price = job_spec_from((*spec)[0]).price_wei;
    return price - price * fee_bps / Uint256(10'000);
}

Answer<Done> fill_times(EthClient& client, Earnings& earnings) {
    std::map<uint64_t, uint64_t> times;
    const auto fill = [&](auto& entry) -> Answer<Done> {
        auto known = times.find(entry.block);
        if (known == times.end()) {
            const auto block = client.block(to_quantity(Uint256(entry.block)));
            if (!block) return unexpected(block.error());
            known = times.emplace(entry.block, block->timestamp).first;
        }
        entry.time_s = known->second;
        return Done{};
    };
    for (auto& segment : earnings.segments)
        if (auto done = fill(segment); !done) return done;
    for (auto& loss : earnings.losses)
        if (auto done = fill(loss); !done) return done;
    return Done{};
}

}  // namespace

void add_job(Earnings& to, const Address& who, const std::vector<MarketEvent>& events,
             const Uint256& pending_wei) {
    JobFold fold(to, who);
    for (const auto& event : events) fold.take(event);
    fold.end(pending_wei);
}

Answer<uint64_t> block_at(uint64_t time_s, uint64_t head,
                          const std::function<Answer<std::optional<uint64_t>>(uint64_t)>& time_of) {
    uint64_t low = 0, high = head;  // the answer is within
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        const auto time = time_of(middle);
        if (!time) return unexpected(time.error());
        if (*time && **time >= time_s)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

Answer<uint64_t> find_block(EthClient& client, uint64_t time_s, uint64_t head) {
    return block_at(time_s, head, [&](uint64_t number) -> Answer<std::optional<uint64_t>> {
        const auto block = client.block(to_quantity(Uint256(number)));
        if (block) return std::optional(block->timestamp);
        const auto code = block.error().code;
        if (code == WalletErrorCode::rpc || code == WalletErrorCode::malformed)
            return std::optional<uint64_t>{};  // deleted, or never here
        return unexpected(block.error());
    });
}

Answer<Uint256> market_credit(EthClient& client, const Address& who) {
    const auto credit = ask(client, {kMarket, "credit(address)", {AbiValue::of(who)}, "(uint256)"});
    if (!credit) return unexpected(credit.error());
    return (*credit)[0].number;
}

Answer<Earnings> read_earnings(EthClient& client, const EarningsQuery& query) {
    const auto jobs = jobs_of(client, query);
    if (!jobs) return unexpected(jobs.error());
    Earnings out;
    if (jobs->empty()) return out;
    constexpr size_t kFeeBps = 7;  // member of the market's Params
    const auto params = ask(client, {kMarket, "params()", {}, in_parentheses(kParamsType)});
    if (!params) return unexpected(params.error());
    for (const auto& [job, first_block] : *jobs) {
        std::vector<MarketEvent> events;
        const LogQuery logs{
            first_block, query.to_block, kMarket, {std::nullopt, to_hash(Uint256(job))}};
        const auto read = each_log(client, logs,
                                   [&events](const PlacedLog& log) {
                                       auto event = read_event(log);
                                       if (!event) return true;
                                       events.push_back(std::move(*event));
                                       return events.back().name != "JobClosed";
                                   },
                                   {});
        if (!read) return unexpected(read.error());
        const auto pay = pay_of(client, job, (*params)[0][kFeeBps].number);
        if (!pay) return unexpected(pay.error());
        add_job(out, query.who, events, *pay);
    }
    if (auto done = fill_times(client, out); !done) return unexpected(done.error());
    return out;
}

}  // namespace trainyard::node::wallet
