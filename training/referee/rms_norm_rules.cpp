// SPDX-License-Identifier: Apache-2.0
// rms_norm and its gradient: docs/spec/numerics.md, section 8.
#include <cmath>

#include "core/assert.hpp"
#include "training/referee/lines.hpp"
#include "training/referee/rules.hpp"

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
        return fma(float_of(x[0]), float_of(x[0]), acc);
    };
    return r;
}

Line forward_line(const Call& call, const Term& term) {
    const uint32_t cols = call.in[0].cols;
    if (term.kind == kSquares) return reduction_line(term, squares_of(term.a, cols));
    ASSERT(term.kind == kOutput);
    if (term.port == 1)
        return make_line({reduction_term({kSquares, 0, term.a}, cols)}, [=](auto x) {
            const float mean = float_of(x[0]) / static_cast<float>(cols);
            return 1.0F / std::sqrt(mean + as_float(0x3727c5ac));
        });
    const Term r{kOutput, 1, term.a / cols};
    return make_line({input(0, term.a), r, input(1, term.a % cols)},
                     [](auto x) { return (float_of(x[0]) * float_of(x[1])) * float_of(x[2]); });
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
        return fma(float_of(x[0]) * float_of(x[2]), float_of(x[1]) * float_of(shared[0]), acc);
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
        return acc + float_of(x[0]) * (float_of(x[1]) * float_of(x[2]));
    };
    return r;
}

Line dx_line(const Call& call, uint32_t at) {
    const uint32_t cols = call.in[kDy].cols, row = at / cols;
    std::vector<Term> parts = {input(kDy, at), input(kX, at), input(kR, row), input(kG, at % cols),
                               reduction_term({kDot, 0, row}, cols)};
    if (call.in.size() > kDxIn) parts.push_back(input(kDxIn, at));
    return make_line(std::move(parts), [=](std::span<const uint32_t> x) {
        const float r = float_of(x[kR]);
        const float c = float_of(x[4]) / static_cast<float>(cols);
        const float h = fma(-(float_of(x[kX]) * r), c, float_of(x[kDy]) * float_of(x[kG]));
        return fma(r, h, x.size() > 5 ? float_of(x[5]) : 0.0F);
    });
}

Line gradient_line(const Call& call, const Term& term) {
    const Shape& dy = call.in[kDy];
    if (term.kind == kDot) return reduction_line(term, dot_of(term.a, dy.cols));
    if (term.kind == kGain) return reduction_line(term, gain_of(term.a, dy));
    ASSERT(term.kind == kOutput);
    if (term.port == 0) return dx_line(call, term.a);
    return same_line(reduction_term({kGain, 0, term.a}, dy.rows));
}

}  // namespace

Line rms_norm_line(const Call& call, const Term& term) {
    return call.op == Op::rms_norm ? forward_line(call, term) : gradient_line(call, term);
}

}  // namespace trainyard::training::referee
