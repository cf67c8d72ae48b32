// SPDX-License-Identifier: Apache-2.0
// broadcast_add and its gradient: docs/spec/numerics.md, section 17.
#include "core/assert.hpp"
#include "training/referee/rules/lines.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// Of element a of the gradient, the reduction over the rows that took it.
enum Kind : uint8_t { kRows = kFirstOwnKind };

uint32_t table_rows(const Shape& v) {
    return v.rank == 1 ? 1 : v.rows;
}

Line add_line(const Call& call, uint32_t element) {
    const uint32_t cols = call.in[0].cols, row = element / cols, s = table_rows(call.in[1]);
    const uint32_t from = call.attributes[0] == 1 ? row % s : row / (call.in[0].rows / s);
    return make_line({input(0, element), input(1, from * cols + element % cols)},
                     [](std::span<const uint32_t> x) { return as_float(x[0]) + as_float(x[1]); });
}

Reduction rows_of(const Call& call, uint32_t element) {
    const uint32_t cols = call.in[0].cols, s = table_rows(call.out[0]), v = element / cols;
    const bool is_cyclic = call.attributes[0] == 1;
    Reduction out;
    out.count = call.in[0].rows / s;
    const uint32_t first = (is_cyclic ? v : v * out.count) * cols + element % cols;
    const uint32_t step = (is_cyclic ? s : 1) * cols;
    out.add_parts = [=](uint32_t i, std::vector<Term>& to) {
        to.push_back(input(0, first + i * step));
    };
    out.update = [](float acc, uint32_t, auto, std::span<const uint32_t> x) {
        return acc + as_float(x[0]);
    };
    return out;
}

}  // namespace

Line broadcast_line(const Call& call, const Term& term) {
    if (call.op == Op::broadcast_add) return add_line(call, term.a);
    const Reduction rows = rows_of(call, term.a);
    if (term.kind == kRows) return reduction_line(term, rows);
    ASSERT(term.kind == kOutput);
    return reduction_line(whole_term({kRows, 0, term.a}, rows.count), rows);
}

}  // namespace trainyard::training::referee
