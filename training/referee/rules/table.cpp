// SPDX-License-Identifier: Apache-2.0
// Table look-ups and their gradients: docs/spec/numerics.md, sections 13 and 17.
#include "core/assert.hpp"
#include "training/referee/rules/folds.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// kPicked: element (given, a) of the table. kSum: of element a of a gradient, the sum up to and
/// with chunk d of what it adds.
enum Kind : uint8_t { kPicked = kFirstOwnKind, kSum };

constexpr uint8_t kTable = 1;

Line lookup_line(const Call& call, const Term& term) {
    const uint32_t cols = call.in[kTable].cols, n = term.a / cols, col = term.a % cols;
    Line line;
    if (call.op == Op::lookup) {
        line = make_line({input(0, n), Term{kPicked, 0, col}},
                         [](std::span<const uint32_t> x) { return as_float(x[1]); });
    } else {
        const uint32_t positions = call.in[0].cols;
        line =
            make_line({input(0, n), Term{kPicked, 0, col}, input(2, n % positions * cols + col)},
                      [](std::span<const uint32_t> x) { return as_float(x[1]) + as_float(x[2]); });
    }
    line.chain = 0;
    line.chain_end = 2;
    return line;
}

/// Only the positions whose token is the row.
Fold row_sum(const Call& call, uint32_t element) {
    const uint32_t cols = call.in[0].cols, row = element / cols, col = element % cols;
    Fold fold;
    fold.count = static_cast<uint32_t>(call.in[1].count());
    fold.stride = 2;
    fold.add_parts = [=](uint32_t n, std::vector<Term>& to) {
        to.push_back(input(1, n));
        to.push_back(input(0, n * cols + col));
    };
    fold.update = [row](float acc, std::span<const uint32_t> x) {
        return x[0] == row ? acc + as_float(x[1]) : acc;
    };
    return fold;
}

/// One position over all sequences.
Fold position_sum(const Call& call, uint32_t element) {
    const uint32_t stride = call.in[1].cols * call.in[0].cols;
    Fold fold;
    fold.count = call.in[1].rows;
    fold.add_parts = [=](uint32_t b, std::vector<Term>& to) {
        to.push_back(input(0, b * stride + element));
    };
    fold.update = [](float acc, std::span<const uint32_t> x) { return acc + as_float(x[0]); };
    return fold;
}

}  // namespace

Line table_line(const Call& call, const Term& term) {
    if (term.kind == kPicked) {
        const Shape& table = call.in[kTable];
        return picked_line(input(kTable, term.given * table.cols + term.a), term.given, table.rows);
    }
    if (call.op == Op::embedding || call.op == Op::lookup) return lookup_line(call, term);
    const Fold fold = term.port == 0 ? row_sum(call, term.a) : position_sum(call, term.a);
    if (term.kind == kSum) return fold_line(term, fold);
    ASSERT(term.kind == kOutput);
    return fold_line(whole_term({kSum, term.port, term.a}, fold.count), fold);
}

}  // namespace trainyard::training::referee
