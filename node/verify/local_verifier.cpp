// SPDX-License-Identifier: Apache-2.0
// The judge itself: decodes the case, runs training's audit functions, words the finding.
#include "node/verify/verifier.hpp"

#include <optional>

#include "core/hash.hpp"
#include "node/verify/backend_choice.hpp"
#include "training/segment.hpp"

namespace trainyard::node::verify {
namespace {

using training::Program;

VerifyError bad_request(std::string text) {
    return {VerifyErrorCode::bad_request, std::move(text)};
}

VerifyError from_engine(training::EngineError error) {
    const auto code = error == training::EngineError::out_of_memory ? VerifyErrorCode::out_of_memory
                                                                    : VerifyErrorCode::bad_request;
    return {code, std::string(training::to_text(error))};
}

Result<Program, VerifyError> open_program(const SegmentCase& segment) {
    if (sha256(segment.program) != segment.program_id)
        return unexpected(bad_request("the program's bytes are not those that the job names"));
    auto program = training::decode_program(segment.program);
    if (!program) return unexpected(bad_request("program: " + training::to_text(program.error())));
    if (program->data.size_bytes != segment.data.size())
        return unexpected(bad_request("the data set has another size than the program says"));
    return std::move(*program);
}

/// Empty if the blob is the state with that root, else what is wrong with it.
std::string state_fault(const Program& program, const Hash& program_id,
                        const SegmentCase& segment) {
    const auto state = training::decode_state(program, segment.last_state);
    if (!state) return "the published state of the segment's end cannot be read";
    const bool right = training::state_root(*state, program_id) == segment.claim.last_root;
    return right ? "" : "the published state of the segment's end has another root";
}

std::string describe(const training::AuditAnswer& answer) {
    if (answer.matches()) return "match";
    std::string text(training::to_text(answer.finding));
    text += " at step " + std::to_string(answer.step);
    const bool tile = answer.finding == training::AuditFinding::gradient ||
                      answer.finding == training::AuditFinding::update;
    if (tile)
        text += ", tensor " + std::to_string(answer.tile.tensor) + " tile " +
                std::to_string(answer.tile.tile);
    return text;
}

class LocalVerifier final : public Verifier {
public:
    explicit LocalVerifier(LocalOptions options)
        : backend_(make_backend({options.threads, options.allow_cuda})) {}

    std::string name() override { return backend_->name(); }

    Result<VerifyAnswer, VerifyError> audit(const AuditRequest& request) override {
        const auto program = open_program(request.segment);
        if (!program) return unexpected(program.error());
        auto engine = training::Engine::make(*program, *backend_, request.segment.data);
        if (!engine) return unexpected(from_engine(engine.error()));
        const training::AuditInputs inputs{request.segment.claim, request.segment.run_seed,
                                           request.segment.data, request.draws};
        const auto result = training::check_bundle_and_audit(*engine, request.bundle, inputs);
        if (!result) return unexpected(from_engine(result.error()));
        VerifyAnswer answer{result->matches(), result->units, describe(*result)};
        const auto fault = state_fault(*program, request.segment.program_id, request.segment);
        if (!fault.empty() && answer.matches) answer = {false, answer.answers, fault};
        return answer;
    }

    Result<VerifyAnswer, VerifyError> replay(const ReplayRequest& request) override {
        const auto program = open_program(request.segment);
        if (!program) return unexpected(program.error());
        const auto& claim = request.segment.claim;
        auto first = first_state(*program, request);
        if (!first)
            return VerifyAnswer{false, {Hash{}}, "the state before the segment cannot be read"};
        if (training::state_root(*first, request.segment.program_id) != claim.first_root)
            return VerifyAnswer{false, {Hash{}}, "the segment starts from another state"};
        auto engine = training::Engine::make(*program, *backend_, request.segment.data);
        if (!engine) return unexpected(from_engine(engine.error()));
        const auto result =
            training::replay_segment(*engine, request.segment.data, *first, claim.steps);
        if (!result) {
            if (result.error() != training::EngineError::diverged)
                return unexpected(from_engine(result.error()));
            return VerifyAnswer{false, {Hash{}}, "training diverges inside the segment"};
        }
        VerifyAnswer answer{true, {result->digest}, "match"};
        if (result->steps_root != claim.steps_root)
            answer = {false, {result->digest}, "replaying gives another root of the steps"};
        else if (result->last_root != claim.last_root)
            answer = {false, {result->digest}, "replaying ends in another state"};
        else if (auto fault = state_fault(*program, request.segment.program_id, request.segment);
                 !fault.empty())
            answer = {false, {result->digest}, fault};
        return answer;
    }

private:
    static std::optional<training::ModelState> first_state(const Program& program,
                                                           const ReplayRequest& request) {
        if (request.first_state.empty())
            return training::make_initial_state(program, request.segment.run_seed,
                                                request.segment.data);
        auto state = training::decode_state(program, request.first_state);
        if (!state) return std::nullopt;
        return std::move(*state);
    }

    std::unique_ptr<training::Backend> backend_;
};

}  // namespace

std::unique_ptr<Verifier> make_local_verifier(LocalOptions options) {
    return std::make_unique<LocalVerifier>(options);
}

}  // namespace trainyard::node::verify
