// SPDX-License-Identifier: Apache-2.0
// Runs the nodes of one graph on one backend, with the graph's own arena.
#pragma once

#include <vector>

#include "training/engine.hpp"
#include "training/graph.hpp"

namespace trainyard::training {

struct RunContext {
    uint32_t seed = 0;
    uint32_t step_word = 0;
    float inv_n = 1.0F;
};

/// Values outside the arena (tokens, targets, parameters, their gradients) are bound by the caller.
class GraphRunner {
public:
    /// Plans the first `node_count` nodes; `ok` is false when there is no memory.
    GraphRunner(Backend& backend, Graph graph, size_t node_count, std::vector<uint32_t> keep,
                const std::vector<uint32_t>& outside);
    [[nodiscard]] bool ok() const { return arena_.ok(); }
    void bind(uint32_t value, void* memory) { at_[value] = memory; }
    void run(size_t first, size_t last, const RunContext& context);
    [[nodiscard]] const Graph& graph() const { return graph_; }
    [[nodiscard]] float* floats(uint32_t value) const { return static_cast<float*>(at_[value]); }

private:
    void run_forward(const Node& node);
    void run_general(const Node& node, const RunContext& context);
    void run_attention(const Node& node, const RunContext& context);
    [[nodiscard]] OpCall call_of(const Node& node, const RunContext& context) const;
    void run_loss_with_gradient(const Node& loss, const Node& gradient, const RunContext& context);
    void run_backward(const Node& node, const RunContext& context);
    [[nodiscard]] float* in(const Node& node, size_t i) const { return floats(node.inputs[i]); }
    [[nodiscard]] float* out(const Node& node, size_t i) const { return floats(node.outputs[i]); }
    [[nodiscard]] const uint32_t* words(uint32_t value) const {
        return static_cast<const uint32_t*>(at_[value]);
    }
    [[nodiscard]] const Shape& shape(uint32_t value) const { return graph_.values[value].shape; }
    [[nodiscard]] EmbeddingShape embedding_shape(uint32_t tokens, uint32_t d, uint32_t v) const;

    Backend& backend_;
    Graph graph_;
    BackendMemory arena_;
    std::vector<void*> at_;
};

}  // namespace trainyard::training
