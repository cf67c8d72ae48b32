// SPDX-License-Identifier: Apache-2.0
// Differentiation: one backward rule per operator, in reverse order of the forward nodes.
#include <algorithm>
#include <optional>

#include "training/graph.hpp"
#include "training/program.hpp"

namespace trainyard::training {

namespace {

class Derivation {
public:
    explicit Derivation(Graph forward) {
        out_.forward_nodes = forward.nodes.size();
        out_.graph = std::move(forward);
        gradient_.resize(out_.graph.values.size());
        mark_trained();
    }

    Result<TrainingGraph, ProgramFault> run(size_t parameters) {
        for (size_t i = out_.forward_nodes; i-- > 0;) {
            const Node node = out_.graph.nodes[i];  // the list grows while we read it
            if (!back(node))
                return unexpected(ProgramFault{ProgramError::bad_node, static_cast<int64_t>(i),
                                               "the result does not reach the loss"});
        }
        if (out_.losses == 0)
            return unexpected(ProgramFault{ProgramError::bad_node, -1, "no operator is a loss"});
        for (size_t k = 0; k < parameters; ++k) {
            const auto& g = gradient_[kFirstParameterValue + k];
            if (!g)
                return unexpected(ProgramFault{ProgramError::bad_parameter, static_cast<int64_t>(k),
                                               "no operator uses it"});
            out_.gradients.push_back(own_copy(*g));
        }
        return std::move(out_);
    }

private:
    /// Each parameter's gradient is a value of its own, because it is kept apart.
    uint32_t own_copy(uint32_t g) {
        const auto& taken = out_.gradients;
        if (std::find(taken.begin(), taken.end(), g) == taken.end()) return g;
        const uint32_t copy = new_like(g);
        emit(Op::scale, {g}, {copy}, {0x3f800000});
        return copy;
    }

    /// Gradients flow only to what depends on a parameter.
    void mark_trained() {
        const Graph& g = out_.graph;
        trained_.assign(g.values.size(), false);
        for (size_t v = 0; v < g.values.size(); ++v)
            trained_[v] = g.values[v].kind == ValueKind::parameter;
        used_.assign(g.values.size(), false);
        for (const Node& node : g.nodes) {
            for (const uint32_t v : node.inputs) used_[v] = true;
            if (node.op == Op::noise) continue;  // takes a shape only
            const bool any = std::any_of(node.inputs.begin(), node.inputs.end(),
                                         [this](uint32_t v) { return trained_[v]; });
            trained_[node.outputs[0]] = any;
        }
    }

    uint32_t new_value(Shape shape) {
        out_.graph.values.push_back({ValueKind::activation, shape});
        return static_cast<uint32_t>(out_.graph.values.size() - 1);
    }

    uint32_t new_like(uint32_t value) { return new_value(out_.graph.values[value].shape); }

    void emit(Op op, std::vector<uint32_t> inputs, std::vector<uint32_t> outputs,
              std::vector<uint32_t> attributes = {}) {
        out_.graph.nodes.push_back(
            {op, std::move(inputs), std::move(outputs), std::move(attributes)});
    }

    /// Adds `g` to what already flows into `value`.
    void contribute(uint32_t value, uint32_t g) {
        if (!trained_[value]) return;
        if (gradient_[value]) {
            const uint32_t sum = new_like(value);
            emit(Op::add, {*gradient_[value], g}, {sum});
            g = sum;
        }
        gradient_[value] = g;
    }

    /// Emits `op` with outputs like the values of `to`, and adds each to its gradient.
    void flow(Op op, std::vector<uint32_t> inputs, const std::vector<uint32_t>& to,
              std::vector<uint32_t> attributes = {}) {
        std::vector<uint32_t> outputs;
        for (const uint32_t value : to) outputs.push_back(new_like(value));
        emit(op, std::move(inputs), outputs, std::move(attributes));
        for (size_t i = 0; i < to.size(); ++i) contribute(to[i], outputs[i]);
    }

    bool back_loss(const Node& node) {
        if (out_.losses != 0 || !trained_[node.inputs[0]]) return false;  // two losses, or none
        out_.logits = node.inputs[0];
        out_.losses = node.outputs[0];
        if (node.op == Op::cross_entropy)
            return flow(Op::cross_entropy_grad, node.inputs, {node.inputs[0]}), true;
        if (trained_[node.inputs[1]]) return false;  // the second input is what is aimed at
        return flow(Op::mean_square_grad, node.inputs, {node.inputs[0]}), true;
    }

    bool back(const Node& node) {
        if (is_loss(node.op)) return back_loss(node);
        const uint32_t y = node.outputs[0];
        if (!trained_[y]) return used_[y];
        const auto d = gradient_[y];
        if (!d) return false;
        if (node.op == Op::rms_norm) return back_norm(node, *d), true;
        return back_product(node, *d) || back_pointwise(node, *d) || back_movement(node, *d);
    }

    /// Operators with weights or with random rounding of their gradient.
    bool back_product(const Node& node, uint32_t d) {
        const auto& in = node.inputs;
        const auto& a = node.attributes;
        switch (node.op) {
            case Op::linear:
                if (trained_[in[1]])
                    flow(Op::linear_grad, {d, in[0], in[1]}, {in[0], in[1]}, a);
                else
                    flow(Op::linear_grad_x, {d, in[1]}, {in[0]}, a);
                return true;
            case Op::matmul:
                return flow(Op::matmul_grad, {d, in[0], in[1]}, {in[0], in[1]}, a), true;
            case Op::attention:
            case Op::attention_full: {
                const Op op =
                    node.op == Op::attention ? Op::attention_grad : Op::attention_full_grad;
                flow(op, {d, node.outputs[0], node.outputs[1], in[0]}, {in[0]}, a);
                return true;
            }
            case Op::layer_norm:
                flow(Op::layer_norm_grad, {d, in[0], node.outputs[1], in[1]}, {in[0], in[1], in[2]},
                     a);
                return true;
            case Op::group_norm:
                flow(Op::group_norm_grad, {d, in[0], node.outputs[1], in[1]}, {in[0], in[1], in[2]},
                     a);
                return true;
            case Op::embedding:
                return flow(Op::embedding_grad, {d, in[0]}, {in[1], in[2]}), true;
            case Op::lookup:
                return flow(Op::lookup_grad, {d, in[0]}, {in[1]}), true;
            default:
                return false;
        }
    }

    bool back_pointwise(const Node& node, uint32_t d) {
        const auto& in = node.inputs;
        switch (node.op) {
            case Op::add:
                return contribute(in[0], d), contribute(in[1], d), true;
            case Op::mul:
                for (const size_t i : {size_t{0}, size_t{1}})
                    if (trained_[in[i]]) flow(Op::mul, {d, in[1 - i]}, {in[i]});
                return true;
            case Op::gelu:
                return flow(Op::gelu_grad, {d, in[0]}, {in[0]}), true;
            case Op::silu:
                return flow(Op::silu_grad, {d, in[0]}, {in[0]}), true;
            case Op::relu:
                return flow(Op::relu_grad, {d, in[0]}, {in[0]}), true;
            case Op::tanh:
                return flow(Op::tanh_grad, {d, node.outputs[0]}, {in[0]}), true;
            case Op::softmax:
                return flow(Op::softmax_grad, {d, node.outputs[0]}, {in[0]}), true;
            case Op::scale:
                return flow(Op::scale, {d}, {in[0]}, node.attributes), true;
            case Op::broadcast_add:
                contribute(in[0], d);
                if (trained_[in[1]]) flow(Op::broadcast_sum, {d}, {in[1]}, node.attributes);
                return true;
            default:
                return false;
        }
    }

    bool back_movement(const Node& node, uint32_t d) {
        const auto& in = node.inputs;
        const auto& a = node.attributes;
        const Shape x = out_.graph.values[in[0]].shape;
        switch (node.op) {
            case Op::rope:
                return flow(Op::rope_grad, {d, in[1]}, {in[0]}, a), true;
            case Op::im2col:
                return flow(Op::col2im, {d}, {in[0]}, a), true;
            case Op::upsample:
                return flow(Op::downsample, {d}, {in[0]}, a), true;
            case Op::downsample:
                return flow(Op::upsample, {d}, {in[0]}, a), true;
            case Op::reshape:
                return flow(Op::reshape, {d}, {in[0]}, {x.cols}), true;
            case Op::transpose:
                return flow(Op::transpose, {d}, {in[0]}, {x.cols}), true;
            case Op::slice:
                return flow(Op::slice_grad, {d}, {in[0]}, a), true;
            case Op::repeat:
                return flow(Op::repeat_grad, {d}, {in[0]}, a), true;
            case Op::concat: {
                uint32_t first = 0;
                for (const uint32_t part : in) {
                    const uint32_t cols = out_.graph.values[part].shape.cols;
                    if (trained_[part]) flow(Op::slice, {d}, {part}, {first, cols});
                    first += cols;
                }
                return true;
            }
            default:
                return false;
        }
    }

    /// The gradient that already flows into x is added inside the operator, by its last fma.
    void back_norm(const Node& node, uint32_t d) {
        const uint32_t x = node.inputs[0], g = node.inputs[1];
        const uint32_t dx = new_like(x), dg = new_like(g);
        std::vector<uint32_t> inputs{d, x, node.outputs[1], g};
        if (gradient_[x]) inputs.push_back(*gradient_[x]);
        emit(Op::rms_norm_grad, std::move(inputs), {dx, dg});
        if (trained_[x]) gradient_[x] = dx;
        contribute(g, dg);
    }

    TrainingGraph out_;
    std::vector<std::optional<uint32_t>> gradient_;  ///< per forward value
    std::vector<bool> trained_;                      ///< depends on a parameter
    std::vector<bool> used_;                         ///< is an input of some operator
};

}  // namespace

Result<TrainingGraph, ProgramFault> derive_training_graph(const Program& program) {
    auto forward = forward_graph(program, program.run.sequences, program.data.sequence);
    if (!forward) return unexpected(forward.error());
    return Derivation(std::move(*forward)).run(program.parameters.size());
}

}  // namespace trainyard::training
