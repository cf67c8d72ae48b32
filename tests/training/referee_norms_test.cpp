// SPDX-License-Identifier: Apache-2.0
// Elements, norms, softmax and losses by lines.
#include "tests/training/referee_fixture.hpp"
#include "training/referee/rules/lines.hpp"

namespace trainyard::training::referee {
namespace {

Shape v(uint32_t n) {
    return Shape::vector(n);
}

constexpr uint32_t kEps = 0x3727c5ac;

OneCall with_targets(OneCall c) {
    make_indices(c.inputs[1], c.graph.values[0].shape.cols);
    return c;
}

/// Each operator of one input, or of two of the same shape.
OneCall elementwise(Op op, Shape shape) {
    const bool one =
        op == Op::gelu || op == Op::silu || op == Op::relu || op == Op::tanh || op == Op::scale;
    std::vector<uint32_t> attributes;
    if (op == Op::scale) attributes.push_back(bits_of(-1.7F));
    return one_call(op, std::vector<Shape>(one ? 1 : 2, shape), {shape}, attributes);
}

constexpr Op kElementwise[] = {Op::add,  Op::mul,       Op::gelu,  Op::gelu_grad,
                               Op::silu, Op::silu_grad, Op::relu,  Op::relu_grad,
                               Op::tanh, Op::tanh_grad, Op::scale, Op::mean_square_grad};

OneCall rms_norm(Shape x) {
    return one_call(Op::rms_norm, {x, v(x.cols)}, {x, v(x.rows)});
}
OneCall rms_norm_grad(Shape x, bool has_dx_in) {
    std::vector<Shape> in = {x, x, v(x.rows), v(x.cols)};
    if (has_dx_in) in.push_back(x);
    return one_call(Op::rms_norm_grad, in, {x, v(x.cols)});
}
OneCall layer_norm(Shape x) {
    return one_call(Op::layer_norm, {x, v(x.cols), v(x.cols)}, {x, m(x.rows, 2)}, {kEps});
}
OneCall layer_norm_grad(Shape x) {
    return one_call(Op::layer_norm_grad, {x, x, m(x.rows, 2), v(x.cols)}, {x, v(x.cols), v(x.cols)},
                    {kEps});
}
OneCall group_norm(Shape x, uint32_t groups, uint32_t positions) {
    return one_call(Op::group_norm, {x, v(x.cols), v(x.cols)},
                    {x, m(x.rows / positions * groups, 2)}, {groups, positions, kEps});
}
OneCall group_norm_grad(Shape x, uint32_t groups, uint32_t positions) {
    return one_call(Op::group_norm_grad, {x, x, m(x.rows / positions * groups, 2), v(x.cols)},
                    {x, v(x.cols), v(x.cols)}, {groups, positions, kEps});
}
OneCall cross_entropy(Shape z) {
    return with_targets(one_call(Op::cross_entropy, {z, m(1, z.rows)}, {v(z.rows)}));
}
OneCall cross_entropy_grad(Shape z) {
    return with_targets(one_call(Op::cross_entropy_grad, {z, m(1, z.rows)}, {z}));
}
OneCall of_rows(Op op, Shape x) {
    if (op == Op::softmax) return one_call(op, {x}, {x});
    return one_call(op, {x, x}, {op == Op::mean_square ? v(x.rows) : x});
}

TEST(referee_norms, elements) {
    for (const Op op : kElementwise) {
        expect_lines_give_the_reference(elementwise(op, m(5, 37)));
        expect_lines_give_the_reference(elementwise(op, m(3, 4099)), 101);
    }
    for (const Op op : {Op::gelu, Op::silu, Op::relu, Op::tanh, Op::scale})
        expect_lines_give_the_reference(elementwise(op, v(41)));
}

TEST(referee_norms, elements_at_the_ends_of_the_numbers) {
    constexpr uint32_t kEnds[] = {0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x7f7fffff,
                                  0xff7fffff, 0x7f800000, 0xff800000, 0x42ae0000, 0xc2b00000,
                                  0x3f200000, 0x3f1fffff, 0x5f800000};
    for (const Op op : kElementwise) {
        OneCall c = elementwise(op, m(13, 13));
        for (uint32_t i = 0; i < 169; ++i)
            for (size_t port = 0; port < c.inputs.size(); ++port)
                c.inputs[port][i] = as_float(kEnds[port == 0 ? i / 13 : i % 13]);
        const Call call = call_of(c.graph, c.node(), c.context);
        const auto due = run_reference(c);
        const Inputs inputs = [&](uint32_t port, uint32_t e) { return bits_of(c.inputs[port][e]); };
        for (uint32_t i = 0; i < 169; ++i) {
            const uint32_t bits = std::isnan(due[0][i]) ? 0x7fc00000 : bits_of(due[0][i]);
            EXPECT_EQ(evaluate(call, {kOutput, 0, i}, inputs), bits)
                << find_op(op)->name << " element " << i;
        }
    }
}

/// With rows so small that eps shows.
OneCall faint(OneCall c) {
    for (float& x : c.inputs[0]) x *= 0x1p-10F;
    return c;
}

TEST(referee_norms, rms_norm) {
    expect_lines_give_the_reference(rms_norm(m(5, 37)));
    expect_lines_give_the_reference(rms_norm(m(61, 70)), 3);
    expect_lines_give_the_reference(faint(rms_norm(m(61, 37))), 7);
    expect_lines_give_the_reference(rms_norm(m(2, 8200)), 1999);
    for (const bool has_dx_in : {false, true}) {
        expect_lines_give_the_reference(rms_norm_grad(m(5, 37), has_dx_in));
        expect_lines_give_the_reference(rms_norm_grad(m(5, 370), has_dx_in), 3);
        expect_lines_give_the_reference(rms_norm_grad(m(2, 8200), has_dx_in), 1999);
        expect_lines_give_the_reference(rms_norm_grad(m(4100, 3), has_dx_in), 701);
    }
}

TEST(referee_norms, layer_norm) {
    expect_lines_give_the_reference(layer_norm(m(5, 37)));
    expect_lines_give_the_reference(layer_norm(m(61, 70)), 3);
    expect_lines_give_the_reference(layer_norm(m(3, 1)));
    expect_lines_give_the_reference(faint(layer_norm(m(61, 37))), 7);
    expect_lines_give_the_reference(layer_norm(m(2, 8200)), 1999);
    expect_lines_give_the_reference(layer_norm_grad(m(5, 37)));
    expect_lines_give_the_reference(layer_norm_grad(m(5, 370)), 3);
    expect_lines_give_the_reference(layer_norm_grad(m(2, 8200)), 1999);
    expect_lines_give_the_reference(layer_norm_grad(m(4100, 3)), 701);
}

TEST(referee_norms, group_norm) {
    expect_lines_give_the_reference(group_norm(m(14, 9), 3, 7));
    expect_lines_give_the_reference(group_norm(m(6, 10), 1, 2));
    expect_lines_give_the_reference(group_norm(m(120, 9), 3, 60), 5);
    expect_lines_give_the_reference(faint(group_norm(m(14, 9), 3, 7)));
    expect_lines_give_the_reference(group_norm(m(2200, 8), 2, 1100), 1777);
    expect_lines_give_the_reference(group_norm_grad(m(14, 9), 3, 7));
    expect_lines_give_the_reference(group_norm_grad(m(6, 10), 5, 2));
    expect_lines_give_the_reference(group_norm_grad(m(4400, 4), 2, 2200), 1777);
}

TEST(referee_norms, softmax_and_losses) {
    for (const Op op : {Op::softmax, Op::softmax_grad, Op::mean_square}) {
        expect_lines_give_the_reference(of_rows(op, m(5, 37)));
        expect_lines_give_the_reference(of_rows(op, m(5, 370)), 3);
        expect_lines_give_the_reference(of_rows(op, m(3, 1)));
        expect_lines_give_the_reference(of_rows(op, m(2, 8200)), 1999);
    }
    for (const Shape z : {m(9, 37), m(3, 1)}) {
        expect_lines_give_the_reference(cross_entropy(z));
        expect_lines_give_the_reference(cross_entropy_grad(z));
    }
    OneCall wide = cross_entropy(m(3, 8200)), wide_grad = cross_entropy_grad(m(3, 8200));
    const uint32_t targets[] = {4095, 4096, 8199};
    for (size_t row = 0; row < 3; ++row)
        wide.inputs[1][row] = wide_grad.inputs[1][row] = as_float(targets[row]);
    expect_lines_give_the_reference(wide);
    expect_lines_give_the_reference(wide_grad, 4095);
}

TEST(referee_norms, a_row_with_an_infinity_has_no_softmax) {
    for (const uint32_t bits : {0x7f800000U, 0xff800000U, 0x7fc00000U}) {
        OneCall c = of_rows(Op::softmax, m(2, 3));
        c.inputs[0][4] = as_float(bits);
        const Call call = call_of(c.graph, c.node(), c.context);
        const Inputs inputs = [&](uint32_t port, uint32_t e) { return bits_of(c.inputs[port][e]); };
        EXPECT_TRUE(evaluate(call, {kOutput, 0, 2}, inputs).has_value());
        EXPECT_FALSE(evaluate(call, {kOutput, 0, 3}, inputs).has_value());
    }
}

TEST(referee_norms, a_target_beyond_the_logits_has_no_loss) {
    OneCall c = cross_entropy(m(2, 3));
    const Call call = call_of(c.graph, c.node(), c.context);
    const Inputs inputs = [&](uint32_t port, uint32_t e) {
        return bits_of(c.inputs.at(port).at(e));
    };
    for (const uint32_t target : {3U, 0xffffffffU}) {
        c.inputs[1][1] = as_float(target);
        EXPECT_TRUE(evaluate(call, {kOutput, 0, 0}, inputs).has_value());
        EXPECT_FALSE(evaluate(call, {kOutput, 0, 1}, inputs).has_value());
    }
}

TEST(referee_norms, lines_of_the_largest_norms_are_short) {
    constexpr uint32_t kDim = ProgramLimits::dim_max;
    for (const Shape x : {m(1, kDim), m(1U << 30, 1), m((1U << 31) / kDim, kDim)}) {
        const Shape r = v(x.rows), g = v(x.cols), stats = m(x.rows, 2);
        expect_lines_stay_short(large(Op::rms_norm, {x, g}, {x, r}));
        expect_lines_stay_short(large(Op::rms_norm_grad, {x, x, r, g, x}, {x, g}));
        expect_lines_stay_short(large(Op::layer_norm, {x, g, g}, {x, stats}, {kEps}));
        expect_lines_stay_short(large(Op::layer_norm_grad, {x, x, stats, g}, {x, g, g}, {kEps}));
        const std::vector<uint32_t> attributes = {1, x.rows, kEps};  // one group of everything
        expect_lines_stay_short(large(Op::group_norm, {x, g, g}, {x, m(1, 2)}, attributes));
        expect_lines_stay_short(
            large(Op::group_norm_grad, {x, x, m(1, 2), g}, {x, g, g}, attributes));
    }
}

TEST(referee_norms, lines_of_the_largest_rows_are_short) {
    constexpr auto kCount = static_cast<uint32_t>(ProgramLimits::value_elements_max);
    for (const Shape x : {m(1, kCount), m(kCount, 1), m(1U << 14, 1U << 17)}) {
        const Shape rows = v(x.rows), targets = m(1, x.rows);
        expect_lines_stay_short(large(Op::softmax, {x}, {x}));
        expect_lines_stay_short(large(Op::softmax_grad, {x, x}, {x}));
        expect_lines_stay_short(large(Op::mean_square, {x, x}, {rows}));
        expect_lines_stay_short(large(Op::mean_square_grad, {x, x}, {x}));
        expect_lines_stay_short(large(Op::cross_entropy, {x, targets}, {rows}));
        expect_lines_stay_short(large(Op::cross_entropy_grad, {x, targets}, {x}));
        expect_lines_stay_short(large(Op::gelu_grad, {x, x}, {x}));
    }
}

TEST(referee_norms, one_nan_stands_for_all) {
    EXPECT_EQ(canonical(0xffc00000), 0x7fc00000U);
    EXPECT_EQ(canonical(0x7f800001), 0x7fc00000U);
    EXPECT_EQ(canonical(0xff800000), 0xff800000U);
    Call call;
    call.op = Op::add;
    call.in = {m(1, 1), m(1, 1)};
    call.out = {m(1, 1)};
    const Inputs opposite_infinities = [](uint32_t port, uint32_t) {
        return port == 0 ? 0x7f800000U : 0xff800000U;
    };
    EXPECT_EQ(evaluate(call, {kOutput}, opposite_infinities), 0x7fc00000U);
}

}  // namespace
}  // namespace trainyard::training::referee
