// SPDX-License-Identifier: Apache-2.0
// Disputes on the chain: real training of a small program, the contracts, and the referee between;
// bonds and clocks with segments that are made up.
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
constexpr uint64_t kMoveBlocks = 40;  // genesis/devnet.json
constexpr uint64_t kLongMoves = 10;

training::Program small_program(const Bytes& data) {
    training::GptOptions o = training::small_options();
    o.layers = 1, o.width = 12, o.sequence = 6, o.micro_batches = 2;
    o.steps = 2 * kSteps, o.segment_length = kSteps;
    training::Program program = *training::make_gpt(o);
    program.data.root = blob::id(data);
    return program;
}

struct dispute : MarketFixture {
    dispute() : MarketFixture({{"windowBlocks", kWindow}}) {
        spec.segments = 2, spec.steps = kSteps, spec.micro_batches = 2;
        spec.program_id = training::program_id(program);
    }

    referee::Witness witness(uint64_t job, std::optional<referee::Slip> slip = std::nullopt) {
        return witness_from(training::make_initial_state(program, market.job(job).run_seed, data),
                            slip);
    }
    referee::Witness witness_from(const training::ModelState& first,
                                  std::optional<referee::Slip> slip = std::nullopt) {
        auto out = referee::Witness::make(program, data, *backend, {first, kSteps, slip});
        EXPECT_TRUE(out.has_value());
        return std::move(*out);
    }
    void commit(uint64_t job, uint32_t number, referee::Witness& by) {
        const referee::Claim claim = *by.claim();
        const Abi args = Abi()
                             .word(job)
                             .word(number)
                             .hash(claim.segment.first_root)
                             .hash(claim.segment.last_root)
                             .hash(claim.segment.steps_root)
                             .word(claim.loss_bits)
                             .hash(keccak256(as_bytes("state blob")));
        ASSERT_TRUE(market
                        .call(kProvider,
                              "commit(uint256,uint32,bytes32,bytes32,bytes32,uint32,bytes32)", args)
                        .ok);
    }
    /// Nobody audits the segment that `by` commits to.
    void accept_unaudited(uint64_t job, referee::Witness& by) {
        commit(job, seg, by);
        market.open_audit(job, seg);
        while (market.segment(job, seg).state != SegmentState::accepted) {
            if (market.phase(job, seg) == Phase::serve) {
                ASSERT_TRUE(market.serve(kProvider, job, seg).ok);
                continue;
            }
            market.pass_deadline(job, seg);
        }
    }
    /// A committee that a challenge calls convicts it, whatever it is, and the provider appeals.
    void appeal_conviction(uint64_t job) {
        ASSERT_TRUE(market.challenge(kRival, job, 0, market.challenge_bond(job, 0)).ok);
        market.open_audit(job, seg);
        std::map<Address, Said> said;
        for (const Address& a : market.auditors(job, 0))
            said[a] = {Verdict::mismatch, keccak256(as_bytes("agreed"))};
        answer(job, 0, said);
        ASSERT_TRUE(market.appeal(kProvider, job, 0, market.appeal_bond(job)).ok);
    }
    Sent start(uint64_t job) {
        return market.dispute(kOutsider, job, seg, market.dispute_bond(job, seg));
    }
    Sent play(const Address& who, uint64_t job, const Bytes& state, const Bytes& move) {
        return market.play(who, job, seg, state, move);
    }
    SegmentState state_of(uint64_t job) { return market.segment(job, seg).state; }

    /// The clock of whoever is on move, and what the market remembers of the game.
    void expect_clock(uint64_t job, const Moved& moved, uint64_t moves) {
        const DisputeView d = market.dispute_of(job, seg);
        EXPECT_EQ(d.challenger, kOutsider);
        EXPECT_EQ(d.turn, moved.turn);
        EXPECT_EQ(d.moves, moves);
        EXPECT_EQ(d.moved_at, market.chain.number());
        EXPECT_EQ(d.state_hash, keccak256(moved.state));
        const uint64_t blocks =
            kMoveBlocks + (moves < kLongMoves ? 2 * spec.segment_blocks : uint64_t{0});
        EXPECT_EQ(market.segment(job, seg).phase_deadline, market.chain.number() + blocks) << moves;
    }
    /// Both play until the game ends or one has no move, which is what is given back.
    template <class Pick>
    std::optional<Moved> play_out(uint64_t job, referee::Witness& provider, Moved moved,
                                  const Pick& pick) {
        for (uint64_t moves = 0; moves < 100; ++moves) {
            expect_clock(job, moved, moves);
            const auto state = referee::decode_state(moved.state);
            EXPECT_TRUE(state.has_value());
            Bytes move;
            if (moved.turn == 0) {
                const auto made = referee::provider_move(provider, *state);
                if (!made) return moved;
                move = *made;
            } else {
                const std::optional<uint32_t> index = pick(*state);
                if (!index) return moved;
                move = referee::move::pick(*index);
            }
            market.chain.mine();
            const Sent sent = play(moved.turn == 0 ? kProvider : kOutsider, job, moved.state, move);
            if (!sent.ok) {
                EXPECT_EQ(moved.turn, 0U) << sent.error();
                EXPECT_EQ(sent.error().substr(0, 7), "Refused");
                return moved;
            }
            dearest = std::max(dearest, {sent.gas_used, moved.state.size() + move.size(),
                                         std::string(to_text(state->phase))});
            const auto next = moved_in(sent);
            if (!next) return std::nullopt;
            moved = *next;
        }
        ADD_FAILURE() << "no end";
        return std::nullopt;
    }
    /// Of the first step, and the first item of everything below.
    static std::optional<uint32_t> pick_first(const referee::State& s) {
        return s.phase == referee::Phase::pick_step ? 1 : 0;
    }
    static std::optional<uint32_t> pick_nothing(const referee::State&) { return std::nullopt; }

    uint32_t seg = 0;  ///< that is disputed
    Bytes data = training::make_text(4000);
    training::Program program = small_program(data);
    std::unique_ptr<training::Backend> backend = training::make_cpu_backend({});
    const referee::Slip wrong_value{1,         1, referee::SubjectKind::value, 30, 0, std::nullopt,
                                    0x3f8ccccd};
    std::tuple<uint64_t, size_t, std::string> dearest;  ///< gas, bytes, phase of a move
};

TEST_F(dispute, a_fraud_that_all_accepted_is_proven_by_one_outsider) {
    const uint64_t job = taken_job();
    referee::Witness liar = witness(job, wrong_value), challenger = witness(job);
    accept_unaudited(job, liar);
    const Uint256 bond = reserved(kProvider), burned = market.burned();
    const Uint256 due = market.dispute_bond(job, 0);
    const Sent begun = start(job);
    ASSERT_TRUE(begun.ok) << begun.error();
    const auto left = play_out(job, liar, *moved_in(begun), [&](const referee::State& s) {
        return *referee::challenger_pick(challenger, s);
    });
    ASSERT_TRUE(left.has_value());
    EXPECT_EQ(left->turn, 0U);
    EXPECT_EQ(market.timeout(job, 0).error(), "NotYet");
    let_deadline_pass(job, 0);
    ASSERT_TRUE(market.timeout(job, 0).ok);
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
    const Uint256 bond = market.dispute_bond(job, 0), burned = market.burned();
    const Sent begun = start(job);
    ASSERT_TRUE(begun.ok);
    const auto end = play_out(job, provider, *moved_in(begun), pick_first);
    EXPECT_FALSE(end.has_value());
    EXPECT_EQ(state_of(job), SegmentState::accepted);
    EXPECT_EQ(market.segment(job, 0).phase_deadline, market.chain.number() + 2 * kWindow)
        << "still nobody has audited it";
    EXPECT_EQ(market.credit(kProvider), bond / 2);
    EXPECT_EQ(market.credit(kOutsider), 0);
    EXPECT_EQ(market.burned() - burned, bond - bond / 2);
    EXPECT_EQ(market.dispute_bond(job, 0), bond * 2);
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
    market.chain.mine(2 * kWindow);
    EXPECT_TRUE(market.finalize(job).ok);
    expect_solvent(1);
}

/// Its steps are counted over the whole run.
TEST_F(dispute, of_a_later_segment_is_won_by_an_honest_provider_too) {
    const uint64_t job = taken_job();
    referee::Witness before = witness(job);
    referee::Witness provider = witness_from((*before.step(kSteps - 1))->after);
    commit(job, 0, before);
    seg = 1;
    accept_unaudited(job, provider);
    EXPECT_FALSE(play_out(job, provider, *moved_in(start(job)), pick_first).has_value());
    EXPECT_EQ(state_of(job), SegmentState::accepted);
    EXPECT_EQ(market.credit(kProvider), kCoin);
    EXPECT_EQ(market.dispute_bond(job, 0), kCoin * 2) << "the first one is not touched";
}

TEST_F(dispute, who_points_at_nothing_loses) {
    const uint64_t job = taken_job();
    referee::Witness provider = witness(job);
    accept_unaudited(job, provider);
    const Sent begun = start(job);
    const auto left = play_out(job, provider, *moved_in(begun), pick_nothing);
    ASSERT_TRUE(left.has_value());
    EXPECT_EQ(left->turn, 1U);
    let_deadline_pass(job, 0);
    EXPECT_EQ(play(kOutsider, job, left->state, referee::move::pick(0)).error(), "TooLate");
    ASSERT_TRUE(market.timeout(job, 0).ok);
    EXPECT_EQ(state_of(job), SegmentState::accepted);
    EXPECT_EQ(market.credit(kOutsider), 0);
    expect_solvent(1);
}

TEST_F(dispute, moves_of_others_and_of_other_states_are_refused) {
    const uint64_t job = taken_job();
    referee::Witness provider = witness(job);
    accept_unaudited(job, provider);
    const Moved moved = *moved_in(start(job));
    const Bytes move = *referee::provider_move(provider, *referee::decode_state(moved.state));
    for (const Address& other : {kOutsider, kRival, kClient})
        EXPECT_EQ(play(other, job, moved.state, move).error(), "NotAllowed");
    Bytes state = moved.state;
    state.back() ^= 1;
    EXPECT_EQ(play(kProvider, job, state, move).error(), "BadValue(state)");
    EXPECT_EQ(play(kProvider, job, moved.state, {}).error(), "BadValue(move)");
    Bytes half(move.begin(), move.begin() + 40);
    EXPECT_EQ(play(kProvider, job, moved.state, half).error(), "Refused(0)");
    Bytes wrong = move;
    wrong[10] ^= 1;
    EXPECT_EQ(play(kProvider, job, moved.state, wrong).error(), "Refused(1)");
    ASSERT_TRUE(play(kProvider, job, moved.state, move).ok);
    EXPECT_EQ(play(kProvider, job, moved.state, move).error(), "NotAllowed");
    EXPECT_EQ(market.dispute_of(job, 0).moves, 1u) << "refused ones do not count";
}

TEST_F(dispute, proves_a_fraud_that_a_committee_convicted_and_its_provider_stood_by) {
    const uint64_t job = taken_job();
    referee::Witness liar = witness(job, wrong_value), challenger = witness(job);
    accept_unaudited(job, liar);
    appeal_conviction(job);
    const auto left = play_out(job, liar, *moved_in(start(job)), [&](const referee::State& s) {
        return *referee::challenger_pick(challenger, s);
    });
    ASSERT_TRUE(left.has_value() && left->turn == 0);
    let_deadline_pass(job, 0);
    ASSERT_TRUE(market.timeout(job, 0).ok);
    EXPECT_EQ(state_of(job), SegmentState::void_proven);
    EXPECT_EQ(market.credit(kOutsider), kCoin * 4 + kCoin * 8 / 10)
        << "both bonds and half of the bounty";
    EXPECT_EQ(stake(kProvider), kCoin * 92);
    expect_solvent(1);
}

/// Whatever stake says of it.
TEST_F(dispute, acquits_an_honest_provider_that_a_bought_committee_convicted) {
    const uint64_t job = taken_job();
    referee::Witness provider = witness(job);
    accept_unaudited(job, provider);
    appeal_conviction(job);
    EXPECT_FALSE(play_out(job, provider, *moved_in(start(job)), pick_first).has_value());
    ASSERT_EQ(state_of(job), SegmentState::appealed);
    let_deadline_pass(job, 0);
    ASSERT_TRUE(market.on_segment(kAnyone, "advance", job, 0).ok);
    EXPECT_TRUE(market.finalize(job).ok);
    EXPECT_EQ(stake(kProvider), kCoin * 100);
    EXPECT_EQ(reserved(kProvider), kCoin * 8);
    expect_solvent(1);
}

/// A transaction has 2^24 gas (EIP-7825).
TEST_F(dispute, moves_cost_little_of_what_a_transaction_has) {
    const uint64_t job = taken_job();
    referee::Witness provider = witness(job);
    accept_unaudited(job, provider);
    EXPECT_FALSE(play_out(job, provider, *moved_in(start(job)), pick_first).has_value());
    const auto& [gas, bytes, phase] = dearest;
    std::printf("dearest move of the small program: %s, %zu bytes, %zu gas\n", phase.c_str(), bytes,
                static_cast<size_t>(gas));
    EXPECT_LT(gas, 1'000'000u);
}

struct MadeUpDispute : MarketFixture {
    explicit MadeUpDispute(std::map<std::string, Uint256> parameters = {{"windowBlocks", kWindow}},
                           size_t validators = 10)
        : MarketFixture(std::move(parameters), validators) {}
    const Uint256 fee = spec.audit_fee, deviation = fee * 10;
    const Uint256 first_bond = kCoin * 2, provider_bond = kCoin * 8;

    FakeSegment liar() const { return honest(0).with_other_sums(); }
    uint64_t accepted_job(const FakeSegment& made) {
        const uint64_t job = taken_job();
        EXPECT_TRUE(market.commit(kProvider, job, 0, made).ok);
        market.audit_honestly(job, 0, made);
        return job;
    }
    /// An alarm at level 0, and a committee of which all but `faithful` say Match, one of them with
    /// a digest that costs it a fine.
    uint64_t job_accepted_by_a_bought_committee() {
        const uint64_t job = served_job(liar());
        alarmed = market.auditors(job, 0)[0];
        market.run_round(job, 0, honest(0), {{alarmed, Manners::alarm}});
        committee = market.auditors(job, 0);
        faithful = committee[4];
        std::map<Address, Said> said;
        for (const Address& a : committee) said[a] = {Verdict::match, liar().digest()};
        said[faithful] = {Verdict::mismatch, honest(0).digest()};
        fined = committee[1];
        said[fined].digest = keccak256(as_bytes("another"));
        answer(job, 0, said);
        EXPECT_EQ(market.segment(job, 0).state, SegmentState::accepted);
        return job;
    }
    Sent start(uint64_t job, const Address& by = kOutsider) {
        return market.dispute(by, job, 0, market.dispute_bond(job, 0));
    }
    /// The provider shows its steps, the challenger nothing wrong in them.
    void lose(uint64_t job, const FakeSegment& made, const Address& by = kOutsider) {
        const Sent begun = start(job, by);
        ASSERT_TRUE(begun.ok);
        ASSERT_TRUE(market.play(kProvider, job, 0, moved_in(begun)->state, made.show_steps()).ok);
        let_deadline_pass(job, 0);
        ASSERT_TRUE(market.timeout(job, 0).ok);
    }
    void win(uint64_t job, const Address& by = kOutsider) {
        ASSERT_TRUE(start(job, by).ok);
        let_deadline_pass(job, 0);
        ASSERT_TRUE(market.timeout(job, 0).ok);
    }

    Address alarmed, faithful, fined;
    std::vector<Address> committee;
};

using made_up_dispute = MadeUpDispute;
/// The clock of a provider is as many times as long as it has open disputes; a challenger's is not.
TEST_F(made_up_dispute, of_many_segments_at_once_leaves_the_provider_time_for_each) {
    const uint64_t first = accepted_job(honest(0));
    const uint64_t clock = kMoveBlocks + 2 * spec.segment_blocks;
    const auto left = [&](uint64_t job) {
        return market.segment(job, 0).phase_deadline - market.chain.number();
    };
    ASSERT_TRUE(start(first).ok);
    EXPECT_EQ(left(first), clock);
    const uint64_t second = accepted_job(honest(0));
    const Sent begun = start(second);
    ASSERT_TRUE(begun.ok);
    EXPECT_EQ(left(second), 2 * clock);
    EXPECT_EQ(market.open_disputes(kProvider), 2U);
    ASSERT_TRUE(
        market.play(kProvider, second, 0, moved_in(begun)->state, honest(0).show_steps()).ok);
    EXPECT_EQ(left(second), clock) << "the challenger's";
    let_deadline_pass(second, 0);
    ASSERT_TRUE(market.timeout(second, 0).ok);
    EXPECT_EQ(market.open_disputes(kProvider), 1U);
    ASSERT_TRUE(market.timeout(first, 0).ok);
    EXPECT_EQ(market.segment(first, 0).state, SegmentState::void_proven);
    EXPECT_EQ(market.open_disputes(kProvider), 0U);
}

TEST_F(made_up_dispute, comes_before_the_window_ends) {
    const uint64_t late = accepted_job(honest(0));
    market.chain.mine(kWindow);
    EXPECT_EQ(start(late).error(), "TooLate");
    ASSERT_TRUE(market.finalize(late).ok);
    EXPECT_EQ(start(late).error(), "WrongState") << "it is paid";
    const uint64_t job = accepted_job(honest(0));
    market.chain.mine(kWindow - 1);
    EXPECT_TRUE(start(job).ok);
}

TEST_F(made_up_dispute, is_of_accepted_segments_by_anyone_but_the_provider) {
    const uint64_t job = taken_job();
    EXPECT_EQ(start(job).error(), "WrongState");
    ASSERT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
    EXPECT_EQ(start(job).error(), "WrongState") << "committed";
    market.open_audit(job, 0);
    EXPECT_EQ(start(job).error(), "WrongState") << "at level 0";
    ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
    const Address alarmed_one = market.auditors(job, 0)[0];
    market.run_round(job, 0, honest(0), {{alarmed_one, Manners::alarm}});
    EXPECT_EQ(start(job).error(), "WrongState") << "at level 1";
    market.run_level1(job, 0, honest(0));
    EXPECT_EQ(market.play(kProvider, job, 0, {}, {}).error(), "WrongState");
    EXPECT_EQ(market.timeout(job, 0).error(), "WrongState");
    EXPECT_EQ(start(job, kProvider).error(), "NotAllowed");
    EXPECT_EQ(market.dispute(kRival, job, 0, first_bond - 1).error(), "BadValue(bond)");
    const Sent begun = market.dispute(kRival, job, 0, first_bond + 5);
    ASSERT_TRUE(begun.ok);
    EXPECT_EQ(told(begun, "SegmentDisputed(uint256,uint32,address,uint256)", kRival),
              Words{first_bond});
    EXPECT_EQ(market.credit(kRival), 5);
    EXPECT_EQ(market.dispute_of(job, 0).challenger, kRival);
    EXPECT_EQ(market.dispute_of(job, 0).bond, first_bond);
    expect_solvent(1, first_bond);
}

TEST_F(made_up_dispute, keeps_everything_else_away) {
    const uint64_t job = accepted_job(honest(0));
    ASSERT_TRUE(start(job).ok);
    EXPECT_EQ(start(job, kRival).error(), "WrongState");
    EXPECT_EQ(market.challenge(kRival, job, 0, kCoin * 9).error(), "WrongState");
    EXPECT_EQ(market.on_segment(kAnyone, "advance", job, 0).error(), "WrongState");
    EXPECT_EQ(market.on_segment(kAnyone, "openAudit", job, 0).error(), "WrongState");
    EXPECT_EQ(market.reclaim(job, 0, 0).error(), "WrongState");
    market.chain.mine(kWindow * 2);
    EXPECT_EQ(market.finalize(job).error(), "NotYet");
}

TEST_F(made_up_dispute, gives_time_up_to_the_last_block_and_then_judges_by_whose_it_was) {
    const uint64_t job = accepted_job(honest(0));
    const Sent begun = start(job);
    const uint64_t clock = kMoveBlocks + 2 * spec.segment_blocks;
    market.chain.mine(clock);
    EXPECT_EQ(market.timeout(job, 0).error(), "NotYet");
    const Sent shown =
        market.play(kProvider, job, 0, moved_in(begun)->state, honest(0).show_steps());
    ASSERT_TRUE(shown.ok) << shown.error();
    EXPECT_EQ(market.play(kRival, job, 0, moved_in(shown)->state, referee::move::pick(0)).error(),
              "NotAllowed");
    market.chain.mine(clock);
    EXPECT_EQ(market.timeout(job, 0).error(), "NotYet");
    const Sent pointed =
        market.play(kOutsider, job, 0, moved_in(shown)->state, referee::move::pick(0));
    ASSERT_TRUE(pointed.ok) << pointed.error();
    market.chain.mine(clock + 1);
    EXPECT_EQ(market.play(kProvider, job, 0, moved_in(pointed)->state, Bytes{1}).error(),
              "TooLate");
    ASSERT_TRUE(market.timeout(job, 0).ok);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
}

TEST_F(made_up_dispute, that_is_lost_makes_the_next_dearer_and_opens_a_window) {
    const uint64_t job = accepted_job(honest(0));
    Uint256 half;
    for (unsigned n = 0; n < 4; ++n) {
        EXPECT_EQ(market.dispute_bond(job, 0), first_bond << n);
        EXPECT_EQ(market.dispute(kRival, job, 0, (first_bond << n) - 1).error(), "BadValue(bond)");
        const Sent begun = start(job, n % 2 == 0 ? kOutsider : kRival);
        EXPECT_EQ(market.dispute_of(job, 0).moves, 0u);
        EXPECT_EQ(market.dispute_of(job, 0).lost, n);
        expect_solvent(1, first_bond << n);
        ASSERT_TRUE(
            market.play(kProvider, job, 0, moved_in(begun)->state, honest(0).show_steps()).ok);
        let_deadline_pass(job, 0);
        ASSERT_TRUE(market.timeout(job, 0).ok);
        half += (first_bond << n) / 2;
        EXPECT_EQ(market.credit(kProvider), half);
        EXPECT_EQ(market.burned(), half);
        const SegmentView s = market.segment(job, 0);
        EXPECT_EQ(s.state, SegmentState::accepted);
        EXPECT_EQ(s.phase_deadline, market.chain.number() + kWindow);
        const DisputeView d = market.dispute_of(job, 0);
        EXPECT_EQ(d.challenger, Address{});
        EXPECT_EQ(d.bond, 0);
        EXPECT_EQ(d.state_hash, Hash{});
        expect_solvent(1);
    }
    ASSERT_TRUE(market.challenge(kRival, job, 0, market.challenge_bond(job, 0)).ok);
}

/// The provider may have been right and away.
TEST_F(made_up_dispute, that_is_won_by_the_clock_fines_nobody_who_said_match) {
    const uint64_t job = job_accepted_by_a_bought_committee();
    const auto before = stakes();
    const Uint256 burned = market.burned(), earned = market.credit(kProvider);
    win(job, kRival);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stakes(), before);
    for (const Address& v : market.validators)
        EXPECT_EQ(market.credit(v), 0) << "all of the bounty is the challenger's";
    EXPECT_EQ(market.credit(kRival), first_bond + provider_bond / 5);
    EXPECT_EQ(market.credit(kProvider), earned);
    EXPECT_EQ(market.burned() - burned, provider_bond * 4 / 5);
    EXPECT_EQ(stake(kProvider), kCoin * 92);
    EXPECT_EQ(market.job(job).state, JobState::open);
    EXPECT_EQ(market.job(job).tip, 0u);
    EXPECT_EQ(market.timeout(job, 0).error(), "WrongState");
    EXPECT_EQ(market.reclaim(job, 0, 0).error(), "NothingDue");
    expect_solvent(1);
}

TEST_F(made_up_dispute, that_is_lost_blesses_no_fraud) {
    const uint64_t job = accepted_job(liar());
    lose(job, liar());
    win(job, kRival);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(market.credit(kRival), first_bond * 2 + provider_bond / 5);
    EXPECT_EQ(market.credit(kOutsider), 0);
    expect_solvent(1);
}

/// 256 steps: 513 values and 255 state roots.
TEST_F(made_up_dispute, of_the_longest_segment_fits_into_transactions) {
    spec.steps = 256;
    const uint64_t job = accepted_job(honest(0));
    const Sent begun = start(job);
    const Bytes steps = honest(0).show_steps();
    const Sent shown = market.play(kProvider, job, 0, moved_in(begun)->state, steps);
    ASSERT_TRUE(shown.ok) << shown.error();
    const Bytes state = moved_in(shown)->state;
    const Sent pointed = market.play(kOutsider, job, 0, state, referee::move::pick(255));
    ASSERT_TRUE(pointed.ok) << pointed.error();
    std::printf("256 steps: shown in %zu bytes for %zu gas, pointed at with %zu bytes for %zu\n",
                steps.size(), static_cast<size_t>(shown.gas_used), state.size(),
                static_cast<size_t>(pointed.gas_used));
    EXPECT_LT(std::max(shown.gas_used, pointed.gas_used), 2'000'000u);
}

}  // namespace
}  // namespace trainyard::contracts
