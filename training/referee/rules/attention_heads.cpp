// SPDX-License-Identifier: Apache-2.0
// Scores, which attention and its gradient make alike: docs/spec/numerics.md, section 10, step 1.
#include "training/referee/rules/attention_heads.hpp"

#include "core/assert.hpp"

namespace trainyard::training::referee {

Heads heads_of(const Call& call, uint8_t qkv) {
    const Shape& shape = call.in[qkv];
    const uint32_t heads = call.attributes[0];
    const bool is_causal = call.op == Op::attention || call.op == Op::attention_grad;
    return {qkv, heads, shape.rows / call.sequences, shape.cols / 3 / heads, is_causal};
}

Factor token_of(const Heads& h, uint32_t row, uint32_t block) {
    Factor out;
    out.magnitude = whole_term({kTokenMagnitude, 0, row, block}, h.size);
    out.element = [=, first = row * 3 * h.width() + block * h.size](uint32_t k) {
        return input(h.qkv, first + k);
    };
    return out;
}

Factor key_of(const Heads& h, uint32_t query, uint32_t key, QkvPart part) {
    return token_of(h, h.row(query, key), part * h.heads + h.head(query));
}

Line score_line(const Heads& h, const Term& term) {
    if (term.kind == kTokenMagnitude)
        return magnitude_line(term, h.size, token_of(h, term.a, term.b).element);
    const Factor q = key_of(h, term.a, h.position(term.a), kQ);
    const Factor k = key_of(h, term.a, term.b, kK);
    if (term.kind == kScoreSum) return sum_line(term.d, h.size, q, k);
    ASSERT(term.kind == kScore);
    const auto sum = [&](uint32_t chunk) { return Term{kScoreSum, 0, term.a, term.b, 0, chunk}; };
    return product_line(h.size, q.magnitude, k.magnitude, sum, h.alpha());
}

}  // namespace trainyard::training::referee
