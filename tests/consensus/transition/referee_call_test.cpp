// SPDX-License-Identifier: Apache-2.0
// Disputes through the precompile: a whole game, prices, refusals, and who may play.
#include "consensus/transition/referee_call.hpp"

#include <gtest/gtest.h>

#include "consensus/transition/own_precompiles.hpp"
#include "core/blob.hpp"
#include "test_world.hpp"
#include "tests/training/small_program.hpp"
#include "training/graph.hpp"
#include "training/referee/players.hpp"
#include "training/referee/start.hpp"

namespace trainyard::consensus {
namespace {

namespace referee = training::referee;
using referee::Refusal;

constexpr int64_t kPlenty = 16'000'000;

Bytes input_of(BytesView state, BytesView move) {
    Bytes out;
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(static_cast<uint8_t>(state.size() >> shift));
    append(out, state);
    append(out, move);
    return out;
}

Bytes referee_says(BytesView state, BytesView move) {
    int64_t gas = kPlenty;
    auto out = run_referee(input_of(state, move), gas);
    EXPECT_TRUE(out.has_value());
    return out.value_or(Bytes{});
}

referee::Claim some_claim() {
    referee::Claim claim;
    claim.program = keccak256(as_bytes("program"));
    claim.run_seed = keccak256(as_bytes("seed"));
    claim.micro_batches = 1024, claim.loss_bits = 0x3f800000;
    claim.segment = {70'000, 256, claim.run_seed, claim.program, keccak256(as_bytes("steps"))};
    return claim;
}

/// Two sides of a run of one layer; the provider's slips.
struct Sides {
    training::Program program;
    Bytes data = training::make_text(4000);
    std::unique_ptr<training::Backend> backend = training::make_cpu_backend({});

    Sides() {
        auto options = training::small_options();
        options.layers = 1, options.width = 12, options.sequence = 6, options.micro_batches = 2;
        program = *training::make_gpt(options);
        program.data.root = blob::id(data);
    }
    referee::Witness side(std::optional<referee::Slip> slip) {
        auto first = training::make_initial_state(program, training::seed_of(3), data);
        return *referee::Witness::make(program, data, *backend, {std::move(first), 2, slip});
    }
};

/// What the bytes of the game lead to, and what is left when a side has no move.
struct End {
    uint8_t turn = 0xff;
    referee::State state;
};
End play_out(referee::Witness& provider, referee::Witness& challenger) {
    Bytes said = referee_says(referee::encode_claim(*provider.claim()), {});
    End end;
    for (int moves = 0; moves < 100 && !said.empty(); ++moves) {
        end.turn = said[0];
        const Bytes encoded(said.begin() + 1, said.end());
        end.state = *referee::decode_state(encoded);
        if (end.turn > 1) return end;
        Bytes move;
        if (end.turn == 0) {
            const auto own = referee::provider_move(provider, end.state);
            if (!own) return end;
            move = *own;
        } else {
            const auto index = referee::challenger_pick(challenger, end.state);
            if (!index || !*index) return end;
            move = referee::move::pick(**index);
        }
        said = referee_says(encoded, move);
        if (said.size() == 1) {
            EXPECT_EQ(said[0], kRefusedMove + static_cast<int>(Refusal::inconsistent));
            return end;
        }
    }
    ADD_FAILURE() << "a game without end";
    return end;
}

TEST(referee_call, a_game_ends_where_the_liar_has_no_move) {
    Sides sides;
    const auto graph = training::derive_training_graph(sides.program)->graph;
    const uint32_t value = graph.nodes.back().outputs[0];
    auto liar = sides.side(
        referee::Slip{1, 1, referee::SubjectKind::value, value, 2, std::nullopt, 0x3f8ccccd});
    auto honest = sides.side(std::nullopt);
    const End lost = play_out(liar, honest);
    EXPECT_EQ(lost.turn, 0);
    EXPECT_EQ(lost.state.phase, referee::Phase::show_parts);
    const End quiet = play_out(honest, honest);
    EXPECT_EQ(quiet.turn, 1) << "nothing to pick";
    EXPECT_EQ(quiet.state.phase, referee::Phase::pick_step);
}

TEST(referee_call, starts_from_claims_within_bounds) {
    referee::Claim claim = some_claim();
    const Bytes good = referee::encode_claim(claim);
    ASSERT_EQ(good.size(), referee::kClaimBytes);
    EXPECT_EQ(good[66], 4) << "1024, big-endian";
    const Bytes said = referee_says(good, {});
    ASSERT_GT(said.size(), 1u);
    EXPECT_EQ(said[0], 0);
    const auto state = referee::decode_state(BytesView(said).subspan(1));
    ASSERT_TRUE(state.has_value());
    EXPECT_EQ(state->claim, claim);
    EXPECT_EQ(state->phase, referee::Phase::show_steps);
    EXPECT_EQ(referee_says(BytesView(good).first(good.size() - 1), {}), Bytes{});
    const auto is_refused = [](referee::Claim c) {
        return referee_says(referee::encode_claim(c), {}).empty();
    };
    for (const uint32_t steps : {0U, 257U}) {
        claim = some_claim(), claim.segment.steps = steps;
        EXPECT_TRUE(is_refused(claim)) << steps;
    }
    for (const uint32_t units : {0U, 1025U}) {
        claim = some_claim(), claim.micro_batches = units;
        EXPECT_TRUE(is_refused(claim)) << units;
    }
    claim = some_claim(), claim.segment.first_step = 0xffffff00;
    EXPECT_TRUE(is_refused(claim));
    claim.segment.first_step = 0xfffffeff;
    EXPECT_FALSE(is_refused(claim));
}

TEST(referee_call, says_why_a_move_is_refused) {
    referee::State state;
    state.claim = some_claim();
    const auto code = [&](BytesView move) {
        return referee_says(referee::encode_state(state), move);
    };
    const auto refused = [](Refusal why) {
        return Bytes{static_cast<uint8_t>(0x10 + static_cast<int>(why))};
    };
    EXPECT_EQ(code(Bytes{0xc0}), refused(Refusal::malformed));
    const std::vector<Hash> values(513), whole(255);
    EXPECT_EQ(code(referee::move::show_steps(values, whole)), refused(Refusal::not_committed));
    state.phase = referee::Phase::pick_step;
    EXPECT_EQ(code(referee::move::pick(257)), refused(Refusal::out_of_range));
    state.phase = referee::Phase::provider_won;
    EXPECT_EQ(code(referee::move::pick(0)), refused(Refusal::over));
    EXPECT_EQ(referee_says(Bytes{1}, Bytes{1}), Bytes{});
    int64_t gas = kPlenty;
    EXPECT_EQ(run_referee(Bytes{0, 0, 0}, gas), Bytes{});
    EXPECT_EQ(run_referee(Bytes{0xff, 0xff, 0xff, 0xff, 1}, gas), Bytes{});
}

/// The learning rates of a program end with its run.
TEST(referee_call, a_claim_of_steps_behind_the_run_gets_nowhere) {
    Sides sides;
    const Bytes encoded = training::encode_program(sides.program);
    referee::State state;
    state.phase = referee::Phase::show_subject;
    state.subject.kind = referee::SubjectKind::state;
    state.claim.program = sha256(encoded);
    state.claim.micro_batches = 2;
    const auto run_steps = static_cast<uint32_t>(sides.program.run.steps);
    const auto code_at = [&](uint32_t first_step, uint32_t steps) {
        state.claim.segment.first_step = first_step;
        state.claim.segment.steps = steps;
        state.step = steps - 1;
        return referee_says(referee::encode_state(state), referee::move::show_subject(encoded))[0];
    };
    const uint8_t refused = kRefusedMove + static_cast<uint8_t>(Refusal::inconsistent);
    EXPECT_EQ(code_at(run_steps - 2, 2), 0) << "the last two";
    EXPECT_EQ(code_at(run_steps - 1, 2), refused);
    EXPECT_EQ(code_at(1'000'000, 256), refused);
}

TEST(referee_call, is_paid_for_bytes_and_steps) {
    referee::State state;
    state.claim = some_claim();
    state.step = 5;
    const Bytes input = input_of(referee::encode_state(state), Bytes{0xc0});
    const int64_t bytes = 60'000 + 8 * static_cast<int64_t>(input.size());
    const int64_t price = bytes + 2 * 70'005;
    int64_t gas = price + 7;
    EXPECT_TRUE(run_referee(input, gas).has_value());
    EXPECT_EQ(gas, 7);
    for (const int64_t too_little : {price - 1, bytes - 1, int64_t{0}}) {
        gas = too_little;
        EXPECT_FALSE(run_referee(input, gas).has_value()) << too_little;
    }
    gas = int64_t{1} << 40;
    EXPECT_FALSE(run_referee(Bytes(kRefereeInputMax + 1), gas).has_value());
    EXPECT_TRUE(run_referee(Bytes(kRefereeInputMax), gas).has_value());
}

/// Forwards its call data to 0x0a02 by CALL or DELEGATECALL, and returns what comes back.
constexpr std::string_view kCalls = "365f5f375f5f365f5f610a025af1503d5f5f3e3d5ff3";
constexpr std::string_view kDelegates = "365f5f375f5f365f610a025af4503d5f5f3e3d5ff3";

struct MarketWorld : TestWorld {
    explicit MarketWorld(std::string_view market) {
        config.staking_contract = true;
        deploy(address::kMarket, market);
        deploy(address_number(7), kCalls);
    }
    /// Bytes that come back when `to` is handed a claim by `from`.
    [[nodiscard]] size_t answer(const Address& from, const Address& to,
                                const MovedPrecompiles* moved = nullptr) {
        CallRequest request;
        request.from = from;
        request.to = to;
        request.data = input_of(referee::encode_claim(some_claim()), {});
        auto there = context();
        there.moved = moved;
        const auto done = simulate_call(view(), there, request);
        EXPECT_TRUE(done.has_value() && done->status == vm::Status::success);
        return done ? done->output.size() : 0;
    }
};

TEST(referee_call, plays_for_the_markets_code_alone) {
    MarketWorld world(kCalls);
    const Address someone = account_number(1);
    EXPECT_GT(world.answer(someone, address::kMarket), 300u);
    EXPECT_EQ(world.answer(someone, address_number(7)), 0u) << "another contract";
    EXPECT_EQ(world.answer(someone, kRefereeAddress), 0u) << "an account";
    EXPECT_EQ(world.answer(address::kMarket, kRefereeAddress), 0u) << "who only says so";
    const MovedPrecompiles moved;
    EXPECT_EQ(world.answer(someone, address::kMarket, &moved), 0u) << "under overrides";
    MarketWorld delegating(kDelegates);
    EXPECT_EQ(delegating.answer(someone, address::kMarket), 0u);
    EXPECT_EQ(delegating.answer(address::kMarket, address::kMarket), 0u);
}

}  // namespace
}  // namespace trainyard::consensus
