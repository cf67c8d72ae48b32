// SPDX-License-Identifier: Apache-2.0
// A small program, text to train it on, and every backend this machine can run.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "training/engine.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {

/// Text with some structure, the same everywhere.
inline Bytes make_text(size_t size) {
    static constexpr std::string_view kWords[] = {"the ", "train ", "leaves ", "at ",      "dawn, ",
                                                  "and ", "yard ",  "is ",     "quiet.\n", "we "};
    Bytes out;
    for (uint32_t i = 0; out.size() < size; ++i)
        append(out, as_bytes(kWords[philox({i, 0, 0, 0}, 1, 2)[0] % 10]));
    out.resize(size);
    return out;
}

inline GptOptions small_options() {
    GptOptions o;
    o.layers = 2, o.width = 36, o.heads = 2, o.sequence = 18;
    o.steps = 24, o.micro_batches = 3, o.sequences = 2, o.segment_length = 6, o.warmup = 3;
    o.held_out = 8, o.data_bytes = 4000, o.learning_rate = 5e-3;
    return o;
}

inline Program small_program(GptOptions options = small_options()) {
    auto program = make_gpt(options);
    EXPECT_TRUE(program.has_value());
    return *program;
}

inline Hash seed_of(uint8_t n) {
    Hash seed;
    for (size_t i = 0; i < 32; ++i) seed[i] = static_cast<uint8_t>(n * 31 + i);
    return seed;
}

/// Fast paths with one and with two threads.
inline std::vector<std::unique_ptr<Backend>> fast_backends() {
    std::vector<std::unique_ptr<Backend>> out;
    for (const CpuPath path : {CpuPath::scalar, CpuPath::avx2, CpuPath::avx512})
        for (const unsigned threads : {1U, 2U})
            if (cpu_has(path)) out.push_back(make_cpu_backend({path, threads}));
    return out;
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
