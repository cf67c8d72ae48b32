// SPDX-License-Identifier: Apache-2.0
// Calls of single operators, run by the reference and followed line by line.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <utility>

#include "tests/training/fixture.hpp"
#include "training/operator_cases.hpp"
#include "training/referee/calls.hpp"

namespace trainyard::training::referee {

/// A graph of one node; values are the inputs, then the outputs.
struct OneCall {
    Graph graph;
    RunContext context{7, 11, 0.25F};
    std::vector<std::vector<float>> inputs;  ///< indices as bits
    [[nodiscard]] const Node& node() const { return graph.nodes[0]; }
};

inline OneCall one_call(Op op, const std::vector<Shape>& in, const std::vector<Shape>& out,
                        std::vector<uint32_t> attributes = {}, uint32_t sequences = 1) {
    OneCall c;
    c.graph.sequences = sequences;
    Node node{op, {}, {}, std::move(attributes)};
    for (const Shape& s : in) {
        node.inputs.push_back(static_cast<uint32_t>(c.graph.values.size()));
        c.graph.values.push_back({ValueKind::activation, s});
        c.inputs.push_back(make_values(static_cast<uint32_t>(c.inputs.size()) + 40, s.count(), 2));
    }
    for (const Shape& s : out) {
        node.outputs.push_back(static_cast<uint32_t>(c.graph.values.size()));
        c.graph.values.push_back({ValueKind::activation, s});
    }
    c.graph.nodes.push_back(std::move(node));
    return c;
}

/// Makes an input indices below `limit`.
inline void make_indices(std::vector<float>& input, uint32_t limit) {
    for (size_t i = 0; i < input.size(); ++i)
        input[i] = as_float(philox({static_cast<uint32_t>(i), 0, 0, 0}, 3, 4)[0] % limit);
}

inline std::vector<std::vector<float>> run_reference(OneCall& c) {
    const auto backend = make_reference_backend();
    std::vector<uint32_t> all(c.graph.values.size());
    std::iota(all.begin(), all.end(), 0);
    GraphRunner runner(*backend, c.graph, 1, all, all);
    std::vector<std::vector<float>> outputs;
    for (const uint32_t value : c.node().outputs)
        outputs.emplace_back(c.graph.values[value].shape.count());
    for (size_t i = 0; i < c.inputs.size(); ++i) runner.bind(all[i], c.inputs[i].data());
    for (size_t i = 0; i < outputs.size(); ++i) runner.bind(c.node().outputs[i], outputs[i].data());
    runner.run(0, 1, c.context);
    EXPECT_TRUE(backend->finish().has_value());
    return outputs;
}

/// Every `stride`th element of every output follows, line by line, from the inputs.
inline void expect_lines_give_the_reference(OneCall c, uint32_t stride = 1) {
    const std::string name(find_op(c.node().op)->name);
    const Call call = call_of(c.graph, c.node(), c.context);
    const auto outputs = run_reference(c);
    const Inputs inputs = [&](uint32_t port, uint32_t element) {
        return bits_of(c.inputs.at(port).at(element));
    };
    for (size_t port = 0; port < outputs.size(); ++port)
        for (size_t e = 0; e < outputs[port].size(); e += stride) {
            const Term term{kOutput, static_cast<uint8_t>(port), static_cast<uint32_t>(e)};
            const auto number = evaluate(call, term, inputs);
            ASSERT_TRUE(number.has_value()) << name << " output " << port << " element " << e;
            ASSERT_EQ(*number, bits_of(outputs[port][e]))
                << name << " output " << port << " element " << e;
        }
}

/// Follows the first, the middle and the last part of each line, and of each kind in it, from
/// corners and middles of the outputs down to the inputs: no line is too long for a contract, none
/// without parts is without a number, no term outside of the shapes.
inline void expect_lines_stay_short(const Call& call) {
    SCOPED_TRACE("operator " + std::to_string(static_cast<int>(call.op)) + " of " +
                 std::to_string(call.in[0].rows) + " x " + std::to_string(call.in[0].cols));
    std::vector<Term> open;
    for (uint16_t port = 0; port < call.out.size(); ++port) {
        const Shape& s = call.out[port];
        for (const uint32_t row : {0U, s.rows / 2, s.rows - 1})
            for (const uint32_t col : {0U, s.cols / 2, s.cols - 1})
                open.push_back({kOutput, port, row * s.cols + col});
        open.push_back({kOutput, port, static_cast<uint32_t>((s.count() - 1) / 2)});
    }
    std::set<std::array<uint32_t, 7>> seen;
    while (!open.empty()) {
        const Term term = open.back();
        open.pop_back();
        if (!seen.insert({term.kind, term.port, term.a, term.b, term.c, term.d, term.given}).second)
            continue;
        if (term.kind == kInput) {
            ASSERT_LT(term.port, call.in.size());
            ASSERT_LT(term.a, call.in[term.port].count());
            continue;
        }
        const Line line = line_of(call, term);
        ASSERT_LE(line.parts.size(), kPartsMax) << "kind " << unsigned{term.kind};
        if (line.parts.empty()) {
            ASSERT_TRUE(join(line, {}).has_value()) << "kind " << unsigned{term.kind};
            continue;
        }
        std::map<std::pair<uint8_t, uint16_t>, std::pair<Term, Term>> ends;
        for (const Term& part : line.parts)
            ends.try_emplace({part.kind, part.port}, part, part).first->second.second = part;
        for (const auto& [kind, pair] : ends) open.insert(open.end(), {pair.first, pair.second});
        open.insert(open.end(), {line.parts[std::min<size_t>(1, line.parts.size() - 1)],
                                 line.parts[line.parts.size() / 2]});
    }
}

/// A call without numbers, for shapes too large to have any.
inline Call large(Op op, std::vector<Shape> in, std::vector<Shape> out,
                  std::vector<uint32_t> attributes = {}, uint32_t sequences = 1) {
    Call call;
    call.op = op;
    call.in = std::move(in);
    call.out = std::move(out);
    call.attributes = std::move(attributes);
    call.sequences = sequences;
    return call;
}

inline Shape m(uint32_t rows, uint32_t cols) {
    return Shape::matrix(rows, cols);
}

}  // namespace trainyard::training::referee
