// SPDX-License-Identifier: Apache-2.0
// sum over m of (A B)[m][n] = sum over k of (sum over m of A[m][k]) B[k][n], where a mask gives
// each tile of columns rows of its own: those of the tile below have been added before.
#include "training/cpu/head_sums.hpp"

#include <algorithm>

namespace trainyard::training::cpu {

namespace {

/// The first row that is multiplied with the columns of a panel.
class FirstRow {
public:
    FirstRow(const Kernels& k, AttentionShape s, ScoreParts parts)
        : k_(k), parts_(parts), is_causal_(s.causal) {}
    [[nodiscard]] size_t operator()(size_t panel) const {
        if (!is_causal_) return 0;
        const size_t column = panel * k_.panel;
        const size_t part = column / parts_.width * parts_.width;
        const size_t origin = parts_.by_columns ? part : 0;
        const size_t tile = (column - origin) / k_.tile_cols * k_.tile_cols;
        return std::max(part, origin + tile / k_.tile_rows * k_.tile_rows);
    }

private:
    const Kernels& k_;
    ScoreParts parts_;
    bool is_causal_;
};

size_t panels_of(const Kernels& k, size_t columns) {
    return (columns + k.panel - 1) / k.panel;
}

}  // namespace

void ScoreSums::foresee(const Operand& a, const Operand& b, AttentionShape s, ScoreParts parts) {
    const size_t t = s.t, panels = panels_of(k_, t);
    const FirstRow first_row(k_, s, parts);
    ProductArgs args;
    a.set_left(args);
    b.set_right(args);
    rows_.assign(args.groups * k_.group, 0);
    due_.resize(panels * k_.panel);
    sums_.assign(due_.size(), 0);
    for (size_t end = panels, counted = t; end > 0;) {
        const size_t first = first_row(end - 1);
        size_t begin = end - 1;
        while (begin > 0 && first_row(begin - 1) == first) --begin;
        a.set_left(args, first);
        args.m = counted - first;
        k_.row_sums(rows_.data(), args, 0, args.groups);
        args.m = t - first;
        k_.due_sums(due_.data(), rows_.data(), args, begin, end);
        counted = first;
        end = begin;
    }
}

void StripSums::begin(size_t positions, size_t columns) {
    positions_ = positions;
    rows_.assign((positions + k_.group - 1) / k_.group * k_.group, 0);
    due_.resize(panels_of(k_, columns) * k_.panel);
    sums_.assign(due_.size(), 0);
}

void StripSums::add_rows(ProductArgs& strip, size_t first) {
    k_.row_sums(rows_.data() + first, strip, 0, strip.groups);
    strip.column_sums = sums_.data();
}

bool StripSums::fit(const Operand& b) {
    ProductArgs args;
    b.set_right(args);
    args.groups = rows_.size() / k_.group;
    args.m = positions_;
    k_.due_sums(due_.data(), rows_.data(), args, 0, due_.size() / k_.panel);
    return sums_ == due_;
}

}  // namespace trainyard::training::cpu
