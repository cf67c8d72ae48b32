// SPDX-License-Identifier: Apache-2.0
// Calls of the runtime that fail, one after the other: what is told, what stays behind, and what
// the next run computes.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "machine.hpp"
#include "training/gradient_log.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::training;

constexpr uint32_t kSteps = 3;  // plainly, as new graphs, and as graphs with other arguments

struct Setting {
    Program program = tests::make_run({.layers = 1,
                                       .width = 8,
                                       .heads = 1,
                                       .sequence = 4,
                                       .steps = kSteps,
                                       .micro_batches = 1,
                                       .sequences = 1});
    Bytes data = tests::make_text(tests::kTextBytes);
};

/// The state root after a run whose gradients are logged.
Result<Hash, EngineError> train(const Setting& setting, Engine& engine) {
    ModelState state = make_initial_state(setting.program, Hash{}, setting.data);
    auto live = LiveState::load(engine.backend(), setting.program, state);
    if (!live) return unexpected(live.error());
    GradientMemory log(parameter_shapes(setting.program));
    GradientSaver saver(engine);
    saver.begin(log);
    for (uint32_t i = 0; i < kSteps; ++i) {
        auto step = run_step(engine, *live, setting.data);
        if (!step) return unexpected(step.error());
        if (auto put = saver.put(std::move(step->gradients)); !put) return unexpected(put.error());
    }
    if (auto finished = saver.finish(); !finished) return unexpected(finished.error());
    return state_root(*live, Hash{});
}

/// One run while call `failing` fails, and a second one with the same engine.
struct Outcome {
    std::string told;
    std::optional<Hash> first, second;
};
Outcome train_twice(const Setting& setting, size_t failing) {
    Outcome out;
    emulated::set_faults({.failing_call = failing});
    const auto backend = cuda::make_cuda_backend(0, &out.told);
    if (backend != nullptr) {
        auto engine = Engine::make(setting.program, *backend, setting.data);
        auto first = engine ? train(setting, *engine) : unexpected(engine.error());
        if (first)
            out.first = *first;
        else
            out.told = to_text(first.error());
        emulated::set_faults({});
        if (!engine) engine = Engine::make(setting.program, *backend, setting.data);
        static_cast<void>(backend->finish());  // a failed call may have left its error untold
        auto second = engine ? train(setting, *engine) : unexpected(engine.error());
        if (second) out.second = *second;
    }
    emulated::set_faults({});
    return out;
}

/// Calls from `first` on, all below 16 and then about `others` more.
void expect_errors_are_told(size_t first, size_t others) {
    const Setting setting;
    const auto reference = make_reference_backend();
    auto engine = Engine::make(setting.program, *reference, setting.data);
    ASSERT_TRUE(engine);
    const auto due = train(setting, *engine);
    ASSERT_TRUE(due);
    const size_t objects = emulated::objects(), bytes = emulated::bytes_in_use();
    size_t calls = 0;
    {
        emulated::set_faults({});
        const auto backend = cuda::make_cuda_backend(0);
        auto on_device = Engine::make(setting.program, *backend, setting.data);
        ASSERT_TRUE(on_device);
        const auto root = train(setting, *on_device);
        ASSERT_TRUE(root);
        EXPECT_EQ(*root, *due);
        calls = emulated::calls();
    }
    const size_t step = calls / others + 1;
    for (size_t failing = first; failing < calls; failing += failing < 16 ? 1 : step) {
        const Outcome out = train_twice(setting, failing);
        EXPECT_TRUE(out.first ? *out.first == *due : !out.told.empty()) << failing;
        EXPECT_TRUE(!out.second || *out.second == *due) << failing;
        EXPECT_EQ(emulated::objects(), objects) << failing;
        EXPECT_EQ(emulated::bytes_in_use(), bytes) << failing;
    }
}

TEST(emulated_errors, of_any_call_are_told_and_leave_nothing_behind) {
    expect_errors_are_told(0, 25);
}

TEST(emulated_errors, of_graphs_whose_kernels_overlap_leave_nothing_behind) {
    emulated::set_hopper(true);
    expect_errors_are_told(16, 10);
    emulated::set_hopper(false);
}

}  // namespace
