// SPDX-License-Identifier: Apache-2.0
// matmul and matmul_grad: docs/spec/numerics.md, sections 6 and 17.
#include <utility>

#include "core/assert.hpp"
#include "training/numerics/philox.hpp"
#include "training/referee/lines.hpp"
#include "training/referee/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// Of result `port`: the largest magnitude of a row of A or a column of B (a: block, b: its
/// number), and sums of products (a: element of the result, d: chunk of terms).
enum Kind : uint8_t { kMagnitudeA = kFirstOwnKind, kMagnitudeB, kSum };

/// Blocks of rows x cols, block below block, each stored transposed if `is_turned`.
struct Operand {
    uint8_t port = 0;
    uint32_t rows = 0, cols = 0;
    bool is_turned = false;
    bool is_gradient = false;
};

Operand transposed(Operand x) {
    std::swap(x.rows, x.cols);
    x.is_turned = !x.is_turned;
    return x;
}

uint32_t element_of(const Operand& x, uint32_t block, uint32_t row, uint32_t col) {
    return block * x.rows * x.cols + (x.is_turned ? col * x.rows + row : row * x.cols + col);
}

/// result = A * B for every block.
struct Product {
    Operand a, b, result;
};

Product product_of(const Call& call, uint8_t port) {
    const bool forward = call.op == Op::matmul;
    const uint8_t first = forward ? 0 : 1;
    const Shape& x = call.in[first];
    const uint32_t block = call.attributes[2] == 0 ? x.rows : call.attributes[2];
    const auto operand = [&](uint8_t at, uint32_t rows, bool is_turned) {
        const Operand stored{at, rows, call.in[at].cols};
        return is_turned ? transposed(stored) : stored;
    };
    const Operand a = operand(first, block, call.attributes[0] == 1);
    const uint8_t second = first + 1;
    const Operand b =
        operand(second, call.in[second].rows / (x.rows / block), call.attributes[1] == 1);
    const Operand y{0, a.rows, b.cols, false, !forward};
    if (forward) return {a, b, y};
    return port == 0 ? Product{y, transposed(b), a} : Product{transposed(a), y, b};
}

struct Place {
    uint32_t block = 0, row = 0, col = 0;
};
Place place_of(const Operand& x, uint32_t element) {
    const uint32_t stored_cols = x.is_turned ? x.rows : x.cols, size = x.rows * x.cols;
    const uint32_t row = element % size / stored_cols, col = element % stored_cols;
    return x.is_turned ? Place{element / size, col, row} : Place{element / size, row, col};
}

/// Row `row` of a block of x. `magnitude` has its kind and port.
Factor row_of(const Call& call, const Operand& x, Term magnitude, uint32_t block, uint32_t row) {
    Factor out;
    magnitude.a = block;
    magnitude.b = row;
    out.magnitude = magnitude_term(magnitude, x.cols);
    out.element = [=](uint32_t k) { return input(x.port, element_of(x, block, row, k)); };
    if (x.is_gradient)
        out.word = [=, tensor = call.attributes[3], step = call.step,
                    seed = call.seed](uint32_t k) {
            return rounding_word(element_of(x, block, row, k), tensor, step, seed);
        };
    return out;
}

}  // namespace

Line matmul_line(const Call& call, const Term& term) {
    const uint8_t port = term.port;
    const Product p = product_of(call, port);
    const auto a = [&](uint32_t block, uint32_t row) {
        return row_of(call, p.a, {kMagnitudeA, port}, block, row);
    };
    const auto b = [&](uint32_t block, uint32_t col) {
        return row_of(call, transposed(p.b), {kMagnitudeB, port}, block, col);
    };
    const uint32_t terms = p.a.cols;
    if (term.kind == kMagnitudeA) return magnitude_line(term, terms, a(term.a, term.b).element);
    if (term.kind == kMagnitudeB) return magnitude_line(term, terms, b(term.a, term.b).element);
    const Place at = place_of(p.result, term.a);
    const Factor row = a(at.block, at.row), col = b(at.block, at.col);
    if (term.kind == kSum) return sum_line(term.d, terms, row, col);
    ASSERT(term.kind == kOutput);
    return product_line(terms, row.magnitude, col.magnitude,
                        [&](uint32_t chunk) { return Term{kSum, port, term.a, 0, 0, chunk}; });
}

}  // namespace trainyard::training::referee
