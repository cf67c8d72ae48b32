// SPDX-License-Identifier: Apache-2.0
// Binds the graph without recomputation to host memory, and looks at it after each operator.
#include "training/referee/unit_run.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "training/graph.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/state_root.hpp"

namespace trainyard::training::referee {

namespace {

/// Operators take what they only read by pointers that are not const.
void* memory_of(const auto& items) {
    return const_cast<void*>(static_cast<const void*>(items.data()));
}

Tensor copy_of(const float* data, Shape shape) {
    Tensor out{shape, Floats(shape.count())};
    std::copy(data, data + shape.count(), out.data.begin());
    return out;
}

class Recorder {
public:
    Recorder(Backend& backend, const UnitInputs& in, const UnitWishes& wishes,
             const TrainingGraph& training, GraphRunner& runner)
        : backend_(backend), in_(in), wishes_(wishes), training_(training), runner_(runner) {
        numbers_.gradients.resize(training.gradients.size());
    }

    /// All operators, or those up to where the unit diverges.
    Result<Done, EngineError> run_all() {
        const RunContext context = context_of(*in_.program, training_, in_.spot);
        for (size_t i = 0; i < training_.graph.nodes.size(); ++i) {
            const Node& node = training_.graph.nodes[i];
            if (is_wanted(node, wishes_.value) || is_wanted(node, slip_value())) keep_inputs(node);
            runner_.run(i, i + 1, context);
            const auto status = backend_.finish();
            if (!status) return unexpected(engine_error(status.error()));
            if (status->nonfinite) return find_gap(node);
            for (const uint32_t value : node.outputs) on_yield(value);
        }
        return Done{};
    }
    [[nodiscard]] UnitNumbers take() { return std::move(numbers_); }

private:
    [[nodiscard]] Shape shape(uint32_t value) const { return training_.graph.values[value].shape; }
    [[nodiscard]] Tensor tensor(uint32_t value) const {
        return copy_of(runner_.floats(value), shape(value));
    }
    [[nodiscard]] std::optional<uint32_t> slip_value() const {
        if (wishes_.slip == nullptr || wishes_.slip->kind != SubjectKind::value)
            return std::nullopt;
        return wishes_.slip->index;
    }
    static bool is_wanted(const Node& node, std::optional<uint32_t> value) {
        return value &&
               std::find(node.outputs.begin(), node.outputs.end(), *value) != node.outputs.end();
    }

    [[nodiscard]] std::vector<Tensor> inputs_of(const Node& node) const {
        std::vector<Tensor> out;
        for (const uint32_t value : node.inputs) out.push_back(tensor(value));
        return out;
    }
    void keep_inputs(const Node& node) {
        node_inputs_ = inputs_of(node);
        if (is_wanted(node, wishes_.value)) numbers_.value_inputs = node_inputs_;
    }

    /// Elements of the operator's outputs are tried in an order that is spread over them: a whole
    /// row or column has no number, and a tensor may have 10^8 elements.
    Result<Done, EngineError> find_gap(const Node& node) {
        constexpr uint64_t kStride = 2654435761;  // a prime above all counts
        const std::vector<Tensor> inputs = inputs_of(node);
        const Inputs read = reading(list_of(inputs), nullptr);
        for (const uint32_t value : node.outputs) {
            const Subject subject = resolved(value);
            const auto count = subject.shape.count();
            for (uint64_t i = 0; i < count; ++i) {
                const auto element = static_cast<uint32_t>(i * kStride % count);
                if (evaluate(subject.call, {kOutput, subject.port, element}, read)) continue;
                numbers_.gap = Gap{value, element};
                return Done{};
            }
        }
        return unexpected(EngineError::diverged);
    }

    [[nodiscard]] Subject resolved(uint32_t value) const {
        Subject subject;
        subject.kind = SubjectKind::value;
        subject.index = value;
        const bool is_known = resolve(subject, *in_.program, in_.spot);
        ASSERT(is_known);
        return subject;
    }

    void on_yield(uint32_t value) {
        if (value == slip_value()) slip_in(value);
        write_one_nan(runner_.floats(value), shape(value).count());
        if (wishes_.roots) {
            const TensorView view(runner_.floats(value), shape(value));
            tile_roots(&numbers_.roots.emplace_back(), {&view, 1}, backend_.pool());
        }
        if (value == wishes_.value) numbers_.value = tensor(value);
        if (value == training_.losses) numbers_.losses = tensor(value);
        for (size_t k = 0; k < training_.gradients.size(); ++k)
            if (training_.gradients[k] == value) numbers_.gradients[k] = tensor(value);
    }

    void slip_in(uint32_t value) {
        runner_.floats(value)[wishes_.slip->element] =
            as_float(slipped(*wishes_.slip, resolved(value), list_of(node_inputs_)));
    }

    Backend& backend_;
    const UnitInputs& in_;
    const UnitWishes& wishes_;
    const TrainingGraph& training_;
    GraphRunner& runner_;
    std::vector<Tensor> node_inputs_;
    UnitNumbers numbers_;
};

void bind_inputs(GraphRunner& runner, const UnitInputs& in) {
    const Batch& batch = *in.batch;
    runner.bind(kTokensValue,
                batch.tokens.empty() ? memory_of(batch.features) : memory_of(batch.tokens));
    runner.bind(kTargetsValue, memory_of(batch.targets));
    uint32_t value = kFirstParameterValue;
    for (const auto* tensors : {in.w, in.constants})
        for (const Tensor& tensor : *tensors) runner.bind(value++, memory_of(tensor.data));
}

}  // namespace

Result<UnitNumbers, EngineError> run_unit(Backend& backend, const UnitInputs& in,
                                          const UnitWishes& wishes) {
    ASSERT(backend.is_host());
    const auto training = derive_training_graph(*in.program);
    if (!training) return unexpected(EngineError::bad_program);
    std::vector<uint32_t> outside(first_yield(*in.program));
    for (uint32_t v = 0; v < outside.size(); ++v) outside[v] = v;
    GraphRunner runner(backend, training->graph, training->graph.nodes.size(), {}, outside);
    if (!runner.ok()) return unexpected(EngineError::out_of_memory);
    bind_inputs(runner, in);
    Recorder recorder(backend, in, wishes, *training, runner);
    if (auto done = recorder.run_all(); !done) return unexpected(done.error());
    UnitNumbers out = recorder.take();
    if (out.gap) return out;
    float sum = 0;
    backend.sum(&sum, out.losses.data.data(), out.losses.data.size());
    if (auto done = backend.finish(); !done) return unexpected(engine_error(done.error()));
    const FloatModeGuard mode;
    out.loss_bits = bits_of(sum / static_cast<float>(out.losses.data.size()));
    if (wishes.slip != nullptr && wishes.slip->kind == SubjectKind::unit_loss)
        out.loss_bits = wishes.slip->bits;
    return out;
}

}  // namespace trainyard::training::referee
