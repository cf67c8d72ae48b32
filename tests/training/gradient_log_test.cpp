// SPDX-License-Identifier: Apache-2.0
// The way of gradients from steps to a store that is slow, fails, or reads as late as it may.
#include "training/gradient_log.hpp"

#include "tests/training/fixture.hpp"
#include "training/segment.hpp"

namespace trainyard::training {
namespace {

/// Hashes a set when it is waited for, and fails with set `fails_at`.
class LateStore final : public GradientStore {
public:
    explicit LateStore(size_t fails_at = SIZE_MAX) : fails_at_(fails_at) {}
    void start(std::vector<std::span<const float>> set) override {
        EXPECT_TRUE(open_.empty()) << "one set at a time";
        open_ = std::move(set);
        ++started;
    }
    bool wait() override {
        if (open_.empty()) return started <= fails_at_;
        std::vector<Tensor> set;
        for (const auto& x : open_)
            set.push_back({Shape::vector(static_cast<uint32_t>(x.size())), {}}),
                set.back().data.assign(x.begin(), x.end());
        open_.clear();
        roots.push_back(grad_root(set));
        return started <= fails_at_;
    }
    size_t started = 0;
    std::vector<Hash> roots;

private:
    size_t fails_at_;
    std::vector<std::span<const float>> open_;
};

/// Training of the small program on a host.
struct Training {
    Program program = small_program();
    Bytes text = make_text(4000);
    std::unique_ptr<Backend> backend = make_cpu_backend({});
    Engine engine = std::move(*Engine::make(program, *backend));
    ModelState state = make_initial_state(program, seed_of(5));
    LiveState live = std::move(*LiveState::load(*backend, program, state));
    GradientSaver saver{engine};
};

/// The root over tensors of one row, as LateStore sees them.
Hash flat_root(std::vector<Tensor> set) {
    for (Tensor& t : set) t.shape = Shape::vector(static_cast<uint32_t>(t.data.size()));
    return grad_root(set);
}

TEST(gradient_saver, leaves_a_set_alone_until_it_is_stored) {
    Training run;
    LateStore store;
    run.saver.begin(store);
    std::vector<Hash> due;
    for (int i = 0; i < 5; ++i) {
        auto step = run_step(run.engine, run.live, run.text);
        ASSERT_TRUE(step.has_value());
        std::vector<Tensor> copy;
        for (const Shape& shape : parameter_shapes(run.program))
            copy.push_back(Tensor::zeros(shape));
        step->gradients.copy_to(copy);
        due.push_back(flat_root(copy));
        ASSERT_TRUE(run.saver.put(std::move(step->gradients)).has_value());
        EXPECT_EQ(store.started, due.size());
        EXPECT_EQ(store.roots.size(), due.size() - 1) << "nobody waits for this one";
    }
    ASSERT_TRUE(run.saver.finish().has_value());
    EXPECT_EQ(store.roots, due);
}

TEST(gradient_saver, says_with_the_next_step_that_a_set_was_not_stored) {
    Training run;
    LateStore store(1), next;
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
    LateStore store(1);
    run.saver.begin(store);
    EXPECT_TRUE(run_segment(run.engine, run.live, run.text, {2, Fault::none, {}}, run.saver));
    EXPECT_EQ(run.saver.finish().error(), EngineError::bad_log);
}

TEST(gradient_saver, needs_two_sets_of_gradients_however_many_steps_there_are) {
    Training run;
    LateStore store;
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
