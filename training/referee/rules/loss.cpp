// SPDX-License-Identifier: Apache-2.0
// Losses: docs/spec/numerics.md, sections 9 and 17. The gradient of mean_square is pointwise.
#include "core/assert.hpp"
#include "training/referee/rules/lines.hpp"
#include "training/referee/rules/rules.hpp"
#include "training/referee/rules/softmax_rows.hpp"

namespace trainyard::training::referee {

namespace {

/// Of row a: the logit whose column was given, and the sum of squares of mean_square.
enum Kind : uint8_t { kLogit = kFirstOwnKind, kSquares };

Line loss_of_row(const SoftmaxRows& rows, uint32_t row) {
    Line line = make_line({rows.maximum(row), rows.sum(row), input(1, row), Term{kLogit, 0, row}},
                          [](std::span<const uint32_t> x) {
                              return (log(as_float(x[1])) + as_float(x[0])) - as_float(x[3]);
                          });
    line.chain = 2;  // the target is given to the logit
    return line;
}

Line cross_entropy_line(const Call& call, const Term& term) {
    const SoftmaxRows rows{call.in[0].cols};
    if (rows.has(term)) return rows.line(term);
    if (term.kind == kLogit)
        return picked_line(input(0, term.a * rows.cols + term.given), term.given, rows.cols);
    ASSERT(term.kind == kOutput);
    if (call.op == Op::cross_entropy) return loss_of_row(rows, term.a);
    const uint32_t row = term.a / rows.cols, col = term.a % rows.cols;
    return make_line({input(0, term.a), rows.maximum(row), rows.sum(row), input(1, row)},
                     [col, inv_n = as_float(call.inv_n_bits)](std::span<const uint32_t> x) {
                         const float p = softmax_of(x);
                         return col == x[3] ? (p - 1.0F) * inv_n : p * inv_n;
                     });
}

Line mean_square_line(const Call& call, const Term& term) {
    const uint32_t cols = call.in[0].cols;
    if (term.kind == kOutput)
        return make_line({whole_term({kSquares, 0, term.a}, cols)},
                         [=](auto x) { return as_float(x[0]) / static_cast<float>(cols); });
    ASSERT(term.kind == kSquares);
    Reduction r;
    r.count = cols;
    r.stride = 2;
    r.add_parts = [begin = term.a * cols](uint32_t i, std::vector<Term>& to) {
        to.insert(to.end(), {input(0, begin + i), input(1, begin + i)});
    };
    r.update = [](float acc, uint32_t, auto, std::span<const uint32_t> x) {
        const float d = as_float(x[0]) - as_float(x[1]);
        return fma(d, d, acc);
    };
    return reduction_line(term, r);
}

}  // namespace

Line loss_line(const Call& call, const Term& term) {
    return call.op == Op::mean_square ? mean_square_line(call, term)
                                      : cross_entropy_line(call, term);
}

}  // namespace trainyard::training::referee
