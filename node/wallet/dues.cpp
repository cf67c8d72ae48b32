// SPDX-License-Identifier: Apache-2.0
// The bonds' file, and what is worth a transaction.
#include "node/wallet/dues.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>

#include "node/wallet/coins.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::wallet {
namespace {

constexpr size_t kFileBytesMax = 4u << 20;
constexpr size_t kLooksMax = 8;                                  ///< at bonds, in one turn
constexpr uint64_t kReclaimBlocks = 16, kWithdrawBlocks = 4096;  ///< between two turns
constexpr uint64_t kGas = 100'000;  ///< that reclaim and withdraw take at most
constexpr uint64_t kWorth = 100;    ///< times its gas: credit grows, and may wait for more

std::optional<PutUp> read_line(std::string_view line) {
    PutUp out;
    const char *at = line.data(), *const end = at + line.size();
    const auto read = [&](auto& into) {
        const auto [after, error] = std::from_chars(at, end, into);
        at = after;
        return error == std::errc{};
    };
    const auto comma = [&] { return at != end && *at++ == ','; };
    const bool is_whole =
        read(out.job) && comma() && read(out.seg) && comma() && read(out.attempt) && at == end;
    return is_whole ? std::optional(out) : std::nullopt;
}

/// nullopt: the node does not say.
std::optional<bool> is_worth(MarketApi& market, const Uint256& wei, uint64_t times) {
    const auto price = market.gas_price();
    if (!price) return std::nullopt;
    return wei >= *price * Uint256(kGas * times);
}

std::optional<Withdrawal> withdraw(MarketApi& market) {
    const auto credit = market.credit(market.self());
    if (!credit || credit->is_zero()) return std::nullopt;
    if (!is_worth(market, *credit, kWorth).value_or(false)) return std::nullopt;
    auto sent = market.withdraw();
    if (!sent) return std::nullopt;
    return Withdrawal{*credit, std::move(*sent)};
}

}  // namespace

BondFate fate_of(const PutUp& bond, const Job& job, const Segment& segment) {
    if (job.state == JobState::none) return BondFate::decided;  // of a chain that was begun anew
    const bool is_there = bond.seg < job.tip && segment.attempt == bond.attempt;
    if (is_there) return segment.state == SegmentState::final_ ? BondFate::decided : BondFate::open;
    if (job.attempt > bond.attempt) return BondFate::fell;
    // The node is behind, or the chain another one.
    return job.state == JobState::closed ? BondFate::decided : BondFate::open;
}

std::set<PutUp> put_up_in(const std::vector<MarketEvent>& events, const Address& who) {
    constexpr std::string_view kNames[] = {"SegmentChallenged", "SegmentDisputed",
                                           "SegmentAppealed"};
    std::set<PutUp> out;
    std::map<uint32_t, uint32_t> attempts;  // by segment, of its last commitment
    uint32_t voids = 0;
    for (const auto& event : events) {
        if (!event.seg) continue;
        if (event.name == "SegmentVoid") ++voids;
        if (event.name == "SegmentCommitted") attempts[*event.seg] = voids;
        const bool is_bond =
            std::find(std::begin(kNames), std::end(kNames), event.name) != std::end(kNames);
        if (is_bond && event.who == who) out.insert({event.job, *event.seg, attempts[*event.seg]});
    }
    return out;
}

std::vector<std::string> lines_of(const Collected& collected) {
    std::vector<std::string> out;
    for (const PutUp& bond : collected.reclaimed)
        out.push_back("took back what was put up at segment " + std::to_string(bond.seg) +
                      " of job " + std::to_string(bond.job) +
                      ", which fell with an earlier one: it is credit at the market now");
    if (collected.withdrawn)
        out.push_back("withdrew " + in_coins(collected.withdrawn->wei) +
                      " of credit from the market");
    return out;
}

Dues::Dues(std::string path) : path_(std::move(path)) {
    const auto text = read_text(path_, kFileBytesMax);
    std::string_view rest = text ? std::string_view(*text) : std::string_view();
    while (!rest.empty()) {
        const auto end = std::min(rest.find('\n'), rest.size());
        if (const auto bond = read_line(rest.substr(0, end))) bonds_.insert(*bond);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
}

void Dues::write() const {
    std::string text;
    for (const PutUp& bond : bonds_)
        text += std::to_string(bond.job) + "," + std::to_string(bond.seg) + "," +
                std::to_string(bond.attempt) + "\n";
    (void)make_folder(std::filesystem::path(path_).parent_path().string());
    (void)write_text(path_, text);
}

void Dues::note(const PutUp& bond) {
    const std::lock_guard lock(mutex_);
    if (bonds_.insert(bond).second) write();
}

void Dues::forget(const PutUp& bond) {
    const std::lock_guard lock(mutex_);
    if (bonds_.erase(bond) > 0) write();
}

std::vector<PutUp> Dues::next_turn() {
    const std::lock_guard lock(mutex_);
    std::vector<PutUp> out;
    auto at = bonds_.upper_bound(looked_at_);
    while (out.size() < std::min(kLooksMax, bonds_.size())) {
        if (at == bonds_.end()) at = bonds_.begin();
        out.push_back(*at++);
    }
    if (!out.empty()) looked_at_ = out.back();
    return out;
}

/// True if it came back.
bool Dues::look_at(MarketApi& market, const PutUp& bond) {
    const auto job = market.job(bond.job);
    const auto segment = market.segment(bond.job, bond.seg);
    if (!job || !segment) return false;
    const BondFate fate = fate_of(bond, *job, *segment);
    if (fate == BondFate::open) return false;
    if (fate == BondFate::decided) return forget(bond), false;
    const auto least = market.appeal_bond(bond.job);  // a challenge's and a dispute's are no less
    if (!least || !is_worth(market, *least, 1).value_or(false)) return false;
    const auto sent = market.reclaim(bond.job, bond.seg, bond.attempt);
    // After any other refusal it is asked for again.
    const bool is_nothing_due = !sent && sent.error().code == WalletErrorCode::reverted &&
                                sent.error().text.find("NothingDue") != std::string::npos;
    if (sent || is_nothing_due) forget(bond);
    return sent.has_value();
}

Collected Dues::reclaim(MarketApi& market, uint64_t head) {
    {
        const std::lock_guard lock(mutex_);
        if (head < reclaim_at_) return {};
        reclaim_at_ = head + kReclaimBlocks;
    }
    Collected out;
    for (const PutUp& bond : next_turn())
        if (look_at(market, bond)) out.reclaimed.push_back(bond);
    return out;
}

Collected Dues::collect(MarketApi& market, uint64_t head) {
    Collected out = reclaim(market, head);
    {
        const std::lock_guard lock(mutex_);
        if (head < withdraw_at_) return out;
        withdraw_at_ = head + kWithdrawBlocks;
    }
    out.withdrawn = withdraw(market);
    return out;
}

size_t Dues::size() const {
    const std::lock_guard lock(mutex_);
    return bonds_.size();
}

}  // namespace trainyard::node::wallet
