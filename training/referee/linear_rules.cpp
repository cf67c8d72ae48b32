// SPDX-License-Identifier: Apache-2.0
// linear, linear_grad and linear_grad_x: docs/spec/numerics.md, section 6.
#include "core/assert.hpp"
#include "training/numerics/philox.hpp"
#include "training/referee/lines.hpp"
#include "training/referee/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// Of result `port`: the group's largest magnitude (a: its number), and sums of products
/// (a: row, b: column of the result, d: chunk of terms).
enum Kind : uint8_t { kMagnitudeA = kFirstOwnKind, kMagnitudeB, kSum };

/// A stored matrix of which groups are rows or columns.
struct Side {
    uint8_t port = 0;
    uint32_t cols = 0;
    bool by_row = true;
    bool is_gradient = false;
};

/// One product: m x n results of k terms each.
struct Product {
    Side a, b;
    uint32_t n = 0, k = 0;
};

Product product_of(const Call& call, uint16_t port) {
    if (call.op == Op::linear) {
        const uint32_t i = call.in[0].cols, o = call.in[1].cols;
        return {{0, i, true, false}, {1, o, false, false}, o, i};
    }
    const Shape& dy = call.in[0];
    const bool has_x = call.op == Op::linear_grad;
    const uint8_t w = has_x ? 2 : 1;
    if (port == 0)
        return {{0, dy.cols, true, true}, {w, dy.cols, true, false}, call.in[w].rows, dy.cols};
    return {{1, call.in[1].cols, false, false}, {0, dy.cols, false, true}, dy.cols, dy.rows};
}

uint32_t element_of(const Side& side, uint32_t group, uint32_t k) {
    return side.by_row ? group * side.cols + k : k * side.cols + group;
}

Factor factor_of(const Call& call, const Side& side, Term magnitude, uint32_t group, uint32_t k) {
    Factor out;
    magnitude.a = group;
    out.magnitude = magnitude_term(magnitude, k);
    out.element = [=](uint32_t i) { return input(side.port, element_of(side, group, i)); };
    if (side.is_gradient)
        out.word = [=, tensor = call.attributes[0], step = call.step,
                    seed = call.seed](uint32_t i) {
            return rounding_word(element_of(side, group, i), tensor, step, seed);
        };
    return out;
}

}  // namespace

Line linear_line(const Call& call, const Term& term) {
    const Product p = product_of(call, term.port);
    const bool is_output = term.kind == kOutput;
    const uint32_t row = is_output ? term.a / p.n : term.a;
    const uint32_t col = is_output ? term.a % p.n : term.b;
    const Term magnitude_a{kMagnitudeA, term.port}, magnitude_b{kMagnitudeB, term.port};
    const Factor a = factor_of(call, p.a, magnitude_a, row, p.k);
    switch (term.kind) {
        case kMagnitudeA:
            return magnitude_line(term, p.k, a.element);
        case kMagnitudeB:
            return magnitude_line(term, p.k,
                                  factor_of(call, p.b, magnitude_b, term.a, p.k).element);
        default:
            break;
    }
    const Factor b = factor_of(call, p.b, magnitude_b, col, p.k);
    if (term.kind == kSum) return sum_line(term.d, p.k, a, b);
    ASSERT(is_output);
    return product_line(p.k, a.magnitude, b.magnitude, [=, port = term.port](uint32_t chunk) {
        return Term{kSum, port, row, col, 0, chunk};
    });
}

}  // namespace trainyard::training::referee
