// SPDX-License-Identifier: Apache-2.0
// attention and attention_full: docs/spec/numerics.md, section 10.
#include <algorithm>

#include "core/assert.hpp"
#include "training/referee/rules/attention_heads.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

/// By query (a): the largest score, the sum of exponentials and the largest magnitude of P'; an
/// element of P' (b: key); the sum of products of an element of `out` (a; d: chunk of keys).
enum Kind : uint8_t {
    kMaximum = kFirstKindOfPass,
    kExponentials,
    kWeightMagnitude,
    kWeight,
    kMix,
};

Term most_of(uint32_t query) {
    return {kOutput, 1, 2 * query};
}
Term inverse_sum_of(uint32_t query) {
    return {kOutput, 1, 2 * query + 1};
}

std::function<Term(uint32_t)> scores_of(uint32_t query) {
    return [query](uint32_t key) { return score_of(query, key); };
}

Line exponentials_line(const Heads& h, const Term& term) {
    Reduction sum;
    sum.count = h.seen(term.a);
    sum.shared = {most_of(term.a)};
    sum.add_parts = [query = term.a](uint32_t key, std::vector<Term>& to) {
        to.push_back(score_of(query, key));
    };
    sum.update = [](float acc, uint32_t, auto most, auto score) {
        return acc + exp(as_float(score[0]) - as_float(most[0]));
    };
    return reduction_line(term, sum);
}

Line stats_line(const Heads& h, const Term& term) {
    const uint32_t query = term.a / 2, seen = h.seen(query);
    if (term.a % 2 == 0)
        return maximum_line(whole_term({kMaximum, 0, query}, seen), seen, scores_of(query));
    return make_line({whole_term({kExponentials, 0, query}, seen)},
                     [](auto x) { return 1.0F / as_float(x[0]); });
}

/// P'[query][key] = P * the scale of V at the key.
Line weight_line(const Heads& h, const Term& term) {
    const uint32_t query = term.a, key = term.b;
    Line line;
    line.parts = {score_of(query, key), most_of(query), inverse_sum_of(query),
                  key_of(h, query, key, kV).magnitude};
    line.join = [](std::span<const uint32_t> x) -> std::optional<uint32_t> {
        const auto scale = finite_scale(x[3]);
        if (!scale) return std::nullopt;
        return bits_of(probability(x[0], x[1], x[2]) * scale->s);
    };
    return line;
}

std::function<Term(uint32_t)> weights_of(uint32_t query) {
    return [query](uint32_t key) { return Term{kWeight, 0, query, key}; };
}
Term weight_magnitude_of(const Heads& h, uint32_t query) {
    return whole_term({kWeightMagnitude, 0, query}, h.seen(query));
}

/// The query of an element of `out`.
uint32_t query_of(const Heads& h, uint32_t element) {
    return h.query(element / h.width(), element % h.width() / h.size);
}

/// The sum over keys of q(P') * q(V), each key's V having a scale of its own.
Line mix_line(const Heads& h, const Term& term) {
    const uint32_t query = query_of(h, term.a), first = term.d * kLineElements;
    const uint32_t keys = std::min(kLineElements, h.seen(query) - first);
    Line line;
    line.is_float = false;
    line.parts = {weight_magnitude_of(h, query)};
    for (uint32_t key = first; key < first + keys; ++key) {
        const Factor v = key_of(h, query, key, kV);
        line.parts.push_back(weights_of(query)(key));
        line.parts.push_back(v.magnitude);
        line.parts.push_back(v.element(term.a % h.size));
    }
    line.join = [keys](std::span<const uint32_t> x) -> std::optional<uint32_t> {
        const auto row = finite_scale(x[0]);
        if (!row) return std::nullopt;
        uint32_t sum = 0;
        for (uint32_t k = 0; k < keys; ++k) {
            const auto part = x.subspan(1 + size_t{3} * k, 3);
            const auto token = finite_scale(part[1]);
            if (!token) return std::nullopt;
            sum += static_cast<uint32_t>(quantised_nearest(part[0], row->inv) *
                                         quantised_nearest(part[2], token->inv));
        }
        return sum;
    };
    return line;
}

Line out_line(const Heads& h, const Term& term) {
    const uint32_t query = query_of(h, term.a);
    // The scales of V are inside P'.
    return product_line(h.seen(query), weight_magnitude_of(h, query), std::nullopt,
                        [&](uint32_t chunk) { return Term{kMix, 0, term.a, 0, 0, chunk}; });
}

}  // namespace

Line attention_line(const Call& call, const Term& term) {
    const Heads h = heads_of(call, 0);
    switch (term.kind) {
        case kOutput:
            return term.port == 0 ? out_line(h, term) : stats_line(h, term);
        case kMaximum:
            return maximum_line(term, h.seen(term.a), scores_of(term.a));
        case kExponentials:
            return exponentials_line(h, term);
        case kWeightMagnitude:
            return magnitude_line(term, h.seen(term.a), weights_of(term.a));
        case kWeight:
            return weight_line(h, term);
        case kMix:
            return mix_line(h, term);
        default:
            return score_line(h, term);
    }
}

}  // namespace trainyard::training::referee
