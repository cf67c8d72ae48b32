// SPDX-License-Identifier: Apache-2.0
// Training a segment with its log, regenerating states from the log, and full replay.
#include "core/hash.hpp"
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
void record_state(SegmentRecord& record, const ModelState& state, const Hash& id, uint32_t n,
                  Pool* pool) {
    if (record.steps() == n)
        record.states.last = state_root(state, id, pool);
    else if (record.steps() > 0)
        record.states.weights_inside.push_back(weights_root(state, id, pool));
    else
        record.states.first = state_root(state, id, pool);
}

/// What a provider that skips a step makes up: the step before with other low bits.
StepResult make_up(const StepResult& before, bool zero) {
    StepResult out = before;
    for (uint32_t& bits : out.unit_loss_bits) bits ^= 1U;
    for (Hash& root : out.unit_grad_roots) root = sha256(root.bytes);
    out.loss_bits ^= 1U;
    if (zero)
        for (Tensor& g : out.gradients) g = Tensor::zeros(g.shape);
    return out;
}

/// A step that was not computed; only tests and the labelled fault mode come here.
Result<StepResult, EngineError> fake_step(Engine& engine, ModelState& state,
                                          const StepResult& before, Fault fault) {
    const Program& program = engine.program();
    StepResult out = make_up(before, fault == Fault::zero_gradients);
    if (fault == Fault::skip_steps) {
        const UpdateScalars scalars =
            update_scalars(program, state.step, state.p1_bits, state.p2_bits, out.norm_bits);
        state.p1_bits = scalars.p1_bits;
        state.p2_bits = scalars.p2_bits;
        state.step += 1;
        state.cursor += uint64_t{program.run.micro_batches} * program.run.sequences;
        return out;
    }
    auto update = apply_update(program, engine.backend(), state, out.gradients);
    if (!update) return unexpected(update.error());
    out.norm_bits = update->norm_bits;
    out.grad_root = grad_root(out.gradients, engine.backend().pool());
    return out;
}

bool is_faked(Fault fault, uint32_t i) {
    return fault != Fault::none && i % 2 == 1;
}

}  // namespace

Result<SegmentLog, EngineError> run_segment(Engine& engine, ModelState& state, BytesView data,
                                            const SegmentOptions& options) {
    const Hash id = program_id(engine.program());
    if (options.steps == 0 || state.step + options.steps > engine.program().run.steps)
        return unexpected(EngineError::wrong_shape);
    SegmentLog log;
    log.first = state;
    log.record.first_step = static_cast<uint32_t>(state.step);
    if (options.first_root)
        log.record.states.first = *options.first_root;
    else
        record_state(log.record, state, id, options.steps, engine.backend().pool());
    StepResult last;
    for (uint32_t i = 0; i < options.steps; ++i) {
        const auto t = static_cast<uint32_t>(state.step);
        const bool faked = is_faked(options.fault, i);
        auto step =
            faked ? fake_step(engine, state, last, options.fault) : run_step(engine, state, data);
        if (!step) return unexpected(step.error());
        last = std::move(*step);
        record_step(log.record, t, last);
        record_state(log.record, state, id, options.steps, engine.backend().pool());
        log.carried_over.push_back(faked && options.fault == Fault::skip_steps ? 1 : 0);
        if (options.on_step) options.on_step(state, last);
        if (options.fault == Fault::none)
            log.summed_gradients.push_back(std::move(last.gradients));
        else  // a faulty step is made of the one before
            log.summed_gradients.push_back(last.gradients);
    }
    return log;
}

Result<ModelState, EngineError> regenerate_state(const Program& program, Backend& backend,
                                                 const SegmentLog& log, uint32_t t) {
    if (t < log.record.first_step || t - log.record.first_step > log.record.steps())
        return unexpected(EngineError::wrong_shape);
    ModelState state = log.first;
    for (size_t i = 0; state.step < t; ++i) {
        const uint32_t norm_bits = log.record.tuples[i].norm_bits;
        if (log.carried_over[i] != 0) {
            auto w = state.w, m = state.m, v = state.v;
            auto done = update_with(program, backend, state, log.summed_gradients[i], norm_bits);
            if (!done) return unexpected(done.error());
            state.w = std::move(w), state.m = std::move(m), state.v = std::move(v);
            continue;
        }
        auto done = update_with(program, backend, state, log.summed_gradients[i], norm_bits);
        if (!done) return unexpected(done.error());
    }
    return state;
}

Result<ReplayResult, EngineError> replay_segment(Engine& engine, BytesView data, ModelState& first,
                                                 uint32_t steps) {
    const Hash id = program_id(engine.program());
    if (steps == 0 || first.step + steps > engine.program().run.steps)
        return unexpected(EngineError::wrong_shape);
    SegmentRecord record;
    record.first_step = static_cast<uint32_t>(first.step);
    record_state(record, first, id, steps, engine.backend().pool());
    for (uint32_t i = 0; i < steps; ++i) {
        auto step = run_step(engine, first, data);
        if (!step) return unexpected(step.error());
        record_step(record, record.first_step + i, *step);
        engine.recycle(std::move(step->gradients));
        record_state(record, first, id, steps, engine.backend().pool());
    }
    const SegmentClaim claim = claim_of(record);
    return ReplayResult{claim.last_root, claim.steps_root, replay_digest(record)};
}

}  // namespace trainyard::training
