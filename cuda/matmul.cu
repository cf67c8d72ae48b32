// SPDX-License-Identifier: Apache-2.0
// Products of any two values, transposed or in blocks, and their gradients: docs/spec/numerics.md,
// sections 6 and 17.
#include <algorithm>

#include "cuda/operators.cuh"
#include "cuda/products.cuh"
#include "training/reference/matmul.hpp"

namespace trainyard::cuda {

namespace {

using training::OpCall;
using training::Shape;
using training::reference::matmul_shape;
using training::reference::MatmulShape;

/// A grid's limit in z is 65,535.
constexpr uint32_t kProductsMax = 32768;

/// Products [first, first + count) of a call.
struct Part {
    uint32_t first, count;
};

/// Calls `body` with one part after another, such that the operands of a part, `bytes` for each
/// product, fit into the scratch memory.
template <class Body>
void for_each_part(Context& on, const MatmulShape& s, size_t bytes, const Body& body) {
    const auto total = static_cast<uint32_t>(s.products);
    const auto fitting =
        static_cast<uint32_t>(std::clamp<size_t>(on.scratch_bytes_max() / bytes, 1, kProductsMax));
    for (Part part{0, 0}; part.first < total; part.first += part.count) {
        part.count = std::min(fitting, total - part.first);
        on.begin();
        body(part);
    }
}

Spread in_blocks(const Part& part, size_t block) {
    return {1, part.first, block, 0};
}

/// One operand of all products of a part: a logical matrix of rows x cols, or its transpose as
/// stored.
struct Logical {
    const float* data;
    size_t rows, cols;
    bool turned;

    [[nodiscard]] Source stored(const Part& part) const {
        const auto height = static_cast<uint32_t>(turned ? cols : rows);
        const auto width = static_cast<uint32_t>(turned ? rows : cols);
        return {data, height, width, width, in_blocks(part, rows * cols)};
    }
};

Operand by_rows(Context& on, const Part& part, const Logical& x, Layout layout) {
    return x.turned ? quantise_cols(on, part.count, x.stored(part), layout)
                    : quantise_rows(on, part.count, x.stored(part), {}, layout);
}
Operand by_cols(Context& on, const Part& part, const Logical& x, Layout layout) {
    return x.turned ? quantise_rows(on, part.count, x.stored(part), {}, layout)
                    : quantise_cols(on, part.count, x.stored(part), layout);
}

Layout layout_of(const Context& on, size_t a_groups, size_t b_groups) {
    return product_layout(on, static_cast<uint32_t>(a_groups), static_cast<uint32_t>(b_groups));
}

/// Where the logical result (rows x cols) goes, or its transpose.
ProductOut to_blocks(float* c, const Part& part, size_t rows, size_t cols, bool turned = false) {
    ProductOut out{c, turned ? rows : cols, in_blocks(part, rows * cols)};
    out.turned = turned;
    return out;
}

/// Bytes of an operand with its scales; more than `take_operand` needs in any layout.
size_t operand_bytes(size_t groups, size_t k) {
    return groups * (padded_terms(static_cast<uint32_t>(k), Layout::slabs) + 2 * sizeof(float));
}

}  // namespace

void matmul(Context& on, const OpCall& c) {
    const MatmulShape s = matmul_shape(c.in_shape[0], c.in_shape[1], c.attributes.data());
    const Logical a{c.in[0], s.m, s.k, s.turn_a}, b{c.in[1], s.k, s.n, s.turn_b};
    const Layout layout = layout_of(on, s.m, s.n);
    for_each_part(on, s, operand_bytes(s.m, s.k) + operand_bytes(s.n, s.k), [&](const Part& part) {
        const Operand left = by_rows(on, part, a, layout);
        multiply(on, part.count, left, by_cols(on, part, b, layout),
                 to_blocks(c.out[0], part, s.m, s.n));
    });
}

void matmul_grad(Context& on, const OpCall& c) {
    const MatmulShape s = matmul_shape(c.in_shape[1], c.in_shape[2], c.attributes.data());
    const Logical dy{c.in[0], s.m, s.n, false};
    const Logical a{c.in[1], s.m, s.k, s.turn_a}, b{c.in[2], s.k, s.n, s.turn_b};
    const Layout of_da = layout_of(on, s.m, s.k), of_db = layout_of(on, s.k, s.n);
    const Words words{c.seed, c.step, s.noise_tensor, true, 0};
    const size_t bytes = operand_bytes(s.m, s.n) + operand_bytes(s.k, s.n) +
                         operand_bytes(s.k, s.m) + operand_bytes(s.n, s.m);
    for_each_part(on, s, bytes, [&](const Part& part) {
        const BothWays both = quantise_both(on, part.count, dy.stored(part), words, {of_da, of_db});
        multiply(on, part.count, both.rows, by_rows(on, part, b, of_da),
                 to_blocks(c.out[0], part, s.m, s.k, s.turn_a));
        const Operand left = by_cols(on, part, a, of_db);
        multiply(on, part.count, left, both.cols, to_blocks(c.out[1], part, s.k, s.n, s.turn_b));
    });
}

void linear_grad_x(Context& on, const OpCall& c) {
    const Shape dy = c.in_shape[0], w = c.in_shape[1];
    on.begin();
    const Words words{c.seed, c.step, c.attributes[0], true, 0};
    const Layout layout = product_layout(on, dy.rows, w.rows);
    const Operand left =
        quantise_rows(on, 1, {c.in[0], dy.rows, dy.cols, dy.cols, {}}, words, layout);
    multiply(on, 1, left, quantise_rows(on, 1, {c.in[1], w.rows, w.cols, w.cols, {}}, {}, layout),
             {c.out[0], w.rows, {}});
}

}  // namespace trainyard::cuda
