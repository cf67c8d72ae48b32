// SPDX-License-Identifier: Apache-2.0
// Cuts of a forward pass and the copies of its parts in the backward pass.
#include "training/recompute.hpp"

#include <algorithm>
#include <map>

#include "core/assert.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kNowhere = ~0U;

/// Bytes that nodes i, i + 1, ... of the forward pass read from nodes before i, for each i.
std::vector<uint64_t> bytes_across(const TrainingGraph& t) {
    const Graph& g = t.graph;
    std::vector<uint32_t> born(g.values.size(), kNowhere), last(g.values.size(), 0);
    for (uint32_t i = 0; i < t.forward_nodes; ++i) {
        for (const uint32_t v : g.nodes[i].outputs) born[v] = i;
        for (const uint32_t v : g.nodes[i].inputs) last[v] = i;
    }
    std::vector<uint64_t> out(t.forward_nodes, 0);
    for (size_t v = 0; v < g.values.size(); ++v)
        for (uint32_t i = born[v]; i != kNowhere && i < last[v]; ++i)
            out[i + 1] += g.values[v].shape.count() * sizeof(float);
    return out;
}

class Recomputation {
public:
    Recomputation(TrainingGraph training, const Cuts& cuts)
        : out_(std::move(training)),
          part_(out_.forward_nodes, kNowhere),
          producer_(out_.graph.values.size(), kNowhere),
          dropped_(out_.graph.values.size(), false) {
        for (uint32_t p = 0, node = 0; p < cuts.size(); ++p) {
            ASSERT(cuts[p] < out_.forward_nodes);
            for (; node < cuts[p]; ++node) part_[node] = p;
        }
        for (uint32_t i = 0; i < out_.forward_nodes; ++i)
            for (const uint32_t v : out_.graph.nodes[i].outputs) producer_[v] = i;
        mark_dropped();
        mark_needed();
    }

    TrainingGraph run() {
        std::vector<Node> old = std::move(out_.graph.nodes);
        const auto backward = old.begin() + static_cast<std::ptrdiff_t>(out_.forward_nodes);
        out_.graph.nodes.assign(old.begin(), backward);
        forward_.assign(old.begin(), backward);
        for (auto node = backward; node != old.end(); ++node) {
            for (uint32_t& v : node->inputs)
                if (dropped_[v]) v = copy_of(v);
            out_.graph.nodes.push_back(std::move(*node));
        }
        return std::move(out_);
    }

private:
    /// Nodes of a part all of whose outputs no other part reads.
    void mark_dropped() {
        const auto& nodes = out_.graph.nodes;
        std::vector<bool> kept(out_.forward_nodes, false);
        for (uint32_t i = 0; i < out_.forward_nodes; ++i)
            for (const uint32_t v : nodes[i].inputs)
                if (producer_[v] != kNowhere && part_[producer_[v]] != part_[i])
                    kept[producer_[v]] = true;
        kept[producer_[out_.losses]] = true;
        if (producer_[out_.logits] != kNowhere) kept[producer_[out_.logits]] = true;
        for (uint32_t i = 0; i < out_.forward_nodes; ++i)
            for (const uint32_t v : nodes[i].outputs)
                dropped_[v] = part_[i] != kNowhere && !kept[i];
    }

    /// Nodes that the backward pass reads, and those that lead to them from kept values.
    void mark_needed() {
        const auto& nodes = out_.graph.nodes;
        needed_.assign(out_.forward_nodes, false);
        for (size_t i = nodes.size(); i-- > 0;) {
            if (i < out_.forward_nodes && !needed_[i]) continue;
            for (const uint32_t v : nodes[i].inputs)
                if (dropped_[v]) needed_[producer_[v]] = true;
        }
    }

    uint32_t copy_of(uint32_t value) {
        if (!copies_.contains(value)) compute_again(part_[producer_[value]]);
        return copies_.at(value);
    }

    void compute_again(uint32_t part) {
        for (uint32_t i = 0; i < out_.forward_nodes; ++i) {
            if (part_[i] != part || !needed_[i]) continue;
            Node node = forward_[i];
            for (uint32_t& v : node.inputs)
                if (dropped_[v]) v = copies_.at(v);
            for (uint32_t& v : node.outputs) {
                const Value like = out_.graph.values[v];
                copies_[v] = static_cast<uint32_t>(out_.graph.values.size());
                v = copies_[v];
                out_.graph.values.push_back(like);
            }
            out_.graph.nodes.push_back(std::move(node));
        }
    }

    TrainingGraph out_;
    std::vector<Node> forward_;
    std::vector<uint32_t> part_;      ///< per forward node; kNowhere: kept
    std::vector<uint32_t> producer_;  ///< forward node per value
    std::vector<bool> dropped_;       ///< per value of the graph as it was
    std::vector<bool> needed_;        ///< per forward node
    std::map<uint32_t, uint32_t> copies_;
};

}  // namespace

Cuts cut_candidates(const TrainingGraph& training) {
    const std::vector<uint64_t> across = bytes_across(training);
    Cuts all;
    for (uint32_t i = 1, next = 1; i < across.size(); i = next) {
        for (next = i; next < across.size() && across[next] == across[i];) ++next;
        if (across[i] < across[i - 1] && next < across.size() && across[i] < across[next])
            all.push_back(i);
    }
    Cuts out;
    const size_t step = all.size() / kCutsMax + 1;
    for (size_t k = step - 1; k < all.size(); k += step) out.push_back(all[k]);
    return out;
}

TrainingGraph with_recompute(TrainingGraph training, const Cuts& cuts) {
    return cuts.empty() ? std::move(training) : Recomputation(std::move(training), cuts).run();
}

}  // namespace trainyard::training
