// SPDX-License-Identifier: Apache-2.0
// What stands below a subject of a dispute, and the numbers of its lines.
#include "training/referee/witness.hpp"

#include "training/numerics/functions.hpp"
#include "training/referee/opening.hpp"
#include "training/state_root.hpp"

namespace trainyard::training::referee {

Witness::Witness(const Program& program, BytesView data, Backend& backend, Options options,
                 std::vector<Tensor> constants, Engine engine)
    : program_(program),
      encoded_(encode_program(program)),
      data_(data),
      backend_(&backend),
      slip_(std::move(options.slip)),
      steps_(options.steps),
      constants_(std::move(constants)),
      engine_(std::move(engine)) {
    ModelState& first = states_[0] = std::move(options.first);
    if (slip_ && slip_->kind == SubjectKind::init)
        tensor_of(first, slip_->index).data[slip_->element] = as_float(slip_->bits);
    segment_.values.push_back(state_root(first, program_id(program_), backend_->pool()));
}

Result<Witness, EngineError> Witness::make(const Program& program, BytesView data, Backend& backend,
                                           Options options) {
    if (!backend.is_host() || !state_fits(program, options.first) || options.steps == 0)
        return unexpected(EngineError::wrong_shape);
    auto constants = program_constants(program, data);
    if (!constants) return unexpected(constants.error());
    Backend& device = options.device != nullptr ? *options.device : backend;
    auto engine = Engine::make(program, device, *constants, options.cuts);
    if (!engine) return unexpected(engine.error());
    return Witness(program, data, backend, std::move(options), std::move(*constants),
                   std::move(*engine));
}

Result<Claim, EngineError> Witness::claim() {
    const auto run = segment();
    if (!run) return unexpected(run.error());
    const SegmentRun& s = **run;
    Claim claim;
    claim.program = program_id(program_);
    claim.run_seed = first().run_seed;
    claim.micro_batches = program_.run.micro_batches;
    claim.loss_bits = s.loss_bits;
    claim.segment = {static_cast<uint32_t>(first().step), steps_, s.values.front(), s.values.back(),
                     sequence_root(s.values)};
    return claim;
}

Result<Witness::Evidence, EngineError> Witness::value_evidence(const State& s) {
    const bool is_loss = s.subject.kind == SubjectKind::unit_loss;
    UnitWishes wishes;
    if (!is_loss) wishes.value = s.subject.index;
    auto numbers = unit(s.step, s.unit_number, wishes);
    if (!numbers) return unexpected(numbers.error());
    Evidence out;
    if (is_loss) {
        out.tensor = number_tensor(numbers->loss_bits);
        out.inputs.push_back(std::move(numbers->losses));
    } else {
        if (numbers->gap && numbers->gap->value == s.subject.index) out.gap = numbers->gap->element;
        out.tensor = std::move(numbers->value);
        out.inputs = std::move(numbers->value_inputs);
    }
    return out;
}

Result<Witness::Evidence, EngineError> Witness::update_evidence(const State& s) {
    const auto run = step_so_far(s.step);
    if (!run) return unexpected(run.error());
    const StepRun& r = **run;
    const SubjectKind kind = s.subject.kind;
    if (kind == SubjectKind::state ? r.diverges : r.squares.empty())
        return unexpected(EngineError::diverged);
    const auto k = static_cast<uint32_t>(s.subject.index % r.sums.size());
    Evidence out;
    switch (kind) {
        case SubjectKind::sum: {
            auto gradients = gradients_of_units(k);
            if (!gradients) return unexpected(gradients.error());
            out.tensor = r.sums[k];
            out.inputs = std::move(*gradients);
            return out;
        }
        case SubjectKind::squares:
            out.tensor = number_tensor(r.squares[k]);
            out.inputs = {r.sums[k]};
            return out;
        default:
            out.tensor = tensor_of(r.after, s.subject.index);
            out.inputs = {r.before.w[k], r.before.m[k], r.before.v[k], r.sums[k]};
            return out;
    }
}

Result<const Witness::Evidence*, EngineError> Witness::evidence(const State& s) {
    const EvidenceKey key{s.step, s.unit_number, s.subject.kind, s.subject.index};
    if (evidence_key_ == key) return &evidence_;
    const SubjectKind kind = s.subject.kind;
    if (kind == SubjectKind::init) {
        evidence_ = {tensor_of(first(), s.subject.index), {}, {}};
    } else {
        const bool is_of_unit = kind == SubjectKind::value || kind == SubjectKind::unit_loss;
        auto found = is_of_unit ? value_evidence(s) : update_evidence(s);
        if (!found) return unexpected(found.error());
        evidence_ = std::move(*found);
    }
    evidence_key_ = key;
    return &evidence_;
}

Result<Inputs, EngineError> Witness::inputs_of(const State& s) {
    const auto found = evidence(s);
    if (!found) return unexpected(found.error());
    const Slip* slip = slip_ && slip_->step == s.step ? &*slip_ : nullptr;
    const bool slips = slip != nullptr && slip->kind == s.subject.kind &&
                       slip->index == s.subject.index &&
                       (slip->kind != SubjectKind::value || slip->unit == s.unit_number);
    return reading(list_of((*found)->inputs), slips ? slip : nullptr);
}

Result<Numbers, EngineError> Witness::parts(const State& s) {
    const auto inputs = inputs_of(s);
    if (!inputs) return unexpected(inputs.error());
    auto parts = evaluate_parts(s.subject.call, s.term, *inputs);
    if (!parts) return unexpected(EngineError::diverged);
    return std::move(*parts);
}

Result<std::optional<uint32_t>, EngineError> Witness::first_wrong(const State& s) {
    const auto inputs = inputs_of(s);
    if (!inputs) return unexpected(inputs.error());
    return referee::first_wrong(s.subject.call, s.term, s.numbers, *inputs);
}

}  // namespace trainyard::training::referee
