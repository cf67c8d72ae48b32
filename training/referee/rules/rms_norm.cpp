// SPDX-License-Identifier: Apache-2.0
// rms_norm and its gradient: docs/spec/numerics.md, section 8.
#include <cmath>

#include "core/assert.hpp"
#include "training/referee/rules/lines.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// Reductions: over row a, or over all rows of column a.
enum Kind : uint8_t { kSquares = kFirstOwnKind, kDot, kGain };

Reduction squares_of(uint32_t row, uint32_t cols) {
    Reduction r;
    r.count = cols;
    r.add_parts = [=](uint32_t i, std::vector<Term>& to) {
        to.push_back(input(0, row * cols + i));
    };
    r.update = [](float acc, uint32_t, auto, std::span<const uint32_t> x) {
        return fma(as_float(x[0]), as_float(x[0]), acc);
    };
    return r;
}

Line forward_line(const Call& call, const Term& term) {
    const uint32_t cols = call.in[0].cols;
    if (term.kind == kSquares) return reduction_line(term, squares_of(term.a, cols));
    ASSERT(term.kind == kOutput);
    if (term.port == 1)
        return make_line({whole_term({kSquares, 0, term.a}, cols)}, [=](auto x) {
            const float mean = as_float(x[0]) / static_cast<float>(cols);
            return 1.0F / std::sqrt(mean + as_float(0x3727c5ac));
        });
    const Term r{kOutput, 1, term.a / cols};
    return make_line({input(0, term.a), r, input(1, term.a % cols)},
                     [](auto x) { return (as_float(x[0]) * as_float(x[1])) * as_float(x[2]); });
}

/// Inputs of the gradient.
enum Port : uint8_t { kDy, kX, kR, kG, kDxIn };

Reduction dot_of(uint32_t row, uint32_t cols) {
    Reduction r;
    r.count = cols;
    r.shared = {input(kR, row)};
    r.stride = 3;
    r.add_parts = [=](uint32_t i, std::vector<Term>& to) {
        const uint32_t at = row * cols + i;
        to.insert(to.end(), {input(kDy, at), input(kX, at), input(kG, i)});
    };
    r.update = [](float acc, uint32_t, std::span<const uint32_t> shared,
                  std::span<const uint32_t> x) {
        return fma(as_float(x[0]) * as_float(x[2]), as_float(x[1]) * as_float(shared[0]), acc);
    };
    return r;
}

Reduction gain_of(uint32_t col, const Shape& dy) {
    Reduction r;
    r.count = dy.rows;
    r.stride = 3;
    r.add_parts = [=, cols = dy.cols](uint32_t row, std::vector<Term>& to) {
        const uint32_t at = row * cols + col;
        to.insert(to.end(), {input(kDy, at), input(kX, at), input(kR, row)});
    };
    r.update = [](float acc, uint32_t, auto, std::span<const uint32_t> x) {
        return acc + as_float(x[0]) * (as_float(x[1]) * as_float(x[2]));
    };
    return r;
}

Line dx_line(const Call& call, uint32_t at) {
    const uint32_t cols = call.in[kDy].cols, row = at / cols;
    std::vector<Term> parts = {input(kDy, at), input(kX, at), input(kR, row), input(kG, at % cols),
                               whole_term({kDot, 0, row}, cols)};
    if (call.in.size() > kDxIn) parts.push_back(input(kDxIn, at));
    return make_line(std::move(parts), [=](std::span<const uint32_t> x) {
        const float r = as_float(x[kR]);
        const float c = as_float(x[4]) / static_cast<float>(cols);
        const float h = fma(-(as_float(x[kX]) * r), c, as_float(x[kDy]) * as_float(x[kG]));
        return fma(r, h, x.size() > 5 ? as_float(x[5]) : 0.0F);
    });
}

Line gradient_line(const Call& call, const Term& term) {
    const Shape& dy = call.in[kDy];
    if (term.kind == kDot) return reduction_line(term, dot_of(term.a, dy.cols));
    if (term.kind == kGain) return reduction_line(term, gain_of(term.a, dy));
    ASSERT(term.kind == kOutput);
    if (term.port == 0) return dx_line(call, term.a);
    return copy_line(whole_term({kGain, 0, term.a}, dy.rows));
}

}  // namespace

Line rms_norm_line(const Call& call, const Term& term) {
    return call.op == Op::rms_norm ? forward_line(call, term) : gradient_line(call, term);
}

}  // namespace trainyard::training::referee
