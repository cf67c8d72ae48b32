// SPDX-License-Identifier: Apache-2.0
// Steps as the engine takes them, with the numbers that a dispute asks for between the operators.
#include "training/referee/witness.hpp"

#include "core/assert.hpp"
#include "training/numerics/functions.hpp"
#include "training/state_root.hpp"
#include "training/tree_sum.hpp"
#include "training/update.hpp"

namespace trainyard::training::referee {

const Slip* Witness::slip_in_step() const {
    return slip_ && slip_->step == step_number_ ? &*slip_ : nullptr;
}

/// Puts the slip's number into what it is about.
void Witness::slip_in(Tensor& tensor, SubjectKind kind, uint32_t index, const TensorList& inputs) {
    const Slip* slip = slip_in_step();
    if (slip == nullptr || slip->kind != kind || slip->index != index) return;
    Subject subject;
    subject.kind = kind;
    subject.index = index;
    const ModelState& before = step_.before;
    const bool is_known = resolve(
        subject, program_, {before.run_seed, before.step, slip->unit, step_.tuple.norm_bits});
    ASSERT(is_known);
    tensor.data[slip->element] = as_float(slipped(*slip, subject, inputs));
}

Result<UnitNumbers, EngineError> Witness::run_on_host(uint32_t j, const UnitWishes& wishes) {
    const ModelState& state = step_.before;
    const auto batch =
        make_batch(program_, data_, batch_records(program_, state.run_seed, state.step, j));
    if (!batch) return unexpected(batch.error());
    UnitWishes all = wishes;
    all.slip = slip_in_step();
    if (all.slip != nullptr && all.slip->unit != j) all.slip = nullptr;
    return run_unit(*backend_,
                    {&program_, &state.w, &constants_, &*batch, {state.run_seed, state.step, j}},
                    all);
}

Result<Witness::UnitResult, EngineError> Witness::run_whole(uint32_t j) {
    const Slip* slip = slip_in_step();
    const bool slips = slip != nullptr && slip->unit == j &&
                       (slip->kind == SubjectKind::value || slip->kind == SubjectKind::unit_loss);
    if (!slips) {
        auto unit = run_micro_batch(engine_, data_, step_.before.run_seed, step_.before.step, j);
        if (!unit) return unexpected(unit.error());
        if (!unit->nonfinite) return UnitResult{unit->loss_bits, std::move(unit->gradients)};
    }
    const auto unit = run_on_host(j, {});  // also for what a unit that diverges has
    if (!unit) return unexpected(unit.error());
    if (unit->gap) return unexpected(EngineError::diverged);
    auto gradients = engine_.take_gradients();
    if (!gradients) return unexpected(gradients.error());
    gradients->upload(unit->gradients);
    return UnitResult{unit->loss_bits, std::move(*gradients)};
}

/// Of parameter `k`, one of each unit.
Result<std::vector<Tensor>, EngineError> Witness::gradients_of_units(uint32_t k) {
    std::vector<Tensor> out;
    for (uint32_t j = 0; j < program_.run.micro_batches; ++j) {
        auto unit = run_whole(j);
        if (!unit) return unexpected(unit.error());
        TensorSet& gradients = unit->gradients;
        Tensor& copy = out.emplace_back(Tensor::zeros(program_.parameters[k].shape));
        engine_.backend().download(copy.data.data(), gradients.at(k),
                                   copy.data.size() * sizeof(float));
        engine_.recycle(std::move(gradients));
    }
    return out;
}

Result<Done, EngineError> Witness::run_units() {
    const auto add = [this](TensorSet& to, TensorSet from) {
        to.add(from);
        engine_.recycle(std::move(from));
    };
    TreeSum<TensorSet, decltype(add)> tree(add);
    std::vector<uint32_t> losses;
    const Engine::SteadyWeights steady(engine_);
    for (uint32_t j = 0; j < program_.run.micro_batches; ++j) {
        auto unit = run_whole(j);
        if (!unit) return unexpected(unit.error());
        const auto root = grad_root(engine_.backend(), unit->gradients);
        if (!root) return unexpected(root.error());
        step_.units.push_back({unit->loss_bits, *root});
        losses.push_back(unit->loss_bits);
        step_.diverges |= is_nonfinite(as_float(unit->loss_bits));
        tree.push(std::move(unit->gradients));
    }
    step_.sums = tree.take().to_host();
    for (Tensor& sum : step_.sums) write_one_nan(sum.data.data(), sum.data.size());
    step_.tuple.loss_bits = mean_of_losses(losses);
    step_.tuple.units_root = units_root(static_cast<uint32_t>(step_.before.step), step_.units);
    return Done{};
}

/// The slip of a sum, which reads a gradient of each unit.
Result<Done, EngineError> Witness::run_sums() {
    const Slip* slip = slip_in_step();
    if (slip == nullptr || slip->kind != SubjectKind::sum) return Done{};
    const auto inputs = gradients_of_units(slip->index);
    if (!inputs) return unexpected(inputs.error());
    slip_in(step_.sums[slip->index], SubjectKind::sum, slip->index, list_of(*inputs));
    return Done{};
}

Result<Done, EngineError> Witness::run_update() {
    Backend& device = engine_.backend();
    const TensorSet sums = TensorSet::of(device, step_.sums);
    const BackendMemory memory(device, sums.size() * sizeof(float));
    if (!sums.ok() || !memory.ok())
        return unexpected(failure_on(device, EngineError::out_of_memory));
    const auto root = grad_root(device, sums);
    if (!root) return unexpected(root.error());
    step_.tuple.grad_root = *root;
    std::vector<float> squares(sums.size());
    device.sums_of_squares(memory.floats(), sums.views());
    device.download(squares.data(), memory.data(), squares.size() * sizeof(float));
    for (uint32_t k = 0; k < squares.size(); ++k) {
        Tensor number = number_tensor(bits_of(squares[k]));
        slip_in(number, SubjectKind::squares, k, {&step_.sums[k]});
        squares[k] = number.data[0];
        step_.squares.push_back(bits_of(squares[k]));
    }
    float norm[2] = {};
    backend_->clip_norm(norm, squares.data(), squares.size(),
                        as_float(program_.optimiser.clip_bits));
    if (is_nonfinite(norm[0])) return unexpected(EngineError::diverged);
    step_.tuple.norm_bits = bits_of(norm[0]);
    step_.after = step_.before;
    auto live = LiveState::load(device, program_, step_.after);
    if (!live) return unexpected(live.error());
    auto done = update_with(program_, *live, sums, step_.tuple.norm_bits);
    if (!done) return done;
    if (auto saved = live->save(); !saved) return saved;
    const ModelState& s = step_.before;
    const auto parameters = static_cast<uint32_t>(step_.sums.size());
    for (uint32_t i = 0; i < 3 * parameters; ++i) {
        const uint32_t k = i % parameters;
        slip_in(tensor_of(step_.after, i), SubjectKind::state, i,
                {&s.w[k], &s.m[k], &s.v[k], &step_.sums[k]});
    }
    return Done{};
}

/// Goes on to the step after the one that is kept, or back to the state that is nearest before `t`.
void Witness::begin_step(uint32_t t) {
    const auto nearest = std::prev(states_.upper_bound(t));
    ModelState before;
    if (step_number_ && *step_number_ < t && *step_number_ + 1 >= nearest->first) {
        before = std::move(step_.after);
        ++*step_number_;
    } else {
        before = nearest->second;
        step_number_ = nearest->first;
    }
    step_ = {};
    step_.before = std::move(before);
    const uint32_t stride = (steps_ + kKeptStates) / (kKeptStates + 1);
    if (*step_number_ % stride == 0) states_.try_emplace(*step_number_, step_.before);
}

Result<Done, EngineError> Witness::run_kept_step() {
    auto done = engine_.load_weights(step_.before.w);
    if (done) done = run_units();
    if (done) done = run_sums();
    if (done) done = run_update();
    if (done || done.error() != EngineError::diverged) return done;
    step_.diverges = true;
    return Done{};
}

Result<const StepRun*, EngineError> Witness::step_so_far(uint32_t t) {
    ASSERT(t < steps_);
    while (step_number_ != t) {
        if (step_number_ && *step_number_ < t && step_.diverges)
            return unexpected(EngineError::diverged);
        begin_step(t);
        if (auto done = run_kept_step(); !done) {
            step_number_.reset();
            return unexpected(done.error());
        }
        if (!step_.diverges) record_step();
    }
    return &step_;
}

Result<const StepRun*, EngineError> Witness::step(uint32_t t) {
    auto run = step_so_far(t);
    if (run && step_.diverges) return unexpected(EngineError::diverged);
    return run;
}

/// Adds the kept step to the segment if it is the next one there.
void Witness::record_step() {
    const uint32_t t = *step_number_;
    if (segment_.values.size() != 2 * size_t{t} + 1) return;
    const ModelState& after = step_.after;
    const Hash id = program_id(program_);
    std::vector<Hash> leaves = state_leaves(after, id, backend_->pool());
    leaves.pop_back();  // of the counters
    const Hash whole = state_root(leaves, after, id);
    leaves.resize(after.w.size());
    const bool is_last = t + 1 == steps_;
    segment_.values.push_back(step_leaf(static_cast<uint32_t>(step_.before.step), step_.tuple));
    segment_.values.push_back(is_last ? whole : state_root(std::move(leaves), after, id));
    if (!is_last) segment_.whole.push_back(whole);
    segment_.loss_bits = step_.tuple.loss_bits;
}

Result<const SegmentRun*, EngineError> Witness::segment(uint32_t steps) {
    const auto recorded = [this] { return static_cast<uint32_t>(segment_.values.size() / 2); };
    while (recorded() < steps)
        if (const auto run = step(recorded()); !run) return unexpected(run.error());
    return &segment_;
}

Result<const SegmentRun*, EngineError> Witness::segment() {
    return segment(steps_);
}

Result<UnitNumbers, EngineError> Witness::unit(uint32_t t, uint32_t j, const UnitWishes& wishes) {
    if (const auto run = step_so_far(t); !run) return unexpected(run.error());
    return run_on_host(j, wishes);
}

Result<const UnitRoots*, EngineError> Witness::unit_roots(uint32_t t, uint32_t j) {
    const std::pair key{t, j};
    if (roots_key_ == key) return &roots_;
    UnitWishes wishes;
    wishes.roots = true;
    auto numbers = unit(t, j, wishes);
    if (!numbers) return unexpected(numbers.error());
    roots_ = {std::move(numbers->roots), numbers->gap};
    roots_key_ = key;
    return &roots_;
}

Result<std::vector<Tensor>, EngineError> Witness::gradients(uint32_t t, uint32_t j) {
    if (const auto run = step(t); !run) return unexpected(run.error());
    auto unit = run_whole(j);
    if (!unit) return unexpected(unit.error());
    return unit->gradients.to_host();
}

}  // namespace trainyard::training::referee
