// SPDX-License-Identifier: Apache-2.0
// A small program, text to train it on, and the one state root that every build must reach.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "training/engine.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {

/// State root of small_options() after 20 steps from seed_of(3) on make_text(4000).
inline constexpr std::string_view kRootAfter20Steps =
    "24d2222d2604464808207381ad8560641d27e9a50b06f793ae823d21d1c35ce2";

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

inline Hash seed_of(uint8_t n) {
    Hash seed;
    for (size_t i = 0; i < 32; ++i) seed[i] = static_cast<uint8_t>(n * 31 + i);
    return seed;
}

/// Fast paths with one and with two threads.
inline std::vector<std::unique_ptr<Backend>> fast_backends() {
    std::vector<std::unique_ptr<Backend>> out;
    for (const CpuPath path : kCpuPaths)
        for (const unsigned threads : {1U, 2U})
            if (cpu_has(path)) out.push_back(make_cpu_backend({path, threads}));
    return out;
}

}  // namespace trainyard::training
