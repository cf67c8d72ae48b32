// SPDX-License-Identifier: Apache-2.0
// Binds a program to a backend and runs micro-batches forward and backward.
#include "training/engine.hpp"

#include "training/graph.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/runner.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kNanBits = 0x7fc00000;

EngineError from_backend(BackendError error) {
    return error == BackendError::out_of_memory ? EngineError::out_of_memory
                                                : EngineError::device_failed;
}

}  // namespace

std::string_view to_text(EngineError error) {
    switch (error) {
        case EngineError::bad_program:
            return "the program is not valid";
        case EngineError::wrong_recipe:
            return "the backend computes another recipe";
        case EngineError::wrong_shape:
            return "state, gradients or data do not fit the program";
        case EngineError::bad_token:
            return "a token lies beyond the vocabulary, or a label beyond the classes";
        case EngineError::bad_base:
            return "the data's base section holds an Inf or NaN";
        case EngineError::out_of_memory:
            return "out of memory";
        case EngineError::device_failed:
            return "the device failed";
        case EngineError::diverged:
            return "training diverged: Inf or NaN";
    }
    return "unknown error";
}

struct Engine::Impl {
    Impl(Program p, Backend& b, TrainingGraph t)
        : program(std::move(p)),
          backend(b),
          training(std::move(t)),
          runner(b, training.graph, training.graph.nodes.size(), {training.losses},
                 training.gradients) {}

    bool allocate() {
        tokens = BackendMemory(backend, count_of(kTokensValue) * sizeof(uint32_t));
        targets = BackendMemory(backend, count_of(kTargetsValue) * sizeof(uint32_t));
        loss = BackendMemory(backend, sizeof(float));
        bool ok = runner.ok() && tokens.ok() && targets.ok() && loss.ok();
        runner.bind(kTokensValue, tokens.data());
        runner.bind(kTargetsValue, targets.data());
        if (backend.is_host()) return ok;  // weights and gradients are the tensors of the caller
        for (size_t k = 0; ok && k < program.parameters.size(); ++k) {
            const size_t bytes = program.parameters[k].shape.count() * sizeof(float);
            weights.emplace_back(backend, bytes);
            gradients.emplace_back(backend, bytes);
            ok = weights.back().ok() && gradients.back().ok();
            runner.bind(kFirstParameterValue + static_cast<uint32_t>(k), weights.back().data());
            runner.bind(training.gradients[k], gradients.back().data());
        }
        return ok;
    }

    /// Memory of the constants and their values; false when there is no room.
    bool load_constants(const std::vector<Tensor>& all) {
        for (size_t k = 0; k < all.size(); ++k) {
            const size_t bytes = all[k].data.size() * sizeof(float);
            constants.emplace_back(backend, bytes);
            if (!constants.back().ok()) return false;
            backend.upload(constants.back().data(), all[k].data.data(), bytes);
            runner.bind(first_constant_value(program) + static_cast<uint32_t>(k),
                        constants.back().data());
        }
        return true;
    }

    [[nodiscard]] size_t count_of(uint32_t value) const {
        return training.graph.values[value].shape.count();
    }

    Result<Done, EngineError> upload_images(const Batch& batch) {
        if (batch.features.size() != count_of(kTokensValue) ||
            batch.targets.size() != count_of(kTargetsValue))
            return unexpected(EngineError::wrong_shape);
        if (program.nodes.back().op == Op::cross_entropy)
            for (const uint32_t label : batch.targets)
                if (label >= training.graph.values[training.logits].shape.cols)
                    return unexpected(EngineError::bad_token);
        backend.upload(tokens.data(), batch.features.data(), batch.features.size() * sizeof(float));
        backend.upload(targets.data(), batch.targets.data(),
                       batch.targets.size() * sizeof(uint32_t));
        return Done{};
    }

    Result<Done, EngineError> upload(const Batch& batch) {
        if (program.data.kind == DataKind::images) return upload_images(batch);
        const size_t count = training.graph.values[kTokensValue].shape.count();
        if (batch.tokens.size() != count || batch.targets.size() != count)
            return unexpected(EngineError::wrong_shape);
        const uint32_t classes = training.graph.values[training.logits].shape.cols;
        for (size_t i = 0; i < count; ++i)
            if (batch.tokens[i] >= vocabulary() || batch.targets[i] >= classes)
                return unexpected(EngineError::bad_token);
        backend.upload(tokens.data(), batch.tokens.data(), count * sizeof(uint32_t));
        backend.upload(targets.data(), batch.targets.data(), count * sizeof(uint32_t));
        return Done{};
    }

    [[nodiscard]] uint32_t vocabulary() const {
        uint32_t least = 0xffffffffU;
        for (const Node& node : program.nodes)
            if ((node.op == Op::embedding || node.op == Op::lookup) &&
                node.inputs[0] == kTokensValue)
                least = std::min(least, training.graph.values[node.inputs[1]].shape.rows);
        return least;
    }

    /// A set of gradients to write to, bound where the backend works in host memory.
    std::vector<Tensor> take_gradients() {
        std::vector<Tensor> out;
        if (!spare.empty()) {
            out = std::move(spare.back());
            spare.pop_back();
        } else {
            for (const Parameter& p : program.parameters) out.push_back(Tensor::zeros(p.shape));
        }
        for (size_t k = 0; backend.is_host() && k < out.size(); ++k)
            runner.bind(training.gradients[k], out[k].data.data());
        return out;
    }

    /// sum(losses) / float(N).
    float mean_loss() {
        const size_t rows = training.graph.values[training.losses].shape.count();
        backend.sum(loss.floats(), runner.floats(training.losses), rows);
        float total = 0;
        backend.download(&total, loss.data(), sizeof(float));
        const FloatModeGuard mode;
        return total / static_cast<float>(rows);
    }

    Program program;
    Backend& backend;
    TrainingGraph training;
    GraphRunner runner;
    BackendMemory tokens, targets, loss;
    std::vector<BackendMemory> weights, gradients, constants;  ///< the first two of a device only
    std::vector<std::vector<Tensor>> spare;
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;
const Program& Engine::program() const {
    return impl_->program;
}
Backend& Engine::backend() const {
    return impl_->backend;
}

Result<Engine, EngineError> Engine::make(const Program& program, Backend& backend, BytesView data,
                                         const Cuts& cuts) {
    if (!validate_program(program)) return unexpected(EngineError::bad_program);
    const auto constants = program_constants(program, data);
    if (!constants) return unexpected(constants.error());
    return make(program, backend, *constants, cuts);
}

Result<Engine, EngineError> Engine::make(const Program& program, Backend& backend,
                                         const std::vector<Tensor>& constants, const Cuts& cuts) {
    if (program.recipe != backend.recipe()) return unexpected(EngineError::wrong_recipe);
    if (!validate_program(program)) return unexpected(EngineError::bad_program);
    auto training = derive_training_graph(program);
    if (!training) return unexpected(EngineError::bad_program);
    auto impl =
        std::make_unique<Impl>(program, backend, with_recompute(std::move(*training), cuts));
    if (constants.size() != program.constants.size()) return unexpected(EngineError::wrong_shape);
    for (size_t k = 0; k < constants.size(); ++k)
        if (constants[k].shape != program.constants[k].shape ||
            constants[k].data.size() != constants[k].shape.count())
            return unexpected(EngineError::wrong_shape);
    if (!impl->allocate() || !impl->load_constants(constants))
        return unexpected(EngineError::out_of_memory);
    return Engine(std::move(impl));
}

Result<Done, EngineError> Engine::load_weights(const std::vector<Tensor>& w) {
    const auto& parameters = impl_->program.parameters;
    if (w.size() != parameters.size()) return unexpected(EngineError::wrong_shape);
    for (size_t k = 0; k < w.size(); ++k)
        if (w[k].shape != parameters[k].shape || w[k].data.size() != w[k].shape.count())
            return unexpected(EngineError::wrong_shape);
    for (size_t k = 0; k < w.size(); ++k) {
        auto* data = const_cast<float*>(w[k].data.data());  // operators do not write to parameters
        if (impl_->backend.is_host())
            impl_->runner.bind(kFirstParameterValue + static_cast<uint32_t>(k), data);
        else
            impl_->backend.upload(impl_->weights[k].data(), data, w[k].data.size() * sizeof(float));
    }
    return Done{};
}

void Engine::recycle(std::vector<Tensor> gradients) {
    constexpr size_t kSpareMax = 8;
    const auto& parameters = impl_->program.parameters;
    if (gradients.size() != parameters.size() || impl_->spare.size() == kSpareMax) return;
    for (size_t k = 0; k < gradients.size(); ++k)
        if (gradients[k].shape != parameters[k].shape ||
            gradients[k].data.size() != gradients[k].shape.count())
            return;
    impl_->spare.push_back(std::move(gradients));
}

Result<MicroBatchResult, EngineError> Engine::run_batch(const Batch& batch, uint32_t seed,
                                                        uint32_t step_word) {
    auto uploaded = impl_->upload(batch);
    if (!uploaded) return unexpected(uploaded.error());
    const Program& program = impl_->program;
    const uint64_t rows =
        impl_->count_of(impl_->training.losses) * uint64_t{program.run.micro_batches};
    const RunContext context{seed, step_word, 1.0F / static_cast<float>(rows)};
    MicroBatchResult out;
    out.gradients = impl_->take_gradients();
    impl_->runner.run(0, impl_->training.graph.nodes.size(), context);
    const float loss = impl_->mean_loss();
    out.loss_bits = bits_of(loss);
    for (size_t k = 0; k < program.parameters.size(); ++k) {
        const float* g = impl_->runner.floats(impl_->training.gradients[k]);
        Floats& to = out.gradients[k].data;
        impl_->backend.check_finite(g, to.size());
        if (g != to.data()) impl_->backend.download(to.data(), g, to.size() * sizeof(float));
    }
    auto status = impl_->backend.finish();
    if (!status) return unexpected(from_backend(status.error()));
    if (status->nonfinite || is_nonfinite(loss)) {
        out.nonfinite = true;
        out.loss_bits = kNanBits;
        for (Tensor& g : out.gradients) g = Tensor::zeros(g.shape);
    }
    return out;
}

Result<uint32_t, EngineError> Engine::forward_loss(const Batch& batch) {
    auto uploaded = impl_->upload(batch);
    if (!uploaded) return unexpected(uploaded.error());
    impl_->runner.run(0, impl_->training.forward_nodes, {});
    const float loss = impl_->mean_loss();
    auto status = impl_->backend.finish();
    if (!status) return unexpected(from_backend(status.error()));
    return status->nonfinite || is_nonfinite(loss) ? kNanBits : bits_of(loss);
}

Result<Tensor, EngineError> Engine::forward_logits(const Batch& batch) {
    auto uploaded = impl_->upload(batch);
    if (!uploaded) return unexpected(uploaded.error());
    impl_->runner.run(0, impl_->training.forward_nodes, {});
    const uint32_t logits = impl_->training.logits;  // its memory is still its own here
    Tensor z = Tensor::zeros(impl_->training.graph.values[logits].shape);
    impl_->backend.download(z.data.data(), impl_->runner.floats(logits),
                            z.data.size() * sizeof(float));
    auto status = impl_->backend.finish();
    if (!status) return unexpected(from_backend(status.error()));
    return z;
}

}  // namespace trainyard::training
