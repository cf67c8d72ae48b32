// SPDX-License-Identifier: Apache-2.0
// Runs the denoiser without its noising part, from the last timestep to the first.
#include "training/image_sample.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "training/graph.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"
#include "training/runner.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kFirstNoise = 0xffffffff;  // no noise id of a program's operators

/// The graph between the noised image and the prediction.
struct Denoiser {
    Graph graph;
    uint32_t x = 0, t = 0, prediction = 0, schedule = 0;  ///< values
};

std::optional<Denoiser> denoiser_of(const Program& program, uint32_t count) {
    auto forward = forward_graph(program, count, program.data.sequence);
    if (!forward || program.data.kind != DataKind::images) return std::nullopt;
    Denoiser out;
    out.graph = std::move(*forward);
    std::vector<Node> kept;
    for (const Node& node : out.graph.nodes) {
        if (node.op == Op::diffuse) {
            out.x = node.outputs[0];
            out.t = node.inputs[2];
            out.schedule = node.inputs[3];
        }
        if (is_loss(node.op)) out.prediction = node.inputs[0];
        if (node.op != Op::diffuse && node.op != Op::timestep && node.op != Op::noise &&
            !is_loss(node.op))
            kept.push_back(node);
    }
    if (out.x == 0 || out.graph.values[out.prediction].shape != out.graph.values[out.x].shape)
        return std::nullopt;
    out.graph.nodes = std::move(kept);
    return out;
}

class ImageSampler {
public:
    ImageSampler(const Program& program, Backend& backend, const Denoiser& d)
        : program_(program),
          backend_(backend),
          d_(d),
          nodes_(d.graph.nodes.size()),
          count_(d.graph.values[d.x].shape.count()),
          records_(d.graph.values[d.t].shape.count()),
          runner_(backend, d.graph, nodes_, {d.prediction}, {}),
          x_(backend, count_ * sizeof(float)),
          t_(backend, records_ * sizeof(uint32_t)) {
        runner_.bind(d.x, x_.data());
        runner_.bind(d.t, t_.data());
    }

    bool load(const std::vector<Tensor>& w, const std::vector<Tensor>& constants) {
        return runner_.ok() && x_.ok() && t_.ok() && load_from(kFirstParameterValue, w) &&
               load_from(first_constant_value(program_), constants);
    }

    Result<Done, EngineError> predict(std::vector<float>& eps, const std::vector<float>& x,
                                      uint32_t t) {
        const std::vector<uint32_t> all(records_, t);
        backend_.upload(x_.data(), x.data(), count_ * sizeof(float));
        backend_.upload(t_.data(), all.data(), records_ * sizeof(uint32_t));
        runner_.run(0, nodes_, {});
        backend_.download(eps.data(), runner_.floats(d_.prediction), count_ * sizeof(float));
        auto status = backend_.finish();
        if (!status) return unexpected(engine_error(status.error()));
        if (status->nonfinite) return unexpected(EngineError::diverged);
        return Done{};
    }

    [[nodiscard]] size_t count() const { return count_; }

private:
    bool load_from(uint32_t first, const std::vector<Tensor>& tensors) {
        for (size_t k = 0; k < tensors.size(); ++k) {
            const size_t bytes = tensors[k].data.size() * sizeof(float);
            memory_.emplace_back(backend_, bytes);
            if (!memory_.back().ok()) return false;
            backend_.upload(memory_.back().data(), tensors[k].data.data(), bytes);
            runner_.bind(first + static_cast<uint32_t>(k), memory_.back().data());
        }
        return true;
    }

    const Program& program_;
    Backend& backend_;
    const Denoiser& d_;
    size_t nodes_, count_, records_;
    GraphRunner runner_;
    BackendMemory x_, t_;
    std::vector<BackendMemory> memory_;
};

/// One step from (a, b) of this timestep to (a, b) of the next; the last one ends at x0.
void denoise(std::vector<float>& x, const std::vector<float>& eps, const float* now,
             const float* next) {
    for (size_t i = 0; i < x.size(); ++i) {
        float x0 = (x[i] - now[1] * eps[i]) / now[0];
        x0 = x0 > 1.0F ? 1.0F : x0;
        x0 = x0 < -1.0F ? -1.0F : x0;
        const float direction = (x[i] - now[0] * x0) / now[1];
        x[i] = next == nullptr ? x0 : next[0] * x0 + next[1] * direction;
    }
}

uint8_t byte_of(float x) {
    const float level = x * 127.5F + 127.5F;
    return static_cast<uint8_t>(std::lrint(std::clamp(level, 0.0F, 255.0F)));
}

}  // namespace

Result<std::vector<Image>, EngineError> sample_images(const Program& program, Backend& backend,
                                                      const std::vector<Tensor>& w,
                                                      const ImageSampleOptions& o) {
    if (program.recipe != backend.recipe()) return unexpected(EngineError::wrong_recipe);
    if (!validate_program(program)) return unexpected(EngineError::bad_program);
    const auto constants = program_constants(program, {});
    if (!constants) return unexpected(constants.error());
    const auto denoiser =
        o.count == 0 || o.count > 4096 ? std::nullopt : denoiser_of(program, o.count);
    if (!denoiser || uint64_t{o.height} * o.width != program.data.sequence ||
        w.size() != program.parameters.size())
        return unexpected(EngineError::wrong_shape);
    for (size_t k = 0; k < w.size(); ++k)
        if (w[k].shape != program.parameters[k].shape || w[k].data.size() != w[k].shape.count())
            return unexpected(EngineError::wrong_shape);
    const Tensor& schedule = (*constants)[denoiser->schedule - first_constant_value(program)];
    if (o.steps < 2 || o.steps > schedule.shape.rows) return unexpected(EngineError::wrong_shape);
    ImageSampler sampler(program, backend, *denoiser);
    if (!sampler.load(w, *constants))
        return unexpected(failure_on(backend, EngineError::out_of_memory));
    const FloatModeGuard mode;
    std::vector<float> x(sampler.count()), eps(sampler.count());
    for (size_t i = 0; i < x.size(); ++i) x[i] = unit_noise(i, kFirstNoise, 0, o.seed);
    for (uint32_t i = 0; i < o.steps; ++i) {
        const auto at = [&](uint32_t k) { return (schedule.shape.rows - 1) * k / (o.steps - 1); };
        const uint32_t t = at(o.steps - 1 - i);
        auto predicted = sampler.predict(eps, x, t);
        if (!predicted) return unexpected(predicted.error());
        const float* next =
            i + 1 < o.steps ? &schedule.data[size_t{2} * at(o.steps - 2 - i)] : nullptr;
        denoise(x, eps, &schedule.data[size_t{2} * t], next);
    }
    std::vector<Image> out;
    const size_t size = x.size() / o.count;
    for (uint32_t k = 0; k < o.count; ++k) {
        Image image{o.height, o.width, program.data.channels, 0, {}};
        for (size_t i = 0; i < size; ++i) image.pixels.push_back(byte_of(x[k * size + i]));
        out.push_back(std::move(image));
    }
    return out;
}

}  // namespace trainyard::training
