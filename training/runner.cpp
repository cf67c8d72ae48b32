// SPDX-License-Identifier: Apache-2.0
// One case per operator: from values and attributes to the call of the seam.
#include "training/runner.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "training/reference/operators.hpp"

namespace trainyard::training {

namespace {
MatrixShape matrix(const Shape& s) {
    return {s.rows, s.cols};
}

bool is_loss_with_gradient(const Node& loss, const Node& gradient) {
    return loss.op == Op::cross_entropy && gradient.op == Op::cross_entropy_grad &&
           loss.inputs == gradient.inputs;
}
}  // namespace

GraphRunner::GraphRunner(Backend& backend, Graph graph, size_t node_count,
                         std::vector<uint32_t> keep, const std::vector<uint32_t>& outside)
    : backend_(backend), graph_(std::move(graph)) {
    const Layout layout = layout_arena(graph_, node_count, keep, outside);
    arena_ = BackendMemory(backend, layout.arena_bytes);
    at_.assign(graph_.values.size(), nullptr);
    if (!arena_.ok()) return;
    for (size_t v = 0; v < at_.size(); ++v)
        if (layout.offsets[v] != Layout::kOutside)
            at_[v] = static_cast<uint8_t*>(arena_.data()) + layout.offsets[v];
}

EmbeddingShape GraphRunner::embedding_shape(uint32_t tokens, uint32_t d, uint32_t v) const {
    const Shape batch = shape(tokens);
    return {batch.rows, batch.cols, d, v};
}

void GraphRunner::run(size_t first, size_t last, const RunContext& context) {
    for (size_t i = first; i < last; ++i) {
        const Node& node = graph_.nodes[i];
        if (i + 1 < last && is_loss_with_gradient(node, graph_.nodes[i + 1]))
            run_loss_with_gradient(node, graph_.nodes[++i], context);
        else if (reference::find_kernel(node.op) != nullptr)
            run_general(node, context);
        else if (find_op(node.op)->forward)
            run_forward(node);
        else
            run_backward(node, context);
    }
}

void GraphRunner::run_loss_with_gradient(const Node& loss, const Node& gradient,
                                         const RunContext& c) {
    backend_.cross_entropy_both(out(loss, 0), out(gradient, 0), in(loss, 0), words(loss.inputs[1]),
                                matrix(shape(loss.inputs[0])), c.inv_n);
}

OpCall GraphRunner::call_of(const Node& n, const RunContext& c) const {
    OpCall call;
    call.op = n.op;
    call.inputs = static_cast<uint8_t>(n.inputs.size());
    call.outputs = static_cast<uint8_t>(n.outputs.size());
    ASSERT(n.inputs.size() <= OpCall::kInputsMax && n.outputs.size() <= OpCall::kOutputsMax);
    for (size_t i = 0; i < n.inputs.size(); ++i) {
        call.in[i] = in(n, i);
        call.in_shape[i] = shape(n.inputs[i]);
    }
    for (size_t i = 0; i < n.outputs.size(); ++i) {
        call.out[i] = out(n, i);
        call.out_shape[i] = shape(n.outputs[i]);
    }
    std::copy(n.attributes.begin(), n.attributes.end(), call.attributes.begin());
    if (n.op == Op::rope || n.op == Op::rope_grad)
        call.attributes[2] = call.in_shape[0].rows / graph_.sequences;
    call.seed = c.seed;
    call.step = c.step_word;
    call.inv_n = c.inv_n;
    return call;
}

void GraphRunner::run_general(const Node& n, const RunContext& c) {
    backend_.apply(call_of(n, c));
}

void GraphRunner::run_attention(const Node& n, const RunContext& c) {
    const bool forward = n.op == Op::attention || n.op == Op::attention_full;
    const AttentionShape s = attention_shape(graph_, n, n.inputs[forward ? 0 : 3]);
    const AttentionNoise noise{c.seed, c.step_word, n.attributes[1], n.attributes[2]};
    if (forward) return backend_.attention(out(n, 0), out(n, 1), in(n, 0), s);
    backend_.attention_grad(out(n, 0), {in(n, 0), in(n, 1), in(n, 2), in(n, 3)}, s, noise);
}

void GraphRunner::run_forward(const Node& n) {
    const Shape x = shape(n.inputs[0]);
    const Shape y = shape(n.outputs[0]);
    switch (n.op) {
        case Op::embedding:
            return backend_.embedding(
                out(n, 0), words(n.inputs[0]), in(n, 1), in(n, 2),
                embedding_shape(n.inputs[0], y.cols, shape(n.inputs[1]).rows));
        case Op::rms_norm:
            return backend_.rms_norm(out(n, 0), out(n, 1), in(n, 0), in(n, 1), matrix(x));
        case Op::linear:
            return backend_.linear(out(n, 0), in(n, 0), in(n, 1), {x.rows, x.cols, y.cols});
        case Op::attention:
        case Op::attention_full:
            return run_attention(n, {});
        case Op::add:
            return backend_.add(out(n, 0), in(n, 0), in(n, 1), y.count());
        case Op::gelu:
            return backend_.gelu(out(n, 0), in(n, 0), y.count());
        case Op::cross_entropy:
            return backend_.cross_entropy(out(n, 0), in(n, 0), words(n.inputs[1]), matrix(x));
        default:
            ASSERT(false);
    }
}

void GraphRunner::run_backward(const Node& n, const RunContext& c) {
    const Shape first = shape(n.inputs[0]);
    switch (n.op) {
        case Op::embedding_grad:
            return backend_.embedding_grad(
                out(n, 0), out(n, 1), words(n.inputs[1]), in(n, 0),
                embedding_shape(n.inputs[1], first.cols, shape(n.outputs[0]).rows));
        case Op::rms_norm_grad:
            return backend_.rms_norm_grad(
                out(n, 0), out(n, 1),
                {in(n, 0), in(n, 1), in(n, 2), in(n, 3), n.inputs.size() == 5 ? in(n, 4) : nullptr},
                matrix(first));
        case Op::linear_grad: {
            const Shape x = shape(n.inputs[1]);
            return backend_.linear_grad(out(n, 0), out(n, 1), {in(n, 0), in(n, 1), in(n, 2)},
                                        {x.rows, x.cols, first.cols},
                                        {c.seed, c.step_word, n.attributes[0]});
        }
        case Op::attention_grad:
        case Op::attention_full_grad:
            return run_attention(n, c);
        case Op::gelu_grad:
            return backend_.gelu_grad(out(n, 0), in(n, 0), in(n, 1), first.count());
        case Op::cross_entropy_grad:
            return backend_.cross_entropy_grad(out(n, 0), in(n, 0), words(n.inputs[1]),
                                               matrix(first), c.inv_n);
        default:
            ASSERT(false);
    }
}

}  // namespace trainyard::training
