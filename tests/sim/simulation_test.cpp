// SPDX-License-Identifier: Apache-2.0
// The simulator itself: it repeats itself, its checks can fail, and clusters stop and go on as they
// must.
#include "tests/sim/byzantine.hpp"
#include "tests/sim/scale.hpp"
#include "tests/sim/twins.hpp"

#include <gtest/gtest.h>

namespace trainyard::sim {
namespace {

Options calm(unsigned nodes) {
    Options options;
    options.nodes = nodes;
    options.faults = Faults::none();
    options.equal_stakes = true;
    return options;
}

/// How many of `runs` seeds fail.
unsigned failures(Options options, unsigned runs) {
    unsigned failed = 0;
    for (unsigned i = 0; i < runs; ++i, ++options.seed)
        if (!simulate(options).passed()) ++failed;
    return failed;
}

TEST(simulation, same_seed_gives_the_same_trace) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Options options;
        options.seed = seed;
        const Outcome first = simulate(options), second = simulate(options);
        EXPECT_EQ(first.trace, second.trace);
        EXPECT_EQ(first.events, second.events);
        options.seed = seed + 1000;
        EXPECT_NE(first.trace, simulate(options).trace);
    }
}

TEST(simulation, sending_before_syncing_is_found_out) {
    Options options;
    options.mutation = Mutation::send_before_sync;
    EXPECT_GE(failures(options, 60), 5u);
}

TEST(simulation, one_byzantine_node_too_many_breaks_agreement_and_is_found_out) {
    Options options = calm(4);
    options.mutation = Mutation::too_many_byzantine;
    EXPECT_GE(failures(options, 60), 20u);
}

TEST(simulation, notarizing_after_a_forgotten_nullify_is_found_out) {
    Options options;
    options.mutation = Mutation::forget_nullify;
    EXPECT_GE(failures(options, 60), 20u);
}

TEST(simulation, blocks_taken_for_valid_without_execution_are_found_out) {
    Options options = calm(4);
    options.mutation = Mutation::certify_unexecuted;
    EXPECT_GE(failures(options, 60), 20u);
}

/// Runs in which some validators lie in one way only and bodies are shards; all must pass.
Outcome sum_of_lies(Behaviour kind) {
    Outcome sum;
    Options options;
    options.nodes = 7;
    options.liars = kind;
    options.shards = true;
    for (; options.seed <= 30; ++options.seed) {
        const Outcome outcome = simulate(options);
        EXPECT_TRUE(outcome.passed()) << "seed " << options.seed << ": " << outcome.failure;
        sum.bad_proposals += outcome.bad_proposals;
        sum.bad_blocks += outcome.bad_blocks;
    }
    return sum;
}

TEST(simulation, shards_of_no_body_cost_their_leader_the_view_and_nothing_else) {
    EXPECT_GE(sum_of_lies(Behaviour::bad_encoder).bad_proposals, 30u);
}

TEST(simulation, blocks_notarized_on_shards_with_wrong_roots_are_never_built_on) {
    EXPECT_GE(sum_of_lies(Behaviour::bad_blocks).bad_blocks, 30u);
}

TEST(simulation, shards_and_blocks_that_some_keep_to_themselves_come_from_others) {
    const Outcome sum = sum_of_lies(Behaviour::hoarder);
    EXPECT_EQ(sum.bad_proposals + sum.bad_blocks, 0u);
}

TEST(simulation, certificates_that_nobody_checks_are_found_out) {
    Options options = calm(4);
    options.mutation = Mutation::trust_signatures;
    EXPECT_GE(failures(options, 20), 20u);
}

/// How many scenarios there are, and how many of them fail.
std::pair<unsigned, unsigned> try_twins(const TwinsPlan& plan) {
    unsigned count = 0, failed = 0;
    for_each_scenario(plan, [&](const Options& options) {
        ++count;
        const Outcome outcome = simulate(options);
        if (!outcome.passed()) ++failed;
    });
    return {count, failed};
}

TEST(twins, one_of_four_does_no_harm_in_any_first_view) {
    const auto [count, failed] = try_twins({.nodes = 4, .twins = 1, .views = 1});
    EXPECT_EQ(count, 20u);  // of 4 leaders and 16 groups, those that differ by more than names
    EXPECT_EQ(failed, 0u);
}

TEST(twins, one_of_four_does_no_harm_at_the_end_of_an_epoch) {
    const auto [count, failed] = try_twins({.nodes = 4, .twins = 1, .views = 1, .epoch_length = 1});
    EXPECT_EQ(count, 20u);
    EXPECT_EQ(failed, 0u);
}

TEST(twins, two_of_four_are_too_many_and_are_found_out) {
    const auto [count, failed] =
        try_twins({.nodes = 4, .twins = 2, .views = 3, .samples = 300, .seed = 1});
    EXPECT_EQ(count, 300u);
    EXPECT_GE(failed, 1u);
}

TEST(simulation, the_same_seeds_pass_when_no_rule_is_broken) {
    EXPECT_EQ(failures(Options{}, 60), 0u);
}

TEST(simulation, one_of_four_down_does_not_stop_the_chain) {
    Options options = calm(4);
    options.down_always = 1;
    for (; options.seed <= 20; ++options.seed) {
        const Outcome outcome = simulate(options);
        EXPECT_TRUE(outcome.passed()) << "seed " << options.seed << ": " << outcome.failure;
        EXPECT_GE(outcome.final_height, 20u);
    }
}

TEST(simulation, two_of_four_down_stop_the_chain_until_they_return) {
    Options options = calm(4);
    options.down_always = 2;
    options.down_until_ms = 60'000;
    options.settle_ms_max = 10'000;
    for (; options.seed <= 20; ++options.seed) {
        const Outcome outcome = simulate(options);
        EXPECT_TRUE(outcome.passed()) << "seed " << options.seed << ": " << outcome.failure;
        EXPECT_EQ(outcome.height_at_return, 0u);
        EXPECT_GE(outcome.final_height, 20u);
    }
}

TEST(simulation, a_node_long_absent_syncs_and_joins_again) {
    Options options = calm(4);
    options.epoch_length = 1'000'000;
    options.down_always = 1;
    options.down_until_ms = 60'000;
    for (; options.seed <= 5; ++options.seed) {
        const Outcome outcome = simulate(options);
        EXPECT_TRUE(outcome.passed()) << "seed " << options.seed << ": " << outcome.failure;
        EXPECT_GT(outcome.height_at_return, 64u);
        EXPECT_GT(outcome.behind, 0u);
        EXPECT_GE(outcome.final_height, outcome.height_at_return);
    }
}

TEST(simulation, a_node_many_epochs_behind_is_led_through_all_of_them) {
    Options options = calm(4);
    options.epoch_length = 8;
    options.down_always = 1;
    options.down_until_ms = 60'000;
    options.heights_min = 400;
    for (; options.seed <= 5; ++options.seed) {
        const Outcome outcome = simulate(options);
        EXPECT_TRUE(outcome.passed()) << "seed " << options.seed << ": " << outcome.failure;
        EXPECT_GE(outcome.final_height, 400u);
        EXPECT_GE(outcome.epochs, 50u);
    }
}

TEST(simulation, no_timeout_is_paid_where_epochs_meet) {
    Options options = calm(7);
    options.churn = true;
    options.epoch_length = 3;
    options.interval_ms = 100;
    options.heights_min = 300;
    const Outcome outcome = simulate(options);
    EXPECT_TRUE(outcome.passed()) << outcome.failure;
    EXPECT_GE(outcome.epochs, 100u);
    EXPECT_LE(outcome.no_proposals, 7u) << "a view or so in a hundred epochs";
}

TEST(simulation, blocks_that_end_an_epoch_are_proposed_again) {
    Options options;
    options.churn = true;
    uint64_t reproposals = 0;
    for (; options.seed <= 30; ++options.seed) reproposals += simulate(options).reproposals;
    EXPECT_GE(reproposals, 40u);
}

TEST(simulation, sets_that_change_in_every_epoch_pass) {
    Options options;
    options.churn = true;
    options.nodes = 7;
    EXPECT_EQ(failures(options, 60), 0u);
    options.real_keys = true;
    EXPECT_EQ(failures(options, 2), 0u);
}

TEST(simulation, a_quarter_of_an_hour_of_churn_has_no_stall) {
    Options options = calm(7);
    options.churn = true;
    options.interval_ms = 1000;
    options.epoch_length = 60;
    options.calm_ms = 900'000;
    const Outcome outcome = simulate(options);
    EXPECT_TRUE(outcome.passed()) << outcome.failure;
    EXPECT_GE(outcome.epochs, 12u);
    EXPECT_GT(outcome.changes.joined, 0u);
    EXPECT_GT(outcome.changes.gone, 0u);
    EXPECT_GT(outcome.changes.slashed, 0u);
    EXPECT_EQ(outcome.stalls, 0u);
    EXPECT_LT(outcome.gap_ms, kStallMs);
    EXPECT_GT(outcome.crashes, 0u);
}

TEST(simulation, the_wrong_set_and_an_early_start_of_an_epoch_are_found_out) {
    Options options;
    options.churn = true;
    options.nodes = 7;
    for (const auto mutation : {Mutation::old_set, Mutation::own_set}) {
        options.mutation = mutation;
        EXPECT_GE(failures(options, 60), 20u);
    }
    options.mutation = Mutation::start_early;
    options.epoch_length = 1;  // two certified boundaries of one epoch are rare
    EXPECT_GE(failures(options, 300), 1u);
}

TEST(simulation, real_signatures_give_the_same_protocol) {
    Options options;
    options.real_keys = true;
    EXPECT_EQ(failures(options, 5), 0u);
}

TEST(simulation, a_single_validator_makes_a_chain_alone) {
    EXPECT_EQ(failures(calm(1), 5), 0u);
}

TEST(simulation, bodies_travel_as_shards_in_about_half_of_the_runs) {
    Options options = calm(7);
    unsigned with = 0;
    for (; options.seed <= 40; ++options.seed) {
        const Outcome outcome = simulate(options);
        EXPECT_TRUE(outcome.passed()) << "seed " << options.seed << ": " << outcome.failure;
        with += outcome.shard_messages > 0 ? 1 : 0;
    }
    EXPECT_GE(with, 10u);
    EXPECT_LE(with, 30u);
}

TEST(scale, shards_spare_the_leaders_uplink) {
    ScaleOptions options{.nodes = 16, .body_size_bytes = 300'000, .blocks = 3};
    const auto shards = simulate_scale(options);
    options.whole = true;
    const auto whole = simulate_scale(options);
    for (const auto& result : {shards, whole}) {
        EXPECT_EQ(result.failure, "");
        EXPECT_GE(result.blocks, 3u);
        EXPECT_EQ(result.nullified_views, 0u);
        EXPECT_GT(result.final_ms_p50, 0);
        EXPECT_GE(result.final_ms_p99, result.final_ms_p50);
    }
    EXPECT_LT(3 * shards.burst_bytes, whole.burst_bytes);
}

TEST(simulation, rejects_unknown_faults) {
    Faults faults;
    EXPECT_TRUE(parse_faults("loss,crash", faults));
    EXPECT_TRUE(faults.loss && faults.crash && !faults.delay);
    EXPECT_FALSE(parse_faults("loss,weather", faults));
}

}  // namespace
}  // namespace trainyard::sim
