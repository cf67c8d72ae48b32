// SPDX-License-Identifier: Apache-2.0
// Gathering what an audit or a replay needs.
#include "node/verify/case_builder.hpp"

#include <algorithm>
#include <map>

#include "core/hash.hpp"
#include "node/wallet/blob.hpp"
#include "training/draws.hpp"

namespace trainyard::node::verify {
namespace {

using wallet::Verdict;

/// When an auditor answers that a case cannot be judged, instead of trying again.
enum class Speak { never, at_last_chance, at_once };

struct Gap {
    Speak speak = Speak::never;
    std::string text;
    bool is_withheld = false;  ///< it is not there, though the provider must keep and serve it
    bool node_is_away = false;
    bool was_tried = false;  ///< by the verifier
};

struct OpenedProgram {
    Bytes encoded;
    training::Program program;
};

struct NamedBlob {
    const Hash& id;
    const char* name;
};

class Gathering {
public:
    Gathering(wallet::MarketApi& market, const CaseRequest& request)
        : market_(market), request_(request) {}

    /// What no auditor could check is told at once, before anything else is fetched.
    Result<OpenedProgram, Gap> program() {
        const auto& spec = request_.spec;
        auto encoded = blob(spec.program, "program");
        if (!encoded) return unexpected(encoded.error());
        auto program = training::decode_program(*encoded);
        if (!program)
            return unexpected(
                Gap{Speak::at_once, "program: " + training::to_text(program.error())});
        if (program->run.segment_length != spec.steps_per_segment ||
            program->run.micro_batches != spec.micro_batches)
            return unexpected(
                Gap{Speak::at_once, "the job's segments are not those of its program"});
        if (auto why = training::beyond_audit(*program, request_.limits, spec.segment_blocks);
            !why.empty())
            return unexpected(Gap{Speak::at_once, std::move(why)});
        if (training::audit_unit_work(*program, request_.limits) != spec.unit_work)
            return unexpected(
                Gap{Speak::at_once, "the job's work of a unit is not that of its program"});
        return OpenedProgram{Bytes(encoded->data(), encoded->data() + encoded->size()),
                             std::move(*program)};
    }

    Result<JobCase, Gap> job_case(Bytes program) {
        auto content = blob(data().id, data().name);
        if (!content) return unexpected(content.error());
        return JobCase{std::move(program), request_.spec.program_id, std::move(*content),
                       request_.run_seed};
    }

    Result<SegmentCase, Gap> segment_case() {
        auto state = blob(last_state().id, last_state().name);
        if (!state) return unexpected(state.error());
        SegmentCase out;
        out.last_state = std::move(*state);
        out.claim = claim();
        return out;
    }

    [[nodiscard]] training::SegmentClaim claim() const {
        const auto& segment = request_.segment;
        const uint32_t steps = request_.spec.steps_per_segment;
        return {request_.seat.seg * steps, steps, segment.first, segment.last, segment.steps_root};
    }

    /// The id of the bundle, as soon as all that an audit takes is here: nothing large is read for
    /// one that waits for something else.
    Result<Hash, Gap> audit_is_here() {
        const NamedBlob index{request_.segment.bundle_blob, "bundle index"};
        if (auto gap = missing({data(), last_state(), index})) return unexpected(std::move(*gap));
        auto id = bundle_id(index);
        if (!id) return id;
        if (auto gap = missing({{*id, "bundle"}})) return unexpected(std::move(*gap));
        return id;
    }

    Result<Hash, Gap> bundle_id(const NamedBlob& at) {
        auto index = blob(at.id, at.name, wallet::kBundleIndexBytesMax);
        if (!index) return unexpected(index.error());
        const auto entries = wallet::decode_bundle_index(*index);
        if (!entries) return unexpected(Gap{Speak::at_once, "the bundle index is malformed"});
        for (const auto& entry : *entries)
            if (entry.auditor == request_.auditor) return entry.blob;
        return unexpected(Gap{Speak::at_once, "the bundle index has nothing for this auditor"});
    }

    /// Of these, all of which the node looks for at once, one that is not here. Nothing where the
    /// request waits for what is missing.
    std::optional<Gap> missing(const std::vector<NamedBlob>& blobs) {
        std::optional<Gap> out;
        if (request_.waits) return out;
        for (const auto& [id, name] : blobs) {
            const std::string what = "the " + std::string(name);
            std::optional<Gap> gap;
            const auto place = market_.seek_blob(id);
            if (!place)
                gap = Gap{Speak::never, what + " is not to be had: " + place.error().text, false,
                          is_away(place.error())};
            else if (*place == wallet::BlobPlace::sought)
                gap = Gap{Speak::never, what + " is not here yet"};
            else if (*place == wallet::BlobPlace::absent)
                gap = Gap{Speak::at_last_chance, what + " is not to be had: no peer has given it",
                          true};
            if (gap && (!out || out->speak < gap->speak)) out = std::move(gap);
        }
        return out;
    }

    Result<Content, Gap> blob(const Hash& id, const char* what, uint64_t bytes_max = UINT64_MAX) {
        if (auto gap = missing({{id, what}})) return unexpected(std::move(*gap));
        bytes_max = std::min(bytes_max, request_.blob_bytes_max);
        if (request_.map_blob)
            if (auto mapped = request_.map_blob(id, bytes_max)) return *std::move(mapped);
        auto content = market_.get_blob(id, bytes_max);
        if (content && !request_.trusts_node && wallet::blob_id(*content) != id)
            return unexpected(Gap{Speak::never, "the node gave another " + std::string(what) +
                                                    " than the chain names"});
        if (content) return Content(std::move(*content));
        const bool absent = content.error().code == wallet::WalletErrorCode::not_found;
        const bool too_large = content.error().code == wallet::WalletErrorCode::too_large;
        return unexpected(
            Gap{absent || too_large ? Speak::at_last_chance : Speak::never,
                "the " + std::string(what) + " is not to be had: " + content.error().text, absent,
                is_away(content.error())});
    }

    Result<ReplayRequest, Gap> replay() {
        auto opened = program();
        if (!opened) return unexpected(opened.error());
        std::optional<Hash> before;  // where the run does not begin here
        if (request_.seat.seg > 0) {
            const auto found = market_.segment(request_.seat.job, request_.seat.seg - 1);
            if (!found)
                return unexpected(
                    Gap{Speak::never, found.error().text, false, is_away(found.error())});
            before = found->state_blob;
        }
        const char* const state_name = "state before the segment";
        std::vector<NamedBlob> takes{data()};
        if (before) takes.push_back({*before, state_name});
        if (auto gap = missing(takes)) return unexpected(std::move(*gap));
        auto job = job_case(std::move(opened->encoded));
        if (!job) return unexpected(job.error());
        ReplayRequest out;
        out.job = std::move(*job);
        out.claim = claim();
        out.loss_bits = request_.segment.loss_bits;
        out.last_blob = request_.segment.state_blob;
        out.diverges_at = request_.segment.diverges_at;
        if (!before) return out;
        auto state = blob(*before, state_name);
        if (!state) return unexpected(state.error());
        out.first_state = std::move(*state);
        return out;
    }

    [[nodiscard]] NamedBlob data() const { return {request_.spec.data, "data set"}; }
    [[nodiscard]] NamedBlob last_state() const {
        return {request_.segment.state_blob, "state of the segment's end"};
    }

private:
    static bool is_away(const wallet::WalletError& error) {
        return error.code == wallet::WalletErrorCode::unreachable;
    }

    wallet::MarketApi& market_;
    const CaseRequest& request_;
};

/// A mismatch without answers: what the audit needs cannot be had, or is not what the job names.
CaseResult without_answers(wallet::MarketApi& market, const Gap& gap, const CaseRequest& request) {
    const NotJudged not_yet{gap.text, gap.was_tried};
    if (gap.speak == Speak::never) return unexpected(not_yet);
    if (gap.speak == Speak::at_last_chance) {
        const auto head = market.block_number();
        if (!head || *head < request.give_up_at) return unexpected(not_yet);
    }
    std::vector<Hash> answers;
    if (request.seat.level == wallet::SegmentState::l1)
        answers.push_back(gap.is_withheld ? wallet::kWithheld : wallet::kUnsound);
    return Judgement{{Verdict::mismatch, std::move(answers), {}}, gap.text};
}

/// A job that is not sound is so for everyone, and who keeps silent is fined; what fails on this
/// machine alone says nothing about the job.
Gap gap_of(const VerifyError& error) {
    const bool is_unsound = error.code == VerifyErrorCode::bad_request;
    return {is_unsound ? Speak::at_last_chance : Speak::never, error.text, false, false, true};
}

Judgement to_judgement(VerifyAnswer answer, size_t answers_due) {
    // A match needs every answer; a mismatch is revealed with all of them or with none.
    if (answer.answers.size() != answers_due) {
        answer.matches = false;
        answer.answers.clear();
    }
    return {{answer.matches ? Verdict::match : Verdict::mismatch, std::move(answer.answers), {}},
            std::move(answer.finding),
            std::move(answer.last_state)};
}

Result<Audit, Gap> gather_audit(wallet::MarketApi& market, const CaseRequest& request,
                                const training::Program& program, const Hash& bundle_id) {
    Gathering gather(market, request);
    auto segment = gather.segment_case();
    if (!segment) return unexpected(segment.error());
    auto bundle = gather.blob(bundle_id, "bundle");
    if (!bundle) return unexpected(bundle.error());
    const auto units = market.units_of(request.seat.job, request.seat.seg, request.auditor);
    if (!units) return unexpected(Gap{Speak::never, units.error().text});
    const auto seed = market.tile_seed(request.seat.job, request.seat.seg, request.auditor);
    if (!seed) return unexpected(Gap{Speak::never, seed.error().text});
    Audit audit{std::move(*segment), {}, std::move(*bundle)};
    for (const auto& unit : *units) audit.draws.units.push_back({unit.t, unit.j});
    audit.draws.tiles = training::tile_draws(program, *seed, request.limits.tiles);
    return audit;
}

/// Hides what the committee, if it comes to that, could copy from the pair.
void close_answers(std::vector<Hash>& answers) {
    for (Hash& digest : answers)
        if (digest != wallet::kUnsound && digest != wallet::kWithheld)
            digest = sha256(digest.bytes);
}

CaseResult judge_replay(wallet::MarketApi& market, Verifier& verifier, const CaseRequest& request) {
    if (auto time = patience_ms(market, request); !time) return unexpected(NotJudged{time.error()});
    Gathering gather(market, request);
    // Looking for it makes this node keep it. Where that fails, the replay has it.
    const bool has_end = request.segment.diverges_at == 0;
    const auto last = has_end ? gather.missing({gather.last_state()}) : std::nullopt;
    if (last && last->speak == Speak::never) return without_answers(market, *last, request);
    auto replay = gather.replay();
    if (!replay) return without_answers(market, replay.error(), request);
    if (last) replay->last_bytes_max = request.blob_bytes_max;
    const auto patience = patience_ms(market, request);
    if (!patience) return unexpected(NotJudged{patience.error()});
    replay->patience_ms = *patience;
    auto answer = verifier.replay(*replay);
    if (!answer) return without_answers(market, gap_of(answer.error()), request);
    // What is published under our name is what the chain names, whatever our own process says.
    if (wallet::blob_id(answer->last_state) != replay->last_blob) answer->last_state = {};
    if (request.seat.round == wallet::kPairRound) close_answers(answer->answers);
    return to_judgement(std::move(*answer), 1);
}

/// More bytes of states and bundles than this do not travel together: one audit alone is what
/// training::audit_bytes counts.
constexpr size_t kBatchBytesMax = size_t{1} << 30;

/// The audits of one job on their way to the verifier.
class AuditBatch {
public:
    AuditBatch(wallet::MarketApi& market, Verifier& verifier, JobCase job,
               const std::vector<CaseRequest>& requests, const OnJudged& on_judged)
        : market_(market), verifier_(verifier), requests_(requests), on_judged_(on_judged) {
        request_.job = std::move(job);
    }
    /// `at`: which of the requests it answers.
    void add(size_t at, Audit audit) {
        const size_t bytes = audit.segment.last_state.size() + audit.bundle.size();
        if (bytes_ + bytes > kBatchBytesMax) send();
        bytes_ += bytes;
        places_.push_back(at);
        request_.audits.push_back(std::move(audit));
        if (places_.size() == kAuditsMax) send();
    }
    void send() {
        if (places_.empty()) return;
        request_.patience_ms = 0;  // until the time of the last is over
        for (const size_t at : places_)
            request_.patience_ms = std::max(request_.patience_ms, patience_of(at));
        auto results = verifier_.audit(request_);
        for (size_t k = 0; k < places_.size(); ++k) {
            const size_t due = request_.audits[k].draws.units.size();
            if (results)
                set(places_[k], std::move((*results)[k]), due);
            else if (places_.size() == 1)
                set(places_[k], unexpected(results.error()), due);
            else
                send_alone(k, due);
        }
        places_.clear();
        request_.audits.clear();
        bytes_ = 0;
    }

private:
    /// Any of a batch may be the one that ended the process.
    void send_alone(size_t k, size_t due) {
        AuditRequest alone;
        alone.patience_ms = patience_of(places_[k]);
        alone.job = std::move(request_.job);
        alone.audits.push_back(std::move(request_.audits[k]));
        auto result = verifier_.audit(alone);
        request_.job = std::move(alone.job);
        set(places_[k], result ? std::move(result->front()) : unexpected(result.error()), due);
    }
    [[nodiscard]] uint64_t patience_of(size_t at) const {
        const auto patience = patience_ms(market_, requests_[at]);
        return patience ? std::max<uint64_t>(*patience, 1) : 1;
    }
    void set(size_t at, AuditResult result, size_t due) {
        if (result)
            on_judged_(at, to_judgement(std::move(*result), due));
        else
            on_judged_(at, without_answers(market_, gap_of(result.error()), requests_[at]));
    }

    wallet::MarketApi& market_;
    Verifier& verifier_;
    const std::vector<CaseRequest>& requests_;
    const OnJudged& on_judged_;
    AuditRequest request_;
    std::vector<size_t> places_;
    size_t bytes_ = 0;
};

/// `which` of the requests are audits of one job. Those of which something is missing are told
/// before the data set is read.
void judge_audits(wallet::MarketApi& market, Verifier& verifier,
                  const std::vector<CaseRequest>& requests, const std::vector<size_t>& which,
                  const OnJudged& on_judged) {
    Gathering of_job(market, requests[which.front()]);
    const auto fail = [&](size_t i, const Gap& gap) {
        on_judged(i, without_answers(market, gap, requests[i]));
    };
    auto opened = of_job.program();
    std::map<size_t, Hash> bundles;
    for (const size_t i : which) {
        auto bundle = opened ? Gathering(market, requests[i]).audit_is_here()
                             : Result<Hash, Gap>(unexpected(opened.error()));
        if (bundle)
            bundles.emplace(i, *bundle);
        else
            fail(i, bundle.error());
    }
    if (bundles.empty()) return;
    auto job = of_job.job_case(std::move(opened->encoded));
    if (!job) {
        for (const auto& [i, bundle] : bundles) fail(i, job.error());
        return;
    }
    AuditBatch batch(market, verifier, std::move(*job), requests, on_judged);
    for (const auto& [i, bundle] : bundles) {
        auto audit = gather_audit(market, requests[i], opened->program, bundle);
        if (audit)
            batch.add(i, std::move(*audit));
        else
            fail(i, audit.error());
    }
    batch.send();
}

}  // namespace

Result<ReplayRequest, ReplayGap> gather_replay(wallet::MarketApi& market,
                                               const CaseRequest& request) {
    auto replay = Gathering(market, request).replay();
    if (!replay) return unexpected(ReplayGap{replay.error().text, replay.error().node_is_away});
    return std::move(*replay);
}

Result<uint64_t, std::string> patience_ms(wallet::MarketApi& market, const CaseRequest& request) {
    constexpr uint64_t kBlocksToCommit = 4;
    const auto head = market.block_number();
    if (!head) return unexpected(head.error().text);
    const auto block_s = market.block_seconds();
    if (!block_s) return unexpected(block_s.error().text);
    constexpr uint64_t kOfUnknownPaceMs = 600'000;
    if (*block_s <= 0) return kOfUnknownPaceMs;
    if (*head + kBlocksToCommit > request.segment.phase_deadline)
        return unexpected(std::string("its time is over"));
    const auto blocks =
        static_cast<double>(request.segment.phase_deadline - *head - kBlocksToCommit + 1);
    return static_cast<uint64_t>(blocks * *block_s * 1000);
}

void judge_cases(wallet::MarketApi& market, Verifier& verifier,
                 const std::vector<CaseRequest>& requests, const OnJudged& on_judged) {
    std::map<uint64_t, std::vector<size_t>> audits;  // by job
    for (size_t i = 0; i < requests.size(); ++i) {
        if (requests[i].seat.level == wallet::SegmentState::l1)
            on_judged(i, judge_replay(market, verifier, requests[i]));
        else
            audits[requests[i].seat.job].push_back(i);
    }
    for (const auto& [job, which] : audits)
        judge_audits(market, verifier, requests, which, on_judged);
}

}  // namespace trainyard::node::verify
