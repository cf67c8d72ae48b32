// SPDX-License-Identifier: Apache-2.0
// Operators that move, repeat or rotate elements, and table look-ups: docs/spec/numerics.md,
// section 17.
#include <algorithm>
#include <array>

#include "training/numerics/reduce.hpp"
#include "training/reference/operators.hpp"

namespace trainyard::training::reference {

namespace {

constexpr size_t kRows = 64;

size_t elements_of(const OpCall& c) {
    return c.out_shape[0].count();
}
size_t rows_of(const OpCall& c) {
    return c.in_shape[0].rows;
}

bool reshape(const OpCall& c, size_t first, size_t last) {
    std::copy(c.in[0] + first, c.in[0] + last, c.out[0] + first);
    return false;
}

/// Task: one row of the result.
bool transpose(const OpCall& c, size_t first, size_t last) {
    const size_t block = c.out_shape[0].cols, cols = c.in_shape[0].cols;
    for (size_t row = first; row < last; ++row) {
        const float* x = c.in[0] + row / cols * block * cols + row % cols;
        for (size_t i = 0; i < block; ++i) c.out[0][row * block + i] = x[i * cols];
    }
    return false;
}
size_t result_rows(const OpCall& c) {
    return c.out_shape[0].rows;
}

bool concat(const OpCall& c, size_t first, size_t last) {
    for (size_t row = first; row < last; ++row) {
        float* to = c.out[0] + row * c.out_shape[0].cols;
        for (size_t k = 0; k < c.inputs; ++k) {
            const size_t cols = c.in_shape[k].cols;
            to = std::copy_n(c.in[k] + row * cols, cols, to);
        }
    }
    return false;
}

bool slice(const OpCall& c, size_t first, size_t last) {
    const size_t begin = c.attributes[0], count = c.attributes[1], cols = c.in_shape[0].cols;
    for (size_t row = first; row < last; ++row)
        std::copy_n(c.in[0] + row * cols + begin, count, c.out[0] + row * count);
    return false;
}

bool slice_grad(const OpCall& c, size_t first, size_t last) {
    const size_t begin = c.attributes[0], count = c.attributes[1], cols = c.out_shape[0].cols;
    for (size_t row = first; row < last; ++row) {
        float* to = c.out[0] + row * cols;
        std::fill_n(to, cols, 0.0F);
        std::copy_n(c.in[0] + row * count, count, to + begin);
    }
    return false;
}

bool repeat(const OpCall& c, size_t first, size_t last) {
    const size_t block = c.attributes[0], times = c.attributes[1], cols = c.in_shape[0].cols;
    for (size_t row = first; row < last; ++row) {
        float* to = c.out[0] + row * cols * times;
        for (size_t b = 0; b < cols / block; ++b)
            for (size_t k = 0; k < times; ++k)
                to = std::copy_n(c.in[0] + row * cols + b * block, block, to);
    }
    return false;
}

/// Each element adds its copies in order, from +0.
bool repeat_grad(const OpCall& c, size_t first, size_t last) {
    const size_t block = c.attributes[0], times = c.attributes[1], cols = c.out_shape[0].cols;
    for (size_t row = first; row < last; ++row)
        for (size_t i = 0; i < cols; ++i) {
            const float* dy = c.in[0] + row * cols * times + i / block * block * times + i % block;
            float sum = 0.0F;
            for (size_t k = 0; k < times; ++k) sum = sum + dy[k * block];
            c.out[0][row * cols + i] = sum;
        }
    return false;
}

size_t table_rows(const Shape& v) {
    return v.rank == 1 ? 1 : v.rows;
}

bool broadcast_add(const OpCall& c, size_t first, size_t last) {
    const size_t cols = c.in_shape[0].cols, s = table_rows(c.in_shape[1]);
    const size_t per_row = c.in_shape[0].rows / s;
    for (size_t row = first; row < last; ++row) {
        const float* v = c.in[1] + (c.attributes[0] == 1 ? row % s : row / per_row) * cols;
        for (size_t i = 0; i < cols; ++i) c.out[0][row * cols + i] = c.in[0][row * cols + i] + v[i];
    }
    return false;
}

/// Task: one element of v; the fixed-order reduction over the rows that took it.
bool broadcast_sum(const OpCall& c, size_t first, size_t last) {
    const size_t cols = c.in_shape[0].cols, s = table_rows(c.out_shape[0]);
    const size_t count = c.in_shape[0].rows / s;
    const bool cyclic = c.attributes[0] == 1;
    for (size_t task = first; task < last; ++task) {
        const size_t v = task / cols;
        const float* d = c.in[0] + (cyclic ? v : v * count) * cols + task % cols;
        const size_t step = (cyclic ? s : 1) * cols;
        c.out[0][task] = reduce(count, [=](float acc, size_t i) { return acc + d[i * step]; });
    }
    return false;
}

/// table row: cosines of head/2 angles, then their sines. Rotates pairs (j, j + head/2).
template <bool kBack>
bool rope(const OpCall& c, size_t first, size_t last) {
    const size_t head = c.attributes[0], rotated = c.attributes[1], half = head / 2;
    const size_t cols = c.in_shape[0].cols;
    const size_t positions = c.attributes[2];  // filled in by the runner
    for (size_t row = first; row < last; ++row) {
        const float* x = c.in[0] + row * cols;
        float* y = c.out[0] + row * cols;
        const float* cosine = c.in[1] + row % positions * head;
        const float* sine = cosine + half;
        for (size_t at = 0; at < rotated; at += head)
            for (size_t j = 0; j < half; ++j) {
                const float a = x[at + j], b = x[at + j + half];
                const float s = kBack ? -sine[j] : sine[j];
                y[at + j] = a * cosine[j] - b * s;
                y[at + j + half] = b * cosine[j] + a * s;
            }
        std::copy(x + rotated, x + cols, y + rotated);
    }
    return false;
}

size_t tokens_of(const OpCall& c) {
    return c.in_shape[0].count();
}

bool lookup(const OpCall& c, size_t first, size_t last) {
    const size_t cols = c.in_shape[1].cols;
    for (size_t n = first; n < last; ++n)
        std::copy_n(c.in[1] + size_t{c.words(0)[n]} * cols, cols, c.out[0] + n * cols);
    return false;
}

/// Plain sums in order of n, from +0. Task: one column of the table.
bool lookup_grad(const OpCall& c, size_t first, size_t last) {
    const size_t cols = c.in_shape[0].cols, count = c.in_shape[1].count();
    for (size_t row = 0; row < c.out_shape[0].rows; ++row)
        std::fill(c.out[0] + row * cols + first, c.out[0] + row * cols + last, 0.0F);
    for (size_t n = 0; n < count; ++n) {
        float* to = c.out[0] + size_t{c.words(1)[n]} * cols;
        for (size_t i = first; i < last; ++i) to[i] = to[i] + c.in[0][n * cols + i];
    }
    return false;
}
size_t columns_of(const OpCall& c) {
    return c.in_shape[0].cols;
}

constexpr std::array kKernels{
    Kernel{Op::reshape, elements_of, reshape, 65536},
    Kernel{Op::transpose, result_rows, transpose, kRows},
    Kernel{Op::concat, rows_of, concat, kRows},
    Kernel{Op::slice, rows_of, slice, kRows},
    Kernel{Op::slice_grad, rows_of, slice_grad, kRows},
    Kernel{Op::repeat, rows_of, repeat, kRows},
    Kernel{Op::repeat_grad, rows_of, repeat_grad, kRows},
    Kernel{Op::broadcast_add, rows_of, broadcast_add, kRows},
    Kernel{Op::broadcast_sum, elements_of, broadcast_sum, 16},
    Kernel{Op::rope, rows_of, rope<false>, kRows},
    Kernel{Op::rope_grad, rows_of, rope<true>, kRows},
    Kernel{Op::lookup, tokens_of, lookup, kRows},
    Kernel{Op::lookup_grad, columns_of, lookup_grad, 16},
};

}  // namespace

std::span<const Kernel> movement_kernels() {
    return kKernels;
}

}  // namespace trainyard::training::reference
