// SPDX-License-Identifier: Apache-2.0
// The fixed-order reduction over 32 lanes and chunks of 4,096: docs/spec/numerics.md, section 7.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace trainyard::training {

inline constexpr size_t kLanes = 32;
inline constexpr size_t kChunk = 4096;

/// One chunk: elements [begin, begin + n) with n <= kChunk; `update(acc, i)` yields the new sum.
template <class Update>
float reduce_chunk(size_t begin, size_t n, const Update& update) {
    float lane[kLanes] = {};
    for (size_t i = 0; i < n; ++i) lane[i % kLanes] = update(lane[i % kLanes], begin + i);
    for (size_t s = kLanes / 2; s > 0; s /= 2)
        for (size_t i = 0; i < s; ++i) lane[i] = lane[i] + lane[i + s];
    return lane[0];
}

inline float reduce_chunk_results(std::vector<float> x) {
    const auto add = [&x](float acc, size_t i) { return acc + x[i]; };
    while (x.size() > kChunk) {
        std::vector<float> next;
        for (size_t at = 0; at < x.size(); at += kChunk)
            next.push_back(reduce_chunk(at, std::min(kChunk, x.size() - at), add));
        x = std::move(next);
    }
    return reduce_chunk(0, x.size(), add);
}

/// Reduces elements 0 .. n-1 in the fixed order.
template <class Update>
float reduce(size_t n, const Update& update) {
    if (n <= kChunk) return reduce_chunk(0, n, update);
    std::vector<float> chunks;
    for (size_t at = 0; at < n; at += kChunk)
        chunks.push_back(reduce_chunk(at, std::min(kChunk, n - at), update));
    return reduce_chunk_results(std::move(chunks));
}

}  // namespace trainyard::training
