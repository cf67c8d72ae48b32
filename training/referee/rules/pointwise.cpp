// SPDX-License-Identifier: Apache-2.0
// Operators of which every element follows from the same element of each input.
#include <algorithm>
#include <iterator>

#include "core/assert.hpp"
#include "training/numerics/pointwise.hpp"
#include "training/referee/rules/lines.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// From the elements of the inputs in their order.
using Rule = float (*)(const Call& call, std::span<const float> x);

template <float (*F)(float)>
float of_one(const Call&, std::span<const float> x) {
    return F(x[0]);
}
template <float (*F)(float, float)>
float of_two(const Call&, std::span<const float> x) {
    return F(x[0], x[1]);
}
float add(float a, float b) {
    return a + b;
}
float mul(float a, float b) {
    return a * b;
}
float gelu_slope(float da, float u) {
    return da * gelu_grad(u);
}
float scale(const Call& call, std::span<const float> x) {
    return x[0] * as_float(call.attributes[0]);
}
float mean_square_grad(const Call& call, std::span<const float> x) {
    const float of_row = 2.0F / static_cast<float>(call.in[0].cols);
    return (x[0] - x[1]) * (of_row * as_float(call.inv_n_bits));
}

struct Row {
    Op op;
    Rule rule;
};

constexpr Row kRules[] = {
    {Op::add, of_two<add>},
    {Op::mul, of_two<mul>},
    {Op::scale, scale},
    {Op::gelu, of_one<gelu>},
    {Op::gelu_grad, of_two<gelu_slope>},
    {Op::silu, of_one<silu>},
    {Op::silu_grad, of_two<silu_grad>},
    {Op::relu, of_one<relu>},
    {Op::relu_grad, of_two<relu_grad>},
    {Op::tanh, of_one<tanh>},
    {Op::tanh_grad, of_two<tanh_grad>},
    {Op::mean_square_grad, mean_square_grad},
};

}  // namespace

Line pointwise_line(const Call& call, const Term& term) {
    const auto* row = std::find_if(std::begin(kRules), std::end(kRules),
                                   [&](const Row& r) { return r.op == call.op; });
    ASSERT(row != std::end(kRules) && term.kind == kOutput && call.in.size() <= 2);
    std::vector<Term> parts;
    for (size_t port = 0; port < call.in.size(); ++port)
        parts.push_back(input(static_cast<uint8_t>(port), term.a));
    return make_line(std::move(parts), [call, rule = row->rule](std::span<const uint32_t> bits) {
        float x[2] = {};
        std::transform(bits.begin(), bits.end(), x, as_float);
        return rule(call, std::span<const float>(x).first(bits.size()));
    });
}

}  // namespace trainyard::training::referee
