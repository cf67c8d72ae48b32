// SPDX-License-Identifier: Apache-2.0
// Differentiation: one backward rule per operator, in reverse order of the forward nodes.
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
    }

    Result<TrainingGraph, ProgramFault> run(size_t parameters) {
        for (size_t i = out_.forward_nodes; i-- > 0;) {
            const Node node = out_.graph.nodes[i];  // the list grows while we read it
            if (!back(node))
                return unexpected(ProgramFault{ProgramError::bad_node, static_cast<int64_t>(i),
                                               "the result does not reach the loss"});
        }
        for (size_t k = 0; k < parameters; ++k) {
            const auto& g = gradient_[kFirstParameterValue + k];
            if (!g)
                return unexpected(ProgramFault{ProgramError::bad_parameter, static_cast<int64_t>(k),
                                               "no operator uses it"});
            out_.gradients.push_back(*g);
        }
        return std::move(out_);
    }

private:
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
        if (gradient_[value]) {
            const uint32_t sum = new_like(value);
            emit(Op::add, {*gradient_[value], g}, {sum});
            g = sum;
        }
        gradient_[value] = g;
    }

    bool back(const Node& node) {
        const auto& in = node.inputs;
        if (node.op == Op::cross_entropy) {
            if (out_.logits != 0) return false;  // two losses
            out_.logits = in[0];
            out_.losses = node.outputs[0];
            const uint32_t dz = new_like(in[0]);
            emit(Op::cross_entropy_grad, in, {dz});
            contribute(in[0], dz);
            return true;
        }
        const auto d = gradient_[node.outputs[0]];
        if (!d) return false;
        switch (node.op) {
            case Op::linear: {
                const uint32_t dx = new_like(in[0]), dw = new_like(in[1]);
                emit(Op::linear_grad, {*d, in[0], in[1]}, {dx, dw}, node.attributes);
                contribute(in[0], dx);
                contribute(in[1], dw);
                return true;
            }
            case Op::rms_norm:
                return back_norm(node, *d), true;
            case Op::attention: {
                const uint32_t dqkv = new_like(in[0]);
                emit(Op::attention_grad, {*d, node.outputs[0], node.outputs[1], in[0]}, {dqkv},
                     node.attributes);
                contribute(in[0], dqkv);
                return true;
            }
            case Op::add:
                return contribute(in[0], *d), contribute(in[1], *d), true;
            case Op::gelu: {
                const uint32_t du = new_like(in[0]);
                emit(Op::gelu_grad, {*d, in[0]}, {du});
                contribute(in[0], du);
                return true;
            }
            case Op::embedding: {
                const uint32_t de = new_like(in[1]), dpos = new_like(in[2]);
                emit(Op::embedding_grad, {*d, in[0]}, {de, dpos});
                contribute(in[1], de);
                contribute(in[2], dpos);
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
        gradient_[x] = dx;
        contribute(g, dg);
    }

    TrainingGraph out_;
    std::vector<std::optional<uint32_t>> gradient_;  ///< per forward value
};

}  // namespace

Result<TrainingGraph, ProgramFault> derive_training_graph(const Program& program) {
    auto forward = forward_graph(program, program.run.sequences, program.data.sequence);
    if (!forward) return unexpected(forward.error());
    return Derivation(std::move(*forward)).run(program.parameters.size());
}

}  // namespace trainyard::training
