// SPDX-License-Identifier: Apache-2.0
// The operator table, shape inference and checks of forward graphs.
#include "training/graph.hpp"

#include <algorithm>
#include <array>

namespace trainyard::training {

namespace {

// op, name, inputs min and max, outputs, attributes, forward, first parameter input.
constexpr std::array kOps{
    OpInfo{Op::embedding, "embedding", 3, 3, 1, 0, true, 1},
    OpInfo{Op::rms_norm, "rms_norm", 2, 2, 2, 0, true, 1},
    OpInfo{Op::linear, "linear", 2, 2, 1, 1, true, 1},
    OpInfo{Op::attention, "attention", 1, 1, 2, 3, true, 1},
    OpInfo{Op::add, "add", 2, 2, 1, 0, true, 2},
    OpInfo{Op::gelu, "gelu", 1, 1, 1, 0, true, 1},
    OpInfo{Op::cross_entropy, "cross_entropy", 2, 2, 1, 0, true, 2},
    OpInfo{Op::embedding_grad, "embedding_grad", 2, 2, 2, 0, false, 0},
    OpInfo{Op::rms_norm_grad, "rms_norm_grad", 4, 5, 2, 0, false, 0},
    OpInfo{Op::linear_grad, "linear_grad", 3, 3, 2, 1, false, 0},
    OpInfo{Op::attention_grad, "attention_grad", 4, 4, 1, 3, false, 0},
    OpInfo{Op::gelu_grad, "gelu_grad", 2, 2, 1, 0, false, 0},
    OpInfo{Op::cross_entropy_grad, "cross_entropy_grad", 2, 2, 1, 0, false, 0},
};

ProgramFault fault(ProgramError error, size_t where, std::string detail) {
    return {error, static_cast<int64_t>(where), std::move(detail)};
}

/// Builds the values of a forward graph node by node.
class Inference {
public:
    Inference(const Program& program, uint32_t sequences, uint32_t positions)
        : program_(program), sequences_(sequences), positions_(positions) {
        const Shape batch = Shape::matrix(sequences, positions);
        graph_.values = {{ValueKind::tokens, batch}, {ValueKind::targets, batch}};
        for (const Parameter& p : program.parameters)
            graph_.values.push_back({ValueKind::parameter, p.shape});
        consumable_.assign(graph_.values.size(), true);
    }

    Result<Graph, ProgramFault> run() {
        for (size_t i = 0; i < program_.nodes.size(); ++i) {
            auto done = add(program_.nodes[i], i);
            if (!done) return unexpected(done.error());
        }
        return std::move(graph_);
    }

private:
    Result<Done, ProgramFault> add(const Node& node, size_t at) {
        const OpInfo* info = find_op(node.op);
        if (info == nullptr || !info->forward)
            return unexpected(fault(ProgramError::bad_node, at, "unknown operator"));
        if (node.inputs.size() != info->inputs_min || node.outputs.size() != info->outputs ||
            node.attributes.size() != info->attributes)
            return unexpected(fault(
                ProgramError::bad_node, at,
                std::string(info->name) + " with a wrong number of inputs, outputs or attributes"));
        auto edges = check_edges(node, *info, at);
        if (!edges) return edges;
        if (!infer(node))
            return unexpected(
                fault(ProgramError::bad_shape, at, "shapes do not fit " + std::string(info->name)));
        graph_.nodes.push_back(node);
        return Done{};
    }

    Result<Done, ProgramFault> check_edges(const Node& node, const OpInfo& info, size_t at) const {
        for (size_t i = 0; i < node.inputs.size(); ++i) {
            const uint32_t value = node.inputs[i];
            if (value >= graph_.values.size() || !consumable_[value])
                return unexpected(fault(ProgramError::bad_edge, at,
                                        "input " + std::to_string(value) + " is not available"));
            if (graph_.values[value].kind != kind_due(node.op, i, info))
                return unexpected(fault(ProgramError::bad_edge, at,
                                        "input " + std::to_string(i) + " is of another kind"));
        }
        for (size_t i = 0; i < node.outputs.size(); ++i)
            if (node.outputs[i] != graph_.values.size() + i)
                return unexpected(fault(ProgramError::bad_edge, at,
                                        "outputs are not numbered in order of production"));
        return Done{};
    }

    static ValueKind kind_due(Op op, size_t input, const OpInfo& info) {
        if (input >= info.parameters_from) return ValueKind::parameter;
        if (op == Op::embedding) return ValueKind::tokens;
        if (op == Op::cross_entropy && input == 1) return ValueKind::targets;
        return ValueKind::activation;
    }

    [[nodiscard]] const Shape& shape(const Node& node, size_t input) const {
        return graph_.values[node.inputs[input]].shape;
    }

    /// The first output may be consumed later, the others serve the backward pass only.
    bool push(Shape s, bool consumable = true) {
        if (s.count() == 0 || s.count() > ProgramLimits::value_elements_max) return false;
        graph_.values.push_back({ValueKind::activation, s});
        consumable_.push_back(consumable);
        return true;
    }

    bool infer(const Node& node) {
        const uint32_t rows = sequences_ * positions_;
        switch (node.op) {
            case Op::embedding: {
                const Shape e = shape(node, 1), pos = shape(node, 2);
                return e.rank == 2 && pos.rank == 2 && e.cols == pos.cols &&
                       pos.rows == program_.data.sequence && positions_ <= pos.rows &&
                       push(Shape::matrix(rows, e.cols));
            }
            case Op::rms_norm: {
                const Shape x = shape(node, 0), g = shape(node, 1);
                return x.rank == 2 && g.rank == 1 && g.cols == x.cols && push(x) &&
                       push(Shape::vector(x.rows), false);
            }
            case Op::linear: {
                const Shape x = shape(node, 0), w = shape(node, 1);
                return x.rank == 2 && w.rank == 2 && w.rows == x.cols &&
                       push(Shape::matrix(x.rows, w.cols));
            }
            case Op::attention:
                return infer_attention(node, rows);
            case Op::add: {
                const Shape a = shape(node, 0);
                return a.rank == 2 && a == shape(node, 1) && push(a);
            }
            case Op::gelu:
                return push(shape(node, 0));
            case Op::cross_entropy:
                return shape(node, 0).rank == 2 && shape(node, 0).rows == rows &&
                       push(Shape::vector(rows), false);
            default:
                return false;
        }
    }

    bool infer_attention(const Node& node, uint32_t rows) {
        const Shape qkv = shape(node, 0);
        const uint32_t heads = node.attributes[0];
        if (heads == 0 || heads > ProgramLimits::dim_max || qkv.rows != rows || qkv.cols % 3 != 0)
            return false;
        const uint32_t d = qkv.cols / 3;
        const uint64_t stats = uint64_t{rows} * heads;
        return d != 0 && d % heads == 0 && stats <= ProgramLimits::value_elements_max / 2 &&
               push(Shape::matrix(rows, d)) &&
               push(Shape::matrix(static_cast<uint32_t>(stats), 2), false);
    }

    const Program& program_;
    uint32_t sequences_, positions_;
    Graph graph_;
    std::vector<bool> consumable_;
};

}  // namespace

const OpInfo* find_op(Op op) {
    const auto* it =
        std::find_if(kOps.begin(), kOps.end(), [op](const OpInfo& i) { return i.op == op; });
    return it == kOps.end() ? nullptr : it;
}

int in_place_input(const Node& node, int choice) {
    switch (node.op) {
        case Op::add:
            return choice < 2 ? choice : -1;
        case Op::gelu_grad:
            return choice == 0 ? 0 : -1;
        case Op::rms_norm_grad:
            return choice == 0 && node.inputs.size() == 5 ? 4 : -1;
        default:
            return -1;
    }
}

AttentionShape attention_shape(const Graph& graph, uint32_t qkv, uint32_t heads) {
    const Shape batch = graph.values[kTokensValue].shape;
    return {batch.rows, heads, batch.cols, graph.values[qkv].shape.cols / 3 / heads};
}

uint64_t macs_of(const Graph& graph, const Node& node) {
    const auto shape = [&](size_t input) { return graph.values[node.inputs[input]].shape; };
    const auto one_product = [&](uint32_t qkv) {
        const AttentionShape a = attention_shape(graph, qkv, node.attributes[0]);
        return uint64_t{a.b} * a.h * a.t * a.t * a.hd;
    };
    switch (node.op) {
        case Op::linear:
            return shape(0).count() * uint64_t{shape(1).cols};
        case Op::linear_grad:
            return 2 * shape(0).count() * uint64_t{shape(1).cols};
        case Op::attention:
            return 2 * one_product(node.inputs[0]);
        case Op::attention_grad:
            return 4 * one_product(node.inputs[3]);
        default:
            return 0;
    }
}

Result<Graph, ProgramFault> forward_graph(const Program& program, uint32_t sequences,
                                          uint32_t positions) {
    return Inference(program, sequences, positions).run();
}

}  // namespace trainyard::training
