// SPDX-License-Identifier: Apache-2.0
// softmax of rows and its gradient: docs/spec/numerics.md, section 17.
#include <algorithm>

#include "core/assert.hpp"
#include "training/referee/rules/lines.hpp"
#include "training/referee/rules/rules.hpp"
#include "training/referee/rules/softmax_rows.hpp"

namespace trainyard::training::referee {

namespace {

/// Of row a.
enum Kind : uint8_t { kDot = kFirstOwnKind };

/// A run that goes on has no Inf or NaN here.
Line finite_only(Line line) {
    line.join = [join = std::move(line.join)](std::span<const uint32_t> x) {
        const bool finite = std::none_of(
            x.begin(), x.end(), [](uint32_t bits) { return is_nonfinite(as_float(bits)); });
        return finite ? join(x) : std::nullopt;
    };
    return line;
}

Reduction dot_of(uint32_t row, uint32_t cols) {
    Reduction r;
    r.count = cols;
    r.stride = 2;
    r.add_parts = [=](uint32_t i, std::vector<Term>& to) {
        to.insert(to.end(), {input(0, row * cols + i), input(1, row * cols + i)});
    };
    r.update = [](float acc, uint32_t, auto, std::span<const uint32_t> x) {
        return fma(as_float(x[0]), as_float(x[1]), acc);
    };
    return r;
}

Line gradient_line(const Call& call, const Term& term) {
    const uint32_t cols = call.in[0].cols;
    if (term.kind == kDot) return reduction_line(term, dot_of(term.a, cols));
    ASSERT(term.kind == kOutput);
    const Term dot = whole_term({kDot, 0, term.a / cols}, cols);
    return make_line({input(0, term.a), input(1, term.a), dot},
                     [](auto x) { return as_float(x[1]) * (as_float(x[0]) - as_float(x[2])); });
}

}  // namespace

Line softmax_line(const Call& call, const Term& term) {
    if (call.op == Op::softmax_grad) return gradient_line(call, term);
    const SoftmaxRows rows{call.in[0].cols};
    if (rows.has(term)) return finite_only(rows.line(term));
    ASSERT(term.kind == kOutput);
    const uint32_t row = term.a / rows.cols;
    return make_line({input(0, term.a), rows.maximum(row), rows.sum(row)}, softmax_of);
}

}  // namespace trainyard::training::referee
