// SPDX-License-Identifier: Apache-2.0
// Tables, movement, broadcasts, images and random numbers by lines.
#include "tests/training/referee_fixture.hpp"
#include "training/referee/rules/folds.hpp"

namespace trainyard::training::referee {
namespace {

OneCall embedding(uint32_t b, uint32_t t, uint32_t rows, uint32_t cols) {
    OneCall c =
        one_call(Op::embedding, {m(b, t), m(rows, cols), m(t, cols)}, {m(b * t, cols)}, {}, b);
    make_indices(c.inputs[0], rows);
    return c;
}
OneCall embedding_grad(uint32_t b, uint32_t t, uint32_t rows, uint32_t cols) {
    OneCall c =
        one_call(Op::embedding_grad, {m(b * t, cols), m(b, t)}, {m(rows, cols), m(t, cols)}, {}, b);
    make_indices(c.inputs[1], rows);
    return c;
}
OneCall lookup(uint32_t count, uint32_t rows, uint32_t cols) {
    OneCall c = one_call(Op::lookup, {m(count, 1), m(rows, cols)}, {m(count, cols)});
    make_indices(c.inputs[0], rows);
    return c;
}
OneCall lookup_grad(uint32_t count, uint32_t rows, uint32_t cols) {
    OneCall c = one_call(Op::lookup_grad, {m(count, cols), m(count, 1)}, {m(rows, cols)});
    make_indices(c.inputs[1], rows);
    return c;
}

TEST(referee_moves, tables) {
    expect_lines_give_the_reference(embedding(3, 5, 7, 4));
    expect_lines_give_the_reference(embedding_grad(3, 5, 7, 4));
    expect_lines_give_the_reference(lookup(9, 5, 3));
    expect_lines_give_the_reference(lookup_grad(9, 5, 3));
}

TEST(referee_moves, plain_sums_longer_than_a_line) {
    expect_lines_give_the_reference(lookup_grad(9001, 3, 2), 2);
    expect_lines_give_the_reference(embedding_grad(4100, 3, 2, 3), 4);
}

TEST(referee_moves, a_chain_in_a_chain_goes_on_from_what_it_was_given) {
    Fold fold;
    fold.count = (1U << 25) + 1;
    const Term whole = whole_term({kFirstOwnKind, 1, 5}, fold.count);
    EXPECT_EQ(whole.c, 2U);
    const Line top = fold_line(whole, fold);
    ASSERT_EQ(top.parts.size(), 3U);
    const Line line = fold_line(part_of(top, 1, std::vector<uint32_t>{42}), fold);
    ASSERT_EQ(line.parts.size(), 4096U);
    EXPECT_EQ(part_of(line, 0, {}), (Term{kFirstOwnKind, 1, 5, 0, 0, 4096, 42}));
    EXPECT_EQ(part_of(line, 1, std::vector<uint32_t>{43}),
              (Term{kFirstOwnKind, 1, 5, 0, 0, 4097, 43}));
}

TEST(referee_moves, an_index_beyond_the_table_joins_to_nothing) {
    OneCall c = lookup(4, 5, 3);
    const Call call = call_of(c.graph, c.node(), c.context);
    for (const uint32_t token : {4U, 5U, 0x55555556U, 0xffffffffU}) {
        const Inputs inputs = [&](uint32_t port, uint32_t e) {
            return port == 0 ? token : bits_of(c.inputs.at(port).at(e));
        };
        EXPECT_EQ(evaluate(call, {kOutput, 0, 2}, inputs).has_value(), token < 5) << token;
    }
}

TEST(referee_moves, movement) {
    const auto check = [](Op op, const std::vector<Shape>& in, const Shape& out,
                          std::vector<uint32_t> a, uint32_t sequences = 1) {
        expect_lines_give_the_reference(one_call(op, in, {out}, std::move(a), sequences));
    };
    check(Op::reshape, {m(6, 5)}, m(10, 3), {3});
    check(Op::transpose, {m(6, 5)}, m(5, 6), {0});
    check(Op::transpose, {m(6, 5)}, m(10, 3), {3});
    check(Op::concat, {m(3, 2), m(3, 5), m(3, 1)}, m(3, 8), {});
    check(Op::slice, {m(4, 7)}, m(4, 3), {2, 3});
    check(Op::slice_grad, {m(4, 3)}, m(4, 7), {2, 3});
    check(Op::repeat, {m(3, 6)}, m(3, 24), {2, 4});
    check(Op::repeat_grad, {m(3, 24)}, m(3, 6), {2, 4});
    check(Op::rope, {m(6, 15), m(4, 6)}, m(6, 15), {6, 12}, 2);
    check(Op::rope_grad, {m(6, 15), m(4, 6)}, m(6, 15), {6, 12}, 2);
}

TEST(referee_moves, broadcasts) {
    for (const uint32_t cyclic : {0U, 1U}) {
        expect_lines_give_the_reference(
            one_call(Op::broadcast_add, {m(12, 5), m(4, 5)}, {m(12, 5)}, {cyclic}));
        expect_lines_give_the_reference(
            one_call(Op::broadcast_sum, {m(12, 5)}, {m(4, 5)}, {cyclic}));
        expect_lines_give_the_reference(
            one_call(Op::broadcast_sum, {m(10000, 3)}, {m(2, 3)}, {cyclic}));
    }
    expect_lines_give_the_reference(
        one_call(Op::broadcast_add, {m(6, 5), Shape::vector(5)}, {m(6, 5)}, {0}));
    expect_lines_give_the_reference(
        one_call(Op::broadcast_sum, {m(6, 5)}, {Shape::vector(5)}, {0}));
}

struct Images {
    uint32_t count, h, w, c, kernel, stride, pad;
    [[nodiscard]] Shape shape() const { return m(count * h * w, c); }
    [[nodiscard]] Shape patches() const {
        const uint32_t y = (h + 2 * pad - kernel) / stride + 1;
        const uint32_t x = (w + 2 * pad - kernel) / stride + 1;
        return m(count * y * x, kernel * kernel * c);
    }
    [[nodiscard]] std::vector<uint32_t> attributes() const { return {h, w, kernel, stride, pad}; }
};

TEST(referee_moves, patches_of_images) {
    for (const Images& s : {Images{2, 5, 4, 3, 3, 1, 1}, Images{2, 6, 5, 2, 3, 2, 1},
                            Images{1, 7, 6, 2, 2, 3, 0}, Images{1, 3, 4, 1, 5, 2, 4}}) {
        expect_lines_give_the_reference(
            one_call(Op::im2col, {s.shape()}, {s.patches()}, s.attributes()));
        expect_lines_give_the_reference(
            one_call(Op::col2im, {s.patches()}, {s.shape()}, s.attributes()));
    }
    // An element in the middle is in 65 * 65 windows.
    const Images wide{1, 65, 65, 1, 65, 1, 64};
    OneCall c = one_call(Op::col2im, {wide.patches()}, {wide.shape()}, wide.attributes());
    expect_lines_give_the_reference(std::move(c), 501);
}

TEST(referee_moves, resolution) {
    const uint32_t half = bits_of(0.3F);
    expect_lines_give_the_reference(
        one_call(Op::upsample, {m(2 * 3 * 2, 3)}, {m(2 * 6 * 6, 3)}, {3, 2, 2, 3, half}));
    expect_lines_give_the_reference(
        one_call(Op::downsample, {m(2 * 6 * 6, 3)}, {m(2 * 3 * 2, 3)}, {3, 2, 2, 3, half}));
    expect_lines_give_the_reference(
        one_call(Op::downsample, {m(2 * 70 * 120, 2)}, {m(2, 2)}, {1, 1, 70, 120, half}));
}

TEST(referee_moves, random_numbers) {
    expect_lines_give_the_reference(one_call(Op::noise, {m(5, 7)}, {m(5, 7)}, {19}));
    expect_lines_give_the_reference(one_call(Op::timestep, {}, {m(6, 1)}, {19, 1000}, 6));
    OneCall c = one_call(Op::diffuse, {m(6, 4), m(6, 4), m(3, 1), m(11, 2)}, {m(6, 4)}, {}, 3);
    make_indices(c.inputs[2], 11);
    expect_lines_give_the_reference(std::move(c));
}

TEST(referee_moves, no_line_is_longer_than_the_largest_shapes_allow) {
    constexpr uint32_t kPositions = 4096 * 16384, kElements = 1U << 31;
    expect_lines_stay_short(large(Op::embedding_grad, {m(kPositions, 32), m(4096, 16384)},
                                  {m(65536, 32), m(16384, 32)}, {}, 4096));
    expect_lines_stay_short(
        large(Op::lookup_grad, {m(kPositions, 32), m(kPositions, 1)}, {m(65536, 32)}, {}));
    expect_lines_stay_short(large(Op::embedding, {m(4096, 16384), m(65536, 32), m(16384, 32)},
                                  {m(kPositions, 32)}, {}, 4096));
    expect_lines_stay_short(
        large(Op::repeat_grad, {m(8192, 4096 * 64)}, {m(8192, 64)}, {64, 4096}));
    expect_lines_stay_short(large(Op::broadcast_sum, {m(kElements, 1)}, {Shape::vector(1)}, {0}));
    expect_lines_stay_short(
        large(Op::downsample, {m(1U << 24, 128)}, {m(1, 128)}, {1, 1, 4096, 4096, 0}));
    const Images largest{1, 150, 150, 1, 150, 1, 149};
    ASSERT_LE(largest.patches().count(), kElements);
    expect_lines_stay_short(
        large(Op::col2im, {largest.patches()}, {largest.shape()}, largest.attributes()));
    expect_lines_stay_short(
        large(Op::im2col, {largest.shape()}, {largest.patches()}, largest.attributes()));
}

}  // namespace
}  // namespace trainyard::training::referee
