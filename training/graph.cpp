// SPDX-License-Identifier: Apache-2.0
// The operator table, shape inference and checks of forward graphs.
#include "training/graph.hpp"

#include <algorithm>
#include <array>

namespace trainyard::training {

namespace {

// op, name, kinds of inputs, inputs at most, outputs, attributes, forward.
constexpr std::array kOps{
    OpInfo{Op::embedding, "embedding", "tpp", 3, 1, 0, true},
    OpInfo{Op::rms_norm, "rms_norm", "vp", 2, 2, 0, true},
    OpInfo{Op::linear, "linear", "vv", 2, 1, 1, true},
    OpInfo{Op::attention, "attention", "v", 1, 2, 3, true},
    OpInfo{Op::add, "add", "vv", 2, 1, 0, true},
    OpInfo{Op::gelu, "gelu", "v", 1, 1, 0, true},
    OpInfo{Op::cross_entropy, "cross_entropy", "vy", 2, 1, 0, true},
    OpInfo{Op::mul, "mul", "vv", 2, 1, 0, true},
    OpInfo{Op::silu, "silu", "v", 1, 1, 0, true},
    OpInfo{Op::relu, "relu", "v", 1, 1, 0, true},
    OpInfo{Op::tanh, "tanh", "v", 1, 1, 0, true},
    OpInfo{Op::softmax, "softmax", "v", 1, 1, 0, true},
    OpInfo{Op::layer_norm, "layer_norm", "vpp", 3, 2, 1, true},
    OpInfo{Op::matmul, "matmul", "vv", 2, 1, 4, true},
    OpInfo{Op::attention_full, "attention_full", "v", 1, 2, 3, true},
    OpInfo{Op::rope, "rope", "vc", 2, 1, 2, true},
    OpInfo{Op::im2col, "im2col", "v", 1, 1, 5, true},
    OpInfo{Op::group_norm, "group_norm", "vpp", 3, 2, 3, true},
    OpInfo{Op::upsample, "upsample", "v", 1, 1, 5, true},
    OpInfo{Op::downsample, "downsample", "v", 1, 1, 5, true},
    OpInfo{Op::reshape, "reshape", "v", 1, 1, 1, true},
    OpInfo{Op::transpose, "transpose", "v", 1, 1, 1, true},
    OpInfo{Op::concat, "concat", "vv", 8, 1, 0, true},
    OpInfo{Op::slice, "slice", "v", 1, 1, 2, true},
    OpInfo{Op::scale, "scale", "v", 1, 1, 1, true},
    OpInfo{Op::mean_square, "mean_square", "vv", 2, 1, 0, true},
    OpInfo{Op::noise, "noise", "v", 1, 1, 1, true},
    OpInfo{Op::timestep, "timestep", "", 0, 1, 2, true},
    OpInfo{Op::diffuse, "diffuse", "vvtc", 4, 1, 0, true},
    OpInfo{Op::lookup, "lookup", "tp", 2, 1, 0, true},
    OpInfo{Op::broadcast_add, "broadcast_add", "vv", 2, 1, 1, true},
    OpInfo{Op::repeat, "repeat", "v", 1, 1, 2, true},
    OpInfo{Op::embedding_grad, "embedding_grad", "vt", 2, 2, 0, false},
    OpInfo{Op::rms_norm_grad, "rms_norm_grad", "vvvpv", 5, 2, 0, false},
    OpInfo{Op::linear_grad, "linear_grad", "vvv", 3, 2, 1, false},
    OpInfo{Op::attention_grad, "attention_grad", "vvvv", 4, 1, 3, false},
    OpInfo{Op::gelu_grad, "gelu_grad", "vv", 2, 1, 0, false},
    OpInfo{Op::cross_entropy_grad, "cross_entropy_grad", "vy", 2, 1, 0, false},
    OpInfo{Op::silu_grad, "silu_grad", "vv", 2, 1, 0, false},
    OpInfo{Op::relu_grad, "relu_grad", "vv", 2, 1, 0, false},
    OpInfo{Op::tanh_grad, "tanh_grad", "vv", 2, 1, 0, false},
    OpInfo{Op::softmax_grad, "softmax_grad", "vv", 2, 1, 0, false},
    OpInfo{Op::layer_norm_grad, "layer_norm_grad", "vvvp", 4, 3, 1, false},
    OpInfo{Op::matmul_grad, "matmul_grad", "vvv", 3, 2, 4, false},
    OpInfo{Op::attention_full_grad, "attention_full_grad", "vvvv", 4, 1, 3, false},
    OpInfo{Op::rope_grad, "rope_grad", "vc", 2, 1, 2, false},
    OpInfo{Op::col2im, "col2im", "v", 1, 1, 5, false},
    OpInfo{Op::group_norm_grad, "group_norm_grad", "vvvp", 4, 3, 3, false},
    OpInfo{Op::slice_grad, "slice_grad", "v", 1, 1, 2, false},
    OpInfo{Op::mean_square_grad, "mean_square_grad", "vv", 2, 1, 0, false},
    OpInfo{Op::lookup_grad, "lookup_grad", "vt", 2, 1, 0, false},
    OpInfo{Op::broadcast_sum, "broadcast_sum", "v", 1, 1, 1, false},
    OpInfo{Op::repeat_grad, "repeat_grad", "v", 1, 1, 2, false},
    OpInfo{Op::linear_grad_x, "linear_grad_x", "vv", 2, 1, 1, false},
};

ProgramFault fault(ProgramError error, size_t where, std::string detail) {
    return {error, static_cast<int64_t>(where), std::move(detail)};
}

std::string text_of(const Shape& s) {
    return (s.rank == 1 ? "" : std::to_string(s.rows) + "x") + std::to_string(s.cols);
}

bool is_float(ValueKind kind) {
    return kind != ValueKind::tokens && kind != ValueKind::targets;
}

bool is_kind(char letter, ValueKind kind) {
    switch (letter) {
        case 't':
            return kind == ValueKind::tokens;
        case 'y':
            return kind == ValueKind::targets;
        case 'p':
            return kind == ValueKind::parameter || kind == ValueKind::constant;
        case 'c':
            return kind == ValueKind::constant;
        default:
            return is_float(kind);
    }
}

/// Builds the values of a forward graph node by node.
class Inference {
public:
    Inference(const Program& program, uint32_t sequences, uint32_t positions)
        : program_(program), dims_{sequences, positions, program.data.sequence} {
        graph_.sequences = sequences;
        const DataSpec& d = program.data;
        if (d.kind == DataKind::images) {
            dims_.positions = d.sequence;
            graph_.values = {
                {ValueKind::features, Shape::matrix(sequences * d.sequence, d.channels)},
                {ValueKind::targets, Shape::matrix(sequences, 1)}};
        } else {
            const Shape batch = Shape::matrix(sequences, positions);
            graph_.values = {{ValueKind::tokens, batch}, {ValueKind::targets, batch}};
        }
        for (const Parameter& p : program.parameters)
            graph_.values.push_back({ValueKind::parameter, p.shape});
        for (const Constant& c : program.constants)
            graph_.values.push_back({ValueKind::constant, c.shape});
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
        if (node.inputs.size() < info->inputs.size() || node.inputs.size() > info->inputs_max ||
            node.outputs.size() != info->outputs || node.attributes.size() != info->attributes)
            return unexpected(fault(
                ProgramError::bad_node, at,
                std::string(info->name) + " with a wrong number of inputs, outputs or attributes"));
        auto edges = check_edges(node, *info, at);
        if (!edges) return edges;
        std::vector<Shape> in;
        for (const uint32_t v : node.inputs) in.push_back(graph_.values[v].shape);
        auto out = infer_outputs(node, in, dims_);
        if (!out || !tables_fit(node, in))
            return unexpected(fault(ProgramError::bad_shape, at, misfit(*info, in)));
        for (size_t i = 0; i < out->size(); ++i) {
            graph_.values.push_back((*out)[i]);
            consumable_.push_back(i == 0 &&
                                  !is_loss(node.op));  // the others serve the backward pass
        }
        graph_.nodes.push_back(node);
        return Done{};
    }

    static std::string misfit(const OpInfo& info, const std::vector<Shape>& in) {
        std::string text = "shapes do not fit " + std::string(info.name) + ":";
        for (const Shape& s : in) text += " " + text_of(s);
        return text;
    }

    /// Indices drawn by a timestep operator stay inside the tables that they look up.
    bool tables_fit(const Node& node, const std::vector<Shape>& in) const {
        const size_t index = node.op == Op::diffuse ? 2 : 0;
        if (node.op != Op::diffuse && node.op != Op::lookup) return true;
        for (const Node& from : graph_.nodes)
            if (from.op == Op::timestep && from.outputs[0] == node.inputs[index])
                return from.attributes[1] <= in[index + 1].rows;
        return node.op == Op::lookup;  // of the program's own tokens: checked when data arrives
    }

    Result<Done, ProgramFault> check_edges(const Node& node, const OpInfo& info, size_t at) const {
        for (size_t i = 0; i < node.inputs.size(); ++i) {
            const uint32_t value = node.inputs[i];
            if (value >= graph_.values.size() || !consumable_[value])
                return unexpected(fault(ProgramError::bad_edge, at,
                                        "input " + std::to_string(value) + " is not available"));
            const char letter = info.inputs[std::min(i, info.inputs.size() - 1)];
            if (!is_kind(letter, graph_.values[value].kind))
                return unexpected(fault(ProgramError::bad_edge, at,
                                        "input " + std::to_string(i) + " is of another kind"));
        }
        for (size_t i = 0; i < node.outputs.size(); ++i)
            if (node.outputs[i] != graph_.values.size() + i)
                return unexpected(fault(ProgramError::bad_edge, at,
                                        "outputs are not numbered in order of production"));
        return Done{};
    }

    const Program& program_;
    BatchDims dims_;
    Graph graph_;
    std::vector<bool> consumable_;
};

}  // namespace

const OpInfo* find_op(Op op) {
    const auto* it =
        std::find_if(kOps.begin(), kOps.end(), [op](const OpInfo& i) { return i.op == op; });
    return it == kOps.end() ? nullptr : it;
}

const OpInfo* find_op(std::string_view name) {
    const auto* it =
        std::find_if(kOps.begin(), kOps.end(), [name](const OpInfo& i) { return i.name == name; });
    return it == kOps.end() ? nullptr : it;
}

int in_place_input(const Node& node, int choice) {
    switch (node.op) {
        case Op::add:
            return choice < 2 ? choice : -1;
        case Op::gelu_grad:
        case Op::silu_grad:
        case Op::relu_grad:
        case Op::tanh_grad:
        case Op::scale:
            return choice == 0 ? 0 : -1;
        case Op::rms_norm_grad:
            return choice == 0 && node.inputs.size() == 5 ? 4 : -1;
        default:
            return -1;
    }
}

AttentionShape attention_shape(const Graph& graph, const Node& node, uint32_t qkv) {
    const Shape shape = graph.values[qkv].shape;
    const uint32_t heads = node.attributes[0];
    const bool causal = node.op == Op::attention || node.op == Op::attention_grad;
    return {graph.sequences, heads, shape.rows / graph.sequences, shape.cols / 3 / heads, causal};
}

uint64_t macs_of(const Graph& graph, const Node& node) {
    const auto shape = [&](size_t input) { return graph.values[node.inputs[input]].shape; };
    const auto out = [&](size_t output) { return graph.values[node.outputs[output]].shape; };
    const auto one_product = [&](uint32_t qkv) {
        const AttentionShape a = attention_shape(graph, node, qkv);
        return uint64_t{a.b} * a.h * a.t * a.t * a.hd;
    };
    const auto terms = [&](const Shape& a) {  // of a matmul with first operand a
        const uint32_t block = node.attributes[2] == 0 ? a.rows : node.attributes[2];
        return uint64_t{node.attributes[0] == 1 ? block : a.cols};
    };
    switch (node.op) {
        case Op::linear:
            return shape(0).count() * uint64_t{shape(1).cols};
        case Op::linear_grad:
            return 2 * shape(0).count() * uint64_t{shape(1).cols};
        case Op::linear_grad_x:
            return shape(0).count() * uint64_t{shape(1).rows};
        case Op::matmul:
            return out(0).count() * terms(shape(0));
        case Op::matmul_grad:
            return 2 * shape(0).count() * terms(shape(1));
        case Op::attention:
        case Op::attention_full:
            return 2 * one_product(node.inputs[0]);
        case Op::attention_grad:
        case Op::attention_full_grad:
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
