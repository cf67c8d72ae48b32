// SPDX-License-Identifier: Apache-2.0
// The clipped update by AdamW or SGD on a state where a backend computes.
#include "training/update.hpp"

#include <array>

#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/tree_sum.hpp"

namespace trainyard::training {

namespace {

/// `clip`: the factor in memory of the backend; nullptr: that of the scalars.
void update_tensors(const Program& program, const LiveState& state, const TensorSet& gradients,
                    const UpdateScalars& scalars, const float* clip) {
    std::vector<TensorUpdate> all;
    for (size_t k = 0; k < gradients.size(); ++k)
        all.push_back({{state.w().at(k), state.m().at(k), state.v().at(k), gradients.at(k), clip},
                       gradients.count(k),
                       decay_of(program, k)});
    if (scalars.kind == OptimiserKind::sgd)
        state.backend().sgd_all(all, scalars.sgd, state.sums());
    else
        state.backend().adamw_all(all, scalars.adamw, state.sums());
}

constexpr uint32_t kWeightsOnly = 1;

std::array<const std::vector<Tensor>*, StateSums::kKinds> kinds_of(const ModelState& state) {
    return {&state.w, &state.m, &state.v};
}

}  // namespace

LiveState::LiveState(Backend& backend, ModelState& state)
    : backend_(&backend),
      host_(&state),
      w_(TensorSet::of(backend, state.w)),
      m_(TensorSet::of(backend, state.m)),
      v_(TensorSet::of(backend, state.v)),
      sums_(backend.checks_states() ? BackendMemory(backend, sizeof(StateSums)) : BackendMemory()),
      updates_(backend.make_sequence()) {}

Result<LiveState, EngineError> LiveState::load(Backend& backend, const Program& program,
                                               ModelState& state) {
    if (!state_fits(program, state)) return unexpected(EngineError::wrong_shape);
    LiveState out(backend, state);
    if (!out.w_.ok() || !out.m_.ok() || !out.v_.ok())
        return unexpected(failure_on(backend, EngineError::out_of_memory));
    if (!backend.checks_states()) return out;
    if (!out.sums_.ok()) return unexpected(failure_on(backend, EngineError::out_of_memory));
    out.expect(state);
    return out;
}

/// From the bytes on the host, so that what changes on the way to the device is seen, too.
void LiveState::expect(const ModelState& state) {
    const auto kinds = kinds_of(state);
    for (uint32_t kind = 0; kind < StateSums::kKinds; ++kind) {
        const uint32_t sum = sum_of_bits(*kinds[kind], backend_->pool());
        backend_->upload(sums()->due[kind], &sum, sizeof sum);
    }
}

Result<Done, EngineError> LiveState::finish_copies(const ModelState& to, uint32_t kinds) const {
    StateSums::Words due = {};
    if (sums() != nullptr) backend_->fetch(due, sums()->due, sizeof due);
    if (auto done = backend_->finish(); !done) return unexpected(engine_error(done.error()));
    if (sums() == nullptr) return Done{};
    for (uint32_t kind = 0; kind < kinds; ++kind) {
        uint32_t sum = 0;
        for (const uint32_t word : due[kind]) sum += word;
        if (sum_of_bits(*kinds_of(to)[kind], backend_->pool()) != sum)
            return unexpected(EngineError::state_changed);
    }
    return Done{};
}

Result<Done, EngineError> LiveState::save() {
    w_.copy_to(host_->w);
    m_.copy_to(host_->m);
    v_.copy_to(host_->v);
    return finish_copies(*host_, StateSums::kKinds);
}

Result<Done, EngineError> LiveState::save_weights() {
    w_.copy_to(host_->w);
    return finish_copies(*host_, kWeightsOnly);
}

Result<Done, EngineError> LiveState::save_to(ModelState& to) const {
    if (to.w.size() != w_.size()) to = *host_;
    to.p1_bits = host_->p1_bits;
    to.p2_bits = host_->p2_bits;
    to.step = host_->step;
    to.cursor = host_->cursor;
    to.run_seed = host_->run_seed;
    w_.copy_to(to.w);
    m_.copy_to(to.m);
    v_.copy_to(to.v);
    return finish_copies(to, StateSums::kKinds);
}

UpdateScalars update_scalars(const Program& program, uint64_t t, uint32_t p1_bits, uint32_t p2_bits,
                             uint32_t norm_bits) {
    const FloatModeGuard mode;
    const Optimiser& o = program.optimiser;
    UpdateScalars out;
    AdamwScalars& s = out.adamw;
    s.b1 = as_float(o.b1_bits);
    s.b2 = as_float(o.b2_bits);
    s.eps = as_float(o.eps_bits);
    s.lr = as_float(o.lr_bits[t]);
    const float norm = as_float(norm_bits);
    const float clip = as_float(o.clip_bits);
    s.clip = norm > clip ? clip / norm : 1.0F;
    out.kind = o.kind;
    out.sgd = {s.lr, s.clip, s.b1};
    const float p1 = as_float(p1_bits) * s.b1, p2 = as_float(p2_bits) * s.b2;
    s.ic1 = 1.0F / (1.0F - p1);
    s.ic2 = 1.0F / (1.0F - p2);
    s.o1 = 1.0F - s.b1;
    s.o2 = 1.0F - s.b2;
    out.p1_bits = bits_of(p1);
    out.p2_bits = bits_of(p2);
    return out;
}

float decay_of(const Program& program, size_t parameter) {
    return program.parameters[parameter].decay ? as_float(program.optimiser.decay_bits) : 0.0F;
}

void advance_counters(const Program& program, ModelState& state) {
    const UpdateScalars scalars =
        update_scalars(program, state.step, state.p1_bits, state.p2_bits, 0);
    state.p1_bits = scalars.p1_bits;
    state.p2_bits = scalars.p2_bits;
    state.step += 1;
    state.cursor += uint64_t{program.run.micro_batches} * program.run.sequences;
}

ModelState counters_after(const Program& program, const Hash& run_seed, uint64_t steps) {
    ModelState out;
    out.run_seed = run_seed;
    while (out.step < steps) advance_counters(program, out);
    return out;
}

void start_update(const Program& program, const LiveState& state, const TensorSet& gradients,
                  float* squares, float* norm) {
    Backend& backend = state.backend();
    const ModelState& s = state.host();
    const UpdateScalars scalars = update_scalars(program, s.step, s.p1_bits, s.p2_bits, 0);
    state.updates().run([&] {
        backend.sums_of_squares(squares, gradients.views());
        backend.clip_norm(norm, squares, gradients.size(), as_float(program.optimiser.clip_bits));
        update_tensors(program, state, gradients, scalars, norm + 1);
    });
}

Result<Done, EngineError> check_state(const Program& program, const LiveState& state) {
    if (state.sums() == nullptr) return Done{};
    UpdateScalars scalars;
    scalars.kind = program.optimiser.kind;
    scalars.adamw.clip = scalars.sgd.clip = as_float(kNanBits);
    update_tensors(program, state, state.w(), scalars, nullptr);  // no gradient is read
    if (auto done = state.backend().finish(); !done) return unexpected(engine_error(done.error()));
    return Done{};
}

Result<Done, EngineError> update_with(const Program& program, LiveState& state,
                                      const TensorSet& gradients, uint32_t norm_bits) {
    if (!gradients.ok()) return unexpected(failure_on(state.backend(), EngineError::out_of_memory));
    ModelState& s = state.host();
    update_tensors(program, state, gradients,
                   update_scalars(program, s.step, s.p1_bits, s.p2_bits, norm_bits), nullptr);
    if (auto done = state.backend().finish(); !done) return unexpected(engine_error(done.error()));
    advance_counters(program, s);
    return Done{};
}

Result<UpdateResult, EngineError> apply_update(const Program& program, LiveState& state,
                                               const TensorSet& gradients) {
    if (!gradients.fits(parameter_shapes(program)) || state.host().step >= program.run.steps)
        return unexpected(EngineError::wrong_shape);
    Backend& backend = state.backend();
    const BackendMemory numbers(backend, (gradients.size() + 2) * sizeof(float));
    if (!numbers.ok()) return unexpected(failure_on(backend, EngineError::out_of_memory));
    start_update(program, state, gradients, numbers.floats() + 2, numbers.floats());
    float norm = 0;
    backend.fetch(&norm, numbers.data(), sizeof norm);
    if (auto done = backend.finish(); !done) return unexpected(engine_error(done.error()));
    const UpdateResult out{bits_of(norm), is_nonfinite(norm)};
    if (!out.nonfinite) advance_counters(program, state.host());
    return out;
}

uint32_t mean_of_losses(const std::vector<uint32_t>& loss_bits) {
    const FloatModeGuard mode;
    const auto add = [](float& left, float right) { left = left + right; };
    TreeSum<float, decltype(add)> tree(add);
    for (const uint32_t bits : loss_bits) tree.push(as_float(bits));
    return bits_of(tree.take() / static_cast<float>(loss_bits.size()));
}

}  // namespace trainyard::training
