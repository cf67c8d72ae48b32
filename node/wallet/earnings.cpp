// SPDX-License-Identifier: Apache-2.0
// Events folded into segments; ranges of blocks that nodes with narrow limits answer, too.
#include "node/wallet/earnings.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "node/wallet/log_walk.hpp"
#include "node/wallet/market_abi.hpp"
#include "node/wallet/view_call.hpp"

namespace trainyard::node::wallet {
namespace {

/// The word at this place of an event's data.
Uint256 word(const MarketEvent& event, size_t place) {
    const size_t at = place * 32;
    return event.data.size() < at + 32 ? Uint256{} : from_be(BytesView(event.data).subspan(at, 32));
}

/// Whoever only kept silent pays nothing to the provider.
bool is_for_silence(const MarketEvent& fined) {
    static const auto type = *parse_abi_type("(uint256,string)");
    const auto values = abi_decode(type, fined.data);
    return !values || as_text((*values)[1].bytes) == "silent";
}

/// One job while its events pass by: which segments of it are neither final nor void, and the bonds
/// against them.
class JobFold {
public:
    JobFold(Earnings& to, const Address& who, const JobTerms& terms)
        : to_(to), who_(who), terms_(terms) {}

    void take(const MarketEvent& e) {
        if (e.name == "ProviderFined" && e.who == who_) book(BookingKind::fine, word(e, 0), e);
        if (!e.seg) return;
        for (const auto& [name, handle] : kHandlers)
            if (e.name == name) (this->*handle)(e);
    }
    void end() {
        for (const auto& [seg, at] : open_) {
            const auto diverged = diverged_.find(seg);
            const uint64_t done = diverged == diverged_.end() ? terms_.steps : diverged->second;
            to_.segments[at].wei = is_slashed_ ? Uint256{} : terms_.pay_wei(done);
        }
    }

private:
    using Open = std::map<uint32_t, size_t>;  ///< segment -> index in to_.segments
    using Handler = void (JobFold::*)(const MarketEvent&);
    struct Fines {
        Hash tx;
        Uint256 halves_wei;
    };

    void book(BookingKind kind, const Uint256& wei, const MarketEvent& e) {
        if (!wei.is_zero()) to_.bookings.push_back({e.job, e.seg, kind, wei, e.block, 0, e.tx});
    }
    void on_committed(const MarketEvent& e) {
        open_.erase(*e.seg);
        diverged_.erase(*e.seg);
        if (e.who != who_) return;
        open_[*e.seg] = to_.segments.size();
        to_.segments.push_back({e.job, *e.seg, SegmentState::committed, {}, e.block, 0, e.tx});
    }
    void on_diverged(const MarketEvent& e) {
        if (word(e, 0) < Uint256(terms_.steps)) diverged_[*e.seg] = word(e, 0).low();
    }
    void on_final(const MarketEvent& e) { settle(open_.find(*e.seg), SegmentState::final_, e); }
    void settle(Open::iterator at, SegmentState state, const MarketEvent& e) {
        if (at == open_.end()) return;
        auto& segment = to_.segments[at->second];
        segment.state = state;
        segment.wei = state == SegmentState::final_ ? word(e, 0) : Uint256{};
        segment.block = e.block;
        segment.tx = e.tx;
        open_.erase(at);
    }
    void on_void(const MarketEvent& e) {
        for (auto at = open_.lower_bound(*e.seg); at != open_.end(); at = open_.lower_bound(*e.seg))
            settle(at, SegmentState::void_, e);
        fines_.erase(*e.seg);
        if (e.who != who_ || word(e, 0).is_zero()) return;
        is_slashed_ = true;
        book(BookingKind::slash, word(e, 0), e);
    }

    // --- who calls a segment wrong, and is wrong

    void on_challenged(const MarketEvent& e) { challenge_bonds_[*e.seg] = word(e, 0); }
    void on_disputed(const MarketEvent& e) { dispute_bonds_[*e.seg] = word(e, 0); }
    void on_challenge_settled(const MarketEvent& e) {
        if (!is_lost_against_us(e)) return;
        const auto rest = checked_sub(challenge_bonds_[*e.seg], terms_.committee_fees_wei);
        book(BookingKind::challenge_half, rest.value_or(Uint256{}) / Uint256(2), e);
    }
    void on_dispute_settled(const MarketEvent& e) {
        if (is_lost_against_us(e))
            book(BookingKind::dispute_half, dispute_bonds_[*e.seg] / Uint256(2), e);
    }
    /// (won, returned): a bond that came back though nothing was won decided nothing.
    [[nodiscard]] bool is_lost_against_us(const MarketEvent& settled) const {
        return open_.contains(*settled.seg) && word(settled, 0).is_zero() &&
               word(settled, 1).is_zero();
    }
    /// The same event tells fines of which the provider gets nothing, those of a segment that falls
    /// with them. What becomes of it the same transaction tells after them.
    void on_fined(const MarketEvent& e) {
        if (is_for_silence(e)) return;
        Fines& fines = fines_[*e.seg];
        if (fines.tx != e.tx) fines = {e.tx, {}};
        fines.halves_wei += word(e, 0) / Uint256(2);
    }
    void on_accepted(const MarketEvent& e) {
        const auto fines = fines_.find(*e.seg);
        if (fines == fines_.end()) return;
        if (fines->second.tx == e.tx && open_.contains(*e.seg))
            book(BookingKind::fine_half, fines->second.halves_wei, e);
        fines_.erase(fines);
    }

    void on_appealed(const MarketEvent& e) {
        if (e.who == who_) book(BookingKind::appeal_bond, word(e, 0), e);
    }
    void on_appeal_settled(const MarketEvent& e) {
        if (e.who == who_) book(BookingKind::appeal_return, word(e, 1), e);
    }

    static constexpr std::pair<std::string_view, Handler> kHandlers[] = {
        {"SegmentCommitted", &JobFold::on_committed},
        {"SegmentDiverged", &JobFold::on_diverged},
        {"SegmentFinal", &JobFold::on_final},
        {"SegmentVoid", &JobFold::on_void},
        {"SegmentAccepted", &JobFold::on_accepted},
        {"SegmentChallenged", &JobFold::on_challenged},
        {"ChallengeSettled", &JobFold::on_challenge_settled},
        {"SegmentDisputed", &JobFold::on_disputed},
        {"DisputeSettled", &JobFold::on_dispute_settled},
        {"SegmentAppealed", &JobFold::on_appealed},
        {"AppealSettled", &JobFold::on_appeal_settled},
        {"AuditorFined", &JobFold::on_fined},
    };

    Earnings& to_;
    const Address who_;
    const JobTerms terms_;
    Open open_;
    std::map<uint32_t, uint64_t> diverged_;  ///< segment -> number of its step without a result
    std::map<uint32_t, Uint256> challenge_bonds_, dispute_bonds_;  ///< the last of each segment
    std::map<uint32_t, Fines> fines_;  ///< of a transaction that has not told its end yet
    bool is_slashed_ = false;
};

/// Where a job's events are read.
struct JobSpan {
    uint64_t first = 0;        ///< block in which the query first meets `who` there
    uint64_t last_return = 0;  ///< block in which a bond came back, perhaps after the job's end
};

/// Events that name a provider.
bool is_part(const MarketEvent& event) {
    constexpr std::string_view kNames[] = {"JobTaken",    "ProviderFined",   "SegmentCommitted",
                                           "SegmentVoid", "SegmentAppealed", "AppealSettled"};
    return std::find(std::begin(kNames), std::end(kNames), event.name) != std::end(kNames);
}

/// The jobs with which `who` has to do in the query.
Answer<std::map<uint64_t, JobSpan>> jobs_of(EthClient& client, const EarningsQuery& query) {
    Hash account;
    std::copy(query.who.begin(), query.who.end(), account.bytes.begin() + 12);
    std::map<uint64_t, JobSpan> out;
    uint64_t done = 0;
    const uint64_t all = 2 * (query.to_block - query.from_block + 1);
    // Events of jobs index the provider second, those of segments third.
    const std::vector<std::vector<std::optional<Hash>>> places = {
        {std::nullopt, std::nullopt, account}, {std::nullopt, std::nullopt, std::nullopt, account}};
    for (const auto& topics : places) {
        const auto read = each_log(
            client, {query.from_block, query.to_block, kMarket, topics},
            [&](const PlacedLog& log) {
                const auto event = read_event(log);
                if (!event || !is_part(*event)) return true;
                auto& span = out.try_emplace(event->job, JobSpan{event->block, 0}).first->second;
                span.first = std::min(span.first, event->block);
                if (event->name == "AppealSettled") span.last_return = event->block;
                return true;
            },
            [&](uint64_t blocks) {
                if (query.progress && all > 2 * kLogSpanMost) query.progress(done += blocks, all);
            });
        if (!read) return unexpected(read.error());
    }
    return out;
}

/// As the market's parameters are now, which never change.
Answer<JobTerms> terms_of(EthClient& client, uint64_t job, const AbiValue& params) {
    constexpr size_t kK2 = 2, kFeeBps = 7;  // members of the market's Params
    const auto asked =
        ask(client,
            {kMarket, "spec(uint256)", {AbiValue::of(Uint256(job))}, in_parentheses(kJobSpecType)});
    if (!asked) return unexpected(asked.error());
    const JobSpec spec = job_spec_from((*asked)[0]);
    return JobTerms{spec.price_wei, params[kFeeBps].number,
                    std::max<uint64_t>(spec.steps_per_segment, 1),
                    spec.audit_fee_wei * params[kK2].number};
}

/// A job's events, up to its end and what came back after it.
Answer<std::vector<MarketEvent>> events_of(EthClient& client, uint64_t job, const JobSpan& span,
                                           uint64_t to_block) {
    std::vector<MarketEvent> out;
    bool is_closed = false;
    const auto read =
        each_log(client, {span.first, to_block, kMarket, {std::nullopt, to_hash(Uint256(job))}},
                 [&](const PlacedLog& log) {
                     auto event = read_event(log);
                     if (!event) return true;
                     out.push_back(std::move(*event));
                     is_closed = is_closed || out.back().name == "JobClosed";
                     return !is_closed || out.back().block <= span.last_return;
                 },
                 {});
    if (!read) return unexpected(read.error());
    return out;
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
    for (auto& booking : earnings.bookings)
        if (auto done = fill(booking); !done) return done;
    return Done{};
}

}  // namespace

std::string_view to_text(BookingKind kind) {
    constexpr std::string_view kTexts[] = {"fined",
                                           "slashed",
                                           "appeal bond",
                                           "appeal bond returned",
                                           "half of a challenge's bond",
                                           "half of a dispute's bond",
                                           "half of auditors' fines"};
    return kTexts[static_cast<size_t>(kind)];
}

bool is_gain(BookingKind kind) {
    return kind >= BookingKind::appeal_return;
}

Uint256 JobTerms::pay_wei(uint64_t done) const {
    const Uint256 price = price_wei * Uint256(done) / Uint256(steps);
    return price - price * fee_bps / Uint256(10'000);
}

Flow flow_of(const Earnings& earnings) {
    Flow out;
    for (const auto& segment : earnings.segments)
        if (segment.state == SegmentState::final_) out.in_wei += segment.wei;
    for (const auto& booking : earnings.bookings)
        (is_gain(booking.kind) ? out.in_wei : out.out_wei) += booking.wei;
    return out;
}

void add_job(Earnings& to, const Address& who, const std::vector<MarketEvent>& events,
             const JobTerms& terms) {
    JobFold fold(to, who, terms);
    for (const auto& event : events) fold.take(event);
    fold.end();
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
    const auto params = ask(client, {kMarket, "params()", {}, in_parentheses(kParamsType)});
    if (!params) return unexpected(params.error());
    for (const auto& [job, span] : *jobs) {
        const auto events = events_of(client, job, span, query.to_block);
        if (!events) return unexpected(events.error());
        const auto terms = terms_of(client, job, (*params)[0]);
        if (!terms) return unexpected(terms.error());
        add_job(out, query.who, *events, *terms);
    }
    if (auto done = fill_times(client, out); !done) return unexpected(done.error());
    return out;
}

}  // namespace trainyard::node::wallet
