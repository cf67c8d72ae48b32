// SPDX-License-Identifier: Apache-2.0
// The way of gradients from steps to a store that is slow, fails, or reads as late as it may.
#include "training/gradient_log.hpp"

#include <algorithm>

#include "tests/training/fixture.hpp"
#include "tests/training/late_store.hpp"
#include "training/segment.hpp"

namespace trainyard::training {
namespace {

/// Training of the small program on a host.
struct Training {
    Program program = small_program();
    Bytes text = make_text(4000);
    std::unique_ptr<Backend> backend = make_cpu_backend({});
    Engine engine = std::move(*Engine::make(program, *backend));
    ModelState state = make_initial_state(program, seed_of(5));
    LiveState live = std::move(*LiveState::load(*backend, program, state));
    GradientSaver saver{engine};
    std::vector<Shape> shapes = parameter_shapes(program);
};

TEST(gradient_saver, leaves_a_set_alone_until_it_is_stored) {
    Training run;
    LateStore store(run.shapes);
    run.saver.begin(store);
    std::vector<Hash> due;
    for (int i = 0; i < 5; ++i) {
        auto step = run_step(run.engine, run.live, run.text);
        ASSERT_TRUE(step.has_value());
        due.push_back(step->grad_root);
        ASSERT_TRUE(run.saver.put(std::move(step->gradients)).has_value());
        EXPECT_EQ(store.started, due.size());
        EXPECT_EQ(store.roots.size(), due.size() - 1) << "nobody waits for this one";
    }
    ASSERT_TRUE(run.saver.finish().has_value());
    EXPECT_EQ(store.roots, due);
}

TEST(gradient_saver, says_with_the_next_step_that_a_set_was_not_stored) {
    Training run;
    LateStore store(run.shapes, 1), next(run.shapes);
    run.saver.begin(store);
    auto segment = run_segment(run.engine, run.live, run.text, {4, Fault::none, {}}, run.saver);
    ASSERT_FALSE(segment.has_value());
    EXPECT_EQ(segment.error(), EngineError::bad_log);
    EXPECT_EQ(run.state.step, 3U) << "the third step finds that the second was not stored";
    EXPECT_EQ(run.saver.finish().error(), EngineError::bad_log);
    run.saver.begin(next);
    auto step = run_step(run.engine, run.live, run.text);
    ASSERT_TRUE(step.has_value());
    EXPECT_TRUE(run.saver.put(std::move(step->gradients)).has_value());
    EXPECT_TRUE(run.saver.finish().has_value());
    EXPECT_EQ(next.roots.size(), 1U);
}

TEST(gradient_saver, says_at_the_end_that_the_last_set_was_not_stored) {
    Training run;
    LateStore store(run.shapes, 1);
    run.saver.begin(store);
    EXPECT_TRUE(run_segment(run.engine, run.live, run.text, {2, Fault::none, {}}, run.saver));
    EXPECT_EQ(run.saver.finish().error(), EngineError::bad_log);
}

TEST(gradient_saver, needs_two_sets_of_gradients_however_many_steps_there_are) {
    Training run;
    LateStore store(run.shapes);
    run.saver.begin(store);
    std::vector<const float*> seen;
    for (int i = 0; i < 6; ++i) {
        auto step = run_step(run.engine, run.live, run.text);
        ASSERT_TRUE(step.has_value());
        seen.push_back(step->gradients.at(0));
        ASSERT_TRUE(run.saver.put(std::move(step->gradients)).has_value());
    }
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    EXPECT_LE(seen.size(), run.program.run.micro_batches + 1U);
    ASSERT_TRUE(run.saver.finish().has_value());
}

}  // namespace
}  // namespace trainyard::training
