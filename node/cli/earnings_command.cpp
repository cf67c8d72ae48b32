// SPDX-License-Identifier: Apache-2.0
// `trainyard provider earnings`: pay and losses of a provider, by day, job and segment.
#include <map>

#include <boost/json.hpp>

#include "node/cli/commands.hpp"
#include "node/wallet/earnings.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using wallet::BookingKind;
using wallet::Earnings;
using wallet::SegmentState;

constexpr uint64_t kDay_s = 86'400;
/// A segment is final at most so long after its commitment, with disputes and an appeal.
constexpr uint64_t kAuditDays = 7;

struct Sum {
    Uint256 wei;
    uint64_t count = 0;
    void add(const Uint256& more_wei) {
        wei += more_wei;
        ++count;
    }
};

struct Window {
    std::string name;
    uint64_t from_s = 0;
    Sum paid;
};

/// What moved besides pay.
struct Bookings {
    Uint256 lost_wei, gained_wei, appealed_wei, returned_wei;
    void add(const wallet::Booking& booking) { of(booking.kind) += booking.wei; }

private:
    Uint256& of(BookingKind kind) {
        if (kind == BookingKind::appeal_bond) return appealed_wei;
        if (kind == BookingKind::appeal_return) return returned_wei;
        return wallet::is_gain(kind) ? gained_wei : lost_wei;
    }
};

struct JobPart {
    Sum paid, pending;
    Bookings bookings;
};

/// What is shown, summed up; bookings and jobs are those of the whole time that was asked for.
struct Report {
    Address who;
    uint64_t block = 0, now_s = 0;
    std::vector<Window> windows;
    Sum pending;
    Bookings bookings;
    Uint256 credit_wei;
    std::map<uint64_t, JobPart> jobs;
    Earnings earnings;
};

std::vector<Window> windows_of(uint64_t now_s, uint64_t days) {
    const auto since = [&](uint64_t n) { return now_s - std::min(now_s, n * kDay_s); };
    std::vector<Window> out{{"today", now_s - now_s % kDay_s, {}}};
    for (const uint64_t usual : {uint64_t{7}, uint64_t{30}})
        if (usual < days) out.push_back({std::to_string(usual) + " days", since(usual), {}});
    out.push_back({std::to_string(days) + (days == 1 ? " day" : " days"), since(days), {}});
    return out;
}

void sum_up(Report& r) {
    const uint64_t from_s = r.windows.back().from_s;
    std::erase_if(r.earnings.segments, [&](const auto& s) {
        return s.state != SegmentState::committed && s.time_s < from_s;
    });
    std::erase_if(r.earnings.bookings, [&](const auto& entry) { return entry.time_s < from_s; });
    for (const auto& segment : r.earnings.segments) {
        auto& job = r.jobs[segment.job];
        if (segment.state == SegmentState::final_) {
            job.paid.add(segment.wei);
            for (auto& window : r.windows)
                if (segment.time_s >= window.from_s) window.paid.add(segment.wei);
        } else if (segment.state == SegmentState::committed) {
            job.pending.add(segment.wei);
            r.pending.add(segment.wei);
        }
    }
    for (const auto& booking : r.earnings.bookings) {
        r.jobs[booking.job].bookings.add(booking);
        r.bookings.add(booking);
    }
}

std::string state_of(const wallet::EarnedSegment& segment) {
    if (segment.state == SegmentState::committed) return "pending";
    return std::string(wallet::to_text(segment.state));
}
/// Of all that came in and went out, with its sign.
template <class Show>
std::string sum_of(const Report& r, Show show) {
    const auto flow = wallet::flow_of(r.earnings);
    return flow.in_wei < flow.out_wei ? "-" + show(flow.out_wei - flow.in_wei)
                                      : show(flow.in_wei - flow.out_wei);
}

json::object as_json(const Sum& sum) {
    return {{"wei", to_decimal(sum.wei)}, {"segments", sum.count}};
}

template <class Entry>
json::object placed(const Entry& entry, json::object with) {
    with["wei"] = to_decimal(entry.wei);
    with["block"] = entry.block;
    with["time"] = entry.time_s;
    with["tx"] = to_hex0x(entry.tx.bytes);
    return with;
}

int tell_json(const Output& out, const Report& r) {
    json::object windows, jobs;
    const auto with = [](json::object object, const Bookings& moved) {
        object["lostWei"] = to_decimal(moved.lost_wei);
        object["gainedWei"] = to_decimal(moved.gained_wei);
        object["appealBondsWei"] = to_decimal(moved.appealed_wei);
        object["appealBondsReturnedWei"] = to_decimal(moved.returned_wei);
        return object;
    };
    for (const auto& window : r.windows) windows[window.name] = as_json(window.paid);
    for (const auto& [id, job] : r.jobs)
        jobs[std::to_string(id)] =
            with({{"final", as_json(job.paid)}, {"pending", as_json(job.pending)}}, job.bookings);
    json::array segments, bookings;
    for (const auto& s : r.earnings.segments)
        segments.push_back(placed(s, {{"job", s.job}, {"segment", s.seg}, {"state", state_of(s)}}));
    for (const auto& booking : r.earnings.bookings) {
        json::object entry{{"job", booking.job},
                           {"kind", wallet::to_text(booking.kind)},
                           {"gain", wallet::is_gain(booking.kind)}};
        if (booking.seg) entry["segment"] = *booking.seg;
        bookings.push_back(placed(booking, std::move(entry)));
    }
    json::object object{{"provider", to_hex0x(r.who.bytes)},
                        {"block", r.block},
                        {"time", r.now_s},
                        {"final", std::move(windows)},
                        {"pending", as_json(r.pending)},
                        {"sumWei", sum_of(r, [](const auto& wei) { return to_decimal(wei); })},
                        {"creditWei", to_decimal(r.credit_wei)},
                        {"jobs", std::move(jobs)},
                        {"segments", std::move(segments)},
                        {"bookings", std::move(bookings)}};
    out.line(json::serialize(with(std::move(object), r.bookings)));
    return kOk;
}

int tell_csv(const Output& out, const Report& r) {
    out.line("job,segment,state,time,block,coins,tx");
    const auto end_of = [](const auto& entry, const std::string& sign) {
        return "," + utc_text(entry.time_s) + "," + std::to_string(entry.block) + "," + sign +
               coins(entry.wei) + "," + to_hex0x(entry.tx.bytes);
    };
    for (const auto& s : r.earnings.segments)
        out.line(std::to_string(s.job) + "," + std::to_string(s.seg) + "," + state_of(s) +
                 end_of(s, ""));
    for (const auto& booking : r.earnings.bookings)
        out.line(std::to_string(booking.job) + "," +
                 (booking.seg ? std::to_string(*booking.seg) : "") + "," +
                 std::string(wallet::to_text(booking.kind)) +
                 end_of(booking, wallet::is_gain(booking.kind) ? "" : "-"));
    return kOk;
}

int tell_text(const Output& out, const Report& r) {
    const auto row = [&](const std::string& name, const std::string& text) {
        out.line(name + std::string(name.size() < 10 ? 10 - name.size() : 1, ' ') + text);
    };
    const auto count = [](uint64_t n) {
        return std::to_string(n) + (n == 1 ? " segment" : " segments");
    };
    const std::string days = r.windows.back().name;
    out.line(to_hex0x(r.who.bytes) + " at block " + std::to_string(r.block) + ", " +
             utc_text(r.now_s));
    for (const auto& window : r.windows)
        row(window.name, in_coins(window.paid.wei) + ", " + count(window.paid.count) + " final");
    row("pending", in_coins(r.pending.wei) + ", " + count(r.pending.count) + " under audit");
    const auto& moved = r.bookings;
    row("lost", in_coins(moved.lost_wei) + " by fines and slashes in " + days);
    if (!moved.gained_wei.is_zero())
        row("gained", in_coins(moved.gained_wei) + ", halves of what others lost, in " + days);
    if (!moved.appealed_wei.is_zero() || !moved.returned_wei.is_zero())
        row("appeals", in_coins(moved.appealed_wei) + " put up, " + coins(moved.returned_wei) +
                           " came back, in " + days);
    row("sum", sum_of(r, coins) + " coins in " + days + ", before gas");
    row("credit", in_coins(r.credit_wei) + " at the market, for `trainyard job withdraw`");
    for (const auto& [id, job] : r.jobs)
        row("job " + std::to_string(id),
            in_coins(job.paid.wei) + " for " + count(job.paid.count) + ", pending " +
                coins(job.pending.wei) + " for " + std::to_string(job.pending.count) + ", lost " +
                coins(job.bookings.lost_wei) +
                (job.bookings.gained_wei.is_zero() ? ""
                                                   : ", gained " + coins(job.bookings.gained_wei)));
    return kOk;
}

Result<Address, std::string> provider_of(const EarningsArgs& args) {
    if (args.provider.empty() == args.key.key.empty())
        return unexpected(std::string("name a provider: its address, or --key"));
    if (args.provider.empty()) {
        const auto key = open_key(args.key);
        if (!key) return unexpected(key.error());
        return *address_of(*key);
    }
    return *fixed_from_hex<Address>(args.provider);  // one, as the command line has seen
}

wallet::Answer<Report> read_report(const Output& out, const Address& who,
                                   const EarningsArgs& args) {
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return unexpected(client.error());
    const auto head = (*client)->block("latest");
    if (!head) return unexpected(head.error());
    Report report;
    report.who = who;
    report.block = head->number;
    report.now_s = head->timestamp;
    report.windows = windows_of(report.now_s, args.days);
    const uint64_t from_s = report.windows.back().from_s;
    const auto first =
        wallet::find_block(**client, from_s - std::min(from_s, kAuditDays * kDay_s), head->number);
    if (!first) return unexpected(first.error());
    ProgressLine line(out);
    auto earnings = wallet::read_earnings(
        **client, {who, *first, head->number, [&line](uint64_t done, uint64_t all) {
                       line.show("read " + std::to_string(100 * done / all) + " % of the logs");
                   }});
    line.clear();
    if (!earnings) return unexpected(earnings.error());
    const auto credit = wallet::market_credit(**client, who);
    if (!credit) return unexpected(credit.error());
    report.credit_wei = *credit;
    report.earnings = std::move(*earnings);
    sum_up(report);
    return report;
}

}  // namespace

int run_provider_earnings(const Output& out, const EarningsArgs& args) {
    if (args.csv && out.json) return out.fail("--csv and --json exclude each other"), kUsage;
    const auto who = provider_of(args);
    if (!who) return out.fail(who.error()), kUsage;
    const auto report = read_report(out, *who, args);
    if (!report) return out.fail(report.error().text);
    if (args.csv) return tell_csv(out, *report);
    return out.json ? tell_json(out, *report) : tell_text(out, *report);
}

}  // namespace trainyard::node::cli
