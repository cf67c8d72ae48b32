// SPDX-License-Identifier: Apache-2.0
// A node of a graph without its memory.
#include "training/referee/calls.hpp"

#include "training/numerics/functions.hpp"

namespace trainyard::training::referee {

Call call_of(const Graph& graph, const Node& node, const RunContext& context) {
    Call call;
    call.op = node.op;
    for (const uint32_t value : node.inputs) call.in.push_back(graph.values[value].shape);
    for (const uint32_t value : node.outputs) call.out.push_back(graph.values[value].shape);
    call.attributes = node.attributes;
    call.sequences = graph.sequences;
    call.seed = context.seed;
    call.step = context.step_word;
    call.inv_n_bits = bits_of(context.inv_n);
    return call;
}

}  // namespace trainyard::training::referee
