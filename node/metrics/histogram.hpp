// SPDX-License-Identifier: Apache-2.0
// Counts of durations in fixed buckets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace trainyard::node::metrics {

/// Not thread-safe; copies are snapshots.
class Durations {
public:
    /// Upper bounds of the buckets in seconds; longer ones count in none of them.
    static constexpr std::array<double, 16> kBounds_s{0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01,
                                                      0.015,  0.025, 0.05,   0.075, 0.1,    0.15,
                                                      0.25,   0.5,   1.0,    5.0};

    void add(double seconds) {
        ++count_;
        sum_s_ += seconds;
        for (size_t i = 0; i < kBounds_s.size(); ++i) within_[i] += seconds <= kBounds_s[i] ? 1 : 0;
    }
    [[nodiscard]] uint64_t count() const { return count_; }
    [[nodiscard]] double sum_s() const { return sum_s_; }
    /// How many took at most kBounds_s[i].
    [[nodiscard]] uint64_t within(size_t i) const { return within_[i]; }

private:
    uint64_t count_ = 0;
    double sum_s_ = 0;
    std::array<uint64_t, kBounds_s.size()> within_{};
};

}  // namespace trainyard::node::metrics
