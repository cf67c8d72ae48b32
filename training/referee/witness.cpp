// SPDX-License-Identifier: Apache-2.0
// Steps as the engine takes them, unit by unit, with every number at hand.
#include "training/referee/witness.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "core/merkle.hpp"
#include "training/graph.hpp"
#include "training/live_state.hpp"
#include "training/numerics/functions.hpp"
#include "training/referee/opening.hpp"
#include "training/state_root.hpp"
#include "training/tree_sum.hpp"
#include "training/update.hpp"

namespace trainyard::training::referee {

namespace {

/// Tensor `index` of w, m, v of all parameters.
template <class State>
auto& tensor_of(State& state, uint32_t index) {
    const auto parameters = static_cast<uint32_t>(state.w.size());
    auto& set = index < parameters ? state.w : index < 2 * parameters ? state.m : state.v;
    return set[index % parameters];
}

Tensor number_tensor(uint32_t bits) {
    return {Shape::vector(1), Floats{as_float(bits)}};
}

TensorList list_of(const std::vector<Tensor>& tensors) {
    TensorList out;
    for (const Tensor& tensor : tensors) out.push_back(&tensor);
    return out;
}

}  // namespace

Witness::Witness(const Program& program, BytesView data, Backend& backend, Options options,
                 std::vector<Tensor> constants)
    : program_(program),
      encoded_(encode_program(program)),
      data_(data),
      backend_(&backend),
      options_(std::move(options)),
      constants_(std::move(constants)) {
    const auto& slip = options_.slip;
    if (slip && slip->kind == SubjectKind::init)
        tensor_of(options_.first, slip->index).data[slip->element] = as_float(slip->bits);
}

Result<Witness, EngineError> Witness::make(const Program& program, BytesView data, Backend& backend,
                                           Options options) {
    if (!backend.is_host() || !state_fits(program, options.first) || options.steps == 0)
        return unexpected(EngineError::wrong_shape);
    auto constants = program_constants(program, data);
    if (!constants) return unexpected(constants.error());
    return Witness(program, data, backend, std::move(options), std::move(*constants));
}

const Slip* Witness::slip_at(uint32_t t) const {
    return options_.slip && options_.slip->step == t ? &*options_.slip : nullptr;
}

Result<UnitNumbers, EngineError> Witness::unit(uint32_t t, uint32_t j, const UnitWishes& wishes) {
    const auto run = step(t);
    if (!run) return unexpected(run.error());
    const ModelState& state = (*run)->before;
    const auto batch =
        make_batch(program_, data_, batch_records(program_, state.run_seed, state.step, j));
    if (!batch) return unexpected(batch.error());
    UnitWishes all = wishes;
    all.slip = slip_at(t);
    if (all.slip != nullptr && all.slip->unit != j) all.slip = nullptr;
    return run_unit(*backend_,
                    {&program_, &state.w, &constants_, &*batch, {state.run_seed, state.step, j}},
                    all);
}

/// Puts the slip's number into what it is about.
void Witness::slip_in(Tensor& tensor, SubjectKind kind, uint32_t index, const StepRun& run,
                      const TensorList& inputs) {
    const auto& slip = options_.slip;
    if (!slip || slip->kind != kind || slip->index != index) return;
    Subject subject;
    subject.kind = kind;
    subject.index = index;
    const bool is_known = resolve(
        subject, program_, {run.before.run_seed, run.before.step, slip->unit, run.tuple.norm_bits});
    ASSERT(is_known);
    tensor.data[slip->element] = as_float(slipped(*slip, subject, inputs));
}

Result<Done, EngineError> Witness::run_units(StepRun& run, uint32_t t) {
    const auto add = [](std::vector<Tensor>& left, std::vector<Tensor> right) {
        for (size_t k = 0; k < left.size(); ++k)
            for (size_t i = 0; i < left[k].data.size(); ++i)
                left[k].data[i] = left[k].data[i] + right[k].data[i];
    };
    TreeSum<std::vector<Tensor>, decltype(add)> tree(add);
    std::vector<uint32_t> losses;
    for (uint32_t j = 0; j < program_.run.micro_batches; ++j) {
        auto numbers = unit(t, j, {});
        if (!numbers) return unexpected(numbers.error());
        if (!numbers->is_finite) return unexpected(EngineError::diverged);
        run.units.push_back({numbers->loss_bits, grad_root(numbers->gradients)});
        losses.push_back(numbers->loss_bits);
        tree.push(std::move(numbers->gradients));
    }
    run.sums = tree.take();
    run.tuple.loss_bits = mean_of_losses(losses);
    run.tuple.units_root = units_root(static_cast<uint32_t>(run.before.step), run.units);
    return Done{};
}

Result<Done, EngineError> Witness::run_update(StepRun& run, uint32_t t) {
    const bool slips = slip_at(t) != nullptr;
    if (slips && options_.slip->kind == SubjectKind::sum) {
        const uint32_t k = options_.slip->index;
        std::vector<Tensor> gradients;
        for (uint32_t j = 0; j < program_.run.micro_batches; ++j) {
            auto numbers = unit(t, j, {});
            if (!numbers) return unexpected(numbers.error());
            gradients.push_back(std::move(numbers->gradients[k]));
        }
        slip_in(run.sums[k], SubjectKind::sum, k, run, list_of(gradients));
    }
    run.tuple.grad_root = grad_root(run.sums);
    std::vector<float> squares(run.sums.size());
    for (uint32_t k = 0; k < squares.size(); ++k) {
        backend_->sum_squares(&squares[k], run.sums[k].data.data(), run.sums[k].data.size());
        Tensor number = number_tensor(bits_of(squares[k]));
        if (slips) slip_in(number, SubjectKind::squares, k, run, {&run.sums[k]});
        squares[k] = number.data[0];
        run.squares.push_back(bits_of(squares[k]));
    }
    float norm[2] = {};
    backend_->clip_norm(norm, squares.data(), squares.size(),
                        as_float(program_.optimiser.clip_bits));
    run.tuple.norm_bits = bits_of(norm[0]);
    run.after = run.before;
    auto live = LiveState::load(*backend_, program_, run.after);
    if (!live) return unexpected(live.error());
    auto done =
        update_with(program_, *live, TensorSet::of(*backend_, run.sums), run.tuple.norm_bits);
    if (!done) return done;
    if (auto saved = live->save(); !saved) return saved;
    for (uint32_t i = 0; slips && i < 3 * run.sums.size(); ++i) {
        const auto k = static_cast<uint32_t>(i % run.sums.size());
        slip_in(tensor_of(run.after, i), SubjectKind::state, i, run,
                {&run.before.w[k], &run.before.m[k], &run.before.v[k], &run.sums[k]});
    }
    return Done{};
}

Result<const StepRun*, EngineError> Witness::step(uint32_t t) {
    if (step_number_ == t) return &step_;
    ASSERT(t < options_.steps);
    if (!step_number_ || *step_number_ > t) {
        step_number_ = 0;
        step_ = {};
        step_.before = options_.first;
    } else {
        ModelState after = std::move(step_.after);
        ++*step_number_;
        step_ = {};
        step_.before = std::move(after);
    }
    const uint32_t at = *step_number_;
    auto done = run_units(step_, at);
    if (done) done = run_update(step_, at);
    if (!done) {
        step_number_.reset();
        return unexpected(done.error());
    }
    return step(t);
}

Result<const SegmentRun*, EngineError> Witness::segment() {
    if (segment_) return &*segment_;
    const Hash id = program_id(program_);
    SegmentRun out;
    out.values.push_back(state_root(options_.first, id));
    for (uint32_t t = 0; t < options_.steps; ++t) {
        const auto run = step(t);
        if (!run) return unexpected(run.error());
        const StepRun& s = **run;
        out.values.push_back(step_leaf(static_cast<uint32_t>(s.before.step), s.tuple));
        const Hash root = state_root(s.after, id);
        const bool is_last = t + 1 == options_.steps;
        out.values.push_back(is_last ? root : weights_root(s.after, id));
        if (!is_last) out.whole.push_back(root);
        out.loss_bits = s.tuple.loss_bits;
    }
    segment_ = std::move(out);
    return &*segment_;
}

Result<Claim, EngineError> Witness::claim() {
    const auto run = segment();
    if (!run) return unexpected(run.error());
    const SegmentRun& s = **run;
    Claim claim;
    claim.program = program_id(program_);
    claim.run_seed = options_.first.run_seed;
    claim.micro_batches = program_.run.micro_batches;
    claim.loss_bits = s.loss_bits;
    claim.segment = {static_cast<uint32_t>(options_.first.step), options_.steps, s.values.front(),
                     s.values.back(), sequence_root(s.values)};
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
        out.tensor = std::move(numbers->value);
        out.inputs = std::move(numbers->value_inputs);
    }
    return out;
}

Result<Witness::Evidence, EngineError> Witness::update_evidence(const State& s) {
    const auto run = step(s.step);
    if (!run) return unexpected(run.error());
    const StepRun& r = **run;
    const auto k = static_cast<uint32_t>(s.subject.index % r.sums.size());
    Evidence out;
    switch (s.subject.kind) {
        case SubjectKind::sum:
            out.tensor = r.sums[k];
            for (uint32_t j = 0; j < program_.run.micro_batches; ++j) {
                auto numbers = unit(s.step, j, {});
                if (!numbers) return unexpected(numbers.error());
                out.inputs.push_back(std::move(numbers->gradients[k]));
            }
            return out;
        case SubjectKind::squares:
            out.tensor = number_tensor(r.squares[k]);
            out.inputs = {r.sums[k]};
            return out;
        case SubjectKind::state:
            out.tensor = tensor_of(r.after, s.subject.index);
            out.inputs = {r.before.w[k], r.before.m[k], r.before.v[k], r.sums[k]};
            return out;
        default:
            out.tensor = tensor_of(options_.first, s.subject.index);
            return out;
    }
}

Result<const Witness::Evidence*, EngineError> Witness::evidence(const State& s) {
    const EvidenceKey key{s.step, s.unit_number, s.subject.kind, s.subject.index};
    if (evidence_key_ == key) return &evidence_;
    const bool is_of_unit =
        s.subject.kind == SubjectKind::value || s.subject.kind == SubjectKind::unit_loss;
    auto found = is_of_unit ? value_evidence(s) : update_evidence(s);
    if (!found) return unexpected(found.error());
    evidence_ = std::move(*found);
    evidence_key_ = key;
    return &evidence_;
}

Result<Inputs, EngineError> Witness::inputs_of(const State& s) {
    const auto found = evidence(s);
    if (!found) return unexpected(found.error());
    const Slip* slip = slip_at(s.step);
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
