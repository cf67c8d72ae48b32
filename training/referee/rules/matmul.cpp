// SPDX-License-Identifier: Apache-2.0
// matmul, linear and their gradients: docs/spec/numerics.md, sections 6 and 17.
#include <utility>

#include "core/assert.hpp"
#include "training/numerics/philox.hpp"
#include "training/referee/rules/lines.hpp"
#include "training/referee/rules/rules.hpp"

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

/// Where the factors stand, and what a matmul's attributes say of them. A linear layer is the
/// matmul of one block without transposes.
struct Form {
    uint8_t a = 0, b = 1;  ///< input ports
    bool turn_a = false, turn_b = false;
    uint32_t block_rows = 0;  ///< of a
    uint32_t noise = 0;
    bool is_forward = true;
};

Form form_of(const Call& call) {
    Form out;
    out.is_forward = call.op == Op::linear || call.op == Op::matmul;
    if (!out.is_forward) out.a = 1, out.b = 2;
    if (call.op == Op::linear_grad_x) out.b = 1;  // x is not among the inputs
    if (call.op == Op::matmul || call.op == Op::matmul_grad) {
        out.turn_a = call.attributes[0] == 1;
        out.turn_b = call.attributes[1] == 1;
        out.block_rows = call.attributes[2];
        out.noise = call.attributes[3];
    } else {
        out.noise = call.attributes[0];
    }
    return out;
}

/// Result `port`.
Product product_of(const Call& call, uint16_t port) {
    const Form f = form_of(call);
    // linear_grad_x yields the gradient of the x that it lacks, and needs no more than its shape.
    const Shape& x = call.op == Op::linear_grad_x ? call.out[0] : call.in[f.a];
    const uint32_t block = f.block_rows == 0 ? x.rows : f.block_rows;
    Operand a{f.a, block, x.cols};
    if (f.turn_a) a = transposed(a);
    Operand b{f.b, call.in[f.b].rows / (x.rows / block), call.in[f.b].cols};
    if (f.turn_b) b = transposed(b);
    const Operand y{0, a.rows, b.cols, false, !f.is_forward};
    if (f.is_forward) return {a, b, y};
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
    out.magnitude = whole_term(magnitude, x.cols);
    out.element = [=](uint32_t k) { return input(x.port, element_of(x, block, row, k)); };
    if (x.is_gradient)
        out.word = [=, tensor = form_of(call).noise, step = call.step,
                    seed = call.seed](uint32_t k) {
            return rounding_word(element_of(x, block, row, k), tensor, step, seed);
        };
    return out;
}

}  // namespace

Line matmul_line(const Call& call, const Term& term) {
    const uint16_t port = term.port;
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
