// SPDX-License-Identifier: Apache-2.0
// Training a segment with its log, regenerating states from the log, and full replay.
#include "core/hash.hpp"
#include "training/repeat.hpp"
#include "training/segment.hpp"
#include "training/update.hpp"

namespace trainyard::training {

namespace {

void record_step(SegmentRecord& record, uint32_t t, const StepResult& step) {
    std::vector<Unit> units;
    for (size_t j = 0; j < step.unit_loss_bits.size(); ++j)
        units.push_back({step.unit_loss_bits[j], step.unit_grad_roots[j]});
    record.tuples.push_back({units_root(t, units), step.grad_root, step.norm_bits, step.loss_bits,
                             static_cast<uint8_t>(step.nonfinite ? 1 : 0)});
    record.units.push_back(std::move(units));
}

/// Adds what is committed of the state after `steps()` steps of the segment's `n`.
Result<Done, EngineError> record_state(SegmentRecord& record, const LiveState& state,
                                       const Hash& id, uint32_t n) {
    const bool inside = record.steps() > 0 && record.steps() < n;
    auto root = inside ? weights_root(state, id) : state_root(state, id);
    if (!root) return unexpected(root.error());
    if (inside)
        record.states.weights_inside.push_back(*root);
    else
        (record.steps() == 0 ? record.states.first : record.states.last) = *root;
    return Done{};
}

/// What a provider that skips a step makes up: the step before with other low bits.
StepResult make_up(const StepResult& before) {
    StepResult out;
    out.unit_loss_bits = before.unit_loss_bits;
    out.unit_grad_roots = before.unit_grad_roots;
    out.loss_bits = before.loss_bits ^ 1U;
    out.grad_root = before.grad_root;
    out.norm_bits = before.norm_bits;
    for (uint32_t& bits : out.unit_loss_bits) bits ^= 1U;
    for (Hash& root : out.unit_grad_roots) root = sha256(root.bytes);
    return out;
}

/// The step as it should be, on a copy of the state.
Result<StepResult, EngineError> honest_units(Engine& engine, const LiveState& state,
                                             BytesView data) {
    ModelState copy;
    if (auto saved = state.save_to(copy); !saved) return unexpected(saved.error());
    auto live = LiveState::load(engine.backend(), engine.program(), copy);
    if (!live) return unexpected(live.error());
    auto step = run_step(engine, *live, data);
    if (step) engine.recycle(std::move(step->gradients));
    return step;
}

/// A step of which something was not computed; only tests and the labelled fault mode come here.
/// `gradients` are those of the step before.
Result<StepResult, EngineError> fake_step(Engine& engine, LiveState& state, BytesView data,
                                          const StepResult& before,
                                          const std::vector<Tensor>& gradients, Fault fault) {
    if (fault == Fault::diverge) return unexpected(EngineError::diverged);
    auto made = fault == Fault::made_up_sums ? honest_units(engine, state, data)
                                             : Result<StepResult, EngineError>(make_up(before));
    if (!made) return made;
    StepResult out = std::move(*made);
    auto used = engine.take_gradients();
    if (!used) return unexpected(used.error());
    if (fault == Fault::zero_gradients)
        used->clear();
    else
        used->upload(gradients);
    out.gradients = std::move(*used);
    if (fault == Fault::skip_steps) {
        advance_counters(engine.program(), state.host());
        return out;
    }
    auto update = apply_update(engine.program(), state, out.gradients);
    if (!update) return unexpected(update.error());
    out.norm_bits = update->norm_bits;
    auto root = grad_root(engine.backend(), out.gradients);
    if (!root) return unexpected(root.error());
    out.grad_root = *root;
    return out;
}

std::vector<Tensor> host_copy(const Program& program, const TensorSet& gradients) {
    std::vector<Tensor> out;
    for (const Shape& shape : parameter_shapes(program)) out.push_back(Tensor::zeros(shape));
    gradients.copy_to(out);
    return out;
}

bool is_faked(Fault fault, uint32_t i) {
    return fault != Fault::none && i % 2 == 1;
}

}  // namespace

Result<Done, EngineError> repeat_update(const Program& program, LiveState& state,
                                        const SegmentLog& log, size_t i,
                                        const std::vector<Tensor>& gradients) {
    if (log.fault == Fault::skip_steps && is_faked(log.fault, static_cast<uint32_t>(i))) {
        advance_counters(program, state.host());
        return Done{};
    }
    return update_with(program, state, TensorSet::of(state.backend(), gradients),
                       log.record.tuples[i].norm_bits);
}

Result<SegmentRecord, EngineError> run_segment(Engine& engine, LiveState& state, BytesView data,
                                               const SegmentOptions& options,
                                               GradientSaver& saver) {
    const Program& program = engine.program();
    const Hash id = program_id(program);
    if (options.steps == 0 || state.host().step + options.steps > program.run.steps)
        return unexpected(EngineError::wrong_shape);
    SegmentRecord record;
    record.first_step = static_cast<uint32_t>(state.host().step);
    if (options.first_root) {
        record.states.first = *options.first_root;
    } else {
        auto done = record_state(record, state, id, options.steps);
        if (!done) return unexpected(done.error());
    }
    StepResult last;
    std::vector<Tensor> copy;  // of the last gradients, for a fault alone
    for (uint32_t i = 0; i < options.steps; ++i) {
        const auto t = static_cast<uint32_t>(state.host().step);
        auto step = is_faked(options.fault, i)
                        ? fake_step(engine, state, data, last, copy, options.fault)
                        : run_step(engine, state, data);
        if (!step) return unexpected(step.error());
        last = std::move(*step);
        record_step(record, t, last);
        auto done = record_state(record, state, id, options.steps);
        if (done && options.fault != Fault::none) copy = host_copy(program, last.gradients);
        if (done) done = saver.put(std::move(last.gradients));
        if (!done) return unexpected(done.error());
        if (options.on_step) options.on_step(state.host().step, last);
    }
    return record;
}

Result<SegmentLog, EngineError> run_segment(Engine& engine, ModelState& state, BytesView data,
                                            const SegmentOptions& options) {
    auto live = LiveState::load(engine.backend(), engine.program(), state);
    if (!live) return unexpected(live.error());
    const auto gradients = std::make_shared<GradientMemory>(parameter_shapes(engine.program()));
    SegmentLog log{{}, state, gradients, options.fault};
    GradientSaver saver(engine);
    saver.begin(*gradients);
    auto record = run_segment(engine, *live, data, options, saver);
    if (!record) return unexpected(record.error());
    if (auto done = saver.finish(); !done) return unexpected(done.error());
    if (auto saved = live->save(); !saved) return unexpected(saved.error());
    log.record = std::move(*record);
    return log;
}

namespace {

Result<ModelState, EngineError> repeat_updates(const Program& program, Backend& backend,
                                               const SegmentLog& log, uint32_t t) {
    ModelState state = log.first;
    auto live = LiveState::load(backend, program, state);
    if (!live) return unexpected(live.error());
    for (size_t i = 0; state.step < t; ++i) {
        const auto gradients = log.gradients->read(i);
        if (!gradients) return unexpected(gradients.error());
        auto done = repeat_update(program, *live, log, i, *gradients);
        if (!done) return unexpected(done.error());
    }
    if (auto saved = live->save(); !saved) return unexpected(saved.error());
    return state;
}

}  // namespace

Result<ModelState, EngineError> regenerate_state(const Program& program, Backend& backend,
                                                 const SegmentLog& log, uint32_t t) {
    if (t < log.record.first_step || t - log.record.first_step > log.record.steps())
        return unexpected(EngineError::wrong_shape);
    return repeat_changed([&] { return repeat_updates(program, backend, log, t); });
}

Result<ReplayResult, EngineError> replay_segment(Engine& engine, BytesView data, ModelState& first,
                                                 uint32_t steps) {
    const Hash id = program_id(engine.program());
    if (steps == 0 || first.step + steps > engine.program().run.steps)
        return unexpected(EngineError::wrong_shape);
    SegmentRecord record;
    record.first_step = static_cast<uint32_t>(first.step);
    auto live = LiveState::load(engine.backend(), engine.program(), first);
    if (!live) return unexpected(live.error());
    if (auto done = record_state(record, *live, id, steps); !done) return unexpected(done.error());
    for (uint32_t i = 0; i < steps; ++i) {
        const uint32_t t = record.first_step + i;
        auto step = run_step(engine, *live, data);
        if (!step && step.error() == EngineError::diverged)
            return ReplayResult{{}, {}, replay_digest(record), 0, t};
        if (!step) return unexpected(step.error());
        record_step(record, t, *step);
        engine.recycle(std::move(step->gradients));
        auto done = record_state(record, *live, id, steps);
        if (!done) return unexpected(done.error());
    }
    if (auto saved = live->save(); !saved) return unexpected(saved.error());
    const SegmentClaim claim = claim_of(record);
    return ReplayResult{claim.last_root, claim.steps_root, replay_digest(record),
                        last_loss_bits(record)};
}

}  // namespace trainyard::training
