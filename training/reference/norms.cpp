// SPDX-License-Identifier: Apache-2.0
// Layer norm and group norm over one description of a group: docs/spec/numerics.md, section 17.
#include <array>
#include <cmath>

#include "training/numerics/functions.hpp"
#include "training/numerics/reduce.hpp"
#include "training/reference/operators.hpp"

namespace trainyard::training::reference {

namespace {

/// The elements that share a mean: `width` columns from `col` in `positions` rows from `row`.
/// Layer norm is the case of one row and all columns.
struct Group {
    size_t row, col, positions, width, cols;
    [[nodiscard]] size_t count() const { return positions * width; }
    [[nodiscard]] size_t at(size_t i) const { return (row + i / width) * cols + column(i); }
    [[nodiscard]] size_t column(size_t i) const { return col + i % width; }
};

struct Layout {
    size_t groups, positions, cols;
    float eps;
};

Layout layout_of(const OpCall& c) {
    const bool layer = c.op == Op::layer_norm || c.op == Op::layer_norm_grad;
    const size_t cols = c.in_shape[0].cols;
    if (layer) return {1, 1, cols, as_float(c.attributes[0])};
    return {c.attributes[0], c.attributes[1], cols, as_float(c.attributes[2])};
}

Group group_of(const Layout& l, size_t number) {
    const size_t width = l.cols / l.groups;
    return {number / l.groups * l.positions, number % l.groups * width, l.positions, width, l.cols};
}

size_t groups_of(const OpCall& c) {
    const Layout l = layout_of(c);
    return c.in_shape[0].rows / l.positions * l.groups;
}

/// stats[g] = (mean, r).
bool norm(const OpCall& c, size_t first, size_t last) {
    const Layout layout = layout_of(c);
    const float* x = c.in[0];
    for (size_t number = first; number < last; ++number) {
        const Group g = group_of(layout, number);
        const auto n = static_cast<float>(g.count());
        const float mean =
            reduce(g.count(), [&](float acc, size_t i) { return acc + x[g.at(i)]; }) / n;
        const float squares = reduce(g.count(), [&](float acc, size_t i) {
            const float d = x[g.at(i)] - mean;
            return fma(d, d, acc);
        });
        const float r = 1.0F / std::sqrt(squares / n + layout.eps);
        c.out[1][2 * number] = mean;
        c.out[1][2 * number + 1] = r;
        for (size_t i = 0; i < g.count(); ++i)
            c.out[0][g.at(i)] =
                ((x[g.at(i)] - mean) * r) * c.in[1][g.column(i)] + c.in[2][g.column(i)];
    }
    return false;
}

void norm_grad_group(const OpCall& c, const Layout& layout, size_t number) {
    const float* dy = c.in[0];
    const float* x = c.in[1];
    const float* gain = c.in[3];
    const float mean = c.in[2][2 * number], r = c.in[2][2 * number + 1];
    const Group g = group_of(layout, number);
    const auto n = static_cast<float>(g.count());
    const auto slope = [&](size_t i) { return dy[g.at(i)] * gain[g.column(i)]; };
    const auto unit = [&](size_t i) { return (x[g.at(i)] - mean) * r; };
    const float s1 = reduce(g.count(), [&](float acc, size_t i) { return acc + slope(i); }) / n;
    const float s2 =
        reduce(g.count(), [&](float acc, size_t i) { return fma(slope(i), unit(i), acc); }) / n;
    for (size_t i = 0; i < g.count(); ++i) c.out[0][g.at(i)] = r * ((slope(i) - s1) - unit(i) * s2);
}

/// dg and db of one column: reductions over all rows.
void norm_grad_column(const OpCall& c, const Layout& layout, size_t col) {
    const size_t width = layout.cols / layout.groups;
    c.out[1][col] = reduce(c.in_shape[0].rows, [&](float acc, size_t row) {
        const float* stats = c.in[2] + 2 * (row / layout.positions * layout.groups + col / width);
        const size_t at = row * layout.cols + col;
        return acc + c.in[0][at] * ((c.in[1][at] - stats[0]) * stats[1]);
    });
    c.out[2][col] = reduce(c.in_shape[0].rows, [&](float acc, size_t row) {
        return acc + c.in[0][row * layout.cols + col];
    });
}

/// Tasks: all groups, then all columns.
size_t grad_tasks(const OpCall& c) {
    return groups_of(c) + c.in_shape[0].cols;
}

bool norm_grad(const OpCall& c, size_t first, size_t last) {
    const Layout layout = layout_of(c);
    const size_t groups = groups_of(c);
    for (size_t task = first; task < last; ++task)
        if (task < groups)
            norm_grad_group(c, layout, task);
        else
            norm_grad_column(c, layout, task - groups);
    return false;
}

constexpr std::array kKernels{
    Kernel{Op::layer_norm, groups_of, norm, 16},
    Kernel{Op::layer_norm_grad, grad_tasks, norm_grad, 16},
    Kernel{Op::group_norm, groups_of, norm, 1},
    Kernel{Op::group_norm_grad, grad_tasks, norm_grad, 1},
};

}  // namespace

std::span<const Kernel> norm_kernels() {
    return kKernels;
}

}  // namespace trainyard::training::reference
