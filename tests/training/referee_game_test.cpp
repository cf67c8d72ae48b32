// SPDX-License-Identifier: Apache-2.0
// Whole disputes between a provider whose numbers slipped, or did not, and a challenger.
#include <optional>

#include "core/blob.hpp"
#include "tests/training/fixture.hpp"
#include "tests/training/image_programs.hpp"
#include "training/graph.hpp"
#include "training/referee/players.hpp"
#include "training/state_root.hpp"

namespace trainyard::training::referee {
namespace {

struct Job {
    Program program;
    Bytes data;
    uint32_t first_step = 0;
};

Job text_run() {
    GptOptions options = small_options();
    options.layers = 1, options.width = 12, options.sequence = 6, options.micro_batches = 2;
    Job run{small_program(options), make_text(4000)};
    run.program.data.root = blob::id(run.data);
    return run;
}

Job image_run(Program program) {
    Job run{std::move(program), shapes_data()};
    run.program.data.root = blob::id(run.data);
    return run;
}

constexpr uint32_t kSteps = 3;

struct Table {
    explicit Table(Job r, std::optional<Slip> slip = std::nullopt)
        : run(std::move(r)),
          backend(make_cpu_backend({})),
          provider(make(std::move(slip))),
          challenger(make(std::nullopt)) {}

    Witness make(std::optional<Slip> slip) {
        ModelState first = make_initial_state(run.program, seed_of(3), run.data);
        for (uint32_t t = 0; t < run.first_step; ++t) {
            auto engine = Engine::make(run.program, *backend, run.data);
            EXPECT_TRUE(run_step(*engine, first, run.data).has_value());
        }
        auto out = Witness::make(run.program, run.data, *backend,
                                 {std::move(first), kSteps, std::move(slip)});
        EXPECT_TRUE(out.has_value());
        return std::move(*out);
    }

    State start() {
        State state;
        state.claim = *provider.claim();
        return state;
    }

    Job run;
    std::unique_ptr<Backend> backend;
    Witness provider, challenger;
};

/// A move of the provider as the contract gets it; nothing if it has none that is taken.
std::optional<State> provider_plays(Table& table, const State& state) {
    const auto bytes = provider_move(table.provider, state);
    if (!bytes) return std::nullopt;
    EXPECT_LT(bytes->size(), 120'000U);
    const auto next = play(state, *bytes);
    if (!next) return std::nullopt;
    EXPECT_EQ(decode_state(encode_state(*next)), *next);
    return *next;
}

struct End {
    Phase phase;  ///< where it ended: whoever is to move there has lost
    int moves = 0;
};

/// Both play as they should until one of them has no move.
End play_out(Table& table) {
    State state = table.start();
    for (int moves = 0; moves < 100; ++moves) {
        if (turn_of(state.phase) == Turn::nobody) return {state.phase, moves};
        if (turn_of(state.phase) == Turn::provider) {
            const auto next = provider_plays(table, state);
            if (!next) return {state.phase, moves};
            state = *next;
            continue;
        }
        const auto index = challenger_pick(table.challenger, state);
        EXPECT_TRUE(index.has_value());
        if (!*index) return {state.phase, moves};
        const auto next = play(state, move::pick(**index));
        EXPECT_TRUE(next.has_value()) << to_text(state.phase) << **index;
        if (!next) return {state.phase, moves};
        state = *next;
    }
    return {state.phase, 100};
}

TEST(referee_game, claim_is_that_of_the_segment) {
    Table table(text_run());
    auto engine = Engine::make(table.run.program, *table.backend, table.run.data);
    ModelState state = make_initial_state(table.run.program, seed_of(3), table.run.data);
    SegmentOptions options;
    options.steps = kSteps;
    const auto log = run_segment(*engine, state, table.run.data, options);
    ASSERT_TRUE(log.has_value());
    const auto claim = table.provider.claim();
    ASSERT_TRUE(claim.has_value());
    EXPECT_EQ(claim->segment, claim_of(log->record));
    EXPECT_EQ(claim->loss_bits, last_loss_bits(log->record));
}

TEST(referee_game, nothing_is_wrong_with_an_honest_segment) {
    Table table(text_run());
    const End end = play_out(table);
    EXPECT_EQ(end.phase, Phase::pick_step);
}

/// A number that is wrong by itself: its parts cannot join to it.
TEST(referee_game, a_wrong_element_of_any_operator_loses) {
    const Job run = text_run();
    const auto training = derive_training_graph(run.program);
    int games = 0;
    for (const Node& node : training->graph.nodes)
        for (const uint32_t value : node.outputs) {
            Slip slip{1, 1, SubjectKind::value, value, 2, std::nullopt, 0x3f8ccccd};
            Table table(run, slip);
            const End end = play_out(table);
            EXPECT_EQ(turn_of(end.phase), Turn::provider) << find_op(node.op)->name;
            EXPECT_EQ(end.phase, Phase::show_parts) << find_op(node.op)->name;
            ++games;
        }
    EXPECT_GT(games, 20);
}

/// A rule that was followed with one input read wrongly: only the input itself shows it.
TEST(referee_game, a_wrong_input_of_any_operator_loses) {
    for (const Job& run : {text_run(), image_run(mlp_program()), image_run(cnn_program()),
                           image_run(diffusion_program())}) {
        const auto training = derive_training_graph(run.program);
        int inputs_shown = 0;
        for (const Node& node : training->graph.nodes)
            for (uint16_t port = 0; port < node.inputs.size(); ++port) {
                if (node.op == Op::noise) continue;
                Slip slip{1, 1, SubjectKind::value, node.outputs[0], 0, std::nullopt, 3};
                slip.input = Term{kInput, port, 0};
                if (training->graph.values[node.inputs[port]].kind != ValueKind::tokens &&
                    training->graph.values[node.inputs[port]].kind != ValueKind::targets)
                    slip.bits = 0x40a00000;
                Table table(run, slip);
                const End end = play_out(table);
                // The element may not depend on this input; then nothing is wrong.
                if (end.phase == Phase::pick_step) continue;
                EXPECT_EQ(end.phase, Phase::show_input) << find_op(node.op)->name << port;
                ++inputs_shown;
            }
        EXPECT_GT(inputs_shown, 10);
    }
}

}  // namespace
}  // namespace trainyard::training::referee
