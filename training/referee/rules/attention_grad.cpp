// SPDX-License-Identifier: Apache-2.0
// attention_grad and attention_full_grad: docs/spec/numerics.md, section 10.
#include "core/assert.hpp"
#include "training/numerics/philox.hpp"
#include "training/referee/rules/attention_heads.hpp"
#include "training/referee/rules/rules.hpp"

namespace trainyard::training::referee {

namespace {

enum Port : uint8_t { kGradOut, kOut, kStats, kQkv };

/// Columns of P and dS belong to a key, named as the query at its position. `out` and its gradient
/// have rows of tokens; their and qkv's columns are cut by sequence.
enum Kind : uint8_t {
    kP = kFirstKindOfPass,  ///< a: query, b: key
    kPColumn,               ///< a: key as a query; this and the others of its like: magnitudes
    kGradRow,               ///< of dO: a: query
    kGradColumn,            ///< of dO: a: sequence, b: column
    kDot,                   ///< a: query
    kDpSum,                 ///< a: query, b: key, d: chunk of terms
    kDp,                    ///< a: query, b: key
    kDs,                    ///< a: query, b: key
    kDsRow,                 ///< a: query
    kDsColumn,              ///< a: key as a query
    kQkvColumn,             ///< a: sequence, b: column
    kSum,                   ///< a: element of dqkv, d: chunk of terms
};

struct Pass {
    Heads h;
    uint32_t of_d_out = 0, of_ds = 0;  ///< tensors of rounding words
    uint32_t step = 0, seed = 0;

    [[nodiscard]] uint32_t d_out_word(uint32_t element) const {
        return rounding_word(element, of_d_out, step, seed);
    }
    [[nodiscard]] uint32_t ds_word(uint32_t query, uint32_t key) const {
        return rounding_word(uint64_t{query} * h.positions + key, of_ds, step, seed);
    }
    /// The first query that sees a key.
    [[nodiscard]] uint32_t first_of(uint32_t key) const {
        return h.is_causal ? h.position(key) : 0;
    }
};

/// Element of dO and O.
uint32_t out_element(const Heads& h, uint32_t query, uint32_t k) {
    return h.row(query, h.position(query)) * h.width() + h.head(query) * h.size + k;
}

Factor grad_row(const Pass& p, uint32_t query) {
    return {whole_term({kGradRow, 0, query}, p.h.size),
            [=](uint32_t k) { return input(kGradOut, out_element(p.h, query, k)); },
            [=](uint32_t k) { return p.d_out_word(out_element(p.h, query, k)); }};
}

/// Column of dO over the positions of a sequence.
Factor grad_column(const Pass& p, uint32_t sequence, uint32_t col) {
    const auto at = [=, first = sequence * p.h.positions, width = p.h.width()](uint32_t position) {
        return (first + position) * width + col;
    };
    return {whole_term({kGradColumn, 0, sequence, col}, p.h.positions),
            [=](uint32_t k) { return input(kGradOut, at(k)); },
            [=](uint32_t k) { return p.d_out_word(at(k)); }};
}

/// Column of Q or K over the positions of a sequence.
Factor qkv_column(const Pass& p, uint32_t sequence, uint32_t col) {
    const uint32_t first = sequence * p.h.positions, width = 3 * p.h.width();
    return {whole_term({kQkvColumn, 0, sequence, col}, p.h.positions),
            [=](uint32_t k) { return input(kQkv, (first + k) * width + col); },
            {}};
}

/// What a query sees of dS.
Factor ds_row(const Pass& p, uint32_t query) {
    return {whole_term({kDsRow, 0, query}, p.h.seen(query)),
            [=](uint32_t k) {
                return Term{kDs, 0, query, k};
            },
            [=](uint32_t k) { return p.ds_word(query, k); }};
}

/// The queries that see a key: those from the first on, of its head.
uint32_t seers_of(const Pass& p, uint32_t key) {
    return p.h.positions - p.first_of(key);
}
uint32_t seer_of(const Pass& p, uint32_t key, uint32_t k) {
    return key - p.h.position(key) + p.first_of(key) + k;
}

Factor p_column(const Pass& p, uint32_t key) {
    return {whole_term({kPColumn, 0, key}, seers_of(p, key)),
            [=](uint32_t k) {
                return Term{kP, 0, seer_of(p, key, k), p.h.position(key)};
            },
            {}};
}
Factor ds_column(const Pass& p, uint32_t key) {
    return {whole_term({kDsColumn, 0, key}, seers_of(p, key)),
            [=](uint32_t k) {
                return Term{kDs, 0, seer_of(p, key, k), p.h.position(key)};
            },
            [=](uint32_t k) { return p.ds_word(seer_of(p, key, k), p.h.position(key)); }};
}

/// Elements from `first` on, in the same group.
Factor from(Factor f, uint32_t first) {
    f.element = [first, all = std::move(f.element)](uint32_t k) { return all(first + k); };
    if (f.word) f.word = [first, all = std::move(f.word)](uint32_t k) { return all(first + k); };
    return f;
}

/// One element of dqkv; what is not seen is zero and left out.
struct Product {
    Factor a, b;
    uint32_t terms = 0;
    std::optional<float> alpha;
};

Product product_of(const Pass& p, uint32_t element) {
    const Heads& h = p.h;
    const uint32_t width = h.width(), row = element / (3 * width), col = element % (3 * width);
    const uint32_t query = h.query(row, col % width / h.size), sequence = h.sequence(query);
    const uint32_t first = p.first_of(query);
    switch (col / width) {
        case kQ:
            return {ds_row(p, query), qkv_column(p, sequence, col + width), h.seen(query),
                    h.alpha()};
        case kK:
            return {ds_column(p, query), from(qkv_column(p, sequence, col - width), first),
                    seers_of(p, query), h.alpha()};
        default:
            return {p_column(p, query), from(grad_column(p, sequence, col - 2 * width), first),
                    seers_of(p, query), std::nullopt};
    }
}

/// dP = dO * V^T.
Line dp_line(const Pass& p, const Term& term) {
    const Factor a = grad_row(p, term.a), v = key_of(p.h, term.a, term.b, kV);
    if (term.kind == kDpSum) return sum_line(term.d, p.h.size, a, v);
    return product_line(p.h.size, a.magnitude, v.magnitude,
                        [&](uint32_t chunk) { return Term{kDpSum, 0, term.a, term.b, 0, chunk}; });
}

Line dot_line(const Pass& p, const Term& term) {
    Reduction dot;
    dot.count = p.h.size;
    dot.stride = 2;
    dot.add_parts = [h = p.h, query = term.a](uint32_t k, std::vector<Term>& to) {
        to.push_back(input(kGradOut, out_element(h, query, k)));
        to.push_back(input(kOut, out_element(h, query, k)));
    };
    dot.update = [](float acc, uint32_t, auto, auto x) {
        return fma(as_float(x[0]), as_float(x[1]), acc);
    };
    return reduction_line(term, dot);
}

Line p_line(const Term& term) {
    const uint32_t query = term.a;
    return make_line(
        {score_of(query, term.b), input(kStats, 2 * query), input(kStats, 2 * query + 1)},
        [](auto x) { return probability(x[0], x[1], x[2]); });
}

/// dS = P * (dP - dot).
Line ds_line(const Pass& p, const Term& term) {
    const Term dot = whole_term({kDot, 0, term.a}, p.h.size);
    return make_line({{kP, 0, term.a, term.b}, {kDp, 0, term.a, term.b}, dot},
                     [](auto x) { return as_float(x[0]) * (as_float(x[1]) - as_float(x[2])); });
}

Line dqkv_line(const Pass& p, const Term& term) {
    const Product product = product_of(p, term.a);
    if (term.kind == kSum) return sum_line(term.d, product.terms, product.a, product.b);
    const auto sum = [&](uint32_t chunk) { return Term{kSum, 0, term.a, 0, 0, chunk}; };
    return product_line(product.terms, product.a.magnitude, product.b.magnitude, sum,
                        product.alpha);
}

}  // namespace

Line attention_grad_line(const Call& call, const Term& term) {
    const Pass p{heads_of(call, kQkv), call.attributes[1], call.attributes[2], call.step,
                 call.seed};
    const Heads& h = p.h;
    switch (term.kind) {
        case kOutput:
        case kSum:
            return dqkv_line(p, term);
        case kP:
            return p_line(term);
        case kDot:
            return dot_line(p, term);
        case kDp:
        case kDpSum:
            return dp_line(p, term);
        case kDs:
            return ds_line(p, term);
        case kPColumn:
            return magnitude_line(term, seers_of(p, term.a), p_column(p, term.a).element);
        case kDsColumn:
            return magnitude_line(term, seers_of(p, term.a), ds_column(p, term.a).element);
        case kDsRow:
            return magnitude_line(term, h.seen(term.a), ds_row(p, term.a).element);
        case kGradRow:
            return magnitude_line(term, h.size, grad_row(p, term.a).element);
        case kGradColumn:
            return magnitude_line(term, h.positions, grad_column(p, term.a, term.b).element);
        case kQkvColumn:
            return magnitude_line(term, h.positions, qkv_column(p, term.a, term.b).element);
        default:
            return score_line(h, term);
    }
}

}  // namespace trainyard::training::referee
