// SPDX-License-Identifier: Apache-2.0
// Whole disputes between a provider whose numbers slipped, or did not, and a challenger.
#include <set>

#include "tests/training/referee_table.hpp"
#include "training/graph.hpp"
#include "training/state_root.hpp"

namespace trainyard::training::referee {
namespace {

TEST(referee_game, the_claim_is_that_of_the_segment) {
    const Table table(text_job());
    auto engine = Engine::make(table.job.program, *table.backend, table.job.data);
    ModelState state = make_initial_state(table.job.program, seed_of(3), table.job.data);
    SegmentOptions options;
    options.steps = kSteps;
    const auto log = run_segment(*engine, state, table.job.data, options);
    ASSERT_TRUE(log.has_value());
    Witness witness = table.witness(std::nullopt);
    const auto claim = witness.claim();
    ASSERT_TRUE(claim.has_value());
    EXPECT_EQ(claim->segment, claim_of(log->record));
    EXPECT_EQ(claim->loss_bits, last_loss_bits(log->record));
}

TEST(referee_game, nothing_is_wrong_with_an_honest_segment) {
    for (const uint32_t first_step : {0U, 2U}) {
        Table table(text_job(), first_step);
        Witness provider = table.witness(std::nullopt);
        const End end = play_out(provider, [&](const State& state) {
            return *challenger_pick(table.challenger(), state);
        });
        EXPECT_EQ(end.phase, Phase::pick_step);
    }
}

TEST(referee_game, a_loss_that_is_not_the_last_steps_loses) {
    Table table(text_job());
    Witness provider = table.witness(std::nullopt);
    State state = start_of(provider);
    state.claim.loss_bits ^= 1;
    const End end = play_out(
        provider, [&](const State& s) { return *challenger_pick(table.challenger(), s); }, state);
    EXPECT_EQ(end.phase, Phase::show_step);
}

/// Whatever is pointed at, an honest provider shows it, down to an input.
TEST(referee_game, an_honest_provider_wins_every_path) {
    uint32_t draws = 0;
    const auto draw = [&](uint32_t below) { return philox({++draws, 0, 0, 0}, 5, 6)[0] % below; };
    std::set<SubjectKind> seen;
    int shown_inputs = 0;
    for (Job& job : all_jobs()) {
        Table table(std::move(job));
        Witness provider = table.witness(std::nullopt);
        for (int game = 0; game < 40; ++game) {
            const End end = play_out(provider, [&](const State& s) -> std::optional<uint32_t> {
                const uint32_t count = choices(s);
                EXPECT_FALSE(play(s, move::pick(count)).has_value()) << to_text(s.phase);
                if (count == 0) return std::nullopt;  // a line without parts
                if (s.phase != Phase::pick_element) return draw(count);
                uint32_t i = draw(count);
                while (!element_at(s.subject.shape, {s.index, i})) i = draw(count);
                return i;
            });
            EXPECT_TRUE(end.phase == Phase::provider_won || end.phase == Phase::pick_part)
                << to_text(end.phase);
            seen.insert(end.subject);
            shown_inputs += end.phase == Phase::provider_won ? 1 : 0;
        }
    }
    EXPECT_GT(shown_inputs, 100);
    EXPECT_EQ(seen.size(), 6U) << "a kind of subject never came up";
}

/// A number that is wrong by itself: no parts join to it.
TEST(referee_game, a_wrong_element_of_any_operator_loses) {
    Table table(text_job());
    const auto training = derive_training_graph(table.job.program);
    for (const Node& node : training->graph.nodes)
        for (const uint32_t value : node.outputs) {
            const End end =
                play_slip(table, {1, 1, SubjectKind::value, value, 2, std::nullopt, 0x3f8ccccd});
            EXPECT_EQ(end.phase, Phase::show_parts) << find_op(node.op)->name;
        }
}

/// A rule that was followed with one input read wrongly: only the input itself shows it.
void expect_wrong_inputs_lose(Job job, std::set<std::pair<Op, uint16_t>>& seen) {
    Table table(std::move(job));
    const auto training = derive_training_graph(table.job.program);
    for (const Node& node : training->graph.nodes)
        for (uint16_t port = 0; port < node.inputs.size(); ++port) {
            if (seen.contains({node.op, port}) || node.op == Op::noise) continue;
            const ValueKind kind = training->graph.values[node.inputs[port]].kind;
            const bool is_index =
                kind == ValueKind::targets || kind == ValueKind::tokens || node.op == Op::diffuse;
            Slip slip{1, 1, SubjectKind::value, node.outputs[0], 0, Term{kInput, port}, 3};
            if (!is_index) slip.bits = 0x40a00000;
            const End end = play_slip(table, slip);
            // The element may not depend on this input; then nothing is wrong.
            if (end.phase == Phase::pick_step) continue;
            EXPECT_EQ(end.phase, Phase::show_input) << find_op(node.op)->name << " " << port;
            seen.insert({node.op, port});
        }
}

TEST(referee_game, a_wrong_input_of_any_operator_loses) {
    std::set<std::pair<Op, uint16_t>> seen;
    expect_wrong_inputs_lose(text_job(), seen);
    expect_wrong_inputs_lose(image_job(cnn_program()), seen);
    expect_wrong_inputs_lose(image_job(diffusion_program()), seen);
    EXPECT_GT(seen.size(), 45U);
}

TEST(referee_game, what_a_step_does_beside_its_units_loses) {
    Table table(text_job());
    const auto parameters = static_cast<uint32_t>(table.job.program.parameters.size());
    const uint32_t bits = 0x3f8ccccd;
    const Term first{kInput, 0, 0};
    const struct {
        Slip slip;
        Phase end;
    } games[] = {
        {{1, 0, SubjectKind::sum, 2, 1, std::nullopt, bits}, Phase::show_parts},
        {{1, 0, SubjectKind::sum, 2, 0, first, bits}, Phase::show_input},
        {{0, 0, SubjectKind::squares, 3, 0, std::nullopt, bits}, Phase::show_parts},
        {{0, 0, SubjectKind::squares, 3, 0, first, bits}, Phase::show_input},
        {{0, 0, SubjectKind::state, 1, 4, std::nullopt, bits}, Phase::show_parts},
        {{1, 0, SubjectKind::state, parameters + 1, 0, first, bits}, Phase::pick_step},
        {{1, 0, SubjectKind::state, parameters + 1, 0, Term{kInput, 1, 0}, bits},
         Phase::show_input},
        {{1, 0, SubjectKind::state, 2 * parameters, 0, Term{kInput, 3, 0}, bits},
         Phase::show_input},
        {{0, 0, SubjectKind::init, 2, 5, std::nullopt, bits}, Phase::show_input},
        {{0, 0, SubjectKind::init, parameters, 0, std::nullopt, bits}, Phase::show_input},
        {{1, 1, SubjectKind::unit_loss, 0, 0, std::nullopt, bits}, Phase::show_parts},
    };
    for (const auto& game : games) {
        const End end = play_slip(table, game.slip);
        EXPECT_EQ(end.phase, game.end)
            << static_cast<int>(game.slip.kind) << " " << game.slip.index;
        if (game.end != Phase::pick_step) {
            EXPECT_EQ(end.subject, game.slip.kind);
        }
    }
}

/// What is committed can be shown in one way.
TEST(referee_game, a_program_must_fit_into_a_transaction_beside_what_is_shown_with_it) {
    GptOptions options = small_options();
    options.steps = 1000;
    const Program fits = *make_gpt(options);
    EXPECT_LT(largest_move_bytes(fits), 50'000U) << "the longest line";
    EXPECT_EQ(beyond_dispute(fits), "");
    options.steps = 40'000;
    const Program large = *make_gpt(options);
    EXPECT_GT(largest_move_bytes(large), encode_program(large).size() + 20'000) << "and an input";
    EXPECT_NE(beyond_dispute(large).find("a transaction takes 120"), std::string::npos)
        << beyond_dispute(large);
}

TEST(referee_game, moves_that_were_tampered_with_are_refused) {
    Table table(text_job());
    Witness provider = table.witness(std::nullopt);
    uint32_t draws = 0;
    const auto draw = [&](size_t below) {
        return philox({++draws, 0, 0, 0}, 7, 8)[0] % static_cast<uint32_t>(below);
    };
    int refused = 0;
    for (int game = 0; game < 12; ++game) {
        State state = start_of(provider);
        while (turn_of(state.phase) != Turn::nobody) {
            if (turn_of(state.phase) == Turn::challenger) {
                if (choices(state) == 0) break;
                const auto next = play(state, move::pick(draw(choices(state))));
                if (next) state = *next;
                continue;
            }
            const auto bytes = provider_move(provider, state);
            ASSERT_TRUE(bytes.has_value());
            for (int i = 0; i < 8; ++i) {
                Bytes other = *bytes;
                other[draw(other.size())] ^= static_cast<uint8_t>(1U << draw(8));
                const auto next = play(state, other);
                // Nothing is committed yet to states inside the segment, values and parts.
                const bool is_first_word = state.phase == Phase::show_steps ||
                                           state.phase == Phase::show_unit ||
                                           state.phase == Phase::show_parts;
                if (is_first_word && next) continue;
                EXPECT_FALSE(next.has_value()) << to_text(state.phase);
                ++refused;
            }
            const Bytes half(bytes->begin(), bytes->begin() + static_cast<long>(bytes->size() / 2));
            EXPECT_FALSE(play(state, half).has_value());
            EXPECT_FALSE(play(state, {}).has_value());
            state = *play(state, *bytes);
        }
    }
    EXPECT_GT(refused, 300);
}

}  // namespace
}  // namespace trainyard::training::referee
