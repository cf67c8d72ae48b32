// SPDX-License-Identifier: Apache-2.0
// Binds a program to a backend and runs micro-batches forward and backward.
#include "training/engine.hpp"

#include <algorithm>

#include "training/graph.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/repeat.hpp"
#include "training/runner.hpp"

namespace trainyard::training {

EngineError engine_error(BackendError error) {
    switch (error) {
        case BackendError::out_of_memory:
            return EngineError::out_of_memory;
        case BackendError::wrong_product:
            return EngineError::wrong_product;
        case BackendError::state_changed:
            return EngineError::state_changed;
        case BackendError::device_failed:
            break;
    }
    return EngineError::device_failed;
}

EngineError failure_on(Backend& backend, EngineError otherwise) {
    const auto status = backend.finish();
    return status ? otherwise : engine_error(status.error());
}

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
        case EngineError::bad_log:
            return "the segment's log of gradients is damaged or cannot be written";
        case EngineError::diverged:
            return "training diverged: Inf or NaN";
        case EngineError::wrong_product:
            return "products come out wrong on this machine: look after its memory, clocks and "
                   "cooling";
        case EngineError::state_changed:
            return "a bit of the weights or moments flipped in the memory of the GPU";
    }
    return "unknown error";
}

std::string wrong_products_text(uint64_t step) {
    return "a product of step " + std::to_string(step) +
           " came out wrong and was made again: look after this machine's memory, clocks and "
           "cooling";
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
        runner.bind(kTokensValue, tokens.data());
        runner.bind(kTargetsValue, targets.data());
        return runner.ok() && tokens.ok() && targets.ok() && loss.ok();
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

    /// Parameters that layers multiply by, each once, in program order.
    [[nodiscard]] std::vector<uint32_t> find_factors() const {
        std::vector<uint32_t> out;
        const size_t end = kFirstParameterValue + program.parameters.size();
        for (const Node& node : training.graph.nodes)
            if (node.op == Op::linear && node.inputs[1] >= kFirstParameterValue &&
                node.inputs[1] < end)
                out.push_back(node.inputs[1]);
        std::sort(out.begin(), out.end());
        out.erase(std::unique(out.begin(), out.end()), out.end());
        return out;
    }

    [[nodiscard]] uint32_t vocabulary() const {
        uint32_t least = 0xffffffffU;
        for (const Node& node : program.nodes)
            if ((node.op == Op::embedding || node.op == Op::lookup) &&
                node.inputs[0] == kTokensValue)
                least = std::min(least, training.graph.values[node.inputs[1]].shape.rows);
        return least;
    }

    TensorSet take_gradients() {
        if (spare.empty()) return TensorSet(backend, shapes);
        TensorSet out = std::move(spare.back());
        spare.pop_back();
        return out;
    }

    void sum_losses(float* to) {
        backend.sum(to, runner.floats(training.losses), count_of(training.losses));
    }

    /// sum(losses) / float(N).
    [[nodiscard]] float mean_loss(float sum) const {
        const FloatModeGuard mode;
        return sum / static_cast<float>(count_of(training.losses));
    }

    /// Waits; bits of the mean loss whose sum lies in `loss`, kNanBits if anything is Inf or NaN.
    Result<uint32_t, EngineError> finish_losses() {
        float sum = 0;
        backend.fetch(&sum, loss.data(), sizeof sum);
        auto status = backend.finish();
        if (!status) return unexpected(engine_error(status.error()));
        const float mean = mean_loss(sum);
        return status->nonfinite || is_nonfinite(mean) ? kNanBits : bits_of(mean);
    }

    /// All operators of a micro-batch.
    void run_all(const RunContext& context, const TensorSet& gradients, float* loss_sum) {
        for (size_t k = 0; k < gradients.size(); ++k)
            runner.bind(training.gradients[k], gradients.at(k));
        sequence->run([&] {
            runner.run(0, training.graph.nodes.size(), context);
            sum_losses(loss_sum);
            backend.check_finite(loss_sum, 1);
            gradients.check_finite();
        });
    }

    Program program;
    Backend& backend;
    TrainingGraph training;
    GraphRunner runner;
    std::vector<Shape> shapes = parameter_shapes(program);
    std::vector<uint32_t> factors = find_factors();
    std::unique_ptr<Sequence> sequence = backend.make_sequence();
    BackendMemory tokens, targets, loss;
    std::vector<BackendMemory> constants;
    TensorSet weights;  ///< of `load_weights`
    std::vector<TensorSet> spare;
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
        return unexpected(failure_on(backend, EngineError::out_of_memory));
    // An engine may be dropped unused, and would leave an error of these uploads behind.
    if (auto done = backend.finish(); !done) return unexpected(engine_error(done.error()));
    return Engine(std::move(impl));
}

Result<Done, EngineError> Engine::load_weights(const std::vector<Tensor>& w) {
    const auto& parameters = impl_->program.parameters;
    if (w.size() != parameters.size()) return unexpected(EngineError::wrong_shape);
    for (size_t k = 0; k < w.size(); ++k)
        if (w[k].shape != parameters[k].shape || w[k].data.size() != w[k].shape.count())
            return unexpected(EngineError::wrong_shape);
    impl_->weights = TensorSet();  // its memory first: there may be no room for two
    impl_->weights = TensorSet::of(impl_->backend, w);
    if (!impl_->weights.ok())
        return unexpected(failure_on(impl_->backend, EngineError::out_of_memory));
    use_weights(impl_->weights);
    return Done{};
}

void Engine::use_weights(const TensorSet& w) {
    for (size_t k = 0; k < w.size(); ++k)  // operators do not write to parameters
        impl_->runner.bind(kFirstParameterValue + static_cast<uint32_t>(k), w.at(k));
}

Engine::SteadyWeights::SteadyWeights(const Engine& engine) : backend_(engine.backend()) {
    const Impl& impl = *engine.impl_;
    std::vector<TensorView> factors;
    for (const uint32_t value : impl.factors)
        factors.emplace_back(impl.runner.floats(value), impl.training.graph.values[value].shape);
    backend_.keep_factors(factors);
}
Engine::SteadyWeights::~SteadyWeights() {
    backend_.keep_factors({});
}

Result<TensorSet, EngineError> Engine::take_gradients() {
    TensorSet out = impl_->take_gradients();
    if (!out.ok()) return unexpected(failure_on(impl_->backend, EngineError::out_of_memory));
    return out;
}

void Engine::recycle(TensorSet gradients) {
    constexpr size_t kSpareMax = 8;
    if (gradients.fits(impl_->shapes) && impl_->spare.size() < kSpareMax)
        impl_->spare.push_back(std::move(gradients));
}

Result<TensorSet, EngineError> Engine::start_batch(const Batch& batch, uint32_t seed,
                                                   uint32_t step_word, float* loss_sum) {
    auto uploaded = impl_->upload(batch);
    if (!uploaded) return unexpected(uploaded.error());
    auto gradients = take_gradients();
    if (!gradients) return gradients;
    const uint64_t rows =
        impl_->count_of(impl_->training.losses) * uint64_t{impl_->program.run.micro_batches};
    impl_->run_all({seed, step_word, 1.0F / static_cast<float>(rows)}, *gradients, loss_sum);
    return gradients;
}

float Engine::mean_loss(float loss_sum) const {
    return impl_->mean_loss(loss_sum);
}

Result<MicroBatchResult, EngineError> Engine::run_batch(const Batch& batch, uint32_t seed,
                                                        uint32_t step_word) {
    return repeat_wrong([&]() -> Result<MicroBatchResult, EngineError> {
        auto gradients = start_batch(batch, seed, step_word, impl_->loss.floats());
        if (!gradients) return unexpected(gradients.error());
        auto loss = impl_->finish_losses();
        if (!loss) return unexpected(loss.error());
        MicroBatchResult out{*loss, std::move(*gradients), *loss == kNanBits};
        if (out.nonfinite) out.gradients.clear();
        return out;
    });
}

Result<uint32_t, EngineError> Engine::forward_loss(const Batch& batch) {
    auto uploaded = impl_->upload(batch);
    if (!uploaded) return unexpected(uploaded.error());
    return repeat_wrong([&] {
        impl_->runner.run(0, impl_->training.forward_nodes, {});
        impl_->sum_losses(impl_->loss.floats());
        return impl_->finish_losses();
    });
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
    if (!status) return unexpected(engine_error(status.error()));
    return z;
}

}  // namespace trainyard::training
