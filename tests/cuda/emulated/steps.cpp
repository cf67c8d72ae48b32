// SPDX-License-Identifier: Apache-2.0
// Whole steps on the emulated device: the reference's roots for every template, and what crosses
// between host and device meanwhile.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "machine.hpp"
#include "streams.hpp"
#include "tests/training/image_programs.hpp"
#include "tests/training/late_store.hpp"
#include "training/audit.hpp"
#include "training/draws.hpp"
#include "training/image_sample.hpp"
#include "training/numerics/functions.hpp"
#include "training/plan.hpp"
#include "training/segment.hpp"
#include "training/update.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::training;

constexpr uint32_t kSteps = 3;

struct Case {
    Program program;
    Bytes data;
};

Case image_case(std::string_view name, uint32_t micro_batches) {
    ImageOptions o = image_options(kSteps);
    o.run.micro_batches = micro_batches, o.run.sequences = 1, o.run.warmup = 1;
    if (name == "cnn") return {*make_cnn({o, 1, 4}), shapes_data()};
    if (name == "diffusion") return {*make_diffusion({o, 8, 50}), shapes_data()};
    o.run.optimiser = OptimiserKind::sgd;
    o.run.b1 = 0.9, o.run.learning_rate = 2e-2;
    return {*make_mlp({o, 1, 16}), shapes_data()};
}

Case gpt_case(uint32_t micro_batches, uint32_t steps = kSteps) {
    return {tests::make_run({.layers = 1,
                             .width = 16,
                             .steps = steps,
                             .micro_batches = micro_batches,
                             .sequences = 1}),
            tests::make_text(tests::kTextBytes)};
}

Case case_of(std::string_view name, uint32_t micro_batches) {
    return name == "gpt" ? gpt_case(micro_batches) : image_case(name, micro_batches);
}

/// A gpt before its first step, with its state on the device.
struct GptOnDevice {
    explicit GptOnDevice(uint32_t micro_batches, uint32_t steps = kSteps)
        : c(gpt_case(micro_batches, steps)) {}
    Result<StepResult, EngineError> step() { return run_step(*engine, *live, c.data); }

    Case c;
    std::unique_ptr<Backend> backend = cuda::make_cuda_backend(0);
    Result<Engine, EngineError> engine = Engine::make(c.program, *backend, c.data);
    ModelState state = make_initial_state(c.program, Hash{}, c.data);
    Result<LiveState, EngineError> live = LiveState::load(*backend, c.program, state);
};

class EmulatedSteps : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override { emulated::set_faults({}); }
};

TEST_P(EmulatedSteps, reach_the_reference_root) {
    const auto reference = make_reference_backend();
    const auto backend = cuda::make_cuda_backend(0);
    const bool is_large = std::string_view(GetParam()) == "diffusion";
    const uint32_t steps = is_large ? 2 : kSteps;
    for (const uint32_t micro_batches : {1U, 2U, 3U}) {
        if (is_large && micro_batches != 2) continue;
        const Case c = case_of(GetParam(), micro_batches);
        EXPECT_EQ(tests::state_root_on(c.program, *backend, c.data, steps),
                  tests::state_root_on(c.program, *reference, c.data, steps))
            << micro_batches;
    }
}

INSTANTIATE_TEST_SUITE_P(templates, EmulatedSteps,
                         testing::Values("gpt", "mlp", "cnn", "diffusion"));

TEST(emulated_steps, wait_once_and_leave_state_and_gradients_on_the_device) {
    GptOnDevice run(3);
    ASSERT_TRUE(run.engine && run.live);
    const size_t set_bytes = 4 * plan(run.c.program)->parameter_count;
    for (uint32_t i = 0; i < kSteps; ++i) {
        const emulated::Traffic before = emulated::traffic();
        auto step = run.step();
        ASSERT_TRUE(step);
        run.engine->recycle(std::move(step->gradients));
        const emulated::Traffic& now = emulated::traffic();
        EXPECT_LT(now.down - before.down, set_bytes / 8) << i;
        EXPECT_LT(now.up - before.up, set_bytes / 8) << i;
        if (i == 0) continue;  // scratch memory grows, which waits
        EXPECT_EQ(now.waits - before.waits, 1U) << i;
        EXPECT_EQ(now.graph_launches - before.graph_launches, 4U) << "micro-batches and the update";
        if (i == 2) {
            EXPECT_EQ(now.graphs, before.graphs) << "a step changes nodes, it builds no graph";
        }
    }
}

TEST(emulated_steps, take_a_state_of_the_host_and_bring_it_back) {
    const Case c = gpt_case(2);
    const auto reference = make_reference_backend();
    const auto backend = cuda::make_cuda_backend(0);
    auto engine = Engine::make(c.program, *backend, c.data);
    ASSERT_TRUE(engine);
    ModelState state = make_initial_state(c.program, Hash{}, c.data);
    for (uint32_t i = 0; i < kSteps; ++i) ASSERT_TRUE(run_step(*engine, state, c.data));
    EXPECT_EQ(state_root(state, program_id(c.program)),
              tests::state_root_on(c.program, *reference, c.data, kSteps));
}

TEST(emulated_steps, bring_the_state_to_memory_that_is_used_again) {
    const auto device = cuda::make_cuda_backend(0);
    const auto reference = make_reference_backend();
    for (Backend* const backend : {device.get(), reference.get()}) {
        const Case c = gpt_case(1);
        auto engine = Engine::make(c.program, *backend, c.data);
        ModelState state = make_initial_state(c.program, Hash{}, c.data), saved;
        auto live = LiveState::load(*backend, c.program, state);
        ASSERT_TRUE(engine && live);
        const float* memory = nullptr;
        for (uint32_t i = 0; i < kSteps; ++i) {
            ASSERT_TRUE(live->save_to(saved));
            const Hash due = *state_root(*live, Hash{});
            ASSERT_TRUE(run_step(*engine, *live, c.data));
            EXPECT_EQ(state_root(saved, Hash{}), due) << "a later step does not reach it";
            EXPECT_EQ(saved.step, i);
            EXPECT_TRUE(i == 0 || saved.v[1].data.data() == memory);
            memory = saved.v[1].data.data();
        }
    }
}

TEST(emulated_steps, log_a_segment_that_the_host_can_regenerate_and_serve) {
    const Case c = gpt_case(2);
    const AuditDraws draws{{{0, 0}, {kSteps - 1, 1}}, tile_draws(c.program, Hash{}, 4)};
    const auto reference = make_reference_backend();
    const auto backend = cuda::make_cuda_backend(0);
    auto on_host = Engine::make(c.program, *reference, c.data);
    auto on_device = Engine::make(c.program, *backend, c.data);
    ASSERT_TRUE(on_host && on_device);
    for (const Fault fault :
         {Fault::none, Fault::skip_steps, Fault::reuse_gradients, Fault::zero_gradients}) {
        ModelState a = make_initial_state(c.program, Hash{}, c.data), b = a;
        const auto due = run_segment(*on_host, a, c.data, {kSteps, fault, {}});
        const auto log = run_segment(*on_device, b, c.data, {kSteps, fault, {}});
        ASSERT_TRUE(due && log);
        EXPECT_EQ(log->record, due->record);
        EXPECT_EQ(state_root(b, Hash{}), state_root(a, Hash{}));
        for (uint32_t i = 0; i < kSteps; ++i)
            EXPECT_EQ(grad_root(*log->gradients->read(i)), grad_root(*due->gradients->read(i)));
        const auto again = regenerate_state(c.program, *backend, *log, kSteps);
        ASSERT_TRUE(again);
        EXPECT_EQ(state_root(*again, Hash{}), state_root(a, Hash{}));
        const auto served = make_bundle(c.program, *backend, *log, draws);
        const auto due_bundle = make_bundle(c.program, *reference, *due, draws);
        ASSERT_TRUE(served && due_bundle);
        EXPECT_EQ(*served, *due_bundle);
    }
}

TEST(emulated_steps, log_gradients_while_the_next_step_runs) {
    constexpr uint32_t kLogged = 6;
    for (const uint32_t micro_batches : {1U, 3U}) {
        GptOnDevice run(micro_batches, kLogged);
        ASSERT_TRUE(run.engine && run.live);
        const size_t set_bytes = 4 * plan(run.c.program)->parameter_count;
        LateStore log(parameter_shapes(run.c.program));
        GradientSaver saver(*run.engine);
        saver.begin(log);
        std::vector<Hash> due;
        for (uint32_t i = 0; i < kLogged; ++i) {
            const emulated::Traffic before = emulated::traffic();
            const size_t allocations = emulated::allocations();
            auto step = run.step();
            ASSERT_TRUE(step);
            due.push_back(step->grad_root);
            // The second hashing makes its scratch memory one piece, which waits.
            const bool is_second = micro_batches == 1 && i == 1;
            EXPECT_EQ(emulated::waiting_work() > 0, i > 0 && !is_second)
                << "the copy of the step before";
            ASSERT_TRUE(saver.put(std::move(step->gradients)));
            EXPECT_GT(emulated::waiting_work(), 0U) << "nobody waits for this step's";
            EXPECT_EQ(log.started, i) << "the step before is stored beside the next";
            EXPECT_EQ(log.roots.size() + 1, std::max(i, 1U)) << "and nobody waits for that";
            if (i < 3) continue;  // sets of gradients and graphs for them are made
            const emulated::Traffic& now = emulated::traffic();
            EXPECT_EQ(now.waits - before.waits, 1U) << i;
            EXPECT_EQ(now.graphs, before.graphs) << i;
            EXPECT_EQ(emulated::allocations(), allocations) << i;
            EXPECT_LT(now.down - before.down, set_bytes + set_bytes / 8) << i;
        }
        ASSERT_TRUE(saver.finish());
        EXPECT_EQ(log.roots, due);
    }
}

TEST(emulated_steps, report_a_device_that_fails_between_a_step_and_its_log) {
    GptOnDevice run(1);
    ASSERT_TRUE(run.engine && run.live);
    GradientMemory log(parameter_shapes(run.c.program));
    GradientSaver saver(*run.engine);
    saver.begin(log);
    auto step = run.step();
    ASSERT_TRUE(step && saver.put(std::move(step->gradients)));
    emulated::set_faults({.launches_fail = true});
    EXPECT_EQ(run.step().error(), EngineError::device_failed);
    emulated::set_faults({});
    EXPECT_EQ(saver.finish().error(), EngineError::device_failed);
    EXPECT_EQ(log.read(0).error(), EngineError::bad_log) << "what may be wrong is not stored";
}

/// As each call of the runtime may, between a step and the store of its gradients.
TEST(emulated_steps, report_memory_that_runs_out_between_a_step_and_its_log) {
    size_t calls = 0;
    for (size_t failing = SIZE_MAX; failing == SIZE_MAX || failing < calls; ++failing) {
        GptOnDevice run(1);
        ASSERT_TRUE(run.engine && run.live);
        GradientMemory log(parameter_shapes(run.c.program));
        GradientSaver saver(*run.engine);
        saver.begin(log);
        auto step = run.step();
        ASSERT_TRUE(step);
        emulated::set_faults({.failing_call = failing});
        auto done = saver.put(std::move(step->gradients));
        if (auto rest = saver.finish(); done) done = rest;
        if (failing == SIZE_MAX) calls = emulated::calls();
        emulated::set_faults({});
        EXPECT_EQ(done.has_value(), failing == SIZE_MAX) << failing;
        if (!done) {
            EXPECT_EQ(done.error(), EngineError::out_of_memory) << failing;
        }
        saver.begin(log);
        auto next = run.step();
        ASSERT_TRUE(next) << "something is left of the error: " << failing;
        EXPECT_TRUE(saver.put(std::move(next->gradients)) && saver.finish()) << failing;
    }
    EXPECT_GT(calls, 5U);
}

TEST(emulated_steps, report_memory_that_runs_out_while_sampling) {
    const Case text = gpt_case(1), images = image_case("diffusion", 1);
    const auto w_of = [](const Case& c) { return make_initial_state(c.program, Hash{}, c.data).w; };
    const auto text_w = w_of(text), images_w = w_of(images);
    const auto backend = cuda::make_cuda_backend(0);
    const auto expect_memory = [&](auto sampling) {
        emulated::set_faults({});
        const auto good = sampling();
        ASSERT_TRUE(good) << to_text(good.error());
        for (size_t failing = 0, calls = emulated::calls(); failing < calls; failing += calls / 9) {
            emulated::set_faults({.failing_call = failing});
            const auto out = sampling();
            emulated::set_faults({});
            if (!out) {
                EXPECT_EQ(out.error(), EngineError::out_of_memory) << failing;
            }
            EXPECT_TRUE(backend->finish()) << "something is left of the error: " << failing;
        }
    };
    expect_memory([&] { return sample(text.program, *backend, text_w, {}, {2, 0.0F, 1}); });
    expect_memory([&] {
        return sample_images(images.program, *backend, images_w, {1, 2, 0, 16, 16});
    });
}

TEST(emulated_steps, are_offered_by_no_engine_whose_constants_did_not_arrive) {
    const Case c = image_case("diffusion", 1);
    const auto backend = cuda::make_cuda_backend(0);
    const auto make = [&] { return Engine::make(c.program, *backend, c.data).has_value(); };
    ASSERT_TRUE(make());
    emulated::set_faults({});
    ASSERT_TRUE(make());
    const size_t calls = emulated::calls();
    for (size_t failing = 0; failing < calls; ++failing) {
        emulated::set_faults({.failing_call = failing});
        static_cast<void>(make());
        emulated::set_faults({});
        EXPECT_TRUE(backend->finish()) << "something is left of the error: " << failing;
        EXPECT_TRUE(make()) << failing;
    }
}

/// As each call of the runtime may, from the engine to the end of a step.
TEST(emulated_steps, leave_nothing_of_memory_that_ran_out_to_the_next_user_of_the_device) {
    const Case c = gpt_case(1);
    const auto backend = cuda::make_cuda_backend(0);
    const auto run = [&]() -> Result<Hash, EngineError> {
        auto engine = Engine::make(c.program, *backend, c.data);
        if (!engine) return unexpected(engine.error());
        ModelState state = make_initial_state(c.program, Hash{}, c.data);
        auto live = LiveState::load(*backend, c.program, state);
        if (!live) return unexpected(live.error());
        if (auto step = run_step(*engine, *live, c.data); !step) return unexpected(step.error());
        return state_root(*live, Hash{});
    };
    const auto due = run();  // and memory that the backend keeps for the next run
    ASSERT_TRUE(due);
    emulated::set_faults({});
    ASSERT_TRUE(run());
    const size_t calls = emulated::calls();
    size_t failed = 0;
    for (size_t failing = 0; failing < calls; ++failing) {
        emulated::set_faults({.failing_call = failing});
        const auto out = run();
        emulated::set_faults({});
        EXPECT_TRUE(backend->finish()) << "something is left of the error: " << failing;
        if (out) {  // a call whose failure something makes up for
            EXPECT_EQ(*out, *due) << failing;
            continue;
        }
        EXPECT_EQ(out.error(), EngineError::out_of_memory) << failing;
        ++failed;
    }
    EXPECT_GT(failed, calls / 2);
}

/// Hashes run as late as they may: behind whatever does not wait for them.
TEST(emulated_steps, hash_tensors_as_they_were_before_the_operators_behind) {
    const std::vector<Shape> shapes(2, Shape::matrix(40, 33));
    const size_t count = shapes[0].count();
    const auto roots_of = [&](Backend& on, int change) {
        const std::vector<Tensor> all(2, {shapes[0], Floats(count, 1.5F)});
        TensorSet set(on, shapes), other(on, shapes);
        set.upload(all), other.upload(all);
        const BackendMemory roots(on, 2 * sizeof(Hash)), sums(on, 4 * sizeof(float));
        on.tile_roots(roots.data(), set.views());
        on.sums_of_squares(sums.floats(), other.views());  // waits for nothing
        const TensorUpdate of_hashed{{set.at(0), set.at(1), set.at(1), other.at(0)}, count, 0.5F};
        const TensorUpdate of_other{{other.at(0), other.at(1), other.at(1), set.at(0)}, count, 0};
        const SgdScalars scalars{0.5F, 1.0F, 0.5F};
        if (change == 0) on.sgd_all(std::span(&of_hashed, 1), scalars, nullptr);
        if (change == 1) on.sgd_all(std::span(&of_other, 1), scalars, nullptr);
        if (change == 2) on.fill_zero(set.at(1), count);
        std::vector<Hash> out(2);
        on.download(out.data(), roots.data(), 2 * sizeof(Hash));
        EXPECT_TRUE(on.finish());
        return out;
    };
    const auto reference = make_reference_backend();
    const auto device = cuda::make_cuda_backend(0);
    for (const int change : {0, 1, 2})
        EXPECT_EQ(roots_of(*device, change), roots_of(*reference, change)) << change;
}

TEST(host_copy, brings_what_the_calls_before_it_leave_and_none_behind_it) {
    const auto backend = cuda::make_cuda_backend(0);
    constexpr size_t kCount = 1000;
    const BackendMemory x(*backend, kCount * sizeof(float)), y(*backend, kCount * sizeof(float));
    const Floats twos(kCount, 2.0F);
    backend->upload(x.data(), twos.data(), kCount * sizeof(float));
    const auto copy = backend->make_host_copy(kCount * sizeof(float));
    ASSERT_TRUE(copy);
    for (const float due : {4.0F, 8.0F}) {
        backend->add(x.floats(), x.floats(), x.floats(), kCount);
        copy->start(x.data());
        backend->add(y.floats(), y.floats(), x.floats(), kCount);
        ASSERT_TRUE(copy->wait());
        const auto* got = static_cast<const float*>(copy->data());
        EXPECT_EQ(Floats(got, got + kCount), Floats(kCount, due));
    }
    EXPECT_TRUE(backend->finish());
}

TEST(emulated_steps, that_diverge_leave_the_state_and_say_so_once) {
    const Case c = gpt_case(2);
    const auto backend = cuda::make_cuda_backend(0);
    auto engine = Engine::make(c.program, *backend, c.data);
    ASSERT_TRUE(engine);
    ModelState good = make_initial_state(c.program, Hash{}, c.data), bad = good;
    bad.w[2].data[0] = as_float(0x7fc00000);
    auto live = LiveState::load(*backend, c.program, bad);
    ASSERT_TRUE(live);
    const Hash before = *state_root(*live, Hash{});
    for (int i = 0; i < 2; ++i)  // the second time as a graph
        EXPECT_EQ(run_step(*engine, *live, c.data).error(), EngineError::diverged);
    EXPECT_EQ(*state_root(*live, Hash{}), before);
    EXPECT_EQ(bad.step, 0U);
    EXPECT_TRUE(run_step(*engine, good, c.data));
}

TEST(emulated_steps, report_a_device_that_fails_under_a_graph) {
    GptOnDevice run(1);
    ASSERT_TRUE(run.engine && run.live);
    ASSERT_TRUE(run.step());
    emulated::set_faults({.launches_fail = true});
    EXPECT_EQ(run.step().error(), EngineError::device_failed);
    emulated::set_faults({});
    EXPECT_EQ(run.state.step, 1U);
}

}  // namespace
