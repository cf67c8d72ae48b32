// SPDX-License-Identifier: Apache-2.0
// Attention by lines, forward and backward, causal and full.
#include <cmath>

#include "tests/training/referee_fixture.hpp"

namespace trainyard::training::referee {
namespace {

struct Dims {
    uint32_t sequences, heads, positions, size;
    [[nodiscard]] uint32_t rows() const { return sequences * positions; }
    [[nodiscard]] Shape out() const { return m(rows(), heads * size); }
    [[nodiscard]] Shape qkv() const { return m(rows(), 3 * heads * size); }
    [[nodiscard]] Shape stats() const { return m(rows() * heads, 2); }
    [[nodiscard]] std::vector<uint32_t> attributes() const { return {heads, 51, 52}; }
};

/// Where a group takes more than a line, its largest stands at its end: a forgotten chunk shows.
void raise_ends(std::vector<float>& x, Dims d, uint32_t cols, float by) {
    if (std::max(d.positions, d.size) <= 4096) return;
    for (size_t i = 0; i < x.size(); ++i)
        if (i / cols + 1 == d.rows() || (d.size > 1 && (i + 1) % d.size == 0))
            x[i] = std::abs(x[i]) + by;
}

OneCall forward(Op op, Dims d) {
    OneCall c = one_call(op, {d.qkv()}, {d.out(), d.stats()}, d.attributes(), d.sequences);
    raise_ends(c.inputs[0], d, d.qkv().cols, 2);
    return c;
}

/// With `out` and `stats` of the forward pass.
OneCall backward(Op op, Dims d) {
    OneCall before = forward(op, d);
    const auto outputs = run_reference(before);
    OneCall c =
        one_call(op == Op::attention ? Op::attention_grad : Op::attention_full_grad,
                 {d.out(), d.out(), d.stats(), d.qkv()}, {d.qkv()}, d.attributes(), d.sequences);
    raise_ends(c.inputs[0], d, d.out().cols, 1000);
    c.inputs[1] = outputs[0];
    c.inputs[2] = outputs[1];
    c.inputs[3] = before.inputs[0];
    return c;
}

constexpr Op kBoth[] = {Op::attention, Op::attention_full};

TEST(referee_attention, heads_of_several_sequences) {
    for (const Op op : kBoth)
        for (const Dims d : {Dims{2, 3, 5, 3}, {1, 1, 1, 1}, {3, 2, 7, 4}}) {
            expect_lines_give_the_reference(forward(op, d));
            expect_lines_give_the_reference(backward(op, d));
        }
}

TEST(referee_attention, heads_wider_than_a_line) {
    for (const Op op : kBoth) {
        expect_lines_give_the_reference(forward(op, {1, 1, 2, 4100}), 2049);
        expect_lines_give_the_reference(backward(op, {1, 1, 2, 4100}), 4099);
    }
}

TEST(referee_attention, more_positions_than_a_line_has) {
    // The reference makes all of 4,100 x 4,100 for each.
    const Dims d{1, 1, 4100, 1};
    expect_lines_give_the_reference(forward(Op::attention, d), 4099);
    expect_lines_give_the_reference(backward(Op::attention_full, d), 1757);
}

TEST(referee_attention, largest_lines) {
    const bool causal[] = {true, false};
    for (const Dims d : {Dims{1, 8, 16384, 4096}, {128, 1, 16384, 8}, {2, 1, 3, 131072}})
        for (const bool is_causal : causal) {
            const Op op = is_causal ? Op::attention : Op::attention_full;
            const Op grad = is_causal ? Op::attention_grad : Op::attention_full_grad;
            expect_lines_stay_short(
                {op, {d.qkv()}, {d.out(), d.stats()}, d.attributes(), d.sequences});
            expect_lines_stay_short({grad,
                                     {d.out(), d.out(), d.stats(), d.qkv()},
                                     {d.qkv()},
                                     d.attributes(),
                                     d.sequences});
        }
}

bool has_number(const OneCall& c, Term term) {
    const Inputs inputs = [&](uint32_t port, uint32_t e) { return bits_of(c.inputs[port][e]); };
    return evaluate(call_of(c.graph, c.node(), c.context), term, inputs).has_value();
}

TEST(referee_attention, an_infinite_token_leaves_only_what_does_not_see_it) {
    OneCall c = forward(Op::attention, {1, 2, 3, 2});
    c.inputs[0][12 + 9] = as_float(0x7f800000);  // V of head 0 at position 1
    for (const uint32_t e : {0U, 1U, 2U, 3U, 6U, 7U, 10U, 11U})
        EXPECT_TRUE(has_number(c, {kOutput, 0, e})) << e;
    for (const uint32_t e : {4U, 5U, 8U, 9U}) EXPECT_FALSE(has_number(c, {kOutput, 0, e})) << e;
    for (uint32_t e = 0; e < 12; ++e) EXPECT_TRUE(has_number(c, {kOutput, 1, e})) << e;
}

TEST(referee_attention, an_infinite_gradient_has_no_gradients_in_its_head) {
    OneCall c = backward(Op::attention, {1, 2, 3, 2});
    c.inputs[0][2 * 4 + 1] = as_float(0x7fc00000);  // dO of head 0 at position 2, column 1
    // dQ at position 2, dK everywhere, dV in the column.
    for (const uint32_t e : {24U, 25U, 4U, 5U, 28U, 9U, 33U})
        EXPECT_FALSE(has_number(c, {kOutput, 0, e})) << e;
    for (const uint32_t e : {0U, 12U, 8U, 2U, 26U, 6U, 10U, 11U})
        EXPECT_TRUE(has_number(c, {kOutput, 0, e})) << e;
}

}  // namespace
}  // namespace trainyard::training::referee
