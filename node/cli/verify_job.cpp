// SPDX-License-Identifier: Apache-2.0
// Looks at the chain, replays, asks, sends, waits, and says so.
#include "node/cli/verify_job.hpp"

#include <charconv>
#include <chrono>
#include <thread>

#include <boost/json.hpp>

#include "node/cli/confirm.hpp"
#include "node/cli/jobs.hpp"
#include "node/cli/machine.hpp"
#include "node/cli/objector.hpp"
#include "node/verify/claim_check.hpp"
#include "node/verify/job_watch.hpp"
#include "node/verify/protocol.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using verify::Finding;
using wallet::WalletErrorCode;

std::string_view to_text(Finding finding) {
    if (finding == Finding::match) return "match";
    return finding == Finding::mismatch ? "mismatch" : "unjudged";
}

class JobCheck {
public:
    JobCheck(const Output& out, const VerifyArgs& args, const verify::WatchRules& rules,
             wallet::MarketApi& market, std::string bonds_path)
        : out_(out),
          args_(args),
          id_(*args.job),
          market_(market),
          verifier_(
              verify::make_local_verifier(verify::choose_backend({args.threads, !args.no_cuda}),
                                          args.threads, available_memory_bytes())),
          rules_(rules),
          watch_(rules),
          bar_(out),
          objector_(out, args, rules.court, market, watch_, bar_, *verifier_,
                    std::move(bonds_path)) {}

    int run() {
        out_.say("replaying on " + verifier_->name());
        for (;;) {
            const auto view = look();
            if (!view) {
                if (!stumble(view.error())) return fail(view.error().text);
                continue;
            }
            has_looked_ = true;
            if (rules_.court != verify::Court::none) objector_.take_back(view->head);
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
        if (segment->state == wallet::SegmentState::none) return fail(why_nothing(seg, view->job));
        view->segments[seg] = std::move(*segment);
        if (auto done = check(seg, *view); !done) return fail(done.error());
        return finish(view->job);
    }

private:
    std::string why_nothing(uint32_t seg, const wallet::Job& job) {
        const auto spec = market_.spec(id_);
        if (spec && seg >= spec->segments)
            return "job " + std::to_string(id_) + " has " + std::to_string(spec->segments) +
                   " segments, counted from 0";
        return job.state == wallet::JobState::closed ? "nothing was committed there"
                                                     : "nothing is committed there yet";
    }

    int fail(const std::string& text) {
        bar_.clear();
        return out_.fail(text);
    }

    /// True if it is worth trying again.
    bool stumble(const wallet::WalletError& error) {
        const bool goes_on = args_.follow || rules_.court != verify::Court::none;
        if (!goes_on || !has_looked_ || !is_passing(error)) return false;
        pause(bar_, "waiting for the node: " + error.text);
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
        if (const auto* claim = std::get_if<verify::Contest>(&task))
            objector_.contest(*claim);
        else if (const auto* game = std::get_if<verify::Play>(&task))
            objector_.play(game->seg, view.segments.at(game->seg));
        else if (const auto* end = std::get_if<verify::Tell>(&task))
            objector_.tell(*end);
        else
            pause(bar_, "job " + std::to_string(id_) + " " +
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
            // What is committed of the steps in between only their provider can open.
            if (claim.finding == Finding::mismatch && request->diverges_at == 0)
                claim.text +=
                    ", somewhere in its " + std::to_string(request->claim.steps) + " steps";
        }
        print(seg, segment, claim);
        watch_.on_replayed(seg, segment.attempt, claim.finding, view.head);
        return Done{};
    }

    /// Made when the first mismatch asks for it, and only where money hangs on it.
    std::function<verify::Verifier&()> second_verifier() {
        if (rules_.court == verify::Court::none) return {};
        return [this]() -> verify::Verifier& {
            bar_.show("a mismatch: replaying once more, on the CPU");
            return on_cpu();
        };
    }
    verify::Verifier& on_cpu() {
        if (!again_)
            again_ = verify::make_local_verifier(verify::choose_backend({args_.threads, false}),
                                                 args_.threads, available_memory_bytes());
        return *again_;
    }

    static std::string progress(uint32_t seg, const wallet::Job& job, uint32_t done) {
        const std::string name = "replaying segment " + std::to_string(seg);
        if (seg >= job.tip) return name + ", which is void";
        return bar_text(seg, job.tip) + " " + name + " of " + std::to_string(job.tip) +
               " committed, " + std::to_string(done) + " done";
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
                                             {"divergesAt", segment.diverges_at},
                                             {"verdict", to_text(claim.finding)},
                                             {"finding", claim.text}}));
        const bool has_end = segment.diverges_at == 0;
        const std::string match = has_end ? "match, bit for bit" : claim.text;
        const std::string verdict = claim.finding == Finding::match ? green(match)
                                    : claim.finding == Finding::mismatch
                                        ? red("MISMATCH: " + claim.text)
                                        : yellow("could not be judged: " + claim.text);
        out_.line(name_of(id_, seg) + "  provider " + short_hex(segment.provider.bytes) + "  " +
                  state + "  " + verdict);
    }

    int finish(const wallet::Job& job) {
        bar_.clear();
        const auto counts = watch_.counts();
        const uint32_t all = counts.matches + counts.mismatches + counts.unjudged;
        const bool is_all_final = !rules_.final_too && job.tip > 0 && job.final_segments >= job.tip;
        if (all == 0 && !is_all_final) return out_.fail("nothing is committed there yet");
        const bool is_right = all == counts.matches;
        if (out_.json)
            out_.line(json::serialize(json::object{{"event", "done"},
                                                   {"job", id_},
                                                   {"matches", counts.matches},
                                                   {"mismatches", counts.mismatches},
                                                   {"unjudged", counts.unjudged}}));
        else if (all == 0)
            out_.line("nothing to verify: all segments so far are final; --all replays them too");
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
    Objector objector_;
    bool has_looked_ = false;
};

Result<uint64_t, std::string> chain_id_of(const std::string& rpc) {
    const auto client = wallet::EthClient::open(rpc);
    if (!client) return unexpected(client.error().text);
    const auto id = (*client)->chain_id();
    if (!id) return unexpected(id.error().text);
    return *id;
}

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
    rules.court = args.dispute     ? verify::Court::referee
                  : args.challenge ? verify::Court::committee
                                   : verify::Court::none;
    const bool objects = rules.court != verify::Court::none;
    rules.final_too = args.final_too || args.segment || !args.segments.empty();
    const auto range =
        parse_segments(args.segment ? std::to_string(*args.segment)
                                    : (args.segments.empty() ? "0-65535" : args.segments));
    if (!range) return out.fail("--segments '" + args.segments + "' is not like 3 or 2-5"), kUsage;
    rules.from = range->from;
    rules.to = range->to;
    if (objects && !args.yes && !can_ask())
        return out.fail("it asks before it stakes a bond, and here nobody can answer: --yes"),
               kUsage;
    if (!parse_coins(args.bond_max))
        return out.fail("--bond-max '" + args.bond_max + "' is no number of coins"), kUsage;
    const auto market = objects ? open_account(args.rpc, args.key) : open_reader(args.rpc);
    if (!market) return out.fail(market.error());
    std::string bonds_path;
    if (objects) {
        const auto chain = chain_id_of(args.rpc);
        if (!chain) return out.fail(chain.error());
        bonds_path = home_folder() + "/bonds-" + std::to_string(*chain) + "-" +
                     to_hex0x((*market)->self().bytes) + ".csv";
    }
    JobCheck check(out, args, rules, **market, std::move(bonds_path));
    const bool is_once = args.segment && !args.follow && !objects;
    return is_once ? check.run_once(*args.segment) : check.run();
}

}  // namespace trainyard::node::cli
