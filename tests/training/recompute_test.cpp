// SPDX-License-Identifier: Apache-2.0
// Dropping activations and computing them again: less memory, the same bits.
#include "training/recompute.hpp"

#include "tests/training/fixture.hpp"
#include "tests/training/image_programs.hpp"
#include "training/plan.hpp"
#include "training/state_root.hpp"

namespace trainyard::training {
namespace {

struct Case {
    Program program;
    Bytes data;
};

std::vector<Case> all_cases() {
    std::vector<Case> out{{small_program(), make_text(4000)}};
    for (Program& program : image_programs()) out.push_back({std::move(program), shapes_data()});
    return out;
}

Hash root_after_two_steps(const Case& c, Backend& backend, const Cuts& cuts) {
    auto engine = Engine::make(c.program, backend, c.data, cuts);
    EXPECT_TRUE(engine.has_value());
    ModelState state = make_initial_state(c.program, seed_of(3), c.data);
    for (int step = 0; step < 2; ++step) EXPECT_TRUE(run_step(*engine, state, c.data).has_value());
    return state_root(state, program_id(c.program));
}

TEST(recompute, any_cuts_give_the_same_root) {
    const auto backend = make_cpu_backend({CpuPath::best, 2});
    for (const Case& c : all_cases()) {
        const auto training = derive_training_graph(c.program);
        ASSERT_TRUE(training.has_value());
        const Cuts all = cut_candidates(*training);
        const Hash due = root_after_two_steps(c, *backend, {});
        EXPECT_EQ(root_after_two_steps(c, *backend, all), due);
        const auto last = static_cast<uint32_t>(training->forward_nodes - 1);
        for (const Cuts& cuts : {Cuts{last}, Cuts{1, 2, 3}, Cuts{last / 3, last / 2, last}})
            EXPECT_EQ(root_after_two_steps(c, *backend, cuts), due);
    }
}

TEST(recompute, evaluation_reads_the_same_logits) {
    const Case c = all_cases()[0];
    const auto backend = make_cpu_backend({});
    const auto w = make_initial_state(c.program, seed_of(3), c.data).w;
    const auto loss = [&](const Cuts& cuts) {
        auto engine = Engine::make(c.program, *backend, c.data, cuts);
        EXPECT_TRUE(engine.has_value());
        const auto result = evaluate(*engine, w, c.data);
        EXPECT_TRUE(result.has_value());
        return std::pair(result->loss_bits, result->correct);
    };
    EXPECT_EQ(loss(cut_candidates(*derive_training_graph(c.program))), loss({}));
}

TEST(recompute, keeps_the_numbers_of_what_others_read) {
    const auto training = derive_training_graph(small_program());
    ASSERT_TRUE(training.has_value());
    const TrainingGraph cut = with_recompute(*training, cut_candidates(*training));
    EXPECT_EQ(cut.forward_nodes, training->forward_nodes);
    EXPECT_EQ(cut.gradients, training->gradients);
    EXPECT_EQ(cut.losses, training->losses);
    for (size_t i = 0; i < cut.forward_nodes; ++i)
        EXPECT_EQ(cut.graph.nodes[i], training->graph.nodes[i]);
    EXPECT_GT(cut.graph.nodes.size(), training->graph.nodes.size());
    EXPECT_EQ(with_recompute(*training, {}).graph, training->graph);
}

TEST(recompute, candidates_of_a_transformer_are_the_ends_of_its_residual_branches) {
    const auto training = derive_training_graph(small_program());
    ASSERT_TRUE(training.has_value());
    for (const uint32_t cut : cut_candidates(*training))
        EXPECT_EQ(training->graph.nodes[cut - 1].op, Op::add);
}

TEST(recompute, memory_grows_with_the_size_of_an_operands_element) {
    const auto plan = plan_within(all_cases()[0].program, {}, ~uint64_t{0});
    ASSERT_TRUE(plan.has_value());
    HostUse use;
    const uint64_t one = host_bytes(*plan, use);
    use.operands = {2, false};
    EXPECT_EQ(host_bytes(*plan, use), one + plan->operand_elements + plan->head_elements);
    use.operands = {1, true};
    EXPECT_EQ(host_bytes(*plan, use), one + plan->stage_elements);
}

TEST(recompute, memory_grows_with_frozen_weights) {
    Plan plan;
    const uint64_t without = host_bytes(plan, {});
    plan.constant_bytes = 1000;
    EXPECT_EQ(host_bytes(plan, {}), without + 3 * 1000);
}

TEST(recompute, a_plan_takes_the_least_work_that_fits) {
    const HostUse use;
    for (const Case& c : all_cases()) {
        const auto free = plan_within(c.program, use, ~uint64_t{0});
        ASSERT_TRUE(free.has_value());
        EXPECT_TRUE(free->cuts.empty());
        const auto least = plan_within(c.program, use, 0);
        ASSERT_TRUE(least.has_value());
        EXPECT_LE(least->arena_bytes, free->arena_bytes);
        const uint64_t between = (host_bytes(*free, use) + host_bytes(*least, use)) / 2;
        const auto some = plan_within(c.program, use, between);
        ASSERT_TRUE(some.has_value());
        EXPECT_LE(host_bytes(*some, use), between);
        EXPECT_LE(some->macs_per_micro_batch, least->macs_per_micro_batch);
        EXPECT_EQ(plan(c.program, some->cuts)->arena_bytes, some->arena_bytes);
    }
    const auto gpt = plan_within(all_cases()[0].program, use, 0);
    EXPECT_GT(gpt->recomputed_nodes, 0U);
    EXPECT_LT(gpt->arena_bytes * 4, plan(all_cases()[0].program)->arena_bytes * 3);
}

}  // namespace
}  // namespace trainyard::training
