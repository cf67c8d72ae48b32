// SPDX-License-Identifier: Apache-2.0
// Staking call by call: joining, delegating, leaving, elections, jail, slashes, and receivers that
// mean harm.
#include <gtest/gtest.h>

#include "consensus/beacon/beacon.hpp"
#include "consensus/staking/read_set.hpp"
#include "consensus/transition/simulate.hpp"
#include "core/hash.hpp"
#include "market.hpp"
#include "staking.hpp"

namespace trainyard::contracts {
namespace {

namespace cb = consensus::bft;
using cb::VoteKind;

const Address kNew = actor("newcomer");
const Address kRich = actor("rich");
const Address kPoor = actor("poor");

struct StakingFixture : testing::Test {
    StakingFixture() {
        for (const auto& v : make_validators(4)) validators.push_back(v.operator_address);
        for (const Address& who : {kNew, kRich, kPoor}) s.chain.give(who, kCoin * 10'000);
    }
    StakingChain s{make_validators(4)};
    std::vector<Address> validators;  ///< with 32, 33, 34 and 35 coins
};
using staking = StakingFixture;

// --- joining

TEST_F(staking, genesis_stake_is_covered_by_the_balance_and_makes_the_first_two_sets) {
    EXPECT_EQ(word_at(s.view("totalStake()"), 0), s.chain.balance(s.at()));
    for (const uint64_t epoch : {0, 1}) {
        const auto set = s.set_of(epoch);
        ASSERT_EQ(set.size(), 4u);
        for (const auto& v : set.all())
            EXPECT_EQ(v.consensus_key, duty_public(v.address, Duty::consensus));
        EXPECT_EQ(set.total_weight(), 134'000'000'000u);
    }
    EXPECT_EQ(consensus::read_set(s.chain.state(), s.chain.config(), {2}).error(),
              consensus::ReadSetError::refused);
}

TEST_F(staking, a_newcomer_is_elected_into_the_set_of_the_epoch_after_the_next) {
    ASSERT_TRUE(s.join(kNew, kCoin * 20, 500).ok);
    EXPECT_EQ(s.candidate(kNew).weight_gwei, 20'000'000'000u);
    s.enter_epoch(1);
    EXPECT_EQ(s.weight_in(1, kNew), 0u);
    EXPECT_EQ(s.weight_in(2, kNew), 20'000'000'000u);
    EXPECT_EQ(word_at(s.view("validatorCount()"), 0), 4u);
    s.enter_epoch(2);
    EXPECT_EQ(word_at(s.view("validatorCount()"), 0), 5u);
}

TEST_F(staking, keys_must_be_proven_new_and_not_the_operators_own) {
    EXPECT_EQ(s.join(kNew, kCoin, 0, validators[0]).error(), "BadValue(key)");
    ASSERT_TRUE(s.join(kNew, kCoin, 0).ok);
    EXPECT_EQ(s.join(kNew, kCoin, 0).error(), "BadValue(operator)");
    EXPECT_EQ(s.join(kRich, kCoin, 0, kNew).error(), "BadValue(key)") << "taken for all time";
    EXPECT_EQ(s.join(kRich, kCoin - 1, 0).error(), "BadValue(stake)");
    EXPECT_EQ(s.join(kRich, kCoin, 10'001).error(), "BadValue(commission)");
    const SecretKey own = duty_key(kPoor, Duty::vrf);
    const Address of_key = *address_of(own);
    s.chain.give(of_key, kCoin);
    EXPECT_EQ(s.join(of_key, kCoin, 0, kPoor).error(), "BadValue(key)");
}

TEST_F(staking, a_proof_for_another_operator_proves_nothing) {
    Abi args;
    for (const Duty duty : {Duty::consensus, Duty::vrf, Duty::p2p}) {
        const auto point = *whole_point(duty_public(kRich, duty));
        const auto digest = hash_at(s.view("possessionDigest(address,uint256)",
                                           Abi().address(kRich).word(static_cast<uint64_t>(duty))),
                                    0);
        const auto proof = sign(duty_key(kRich, duty), digest);
        args.hash(*fixed_from<Hash>(BytesView(point.bytes).first(32)))
            .hash(*fixed_from<Hash>(BytesView(point.bytes).subspan(32)))
            .word(27u + proof.y_parity)
            .hash(*fixed_from<Hash>(BytesView(proof.rs.bytes).first(32)))
            .hash(*fixed_from<Hash>(BytesView(proof.rs.bytes).subspan(32)));
    }
    args.word(0);
    const std::string_view call = "register((bytes32,bytes32,uint8,bytes32,bytes32)[3],uint16)";
    EXPECT_EQ(s.send(kNew, call, args, kCoin).error(), "BadValue(proof)");
    EXPECT_TRUE(s.send(kRich, call, args, kCoin).ok) << "it is the one of this operator";
}

// The wallet computes the same value in wallet_staking.signs_what_the_contract_asks_for.
TEST_F(staking, possession_digests_are_frozen) {
    Address operator_address;
    operator_address.bytes.fill(0x11);
    const Abi args = Abi().address(operator_address).word(1);
    EXPECT_EQ(to_hex(hash_at(s.view("possessionDigest(address,uint256)", args), 0).bytes),
              "a300bf8be098c8f9447a2cfb8a8ce096a7d946ef541f63f15459bf51fe263a18");
}

TEST_F(staking, the_commission_falls_at_once_and_rises_by_ten_points_an_epoch) {
    ASSERT_TRUE(s.join(kNew, kCoin, 500).ok);
    EXPECT_EQ(s.set_commission(kNew, 511).error(), "BadValue(commission)");
    ASSERT_TRUE(s.set_commission(kNew, 510).ok);
    EXPECT_EQ(s.set_commission(kNew, 511).error(), "NotYet");
    ASSERT_TRUE(s.set_commission(kNew, 100).ok);
    s.enter_epoch(1);
    ASSERT_TRUE(s.set_commission(kNew, 110).ok);
    EXPECT_EQ(s.set_commission(kRich, 1).error(), "NotValidator");
}

// --- money

TEST_F(staking, fees_of_a_block_go_to_its_leader_and_its_delegators_less_commission) {
    const Address v = validators[0];
    ASSERT_TRUE(s.deposit(kRich, v, kCoin * 68).ok);  // 100 of its own
    ASSERT_TRUE(s.delegate(kPoor, v, kCoin * 300).ok);
    const auto leads = [&] {
        const auto set = s.set_of(s.epoch());
        const auto seed = s.chain.beacon_at(0);
        return set.at(leader_of(set, seed, {s.chain.view()})).address == v;
    };
    while (!leads()) s.chain.mine();
    ASSERT_LE(s.chain.number(), 16u) << "still seeded by genesis";
    s.pay_fees(kCoin);
    s.chain.mine();
    const Bytes d = s.view("delegation(address,address)", Abi().address(v).address(kPoor));
    EXPECT_EQ(word_at(d, 2), kCoin * 3 / 4 - 1) << "rounded down";
    EXPECT_EQ(word_at(s.view("rewardsOf(address)", Abi().address(v)), 0), kCoin / 4);
    const Uint256 before = s.chain.balance(kPoor);
    ASSERT_TRUE(s.claim(kPoor, v).ok);
    EXPECT_EQ(s.chain.balance(kPoor), before + kCoin * 3 / 4 - 1);
    EXPECT_EQ(s.claim(kPoor, v).error(), "NothingDue");
}

TEST_F(staking, what_is_undelegated_leaves_after_its_delay) {
    const Address v = validators[0];
    ASSERT_TRUE(s.delegate(kPoor, v, kCoin * 5).ok);
    EXPECT_EQ(s.undelegate(kPoor, v, kCoin * 5 + 1).error(), "BadValue(shares)");
    ASSERT_TRUE(s.undelegate(kPoor, v, kCoin * 5).ok);
    const Uint256 before = s.chain.balance(kPoor);
    ASSERT_TRUE(s.withdraw(kPoor, v).ok);
    EXPECT_EQ(s.chain.balance(kPoor), before);
    s.chain.mine(StakingChain::kUnbond);
    ASSERT_TRUE(s.withdraw(kPoor, v).ok);
    EXPECT_EQ(s.chain.balance(kPoor), before + kCoin * 5);
    EXPECT_EQ(s.chain.balance(s.at()), word_at(s.view("totalStake()"), 0));
}

TEST_F(staking, a_queue_holds_32_exits) {
    const Address v = validators[0];
    ASSERT_TRUE(s.delegate(kPoor, v, 40).ok);
    for (int i = 0; i < 32; ++i) ASSERT_TRUE(s.undelegate(kPoor, v, 1).ok);
    EXPECT_EQ(s.undelegate(kPoor, v, 1).error(), "QueueFull");
    s.chain.mine(StakingChain::kUnbond);
    ASSERT_TRUE(s.withdraw(kPoor, v, 1).ok);
    EXPECT_TRUE(s.undelegate(kPoor, v, 1).ok);
}

TEST_F(staking, the_first_delegator_cannot_make_shares_dear) {
    const Address v = validators[0];
    ASSERT_TRUE(s.delegate(kRich, v, 1).ok);
    s.pay_fees(kCoin * 1000);  // what a donation would be
    s.chain.mine();
    ASSERT_TRUE(s.delegate(kPoor, v, kCoin).ok);
    const Bytes d = s.view("delegation(address,address)", Abi().address(v).address(kPoor));
    EXPECT_EQ(word_at(d, 0), kCoin);
    EXPECT_EQ(word_at(d, 1), kCoin);
}

TEST_F(staking, fines_take_self_stake_then_the_newest_exits_but_no_delegation) {
    const Address v = validators[0];
    ASSERT_TRUE(s.delegate(kPoor, v, kCoin * 7).ok);
    ASSERT_TRUE(s.unbond(v, kCoin * 10).ok);
    ASSERT_TRUE(s.unbond(v, kCoin * 20).ok);
    EXPECT_EQ(s.send(kPoor, "fine(address,uint256)", Abi().address(v).word(1)).error(),
              "NotMarket");
    const Uint256 before = s.chain.balance(s.chain.address("ComputeMarket"));
    ASSERT_TRUE(s.fine(v, kCoin * 5).ok);
    EXPECT_EQ(s.chain.balance(s.chain.address("ComputeMarket")), before + kCoin * 5);
    const Bytes queue = s.view("unbonding(address,address)", Abi().address(v).address(v));
    EXPECT_EQ(word_at(queue, 2), kCoin * 10);
    EXPECT_EQ(word_at(queue, 4), kCoin * 17);
    ASSERT_TRUE(s.fine(v, kCoin * 1000).ok);
    EXPECT_EQ(s.candidate(v).leaving, 0);
    EXPECT_EQ(s.candidate(v).delegated, kCoin * 7);
    EXPECT_EQ(s.chain.balance(s.chain.address("ComputeMarket")), before + kCoin * 32);
    s.chain.mine(StakingChain::kUnbond);
    ASSERT_TRUE(s.withdraw(v, v).ok);
    EXPECT_EQ(s.chain.balance(v), 0);
}

TEST_F(staking, an_operator_that_an_audit_may_fine_cannot_take_all_of_its_stake_out) {
    const Address v = validators[0];
    EXPECT_EQ(s.send(v, "hold(address,uint64)", Abi().address(v).word(1)).error(), "NotMarket");
    ASSERT_TRUE(s.unbond(v, kCoin * 20).ok);
    const uint64_t until = s.chain.number() + StakingChain::kUnbond + 50;
    ASSERT_TRUE(s.hold(v, until).ok);
    ASSERT_TRUE(s.hold(v, until - 10).ok) << "a shorter hold changes nothing";
    ASSERT_TRUE(s.delegate(kRich, v, kCoin).ok);
    ASSERT_TRUE(s.undelegate(kRich, v, kCoin).ok);
    s.chain.mine(StakingChain::kUnbond);
    ASSERT_TRUE(s.withdraw(v, v).ok) << "12 coins stay behind";
    EXPECT_EQ(s.chain.balance(v), kCoin * 20);
    ASSERT_TRUE(s.unbond(v, kCoin * 12).ok);
    EXPECT_EQ(s.withdraw(v, v).error(), "Held");
    ASSERT_TRUE(s.withdraw(kRich, v).ok) << "delegators are fined for nothing";
    s.chain.mine(until - s.chain.number());
    EXPECT_EQ(s.withdraw(v, v).error(), "Held") << "the last block counts";
    ASSERT_TRUE(s.fine(v, kCoin).ok);
    s.chain.mine(StakingChain::kUnbond);
    ASSERT_TRUE(s.withdraw(v, v).ok);
    EXPECT_EQ(s.chain.balance(v), kCoin * 31);
}

TEST_F(staking, a_fine_costs_the_other_exits_nothing_also_after_a_slash) {
    const Address v = validators[0];
    ASSERT_TRUE(s.delegate(kPoor, v, 41).ok);
    ASSERT_TRUE(s.undelegate(kPoor, v, 41).ok);
    ASSERT_TRUE(s.unbond(v, 41).ok);
    ASSERT_TRUE(s.slash(kRich, v, s.votes(v, VoteKind::notarize, VoteKind::notarize)).ok);
    const auto left = [&](const Address& who) {
        return word_at(s.view("unbonding(address,address)", Abi().address(v).address(who)), 2);
    };
    ASSERT_EQ(left(kPoor), 39) << "of 78 wei in 82 shares";
    ASSERT_TRUE(s.fine(v, s.candidate(v).self + Uint256(1)).ok);
    EXPECT_EQ(left(kPoor), 39) << "77 wei in 80 shares; in 81 it would be 38";
}

// --- elections

TEST_F(staking, no_weight_exceeds_a_third_of_the_set_and_equal_validators_keep_theirs) {
    ASSERT_TRUE(s.delegate(kRich, validators[3], kCoin * 5000).ok);
    s.enter_epoch(1);
    const auto set = s.set_of(2);
    for (const auto& v : set.all()) EXPECT_LE(v.stake_gwei, set.fault_bound());
    EXPECT_EQ(s.weight_in(2, validators[3]), 49'499'999'999u) << "(32 + 33 + 34 coins - 1) / 2";
    EXPECT_EQ(s.weight_in(2, validators[0]), 32'000'000'000u);
    EXPECT_EQ(set.size() - 1, 3u);
}

TEST_F(staking, a_weight_between_a_third_and_a_half_is_cut_too) {
    ASSERT_TRUE(s.delegate(kRich, validators[3], kCoin * 34).ok);  // 69 of 168
    s.enter_epoch(1);
    EXPECT_EQ(s.weight_in(2, validators[3]), 49'499'999'999u);
    const auto set = s.set_of(2);
    for (const auto& v : set.all()) EXPECT_LE(v.stake_gwei, set.fault_bound());
}

TEST_F(staking, who_has_less_than_the_minimum_of_its_own_is_not_elected) {
    ASSERT_TRUE(s.join(kNew, kCoin).ok);
    ASSERT_TRUE(s.delegate(kRich, kNew, kCoin * 500).ok);
    ASSERT_TRUE(s.unbond(kNew, 1).ok);
    s.enter_epoch(1);
    EXPECT_EQ(s.weight_in(2, kNew), 0u);
    ASSERT_TRUE(s.deposit(kRich, kNew, 1).ok);
    s.enter_epoch(2);
    EXPECT_GT(s.weight_in(3, kNew), 0u);
}

TEST_F(staking, when_everybody_leaves_the_last_set_stays) {
    for (const Address& v : validators) ASSERT_TRUE(s.unbond(v, s.candidate(v).self).ok);
    s.enter_epoch(3);
    EXPECT_EQ(s.set_of(4).all(), s.set_of(0).all());
}

TEST_F(staking, draws_follow_the_set_of_their_epoch_not_later_stakes) {
    const Address v = validators[0];
    ASSERT_TRUE(s.unbond(v, kCoin * 32).ok);
    const auto weight = [&](uint64_t mini_epoch) {
        return word_at(s.view("weightAt(address,uint256)", Abi().address(v).word(mini_epoch)), 0);
    };
    EXPECT_EQ(weight(0), 32'000'000'000u);
    EXPECT_EQ(weight(15), 32'000'000'000u);
    s.enter_epoch(2);
    EXPECT_EQ(weight(15), 32'000'000'000u);
    EXPECT_EQ(weight(16), 0) << "mini-epoch 16 begins epoch 2";
    const auto drawn = [&](uint64_t mini_epoch) {
        const Bytes out =
            s.view("draw(bytes32,uint256,address,address,uint256)",
                   Abi().hash({}).word(mini_epoch).address(validators[1]).address(kNew).word(9));
        return array_at(out, 0).size();
    };
    EXPECT_EQ(drawn(15), 3u);
    EXPECT_EQ(drawn(16), 2u);
}

TEST_F(staking, stake_of_a_set_is_there_until_what_left_when_it_was_fixed_is_released) {
    const auto until = [&](uint64_t mini_epoch) {
        return word_at(s.view("backedUntil(uint256)", Abi().word(mini_epoch)), 0).low();
    };
    EXPECT_EQ(until(0), 400u);
    EXPECT_EQ(until(15), 400u) << "the sets of epochs 0 and 1 are those of genesis";
    EXPECT_EQ(until(16), 64u + 400u) << "that of epoch 2 is fixed in the last block of epoch 0";
    EXPECT_EQ(until(24), 128u + 400u);
    s.chain.mine(64 - s.chain.number());
    ASSERT_TRUE(s.unbond(validators[0], kCoin * 32).ok) << "in that block, too late for the set";
    EXPECT_EQ(
        word_at(s.view("weightAt(address,uint256)", Abi().address(validators[0]).word(16)), 0),
        32'000'000'000u);
    const Uint256 before = s.chain.balance(validators[0]);
    s.chain.mine(until(16) - 1 - s.chain.number());
    ASSERT_TRUE(s.withdraw(validators[0], validators[0]).ok);
    EXPECT_EQ(s.chain.balance(validators[0]), before);
    s.chain.mine();
    ASSERT_TRUE(s.withdraw(validators[0], validators[0]).ok);
    EXPECT_EQ(s.chain.balance(validators[0]) - before, kCoin * 32);
}

// --- turns and jail

TEST_F(staking, who_misses_more_than_half_of_its_turns_is_jailed_until_it_asks) {
    const auto set = s.set_of(0);
    const Address absent = validators[1];
    for (uint64_t n = s.chain.number() + 1; n <= StakingChain::kEpoch; ++n) {
        uint64_t view = s.chain.view() + 1;
        const uint64_t mini = (n - 1) / 8;
        const Hash seed = s.chain.beacon_at(mini < 2 ? 0 : (mini - 1) * 8);
        while (set.at(leader_of(set, seed, {view})).address == absent) ++view;
        s.chain.mine_in_view(view);
    }
    const auto jailed = s.candidate(absent);
    EXPECT_EQ(jailed.led, 0u);
    EXPECT_GE(jailed.missed, 8u);
    EXPECT_EQ(jailed.jailed_until, s.chain.number() + StakingChain::kEpoch);
    for (const Address& v : validators) EXPECT_TRUE(v == absent || s.candidate(v).missed == 0);
    EXPECT_EQ(s.weight_in(1, absent), 33'000'000'000u);
    EXPECT_EQ(s.weight_in(2, absent), 0u);
    EXPECT_EQ(s.candidate(absent).self, kCoin * 33) << "a jail takes nothing";
    EXPECT_EQ(s.unjail(absent).error(), "NotYet");
    s.chain.mine(StakingChain::kEpoch);
    ASSERT_TRUE(s.unjail(absent).ok);
    EXPECT_EQ(s.unjail(absent).error(), "NothingDue");
    s.enter_epoch(s.epoch() + 2);
    EXPECT_EQ(s.weight_in(s.epoch() + 1, absent), 33'000'000'000u);
}

TEST_F(staking, at_most_a_third_of_the_weight_is_jailed_at_once) {
    for (uint64_t n = s.chain.number() + 1; n <= StakingChain::kEpoch; ++n)
        s.chain.mine_in_view(s.chain.view() + 20);  // nearly all turns are missed
    uint64_t jailed = 0;
    for (const Address& v : validators)
        if (s.candidate(v).jailed_until != 0) jailed += s.weight_in(0, v);
    EXPECT_GT(jailed, 0u);
    EXPECT_LE(jailed, s.set_of(0).total_weight() / 3);
    EXPECT_GE(s.set_of(2).size(), 3u);
}

TEST_F(staking, only_the_protocol_tells_of_blocks) {
    const Bytes told(96, 0);
    EXPECT_EQ(s.chain.send(kRich, s.at(), told).error(), "NotSystem");
    EXPECT_EQ(s.chain.impersonate(consensus::kSystemAddress, s.at(), Bytes(95, 0)).ok, false);
}

// --- slashes

TEST_F(staking, conflicting_votes_cost_everybody_a_twentieth_once_and_for_all) {
    const Address v = validators[2];  // 34 coins
    ASSERT_TRUE(s.delegate(kRich, v, kCoin * 60).ok);
    ASSERT_TRUE(s.undelegate(kRich, v, kCoin * 20).ok);
    const Uint256 burned = s.chain.balance(Address{});
    const Bytes votes = s.votes(v, VoteKind::notarize, VoteKind::notarize);
    ASSERT_TRUE(s.slash(kPoor, v, votes).ok);
    const auto after = s.candidate(v);
    EXPECT_TRUE(after.tombstoned);
    EXPECT_EQ(after.self, kCoin * 34 * 95 / 100);
    EXPECT_EQ(after.delegated, kCoin * 38);
    EXPECT_EQ(after.leaving, kCoin * 19);
    EXPECT_EQ(word_at(s.view("rewardsOf(address)", Abi().address(kPoor)), 0), kCoin * 94 / 20 / 20);
    EXPECT_EQ(s.chain.balance(Address{}) - burned, kCoin * 94 / 20 * 95 / 100);
    EXPECT_EQ(s.slash(kPoor, v, s.votes(v, VoteKind::finalize, VoteKind::finalize)).error(),
              "Tombstoned");
    EXPECT_EQ(s.delegate(kRich, v, 1).error(), "Tombstoned");
    EXPECT_EQ(s.deposit(kRich, v, 1).error(), "Tombstoned");
    ASSERT_TRUE(s.undelegate(kRich, v, kCoin * 40).ok) << "who is there may leave";
    s.enter_epoch(1);
    EXPECT_EQ(s.weight_in(2, v), 0u);
    s.chain.mine(StakingChain::kUnbond);
    const Uint256 before = s.chain.balance(kRich);
    ASSERT_TRUE(s.withdraw(kRich, v).ok);
    EXPECT_EQ(s.chain.balance(kRich), before + kCoin * 57);
}

TEST_F(staking, each_offence_of_the_voting_rules_is_slashable_and_nothing_else) {
    const std::pair<VoteKind, VoteKind> wrong[] = {{VoteKind::notarize, VoteKind::notarize},
                                                   {VoteKind::finalize, VoteKind::finalize},
                                                   {VoteKind::nullify, VoteKind::finalize},
                                                   {VoteKind::finalize, VoteKind::nullify}};
    for (size_t i = 0; i < std::size(wrong); ++i)
        EXPECT_TRUE(
            s.slash(kPoor, validators[i], s.votes(validators[i], wrong[i].first, wrong[i].second))
                .ok);
    ASSERT_TRUE(s.join(kNew, kCoin).ok);
    const std::pair<VoteKind, VoteKind> right[] = {{VoteKind::notarize, VoteKind::nullify},
                                                   {VoteKind::notarize, VoteKind::finalize},
                                                   {VoteKind::nullify, VoteKind::nullify}};
    for (const auto& [first, second] : right)
        EXPECT_EQ(s.slash(kPoor, kNew, s.votes(kNew, first, second)).error(), "NoOffence");
}

TEST_F(staking, forged_cut_or_foreign_evidence_is_refused) {
    const Bytes good = s.votes(validators[0], VoteKind::notarize, VoteKind::notarize);
    EXPECT_EQ(s.slash(kPoor, validators[1], good).error(), "NoOffence") << "another's key";
    EXPECT_EQ(s.slash(kPoor, kRich, good).error(), "NotValidator");
    EXPECT_EQ(s.slash(kPoor, validators[0], BytesView(good).first(231)).error(), "BadInput");
    for (const size_t at : {0u, 1u, 2u, 10u, 18u, 52u, 115u, 116u, 118u, 126u, 200u, 231u}) {
        Bytes bad = good;
        bad[at] ^= 1;
        EXPECT_EQ(s.slash(kPoor, validators[0], bad).error(), "NoOffence") << at;
    }
    Bytes same = good;
    std::copy(good.begin(), good.begin() + 116, same.begin() + 116);
    EXPECT_EQ(s.slash(kPoor, validators[0], same).error(), "NoOffence") << "one vote twice";
    EXPECT_TRUE(s.slash(kPoor, validators[0], good).ok);
}

// --- many candidates

TEST_F(staking, elections_among_a_thousand_candidates_fit_a_system_call) {
    std::vector<std::pair<uint64_t, Address>> all;  // heaviest first: ~weight
    for (const Address& v : validators) all.push_back({~s.candidate(v).weight_gwei.low(), v});
    uint64_t dearest_join = 0;
    for (int i = 0; i < 996; ++i) {
        const Address who = actor("candidate " + std::to_string(i));
        const Uint256 stake = kCoin + Uint256(1'000'000'000) * Uint256(keccak256(who.bytes)[0] + i);
        s.chain.give(who, stake);
        const Sent joined = s.join(who, stake);
        ASSERT_TRUE(joined.ok) << i;
        dearest_join = std::max(dearest_join, joined.gas_used);
        all.push_back({~divmod(stake, 1'000'000'000).quotient.low(), who});
    }
    std::sort(all.begin(), all.end());
    all.resize(200);
    while ((s.chain.number() + 1) % StakingChain::kEpoch != 0) s.chain.mine();
    const uint64_t next = s.epoch() + 2;
    consensus::BlockEnv env;
    env.number = s.chain.number() + 1;
    env.gas_limit = uint64_t{1} << 40;
    consensus::CallRequest told;
    told.from = consensus::kSystemAddress;
    told.to = s.at();
    told.data = Abi().word(s.chain.view() + 33).word(s.chain.view()).word(1).encode();
    const auto outcome =
        consensus::simulate_call(s.chain.state(), {s.chain.config(), env, {}}, told);
    ASSERT_TRUE(outcome && outcome->status == vm::Status::success);
    std::printf("gas of an election of 200 out of 1000: %lu; of joining: %lu\n",
                static_cast<unsigned long>(outcome->gas_peak),
                static_cast<unsigned long>(dearest_join));
    EXPECT_LT(outcome->gas_peak, static_cast<uint64_t>(consensus::kSystemCallGas) / 2);
    s.chain.mine();
    const auto set = s.set_of(next);
    ASSERT_EQ(set.size(), 200u);
    for (const auto& [weight, who] : all) EXPECT_TRUE(set.find_address(who).has_value());
    // The list is full: only who outweighs the lightest gets in, and takes its place.
    EXPECT_EQ(s.join(kNew, kCoin).error(), "BadValue(weight)");
    const Sent displaced = s.join(kRich, kCoin * 9);
    ASSERT_TRUE(displaced.ok);
    std::printf("gas of joining a full list: %lu\n",
                static_cast<unsigned long>(displaced.gas_used));
    std::vector<Address> out;
    for (int i = 0; i < 996; ++i) {
        const Address who = actor("candidate " + std::to_string(i));
        if (!s.candidate(who).contends) out.push_back(who);
    }
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(s.send(kPoor, "contend(address)", Abi().address(out[0])).error(), "BadValue(weight)");
    ASSERT_TRUE(s.delegate(kPoor, out[0], kCoin * 9).ok);
    EXPECT_TRUE(s.send(kPoor, "contend(address)", Abi().address(out[0])).ok);
    EXPECT_TRUE(s.candidate(out[0]).contends);
}

// --- receivers that mean harm

/// Runtime code that calls Staking with `again` whenever it gets money, without caring for the
/// outcome, and stops.
Bytes reentering_code(const Address& target, const Bytes& again) {
    const auto size = static_cast<uint8_t>(again.size());
    Bytes tail = {0x60, 0, 0x60, 0, 0x60, size, 0x60, 0, 0x60, 0, 0x73};
    append(tail, target.bytes);
    for (const uint8_t op : {0x5a, 0xf1, 0x00}) tail.push_back(op);  // GAS CALL STOP
    const auto start = static_cast<uint8_t>(7 + tail.size());
    Bytes code = {0x60, size, 0x60, start, 0x60, 0, 0x39};  // CODECOPY
    append(code, tail);
    append(code, again);
    return code;
}

TEST_F(staking, a_receiver_that_calls_again_is_paid_once) {
    const Address v = validators[0], thief = actor("thief");
    const Bytes withdraw = call_data("withdraw(address,uint256)", Abi().address(v).word(9));
    const Bytes claim = call_data("claim(address)", Abi().address(v));
    s.chain.give(thief, kCoin * 10);
    ASSERT_TRUE(s.delegate(thief, v, kCoin * 10).ok);
    ASSERT_TRUE(s.delegate(kRich, v, kCoin * 10).ok);
    for (int i = 0; i < 40; ++i) {
        s.pay_fees(kCoin);
        s.chain.mine();
    }
    ASSERT_TRUE(s.undelegate(thief, v, kCoin * 4).ok);
    ASSERT_TRUE(s.undelegate(thief, v, kCoin * 6).ok);
    s.chain.mine(StakingChain::kUnbond);
    const Uint256 due = word_at(s.view("rewardsOf(address)", Abi().address(thief)), 0);
    ASSERT_GT(due, 0);
    s.chain.install(thief, reentering_code(s.at(), withdraw));
    ASSERT_TRUE(s.chain.impersonate(thief, s.at(), withdraw).ok);
    EXPECT_EQ(s.chain.balance(thief), kCoin * 10);
    s.chain.install(thief, reentering_code(s.at(), claim));
    ASSERT_TRUE(s.chain.impersonate(thief, s.at(), claim).ok);
    EXPECT_EQ(s.chain.balance(thief), kCoin * 10 + due);
    EXPECT_FALSE(s.chain.impersonate(thief, s.at(), claim).ok);
}

}  // namespace
}  // namespace trainyard::contracts
