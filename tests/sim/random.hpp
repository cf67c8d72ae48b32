// SPDX-License-Identifier: Apache-2.0
// The one source of chance in a simulation: everything follows from its seed.
#pragma once

#include <cstdint>

namespace trainyard::sim {

/// A fast bijection that spreads every bit (the finaliser of SplitMix64).
inline uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

class Random {
public:
    explicit Random(uint64_t seed) : state_(mix(seed + 0x9e3779b97f4a7c15ull)) {}

    uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ull); }
    /// In [low, high].
    uint64_t between(uint64_t low, uint64_t high) { return low + next() % (high - low + 1); }
    bool one_in(uint64_t n) { return next() % n == 0; }
    bool percent(uint64_t p) { return next() % 100 < p; }

private:
    uint64_t state_;
};

}  // namespace trainyard::sim
