// SPDX-License-Identifier: Apache-2.0
// group_norm, layer_norm and their gradients: docs/spec/numerics.md, section 17.
#include <cmath>

#include "core/assert.hpp"
#include "training/referee/rules/lines.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// Sums over group a (kSum, kSquares; of the gradient kSlopes, kDot) or over all rows of column a
/// (kGain, kBias); kShare is what element a adds to dg, of four parts: too many for a reduction.
enum Kind : uint8_t { kSum = kFirstOwnKind, kSquares, kSlopes, kDot, kShare, kGain, kBias };

/// Groups are `width` columns in `positions` rows; layer norm's are a row each.
struct Layout {
    uint32_t groups, positions, rows, cols;
    [[nodiscard]] uint32_t width() const { return cols / groups; }
    [[nodiscard]] uint32_t count() const { return positions * width(); }
    /// The group of an element.
    [[nodiscard]] uint32_t group_of(uint32_t at) const {
        return at / cols / positions * groups + at % cols / width();
    }
    /// Element i of a group.
    [[nodiscard]] uint32_t at(uint32_t group, uint32_t i) const {
        return (group / groups * positions + i / width()) * cols + col(group, i);
    }
    [[nodiscard]] uint32_t col(uint32_t group, uint32_t i) const {
        return group % groups * width() + i % width();
    }
};

Layout layout_of(const Call& call) {
    const bool layer = call.op == Op::layer_norm || call.op == Op::layer_norm_grad;
    const Shape& x = call.in[0];
    return {layer ? 1 : call.attributes[0], layer ? 1 : call.attributes[1], x.rows, x.cols};
}

Term mean_of(uint32_t group) {
    return {kOutput, 1, 2 * group};
}
Term r_of(uint32_t group) {
    return {kOutput, 1, 2 * group + 1};
}

Reduction sum_of(const Layout& l, uint32_t group) {
    Reduction r;
    r.count = l.count();
    r.add_parts = [=](uint32_t i, std::vector<Term>& to) {
        to.push_back(input(0, l.at(group, i)));
    };
    r.update = [](float acc, uint32_t, auto, std::span<const uint32_t> x) {
        return acc + as_float(x[0]);
    };
    return r;
}

Reduction squares_of(const Layout& l, uint32_t group) {
    Reduction r = sum_of(l, group);
    r.shared = {mean_of(group)};
    r.update = [](float acc, uint32_t, std::span<const uint32_t> shared,
                  std::span<const uint32_t> x) {
        const float d = as_float(x[0]) - as_float(shared[0]);
        return fma(d, d, acc);
    };
    return r;
}

Line stats_line(const Call& call, const Layout& l, uint32_t at) {
    const auto n = static_cast<float>(l.count());
    if (at % 2 == 0)
        return make_line({whole_term({kSum, 0, at / 2}, l.count())},
                         [=](auto x) { return as_float(x[0]) / n; });
    const float eps = as_float(call.attributes.back());
    return make_line({whole_term({kSquares, 0, at / 2}, l.count())},
                     [=](auto x) { return 1.0F / std::sqrt(as_float(x[0]) / n + eps); });
}

Line forward_line(const Call& call, const Term& term) {
    const Layout l = layout_of(call);
    if (term.kind == kSum) return reduction_line(term, sum_of(l, term.a));
    if (term.kind == kSquares) return reduction_line(term, squares_of(l, term.a));
    ASSERT(term.kind == kOutput);
    if (term.port == 1) return stats_line(call, l, term.a);
    const uint32_t group = l.group_of(term.a), col = term.a % l.cols;
    return make_line({input(0, term.a), mean_of(group), r_of(group), input(1, col), input(2, col)},
                     [](auto x) {
                         const float unit = (as_float(x[0]) - as_float(x[1])) * as_float(x[2]);
                         return unit * as_float(x[3]) + as_float(x[4]);
                     });
}

/// Inputs of the gradient.
enum Port : uint8_t { kDy, kX, kStats, kG };

Reduction slopes_of(const Layout& l, uint32_t group) {
    Reduction r;
    r.count = l.count();
    r.stride = 2;
    r.add_parts = [=](uint32_t i, std::vector<Term>& to) {
        to.insert(to.end(), {input(kDy, l.at(group, i)), input(kG, l.col(group, i))});
    };
    r.update = [](float acc, uint32_t, auto, std::span<const uint32_t> x) {
        return acc + as_float(x[0]) * as_float(x[1]);
    };
    return r;
}

Reduction dot_of(const Layout& l, uint32_t group) {
    Reduction r;
    r.count = l.count();
    r.shared = {input(kStats, 2 * group), input(kStats, 2 * group + 1)};
    r.stride = 3;
    r.add_parts = [=](uint32_t i, std::vector<Term>& to) {
        const uint32_t at = l.at(group, i);
        to.insert(to.end(), {input(kDy, at), input(kX, at), input(kG, l.col(group, i))});
    };
    r.update = [](float acc, uint32_t, std::span<const uint32_t> stats,
                  std::span<const uint32_t> x) {
        const float unit = (as_float(x[1]) - as_float(stats[0])) * as_float(stats[1]);
        return fma(as_float(x[0]) * as_float(x[2]), unit, acc);
    };
    return r;
}

/// Over the rows of a column: what its elements add to dg, or dy itself.
Reduction column_of(const Layout& l, const Term& term) {
    Reduction r;
    r.count = l.rows;
    r.add_parts = [cols = l.cols, kind = term.kind, col = term.a](uint32_t row,
                                                                  std::vector<Term>& to) {
        const uint32_t at = row * cols + col;
        to.push_back(kind == kGain ? Term{kShare, 0, at} : input(kDy, at));
    };
    r.update = [](float acc, uint32_t, auto, std::span<const uint32_t> x) {
        return acc + as_float(x[0]);
    };
    return r;
}

/// dy, x, mean and r of an element.
std::vector<Term> element_parts(const Layout& l, uint32_t at) {
    const uint32_t stats = 2 * l.group_of(at);
    return {input(kDy, at), input(kX, at), input(kStats, stats), input(kStats, stats + 1)};
}

float unit_of(std::span<const uint32_t> x) {
    return (as_float(x[1]) - as_float(x[2])) * as_float(x[3]);
}

Line dx_line(const Layout& l, uint32_t at) {
    const uint32_t group = l.group_of(at);
    const auto n = static_cast<float>(l.count());
    std::vector<Term> parts = element_parts(l, at);
    parts.push_back(input(kG, at % l.cols));
    parts.push_back(whole_term({kSlopes, 0, group}, l.count()));
    parts.push_back(whole_term({kDot, 0, group}, l.count()));
    return make_line(std::move(parts), [=](std::span<const uint32_t> x) {
        const float slope = as_float(x[0]) * as_float(x[4]);
        const float s1 = as_float(x[5]) / n, s2 = as_float(x[6]) / n;
        return as_float(x[3]) * ((slope - s1) - unit_of(x) * s2);
    });
}

Line gradient_line(const Call& call, const Term& term) {
    const Layout l = layout_of(call);
    switch (term.kind) {
        case kSlopes:
            return reduction_line(term, slopes_of(l, term.a));
        case kDot:
            return reduction_line(term, dot_of(l, term.a));
        case kShare:
            return make_line(element_parts(l, term.a), [](std::span<const uint32_t> x) {
                return as_float(x[0]) * unit_of(x);
            });
        case kGain:
        case kBias:
            return reduction_line(term, column_of(l, term));
        default:
            break;
    }
    ASSERT(term.kind == kOutput);
    if (term.port == 0) return dx_line(l, term.a);
    const uint8_t kind = term.port == 1 ? kGain : kBias;
    return copy_line(whole_term({kind, 0, term.a}, l.rows));
}

}  // namespace

Line group_norm_line(const Call& call, const Term& term) {
    const bool forward = call.op == Op::layer_norm || call.op == Op::group_norm;
    return forward ? forward_line(call, term) : gradient_line(call, term);
}

}  // namespace trainyard::training::referee
