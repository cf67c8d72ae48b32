// SPDX-License-Identifier: Apache-2.0
// The shared lines of softmax.
#include "training/referee/rules/softmax_rows.hpp"

#include "core/assert.hpp"

namespace trainyard::training::referee {

Line SoftmaxRows::line(const Term& term) const {
    ASSERT(has(term));
    const auto element = [begin = term.a * cols](uint32_t i) { return input(0, begin + i); };
    if (term.kind == kMaximum) return maximum_line(term, cols, element);
    Reduction r;
    r.count = cols;
    r.shared = {maximum(term.a)};
    r.add_parts = [=](uint32_t i, std::vector<Term>& to) { to.push_back(element(i)); };
    r.update = [](float acc, uint32_t, std::span<const uint32_t> maximum,
                  std::span<const uint32_t> x) {
        return acc + exp(as_float(x[0]) - as_float(maximum[0]));
    };
    return reduction_line(term, r);
}

float softmax_of(std::span<const uint32_t> x) {
    return exp(as_float(x[0]) - as_float(x[1])) * (1.0F / as_float(x[2]));
}

}  // namespace trainyard::training::referee
