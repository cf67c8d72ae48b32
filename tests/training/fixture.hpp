// SPDX-License-Identifier: Apache-2.0
// What the tests of training/ share: the small program, noise, comparison bit for bit.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/training/small_program.hpp"
#include "training/numerics/functions.hpp"

namespace trainyard::training {

inline Program small_program(GptOptions options = small_options()) {
    auto program = make_gpt(options);
    EXPECT_TRUE(program.has_value());
    return *program;
}

/// Pseudo-random values in [-1, 1) times `scale`; a few are zero or tiny.
inline std::vector<float> noise(size_t count, uint32_t seed, float scale = 1.0F) {
    std::vector<float> out(count);
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t word = philox({i, 0, 0, 0}, seed, 9)[0];
        out[i] = static_cast<float>(static_cast<int32_t>(word)) * 0x1p-31F * scale;
        if (word % 61 == 0) out[i] = 0.0F;
        if (word % 67 == 0) out[i] = as_float(word & 0x007fffffU);  // subnormal
    }
    return out;
}

inline ::testing::AssertionResult bits_equal(const std::vector<float>& got,
                                             const std::vector<float>& due) {
    if (got.size() != due.size()) return ::testing::AssertionFailure() << "sizes differ";
    for (size_t i = 0; i < got.size(); ++i)
        if (bits_of(got[i]) != bits_of(due[i]))
            return ::testing::AssertionFailure() << "element " << i << " of " << got.size()
                                                 << " is " << got[i] << ", not " << due[i];
    return ::testing::AssertionSuccess();
}

}  // namespace trainyard::training
