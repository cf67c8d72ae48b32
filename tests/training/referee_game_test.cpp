// SPDX-License-Identifier: Apache-2.0
// Whole disputes between a provider whose numbers slipped, or did not, and a challenger.
#include <optional>
#include <set>

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
};

Job text_job() {
    GptOptions options = small_options();
    options.layers = 1, options.width = 12, options.sequence = 6, options.micro_batches = 2;
    Job job{small_program(options), make_text(4000)};
    job.program.data.root = blob::id(job.data);
    return job;
}

Job image_job(Program program) {
    Job job{std::move(program), shapes_data()};
    job.program.data.root = blob::id(job.data);
    return job;
}

std::vector<Job> all_jobs() {
    std::vector<Job> out{text_job()};
    for (Program& program : image_programs()) out.push_back(image_job(std::move(program)));
    return out;
}

constexpr uint32_t kSteps = 2;

/// One job, who challenges it and, game after game, who provides for it.
class Table {
public:
    explicit Table(Job j, uint32_t first_step = 0)
        : job(std::move(j)), backend(make_cpu_backend({})), first_(state_after(first_step)) {}

    Witness witness(std::optional<Slip> slip) const {
        auto out = Witness::make(job.program, job.data, *backend, {first_, kSteps, slip});
        EXPECT_TRUE(out.has_value());
        return std::move(*out);
    }
    Witness& challenger() {
        if (!challenger_) challenger_ = witness(std::nullopt);
        return *challenger_;
    }

    Job job;
    std::unique_ptr<Backend> backend;

private:
    ModelState state_after(uint32_t steps) const {
        ModelState state = make_initial_state(job.program, seed_of(3), job.data);
        auto engine = Engine::make(job.program, *backend, job.data);
        for (uint32_t t = 0; t < steps; ++t)
            EXPECT_TRUE(run_step(*engine, state, job.data).has_value());
        return state;
    }
    ModelState first_;
    std::optional<Witness> challenger_;
};

State start_of(Witness& provider) {
    State state;
    state.claim = *provider.claim();
    return state;
}

/// A move of the provider as a contract gets it; nothing if it has none that is taken.
std::optional<State> provider_plays(Witness& provider, const State& state) {
    const auto bytes = provider_move(provider, state);
    if (!bytes) return std::nullopt;
    EXPECT_LT(bytes->size(), 120'000U) << to_text(state.phase);
    const auto next = play(state, *bytes);
    if (!next) return std::nullopt;
    EXPECT_EQ(decode_state(encode_state(*next)), *next);
    return *next;
}

struct End {
    Phase phase = Phase::show_steps;  ///< whoever is to move there, and cannot, has lost
    int moves = 0;
    SubjectKind subject = SubjectKind::none;
};

/// Both play until one has no move. `pick`: what the challenger points at, nothing if it gives up.
template <class Pick>
End play_out(Witness& provider, const Pick& pick) {
    State state = start_of(provider);
    End end;
    for (; end.moves < 200; ++end.moves) {
        end.phase = state.phase;
        end.subject = state.subject.kind;
        std::optional<State> next;
        if (turn_of(state.phase) == Turn::provider) {
            next = provider_plays(provider, state);
        } else if (turn_of(state.phase) == Turn::challenger) {
            const std::optional<uint32_t> index = pick(state);
            if (!index) return end;
            const auto played = play(state, move::pick(*index));
            EXPECT_TRUE(played.has_value()) << to_text(state.phase) << " " << *index;
            if (played) next = *played;
        }
        if (!next) return end;
        state = std::move(*next);
    }
    ADD_FAILURE() << "no end";
    return end;
}

End play_slip(Table& table, const Slip& slip) {
    Witness provider = table.witness(slip);
    return play_out(provider, [&](const State& state) {
        const auto index = challenger_pick(table.challenger(), state);
        EXPECT_TRUE(index.has_value());
        return *index;
    });
}

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

/// What a challenger may pick; a pick behind the last one is refused.
uint32_t choices(const State& s) {
    const auto parameters = static_cast<uint32_t>(s.numbers.size());
    switch (s.phase) {
        case Phase::pick_step:
            return s.claim.segment.steps + (s.claim.segment.first_step == 0 ? 1 : 0);
        case Phase::pick_unit:
            return s.claim.micro_batches + 1;
        case Phase::pick_value:
            return static_cast<uint32_t>(s.hashes.size()) + 1;
        case Phase::pick_update:
            return 5 * parameters;
        case Phase::pick_element:
            return kTileElements;
        case Phase::pick_part:
            return parameters;
        default:
            return static_cast<uint32_t>(s.hashes.size());
    }
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
