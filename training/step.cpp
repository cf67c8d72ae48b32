// SPDX-License-Identifier: Apache-2.0
// A whole step: micro-batches, the fixed tree that sums them, the clipped AdamW update.
#include <bit>
#include <cmath>
#include <optional>

#include "training/engine.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/runner.hpp"
#include "training/state_root.hpp"
#include "training/update.hpp"

namespace trainyard::training {

namespace {

/// A host tensor as memory of the backend: itself on a host backend, else a copy.
class Mirror {
public:
    Mirror(Backend& backend, float* host, size_t count, bool write_back)
        : backend_(backend), host_(host), bytes_(count * sizeof(float)), write_back_(write_back) {
        if (backend.is_host()) return;
        copy_ = BackendMemory(backend, bytes_);
        if (copy_.ok()) backend.upload(copy_.data(), host, bytes_);
    }
    [[nodiscard]] bool ok() const { return backend_.is_host() || copy_.ok(); }
    [[nodiscard]] float* data() const { return backend_.is_host() ? host_ : copy_.floats(); }
    void finish() {
        if (write_back_ && copy_.ok()) backend_.download(host_, copy_.data(), bytes_);
    }

private:
    Backend& backend_;
    float* host_;
    size_t bytes_;
    bool write_back_;
    BackendMemory copy_;
};

/// sqrt of the sum of squares, added tensor by tensor in order.
Result<float, EngineError> global_norm(Backend& backend, const std::vector<Tensor>& gradients) {
    BackendMemory scalar(backend, sizeof(float));
    if (!scalar.ok()) return unexpected(EngineError::out_of_memory);
    float total = 0.0F;
    for (const Tensor& g : gradients) {
        const Mirror mirror(backend, const_cast<float*>(g.data.data()), g.data.size(), false);
        if (!mirror.ok()) return unexpected(EngineError::out_of_memory);
        backend.sum_squares(scalar.floats(), mirror.data(), g.data.size());
        float part = 0.0F;
        backend.download(&part, scalar.data(), sizeof(float));
        total = total + part;
    }
    return std::sqrt(total);
}

Result<Done, EngineError> update_tensor(Backend& backend, ModelState& state, size_t k,
                                        const Tensor& gradient, const UpdateScalars& scalars,
                                        float wd) {
    const size_t count = gradient.data.size();
    Mirror w(backend, state.w[k].data.data(), count, true);
    Mirror m(backend, state.m[k].data.data(), count, true);
    Mirror v(backend, state.v[k].data.data(), count, true);
    const Mirror g(backend, const_cast<float*>(gradient.data.data()), count, false);
    if (!w.ok() || !m.ok() || !v.ok() || !g.ok()) return unexpected(EngineError::out_of_memory);
    const AdamwTensors tensors{w.data(), m.data(), v.data(), g.data()};
    if (scalars.kind == OptimiserKind::sgd)
        backend.sgd(tensors, count, scalars.sgd, wd);
    else
        backend.adamw(tensors, count, scalars.adamw, wd);
    w.finish();
    m.finish();
    v.finish();
    return Done{};
}

}  // namespace

bool same_bits(const Tensor& a, const Tensor& b) {
    if (a.shape != b.shape || a.data.size() != b.data.size()) return false;
    for (size_t i = 0; i < a.data.size(); ++i)
        if (bits_of(a.data[i]) != bits_of(b.data[i])) return false;
    return true;
}

void TreeSum::add(std::vector<Tensor>& to, std::vector<Tensor> from) {
    constexpr size_t kElementsPerTask = size_t{1} << 16;
    for (size_t k = 0; k < to.size(); ++k) {
        float* sum = to[k].data.data();
        const float* more = from[k].data.data();
        run_ranges(pool_, to[k].data.size(), kElementsPerTask, [=](size_t first, size_t last) {
            for (size_t i = first; i < last; ++i) sum[i] = sum[i] + more[i];
        });
    }
    spare_.push_back(std::move(from));
}

std::vector<Tensor> TreeSum::take_spare() {
    if (spare_.empty()) return {};
    std::vector<Tensor> out = std::move(spare_.back());
    spare_.pop_back();
    return out;
}

void TreeSum::push(std::vector<Tensor> item, uint32_t level) {
    const FloatModeGuard mode;
    Partial next{level, std::move(item)};
    while (!partials_.empty() && partials_.back().level == next.level) {
        Partial left = std::move(partials_.back());
        partials_.pop_back();
        add(left.sum, std::move(next.sum));
        next = {left.level + 1, std::move(left.sum)};
    }
    partials_.push_back(std::move(next));
}

std::vector<Tensor> TreeSum::take() {
    const FloatModeGuard mode;
    if (partials_.empty()) return {};
    std::vector<Tensor> sum = std::move(partials_.back().sum);
    partials_.pop_back();
    while (!partials_.empty()) {
        std::vector<Tensor> left = std::move(partials_.back().sum);
        partials_.pop_back();
        add(left, std::move(sum));
        sum = std::move(left);
    }
    return sum;
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

Result<Done, EngineError> update_with(const Program& program, Backend& backend, ModelState& state,
                                      const std::vector<Tensor>& gradients, uint32_t norm_bits) {
    const UpdateScalars scalars =
        update_scalars(program, state.step, state.p1_bits, state.p2_bits, norm_bits);
    for (size_t k = 0; k < gradients.size(); ++k) {
        auto done = update_tensor(backend, state, k, gradients[k], scalars, decay_of(program, k));
        if (!done) return done;
    }
    auto status = backend.finish();
    if (!status) return unexpected(EngineError::device_failed);
    state.p1_bits = scalars.p1_bits;
    state.p2_bits = scalars.p2_bits;
    state.step += 1;
    state.cursor += uint64_t{program.run.micro_batches} * program.run.sequences;
    return Done{};
}

Result<UpdateResult, EngineError> apply_update(const Program& program, Backend& backend,
                                               ModelState& state,
                                               const std::vector<Tensor>& gradients) {
    if (!state_fits(program, state) || gradients.size() != program.parameters.size() ||
        state.step >= program.run.steps)
        return unexpected(EngineError::wrong_shape);
    for (size_t k = 0; k < gradients.size(); ++k)
        if (gradients[k].shape != program.parameters[k].shape ||
            gradients[k].data.size() != gradients[k].shape.count())
            return unexpected(EngineError::wrong_shape);
    const FloatModeGuard mode;
    auto norm = global_norm(backend, gradients);
    if (!norm) return unexpected(norm.error());
    UpdateResult out{bits_of(*norm), is_nonfinite(*norm)};
    if (out.nonfinite) return out;
    auto done = update_with(program, backend, state, gradients, out.norm_bits);
    if (!done) return unexpected(done.error());
    return out;
}

uint32_t mean_of_losses(const std::vector<uint32_t>& loss_bits) {
    const FloatModeGuard mode;
    TreeSum tree;
    for (const uint32_t bits : loss_bits) tree.push({Tensor{Shape::vector(1), {as_float(bits)}}});
    return bits_of(tree.take()[0].data[0] / static_cast<float>(loss_bits.size()));
}

namespace {

/// One process's part of a step: loss and root of its micro-batches, and the gradients that it
/// passes on: their sum where that is a node of the fixed tree, else all of them.
struct Part {
    std::vector<uint32_t> loss_bits;
    std::vector<Hash> roots;
    std::vector<std::vector<Tensor>> gradients;
    uint32_t level = 0;  ///< of each of `gradients` in the tree
    std::optional<EngineError> error;
};

/// One push may end several levels of the tree.
void recycle_spares(Engine& engine, TreeSum& tree) {
    for (auto spare = tree.take_spare(); !spare.empty(); spare = tree.take_spare())
        engine.recycle(std::move(spare));
}

Part run_part(Engine& engine, const ModelState& state, BytesView data, uint32_t first,
              uint32_t count) {
    Part part;
    // All micro-batches are the whole tree; a part is a node of it if its size is a power of two.
    const bool is_node = count == engine.program().run.micro_batches || std::has_single_bit(count);
    Pool* const pool = engine.backend().pool();
    TreeSum tree(pool);
    for (uint32_t j = first; j < first + count; ++j) {
        auto unit = run_micro_batch(engine, data, state.run_seed, state.step, j);
        if (!unit || unit->nonfinite) {
            part.error = unit ? EngineError::diverged : unit.error();
            return part;
        }
        part.loss_bits.push_back(unit->loss_bits);
        part.roots.push_back(grad_root(unit->gradients, pool));
        if (!is_node) {
            part.gradients.push_back(std::move(unit->gradients));
            continue;
        }
        tree.push(std::move(unit->gradients));
        recycle_spares(engine, tree);
    }
    if (is_node) {
        part.level = static_cast<uint32_t>(std::countr_zero(count));
        part.gradients.push_back(tree.take());
        recycle_spares(engine, tree);
    }
    return part;
}

/// Everyone's losses and roots, in order; the first error of any.
std::optional<EngineError> join_units(Crew& crew, Part& part, uint32_t count) {
    constexpr size_t kUnitBytes = 36;
    Bytes mine{static_cast<uint8_t>(part.error ? 1 + static_cast<int>(*part.error) : 0)};
    for (size_t j = 0; j < count && !part.error; ++j) {
        append_le(mine, part.loss_bits[j]);
        append(mine, part.roots[j].bytes);
    }
    mine.resize(1 + count * kUnitBytes);
    const Bytes all = crew.gather(mine);
    part.loss_bits.clear();
    part.roots.clear();
    for (size_t r = 0; r < crew.size(); ++r) {
        const uint8_t* at = all.data() + r * mine.size();
        if (*at != 0) return static_cast<EngineError>(*at - 1);
        for (++at; part.roots.size() < (r + 1) * count; at += kUnitBytes) {
            part.loss_bits.push_back(load_le<uint32_t>(at));
            part.roots.push_back(*fixed_from<Hash>({at + 4, 32}));
        }
    }
    return std::nullopt;
}

/// The sum over all processes by the tree over all micro-batches, for everyone.
std::vector<Tensor> join_gradients(Crew& crew, Part& part, const Program& program) {
    std::vector<Tensor> sum;
    if (crew.rank() == 0) {
        TreeSum tree;
        const size_t items = part.gradients.size();
        for (auto& item : part.gradients) tree.push(std::move(item), part.level);
        for (uint32_t r = 1; r < crew.size(); ++r)
            for (size_t i = 0; i < items; ++i) {
                std::vector<Tensor> item;
                for (const Parameter& p : program.parameters)
                    crew.receive(item.emplace_back(Tensor::zeros(p.shape)).data, r);
                tree.push(std::move(item), part.level);
            }
        sum = tree.take();
    } else {
        for (const auto& item : part.gradients)
            for (const Tensor& t : item) crew.send_to_first(t.data);
        sum = std::move(part.gradients[0]);
    }
    for (Tensor& t : sum) crew.share(t.data);
    return sum;
}

}  // namespace

Result<StepResult, EngineError> run_step(Engine& engine, ModelState& state, BytesView data,
                                         Crew* crew) {
    const Program& program = engine.program();
    const uint32_t workers = crew != nullptr ? crew->size() : 1;
    if (!state_fits(program, state) || state.step >= program.run.steps ||
        program.run.micro_batches % workers != 0)
        return unexpected(EngineError::wrong_shape);
    auto loaded = engine.load_weights(state.w);
    if (!loaded) return unexpected(loaded.error());
    const uint32_t count = program.run.micro_batches / workers;
    Part part = run_part(engine, state, data, crew != nullptr ? crew->rank() * count : 0, count);
    if (crew != nullptr) part.error = join_units(*crew, part, count);
    if (part.error) return unexpected(*part.error);
    StepResult out;
    out.gradients =
        crew != nullptr ? join_gradients(*crew, part, program) : std::move(part.gradients[0]);
    out.unit_loss_bits = std::move(part.loss_bits);
    out.unit_grad_roots = std::move(part.roots);
    out.grad_root = program.run.micro_batches == 1
                        ? out.unit_grad_roots[0]
                        : grad_root(out.gradients, engine.backend().pool());
    out.loss_bits = mean_of_losses(out.unit_loss_bits);
    auto update = apply_update(program, engine.backend(), state, out.gradients);
    if (!update) return unexpected(update.error());
    if (update->nonfinite) return unexpected(EngineError::diverged);
    out.norm_bits = update->norm_bits;
    return out;
}

}  // namespace trainyard::training
