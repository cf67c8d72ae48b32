// SPDX-License-Identifier: Apache-2.0
// Reading, judging and showing the state of a node.
#include "node/cli/health.hpp"

#include <algorithm>
#include <cstdlib>

#include <boost/json.hpp>

#include "node/cli/output.hpp"
#include "node/wallet/json_util.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using wallet::member;
using wallet::quantity64;
using wallet::text_member;

constexpr uint64_t kFinalLate_s = 30;
constexpr uint64_t kDiskLow_bytes = 10'000'000'000;
constexpr int64_t kClockOff_ms = 500;
constexpr uint32_t kTurnsLeast = 8;  ///< docs/spec/staking.md: fewer are no ground for a jail

/// A quantity inside an object inside the answer; zero if it is not there.
uint64_t number_at(const json::value& of, std::string_view outer, std::string_view inner) {
    const auto* object = member(of, outer);
    const auto* value = object == nullptr ? nullptr : member(*object, inner);
    return quantity64(value).value_or(0);
}

void read_peers(const json::value& status, NodeFacts& facts) {
    const auto* peers = member(status, "peers");
    if (peers == nullptr || !peers->is_array()) return;
    for (const auto& peer : peers->get_array()) {
        const auto* inbound = member(peer, "inbound");
        const bool is_in = inbound != nullptr && inbound->is_bool() && inbound->get_bool();
        ++(is_in ? facts.peers_in : facts.peers_out);
    }
}

uint64_t age(uint64_t then_s, uint64_t now_s) {
    return now_s - std::min(now_s, then_s);
}

std::string gigabytes(uint64_t bytes) {
    return std::to_string(bytes / 1'000'000'000) + " GB";
}

std::string clock_words(int64_t ahead_ms) {
    const std::string much = std::to_string(std::llabs(ahead_ms)) + " ms ";
    return ahead_ms == 0 ? "as its peers'"
                         : much + (ahead_ms > 0 ? "behind" : "ahead of") + " its peers'";
}

void judge_validator(const NodeFacts& facts, std::vector<Finding>& out) {
    if (const auto& stake = facts.stake; stake && stake->known) {
        if (stake->tombstoned)
            out.push_back({Trouble::punished, "stake",
                           "tombstoned: slashed for conflicting votes, never elected again"});
        else if (stake->jailed_until != 0)
            out.push_back({Trouble::punished, "stake",
                           "jailed for absence; `trainyard validator unjail` works from block " +
                               std::to_string(stake->jailed_until)});
        if (stake->led >= kTurnsLeast && 2 * stake->missed > stake->led)
            out.push_back({Trouble::warning, "stake",
                           "missed " + std::to_string(stake->missed) + " of " +
                               std::to_string(stake->led) +
                               " turns of this epoch: a jail threatens"});
    }
    if (facts.role == "validator" && !facts.why_not_voting.empty())
        out.push_back({Trouble::not_voting, "votes", "does not vote: " + facts.why_not_voting});
}

std::string stake_words(const NodeFacts& facts) {
    if (!facts.stake || !facts.stake->known) return "not registered";
    const auto& stake = *facts.stake;
    const std::string standing = stake.tombstoned          ? "tombstoned"
                                 : stake.jailed_until != 0 ? "jailed"
                                 : stake.weight_gwei == 0  ? "not eligible"
                                                           : "eligible";
    return standing + ", " + in_coins(stake.self_wei + stake.delegated_wei) + " staked, missed " +
           std::to_string(stake.missed) + " of " + std::to_string(stake.led) +
           " turns of this epoch";
}

std::string painted(const Finding& finding, const std::string& text) {
    return finding.trouble == Trouble::warning ? yellow(text) : red(text);
}

/// Rows in the colour of what was found there.
class Screen {
public:
    explicit Screen(const std::vector<Finding>& findings) : findings_(findings) {}

    void row(const std::string& name, const std::string& value) {
        constexpr size_t kWidth = 11;
        const auto finding = std::find_if(findings_.begin(), findings_.end(),
                                          [&](const Finding& f) { return f.row == name; });
        text_ += dim(name) + std::string(kWidth - std::min(kWidth - 1, name.size()), ' ') +
                 (finding == findings_.end() ? value : painted(*finding, value)) + "\n";
    }
    /// The verdict.
    [[nodiscard]] std::string finish() {
        if (findings_.empty()) return text_ + green("well");
        for (const auto& finding : findings_) {
            const bool is_warning = finding.trouble == Trouble::warning;
            text_ +=
                painted(finding, is_warning ? "warning: " : "trouble: ") + finding.words + "\n";
        }
        text_.pop_back();
        return text_;
    }

private:
    const std::vector<Finding>& findings_;
    std::string text_;
};

std::string point_words(uint64_t height, uint64_t time_s, uint64_t now_s) {
    return std::to_string(height) + ", " + seconds_text(age(time_s, now_s)) + " old";
}

}  // namespace

std::optional<NodeFacts> facts_from(const std::string& status, const std::string& syncing) {
    const auto parsed = wallet::parse_json(status);
    const auto version = parsed ? text_member(*parsed, "version") : std::nullopt;
    if (!version || member(*parsed, "finalized") == nullptr) return std::nullopt;
    const json::value& s = *parsed;
    NodeFacts facts;
    facts.version = *version;
    facts.role = text_member(s, "role").value_or("");
    facts.waits_for = text_member(s, "waitsFor").value_or("");
    facts.halted = text_member(s, "halted").value_or("");
    facts.why_not_voting = text_member(s, "whyNotVoting").value_or("");
    facts.chain_id = quantity64(member(s, "chainId")).value_or(0);
    facts.epoch = quantity64(member(s, "epoch")).value_or(0);
    facts.view = quantity64(member(s, "view")).value_or(0);
    facts.uptime_s = quantity64(member(s, "uptime")).value_or(0);
    facts.head = number_at(s, "head", "number");
    facts.head_time_s = number_at(s, "head", "timestamp");
    facts.final = number_at(s, "finalized", "number");
    facts.final_time_s = number_at(s, "finalized", "timestamp");
    facts.disk_free_bytes = quantity64(member(s, "diskFree"));
    read_peers(s, facts);
    if (const auto text = text_member(s, "operator"))
        facts.operator_address = fixed_from_hex<Address>(*text);
    const auto* clock = member(s, "clockAheadMs");
    if (clock != nullptr && clock->is_number()) facts.clock_ahead_ms = clock->to_number<int64_t>();
    if (const auto sync = wallet::parse_json(syncing); sync && sync->is_object())
        facts.highest = quantity64(member(*sync, "highestBlock"));
    return facts;
}

std::vector<Finding> judge(const NodeFacts& facts, uint64_t now_s) {
    std::vector<Finding> out;
    if (!facts.halted.empty())
        out.push_back({Trouble::halted, "node", "stands still: " + facts.halted});
    judge_validator(facts, out);
    const uint64_t final_age_s = age(facts.final_time_s, now_s);
    if (facts.highest && *facts.highest > facts.final)
        out.push_back({Trouble::behind, "sync",
                       "catches up: " + std::to_string(*facts.highest - facts.final) +
                           " blocks behind the best of its peers"});
    else if (final_age_s > kFinalLate_s)
        out.push_back({Trouble::stalled, "final",
                       "nothing became final for " + seconds_text(final_age_s) + ": it waits for " +
                           facts.waits_for});
    if (facts.peers_in + facts.peers_out == 0)
        out.push_back(
            {Trouble::warning, "peers", "no peers: check p2p.peers, p2p.seeds and the firewall"});
    if (facts.disk_free_bytes && *facts.disk_free_bytes < kDiskLow_bytes)
        out.push_back({Trouble::warning, "disk",
                       "only " + gigabytes(*facts.disk_free_bytes) +
                           " of disk free; with none left it stands still"});
    if (facts.clock_ahead_ms && std::llabs(*facts.clock_ahead_ms) >= kClockOff_ms)
        out.push_back({Trouble::warning, "clock",
                       "its clock is " + clock_words(*facts.clock_ahead_ms) +
                           ": check chrony or systemd-timesyncd"});
    std::stable_sort(out.begin(), out.end(),
                     [](const auto& a, const auto& b) { return a.trouble < b.trouble; });
    return out;
}

std::string screen_of(const NodeFacts& facts, const std::vector<Finding>& findings,
                      uint64_t now_s) {
    Screen screen(findings);
    screen.row("node", facts.version + ", " + facts.role + ", up " + seconds_text(facts.uptime_s));
    screen.row("chain", std::to_string(facts.chain_id) + ", epoch " + std::to_string(facts.epoch) +
                            ", view " + std::to_string(facts.view));
    screen.row("head", point_words(facts.head, facts.head_time_s, now_s));
    screen.row("final", point_words(facts.final, facts.final_time_s, now_s));
    screen.row("sync", facts.highest ? "catching up to " + std::to_string(*facts.highest)
                                     : std::string("in step"));
    screen.row("waits for", facts.waits_for.empty() ? "nothing" : facts.waits_for);
    screen.row("peers", std::to_string(facts.peers_in + facts.peers_out) + ", " +
                            std::to_string(facts.peers_in) + " of them came to it");
    if (facts.operator_address) {
        screen.row("validator", to_hex0x(facts.operator_address->bytes));
        screen.row("stake", stake_words(facts));
        screen.row("votes", facts.role != "validator"      ? "no, it is in no set"
                            : facts.why_not_voting.empty() ? "yes"
                                                           : "no: " + facts.why_not_voting);
    }
    screen.row("disk",
               facts.disk_free_bytes ? gigabytes(*facts.disk_free_bytes) + " free" : "unknown");
    screen.row("clock", facts.clock_ahead_ms ? clock_words(*facts.clock_ahead_ms)
                                             : "not compared: fewer than three peers");
    return screen.finish();
}

std::string json_of(const NodeFacts& facts, const std::vector<Finding>& findings) {
    json::array problems;
    for (const auto& finding : findings)
        problems.push_back(
            json::object{{"code", static_cast<int>(finding.trouble)}, {"words", finding.words}});
    json::object out{{"well", findings.empty()},
                     {"problems", std::move(problems)},
                     {"version", facts.version},
                     {"role", facts.role},
                     {"chainId", facts.chain_id},
                     {"epoch", facts.epoch},
                     {"view", facts.view},
                     {"head", facts.head},
                     {"headTime", facts.head_time_s},
                     {"final", facts.final},
                     {"finalTime", facts.final_time_s},
                     {"uptimeSeconds", facts.uptime_s},
                     {"peers", facts.peers_in + facts.peers_out},
                     {"waitsFor", facts.waits_for},
                     {"whyNotVoting", facts.why_not_voting}};
    if (facts.highest) out["catchingUpTo"] = *facts.highest;
    if (facts.disk_free_bytes) out["diskFreeBytes"] = *facts.disk_free_bytes;
    if (facts.clock_ahead_ms) out["clockAheadMs"] = *facts.clock_ahead_ms;
    if (facts.operator_address) out["operator"] = to_hex0x(facts.operator_address->bytes);
    if (facts.stake && facts.stake->known) {
        const auto& stake = *facts.stake;
        out["stake"] = json::object{{"selfWei", to_decimal(stake.self_wei)},
                                    {"delegatedWei", to_decimal(stake.delegated_wei)},
                                    {"weightGwei", stake.weight_gwei},
                                    {"jailedUntil", stake.jailed_until},
                                    {"tombstoned", stake.tombstoned},
                                    {"led", stake.led},
                                    {"missed", stake.missed}};
    }
    return json::serialize(out);
}

}  // namespace trainyard::node::cli
