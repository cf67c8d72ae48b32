// SPDX-License-Identifier: Apache-2.0
// A small training run, and the state root that any backend must reach with it.
#pragma once

#include <gtest/gtest.h>

#include "training/live_state.hpp"
#include "training/state_root.hpp"

namespace trainyard::tests {

inline Bytes make_text(size_t count) {
    const std::string_view words = "the quick brown fox jumps over the lazy dog and runs on; ";
    Bytes out(count);
    for (size_t i = 0; i < count; ++i)
        out[i] = static_cast<uint8_t>(words[(i * 7 + i / 13) % words.size()]);
    return out;
}

constexpr size_t kTextBytes = 200000;

struct RunSize {
    uint32_t layers = 2, width = 24, heads = 2, sequence = 10, steps = 4;
    uint32_t micro_batches = 2, sequences = 3;
};

/// A program of the template gpt over `make_text`.
inline training::Program make_run(const RunSize& size) {
    training::GptOptions options;
    options.layers = size.layers;
    options.width = size.width;
    options.heads = size.heads;
    options.sequence = size.sequence;
    options.steps = size.steps;
    options.micro_batches = size.micro_batches;
    options.sequences = size.sequences;
    options.segment_length = size.steps;
    options.warmup = 2;
    options.held_out = 0;
    options.data_bytes = kTextBytes;
    auto program = training::make_gpt(options);
    EXPECT_TRUE(program) << (program ? "" : to_text(program.error()));
    return std::move(program).value();
}

/// The state root after `steps` steps from the initial state, which only `backend` sees in between.
inline Hash state_root_on(const training::Program& program, training::Backend& backend,
                          const Bytes& data, uint32_t steps, training::Crew* crew = nullptr,
                          const Hash& run_seed = {}) {
    auto engine = training::Engine::make(program, backend, data);
    EXPECT_TRUE(engine);
    training::ModelState state = training::make_initial_state(program, run_seed, data);
    auto live = training::LiveState::load(backend, program, state);
    EXPECT_TRUE(live);
    for (uint32_t i = 0; i < steps; ++i) {
        auto step = training::run_step(*engine, *live, data, crew);
        EXPECT_TRUE(step) << training::to_text(step.error());
        if (!step) break;
        engine->recycle(std::move(step->gradients));
    }
    const auto root = training::state_root(*live, training::program_id(program));
    EXPECT_TRUE(root);
    return *root;
}

inline Hash state_root_after(const training::Program& program, training::Backend& backend,
                             uint32_t steps) {
    return state_root_on(program, backend, make_text(kTextBytes), steps);
}

}  // namespace trainyard::tests
