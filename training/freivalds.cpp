// SPDX-License-Identifier: Apache-2.0
// c r = a (b r) modulo 2^64, row by row.
#include "training/freivalds.hpp"

#include "core/assert.hpp"

namespace trainyard::training {

namespace {

template <class T>
uint64_t dot(std::span<const T> row, const uint64_t* vector) {
    uint64_t sum = 0;
    for (size_t i = 0; i < row.size(); ++i)
        sum += static_cast<uint64_t>(int64_t{row[i]}) * vector[i];
    return sum;
}

bool is_bounded(std::span<const int32_t> row, size_t k) {
    const int64_t limit = static_cast<int64_t>(k) * 127 * 127;
    for (const int32_t x : row)
        if (x > limit || x < -limit) return false;
    return true;
}

}  // namespace

std::optional<size_t> first_wrong_row(const ClaimedProduct& p, std::span<const uint64_t> secret) {
    ASSERT(p.k <= 65536 && secret.size() == kFreivaldsVectors * p.n);
    ASSERT(p.a.size() == p.m * p.k && p.b.size() == p.k * p.n && p.c.size() == p.m * p.n);
    std::vector<uint64_t> through(kFreivaldsVectors * p.k);  // b r, one vector after another
    for (size_t v = 0; v < kFreivaldsVectors; ++v)
        for (size_t i = 0; i < p.k; ++i)
            through[v * p.k + i] = dot(p.b.subspan(i * p.n, p.n), secret.data() + v * p.n);
    for (size_t row = 0; row < p.m; ++row) {
        const auto c = p.c.subspan(row * p.n, p.n);
        if (!is_bounded(c, p.k)) return row;
        const auto a = p.a.subspan(row * p.k, p.k);
        for (size_t v = 0; v < kFreivaldsVectors; ++v)
            if (dot(c, secret.data() + v * p.n) != dot(a, through.data() + v * p.k)) return row;
    }
    return std::nullopt;
}

}  // namespace trainyard::training
