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
    Recorder(const UnitInputs& in, const UnitWishes& wishes, const TrainingGraph& training,
             GraphRunner& runner)
        : in_(in), wishes_(wishes), training_(training), runner_(runner) {
        numbers_.gradients.resize(training.gradients.size());
        if (wishes.roots) numbers_.roots.resize(training.graph.values.size() - first());
    }

    void run_all(const RunContext& context) {
        for (size_t i = 0; i < training_.graph.nodes.size(); ++i) {
            const Node& node = training_.graph.nodes[i];
            if (is_wanted(node, wishes_.value) || is_wanted(node, slip_value())) keep_inputs(node);
            runner_.run(i, i + 1, context);
            for (const uint32_t value : node.outputs) on_yield(value);
        }
    }
    [[nodiscard]] UnitNumbers take() { return std::move(numbers_); }

private:
    [[nodiscard]] uint32_t first() const { return first_yield(*in_.program); }
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

    void keep_inputs(const Node& node) {
        node_inputs_.clear();
        for (const uint32_t value : node.inputs) node_inputs_.push_back(tensor(value));
        if (is_wanted(node, wishes_.value)) numbers_.value_inputs = node_inputs_;
    }

    void on_yield(uint32_t value) {
        if (value == slip_value()) slip_in(value);
        if (wishes_.roots) {
            const TensorView view(runner_.floats(value), shape(value));
            tile_roots(&numbers_.roots[value - first()], {&view, 1});
        }
        if (value == wishes_.value) numbers_.value = tensor(value);
        if (value == training_.losses) numbers_.losses = tensor(value);
        for (size_t k = 0; k < training_.gradients.size(); ++k)
            if (training_.gradients[k] == value) numbers_.gradients[k] = tensor(value);
    }

    void slip_in(uint32_t value) {
        Subject subject;
        subject.kind = SubjectKind::value;
        subject.index = value;
        const bool is_known = resolve(subject, *in_.program, in_.spot);
        ASSERT(is_known);
        runner_.floats(value)[wishes_.slip->element] =
            as_float(slipped(*wishes_.slip, subject, list_of(node_inputs_)));
    }

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
    Recorder recorder(in, wishes, *training, runner);
    recorder.run_all(context_of(*in.program, *training, in.spot));
    UnitNumbers out = recorder.take();
    float sum = 0;
    backend.sum(&sum, out.losses.data.data(), out.losses.data.size());
    const auto status = backend.finish();
    if (!status) return unexpected(engine_error(status.error()));
    const FloatModeGuard mode;
    out.loss_bits = bits_of(sum / static_cast<float>(out.losses.data.size()));
    if (wishes.slip != nullptr && wishes.slip->kind == SubjectKind::unit_loss)
        out.loss_bits = wishes.slip->bits;
    out.is_finite = !status->nonfinite;
    return out;
}

}  // namespace trainyard::training::referee
