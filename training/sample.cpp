// SPDX-License-Identifier: Apache-2.0
// Generates text from a model, one forward pass per token.
#include <algorithm>

#include "training/engine.hpp"
#include "training/graph.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"
#include "training/runner.hpp"
#include "training/tokenizer.hpp"

namespace trainyard::training {

namespace {

uint32_t most_likely(const std::vector<float>& z) {
    return static_cast<uint32_t>(std::max_element(z.begin(), z.end()) - z.begin());
}

/// Draws from softmax(z / temperature) by a running sum in order of the classes.
uint32_t draw(const std::vector<float>& z, float temperature, uint32_t word) {
    const float max = *std::max_element(z.begin(), z.end());
    std::vector<float> running;
    float sum = 0.0F;
    for (const float x : z) {
        sum = sum + exp((x - max) / temperature);
        running.push_back(sum);
    }
    const float at = static_cast<float>(word >> 8) * 0x1p-24F * sum;
    const auto it = std::upper_bound(running.begin(), running.end(), at);
    return static_cast<uint32_t>(
        std::min<ptrdiff_t>(it - running.begin(), static_cast<ptrdiff_t>(z.size()) - 1));
}

/// A forward pass over one sequence with the program's weights.
class Sampler {
public:
    Sampler(const Program& program, Backend& backend, Graph graph)
        : backend_(backend),
          length_(program.data.sequence),
          first_constant_(first_constant_value(program)),
          logits_(graph.nodes.back().inputs[0]),
          nodes_(graph.nodes.size() - 1),
          runner_(backend, std::move(graph), nodes_, {logits_}, {}),
          tokens_(backend, length_ * sizeof(uint32_t)) {
        if (tokens_.ok()) runner_.bind(kTokensValue, tokens_.data());
    }

    bool load(const std::vector<Tensor>& w, const std::vector<Tensor>& constants) {
        return runner_.ok() && tokens_.ok() && load_from(kFirstParameterValue, w) &&
               load_from(first_constant_, constants);
    }

    /// Logits after the last token of `text`; later rows hold padding, which no earlier row sees.
    Result<std::vector<float>, EngineError> next(const std::vector<uint32_t>& text) {
        const size_t seen = std::min(text.size(), length_);
        std::vector<uint32_t> tokens(text.end() - static_cast<ptrdiff_t>(seen), text.end());
        tokens.resize(length_, 0);
        backend_.upload(tokens_.data(), tokens.data(), tokens.size() * sizeof(uint32_t));
        runner_.run(0, nodes_, {});
        const size_t classes = runner_.graph().values[logits_].shape.cols;
        std::vector<float> z(classes);
        backend_.download(z.data(), runner_.floats(logits_) + (seen - 1) * classes,
                          classes * sizeof(float));
        auto status = backend_.finish();
        if (!status) return unexpected(engine_error(status.error()));
        if (status->nonfinite) return unexpected(EngineError::diverged);
        return z;
    }

private:
    bool load_from(uint32_t first, const std::vector<Tensor>& tensors) {
        for (size_t k = 0; k < tensors.size(); ++k) {
            const size_t bytes = tensors[k].data.size() * sizeof(float);
            weights_.emplace_back(backend_, bytes);
            if (!weights_.back().ok()) return false;
            backend_.upload(weights_.back().data(), tensors[k].data.data(), bytes);
            runner_.bind(first + static_cast<uint32_t>(k), weights_.back().data());
        }
        return true;
    }

    Backend& backend_;
    size_t length_;
    uint32_t first_constant_;
    uint32_t logits_;
    size_t nodes_;
    GraphRunner runner_;
    BackendMemory tokens_;
    std::vector<BackendMemory> weights_;
};

bool weights_fit(const Program& program, const std::vector<Tensor>& w) {
    if (w.size() != program.parameters.size()) return false;
    for (size_t k = 0; k < w.size(); ++k)
        if (w[k].shape != program.parameters[k].shape || w[k].data.size() != w[k].shape.count())
            return false;
    return true;
}

/// Rows of the smallest table that the tokens are looked up in.
uint32_t least_table(const Program& program, const Graph& graph) {
    uint32_t rows = 0xffffffffU;
    for (const Node& node : program.nodes)
        if ((node.op == Op::embedding || node.op == Op::lookup) && node.inputs[0] == kTokensValue)
            rows = std::min(rows, graph.values[node.inputs[1]].shape.rows);
    return rows;
}

}  // namespace

Result<Bytes, EngineError> sample(const Program& program, Backend& backend,
                                  const std::vector<Tensor>& w, BytesView prompt,
                                  const SampleOptions& options) {
    if (program.recipe != backend.recipe()) return unexpected(EngineError::wrong_recipe);
    if (!validate_program(program)) return unexpected(EngineError::bad_program);
    if (program.data.kind == DataKind::images || program.nodes.back().op != Op::cross_entropy)
        return unexpected(EngineError::wrong_shape);
    auto graph = forward_graph(program, 1, program.data.sequence);
    if (!graph) return unexpected(EngineError::bad_program);
    auto constants = options.constants;
    if (constants.empty()) {
        auto own = program_constants(program, {});
        if (!own) return unexpected(own.error());
        constants = std::move(*own);
    }
    if (!weights_fit(program, w) || constants.size() != program.constants.size())
        return unexpected(EngineError::wrong_shape);
    const uint32_t rows = least_table(program, *graph);
    std::vector<uint32_t> text;
    for (const uint16_t token : encode_text(program.tokenizer, prompt)) text.push_back(token);
    if (text.empty()) text.push_back('\n');
    for (const uint32_t token : text)
        if (token >= rows) return unexpected(EngineError::bad_token);
    Sampler sampler(program, backend, std::move(*graph));
    if (!sampler.load(w, constants))
        return unexpected(failure_on(backend, EngineError::out_of_memory));
    const FloatModeGuard mode;
    std::vector<uint32_t> fresh;
    const size_t known = std::min(vocabulary_of(program.tokenizer), rows);
    for (uint32_t i = 0; i < options.count; ++i) {
        auto z = sampler.next(text);
        if (!z) return unexpected(z.error());
        z->resize(std::min(z->size(), known));
        const uint32_t word = philox({i, 0, 0, 0}, options.seed, kPhiloxSample)[0];
        fresh.push_back(options.temperature > 0.0F ? draw(*z, options.temperature, word)
                                                   : most_likely(*z));
        text.push_back(fresh.back());
    }
    return decode_tokens(program.tokenizer, fresh);
}

}  // namespace trainyard::training
