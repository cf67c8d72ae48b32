// SPDX-License-Identifier: Apache-2.0
// Static memory layout by liveness and first fit, and the count of work.
#include "training/plan.hpp"

#include <algorithm>
#include <bit>

#include "training/cpu/attention.hpp"
#include "training/graph.hpp"
#include "training/reference/matmul.hpp"

namespace trainyard::training {

namespace {

constexpr uint64_t kAlign = 64;

uint64_t bytes_of(const Value& value) {
    return (value.shape.count() * sizeof(float) + kAlign - 1) / kAlign * kAlign;
}

/// Blocks in use, sorted by offset.
class Arena {
public:
    uint64_t take(uint64_t bytes) {
        uint64_t at = 0;
        auto it = used_.begin();
        for (; it != used_.end() && it->offset - at < bytes; ++it) at = it->offset + it->bytes;
        used_.insert(it, {at, bytes});
        size_ = std::max(size_, at + bytes);
        return at;
    }
    void give_back(uint64_t offset) {
        used_.erase(std::find_if(used_.begin(), used_.end(),
                                 [offset](const Block& b) { return b.offset == offset; }));
    }
    [[nodiscard]] uint64_t size() const { return size_; }

private:
    struct Block {
        uint64_t offset, bytes;
    };
    std::vector<Block> used_;
    uint64_t size_ = 0;
};

constexpr size_t kForever = ~size_t{0};

std::vector<size_t> last_uses(const Graph& graph, size_t node_count,
                              const std::vector<uint32_t>& keep) {
    std::vector<size_t> last(graph.values.size(), 0);
    for (size_t i = 0; i < node_count; ++i) {
        for (const uint32_t v : graph.nodes[i].outputs) last[v] = i;
        for (const uint32_t v : graph.nodes[i].inputs) last[v] = i;
    }
    for (const uint32_t v : keep) last[v] = kForever;
    return last;
}

class LayoutBuilder {
public:
    LayoutBuilder(const Graph& graph, size_t node_count, const std::vector<uint32_t>& keep)
        : graph_(graph), count_(node_count), last_(last_uses(graph, node_count, keep)) {
        layout_.offsets.assign(graph.values.size(), Layout::kOutside);
    }

    Layout build(const std::vector<uint32_t>& outside) {
        std::vector<bool> skip(graph_.values.size(), false);
        for (const uint32_t v : outside) skip[v] = true;
        for (size_t i = 0; i < count_; ++i) place(i, skip);
        layout_.arena_bytes = arena_.size();
        return std::move(layout_);
    }

private:
    void place(size_t i, const std::vector<bool>& skip) {
        const Node& node = graph_.nodes[i];
        for (size_t k = 0; k < node.outputs.size(); ++k) {
            const uint32_t v = node.outputs[k];
            if (skip[v]) continue;
            if (k == 0 && take_over(node, i, v)) continue;
            layout_.offsets[v] = arena_.take(bytes_of(graph_.values[v]));
        }
        for (const uint32_t v : node.inputs) release(v, i);
        for (const uint32_t v : node.outputs) release(v, i);
    }

    bool take_over(const Node& node, size_t i, uint32_t v) {
        for (int choice = 0; in_place_input(node, choice) >= 0; ++choice) {
            const uint32_t from = node.inputs[in_place_input(node, choice)];
            if (layout_.offsets[from] == Layout::kOutside || last_[from] != i) continue;
            const auto uses = std::count(node.inputs.begin(), node.inputs.end(), from);
            if (uses != 1 || graph_.values[from].shape != graph_.values[v].shape) continue;
            layout_.offsets[v] = layout_.offsets[from];
            last_[from] = kForever;  // the block now belongs to v
            return true;
        }
        return false;
    }

    void release(uint32_t v, size_t i) {
        if (layout_.offsets[v] == Layout::kOutside || last_[v] != i) return;
        arena_.give_back(layout_.offsets[v]);
        last_[v] = kForever;
    }

    const Graph& graph_;
    size_t count_;
    std::vector<size_t> last_;
    Layout layout_;
    Arena arena_;
};

}  // namespace

Layout layout_arena(const Graph& graph, size_t node_count, const std::vector<uint32_t>& keep,
                    const std::vector<uint32_t>& outside) {
    return LayoutBuilder(graph, node_count, keep).build(outside);
}

namespace {

/// The largest of what the fast CPU path keeps: the operands of the products that it makes one
/// after the other, and rounding words.
struct Scratch {
    uint64_t a = 0, b = 0, second_pair = 0;    ///< quantised elements
    uint64_t stage = 0;                        ///< the same, of each thread
    uint64_t words = 0, turned = 0, rows = 0;  ///< bytes
    [[nodiscard]] uint64_t elements() const { return a + b + second_pair; }
    [[nodiscard]] uint64_t bytes() const { return words + turned + rows; }
};

/// Of each row of a product: its maximum, scale and inverse scale, and the sum that is due.
constexpr uint64_t kBytesOfRow = 3 * sizeof(float) + sizeof(int64_t);

void grow(uint64_t& most, uint64_t size) {
    most = std::max(most, size);
}

/// Elements that one thread quantises at once of `cols` columns of `terms` elements.
uint64_t staged(uint64_t terms, uint64_t cols) {
    return terms * std::min<uint64_t>(cols, cpu::kColsPerTask);
}

void add_matmul(Scratch& scratch, const Node& node, Shape a, Shape b, uint64_t dy) {
    const auto s = reference::matmul_shape(a, b, node.attributes.data());
    const uint64_t left = s.m * s.k, right = s.k * s.n;
    grow(scratch.a, std::max(left, s.m * s.n));
    grow(scratch.b, right);
    grow(scratch.stage, staged(s.k, std::max(s.m, s.n)));
    if (dy == 0) return;
    grow(scratch.stage, staged(s.m, std::max(s.k, s.n)));
    grow(scratch.second_pair, left + s.m * s.n);
    grow(scratch.words, 2 * dy);
    grow(scratch.turned, 4 * ((s.turn_a ? left : 0) + (s.turn_b ? right : 0)));
}

void add_scratch(Plan& plan, Scratch& scratch, const Graph& graph, const Node& node) {
    const auto shape = [&](uint32_t v) { return graph.values[v].shape; };
    const auto count = [&](size_t input) { return shape(node.inputs[input]).count(); };
    for (const auto* list : {&node.inputs, &node.outputs})
        for (const uint32_t v : *list) plan.elements_per_micro_batch += shape(v).count();
    switch (node.op) {
        case Op::linear:
            grow(scratch.a, count(0));
            grow(scratch.b, count(1));
            grow(scratch.stage, staged(shape(node.inputs[1]).rows, shape(node.inputs[1]).cols));
            grow(scratch.rows, kBytesOfRow * shape(node.inputs[0]).rows);
            return;
        case Op::linear_grad:
            grow(scratch.a, count(0));
            grow(scratch.b, count(2));
            grow(scratch.second_pair, count(1) + count(0));
            grow(scratch.stage,
                 staged(shape(node.inputs[1]).rows,
                        std::max(shape(node.inputs[0]).cols, shape(node.inputs[1]).cols)));
            grow(scratch.words, 2 * count(0));
            return;
        case Op::linear_grad_x:
            grow(scratch.a, count(0));
            grow(scratch.b, count(1));
            grow(scratch.words, 2 * count(0));
            return;
        case Op::matmul:
            return add_matmul(scratch, node, shape(node.inputs[0]), shape(node.inputs[1]), 0);
        case Op::matmul_grad:
            return add_matmul(scratch, node, shape(node.inputs[1]), shape(node.inputs[2]),
                              count(0));
        case Op::attention:
        case Op::attention_full: {
            const auto head = cpu::head_memory(attention_shape(graph, node, node.inputs[0]));
            grow(plan.head_bytes, head.bytes);
            grow(plan.head_elements, head.elements);
            grow(scratch.words, 2 * shape(node.outputs[0]).count());
            return;
        }
        default:
            return;
    }
}

Plan plan_of(const Program& program, const TrainingGraph& derived, const Cuts& cuts) {
    const TrainingGraph training = with_recompute(derived, cuts);
    const Graph& graph = training.graph;
    Plan out;
    out.cuts = cuts;
    out.recomputed_nodes = graph.nodes.size() - derived.graph.nodes.size();
    for (const Parameter& p : program.parameters) out.parameter_count += p.shape.count();
    out.gradient_bytes = out.parameter_count * sizeof(float);
    out.state_bytes = 3 * out.gradient_bytes;
    for (const Constant& c : program.constants)
        out.constant_bytes += c.shape.count() * sizeof(float);
    out.arena_bytes =
        layout_arena(graph, graph.nodes.size(), {training.losses}, training.gradients).arena_bytes;
    Scratch scratch;
    for (const Node& node : graph.nodes) {
        out.macs_per_micro_batch += macs_of(graph, node);
        add_scratch(out, scratch, graph, node);
    }
    out.operand_elements = scratch.elements();
    out.stage_elements = scratch.stage;
    out.scratch_bytes = scratch.bytes();
    // A batch as it is read, and as the back end holds it.
    for (const uint32_t v : {kTokensValue, kTargetsValue})
        out.batch_bytes += 2 * sizeof(float) * graph.values[v].shape.count();
    out.macs_per_step = out.macs_per_micro_batch * program.run.micro_batches;
    out.macs_total = out.macs_per_step * program.run.steps;
    const bool images = program.data.kind == DataKind::images;
    out.tokens_per_step = uint64_t{program.run.micro_batches} * program.run.sequences *
                          (images ? 1 : program.data.sequence);
    return out;
}

Result<TrainingGraph, ProgramFault> checked_graph(const Program& program) {
    auto valid = validate_program(program);
    if (!valid) return unexpected(valid.error());
    return derive_training_graph(program);
}

/// The first `parts` cuts of every `width`-th candidate.
Cuts cuts_of(const Cuts& candidates, size_t width, size_t parts) {
    Cuts out;
    for (size_t p = 1; p <= parts; ++p) out.push_back(candidates[p * width - 1]);
    return out;
}

}  // namespace

uint64_t unit_work(const Plan& plan) {
    constexpr uint64_t kMacsPerElement = 64;
    return plan.macs_per_micro_batch + kMacsPerElement * plan.elements_per_micro_batch;
}

uint64_t operator_bytes(const Plan& plan, unsigned threads, OperandMemory operands) {
    const uint64_t staged = operands.staged ? plan.stage_elements : 0;
    const uint64_t quantised = plan.operand_elements + threads * (plan.head_elements + staged);
    return plan.arena_bytes + plan.scratch_bytes + operands.element_bytes * quantised +
           plan.batch_bytes + threads * plan.head_bytes;
}

uint64_t gradient_sets(uint32_t micro_batches) {
    return 1 + static_cast<uint64_t>(std::bit_width(micro_batches) - 1);
}

uint64_t host_bytes(const Plan& plan, const HostUse& use) {
    // The model file at the end needs two sets more than a step does, a checkpoint three.
    constexpr uint64_t kProgramBytes = 1 << 20;  // of our own code and tables, touched only then
    const uint64_t sets = gradient_sets(use.micro_batches) + (use.saves ? 3 : 2);
    constexpr uint64_t kConstants = 3;  // the engine's, read again for the model, and its file
    return kProgramBytes + plan.state_bytes + kConstants * plan.constant_bytes +
           sets * plan.gradient_bytes + operator_bytes(plan, use.threads, use.operands);
}

Result<Plan, ProgramFault> plan(const Program& program, const Cuts& cuts) {
    const auto training = checked_graph(program);
    if (!training) return unexpected(training.error());
    return plan_of(program, *training, cuts);
}

Result<Plan, ProgramFault> least_work_within(const Program& program,
                                             const std::function<uint64_t(const Plan&)>& bytes_of,
                                             uint64_t limit) {
    const auto training = checked_graph(program);
    if (!training) return unexpected(training.error());
    const Cuts candidates = cut_candidates(*training);
    Plan best = plan_of(program, *training, {});
    const auto is_better = [&](const Plan& other) {
        const uint64_t a = bytes_of(other), b = bytes_of(best);
        if (a > limit || b > limit) return a < b;
        return unit_work(other) < unit_work(best);
    };
    // Foreign programs are planned too: no more than some seconds for the largest graphs.
    constexpr size_t kNodesPlannedMax = 1 << 19;
    size_t plans_left = kNodesPlannedMax / std::max<size_t>(training->graph.nodes.size(), 1);
    for (size_t width = 1; width <= candidates.size() && bytes_of(best) > limit; ++width)
        for (size_t parts = 1; parts * width <= candidates.size() && plans_left > 0; ++parts) {
            Plan other = plan_of(program, *training, cuts_of(candidates, width, parts));
            if (is_better(other)) best = std::move(other);
            --plans_left;
        }
    return best;
}

Result<Plan, ProgramFault> plan_within(const Program& program, const HostUse& use, uint64_t limit) {
    const auto bytes_of = [&use](const Plan& plan) { return host_bytes(plan, use); };
    return least_work_within(program, bytes_of, limit);
}

}  // namespace trainyard::training
