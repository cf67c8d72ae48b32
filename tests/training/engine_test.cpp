// SPDX-License-Identifier: Apache-2.0
// The engine: gradients against finite differences, order of records, sums, learning, sampling.
#include "training/engine.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "tests/training/fixture.hpp"
#include "training/state_root.hpp"
#include "training/tree_sum.hpp"

namespace trainyard::training {
namespace {

TEST(engine, gradients_match_finite_differences_in_float32) {
    GptOptions o = small_options();
    o.recipe = Recipe::fp32, o.micro_batches = 1, o.width = 12, o.sequence = 6;
    const Program program = small_program(o);
    const auto backend = make_fp32_backend();
    auto engine = Engine::make(program, *backend);
    ASSERT_TRUE(engine.has_value());
    const Bytes text = make_text(4000);
    auto batch = make_batch(program, text, {3, 77});
    ASSERT_TRUE(batch.has_value());
    std::vector<Tensor> w = make_initial_state(program, seed_of(1)).w;
    for (Tensor& t : w)
        for (float& x : t.data) x = x * 8.0F;  // larger weights, larger differences
    ASSERT_TRUE(engine->load_weights(w).has_value());
    const auto result = engine->run_batch(*batch, 0, 0);
    ASSERT_TRUE(result.has_value());
    const auto loss_at = [&](size_t k, size_t i, float shift) {
        std::vector<Tensor> moved = w;
        moved[k].data[i] += shift;
        EXPECT_TRUE(engine->load_weights(moved).has_value());
        return as_float(*engine->forward_loss(*batch));
    };
    for (size_t k = 0; k < w.size(); ++k) {
        const std::span<const float> g(result->gradients.at(k), result->gradients.count(k));
        const size_t i = static_cast<size_t>(
            std::max_element(g.begin(), g.end(),
                             [](float a, float b) { return std::fabs(a) < std::fabs(b); }) -
            g.begin());
        constexpr float kShift = 1e-2F;
        const float slope = (loss_at(k, i, kShift) - loss_at(k, i, -kShift)) / (2 * kShift);
        EXPECT_NEAR(g[i], slope, 0.02F * std::fabs(slope) + 2e-4F) << program.parameters[k].name;
    }
}

TEST(engine, micro_batches_sum_to_the_gradient_of_the_whole_step) {
    GptOptions o = small_options();
    o.recipe = Recipe::fp32, o.micro_batches = 2, o.sequences = 1;
    const Program halves = small_program(o);
    o.micro_batches = 1, o.sequences = 2;
    const Program whole = small_program(o);
    const auto backend = make_fp32_backend();
    const Bytes text = make_text(4000);
    const auto w = make_initial_state(whole, seed_of(1)).w;
    auto one = Engine::make(whole, *backend), two = Engine::make(halves, *backend);
    ASSERT_TRUE(one && two && one->load_weights(w) && two->load_weights(w));
    const auto all = one->run_batch(*make_batch(whole, text, {5, 9}), 0, 0);
    auto sum = two->run_batch(*make_batch(halves, text, {5}), 0, 0);
    sum->gradients.add(two->run_batch(*make_batch(halves, text, {9}), 0, 0)->gradients);
    for (size_t k = 0; k < w.size(); ++k)
        for (size_t i = 0; i < w[k].data.size(); ++i)
            ASSERT_NEAR(sum->gradients.at(k)[i], all->gradients.at(k)[i], 2e-6F);
}

TEST(tree_sum, adds_pairs_by_index_and_lifts_an_odd_last_one) {
    const float x[] = {1.0F, 1e-8F, 3e-8F, 1e-8F, 5e-8F};
    const auto add = [](float& left, float right) { left = left + right; };
    TreeSum<float, decltype(add)> tree(add);
    for (const float v : x) tree.push(v);
    const float due = ((x[0] + x[1]) + (x[2] + x[3])) + x[4];
    EXPECT_EQ(bits_of(tree.take()), bits_of(due));
}

TEST(records, one_epoch_visits_every_training_record_once) {
    const Program program = small_program();
    const uint64_t count = training_records(program);
    std::vector<uint64_t> seen;
    for (uint64_t t = 0; seen.size() < 2 * count; ++t)
        for (uint32_t j = 0; j < program.run.micro_batches; ++j)
            for (const uint64_t r : batch_records(program, seed_of(4), t, j)) seen.push_back(r);
    const auto end = seen.begin() + static_cast<ptrdiff_t>(count);
    EXPECT_EQ(std::set<uint64_t>(seen.begin(), end).size(), count);
    EXPECT_EQ(*std::max_element(seen.begin(), seen.end()), total_records(program) - 1);
    EXPECT_FALSE(std::is_sorted(seen.begin(), end));
    EXPECT_FALSE(std::equal(seen.begin(), end, end)) << "epochs have their own order";
}

TEST(records, each_is_trained_on_or_held_out_and_those_are_spread_evenly) {
    Program program = small_program();
    for (const uint32_t held_out : {0U, 2U, 8U, 62U, 110U}) {
        program.data.held_out = held_out;
        ASSERT_TRUE(validate_program(program).has_value()) << held_out;
        const uint64_t total = total_records(program), count = training_records(program);
        std::vector<int> uses(total);
        for (uint64_t i = 0; i < count; ++i) ++uses.at(training_record(program, i));
        for (uint64_t h = 0; h < held_out; ++h) ++uses.at(held_out_record(program, h));
        EXPECT_EQ(uses, std::vector<int>(total, 1)) << held_out;
        if (held_out > 1) {
            const uint64_t gap = held_out_record(program, 1) - held_out_record(program, 0);
            EXPECT_EQ(gap, total / held_out);
        }
    }
}

TEST(engine, learns_the_text_and_the_held_out_loss_falls) {
    const Program program = small_program();
    const auto backend = make_cpu_backend({});
    auto engine = Engine::make(program, *backend);
    ASSERT_TRUE(engine.has_value());
    const Bytes text = make_text(4000);
    ModelState state = make_initial_state(program, seed_of(2));
    const auto before = evaluate_held_out(*engine, state.w, text);
    uint32_t last = 0;
    for (uint32_t t = 0; t < program.run.steps; ++t) {
        const auto step = run_step(*engine, state, text);
        ASSERT_TRUE(step.has_value());
        last = step->loss_bits;
    }
    EXPECT_EQ(state.step, program.run.steps);
    EXPECT_EQ(state.cursor, uint64_t{program.run.steps} * 6);
    EXPECT_LT(as_float(last), 3.2F);
    EXPECT_LT(as_float(*evaluate_held_out(*engine, state.w, text)), as_float(*before) - 1.5F);
    const auto extra = run_step(*engine, state, text);
    ASSERT_FALSE(extra.has_value());
    EXPECT_EQ(extra.error(), EngineError::wrong_shape);
}

TEST(engine, held_out_loss_stays_within_one_percent_of_float32) {
    const Bytes text = make_text(4000);
    float loss[2];
    for (const Recipe recipe : {Recipe::rmp1, Recipe::fp32}) {
        GptOptions o = small_options();
        o.recipe = recipe;
        const Program program = small_program(o);
        const auto backend = recipe == Recipe::fp32 ? make_fp32_backend() : make_cpu_backend({});
        auto engine = Engine::make(program, *backend);
        ModelState state = make_initial_state(program, seed_of(2));
        for (uint32_t t = 0; t < program.run.steps; ++t)
            ASSERT_TRUE(run_step(*engine, state, text).has_value());
        loss[recipe == Recipe::fp32 ? 1 : 0] = as_float(*evaluate_held_out(*engine, state.w, text));
    }
    EXPECT_NEAR(loss[0], loss[1], 0.01F * loss[1]);
}

TEST(engine, sampling_repeats_itself_and_depends_on_the_seed) {
    const Program program = small_program();
    const auto w = make_initial_state(program, seed_of(2)).w;
    const auto reference = make_reference_backend(), fast = make_cpu_backend({CpuPath::best, 2});
    const BytesView prompt = as_bytes("the longer prompt than the context allows ");
    const auto a = sample(program, *reference, w, prompt, {12, 0.9F, 5});
    const auto b = sample(program, *fast, w, prompt, {12, 0.9F, 5});
    const auto c = sample(program, *fast, w, prompt, {12, 0.9F, 6});
    ASSERT_TRUE(a && b && c);
    EXPECT_EQ(*a, *b);
    EXPECT_NE(*a, *c);
    EXPECT_EQ(a->size(), 12U);
    EXPECT_EQ(*sample(program, *fast, w, {}, {5, 0.0F, 1}),
              *sample(program, *fast, w, {}, {5, 0.0F, 2}));
}

TEST(engine, a_step_with_nan_weights_diverges_and_leaves_the_state) {
    const Program program = small_program();
    const auto backend = make_cpu_backend({});
    auto engine = Engine::make(program, *backend);
    ModelState state = make_initial_state(program, seed_of(2));
    state.w[4].data[3] = as_float(0x7fc00000);
    const auto step = run_step(*engine, state, make_text(4000));
    ASSERT_FALSE(step.has_value());
    EXPECT_EQ(step.error(), EngineError::diverged);
    EXPECT_EQ(state.step, 0U);
}

TEST(engine, rejects_what_does_not_fit_the_program) {
    const Program program = small_program();
    const auto backend = make_cpu_backend({}), fp32 = make_fp32_backend();
    EXPECT_EQ(Engine::make(program, *fp32).error(), EngineError::wrong_recipe);
    Program broken = program;
    broken.run.steps = 0;
    EXPECT_EQ(Engine::make(broken, *backend).error(), EngineError::bad_program);
    auto engine = Engine::make(program, *backend);
    auto w = make_initial_state(program, seed_of(1)).w;
    EXPECT_EQ(make_batch(program, make_text(3999), {0}).error(), EngineError::wrong_shape);
    EXPECT_EQ(make_batch(program, make_text(4000), {100000}).error(), EngineError::wrong_shape);
    w.pop_back();
    EXPECT_EQ(engine->load_weights(w).error(), EngineError::wrong_shape);
    GptOptions o = small_options();
    o.vocabulary = 40;
    const Program narrow = small_program(o);
    auto small = Engine::make(narrow, *backend);
    ModelState state = make_initial_state(narrow, seed_of(1));
    EXPECT_EQ(run_step(*small, state, make_text(4000)).error(), EngineError::bad_token);
}

TEST(engine, every_path_and_thread_count_reaches_one_state_root) {
    // One hash for reference, scalar, AVX2, AVX-512 and 1 and 2 threads; tests/bits repeats it for
    // two compilers and two optimisation levels.
    const Program program = small_program();
    const Bytes text = make_text(4000);
    auto backends = fast_backends();
    backends.push_back(make_reference_backend());
    for (const auto& backend : backends) {
        auto engine = Engine::make(program, *backend);
        ModelState state = make_initial_state(program, seed_of(3));
        for (int t = 0; t < 20; ++t) ASSERT_TRUE(run_step(*engine, state, text).has_value());
        EXPECT_EQ(to_hex(state_root(state, program_id(program)).bytes), kRootAfter20Steps)
            << backend->name();
    }
}

}  // namespace
}  // namespace trainyard::training
