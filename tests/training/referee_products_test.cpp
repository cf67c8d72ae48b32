// SPDX-License-Identifier: Apache-2.0
// Products by lines: linear layers, matmul, attention.
#include "tests/training/referee_fixture.hpp"

namespace trainyard::training::referee {
namespace {

TEST(referee_products, linear_layers) {
    expect_lines_give_the_reference(one_call(Op::linear, {m(5, 37), m(37, 9)}, {m(5, 9)}, {31}));
    expect_lines_give_the_reference(
        one_call(Op::linear_grad, {m(6, 9), m(6, 13), m(13, 9)}, {m(6, 13), m(13, 9)}, {31}));
    expect_lines_give_the_reference(
        one_call(Op::linear_grad_x, {m(6, 9), m(13, 9)}, {m(6, 13)}, {31}));
}

TEST(referee_products, sums_of_more_terms_than_a_line_has) {
    expect_lines_give_the_reference(
        one_call(Op::linear, {m(2, 8200), m(8200, 2)}, {m(2, 2)}, {31}));
}

TEST(referee_products, an_infinite_group_has_no_product) {
    OneCall c = one_call(Op::linear, {m(2, 3), m(3, 2)}, {m(2, 2)}, {31});
    c.inputs[0][4] = as_float(0x7f800000);
    const Call call = call_of(c.graph, c.node(), c.context);
    const Inputs inputs = [&](uint32_t port, uint32_t e) { return bits_of(c.inputs[port][e]); };
    EXPECT_TRUE(evaluate(call, {kOutput, 0, 0}, inputs).has_value());
    EXPECT_FALSE(evaluate(call, {kOutput, 0, 2}, inputs).has_value());
}

}  // namespace
}  // namespace trainyard::training::referee
