// SPDX-License-Identifier: Apache-2.0
// Looks at the chain, replays, asks, sends, waits, and says so.
#include "node/cli/verify_job.hpp"

#include <charconv>
#include <chrono>
#include <iostream>
#include <thread>

#include <boost/json.hpp>
#include <unistd.h>

#include "node/cli/jobs.hpp"
#include "node/cli/machine.hpp"
#include "node/verify/claim_check.hpp"
#include "node/verify/job_watch.hpp"
#include "node/verify/protocol.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using verify::Ending;
using verify::Finding;
using wallet::WalletErrorCode;

constexpr auto kPause = std::chrono::milliseconds(500);

std::string_view to_text(Finding finding) {
    if (finding == Finding::match) return "match";
    return finding == Finding::mismatch ? "mismatch" : "unjudged";
}

std::string_view to_text(Ending ending) {
    switch (ending) {
        case Ending::fell:
            return "void";
        case Ending::dismissed:
            return "dismissed";
        case Ending::paid:
            return "paid";
        case Ending::window_over:
            return "window over";
        case Ending::too_early:
            return "under audit";
    }
    return "";
}

/// The node may be back soon.
bool is_passing(const wallet::WalletError& error) {
    return error.code == WalletErrorCode::unreachable || error.code == WalletErrorCode::timeout;
}

bool confirmed() {
    std::fputs("challenge it? [y/N] ", stderr);
    std::fflush(stderr);
    std::string answer;
    return std::getline(std::cin, answer) && (answer == "y" || answer == "yes");
}

/// What is sent with a challenge, and what it may bring.
struct Stakes {
    Uint256 bond_wei, bounty_wei, balance_wei;
    uint8_t number = 0;  ///< challenges of this claim before
};

class JobCheck {
public:
    JobCheck(const Output& out, const VerifyArgs& args, const verify::WatchRules& rules,
             wallet::MarketApi& market)
        : out_(out),
          args_(args),
          id_(*args.job),
          market_(market),
          verifier_(
              verify::make_local_verifier(verify::choose_backend({args.threads, !args.no_cuda}),
                                          args.threads, available_memory_bytes())),
          rules_(rules),
          watch_(rules),
          bar_(out) {}

    int run() {
        out_.say("replaying on " + verifier_->name());
        for (;;) {
            const auto view = look();
            if (!view) {
                if (!stumble(view.error())) return fail(view.error().text);
                continue;
            }
            has_looked_ = true;
            const auto task = watch_.step(*view);
            if (std::holds_alternative<verify::Stop>(task)) return finish(view->job);
            if (auto done = carry_out(task, *view); !done) return fail(done.error());
        }
    }

    /// One segment as it is now, also one that is void.
    int run_once(uint32_t seg) {
        out_.say("replaying on " + verifier_->name());
        auto view = look();
        if (!view) return fail(view.error().text);
        auto segment = market_.segment(id_, seg);
        if (!segment) return fail(segment.error().text);
        if (segment->state == wallet::SegmentState::none)
            return fail("nothing is committed there yet");
        view->segments[seg] = std::move(*segment);
        if (auto done = check(seg, *view); !done) return fail(done.error());
        return finish(view->job);
    }

private:
    int fail(const std::string& text) {
        bar_.clear();
        return out_.fail(text);
    }

    void pause(const std::string& text) {
        bar_.show(text);
        std::this_thread::sleep_for(kPause);
    }

    /// True if it is worth trying again.
    bool stumble(const wallet::WalletError& error) {
        const bool goes_on = args_.follow || args_.challenge;
        if (!goes_on || !has_looked_ || !is_passing(error)) return false;
        pause("waiting for the node: " + error.text);
        return true;
    }

    wallet::Answer<verify::WatchView> look() {
        const auto head = market_.block_number();
        if (!head) return unexpected(head.error());
        const auto job = market_.job(id_);
        if (!job) return unexpected(job.error());
        if (job->state == wallet::JobState::none)
            return unexpected(wallet::WalletError{
                WalletErrorCode::not_found,
                "there is no job " + std::to_string(id_) + "; `trainyard job list` shows all"});
        verify::WatchView view{*head, *job, {}};
        for (const uint32_t seg : watch_.wanted(*head, *job)) {
            auto segment = market_.segment(id_, seg);
            if (!segment) return unexpected(segment.error());
            view.segments[seg] = std::move(*segment);
        }
        return view;
    }

    /// Errors end the command.
    Result<Done, std::string> carry_out(const verify::WatchTask& task,
                                        const verify::WatchView& view) {
        if (const auto* replay = std::get_if<verify::Replay>(&task))
            return check(replay->seg, view);
        if (const auto* claim = std::get_if<verify::SendChallenge>(&task))
            challenge(*claim);
        else if (const auto* end = std::get_if<verify::Tell>(&task))
            tell(*end);
        else
            pause("job " + std::to_string(id_) + " " +
                  std::string(wallet::to_text(view.job.state)) + ": " +
                  std::to_string(view.job.tip) + " segments committed, " +
                  std::to_string(view.job.final_segments) + " final; waiting");
        return Done{};
    }

    // --- replays

    Result<Done, std::string> check(uint32_t seg, const verify::WatchView& view) {
        const auto counts = watch_.counts();
        const wallet::Segment& segment = view.segments.at(seg);
        bar_.show(progress(seg, view.job, counts.matches + counts.mismatches + counts.unjudged));
        const auto request = gather_replay(market_, id_, seg, segment);
        if (!request && request.error().node_is_away) {
            if (stumble({WalletErrorCode::unreachable, request.error().text})) return Done{};
            return unexpected(request.error().text);
        }
        verify::CheckedClaim claim{Finding::unjudged, request ? "" : request.error().text};
        if (request) {
            if (!args_.save.empty())
                if (auto saved = wallet::write_file(args_.save, verify::encode_request(*request));
                    !saved)
                    return unexpected(saved.error().text);
            claim = verify::check_claim(*verifier_, second_verifier(), *request);
            if (claim.finding == Finding::mismatch) claim.text += where(request->claim);
        }
        print(seg, segment, claim);
        watch_.on_replayed(seg, segment.attempt, claim.finding, view.head);
        return Done{};
    }

    /// What is committed of the steps in between only their provider can open.
    static std::string where(const training::SegmentClaim& claim) {
        return ", somewhere in steps " + std::to_string(claim.first_step) + " to " +
               std::to_string(claim.first_step + claim.steps - 1);
    }

    /// Made when the first mismatch asks for it, and only where money hangs on it.
    std::function<verify::Verifier&()> second_verifier() {
        if (!args_.challenge) return {};
        return [this]() -> verify::Verifier& {
            bar_.show("a mismatch: replaying once more, on the CPU");
            if (!again_)
                again_ = verify::make_local_verifier(verify::choose_backend({args_.threads, false}),
                                                     args_.threads, available_memory_bytes());
            return *again_;
        };
    }

    static std::string progress(uint32_t seg, const wallet::Job& job, uint32_t done) {
        return bar_text(seg, job.tip) + " replaying segment " + std::to_string(seg) + " of " +
               std::to_string(job.tip) + " committed, " + std::to_string(done) + " done";
    }

    void print(uint32_t seg, const wallet::Segment& segment, const verify::CheckedClaim& claim) {
        bar_.clear();
        const std::string state(wallet::to_text(segment.state));
        if (out_.json)
            return out_.line(
                json::serialize(json::object{{"event", "judged"},
                                             {"job", id_},
                                             {"segment", seg},
                                             {"attempt", segment.attempt},
                                             {"provider", to_hex0x(segment.provider.bytes)},
                                             {"state", state},
                                             {"verdict", to_text(claim.finding)},
                                             {"finding", claim.text}}));
        const std::string verdict = claim.finding == Finding::match ? green("match, bit for bit")
                                    : claim.finding == Finding::mismatch
                                        ? red("MISMATCH: " + claim.text)
                                        : yellow("could not be judged: " + claim.text);
        out_.line(name_of(seg) + "  provider " + short_hex(segment.provider.bytes) + "  " + state +
                  "  " + verdict);
    }

    [[nodiscard]] std::string name_of(uint32_t seg) const {
        return "job " + std::to_string(id_) + " segment " + std::to_string(seg);
    }

    // --- challenges

    wallet::Answer<Stakes> stakes_of(uint32_t seg) {
        const auto bond = market_.challenge_bond(id_, seg);
        if (!bond) return unexpected(bond.error());
        const auto bounty = market_.challenge_bounty(id_);
        if (!bounty) return unexpected(bounty.error());
        const auto balance = market_.balance(market_.self());
        if (!balance) return unexpected(balance.error());
        const auto before = market_.challenge_of(id_, seg);
        if (!before) return unexpected(before.error());
        return Stakes{*bond, *bounty, *balance, before->number};
    }

    void challenge(const verify::SendChallenge& claim) {
        const auto stakes = stakes_of(claim.seg);
        if (!stakes) return refused(claim.seg, stakes.error());
        // A transaction whose receipt was lost may have been carried out, and its challenge lost.
        const auto [tried, is_first] =
            tried_.try_emplace({claim.seg, claim.attempt}, stakes->number);
        if (!is_first && stakes->number != tried->second)
            return refused(claim.seg, {WalletErrorCode::reverted, "it was challenged meanwhile"});
        if (is_first && !agree(claim.seg, *stakes)) return watch_.on_not_challenged(claim.seg);
        if (const auto credit = market_.credit(market_.self())) credit_before_ = *credit;
        const auto sent = market_.challenge(id_, claim.seg, stakes->bond_wei);
        if (!sent) return refused(claim.seg, sent.error());
        bond_wei_ = stakes->bond_wei;
        watch_.on_challenged(claim.seg, sent->block);
        event("challenged", claim.seg, "challenged in block " + std::to_string(sent->block),
              {{"bondWei", to_decimal(stakes->bond_wei)},
               {"bountyWei", to_decimal(stakes->bounty_wei)},
               {"block", sent->block},
               {"tx", to_hex0x(sent->tx.bytes)}});
    }

    void refused(uint32_t seg, const wallet::WalletError& error) {
        if (is_passing(error)) return pause("challenging " + name_of(seg) + ": " + error.text);
        watch_.on_not_challenged(seg);
        event("not challenged", seg, "not challenged: " + error.text, {{"why", error.text}});
    }

    /// Says what is at stake, and asks where it must.
    bool agree(uint32_t seg, const Stakes& stakes) {
        bar_.clear();
        out_.say("challenging " + name_of(seg) + " before a fresh committee\n  bond  " +
                 coins(stakes.bond_wei) +
                 " coins, returned if it finds the segment wrong, lost if it finds it right\n"
                 "  gain  " +
                 coins(stakes.bounty_wei) +
                 " coins besides, where the provider's whole bond is slashed" +
                 (stakes.number == 0
                      ? ""
                      : "\n  it was challenged before, " + std::to_string(stakes.number) +
                            " times, and stood: the bond doubles each time"));
        const std::string why = why_not(stakes);
        if (!why.empty()) {
            event("not challenged", seg, "not challenged: " + why, {{"why", why}});
            return false;
        }
        return (args_.yes && stakes.number == 0) || confirmed();
    }

    /// What stands against a challenge whatever the user says; may be empty. --yes means one for
    /// each claim: a watch that is started again and again must not double its bond each time.
    std::string why_not(const Stakes& stakes) {
        if (stakes.balance_wei < stakes.bond_wei)
            return "the bond is " + coins(stakes.bond_wei) + " coins, " +
                   to_hex0x(market_.self().bytes) + " has " + coins(stakes.balance_wei);
        if (stakes.number > 0 && ::isatty(STDIN_FILENO) != 1)
            return "a challenge was lost before; --yes is for the first, at a terminal you are "
                   "asked";
        return "";
    }

    void tell(const verify::Tell& end) {
        static constexpr std::pair<Ending, const char*> kWords[] = {
            {Ending::fell, "is void: it earns nothing and is trained again"},
            {Ending::dismissed, "stands: the committee found it right, and the bond is lost"},
            {Ending::paid, "was paid although it does not match"},
            {Ending::window_over, "does not match, but its time for challenges is over"},
            {Ending::too_early, "is still under audit: --follow challenges it if that passes it"}};
        std::string words;
        for (const auto& [ending, text] : kWords)
            if (ending == end.ending) words = text;
        json::object fields{{"ending", to_text(end.ending)}, {"challenged", end.was_challenged}};
        if (args_.challenge && end.ending == Ending::fell) words += collect(end, fields);
        event("settled", end.seg, words, std::move(fields));
    }

    /// What the fall of the segment brought us, by a challenge of this run or an earlier one.
    std::string collect(const verify::Tell& end, json::object& fields) {
        // Where an earlier segment fell and this one with it, nobody has settled our challenge.
        const auto back = market_.reclaim(id_, end.seg, end.attempt);
        if (!back && back.error().code != WalletErrorCode::reverted)
            return "; the bond may have to be reclaimed: " + back.error().text;
        const auto credit = market_.credit(market_.self());
        if (!credit || !end.was_challenged) return "";
        const Uint256 gained = *credit < credit_before_ ? Uint256() : *credit - credit_before_;
        fields["creditedWei"] = to_decimal(gained);
        return std::string(bond_wei_ < gained ? "; bond and bounty, " : "; the bond, ") +
               coins(gained) + " coins, credited: `trainyard job withdraw` takes what is yours";
    }

    void event(const char* kind, uint32_t seg, const std::string& words, json::object fields) {
        bar_.clear();
        if (!out_.json) return out_.line(name_of(seg) + " " + words);
        json::object object{{"event", kind}, {"job", id_}, {"segment", seg}};
        for (auto& [key, value] : fields) object[key] = std::move(value);
        out_.line(json::serialize(object));
    }

    int finish(const wallet::Job& job) {
        bar_.clear();
        const auto counts = watch_.counts();
        const uint32_t all = counts.matches + counts.mismatches + counts.unjudged;
        const bool is_all_paid = !rules_.final_too && job.tip > 0;
        if (all == 0)
            return out_.fail(is_all_paid
                                 ? "all committed segments are final; --all replays them too"
                                 : "nothing is committed there yet");
        const bool is_right = all == counts.matches;
        if (out_.json)
            out_.line(json::serialize(json::object{{"event", "done"},
                                                   {"job", id_},
                                                   {"matches", counts.matches},
                                                   {"mismatches", counts.mismatches},
                                                   {"unjudged", counts.unjudged}}));
        else if (all > 1)
            out_.line(std::to_string(counts.matches) + " of " + std::to_string(all) +
                      " segments match" +
                      (is_right ? ""
                                : ", " + std::to_string(counts.mismatches) + " do not, " +
                                      std::to_string(counts.unjudged) + " could not be judged"));
        return is_right ? kOk : kFailed;
    }

    const Output& out_;
    const VerifyArgs& args_;
    uint64_t id_;
    wallet::MarketApi& market_;
    std::unique_ptr<verify::Verifier> verifier_, again_;
    verify::WatchRules rules_;
    verify::JobWatch watch_;
    ProgressLine bar_;
    bool has_looked_ = false;
    std::map<std::pair<uint32_t, uint32_t>, uint8_t> tried_;  ///< segment, attempt -> challenges
    Uint256 credit_before_, bond_wei_;                        ///< of the last challenge
};

}  // namespace

std::optional<SegmentRange> parse_segments(const std::string& text) {
    const auto number = [](std::string_view digits) -> std::optional<uint32_t> {
        uint32_t out = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), out);
        const bool is_whole = error == std::errc() && end == digits.data() + digits.size();
        return is_whole && out < UINT32_MAX ? std::optional(out) : std::nullopt;
    };
    const auto dash = text.find('-');
    const auto first = number(std::string_view(text).substr(0, dash));
    const auto last =
        dash == std::string::npos ? first : number(std::string_view(text).substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    return SegmentRange{*first, *last + 1};
}

int verify_job(const Output& out, const VerifyArgs& args) {
    verify::WatchRules rules;
    rules.follows = args.follow;
    rules.challenges = args.challenge;
    rules.final_too = args.final_too || args.segment || !args.segments.empty();
    const auto range =
        parse_segments(args.segment ? std::to_string(*args.segment)
                                    : (args.segments.empty() ? "0-65535" : args.segments));
    if (!range) return out.fail("--segments '" + args.segments + "' is not like 3 or 2-5"), kUsage;
    rules.from = range->from;
    rules.to = range->to;
    if (args.challenge && !args.yes && ::isatty(STDIN_FILENO) != 1)
        return out.fail("--challenge asks before it stakes a bond; here nobody can answer: --yes"),
               kUsage;
    const auto market = args.challenge ? open_account(args.rpc, args.key) : open_reader(args.rpc);
    if (!market) return out.fail(market.error());
    JobCheck check(out, args, rules, **market);
    const bool is_once = args.segment && !args.follow && !args.challenge;
    return is_once ? check.run_once(*args.segment) : check.run();
}

}  // namespace trainyard::node::cli
