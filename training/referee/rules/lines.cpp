// SPDX-License-Identifier: Apache-2.0
// The shared lines.
#include "training/referee/rules/lines.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "training/numerics/reduce.hpp"

namespace trainyard::training::referee {

static_assert(kLineElements == kChunk);

namespace {

constexpr uint32_t kInfinity = 0x7f800000;

/// Items on each level below the top, which is one.
uint32_t items_on(uint32_t level, uint32_t count) {
    for (uint32_t l = 0; l < level; ++l) count = chunks_of(count);
    return count;
}

struct Span {
    uint32_t begin = 0, size = 0;
};
Span span_of(uint32_t chunk, uint32_t count) {
    const uint32_t begin = chunk * kLineElements;
    ASSERT(begin <= count);
    return {begin, std::min(kLineElements, count - begin)};
}

/// What of a level a maximum is taken: elements or maxima of chunks.
std::vector<Term> candidates(const Term& term, uint32_t count,
                             const std::function<Term(uint32_t)>& element) {
    if (term.c > 0) return terms_below(term, count);
    const Span s = span_of(term.d, count);
    std::vector<Term> out;
    for (uint32_t i = 0; i < s.size; ++i) out.push_back(element(s.begin + i));
    return out;
}

}  // namespace

Line make_line(std::vector<Term> parts, std::function<float(std::span<const uint32_t>)> join) {
    Line line;
    line.parts = std::move(parts);
    line.join = [join = std::move(join)](std::span<const uint32_t> x) {
        return std::optional(bits_of(join(x)));
    };
    return line;
}

Line copy_line(const Term& part) {
    return make_line({part}, [](std::span<const uint32_t> x) { return as_float(x[0]); });
}

Line picked_line(const Term& part, uint32_t index, uint32_t below) {
    if (index < below) return copy_line(part);
    Line line;
    line.join = [](std::span<const uint32_t>) { return std::nullopt; };
    return line;
}

Line fixed_line(float number) {
    return make_line({}, [number](std::span<const uint32_t>) { return number; });
}

Term whole_term(Term base, uint32_t count) {
    base.c = 0;
    base.d = 0;
    for (uint32_t n = chunks_of(count); n > 1; n = chunks_of(n)) ++base.c;
    return base;
}

std::vector<Term> terms_below(const Term& term, uint32_t count) {
    const Span s = span_of(term.d, items_on(term.c, count));
    std::vector<Term> out(s.size, term);
    for (uint32_t i = 0; i < s.size; ++i) {
        out[i].c = term.c - 1;
        out[i].d = s.begin + i;
    }
    return out;
}

Line reduction_line(const Term& term, const Reduction& r) {
    if (term.c > 0)
        return make_line(terms_below(term, r.count), [](std::span<const uint32_t> x) {
            return reduce_chunk(0, x.size(),
                                [&](float acc, size_t i) { return acc + as_float(x[i]); });
        });
    const Span s = span_of(term.d, r.count);
    std::vector<Term> parts = r.shared;
    for (uint32_t i = 0; i < s.size; ++i) r.add_parts(s.begin + i, parts);
    const size_t shared = r.shared.size();
    ASSERT(parts.size() == shared + size_t{s.size} * r.stride && parts.size() <= kPartsMax);
    return make_line(std::move(parts), [=, stride = r.stride, update = r.update](auto x) {
        return reduce_chunk(0, s.size, [&](float acc, size_t i) {
            return update(acc, s.begin + static_cast<uint32_t>(i), x.first(shared),
                          x.subspan(shared + i * stride, stride));
        });
    });
}

Line magnitude_line(const Term& term, uint32_t count,
                    const std::function<Term(uint32_t)>& element) {
    Line line;
    line.is_float = false;
    line.parts = candidates(term, count, element);
    line.join = [](std::span<const uint32_t> x) {
        uint32_t most = 0;
        for (const uint32_t bits : x) most = std::max(most, bits & 0x7fffffffU);
        return most < kInfinity ? std::optional(most) : std::nullopt;
    };
    return line;
}

Line maximum_line(const Term& term, uint32_t count, const std::function<Term(uint32_t)>& element) {
    return make_line(candidates(term, count, element), [](std::span<const uint32_t> x) {
        float most = as_float(x[0]);
        for (const uint32_t bits : x.subspan(1))
            if (as_float(bits) > most) most = as_float(bits);
        return most;
    });
}

std::optional<Scale> finite_scale(uint32_t magnitude_bits) {
    if (magnitude_bits >= kInfinity) return std::nullopt;
    return scale_of(magnitude_bits);
}

int32_t quantised_nearest(uint32_t bits, float inv) {
    // Only where the group's claimed magnitude is a lie: any number will do, the same everywhere.
    return is_nonfinite(as_float(bits)) ? 0 : quantise_nearest(as_float(bits), inv);
}

namespace {

int32_t quantised(const Factor& f, uint32_t k, uint32_t bits, float inv) {
    if (!f.word || is_nonfinite(as_float(bits))) return quantised_nearest(bits, inv);
    return quantise_stochastic(as_float(bits), inv, f.word(k));
}

}  // namespace

Line sum_line(uint32_t chunk, uint32_t terms, const Factor& a, const Factor& b) {
    const Span s = span_of(chunk, terms);
    Line line;
    line.is_float = false;
    line.parts = {a.magnitude, b.magnitude};
    for (uint32_t k = 0; k < s.size; ++k) line.parts.push_back(a.element(s.begin + k));
    for (uint32_t k = 0; k < s.size; ++k) line.parts.push_back(b.element(s.begin + k));
    line.join = [=](std::span<const uint32_t> x) -> std::optional<uint32_t> {
        const auto sa = finite_scale(x[0]), sb = finite_scale(x[1]);
        if (!sa || !sb) return std::nullopt;
        uint32_t sum = 0;
        for (uint32_t k = 0; k < s.size; ++k)
            sum += static_cast<uint32_t>(quantised(a, s.begin + k, x[2 + k], sa->inv) *
                                         quantised(b, s.begin + k, x[2 + s.size + k], sb->inv));
        return sum;
    };
    return line;
}

Line product_line(uint32_t terms, const Term& magnitude_a, const std::optional<Term>& magnitude_b,
                  const std::function<Term(uint32_t)>& sum, std::optional<float> alpha) {
    Line line;
    line.parts = {magnitude_a};
    if (magnitude_b) line.parts.push_back(*magnitude_b);
    const size_t scales = line.parts.size();
    for (uint32_t chunk = 0; chunk < chunks_of(terms); ++chunk) line.parts.push_back(sum(chunk));
    line.join = [alpha, scales](std::span<const uint32_t> x) -> std::optional<uint32_t> {
        const auto sa = finite_scale(x[0]);
        const auto sb = scales == 2 ? finite_scale(x[1]) : Scale{1.0F, 1.0F};
        if (!sa || !sb) return std::nullopt;
        uint32_t acc = 0;
        for (const uint32_t part : x.subspan(scales)) acc += part;
        const float c = static_cast<float>(static_cast<int32_t>(acc)) * sa->s * sb->s;
        return bits_of(alpha ? c * *alpha : c);
    };
    return line;
}

}  // namespace trainyard::training::referee
