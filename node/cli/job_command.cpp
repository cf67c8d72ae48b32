// SPDX-License-Identifier: Apache-2.0
// `trainyard job`: submit, status, list, cancel, download.
#include <bit>
#include <chrono>
#include <thread>

#include <boost/json.hpp>

#include "node/cli/confirm.hpp"
#include "node/cli/jobs.hpp"
#include "node/cli/model_folder.hpp"
#include "node/cli/programs.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/secrets.hpp"
#include "node/wallet/step_name.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using wallet::SegmentState;

json::object job_json(uint64_t id, const wallet::Job& job, const wallet::JobSpec& spec) {
    return {{"id", id},
            {"state", std::string(wallet::to_text(job.state))},
            {"outcome", std::string(wallet::to_text(job.outcome))},
            {"client", to_hex0x(job.client.bytes)},
            {"provider", to_hex0x(job.provider.bytes)},
            {"segments", spec.segments},
            {"committed", job.tip},
            {"final", job.final_segments},
            {"attempt", job.attempt},
            {"escrowWei", to_decimal(job.escrow_wei)},
            {"pricePerSegmentWei", to_decimal(spec.price_wei)},
            {"unitWork", spec.unit_work},
            {"tipRoot", to_hex0x(job.tip_root.bytes)},
            {"licence", spec.licence}};
}

std::string job_line(uint64_t id, const wallet::Job& job, const wallet::JobSpec& spec) {
    std::string text = "job " + std::to_string(id) + "  " + std::string(wallet::to_text(job.state));
    if (job.outcome != wallet::Outcome::none)
        text += " (" + std::string(wallet::to_text(job.outcome)) + ")";
    text += "  " + std::to_string(job.tip) + " committed, " + std::to_string(job.final_segments) +
            " final of " + std::to_string(spec.segments) + "  " + in_coins(spec.price_wei) +
            " per segment";
    if (!job.provider.is_zero()) text += "  provider " + short_hex(job.provider.bytes);
    return text;
}

/// "3 of 20", of its segment.
std::string step_of(const wallet::Segment& segment, uint32_t steps) {
    return std::to_string(segment.diverges_at) + " of " + std::to_string(steps);
}

/// What a client can make of a job that has ended without all of its segments being trained; empty
/// of others. An answer of the node that is missing takes nothing away from the rest.
std::string divergence_text(wallet::MarketApi& market, uint64_t id, const wallet::Job& job,
                            const wallet::JobSpec& spec) {
    if (job.outcome != wallet::Outcome::diverged || job.tip == 0) return "";
    const uint32_t last = job.tip - 1;
    const auto segment = market.segment(id, last);
    if (!segment || segment->diverges_at == 0) return "";
    const std::string before = last == 1 ? "the segment" : std::to_string(last) + " segments";
    const std::string kept =
        last == 0 ? "there is no model" : "the model is what " + before + " before made of it";
    const bool is_closed = job.state == wallet::JobState::closed;
    return "\n  training diverges (Inf or NaN) at " +
           wallet::step_name(segment->diverges_at, spec.steps_per_segment, last) +
           (is_closed ? "" : ", as its provider claims; auditors replay it") + ": " + kept +
           ", and the rest of the escrow " + (is_closed ? "came" : "comes") +
           " back\n  post it again with a lower --learning-rate, or look for extreme values in its "
           "data";
}

/// One segment for `job status`: what it waits for, and who objects to it.
struct SegmentWords {
    json::object object;
    std::string line;
};

/// Where a committed segment waits only because auditors have enough to do: ", …"; empty of others.
wallet::Answer<std::string> wait_words(wallet::MarketApi& market, uint64_t id, uint32_t seg,
                                       json::object& object) {
    const auto blocks = market.audit_wait(id, seg);
    if (!blocks) return unexpected(blocks.error());
    if (*blocks == 0) return std::string();
    object["auditWaitBlocks"] = *blocks;
    return ", waits for auditors: about " + std::to_string(*blocks) + " blocks";
}

/// Who challenges it, and who is asked.
wallet::Answer<std::string> challenge_words(wallet::MarketApi& market, uint64_t id, uint32_t seg,
                                            const wallet::Segment& segment, json::object& object) {
    const auto challenge = market.challenge_of(id, seg);
    if (!challenge) return unexpected(challenge.error());
    const auto who = to_hex0x(challenge->challenger.bytes);
    object["challenger"] = who;
    if (segment.state != SegmentState::committed)
        return "challenged by " + who + ", a fresh committee replays it until block " +
               std::to_string(segment.phase_deadline);
    const auto wait = wait_words(market, id, seg, object);
    if (!wait) return unexpected(wait.error());
    return "challenged by " + who + ", a fresh committee is to be drawn" + *wait;
}

/// Who disputes it, and whose move it is.
wallet::Answer<std::string> dispute_words(wallet::MarketApi& market, uint64_t id, uint32_t seg,
                                          const wallet::Segment& segment, json::object& object) {
    const auto dispute = market.dispute_of(id, seg);
    if (!dispute) return unexpected(dispute.error());
    const auto who = to_hex0x(dispute->challenger.bytes);
    const std::string turn = dispute->is_challengers ? "challenger" : "provider";
    object["challenger"] = who;
    object["turn"] = turn;
    object["moves"] = dispute->moves;
    return "disputed by " + who + ", " + std::to_string(dispute->moves) + " moves made, the " +
           turn + " has until block " + std::to_string(segment.phase_deadline);
}

/// What a segment with an end waits for.
wallet::Answer<std::string> state_words(wallet::MarketApi& market, uint64_t id, uint32_t seg,
                                        const wallet::Segment& segment, json::object& object) {
    const auto until = std::to_string(segment.phase_deadline);
    if (wallet::is_challenged(segment)) return challenge_words(market, id, seg, segment, object);
    switch (segment.state) {
        case SegmentState::committed: {
            const auto wait = wait_words(market, id, seg, object);
            if (!wait) return unexpected(wait.error());
            return std::string(wallet::to_text(segment.state)) + *wait;
        }
        case SegmentState::accepted:
            object["payableFrom"] = segment.phase_deadline;
            return "accepted, payable from block " + until;
        case SegmentState::disputed:
            return dispute_words(market, id, seg, segment, object);
        case SegmentState::convicted:
            object["appealUntil"] = segment.phase_deadline;
            return "found wrong by a committee, its provider may appeal until block " + until;
        case SegmentState::appealed:
            object["disputeBefore"] = segment.phase_deadline;
            return "appealed, right unless somebody disputes it before block " + until;
        default:
            return std::string(wallet::to_text(segment.state));
    }
}

Result<SegmentWords, std::string> segment_words(wallet::MarketApi& market, uint64_t id,
                                                uint32_t seg, const wallet::Segment& segment,
                                                uint32_t steps) {
    const bool has_end = segment.diverges_at == 0;
    const float loss = std::bit_cast<float>(segment.loss_bits);
    SegmentWords out;
    out.object = {{"seg", seg},
                  {"state", wallet::to_text(segment.state)},
                  {"loss", has_end ? json::value(loss) : json::value(nullptr)},
                  {"root", to_hex0x(segment.root.bytes)},
                  {"last", to_hex0x(segment.last.bytes)},
                  {"divergesAt", segment.diverges_at}};
    const auto state = state_words(market, id, seg, segment, out.object);
    if (!state) return unexpected(state.error().text);
    out.line = "\n  segment " + std::to_string(seg) + "  " + *state +
               (has_end ? "  loss " + std::to_string(loss)
                        : "  diverges at step " + step_of(segment, steps)) +
               "  root " + short_hex(segment.root.bytes);
    return out;
}

struct JobView {
    wallet::Job job;
    wallet::JobSpec spec;
};

wallet::Answer<JobView> look_up(wallet::MarketApi& market, uint64_t id) {
    const auto job = market.job(id);
    if (!job) return unexpected(job.error());
    if (job->state == wallet::JobState::none)
        return unexpected(wallet::WalletError{
            wallet::WalletErrorCode::not_found,
            "there is no job " + std::to_string(id) + "; `trainyard job list` shows all"});
    const auto spec = market.spec(id);
    if (!spec) return unexpected(spec.error());
    return JobView{*job, *spec};
}

/// The losses of a job's segments, read once each unless they fell.
class Losses {
public:
    [[nodiscard]] wallet::Answer<Done> read(wallet::MarketApi& market, uint64_t id,
                                            const wallet::Job& job) {
        const uint32_t end = job.tip - (job.outcome == wallet::Outcome::diverged ? 1 : 0);
        if (job.attempt != attempt_ || end < values_.size()) values_.clear();
        attempt_ = job.attempt;
        while (values_.size() < end) {
            const auto segment = market.segment(id, static_cast<uint32_t>(values_.size()));
            if (!segment) return unexpected(segment.error());
            values_.push_back(std::bit_cast<float>(segment->loss_bits));
        }
        return Done{};
    }
    [[nodiscard]] const std::vector<float>& values() const { return values_; }

private:
    std::vector<float> values_;
    uint32_t attempt_ = 0;
};

std::string stage_of(const wallet::Job& job) {
    if (job.state == wallet::JobState::open) return "waits for a provider";
    if (job.state == wallet::JobState::draining) return "last audits";
    return std::string(wallet::to_text(job.state));
}

std::string watch_line(uint64_t id, const JobView& view, const std::vector<float>& losses,
                       double segments_per_s) {
    const uint32_t left = view.spec.segments - std::min(view.job.tip, view.spec.segments);
    std::string text = bar_text(view.job.tip, view.spec.segments) + " job " + std::to_string(id) +
                       "  " + stage_of(view.job) + "  " + std::to_string(view.job.tip) +
                       " committed, " + std::to_string(view.job.final_segments) + " paid of " +
                       std::to_string(view.spec.segments);
    const bool has_ended = view.job.outcome != wallet::Outcome::none;
    if (segments_per_s > 0 && left > 0 && !has_ended)
        text += "  ETA " + seconds_text(static_cast<uint64_t>(left / segments_per_s));
    if (!losses.empty()) text += "  loss " + fixed_text(losses.back(), 3) + " " + sparkline(losses);
    if (!view.job.provider.is_zero()) text += "  provider " + short_hex(view.job.provider.bytes);
    return text;
}

/// What the end of a job leaves to its client; empty if there is nothing.
std::string credit_text(wallet::MarketApi& market, const wallet::Job& job) {
    if (job.state != wallet::JobState::closed) return "";
    const auto credit = market.credit(job.client);
    if (!credit || credit->is_zero()) return "";
    return "\n  " + in_coins(*credit) + " of its client " + short_hex(job.client.bytes) +
           " at the market: trainyard job withdraw";
}

int watch(const Output& out, wallet::MarketApi& market, uint64_t id, const std::string& rpc) {
    ProgressLine line(out);
    Losses losses;
    RateMeter meter;
    std::optional<uint32_t> tip;
    for (bool is_away = false;; std::this_thread::sleep_for(std::chrono::seconds(1))) {
        const auto view = look_up(market, id);
        const auto read = view ? losses.read(market, id, view->job)
                               : wallet::Answer<Done>(unexpected(view.error()));
        if (!read) {
            line.clear();
            if (read.error().code != wallet::WalletErrorCode::unreachable)
                return out.fail(read.error().text);
            if (!is_away)
                out.say(read.error().text +
                        "; asking again until it answers, whatever the job does");
            is_away = true;
            continue;
        }
        is_away = false;
        if (view->job.tip != tip) meter.on_step(view->job.tip, steady_ms());
        tip = view->job.tip;
        line.show(watch_line(id, *view, losses.values(), meter.steps_per_s()));
        if (view->job.state != wallet::JobState::closed) continue;
        line.clear();
        const bool complete = view->job.outcome == wallet::Outcome::complete;
        const bool has_model = !view->job.model_token.is_zero();
        out.line(out.json ? json::serialize(job_json(id, view->job, view->spec))
                          : job_line(id, view->job, view->spec) +
                                divergence_text(market, id, view->job, view->spec) +
                                credit_text(market, view->job) +
                                (has_model ? "\nnext: trainyard job download " +
                                                 std::to_string(id) + rpc_flag(rpc)
                                           : ""));
        return complete ? kOk : kFailed;
    }
}

/// What the flags say, which the command line has checked.
JobOffer terms_of(const JobArgs& args) {
    JobOffer offer;
    offer.price_wei = *parse_coins(args.price);
    offer.audit_fee_wei = *parse_coins(args.audit_fee);
    if (!args.provider.empty()) offer.provider = *fixed_from_hex<Address>(args.provider);
    offer.licence = args.licence;
    offer.client_seed =
        args.seed.empty() ? wallet::random_fixed<Hash>() : *fixed_from_hex<Hash>(args.seed);
    offer.segment_blocks = args.segment_blocks;
    offer.deadline_s = unix_seconds() + args.deadline_hours * 3600;
    return offer;
}

void tell_posted(const Output& out, const PostedJob& posted, const JobCost& cost,
                 const std::string& rpc) {
    const auto id = std::to_string(posted.id);
    if (!out.json)
        return out.line("job " + id + " posted in block " + std::to_string(posted.receipt.block) +
                        ", " + in_coins(posted.escrow_wei) +
                        " in escrow\nnext: trainyard job status " + id + rpc_flag(rpc));
    json::object object{{"id", posted.id},
                        {"tx", to_hex0x(posted.receipt.tx.bytes)},
                        {"block", posted.receipt.block}};
    for (auto& member : to_json(cost)) object.insert(member);
    out.line(json::serialize(object));
}

}  // namespace

int run_job_submit(const Output& out, const JobArgs& args) {
    if (auto why = flags_without_effect(args.program, args.gpt); !why.empty())
        return out.fail(why), kUsage;
    auto data = read_data(args.data);
    if (!data) return out.fail(data.error());
    if (auto why = forgotten_tokenizer(args.data, *data, args.gpt);
        args.program.empty() && !why.empty())
        return out.fail(why);
    auto program = choose_program(args.program, args.gpt, *data);
    if (!program) return out.fail(program.error());
    JobOffer offer = terms_of(args);
    offer.data = std::move(*data);
    offer.program = std::move(*program);
    const auto market = open_account(args.rpc, args.key);
    if (!market) return out.fail(market.error());
    const auto quote = quote_job(**market, offer);
    if (!quote) return out.fail(quote.error());
    if (args.dry_run)
        return out.line(out.json ? json::serialize(to_json(quote->cost)) : to_text(quote->cost)),
               kOk;
    out.say(to_text(quote->cost));
    if (!args.yes && can_ask() &&
        !confirmed("Pay " + in_coins(quote->cost.escrow_wei) + " into escrow?"))
        return out.fail("nothing was published or paid");
    const auto posted = post_job(**market, *quote, offer.data);
    if (!posted) return out.fail(posted.error());
    tell_posted(out, *posted, quote->cost, args.rpc);
    return args.wait ? watch(out, **market, posted->id, args.rpc) : kOk;
}

int run_job_status(const Output& out, const JobArgs& args) {
    const auto market = open_reader(args.rpc);
    if (!market) return out.fail(market.error());
    if (args.wait) return watch(out, **market, args.id, args.rpc);
    const auto view = look_up(**market, args.id);
    if (!view) return out.fail(view.error().text);
    json::array segments;
    std::string lines;
    std::vector<float> losses;
    for (uint32_t seg = 0; seg < view->spec.segments; ++seg) {
        const auto segment = (*market)->segment(args.id, seg);
        if (!segment) return out.fail(segment.error().text);
        if (segment->state == wallet::SegmentState::none) break;
        auto words = segment_words(**market, args.id, seg, *segment, view->spec.steps_per_segment);
        if (!words) return out.fail(words.error());
        segments.push_back(std::move(words->object));
        if (segment->diverges_at == 0) losses.push_back(std::bit_cast<float>(segment->loss_bits));
        lines += words->line;
    }
    auto object = job_json(args.id, view->job, view->spec);
    object["segmentList"] = std::move(segments);
    if (losses.size() > 1) lines += "\n  loss  " + sparkline(losses, 64);
    out.line(out.json ? json::serialize(object)
                      : job_line(args.id, view->job, view->spec) + lines +
                            divergence_text(**market, args.id, view->job, view->spec) +
                            credit_text(**market, view->job));
    return kOk;
}

int run_job_list(const Output& out, const JobArgs& args) {
    const auto market = open_reader(args.rpc);
    if (!market) return out.fail(market.error());
    const auto count = (*market)->job_count();
    if (!count) return out.fail(count.error().text);
    for (uint64_t id = 0; id < *count; ++id) {
        const auto view = look_up(**market, id);
        if (!view) return out.fail(view.error().text);
        out.line(out.json ? json::serialize(job_json(id, view->job, view->spec))
                          : job_line(id, view->job, view->spec));
    }
    if (*count == 0 && !out.json) out.say("no jobs yet; `trainyard job submit --help` shows how");
    return kOk;
}

int run_job_cancel(const Output& out, const JobArgs& args) {
    const auto market = open_account(args.rpc, args.key);
    if (!market) return out.fail(market.error());
    const auto known = look_up(**market, args.id);
    if (!known) return out.fail(known.error().text);
    const std::string name = "job " + std::to_string(args.id);
    if (known->job.client != (*market)->self())
        return out.fail(name + " is paid by " + to_hex0x(known->job.client.bytes) +
                        ", and the key is that of " + to_hex0x((*market)->self().bytes));
    if (known->job.state == wallet::JobState::closed)
        return out.fail(name + " is closed already (" +
                        std::string(wallet::to_text(known->job.outcome)) + ")");
    const auto sent = (*market)->cancel(args.id);
    if (!sent) return out.fail(sent.error().text);
    const auto credit = (*market)->credit((*market)->self());
    if (credit && !credit->is_zero())
        if (const auto paid = (*market)->withdraw(); !paid) return out.fail(paid.error().text);
    const auto view = look_up(**market, args.id);
    if (!view) return out.fail(view.error().text);
    if (out.json)
        out.line(json::serialize(job_json(args.id, view->job, view->spec)));
    else
        out.line("job " + std::to_string(args.id) + " cancelled in block " +
                 std::to_string(sent->block) + "; now " +
                 std::string(wallet::to_text(view->job.state)) +
                 (credit ? ", " + in_coins(*credit) + " returned" : ""));
    return kOk;
}

int run_job_withdraw(const Output& out, const JobArgs& args) {
    const auto market = open_account(args.rpc, args.key);
    if (!market) return out.fail(market.error());
    const auto credit = (*market)->credit((*market)->self());
    if (!credit) return out.fail(credit.error().text);
    if (!credit->is_zero())
        if (const auto paid = (*market)->withdraw(); !paid) return out.fail(paid.error().text);
    if (out.json)
        out.line(json::serialize(json::object{{"withdrawnWei", to_decimal(*credit)}}));
    else
        out.line(in_coins(*credit) + " withdrawn from the market");
    return kOk;
}

int run_job_download(const Output& out, const JobArgs& args) {
    const auto market = open_reader(args.rpc);
    if (!market) return out.fail(market.error());
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return out.fail(client.error().text);
    const auto held = hold_model_folder(args.out);
    if (!held) return out.fail(held.error());
    const auto chain = (*client)->chain_id();
    if (!chain) return out.fail(chain.error().text);
    const auto is_same = [&](const ModelProof& old) {
        return old.job == args.id && old.chain_id == *chain;
    };
    if (const auto why = why_not_replaced(args.out, is_same); !why.empty()) return out.fail(why);
    const auto done = download_model(**market, **client, args.id, args.out, 1);
    if (!done) return out.fail(done.error());
    auto plot = wallet::write_text(args.out + "/loss.svg",
                                   training::loss_svg(done->losses, "Training loss"));
    if (!plot) return out.fail(plot.error().text);
    if (out.json)
        out.line(
            json::serialize(json::object{{"out", args.out},
                                         {"stateRoot", to_hex0x(done->state_root.bytes)},
                                         {"heldOutLoss", held_out_json(done->held_out_loss)}}));
    else
        out.line("wrote " + args.out + " with state root " + to_hex0x(done->state_root.bytes) +
                 "\nnext: trainyard sample --model " + args.out);
    return kOk;
}

}  // namespace trainyard::node::cli
