// SPDX-License-Identifier: Apache-2.0
// What a step does beside its micro-batches: docs/spec/numerics.md, sections 11 and 14.
#include "core/assert.hpp"
#include "training/reference/ops.hpp"
#include "training/referee/rules/lines.hpp"
#include "training/referee/rules/rules.hpp"
#include "training/tree_sum.hpp"

namespace trainyard::training::referee {

namespace {

enum Kind : uint8_t { kSum = kFirstOwnKind };

Line reduction(const Term& term, uint32_t count, float (*update)(float acc, float x)) {
    return reduction_line(
        term, {count,
               {},
               1,
               [](uint32_t i, std::vector<Term>& to) { to.push_back(input(0, i)); },
               [update](float acc, uint32_t, std::span<const uint32_t>,
                        std::span<const uint32_t> x) { return update(acc, as_float(x[0])); }});
}

Line mean_loss_line(const Call& call, const Term& term) {
    const auto rows = static_cast<uint32_t>(call.in[0].count());
    if (term.kind == kSum) return reduction(term, rows, [](float acc, float x) { return acc + x; });
    return make_line({whole_term({kSum}, rows)}, [rows](std::span<const uint32_t> x) {
        return as_float(x[0]) / static_cast<float>(rows);
    });
}

Line sum_gradients_line(const Call& call, const Term& term) {
    std::vector<Term> parts;
    for (uint32_t j = 0; j < call.attributes[0]; ++j)
        parts.push_back(input(static_cast<uint16_t>(j), term.a));
    return make_line(std::move(parts), [](std::span<const uint32_t> x) {
        const auto add = [](float& left, float right) { left = left + right; };
        TreeSum<float, decltype(add)> tree(add);
        for (const uint32_t bits : x) tree.push(as_float(bits));
        return tree.take();
    });
}

Line sum_squares_line(const Call& call, const Term& term) {
    const auto count = static_cast<uint32_t>(call.in[0].count());
    const auto square = [](float acc, float x) { return fma(x, x, acc); };
    if (term.kind == kSum) return reduction(term, count, square);
    return copy_line(whole_term({kSum}, count));
}

/// One element of w, m and v, and which of them is asked for.
Line optimiser_line(const Call& call, const Term& term) {
    std::vector<Term> parts;
    for (uint16_t port = 0; port < 4; ++port) parts.push_back(input(port, term.a));
    return make_line(std::move(parts), [call, port = term.port](std::span<const uint32_t> x) {
        float w = as_float(x[0]), m = as_float(x[1]), v = as_float(x[2]);
        const float g = as_float(x[3]);
        const auto at = [&](size_t i) { return as_float(call.attributes[i]); };
        if (call.op == Op::sgd)
            reference::sgd({&w, &m, &v, &g}, 1, {at(0), at(1), at(2)}, at(3));
        else
            reference::adamw({&w, &m, &v, &g}, 1,
                             {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8)},
                             at(9));
        return port == 0 ? w : port == 1 ? m : v;
    });
}

}  // namespace

Line update_line(const Call& call, const Term& term) {
    switch (call.op) {
        case Op::mean_loss:
            return mean_loss_line(call, term);
        case Op::sum_gradients:
            return sum_gradients_line(call, term);
        case Op::sum_squares:
            return sum_squares_line(call, term);
        default:
            return optimiser_line(call, term);
    }
}

}  // namespace trainyard::training::referee
