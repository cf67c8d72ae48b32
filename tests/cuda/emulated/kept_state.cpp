// SPDX-License-Identifier: Apache-2.0
// States in memory without ECC: one bit that flips between two steps is told of, wherever it is,
// and training goes on from an older state to the reference's root.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "flipped_bit.hpp"
#include "tests/training/image_programs.hpp"
#include "training/numerics/functions.hpp"
#include "training/segment.hpp"
#include "training/update.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::training;
using tests::flip;
using tests::FlippedBit;
using tests::Place;

constexpr uint32_t kSteps = 3;
constexpr Place kPlaces[] = {Place::first, Place::middle, Place::last};

struct Setting {
    Program program;
    Bytes data;
    uint32_t kinds;  ///< that updates read
};

Setting adamw_run() {
    return {tests::make_run(
                {.layers = 1, .width = 16, .steps = kSteps, .micro_batches = 1, .sequences = 1}),
            tests::make_text(tests::kTextBytes), 3};
}

Setting sgd_run() {
    ImageOptions o = image_options(kSteps);
    o.run.micro_batches = 1, o.run.sequences = 1, o.run.warmup = 1;
    o.run.optimiser = OptimiserKind::sgd;
    o.run.b1 = 0.9, o.run.learning_rate = 2e-2;
    return {*make_mlp({o, 1, 16}), shapes_data(), 2};
}

std::unique_ptr<Backend> make_device(cuda::Checksums checksums) {
    return cuda::make_cuda_backend(0, nullptr, cuda::Products::int8, cuda::ProductBlocks::all, 1,
                                   checksums);
}

/// A run on a device, from its first state on.
struct OnDevice {
    explicit OnDevice(const Setting& r, cuda::Checksums checksums = cuda::Checksums::always)
        : run(r),
          backend(make_device(checksums)),
          engine(Engine::make(r.program, *backend, r.data)) {
        begin();
    }
    void begin() {
        live = unexpected(EngineError::wrong_shape);  // before the state that it refers to
        state = make_initial_state(run.program, Hash{}, run.data);
        live = LiveState::load(*backend, run.program, state);
    }
    std::optional<EngineError> step() {
        auto done = run_step(*engine, *live, run.data);
        if (!done) return done.error();
        engine->recycle(std::move(done->gradients));
        return std::nullopt;
    }
    /// All steps, before number `at` of which a bit flips.
    std::optional<EngineError> train(uint32_t at = kSteps, const FlippedBit& bit = {}) {
        for (uint32_t i = 0; i < kSteps; ++i) {
            if (i == at) flip(*live, bit);
            if (const auto error = step()) return error;
        }
        return std::nullopt;
    }
    [[nodiscard]] Hash root() const { return *state_root(*live, program_id(run.program)); }

    const Setting& run;
    std::unique_ptr<Backend> backend;
    Result<Engine, EngineError> engine;
    ModelState state;
    Result<LiveState, EngineError> live = unexpected(EngineError::wrong_shape);
};

class KeptState : public testing::Test {
protected:
    void SetUp() override { emulated::set_faults({}); }
    void TearDown() override { EXPECT_EQ(emulated::bytes_in_use(), 0U); }
    [[nodiscard]] static Hash due(const Setting& run) {
        return tests::state_root_on(run.program, *make_reference_backend(), run.data, kSteps);
    }
};

/// In the first step operators are launched one by one, in the second from a graph, which the third
/// changes.
TEST_F(KeptState, tells_of_one_bit_wherever_and_whenever_it_flips) {
    for (const Setting& run : {adamw_run(), sgd_run()}) {
        OnDevice on(run);
        ASSERT_TRUE(on.engine && on.live);
        uint32_t bit = 0;
        for (uint32_t kind = 0; kind < run.kinds; ++kind)
            for (const Place place : kPlaces)
                for (uint32_t at = 0; at < (place == Place::first ? kSteps : 2); ++at) {
                    on.begin();
                    EXPECT_EQ(on.train(at, {kind, place, bit}), EngineError::state_changed)
                        << kind << ", " << static_cast<int>(place) << ", " << at << ", " << bit;
                    EXPECT_EQ(on.state.step, at);
                    bit = (bit + 7) % 32;
                }
        on.begin();
        EXPECT_EQ(on.train(), std::nullopt) << "what was told is forgotten";
        EXPECT_EQ(on.root(), due(run));
    }
}

TEST_F(KeptState, is_another_one_in_silence_where_nothing_is_checked) {
    for (const Setting& run : {adamw_run(), sgd_run()}) {
        OnDevice on(run, cuda::Checksums::never);
        ASSERT_TRUE(on.engine && on.live);
        EXPECT_EQ(on.live->sums(), nullptr);
        const Hash sound = due(run);
        for (uint32_t kind = 0; kind < run.kinds; ++kind) {
            on.begin();
            EXPECT_EQ(on.train(1, {kind, kPlaces[kind], 20}), std::nullopt);
            EXPECT_NE(on.root(), sound);
        }
    }
}

/// Behind the last update, and where none looks: v of SGD.
TEST_F(KeptState, tells_of_one_bit_when_the_state_comes_to_the_host) {
    for (const Setting& run : {adamw_run(), sgd_run()}) {
        OnDevice on(run);
        ASSERT_TRUE(on.engine && on.live);
        ModelState to;
        for (uint32_t kind = 0; kind < StateSums::kKinds; ++kind)
            for (const Place place : kPlaces) {
                on.begin();
                ASSERT_EQ(on.step(), std::nullopt);
                EXPECT_TRUE(on.live->save_to(to));
                flip(*on.live, {kind, place, 3});
                EXPECT_EQ(on.live->save_to(to).error(), EngineError::state_changed);
                EXPECT_EQ(!on.live->save_weights(), kind == 0);
                EXPECT_EQ(on.live->save().error(), EngineError::state_changed);
            }
        on.begin();
        EXPECT_TRUE(on.live->save()) << "before any update";
        flip(*on.live, {});
        EXPECT_EQ(check_state(run.program, *on.live).error(), EngineError::state_changed);
    }
}

/// A gain of 1 becomes an Inf, and no update follows that would change anything.
TEST_F(KeptState, tells_of_a_bit_that_looks_as_if_training_diverged) {
    const Setting run = adamw_run();
    for (const auto checksums : {cuda::Checksums::always, cuda::Checksums::never}) {
        OnDevice on(run, checksums);
        ASSERT_TRUE(on.engine && on.live);
        uint32_t gain = 0;
        while (on.state.w[gain].data.back() != 1.0F) ++gain;
        tests::flip_word(on.live->w().at(gain), 30);
        const bool checks = checksums == cuda::Checksums::always;
        EXPECT_EQ(on.step(), checks ? EngineError::state_changed : EngineError::diverged);
    }
}

TEST_F(KeptState, holds_what_is_no_number) {
    const Setting run = adamw_run();
    OnDevice on(run);
    ASSERT_TRUE(on.engine && on.live);
    ModelState bad = make_initial_state(run.program, Hash{}, run.data);
    bad.w[0].data[1] = as_float(0x7f800000), bad.m[0].data[2] = as_float(0xffc01234);
    bad.v[1].data[3] = as_float(0xff800000), bad.w.back().data[0] = as_float(0x7fc54321);
    ModelState reference = bad;
    const auto host = make_reference_backend();
    auto live = LiveState::load(*on.backend, run.program, bad);
    auto on_host = LiveState::load(*host, run.program, reference);
    ASSERT_TRUE(live && on_host);
    const TensorSet g = TensorSet::of(*on.backend, on.state.w),
                    g_host = TensorSet::of(*host, on.state.w);
    for (uint32_t i = 0; i < kSteps; ++i) {
        EXPECT_TRUE(update_with(run.program, *live, g, 0x3f800000));
        ASSERT_TRUE(update_with(run.program, *on_host, g_host, 0x3f800000));
    }
    EXPECT_TRUE(live->save());
    EXPECT_EQ(state_root(bad, Hash{}), state_root(reference, Hash{}));
}

/// Such a step updates nothing, and what is read is due again.
TEST_F(KeptState, is_looked_after_in_a_step_that_is_made_again_or_diverges) {
    const Setting run = adamw_run();
    OnDevice on(run);
    ASSERT_TRUE(on.engine && on.live);
    for (uint32_t i = 0; i < kSteps; ++i) {
        emulated::set_faults({.first_wrong_product = 0});
        EXPECT_EQ(on.step(), std::nullopt);
    }
    EXPECT_EQ(on.backend->wrong_products(), kSteps);
    EXPECT_EQ(on.root(), due(run));
    emulated::set_faults({});
    on.begin();
    on.state.w.back().data[0] = as_float(kNanBits);
    on.live = LiveState::load(*on.backend, run.program, on.state);
    EXPECT_EQ(on.step(), EngineError::diverged);
    EXPECT_EQ(on.step(), EngineError::diverged);
    flip(*on.live, {1, Place::last, 0});
    EXPECT_EQ(on.step(), EngineError::state_changed);
}

TEST_F(KeptState, is_checked_without_a_wait_an_allocation_or_a_graph_more) {
    const Setting run = adamw_run();
    OnDevice on(run);
    ASSERT_TRUE(on.engine && on.live);
    for (uint32_t i = 0; i < kSteps; ++i) {
        const emulated::Traffic before = emulated::traffic();
        const size_t allocations = emulated::allocations();
        ASSERT_EQ(on.step(), std::nullopt);
        if (i < 2) continue;  // scratch memory grows, graphs are built
        EXPECT_EQ(emulated::traffic().waits - before.waits, 1U);
        EXPECT_EQ(emulated::traffic().graphs, before.graphs);
        EXPECT_EQ(emulated::allocations(), allocations);
    }
}

TEST_F(KeptState, makes_a_segment_anew_from_its_first_state) {
    const Setting run = adamw_run();
    const auto reference = make_reference_backend();
    auto on_host = Engine::make(run.program, *reference, run.data);
    ModelState state = make_initial_state(run.program, Hash{}, run.data);
    const auto due_log = run_segment(*on_host, state, run.data, {kSteps, Fault::none, {}});
    ASSERT_TRUE(due_log);
    OnDevice on(run);
    GradientMemory log(parameter_shapes(run.program));
    GradientSaver saver(*on.engine);
    SegmentOptions options{kSteps, Fault::none, {}};
    options.on_step = [&](uint64_t done, const StepResult&) {
        if (done == 2) flip(*on.live, {2, Place::middle, 31});
    };
    for (const bool is_again : {false, true}) {
        saver.begin(log);
        const auto record = run_segment(*on.engine, *on.live, run.data, options, saver);
        EXPECT_TRUE(saver.finish());
        if (is_again) {
            ASSERT_TRUE(record);
            EXPECT_EQ(*record, due_log->record);
            continue;
        }
        EXPECT_EQ(record.error(), EngineError::state_changed);
        options.on_step = {};
        on.begin();
    }
}

}  // namespace
