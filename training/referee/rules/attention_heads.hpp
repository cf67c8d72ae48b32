// SPDX-License-Identifier: Apache-2.0
// What attention and its gradient share: heads, their tokens, scores and probabilities.
#pragma once

#include <cmath>
#include <cstdint>

#include "training/referee/rules/lines.hpp"

namespace trainyard::training::referee {

/// Kinds of both. A query is a row of `stats`: (sequence * heads + head) * T + position; a key is a
/// position of the query's sequence.
enum AttentionKind : uint8_t {
    kTokenMagnitude = kFirstOwnKind,  ///< a: row of qkv, b: which of its parts of one head
    kScoreSum,                        ///< a: query, b: key, d: chunk of terms
    kScore,                           ///< a: query, b: key
    kFirstKindOfPass,
};

/// Parts of qkv, each of so many heads.
enum QkvPart : uint32_t { kQ, kK, kV };

struct Heads {
    uint8_t qkv = 0;  ///< input
    uint32_t heads = 0, positions = 0, size = 0;
    bool is_causal = false;

    /// Columns of `out`; qkv has three times as many.
    [[nodiscard]] uint32_t width() const { return heads * size; }
    [[nodiscard]] float alpha() const { return 1.0F / std::sqrt(static_cast<float>(size)); }
    [[nodiscard]] uint32_t query(uint32_t row, uint32_t head) const {
        return (row / positions * heads + head) * positions + row % positions;
    }
    [[nodiscard]] uint32_t position(uint32_t query) const { return query % positions; }
    [[nodiscard]] uint32_t head(uint32_t query) const { return query / positions % heads; }
    [[nodiscard]] uint32_t sequence(uint32_t query) const { return query / positions / heads; }
    /// Row of qkv and out of position `at` in the query's sequence.
    [[nodiscard]] uint32_t row(uint32_t query, uint32_t at) const {
        return sequence(query) * positions + at;
    }
    /// Keys that a query sees: [0, seen).
    [[nodiscard]] uint32_t seen(uint32_t query) const {
        return is_causal ? position(query) + 1 : positions;
    }
};

[[nodiscard]] Heads heads_of(const Call& call, uint8_t qkv);
/// The group of one head at one row of qkv; `block` counts the heads of Q, K and V.
[[nodiscard]] Factor token_of(const Heads& h, uint32_t row, uint32_t block);
/// That of key `key` of the query's head.
[[nodiscard]] Factor key_of(const Heads& h, uint32_t query, uint32_t key, QkvPart part);
[[nodiscard]] inline Term score_of(uint32_t query, uint32_t key) {
    return {kScore, 0, query, key};
}
/// The line of a kind of both.
[[nodiscard]] Line score_line(const Heads& h, const Term& term);
/// From the bits of a score and its query's statistics.
[[nodiscard]] inline float probability(uint32_t score, uint32_t most, uint32_t inverse_sum) {
    return exp(as_float(score) - as_float(most)) * as_float(inverse_sum);
}

}  // namespace trainyard::training::referee
