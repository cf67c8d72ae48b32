// SPDX-License-Identifier: Apache-2.0
// Plain sums as chains, and lines of one part or none.
#include "training/referee/folds.hpp"

#include <algorithm>

#include "core/assert.hpp"

namespace trainyard::training::referee {

namespace {

Line chain_of_chunks(const Term& term, uint32_t count) {
    for (uint32_t level = 0; level < term.c; ++level) count = chunks_of(count);
    const uint32_t begin = term.d * kLineElements;
    ASSERT(begin < count);
    Line line = make_line({}, [](std::span<const uint32_t> x) { return as_float(x.back()); });
    for (uint32_t i = begin; i < std::min(count, begin + kLineElements); ++i) {
        line.parts.push_back(term);
        line.parts.back().c = term.c - 1;
        line.parts.back().d = i;
        line.parts.back().given = 0;
    }
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

Term fold_term(Term base, uint32_t count) {
    return reduction_term(base, count);
}

Line picked_line(const Term& term, uint8_t port, const Shape& table, uint32_t column) {
    if (term.given < table.rows) return copy_line(input(port, term.given * table.cols + column));
    Line line;
    line.join = [](std::span<const uint32_t>) -> std::optional<uint32_t> { return std::nullopt; };
    return line;
}

Line copy_line(const Term& part) {
    return make_line({part}, [](std::span<const uint32_t> x) { return as_float(x[0]); });
}

Line fixed_line(float number) {
    return make_line({}, [number](std::span<const uint32_t>) { return number; });
}

}  // namespace trainyard::training::referee
