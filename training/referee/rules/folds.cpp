// SPDX-License-Identifier: Apache-2.0
// Plain sums as chains.
#include "training/referee/rules/folds.hpp"

#include <algorithm>

#include "core/assert.hpp"

namespace trainyard::training::referee {

namespace {

Line chain_of_chunks(const Term& term, uint32_t count) {
    Line line = make_line(terms_below(term, count),
                          [](std::span<const uint32_t> x) { return as_float(x.back()); });
    for (Term& part : line.parts) part.given = 0;
    line.parts[0].given = term.given;
    line.chain = 0;
    return line;
}

}  // namespace

Line fold_line(const Term& term, const Fold& fold) {
    if (term.c > 0) return chain_of_chunks(term, fold.count);
    const uint32_t begin = term.d * kLineElements;
    ASSERT(begin <= fold.count);
    const uint32_t end = begin + std::min(kLineElements, fold.count - begin);
    std::vector<Term> parts;
    for (uint32_t i = begin; i < end; ++i) fold.add_parts(i, parts);
    ASSERT(parts.size() == size_t{end - begin} * fold.stride && parts.size() <= kPartsMax);
    return make_line(std::move(parts), [given = term.given, stride = fold.stride,
                                        update = fold.update](std::span<const uint32_t> x) {
        float acc = as_float(given);
        for (size_t at = 0; at < x.size(); at += stride) acc = update(acc, x.subspan(at, stride));
        return acc;
    });
}

}  // namespace trainyard::training::referee
