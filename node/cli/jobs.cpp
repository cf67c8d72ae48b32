// SPDX-License-Identifier: Apache-2.0
// Client-side work with jobs.
#include "node/cli/jobs.hpp"

#include <bit>

#include "core/hash.hpp"
#include "node/cli/programs.hpp"
#include "node/verify/backend_choice.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/files.hpp"
#include "training/referee/size.hpp"
#include "training/state_blob.hpp"
#include "training/state_root.hpp"

namespace trainyard::node::cli {
namespace {

Result<Bytes, std::string> checked_blob(wallet::MarketApi& market, const Hash& id,
                                        const std::string& what) {
    auto content = market.get_blob(id, kJobDataBytesMax);
    if (!content) return unexpected("the " + what + ": " + content.error().text);
    if (wallet::blob_id(*content) != id)
        return unexpected("the node gave another " + what + " than the chain names");
    return std::move(*content);
}

wallet::JobSpec spec_of(const JobOffer& offer) {
    wallet::JobSpec spec;
    spec.program_id = training::program_id(offer.program);
    spec.client_seed = offer.client_seed;
    spec.segments = offer.program.run.steps / offer.program.run.segment_length;
    spec.steps_per_segment = offer.program.run.segment_length;
    spec.micro_batches = offer.program.run.micro_batches;
    spec.segment_blocks = offer.segment_blocks;
    spec.deadline_s = offer.deadline_s;
    spec.price_wei = offer.price_wei;
    spec.audit_fee_wei = offer.audit_fee_wei;
    spec.provider = offer.provider;
    spec.licence = offer.licence;
    return spec;
}

/// The id of the job that this receipt's event announces.
std::optional<uint64_t> posted_id(const wallet::TxReceipt& receipt) {
    for (const auto& log : receipt.logs) {
        const auto event = wallet::read_event({log, receipt.block, receipt.tx});
        if (event && event->name == "JobPosted") return event->job;
    }
    return std::nullopt;
}

/// The market's refusal, and which flag it is about.
std::string refused_post(const wallet::WalletError& error) {
    constexpr std::pair<std::string_view, std::string_view> kFlags[] = {
        {") pricePerSegment",
         "--price is below the market's least for so much work, or beyond all coins"},
        {") auditFee", "--audit-fee is more than --price"},
        {") segmentBlocks", "--segment-blocks is less or more than the market allows"},
        {") deadline",
         "the deadline is past or more than a year away by the chain's clock, which this machine's "
         "differs from"},
        {") licence", "--licence has 1 to 64 letters, digits, spaces and -._+()"},
    };
    for (const auto& [field, words] : kFlags)
        if (error.text.ends_with(field)) return "posting the job: " + std::string(words);
    return "posting the job: " + error.text;
}

}  // namespace

std::string beyond_market(const training::Program& program) {
    // Source: ComputeMarket.sol, _checkSpec.
    constexpr uint32_t kSegmentsMax = 65'536, kUnitsMin = 2, kUnitsMax = 1024;
    const training::RunSpec& run = program.run;
    const auto outside = [](uint32_t is, uint32_t least, uint32_t most, const std::string& what) {
        return is >= least && is <= most
                   ? ""
                   : what + " are " + std::to_string(least) + " to " + std::to_string(most) +
                         " in a job, not " + std::to_string(is);
    };
    if (program.recipe == training::Recipe::fp32)
        return "the recipe fp32 is for comparison and never paid";
    if (run.steps % run.segment_length != 0)
        return std::to_string(run.steps) + " steps do not fill segments of " +
               std::to_string(run.segment_length) +
               ": choose --steps and --segment so that they do";
    if (auto why =
            outside(run.micro_batches, kUnitsMin, kUnitsMax, "the --micro-batches of a step");
        !why.empty())
        return why;
    return outside(run.steps / run.segment_length, 1, kSegmentsMax, "segments");
}

Result<JobQuote, std::string> quote_job(wallet::MarketApi& market, const JobOffer& offer) {
    if (auto why = beyond_market(offer.program); !why.empty()) return unexpected(why);
    JobQuote out;
    out.spec = spec_of(offer);
    const auto limits = market.audit_limits();
    if (!limits) return unexpected("asking for the limits of audits: " + limits.error().text);
    if (auto why = training::beyond_audit(offer.program, *limits, offer.segment_blocks);
        !why.empty()) {
        const auto advice = training::smaller_batches(offer.program, *limits, offer.segment_blocks);
        return unexpected("nobody would train it: " + why + (advice.empty() ? "" : "; " + advice));
    }
    if (auto why = training::referee::beyond_dispute(offer.program); !why.empty())
        return unexpected("nobody would train it: " + why);
    out.spec.unit_work = training::audit_unit_work(offer.program, *limits);
    out.program = training::encode_program(offer.program);
    out.spec.program = wallet::blob_id(out.program);
    out.spec.data = wallet::blob_id(offer.data);
    const auto cost = cost_of(market, out.spec);
    if (!cost) return unexpected("asking for the price: " + cost.error().text);
    out.cost = *cost;
    if (cost->balance_wei < cost->escrow_wei)
        return unexpected("the job needs " + in_coins(cost->escrow_wei) + " in escrow, " +
                          to_hex0x(market.self().bytes) + " has " + coins(cost->balance_wei));
    if (const auto fine = market.check_post(out.spec, cost->escrow_wei); !fine)
        return unexpected(refused_post(fine.error()));
    return out;
}

Result<PostedJob, std::string> post_job(wallet::MarketApi& market, const JobQuote& quote,
                                        BytesView data) {
    for (const auto& [what, content] :
         {std::pair("program", BytesView(quote.program)), std::pair("data set", data)})
        if (const auto put = market.put_blob(content); !put)
            return unexpected("publishing the " + std::string(what) + ": " + put.error().text);
    const auto sent = market.post(quote.spec, quote.cost.escrow_wei);
    if (!sent) return unexpected(refused_post(sent.error()));
    const auto id = posted_id(*sent);
    if (!id) return unexpected(std::string("the market did not announce the job"));
    return PostedJob{*id, quote.spec, quote.cost.escrow_wei, *sent};
}

Result<JobMaterial, std::string> fetch_job(wallet::MarketApi& market, const wallet::JobSpec& spec) {
    JobMaterial out;
    auto encoded = checked_blob(market, spec.program, "program");
    if (!encoded) return unexpected(encoded.error());
    if (sha256(*encoded) != spec.program_id)
        return unexpected(std::string("the program has another id than the job names"));
    auto program = training::decode_program(*encoded);
    if (!program) return unexpected("the program: " + training::to_text(program.error()));
    auto data = checked_blob(market, spec.data, "data set");
    if (!data) return unexpected(data.error());
    out.program = std::move(*program);
    out.encoded_program = std::move(*encoded);
    out.data = std::move(*data);
    return out;
}

Result<training::ModelState, std::string> fetch_state(wallet::MarketApi& market,
                                                      const training::Program& program,
                                                      const wallet::Segment& segment) {
    const auto blob = checked_blob(market, segment.state_blob, "state");
    if (!blob) return unexpected(blob.error());
    auto state = training::decode_state(program, *blob);
    if (!state) return unexpected(std::string("the published state cannot be read"));
    if (training::state_root(*state, training::program_id(program)) != segment.last)
        return unexpected(std::string("the published state has another root than the chain says"));
    return std::move(*state);
}

Result<std::vector<training::LossPoint>, std::string> chain_losses(wallet::MarketApi& market,
                                                                   uint64_t id,
                                                                   const wallet::JobSpec& spec,
                                                                   const wallet::Job& job) {
    std::vector<training::LossPoint> out;
    for (uint32_t seg = 0; seg < job.tip; ++seg) {
        const auto segment = market.segment(id, seg);
        if (!segment) return unexpected(segment.error().text);
        if (segment->diverges_at != 0) break;
        out.push_back(
            {(seg + 1) * spec.steps_per_segment, std::bit_cast<float>(segment->loss_bits)});
    }
    return out;
}

Result<verify::CaseRequest, verify::ReplayGap> case_of(wallet::MarketApi& market, uint64_t id,
                                                       uint32_t seg,
                                                       const wallet::Segment& segment) {
    const auto gap = [](const wallet::WalletError& error) {
        return unexpected(
            verify::ReplayGap{error.text, error.code == wallet::WalletErrorCode::unreachable});
    };
    const auto job = market.job(id);
    if (!job) return gap(job.error());
    const auto spec = market.spec(id);
    if (!spec) return gap(spec.error());
    const auto limits = market.audit_limits();
    if (!limits) return gap(limits.error());
    verify::CaseRequest request;
    request.spec = *spec;
    request.run_seed = job->run_seed;
    request.seat = {id, seg, segment.attempt, segment.state, segment.round};
    request.segment = segment;
    request.limits = *limits;
    request.blob_bytes_max = kJobDataBytesMax;
    request.trusts_node = false;
    return request;
}

Result<verify::ReplayRequest, verify::ReplayGap> gather_replay(wallet::MarketApi& market,
                                                               uint64_t id, uint32_t seg,
                                                               const wallet::Segment& segment) {
    const auto request = case_of(market, id, seg, segment);
    if (!request) return unexpected(request.error());
    return verify::gather_replay(market, *request);
}

Result<std::unique_ptr<wallet::MarketApi>, std::string> open_reader(const std::string& rpc) {
    SecretKey nobody;
    nobody.bytes[31] = 1;
    auto market = wallet::open_market(rpc, nobody);
    if (!market) return unexpected(market.error().text);
    return std::move(*market);
}

Result<std::unique_ptr<wallet::MarketApi>, std::string> open_account(
    const std::string& rpc, const KeyChoice& choice, wallet::SenderOptions sending) {
    const auto key = open_key(choice);
    if (!key) return unexpected(key.error());
    auto market = wallet::open_market(rpc, *key, std::move(sending));
    if (!market) return unexpected(market.error().text);
    return std::move(*market);
}

Result<Download, std::string> download_model(wallet::MarketApi& market, wallet::EthClient& client,
                                             uint64_t id, const std::string& folder,
                                             uint32_t threads) {
    const auto job = market.job(id);
    if (!job) return unexpected(job.error().text);
    if (job->state == wallet::JobState::none)
        return unexpected("there is no job " + std::to_string(id));
    const uint32_t trained = wallet::trained_segments(*job);
    if (trained == 0)
        return unexpected("job " + std::to_string(id) +
                          (job->final_segments > 0 ? " has no model: it diverged in its first "
                                                     "segment"
                                                   : " has no final segment yet") +
                          "; see `trainyard job status " + std::to_string(id) + "`");
    const auto spec = market.spec(id);
    if (!spec) return unexpected(spec.error().text);
    auto material = fetch_job(market, *spec);
    if (!material) return unexpected(material.error());
    const auto segment = market.segment(id, trained - 1);
    if (!segment) return unexpected(segment.error().text);
    auto state = fetch_state(market, material->program, *segment);
    if (!state) return unexpected(state.error());
    auto losses = chain_losses(market, id, *spec, *job);
    if (!losses) return unexpected(losses.error());
    const auto backend = verify::make_backend({threads, true});
    const auto held_out = held_out_loss(material->program, *backend, state->w, material->data);
    if (!held_out) return unexpected(held_out.error());
    ModelOrigin origin;
    origin.name = "trainyard-job-" + std::to_string(id);
    origin.licence = spec->licence;
    origin.train_loss = std::bit_cast<float>(segment->loss_bits);
    origin.held_out_loss = *held_out;
    if (const auto chain = client.chain_id()) origin.chain_id = *chain;
    origin.job = id;
    auto constants = training::program_constants(material->program, material->data);
    if (!constants) return unexpected(std::string(training::to_text(constants.error())));
    if (!job->model_token.is_zero()) origin.token = job->model_token - Uint256(1);
    origin.facts = {{"job", std::to_string(id)},
                    {"segments", std::to_string(trained)},
                    {"provider", to_hex0x(segment->provider.bytes)}};
    if (auto done =
            write_model_folder(folder, material->program, *state, origin, std::move(*constants));
        !done)
        return unexpected(done.error());
    return Download{*held_out, origin.train_loss, segment->last, std::move(*losses)};
}

}  // namespace trainyard::node::cli
