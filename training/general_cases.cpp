// SPDX-License-Identifier: Apache-2.0
// The table of calls and the numbers they start from.
#include "training/general_cases.hpp"

#include <algorithm>

#include "training/graph.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {

namespace {

/// Values in (-scale, scale); every eleventh is tiny, every thirteenth zero.
std::vector<float> values(uint32_t stream, size_t count, float scale) {
    std::vector<float> out(count);
    for (size_t i = 0; i < count; ++i) {
        const PhiloxBlock words = philox({static_cast<uint32_t>(i), stream, 0, 11}, 2027, 0);
        out[i] = static_cast<float>(static_cast<int32_t>(words[0])) * 0x1p-31F * scale;
        if (i % 11 == 5) out[i] *= 0x1p-130F;
        if (i % 13 == 7) out[i] = 0.0F;
    }
    return out;
}

constexpr uint32_t kHalf = 0x3f000000, kEps = 0x3727c5ac;

/// One row of the table. `indices`: that input holds numbers below the rows of `table`.
struct Row {
    Op op;
    std::vector<Shape> in, out;
    std::vector<uint32_t> attributes;
    int indices = -1;
    uint32_t below = 0;
};

GeneralCase make_case(const Row& row, uint32_t number) {
    GeneralCase c;
    c.name = std::string(find_op(row.op)->name);
    c.call.op = row.op;
    c.call.inputs = static_cast<uint8_t>(row.in.size());
    c.call.outputs = static_cast<uint8_t>(row.out.size());
    for (size_t i = 0; i < row.in.size(); ++i) {
        const size_t count = row.in[i].count();
        c.call.in_shape[i] = row.in[i];
        auto& data =
            c.inputs.emplace_back(values(number * 8 + static_cast<uint32_t>(i), count, 3.0F));
        if (static_cast<int>(i) == row.indices)
            for (size_t k = 0; k < count; ++k)
                data[k] = as_float(static_cast<uint32_t>(k * k + 3 * k) % row.below);
        c.name += " " + std::to_string(row.in[i].rows) + "x" + std::to_string(row.in[i].cols);
    }
    std::copy(row.out.begin(), row.out.end(), c.call.out_shape.begin());
    std::copy(row.attributes.begin(), row.attributes.end(), c.call.attributes.begin());
    c.call.seed = 77;
    c.call.step = 3;
    c.call.inv_n = 0.01F;
    return c;
}

Shape m(uint32_t rows, uint32_t cols) {
    return Shape::matrix(rows, cols);
}
Shape v(uint32_t count) {
    return Shape::vector(count);
}

void add_pointwise(std::vector<Row>& rows) {
    for (const Shape s : {m(1, 1), m(7, 37), m(130, 65)}) {
        for (const Op op : {Op::silu, Op::relu, Op::tanh, Op::softmax})
            rows.push_back({op, {s}, {s}, {}});
        for (const Op op : {Op::mul, Op::silu_grad, Op::relu_grad, Op::tanh_grad, Op::softmax_grad,
                            Op::mean_square_grad})
            rows.push_back({op, {s, s}, {s}, {}});
        rows.push_back({Op::scale, {s}, {s}, {kHalf}});
        rows.push_back({Op::mean_square, {s, s}, {v(s.rows)}, {}});
        rows.push_back({Op::noise, {s}, {s}, {5}});
    }
    for (const Shape s : {m(3, 4101), m(2, 8200)}) {
        rows.push_back({Op::softmax, {s}, {s}, {}});
        rows.push_back({Op::softmax_grad, {s, s}, {s}, {}});
        rows.push_back({Op::mean_square, {s, s}, {v(s.rows)}, {}});
    }
    rows.push_back({Op::timestep, {}, {m(33, 1)}, {6, 1000}});
    rows.push_back({Op::timestep, {}, {m(1, 1)}, {6, 1}});
    for (const uint32_t b : {1U, 3U})
        rows.push_back(
            {Op::diffuse, {m(b * 5, 7), m(b * 5, 7), m(b, 1), m(9, 2)}, {m(b * 5, 7)}, {}, 2, 9});
}

void add_norms(std::vector<Row>& rows) {
    for (const Shape s : {m(1, 1), m(5, 37), m(3, 4101), m(4099, 3)}) {
        rows.push_back({Op::layer_norm, {s, v(s.cols), v(s.cols)}, {s, m(s.rows, 2)}, {kEps}});
        rows.push_back({Op::layer_norm_grad,
                        {s, s, m(s.rows, 2), v(s.cols)},
                        {s, v(s.cols), v(s.cols)},
                        {kEps}});
    }
    struct G {
        uint32_t b, positions, cols, groups;
    };
    for (const G g : {G{1, 1, 1, 1}, G{2, 9, 12, 3}, G{3, 49, 10, 5}, G{1, 4097, 2, 2}}) {
        const Shape x = m(g.b * g.positions, g.cols), stats = m(g.b * g.groups, 2);
        const std::vector<uint32_t> a{g.groups, g.positions, kEps};
        rows.push_back({Op::group_norm, {x, v(g.cols), v(g.cols)}, {x, stats}, a});
        rows.push_back(
            {Op::group_norm_grad, {x, x, stats, v(g.cols)}, {x, v(g.cols), v(g.cols)}, a});
    }
}

void add_movement(std::vector<Row>& rows) {
    rows.push_back({Op::reshape, {m(6, 35)}, {m(10, 21)}, {21}});
    rows.push_back({Op::reshape, {m(1, 3)}, {m(3, 1)}, {1}});
    rows.push_back({Op::transpose, {m(6, 35)}, {m(70, 3)}, {3}});
    rows.push_back({Op::transpose, {m(33, 5)}, {m(5, 33)}, {0}});
    rows.push_back({Op::concat, {m(7, 3), m(7, 1), m(7, 40)}, {m(7, 44)}, {}});
    rows.push_back({Op::concat, {m(1, 1), m(1, 1)}, {m(1, 2)}, {}});
    for (const uint32_t n : {1U, 67U}) {
        rows.push_back({Op::slice, {m(n, 37)}, {m(n, 5)}, {30, 5}});
        rows.push_back({Op::slice_grad, {m(n, 5)}, {m(n, 37)}, {30, 5}});
        rows.push_back({Op::repeat, {m(n, 12)}, {m(n, 36)}, {4, 3}});
        rows.push_back({Op::repeat_grad, {m(n, 36)}, {m(n, 12)}, {4, 3}});
        rows.push_back({Op::rope, {m(n, 30), m(n, 8)}, {m(n, 30)}, {8, 24, n}});
        rows.push_back({Op::rope_grad, {m(n, 30), m(n, 8)}, {m(n, 30)}, {8, 24, n}});
        rows.push_back({Op::lookup, {m(n, 3), m(11, 19)}, {m(3 * n, 19)}, {}, 0, 11});
        rows.push_back({Op::lookup_grad, {m(3 * n, 19), m(n, 3)}, {m(11, 19)}, {}, 1, 11});
        rows.push_back({Op::broadcast_add, {m(n, 13), v(13)}, {m(n, 13)}, {0}});
        rows.push_back({Op::broadcast_sum, {m(n, 13)}, {v(13)}, {0}});
    }
    for (const uint32_t cyclic : {0U, 1U}) {
        rows.push_back({Op::broadcast_add, {m(21, 13), m(3, 13)}, {m(21, 13)}, {cyclic}});
        rows.push_back({Op::broadcast_sum, {m(21, 13)}, {m(3, 13)}, {cyclic}});
        rows.push_back({Op::broadcast_sum, {m(8196, 3)}, {m(2, 3)}, {cyclic}});
    }
}

void add_images(std::vector<Row>& rows) {
    struct C {
        uint32_t b, h, w, c, kernel, stride, pad, out;
    };
    for (const C s :
         {C{1, 1, 1, 1, 1, 1, 0, 1}, C{2, 7, 5, 3, 3, 1, 1, 35}, C{1, 9, 9, 4, 3, 2, 1, 25},
          C{3, 6, 8, 2, 2, 2, 0, 12}, C{1, 5, 6, 1, 4, 3, 2, 6}}) {
        const Shape x = m(s.b * s.h * s.w, s.c), y = m(s.b * s.out, s.kernel * s.kernel * s.c);
        const std::vector<uint32_t> a{s.h, s.w, s.kernel, s.stride, s.pad};
        rows.push_back({Op::im2col, {x}, {y}, a});
        rows.push_back({Op::col2im, {y}, {x}, a});
    }
    for (const uint32_t c : {1U, 19U}) {
        const std::vector<uint32_t> a{3, 5, 2, 4, kHalf};
        rows.push_back({Op::upsample, {m(30, c)}, {m(240, c)}, a});
        rows.push_back({Op::downsample, {m(240, c)}, {m(30, c)}, a});
    }
}

void add_products(std::vector<Row>& rows) {
    struct P {
        uint32_t products, m, n, k;
    };
    for (const P p : {P{1, 1, 1, 1}, P{1, 33, 17, 70}, P{3, 5, 9, 21}})
        for (const uint32_t turns : {0U, 1U, 2U, 3U}) {
            const bool ta = (turns & 1) != 0, tb = (turns & 2) != 0;
            const uint32_t block = ta ? p.k : p.m;
            const Shape a = m(p.products * block, ta ? p.m : p.k);
            const Shape b = m(p.products * (tb ? p.n : p.k), tb ? p.k : p.n);
            const Shape y = m(p.products * p.m, p.n);
            const std::vector<uint32_t> attributes{ta, tb, block, 900};
            rows.push_back({Op::matmul, {a, b}, {y}, attributes});
            rows.push_back({Op::matmul_grad, {y, a, b}, {a, b}, attributes});
        }
    rows.push_back({Op::linear_grad_x, {m(65, 37), m(30, 37)}, {m(65, 30)}, {901}});
    rows.push_back({Op::linear_grad_x, {m(1, 1), m(1, 1)}, {m(1, 1)}, {901}});
}

}  // namespace

std::vector<GeneralCase> general_cases() {
    std::vector<Row> rows;
    add_pointwise(rows);
    add_norms(rows);
    add_movement(rows);
    add_images(rows);
    add_products(rows);
    std::vector<GeneralCase> out;
    for (const Row& row : rows) out.push_back(make_case(row, static_cast<uint32_t>(out.size())));
    return out;
}

}  // namespace trainyard::training
