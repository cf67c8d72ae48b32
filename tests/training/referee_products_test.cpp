// SPDX-License-Identifier: Apache-2.0
// Products by lines: linear layers and matmul.
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

/// Two products of A (3 x 5) and B (5 x 4).
struct Stored {
    Shape a, b;
    std::vector<uint32_t> attributes;
};
Stored stored(uint32_t turn_a, uint32_t turn_b) {
    const uint32_t block = turn_a ? 5 : 3;
    return {turn_a ? m(10, 3) : m(6, 5), turn_b ? m(8, 5) : m(10, 4), {turn_a, turn_b, block, 77}};
}

TEST(referee_products, matmul_in_blocks_and_transposed) {
    for (const auto& [turn_a, turn_b] : {std::pair(0U, 0U), {0U, 1U}, {1U, 0U}, {1U, 1U}}) {
        const Stored s = stored(turn_a, turn_b);
        expect_lines_give_the_reference(one_call(Op::matmul, {s.a, s.b}, {m(6, 4)}, s.attributes));
        expect_lines_give_the_reference(
            one_call(Op::matmul_grad, {m(6, 4), s.a, s.b}, {s.a, s.b}, s.attributes));
    }
}

/// The largest of a group stands at its end, where a forgotten chunk shows.
OneCall with_large_ends(OneCall c) {
    for (auto& x : c.inputs) x.back() = 3.0F;
    return c;
}

TEST(referee_products, matmul_of_more_terms_than_a_line_has) {
    expect_lines_give_the_reference(
        with_large_ends(one_call(Op::matmul, {m(2, 8200), m(2, 8200)}, {m(2, 2)}, {0, 1, 0, 77})));
    expect_lines_give_the_reference(
        with_large_ends(one_call(Op::matmul_grad, {m(4100, 2), m(4100, 3), m(3, 2)},
                                 {m(4100, 3), m(3, 2)}, {0, 0, 0, 77})),
        5);
}

TEST(referee_products, largest_lines) {
    constexpr uint32_t k = ProgramLimits::terms_max;
    expect_lines_stay_short({Op::linear, {m(16384, k), m(k, 16384)}, {m(16384, 16384)}, {31}});
    expect_lines_stay_short({Op::linear_grad,
                             {m(k, 16384), m(k, 16384), m(16384, 16384)},
                             {m(k, 16384), m(16384, 16384)},
                             {31}});
    for (const uint32_t turn : {0U, 1U}) {
        const Shape a = turn ? m(k, 16384) : m(16384, k), b = turn ? m(16384, k) : m(k, 16384);
        expect_lines_stay_short({Op::matmul, {a, b}, {m(16384, 16384)}, {turn, turn, 0, 77}});
        expect_lines_stay_short(
            {Op::matmul_grad, {m(16384, 16384), a, b}, {a, b}, {turn, turn, 0, 77}});
    }
    // Rows of the results and of dY are as long.
    expect_lines_stay_short({Op::matmul_grad,
                             {m(16384, k), m(16384, 8), m(8, k)},
                             {m(16384, 8), m(8, k)},
                             {0, 0, 0, 77}});
}

TEST(referee_products, an_infinite_group_has_no_product) {
    OneCall c = one_call(Op::linear, {m(2, 3), m(3, 2)}, {m(2, 2)}, {31});
    c.inputs[0][4] = as_float(0x7f800000);
    const Call call = call_of(c.graph, c.node(), c.context);
    const Inputs inputs = [&](uint32_t port, uint32_t e) { return bits_of(c.inputs[port][e]); };
    EXPECT_TRUE(evaluate(call, {kOutput, 0, 0}, inputs).has_value());
    EXPECT_FALSE(evaluate(call, {kOutput, 0, 2}, inputs).has_value());
}

TEST(referee_products, an_infinite_group_of_a_matmul_spoils_its_own_products_alone) {
    const Stored s = stored(1, 0);
    OneCall c = one_call(Op::matmul, {s.a, s.b}, {m(6, 4)}, s.attributes);
    c.inputs[0][7] = as_float(0xff800000);  // block 0, row 1 of A
    const Call call = call_of(c.graph, c.node(), c.context);
    const Inputs inputs = [&](uint32_t port, uint32_t e) { return bits_of(c.inputs[port][e]); };
    for (uint32_t e = 0; e < 24; ++e)
        EXPECT_EQ(evaluate(call, {kOutput, 0, e}, inputs).has_value(), e / 4 != 1) << e;
}

}  // namespace
}  // namespace trainyard::training::referee
