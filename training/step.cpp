// SPDX-License-Identifier: Apache-2.0
// A whole step: micro-batches, the fixed tree that sums them, the update; its results reach the
// host together.
#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "training/engine.hpp"
#include "training/numerics/functions.hpp"
#include "training/repeat.hpp"
#include "training/state_root.hpp"
#include "training/tree_sum.hpp"
#include "training/update.hpp"

namespace trainyard::training {

bool same_bits(const Tensor& a, const Tensor& b) {
    if (a.shape != b.shape || a.data.size() != b.data.size()) return false;
    for (size_t i = 0; i < a.data.size(); ++i)
        if (bits_of(a.data[i]) != bits_of(b.data[i])) return false;
    return true;
}

namespace {

/// What a step leaves for the host, in one block of the backend's memory: sums of squares, norm and
/// clip factor; the summed losses of each micro-batch; and for each set of gradients, those of the
/// micro-batches and their sum, the roots of its tensors.
class StepReport {
public:
    StepReport(Backend& backend, const Program& program, uint32_t units)
        : backend_(backend),
          shapes_(parameter_shapes(program)),
          units_(units),
          tensors_(shapes_.size()),
          memory_(backend, bytes()),
          host_(bytes()) {}
    [[nodiscard]] bool ok() const { return memory_.ok(); }

    [[nodiscard]] float* norm() const { return memory_.floats(); }
    [[nodiscard]] float* squares() const { return memory_.floats() + 2; }
    [[nodiscard]] float* loss_sum(uint32_t j) const { return squares() + tensors_ + j; }
    [[nodiscard]] void* roots(uint32_t set) const {
        return static_cast<uint8_t*>(memory_.data()) + roots_at(set);
    }

    /// Waits for everything so far.
    Result<BackendStatus, EngineError> collect() {
        backend_.fetch(host_.data(), memory_.data(), host_.size());
        auto status = backend_.finish();
        if (!status) return unexpected(engine_error(status.error()));
        return *status;
    }
    // What `collect` brought.
    [[nodiscard]] float norm_value() const { return value(0); }
    [[nodiscard]] float loss_value(uint32_t j) const { return value(2 + tensors_ + j); }
    [[nodiscard]] Hash root_of(uint32_t set) const {
        std::vector<Hash> roots(tensors_);
        std::memcpy(roots.data(), host_.data() + roots_at(set), tensors_ * sizeof(Hash));
        return grad_root(shapes_, roots);
    }

private:
    [[nodiscard]] size_t roots_at(uint32_t set) const {
        return (2 + tensors_ + units_) * sizeof(float) + set * tensors_ * sizeof(Hash);
    }
    [[nodiscard]] size_t bytes() const { return roots_at(units_ + 1); }
    [[nodiscard]] float value(size_t at) const {
        float out;
        std::memcpy(&out, host_.data() + at * sizeof(float), sizeof out);
        return out;
    }

    Backend& backend_;
    std::vector<Shape> shapes_;
    uint32_t units_;
    size_t tensors_;
    BackendMemory memory_;
    Bytes host_;
};

/// Adds gradients where they lie and hands memory that is free again to the engine.
struct AddGradients {
    Engine* engine;
    void operator()(TensorSet& to, TensorSet from) const {
        to.add(from);
        engine->recycle(std::move(from));
    }
};
using GradientTree = TreeSum<TensorSet, AddGradients>;

/// One process's part of a step: loss and root of its micro-batches, and the gradients that it
/// passes on: their sum where that is a node of the fixed tree, else all of them.
struct Part {
    std::vector<uint32_t> loss_bits;
    std::vector<Hash> roots;
    std::vector<TensorSet> gradients;
    uint32_t level = 0;  ///< of each of `gradients` in the tree
    std::optional<EngineError> error;
};

/// Calls the operators of micro-batches [first, first + count) and waits for none of them.
Part start_part(Engine& engine, const ModelState& state, BytesView data, uint32_t first,
                uint32_t count, const StepReport& report) {
    Part part;
    // All micro-batches are the whole tree; a part is a node of it if its size is a power of two.
    const bool is_node = count == engine.program().run.micro_batches || std::has_single_bit(count);
    GradientTree tree(AddGradients{&engine});
    for (uint32_t i = 0; i < count; ++i) {
        auto gradients = start_micro_batch(engine, data, state, first + i, report.loss_sum(i));
        if (!gradients) {
            part.error = gradients.error();
            return part;
        }
        engine.backend().tile_roots(report.roots(i), gradients->views());
        if (is_node)
            tree.push(std::move(*gradients));
        else
            part.gradients.push_back(std::move(*gradients));
    }
    if (!is_node) return part;
    part.level = static_cast<uint32_t>(std::countr_zero(count));
    part.gradients.push_back(tree.take());
    return part;
}

/// Fills in what the report says of a part's `count` micro-batches.
void read_units(const Engine& engine, const StepReport& report, const BackendStatus& status,
                uint32_t count, Part& part) {
    if (status.nonfinite) part.error = EngineError::diverged;
    for (uint32_t i = 0; i < count && !part.error; ++i) {
        part.loss_bits.push_back(bits_of(engine.mean_loss(report.loss_value(i))));
        part.roots.push_back(report.root_of(i));
    }
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

enum class Way { out, in };

/// Calls `message` with the elements of the set where the crew takes them from memory of the
/// backend, else with copies on the host, tensor by tensor, that come from the set or go to it.
template <class Message>
void pass(Backend& backend, const Crew& crew, const TensorSet& set, Way way,
          const Message& message) {
    if (backend.is_host() || crew.reaches_devices()) {
        for (const std::span<float> x : set.pieces()) message(x);
        return;
    }
    for (size_t k = 0; k < set.size(); ++k) {
        Floats copy(set.count(k));
        if (way == Way::out) backend.download(copy.data(), set.at(k), copy.size() * sizeof(float));
        message(std::span(copy));
        if (way == Way::in) backend.upload(set.at(k), copy.data(), copy.size() * sizeof(float));
    }
}

/// The sum over all processes by the tree over all micro-batches, for everyone.
Result<TensorSet, EngineError> join_gradients(Engine& engine, Crew& crew, Part& part) {
    Backend& backend = engine.backend();
    const bool is_first = crew.rank() == 0;
    TensorSet sum;
    if (is_first) {
        GradientTree tree(AddGradients{&engine});
        const size_t items = part.gradients.size();
        for (auto& item : part.gradients) tree.push(std::move(item), part.level);
        for (uint32_t r = 1; r < crew.size(); ++r)
            for (size_t i = 0; i < items; ++i) {
                auto item = engine.take_gradients();
                if (!item) return unexpected(item.error());
                pass(backend, crew, *item, Way::in,
                     [&](std::span<float> x) { crew.receive(x, r); });
                tree.push(std::move(*item), part.level);
            }
        sum = tree.take();
    } else {
        for (const auto& item : part.gradients)
            pass(backend, crew, item, Way::out, [&](std::span<float> x) { crew.send_to_first(x); });
        sum = std::move(part.gradients[0]);
    }
    pass(backend, crew, sum, is_first ? Way::out : Way::in,
         [&](std::span<float> x) { crew.share(x); });
    return sum;
}

/// Makes the part of this process the whole step's: units of all, one sum.
Result<Done, EngineError> join_parts(Engine& engine, Crew& crew, StepReport& report, uint32_t count,
                                     Part& part) {
    const auto status = report.collect();
    if (!status) part.error = status.error();
    if (!part.error) read_units(engine, report, *status, count, part);
    part.error = join_units(crew, part, count);
    if (part.error) return unexpected(*part.error);
    auto sum = join_gradients(engine, crew, part);
    if (!sum) return unexpected(sum.error());
    part.gradients.clear();
    part.gradients.push_back(std::move(*sum));
    return Done{};
}

/// Whether any process's memory has changed the state. Each has one of its own, and all go back to
/// an older one together.
bool any_changed(Crew& crew, bool mine) {
    const Bytes all = crew.gather(Bytes{static_cast<uint8_t>(mine ? 1 : 0)});
    return std::find(all.begin(), all.end(), 1) != all.end();
}

/// Why a step of a crew ends before its update, the same for all. A flipped bit may well look like
/// divergence, and no update has read the state.
EngineError why_not_joined(const Program& program, const LiveState& state, Crew& crew,
                           EngineError error) {
    if (error != EngineError::diverged) return error;
    const auto kept = check_state(program, state);
    const bool is_changed = !kept && kept.error() == EngineError::state_changed;
    return any_changed(crew, is_changed) ? EngineError::state_changed : error;
}

/// What the report says behind the update. With a crew it is the end of the step for all, so that
/// nobody goes on with a state that another one has lost.
Result<BackendStatus, EngineError> end_step(StepReport& report, Crew* crew) {
    auto status = report.collect();
    if (crew == nullptr) return status;
    const bool is_changed = !status && status.error() == EngineError::state_changed;
    if (any_changed(*crew, is_changed)) return unexpected(EngineError::state_changed);
    return status;
}

/// A step once. A wrong product is told to all processes of a crew, as any error is, so that all
/// of them do it again.
Result<StepResult, EngineError> try_step(Engine& engine, LiveState& state, BytesView data,
                                         Crew* crew) {
    const Program& program = engine.program();
    ModelState& host = state.host();
    const uint32_t workers = crew != nullptr ? crew->size() : 1;
    const uint32_t count = program.run.micro_batches / workers;
    if (!state.w().fits(parameter_shapes(program)) || host.step >= program.run.steps ||
        program.run.micro_batches % workers != 0)
        return unexpected(EngineError::wrong_shape);
    StepReport report(engine.backend(), program, count);
    if (!report.ok()) return unexpected(failure_on(engine.backend(), EngineError::out_of_memory));
    engine.use_weights(state.w());
    Part part = [&] {
        const Engine::SteadyWeights steady(engine);
        return start_part(engine, host, data, crew != nullptr ? crew->rank() * count : 0, count,
                          report);
    }();
    if (crew != nullptr) {
        auto joined = join_parts(engine, *crew, report, count, part);
        if (!joined) return unexpected(why_not_joined(program, state, *crew, joined.error()));
    }
    if (part.error) return unexpected(failure_on(engine.backend(), *part.error));
    StepResult out;
    out.gradients = std::move(part.gradients[0]);
    if (program.run.micro_batches > 1)
        engine.backend().tile_roots(report.roots(count), out.gradients.views());
    start_update(program, state, out.gradients, report.squares(), report.norm());
    const auto status = end_step(report, crew);
    if (!status) return unexpected(status.error());
    if (crew == nullptr) read_units(engine, report, *status, count, part);
    out.norm_bits = bits_of(report.norm_value());
    if (part.error || is_nonfinite(report.norm_value())) return unexpected(EngineError::diverged);
    advance_counters(program, host);
    out.unit_loss_bits = std::move(part.loss_bits);
    out.unit_grad_roots = std::move(part.roots);
    out.grad_root = program.run.micro_batches == 1 ? out.unit_grad_roots[0] : report.root_of(count);
    out.loss_bits = mean_of_losses(out.unit_loss_bits);
    return out;
}

}  // namespace

Result<StepResult, EngineError> run_step(Engine& engine, LiveState& state, BytesView data,
                                         Crew* crew) {
    const uint64_t before = engine.backend().wrong_products();
    auto step = repeat_wrong([&] { return try_step(engine, state, data, crew); });
    if (step) step->wrong_products = engine.backend().wrong_products() - before;
    return step;
}

Result<StepResult, EngineError> run_step(Engine& engine, ModelState& state, BytesView data,
                                         Crew* crew) {
    auto live = LiveState::load(engine.backend(), engine.program(), state);
    if (!live) return unexpected(live.error());
    auto step = run_step(engine, *live, data, crew);
    if (!step) return step;
    if (auto saved = live->save(); !saved) return unexpected(saved.error());
    return step;
}

}  // namespace trainyard::training
