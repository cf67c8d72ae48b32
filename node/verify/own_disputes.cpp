// SPDX-License-Identifier: Apache-2.0
// Who puts up the bond, and whose turn is played when.
#include "node/verify/own_disputes.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "node/verify/dispute_player.hpp"
#include "node/wallet/coins.hpp"

namespace trainyard::node::verify {
namespace {

using Step = DisputePlayer::Step;

constexpr uint64_t kTurnBlocks = 4;  ///< for so many blocks one of those who convicted is due
constexpr uint64_t kLastBlocks = 8;  ///< before the deadline, in which all of them are

/// A Mismatch that says what the segment should have been.
bool convicts(const wallet::AnswerState& answer) {
    return answer.verdict == wallet::Verdict::mismatch && answer.answers.size() == 1 &&
           answer.answers[0] != wallet::kUnsound && answer.answers[0] != wallet::kWithheld;
}

/// A segment of one attempt, whatever it waits for.
Seat key_of(const Seat& seat) {
    return {seat.job, seat.seg, seat.attempt};
}
std::string name_of(const Seat& seat) {
    return "segment " + std::to_string(seat.seg) + " of job " + std::to_string(seat.job);
}

}  // namespace

struct OwnDisputes::Shared {
    struct Entry {
        std::shared_ptr<DisputePlayer> player;  ///< while its dispute is open and we have moves
        std::optional<uint64_t> due;            ///< block; of a turn that waits to be played
        bool is_played = false;                 ///< now
        bool has_no_move = false;               ///< so that our answer was wrong
        bool has_tried = false;                 ///< to win a dispute; there is no second one
        std::string said;                       ///< last, of what is in the way
    };
    std::function<void(const std::string&)> say;
    std::mutex mutex;  ///< guards what follows
    std::map<Seat, Entry> entries;
    bool is_awake = false;  ///< the verifier may have been asked for a move
    DisputeCounters counters;

    /// Once, until something else is to be said.
    void say_in_the_way(const Seat& key, const std::string& text) {
        {
            const std::lock_guard lock(mutex);
            const auto entry = entries.find(key);  // none: forgotten meanwhile
            if (entry != entries.end() && std::exchange(entry->second.said, text) == text) return;
        }
        if (say) say(text);
    }

    /// The turn that is due first.
    std::pair<Seat, std::shared_ptr<DisputePlayer>> next() {
        const std::lock_guard lock(mutex);
        const auto first =
            std::min_element(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
                return a.second.due.value_or(UINT64_MAX) < b.second.due.value_or(UINT64_MAX);
            });
        if (first == entries.end() || !first->second.due) return {};  // forgotten meanwhile
        first->second.due.reset();
        first->second.is_played = true;
        return {first->first, first->second.player};
    }

    /// Whether no dispute is open any more for which the verifier may keep something.
    bool falls_asleep() {
        const std::lock_guard lock(mutex);
        const bool is_idle = std::none_of(entries.begin(), entries.end(),
                                          [](const auto& e) { return e.second.player != nullptr; });
        return is_idle && std::exchange(is_awake, false);
    }

    void played(const Seat& key, const Result<Step, std::string>& step) {
        {
            const std::lock_guard lock(mutex);
            const auto entry = entries.find(key);
            if (entry == entries.end()) return;
            entry->second.is_played = false;
            entry->second.has_no_move = step && *step == Step::no_move;
            if (entry->second.has_no_move) entry->second.player.reset();
            if (step && *step == Step::pointed) ++counters.moves;
        }
        if (!step) return say_in_the_way(key, "dispute of " + name_of(key) + ": " + step.error());
        if (*step == Step::no_move)
            say_in_the_way(key, "dispute of " + name_of(key) +
                                    ": there is nothing to point at, all that its provider has "
                                    "shown is right: this node's answer was wrong, and the bond "
                                    "is lost");
        if (*step == Step::pointed && say)
            say("dispute of " + name_of(key) + ": pointed at what is wrong");
    }
};

OwnDisputes::OwnDisputes(wallet::MarketApi& market, Verifier& verifier, wallet::Dues& dues,
                         OwnDisputesOptions options)
    : market_(market),
      verifier_(verifier),
      dues_(dues),
      options_(std::move(options)),
      shared_(std::make_shared<Shared>()) {
    shared_->say = options_.say;
}

/// Those who convicted take turns.
OwnDisputes::Right OwnDisputes::right_to_dispute(const CaseRequest& request, uint64_t head) const {
    const auto& [job, seg] = std::pair(request.seat.job, request.seat.seg);
    const auto own = market_.answer_of(job, seg, market_.self());
    if (!own) return Right::waits;
    if (!convicts(*own)) return Right::none;
    if (head + kLastBlocks >= request.segment.phase_deadline) return Right::now;
    const auto auditors = market_.auditors(job, seg);
    if (!auditors) return Right::waits;
    size_t count = 0;
    std::optional<size_t> place;
    for (const Address& auditor : *auditors) {
        const auto answer = market_.answer_of(job, seg, auditor);
        if (!answer) return Right::waits;
        if (!convicts(*answer)) continue;
        if (auditor == market_.self()) place = count;
        ++count;
    }
    const bool is_due = place && (head / kTurnBlocks + job + seg) % count == *place;
    return is_due ? Right::now : Right::waits;
}

/// Whoever convicted has one dispute at the first price, also if that was before this process
/// began.
std::optional<bool> OwnDisputes::has_tried(const Seat& key) const {
    {
        const std::lock_guard lock(shared_->mutex);
        const auto entry = shared_->entries.find(key);
        if (entry != shared_->entries.end()) return entry->second.has_tried;
    }
    const auto bond = market_.dispute_bond(key.job, key.seg);
    const auto first = market_.appeal_bond(key.job);
    if (!bond || !first) return std::nullopt;
    const bool has = *first < *bond;
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->entries[key].has_tried = has;
    }
    if (has)
        shared_->say_in_the_way(key, "does not dispute " + name_of(key) +
                                         ", which this node convicted: its dispute of it is lost");
    return has;
}

Result<Uint256, std::string> OwnDisputes::open(const CaseRequest& request) const {
    const auto fits = dispute_fits(market_, request.spec, options_.memory_bytes_max);
    if (!fits) return unexpected(fits.error());
    dues_.note({request.seat.job, request.seat.seg, request.seat.attempt});
    return open_dispute(market_, request.seat.job, request.seat.seg, options_.bond_wei_max);
}

bool OwnDisputes::on_appealed(const CaseRequest& request, uint64_t head) {
    if (options_.bond_wei_max.is_zero() || head >= request.segment.phase_deadline) return false;
    const Seat key = key_of(request.seat);
    const Right right = right_to_dispute(request, head);
    if (right == Right::none) return false;
    const auto has_tried = this->has_tried(key);
    if (has_tried && *has_tried) return false;
    if (right == Right::waits || !has_tried) return true;
    const auto bond = open(request);
    if (!bond) {
        shared_->say_in_the_way(
            key, "cannot dispute " + name_of(key) + ", which this node convicted: " + bond.error());
        return true;
    }
    if (options_.say)
        options_.say("disputes " + name_of(key) + ", whose provider has appealed, for a bond of " +
                     wallet::in_coins(*bond));
    const std::lock_guard lock(shared_->mutex);
    ++shared_->counters.opened;
    return true;
}

DisputeLook OwnDisputes::on_disputed(const CaseRequest& request) {
    const Seat key = key_of(request.seat);
    const auto dispute = market_.dispute_of(key.job, key.seg);
    if (!dispute) return {true, false};
    if (dispute->challenger != market_.self()) {
        on_elsewhere(key);
        return {};
    }
    dues_.note({key.job, key.seg, key.attempt});
    {
        const std::lock_guard lock(shared_->mutex);
        Shared::Entry& entry = shared_->entries[key];
        entry.has_tried = true;
        if (!dispute->is_challengers) return {false, true};
        if (entry.has_no_move) return {};
        if (entry.due || entry.is_played) return {true, false};
        entry.due = request.segment.phase_deadline;
        if (!entry.player)
            entry.player = std::make_shared<DisputePlayer>(market_, verifier_, request);
        shared_->is_awake = true;
    }
    options_.background([shared = shared_] {
        const auto [of, player] = shared->next();
        if (player) shared->played(of, player->step());
    });
    return {true, false};
}

void OwnDisputes::on_elsewhere(const Seat& seat) {
    const std::lock_guard lock(shared_->mutex);
    const Seat key = key_of(seat);
    auto& entries = shared_->entries;
    entries.erase(entries.lower_bound({key.job, key.seg}), entries.lower_bound(key));
    const auto entry = entries.find(key);
    if (entry == entries.end()) return;
    entry->second.player.reset();
    entry->second.due.reset();
}

void OwnDisputes::keep_only(uint64_t job, uint32_t from, uint32_t to) {
    const std::lock_guard lock(shared_->mutex);
    auto& entries = shared_->entries;
    entries.erase(entries.lower_bound({job}), entries.lower_bound({job, from}));
    entries.erase(entries.lower_bound({job, std::max(from, to)}), entries.lower_bound({job + 1}));
}

void OwnDisputes::free_memory() {
    if (shared_->falls_asleep()) options_.background([&verifier = verifier_] { verifier.rest(); });
}

DisputeCounters OwnDisputes::counters() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->counters;
}

size_t OwnDisputes::remembered() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->entries.size();
}

}  // namespace trainyard::node::verify
