// SPDX-License-Identifier: Apache-2.0
// Disputes on the chain: real training of a small program, the contracts, and the referee between.
#include "market_fixture.hpp"

#include "core/blob.hpp"
#include "core/hash.hpp"
#include "tests/training/small_program.hpp"
#include "training/referee/players.hpp"

namespace trainyard::contracts {
namespace {

namespace referee = training::referee;

constexpr uint64_t kWindow = 16;
constexpr uint32_t kSteps = 2;

training::Program small_program(const Bytes& data) {
    training::GptOptions o = training::small_options();
    o.layers = 1, o.width = 12, o.sequence = 6, o.micro_batches = 2;
    o.steps = 2 * kSteps, o.segment_length = kSteps;
    training::Program program = *training::make_gpt(o);
    program.data.root = blob::id(data);
    return program;
}

/// What the last DisputeMoved told.
struct Moved {
    uint64_t turn = 0;
    Bytes state;
};
std::optional<Moved> moved_in(const Sent& sent) {
    static const Hash topic = keccak256(as_bytes("DisputeMoved(uint256,uint32,uint8,bytes,bytes)"));
    for (const Log& log : sent.logs) {
        if (log.topics.at(0) != topic) continue;
        const size_t at = word_at(log.data, 1).low();
        const size_t size = word_at(BytesView(log.data).subspan(at), 0).low();
        const BytesView state = BytesView(log.data).subspan(at + 32, size);
        return Moved{word_at(log.data, 0).low(), {state.begin(), state.end()}};
    }
    return std::nullopt;
}

struct dispute : MarketFixture {
    dispute() : MarketFixture({{"windowBlocks", kWindow}}) {
        spec.segments = 2, spec.steps = kSteps, spec.micro_batches = 2;
        spec.program_id = training::program_id(program);
    }

    referee::Witness witness(uint64_t job, std::optional<referee::Slip> slip = std::nullopt) {
        auto out = referee::Witness::make(
            program, data, *backend,
            {training::make_initial_state(program, market.job(job).run_seed, data), kSteps, slip});
        EXPECT_TRUE(out.has_value());
        return std::move(*out);
    }
    /// Nobody audits the segment that `by` commits to.
    void accept_unaudited(uint64_t job, referee::Witness& by) {
        const referee::Claim claim = *by.claim();
        const Abi args = Abi()
                             .word(job)
                             .word(0)
                             .hash(claim.segment.first_root)
                             .hash(claim.segment.last_root)
                             .hash(claim.segment.steps_root)
                             .word(claim.loss_bits)
                             .hash(keccak256(as_bytes("state blob")));
        ASSERT_TRUE(market
                        .call(kProvider,
                              "commit(uint256,uint32,bytes32,bytes32,bytes32,uint32,bytes32)", args)
                        .ok);
        market.open_audit(job, 0);
        while (market.segment(job, 0).state != SegmentState::accepted) {
            if (market.phase(job, 0) == Phase::serve) {
                ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
                continue;
            }
            market.pass_deadline(job, 0);
        }
    }
    Uint256 bond_due(uint64_t job) {
        return word_at(market.chain.call(market.at(), call_data("disputeBond(uint256,uint32)",
                                                                Abi().word(job).word(0))),
                       0);
    }
    Sent start(uint64_t job) {
        const Uint256 bond = bond_due(job);
        market.chain.give(kOutsider, bond);
        return market.call(kOutsider, "dispute(uint256,uint32)", Abi().word(job).word(0), bond);
    }
    Sent play(const Address& who, uint64_t job, const Bytes& state, const Bytes& move) {
        return market.call(who, "play(uint256,uint32,bytes,bytes)",
                           Abi().word(job).word(0).bytes(state).bytes(move));
    }
    Sent timeout(uint64_t job) { return market.on_segment(kAnyone, "timeout", job, 0); }
    SegmentState state_of(uint64_t job) { return market.segment(job, 0).state; }

    /// Both play until the game ends or one has no move, which is what is given back.
    template <class Pick>
    std::optional<Moved> play_out(uint64_t job, referee::Witness& provider, Moved moved,
                                  const Pick& pick) {
        for (int i = 0; i < 100; ++i) {
            const auto state = referee::decode_state(moved.state);
            EXPECT_TRUE(state.has_value());
            Sent sent;
            if (moved.turn == 0) {
                const auto move = referee::provider_move(provider, *state);
                if (!move) return moved;
                sent = play(kProvider, job, moved.state, *move);
                if (!sent.ok) {
                    EXPECT_EQ(sent.error().substr(0, 7), "Refused");
                    return moved;
                }
            } else {
                const std::optional<uint32_t> index = pick(*state);
                if (!index) return moved;
                sent = play(kOutsider, job, moved.state, referee::move::pick(*index));
                EXPECT_TRUE(sent.ok) << sent.error();
            }
            EXPECT_LT(sent.gas_used, 16'000'000U);
            const auto next = moved_in(sent);
            if (!next) return std::nullopt;
            moved = *next;
        }
        ADD_FAILURE() << "no end";
        return std::nullopt;
    }

    Bytes data = training::make_text(4000);
    training::Program program = small_program(data);
    std::unique_ptr<training::Backend> backend = training::make_cpu_backend({});
};

TEST_F(dispute, a_fraud_that_all_accepted_is_proven_by_one_outsider) {
    const uint64_t job = taken_job();
    referee::Slip slip{1, 1, referee::SubjectKind::value, 30, 0, std::nullopt, 0x3f8ccccd};
    referee::Witness liar = witness(job, slip), challenger = witness(job);
    accept_unaudited(job, liar);
    const Uint256 bond = reserved(kProvider), burned = market.burned();
    const Sent begun = start(job);
    ASSERT_TRUE(begun.ok) << begun.error();
    const auto left = play_out(job, liar, *moved_in(begun), [&](const referee::State& s) {
        return *referee::challenger_pick(challenger, s);
    });
    ASSERT_TRUE(left.has_value());
    EXPECT_EQ(left->turn, 0U);
    EXPECT_EQ(timeout(job).error(), "NotYet");
    market.chain.mine(market.segment(job, 0).phase_deadline - market.chain.number() + 1);
    const Uint256 due = bond_due(job);
    ASSERT_TRUE(timeout(job).ok);
    EXPECT_EQ(state_of(job), SegmentState::void_proven);
    EXPECT_EQ(reserved(kProvider), 0);
    EXPECT_EQ(market.credit(kOutsider), due + bond / 5);
    EXPECT_EQ(market.burned() - burned, bond - bond / 5);
    EXPECT_EQ(market.job(job).state, JobState::open);
    expect_solvent(1);
}

TEST_F(dispute, an_honest_provider_wins_and_the_next_one_costs_twice_as_much) {
    const uint64_t job = taken_job();
    referee::Witness provider = witness(job);
    accept_unaudited(job, provider);
    const Uint256 bond = bond_due(job), burned = market.burned();
    const Sent begun = start(job);
    ASSERT_TRUE(begun.ok);
    const auto end = play_out(job, provider, *moved_in(begun), [](const referee::State& s) {
        const bool is_step = s.phase == referee::Phase::pick_step;
        return std::optional<uint32_t>(is_step ? 1 : 0);
    });
    EXPECT_FALSE(end.has_value());
    EXPECT_EQ(state_of(job), SegmentState::accepted);
    EXPECT_EQ(market.credit(kProvider), bond / 2);
    EXPECT_EQ(market.burned() - burned, bond - bond / 2);
    EXPECT_EQ(bond_due(job), bond * 2);
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
    market.chain.mine(2 * kWindow);
    EXPECT_TRUE(market.finalize(job).ok);
    expect_solvent(1);
}

TEST_F(dispute, who_points_at_nothing_loses) {
    const uint64_t job = taken_job();
    referee::Witness provider = witness(job);
    accept_unaudited(job, provider);
    const Sent begun = start(job);
    const auto left = play_out(job, provider, *moved_in(begun),
                               [](const referee::State&) { return std::optional<uint32_t>(); });
    ASSERT_TRUE(left.has_value());
    EXPECT_EQ(left->turn, 1U);
    market.chain.mine(market.segment(job, 0).phase_deadline - market.chain.number() + 1);
    EXPECT_EQ(play(kOutsider, job, left->state, referee::move::pick(0)).error(), "TooLate");
    ASSERT_TRUE(timeout(job).ok);
    EXPECT_EQ(state_of(job), SegmentState::accepted);
    EXPECT_EQ(market.credit(kOutsider), 0);
    expect_solvent(1);
}

TEST_F(dispute, moves_of_others_and_of_other_states_are_refused) {
    const uint64_t job = taken_job();
    referee::Witness provider = witness(job);
    accept_unaudited(job, provider);
    EXPECT_EQ(market.call(kProvider, "dispute(uint256,uint32)", Abi().word(job).word(0)).error(),
              "NotAllowed");
    EXPECT_EQ(market.call(kOutsider, "dispute(uint256,uint32)", Abi().word(job).word(0)).error(),
              "BadValue(bond)");
    const Moved moved = *moved_in(start(job));
    EXPECT_EQ(state_of(job), SegmentState::disputed);
    expect_solvent(1, bond_due(job));
    EXPECT_FALSE(start(job).ok);
    EXPECT_FALSE(market.finalize(job).ok);
    const Bytes move = *referee::provider_move(provider, *referee::decode_state(moved.state));
    EXPECT_EQ(play(kOutsider, job, moved.state, move).error(), "NotAllowed");
    Bytes other = moved.state;
    other.back() ^= 1;
    EXPECT_EQ(play(kProvider, job, other, move).error(), "BadValue(state)");
    EXPECT_EQ(play(kProvider, job, moved.state, {}).error(), "BadValue(move)");
    Bytes half(move.begin(), move.begin() + 40);
    EXPECT_EQ(play(kProvider, job, moved.state, half).error().substr(0, 7), "Refused");
    EXPECT_TRUE(play(kProvider, job, moved.state, move).ok);
    EXPECT_EQ(play(kProvider, job, moved.state, move).error(), "NotAllowed");
}

}  // namespace
}  // namespace trainyard::contracts
