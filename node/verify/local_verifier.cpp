// SPDX-License-Identifier: Apache-2.0
// The judge itself: decodes the case, runs training's audit functions, words the finding; and the
// challenger before the referee.
#include "node/verify/verifier.hpp"

#include <optional>

#include "core/blob.hpp"
#include "core/hash.hpp"
#include "node/verify/room.hpp"
#include "node/wallet/market.hpp"
#include "node/wallet/step_name.hpp"
#include "training/referee/players.hpp"
#include "training/segment.hpp"
#include "training/tile_hash.hpp"

namespace trainyard::node::verify {
namespace {

using training::Program;

VerifyError bad_request(std::string text) {
    return {VerifyErrorCode::bad_request, std::move(text)};
}

VerifyError from_engine(training::EngineError error) {
    using training::EngineError;
    const auto code = error == EngineError::out_of_memory ? VerifyErrorCode::out_of_memory
                      : error == EngineError::device_failed ||
                              error == EngineError::wrong_product ||
                              error == EngineError::state_changed
                          ? VerifyErrorCode::device_failed
                          : VerifyErrorCode::bad_request;
    return {code, std::string(training::to_text(error))};
}

Result<Program, VerifyError> read_program(const JobCase& job) {
    if (sha256(job.program) != job.program_id)
        return unexpected(bad_request("the program's bytes are not those that the job names"));
    auto program = training::decode_program(job.program);
    if (!program) return unexpected(bad_request("program: " + training::to_text(program.error())));
    return std::move(*program);
}

Result<Program, VerifyError> open_program(const JobCase& job) {
    auto program = read_program(job);
    if (!program) return program;
    if (program->data.size_bytes != job.data.size())
        return unexpected(bad_request("the data set has another size than the program says"));
    return program;
}

/// Empty if the blob is the state with that root, else what is wrong with it.
std::string state_fault(const Program& program, const SegmentCase& segment, training::Pool* pool) {
    const auto root = segment.last_found
                          ? *segment.last_found
                          : training::blob_root(program, segment.last_state, pool);
    if (!root) return "the published state of the segment's end cannot be read";
    const bool right = *root == segment.claim.last_root;
    return right ? "" : "the published state of the segment's end has another root";
}

std::string describe(const training::AuditAnswer& answer, uint32_t steps) {
    if (answer.matches()) return "match";
    std::string text(training::to_text(answer.finding));
    text += " at " + wallet::step_name_in_run(answer.step, steps);
    const bool tile = answer.finding == training::AuditFinding::gradient ||
                      answer.finding == training::AuditFinding::update;
    if (tile)
        text += ", tensor " + std::to_string(answer.tile.tensor) + " tile " +
                std::to_string(answer.tile.tile);
    return text;
}

/// Where the run starts only its seed counts, whatever the claim says; elsewhere the blob.
std::optional<training::ModelState> first_state(const Program& program,
                                                const ReplayRequest& request,
                                                training::Pool* pool) {
    if (request.claim.first_step == 0)
        return training::make_initial_state(program, request.job.run_seed, request.job.data);
    auto state =
        training::decode_state(program, request.first_state, request.claim.first_root, pool);
    if (!state) return std::nullopt;
    return std::move(*state);
}

VerifyAnswer withheld(std::string finding) {
    return {false, {wallet::kWithheld}, std::move(finding), {}};
}

AuditResult judge_audit(training::Engine& engine, const JobCase& job, const Audit& audit) {
    const training::AuditInputs inputs{audit.segment.claim, job.run_seed, job.data, audit.draws};
    const auto result = training::check_bundle_and_audit(engine, audit.bundle, inputs);
    if (!result) return unexpected(from_engine(result.error()));
    VerifyAnswer answer{
        result->matches(), result->units, describe(*result, audit.segment.claim.steps), {}};
    const auto fault = state_fault(engine.program(), audit.segment, engine.backend().pool());
    if (!fault.empty() && answer.matches) answer = {false, answer.answers, fault, {}};
    return answer;
}

struct Replayed {
    training::ReplayResult result;
    bool starts_right = false;
};

/// Takes `state` to the segment's end; what that takes besides is free again afterwards.
Result<Replayed, training::EngineError> replay_from(training::ModelState& state,
                                                    const Program& program,
                                                    training::Backend& backend,
                                                    const ReplayRequest& request,
                                                    const training::Cuts& cuts) {
    Replayed out;
    // What was decoded from a blob has that root.
    out.starts_right = request.claim.first_step != 0 ||
                       training::state_root(state, request.job.program_id, backend.pool()) ==
                           request.claim.first_root;
    auto engine = training::Engine::make(program, backend, request.job.data, cuts);
    if (!engine) return unexpected(engine.error());
    auto result = training::replay_segment(*engine, request.job.data, state, request.claim.steps);
    if (!result) return unexpected(result.error());
    out.result = std::move(*result);
    return out;
}

/// What a replay gives other than was claimed; empty if nothing.
std::string difference_of(const Replayed& replayed, const ReplayRequest& request) {
    const auto& [result, starts_right] = replayed;
    const auto& claim = request.claim;
    const auto at = [&](uint32_t t) { return "at " + wallet::step_name_in_run(t, claim.steps); };
    if (!starts_right) return "the segment starts from another state";
    if (request.diverges_at != 0) {
        const uint32_t claimed = claim.first_step + request.diverges_at - 1;
        if (result.diverges_at == claimed) return "";
        return (result.diverges_at ? "training diverges " + at(*result.diverges_at) + ", and not "
                                   : "the segment has an end, and does not diverge ") +
               at(claimed) + " as claimed";
    }
    if (result.diverges_at)
        return "training diverges " + at(*result.diverges_at) + ", so that the segment has no end";
    if (result.steps_root != claim.steps_root) return "replaying gives another root of the steps";
    if (result.last_root != claim.last_root) return "replaying ends in another state";
    if (result.loss_bits != request.loss_bits)
        return "replaying gives another loss of the last step";
    return "";
}

/// A state is one sequence of bytes, so the replay knows the blob that the commitment must name.
AuditResult judge_replay(training::Backend& backend, const ReplayRequest& request,
                         const Room& room) {
    const auto program = open_program(request.job);
    if (!program) return unexpected(program.error());
    const auto cuts = room.cuts(*program, backend, request);
    if (!cuts) return unexpected(cuts.error());
    auto state = first_state(*program, request, backend.pool());
    if (!state) return withheld("the published state before the segment is another one");
    const auto replayed = replay_from(*state, *program, backend, request, *cuts);
    if (!replayed) return unexpected(from_engine(replayed.error()));
    const auto& result = replayed->result;
    const std::string difference = difference_of(*replayed, request);
    VerifyAnswer answer{difference.empty(), {result.digest}, difference, {}};
    if (!answer.matches) return answer;
    answer.finding = "match";
    if (request.diverges_at != 0) {
        answer.finding += ", training diverges at " +
                          wallet::step_name_in_run(*result.diverges_at, request.claim.steps);
        return answer;
    }
    Bytes last = training::encode_state(*state, request.job.program_id);
    // All numbers are right, so no referee would find it wrong; but nobody can have the state.
    const Hash last_root = training::piece_root(last, backend.pool());
    if (blob::id(last.size(), last_root) != request.last_blob)
        return withheld("the blob that it names is not the state in which replaying ends");
    if (last.size() <= request.last_bytes_max) answer.last_state = std::move(last);
    return answer;
}

namespace referee = training::referee;

/// Whether there is as much to pick from as the claim says.
bool has_its_items(const referee::State& s) {
    const size_t hashes = s.hashes.size(), numbers = s.numbers.size();
    switch (s.phase) {
        case referee::Phase::pick_step:
            return hashes == size_t{3} * s.claim.segment.steps;
        case referee::Phase::pick_unit:
            return hashes == s.claim.micro_batches && numbers == s.claim.micro_batches;
        case referee::Phase::pick_update:
            return hashes == 4 * numbers;
        default:
            return true;
    }
}

/// The state of a challenger's turn in the dispute of that segment. That moves led from the claim
/// to it the chain's hash says.
Result<referee::State, VerifyError> open_state(const PickRequest& request, const Program& program) {
    const auto refuse = [](std::string text) {
        return unexpected(bad_request("state of the dispute: " + std::move(text)));
    };
    if (request.state.size() > kRefereeStateBytesMax) return refuse("it is too long");
    auto state = referee::decode_state(request.state);
    if (!state) return refuse("it cannot be read");
    const JobCase& job = request.segment.job;
    const referee::Claim& claim = state->claim;
    const bool is_ours = claim.program == job.program_id && claim.run_seed == job.run_seed &&
                         claim.micro_batches == program.run.micro_batches &&
                         claim.segment == request.segment.claim;
    if (!is_ours) return refuse("it is about another segment");
    if (referee::turn_of(state->phase) != referee::Turn::challenger)
        return refuse("it is not the challenger's turn");
    if (state->step >= claim.segment.steps || state->unit_number >= claim.micro_batches)
        return refuse("it is about a step or micro-batch that the segment does not have");
    if (!has_its_items(*state)) return refuse("it has another number of items than its segment");
    return std::move(*state);
}

/// Our own run of a segment before the referee, from one turn of its dispute to the next.
struct DisputedRun {
    JobCase job;
    training::SegmentClaim claim;
    std::optional<referee::Witness> witness = std::nullopt;

    [[nodiscard]] bool is_of(const ReplayRequest& request) const {
        return claim == request.claim && job.program_id == request.job.program_id &&
               job.run_seed == request.job.run_seed && job.data == request.job.data;
    }
};

class LocalVerifier final : public Verifier {
public:
    LocalVerifier(BackendChoice choice, unsigned threads, uint64_t memory_bytes_max)
        : choice_(std::move(choice)), threads_(threads), room_(memory_bytes_max, threads) {}

    std::string name() override {
        return choice_.backend ? choice_.backend->name() : unavailable().text;
    }

    Result<std::vector<AuditResult>, VerifyError> audit(const AuditRequest& request) override {
        if (!choice_.backend) return unexpected(unavailable());
        const auto program = open_program(request.job);
        if (!program) return unexpected(program.error());
        const auto cuts = room_.cuts(*program, *choice_.backend, request);
        if (!cuts) return unexpected(cuts.error());
        auto engine = training::Engine::make(*program, *choice_.backend, request.job.data, *cuts);
        std::vector<AuditResult> out;
        for (const Audit& audit : request.audits) {
            auto result = engine ? judge_audit(*engine, request.job, audit)
                                 : AuditResult(unexpected(from_engine(engine.error())));
            if (is_for_cpu(result)) result = audit_on_cpu(*program, request, audit);
            out.push_back(std::move(result));
        }
        return out;
    }

    AuditResult replay(const ReplayRequest& request) override {
        if (!choice_.backend) return unexpected(unavailable());
        auto result = judge_replay(*choice_.backend, request, room_);
        return is_for_cpu(result) ? judge_replay(cpu(), request, room_) : result;
    }

    Result<Pick, VerifyError> pick(const PickRequest& request) override {
        if (!choice_.backend) return unexpected(unavailable());
        const auto program = open_program(request.segment.job);
        if (!program) return unexpected(program.error());
        const auto state = open_state(request, *program);
        if (!state) return unexpected(state.error());
        auto pick = pick_on(*choice_.backend, *program, *state, request);
        return is_for_cpu(pick) ? pick_on(cpu(), *program, *state, request) : pick;
    }

    std::optional<training::PiecewiseRoot> open_last_state(const JobCase& job,
                                                           uint64_t size_bytes) override {
        if (!choice_.backend) return std::nullopt;
        auto program = read_program(job);
        if (!program) return std::nullopt;
        return training::PiecewiseRoot(std::move(*program), size_bytes, choice_.backend->pool());
    }

    void rest() override { run_.reset(); }

private:
    /// Whole steps run on `steps`, where no other turn has begun the run.
    Result<Pick, VerifyError> pick_on(training::Backend& steps, const Program& program,
                                      const referee::State& state, const PickRequest& request) {
        if (!run_ || !run_->is_of(request.segment)) {
            run_.reset();  // two may not fit
            auto run = begin_run(steps, program, request);
            if (!run) return unexpected(run.error());
            run_ = std::move(*run);
        }
        auto pick = referee::challenger_pick(*run_->witness, state);
        if (pick) return *pick;
        run_.reset();
        return unexpected(from_engine(pick.error()));
    }
    Result<std::unique_ptr<DisputedRun>, VerifyError> begin_run(training::Backend& steps,
                                                                const Program& program,
                                                                const PickRequest& request) {
        auto cuts = room_.cuts(program, steps, request);
        if (!cuts) return unexpected(cuts.error());
        auto first = first_state(program, request.segment, steps.pool());
        if (!first)
            return unexpected(bad_request("the published state before the segment is another one"));
        const training::SegmentClaim& claim = request.segment.claim;
        auto run = std::make_unique<DisputedRun>(DisputedRun{request.segment.job, claim});
        referee::Witness::Options options;
        options.first = std::move(*first);
        options.steps = claim.steps;
        options.device = &steps;
        options.cuts = std::move(*cuts);
        training::Backend& host = steps.is_host() ? steps : cpu();
        auto witness = referee::Witness::make(program, run->job.data, host, std::move(options));
        if (!witness) return unexpected(from_engine(witness.error()));
        run->witness.emplace(std::move(*witness));
        return run;
    }

    [[nodiscard]] VerifyError unavailable() const {
        std::string text = "no back end gives the right bits";
        for (const auto& tested : choice_.tested) text += "; " + to_text(tested);
        return {VerifyErrorCode::unavailable, text};
    }

    template <class T>
    [[nodiscard]] bool is_for_cpu(const Result<T, VerifyError>& result) const {
        return !result && result.error().code == VerifyErrorCode::out_of_memory &&
               !choice_.backend->is_host();
    }
    training::Backend& cpu() {
        if (!cpu_) cpu_ = make_backend({threads_, false});
        return *cpu_;
    }
    AuditResult audit_on_cpu(const Program& program, const AuditRequest& request,
                             const Audit& audit) {
        const auto cuts = room_.cuts(program, cpu(), request);
        if (!cuts) return unexpected(cuts.error());
        auto engine = training::Engine::make(program, cpu(), request.job.data, *cuts);
        if (!engine) return unexpected(from_engine(engine.error()));
        return judge_audit(*engine, request.job, audit);
    }

    BackendChoice choice_;
    unsigned threads_;
    Room room_;
    std::unique_ptr<training::Backend> cpu_;
    std::unique_ptr<DisputedRun> run_;  ///< with a witness on one of the back ends above
};

}  // namespace

std::unique_ptr<Verifier> make_local_verifier(BackendChoice choice, unsigned threads,
                                              uint64_t memory_bytes_max) {
    return std::make_unique<LocalVerifier>(std::move(choice), threads, memory_bytes_max);
}

std::unique_ptr<Verifier> make_local_verifier(const BackendOptions& options) {
    return make_local_verifier(choose_backend(options), options.threads);
}

}  // namespace trainyard::node::verify
