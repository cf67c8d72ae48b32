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
};

struct OpenedJob {
    JobCase job;
    training::Program program;
};

class Gathering {
public:
    Gathering(wallet::MarketApi& market, const CaseRequest& request)
        : market_(market), request_(request) {}

    /// What no auditor could check is told at once, before the data set is fetched.
    Result<OpenedJob, Gap> job_case() {
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
        auto data = blob(spec.data, "data set");
        if (!data) return unexpected(data.error());
        JobCase job{std::move(*encoded), spec.program_id, std::move(*data), request_.run_seed};
        return OpenedJob{std::move(job), std::move(*program)};
    }

    Result<SegmentCase, Gap> segment_case() {
        auto state = blob(request_.segment.state_blob, "state of the segment's end");
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

    Result<Bytes, Gap> bundle() {
        auto index = blob(request_.segment.bundle_blob, "bundle index");
        if (!index) return index;
        const auto entries = wallet::decode_bundle_index(*index);
        if (!entries) return unexpected(Gap{Speak::at_once, "the bundle index is malformed"});
        for (const auto& entry : *entries)
            if (entry.auditor == request_.auditor) return blob(entry.blob, "bundle");
        return unexpected(Gap{Speak::at_once, "the bundle index has nothing for this auditor"});
    }

    Result<Bytes, Gap> blob(const Hash& id, const std::string& what) {
        auto content = market_.get_blob(id, request_.blob_bytes_max);
        if (content && !request_.trusts_node && wallet::blob_id(*content) != id)
            return unexpected(
                Gap{Speak::never, "the node gave another " + what + " than the chain names"});
        if (content) return std::move(*content);
        const bool absent = content.error().code == wallet::WalletErrorCode::not_found;
        const bool too_large = content.error().code == wallet::WalletErrorCode::too_large;
        return unexpected(Gap{absent || too_large ? Speak::at_last_chance : Speak::never,
                              "the " + what + " is not to be had: " + content.error().text, absent,
                              is_away(content.error())});
    }

    Result<ReplayRequest, Gap> replay() {
        auto job = job_case();
        if (!job) return unexpected(job.error());
        ReplayRequest out;
        out.job = std::move(job->job);
        out.claim = claim();
        out.last_blob = request_.segment.state_blob;
        if (request_.seat.seg == 0) return out;
        const auto before = market_.segment(request_.seat.job, request_.seat.seg - 1);
        if (!before)
            return unexpected(
                Gap{Speak::never, before.error().text, false, is_away(before.error())});
        auto state = blob(before->state_blob, "state before the segment");
        if (!state) return unexpected(state.error());
        out.first_state = std::move(*state);
        return out;
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
    if (gap.speak == Speak::never) return unexpected(gap.text);
    if (gap.speak == Speak::at_last_chance) {
        const auto head = market.block_number();  // looking for a blob may have taken long
        if (!head || *head < request.give_up_at) return unexpected(gap.text);
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
    return {is_unsound ? Speak::at_last_chance : Speak::never, error.text};
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
                                const training::Program& program) {
    Gathering gather(market, request);
    auto segment = gather.segment_case();
    if (!segment) return unexpected(segment.error());
    auto bundle = gather.bundle();
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
    if (auto time = patience_ms(market, request); !time) return unexpected(time.error());
    auto replay = Gathering(market, request).replay();
    if (!replay) return without_answers(market, replay.error(), request);
    // Fetching it makes this node keep it. Where that fails, the replay has it.
    if (!market.get_blob(replay->last_blob, request.blob_bytes_max))
        replay->last_bytes_max = request.blob_bytes_max;
    const auto patience = patience_ms(market, request);
    if (!patience) return unexpected(patience.error());
    replay->patience_ms = *patience;
    auto answer = verifier.replay(*replay);
    if (!answer) return without_answers(market, gap_of(answer.error()), request);
    // What is published under our name is what the chain names, whatever our own process says.
    if (wallet::blob_id(answer->last_state) != replay->last_blob) answer->last_state.clear();
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

/// `which` of the requests are audits of one job.
void judge_audits(wallet::MarketApi& market, Verifier& verifier,
                  const std::vector<CaseRequest>& requests, const std::vector<size_t>& which,
                  const OnJudged& on_judged) {
    auto opened = Gathering(market, requests[which.front()]).job_case();
    const auto fail_all = [&](const Gap& gap) {
        for (const size_t i : which) on_judged(i, without_answers(market, gap, requests[i]));
    };
    if (!opened) return fail_all(opened.error());
    AuditBatch batch(market, verifier, std::move(opened->job), requests, on_judged);
    for (const size_t i : which) {
        auto audit = gather_audit(market, requests[i], opened->program);
        if (audit)
            batch.add(i, std::move(*audit));
        else
            on_judged(i, without_answers(market, audit.error(), requests[i]));
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
