// SPDX-License-Identifier: Apache-2.0
// Static memory layout by liveness and first fit, and the count of work.
#include "training/plan.hpp"

#include <algorithm>
#include <bit>

#include "training/cpu/attention.hpp"
#include "training/graph.hpp"

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

/// Grows `plan` by what the fast CPU path keeps for this operator.
void add_scratch(Plan& plan, uint64_t (&largest)[4], const Graph& graph, const Node& node) {
    const auto shape = [&](uint32_t v) { return graph.values[v].shape; };
    const auto grow = [](uint64_t& most, uint64_t bytes) { most = std::max(most, bytes); };
    for (const auto* list : {&node.inputs, &node.outputs})
        for (const uint32_t v : *list) plan.elements_per_micro_batch += shape(v).count();
    if (node.op == Op::linear) {
        grow(largest[0], shape(node.inputs[0]).count());
        grow(largest[1], shape(node.inputs[1]).count());
    } else if (node.op == Op::linear_grad) {
        grow(largest[0], shape(node.inputs[0]).count());
        grow(largest[1], shape(node.inputs[2]).count());
        grow(largest[2], shape(node.inputs[1]).count() + shape(node.inputs[0]).count());
        grow(largest[3], 2 * shape(node.inputs[0]).count());
    } else if (node.op == Op::attention || node.op == Op::attention_full) {
        grow(plan.head_bytes, cpu::head_bytes(attention_shape(graph, node, node.inputs[0])));
        grow(largest[3], 2 * shape(node.outputs[0]).count());
    }
}

}  // namespace

uint64_t host_bytes(const Plan& plan, uint32_t micro_batches, unsigned threads, bool saves) {
    const uint64_t set = plan.gradient_bytes;
    const uint64_t sums = 1 + static_cast<uint64_t>(std::bit_width(micro_batches) - 1);
    // The model file at the end needs two sets more than a step does, a checkpoint three.
    return plan.state_bytes + sums * set + plan.arena_bytes + plan.operand_bytes +
           threads * plan.head_bytes + (saves ? 3 : 2) * set;
}

Result<Plan, ProgramFault> plan(const Program& program) {
    auto valid = validate_program(program);
    if (!valid) return unexpected(valid.error());
    auto training = derive_training_graph(program);
    if (!training) return unexpected(training.error());
    const Graph& graph = training->graph;
    Plan out;
    for (const Parameter& p : program.parameters) out.parameter_count += p.shape.count();
    out.gradient_bytes = out.parameter_count * sizeof(float);
    out.state_bytes = 3 * out.gradient_bytes;
    out.arena_bytes =
        layout_arena(graph, graph.nodes.size(), {training->losses}, training->gradients)
            .arena_bytes;
    uint64_t largest[4] = {};
    for (const Node& node : graph.nodes) {
        out.macs_per_micro_batch += macs_of(graph, node);
        add_scratch(out, largest, graph, node);
    }
    for (const uint64_t bytes : largest) out.operand_bytes += bytes;
    out.macs_per_step = out.macs_per_micro_batch * program.run.micro_batches;
    out.macs_total = out.macs_per_step * program.run.steps;
    const bool images = program.data.kind == DataKind::images;
    out.tokens_per_step = uint64_t{program.run.micro_batches} * program.run.sequences *
                          (images ? 1 : program.data.sequence);
    return out;
}

}  // namespace trainyard::training
