// SPDX-License-Identifier: Apache-2.0
// Audits that nobody opens for longer than stake takes to leave: whoever is drawn can still be
// fined, and the provider's bond stays.
#include "market_fixture.hpp"

namespace trainyard::contracts {
namespace {

struct LateAudit : MarketFixture {
    Address staking = market.chain.address("Staking");

    uint64_t committed_job() {
        const uint64_t job = taken_job();
        EXPECT_TRUE(market.commit(kProvider, job, 0, honest(0)).ok);
        return job;
    }
    Sent leave(const Address& who) {
        const Abi all = Abi().word(market.stake_of(who));
        return market.chain.send(who, staking, call_data("unbond(uint256)", all));
    }
    /// Wei that the operator got of its exits; nullopt: it is held.
    std::optional<Uint256> taken_out(const Address& who) {
        const Uint256 before = market.chain.balance(who);
        const Abi args = Abi().address(who).word(9);
        if (!market.chain.send(who, staking, call_data("withdraw(address,uint256)", args)).ok)
            return std::nullopt;
        return market.chain.balance(who) - before;
    }
    uint64_t backed_until(uint64_t mini_epoch) {
        const Bytes out =
            market.chain.call(staking, call_data("backedUntil(uint256)", Abi().word(mini_epoch)));
        return word_at(out, 0).low();
    }
    void mine_to(uint64_t number) { market.chain.mine(number - market.chain.number()); }
    Sent open_audit(uint64_t job) { return market.on_segment(kAnyone, "openAudit", job, 0); }
};
using late_audit = LateAudit;

TEST_F(late_audit, is_drawn_anew_among_those_whose_stake_is_there) {
    const uint64_t job = committed_job();
    std::set<Address> gone;
    for (size_t i = 0; i < 6; ++i) gone.insert(market.validators[i]);
    for (const Address& v : gone) ASSERT_TRUE(leave(v).ok);
    market.chain.mine(401);
    for (const Address& v : gone) ASSERT_GT(*taken_out(v), 0);
    const Hash seed_before = market.segment(job, 0).root;
    const uint64_t now = market.chain.number();
    ASSERT_TRUE(open_audit(job).ok);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::committed) << "nobody is seated yet";
    EXPECT_EQ(market.segment(job, 0).seed_epoch, (now - 1 + 2) / 8) << "as if made in this block";
    EXPECT_EQ(market.segment(job, 0).root, seed_before);
    EXPECT_EQ(open_audit(job).error(), "NotYet") << "its seed is not known";
    market.open_audit(job, 0);
    ASSERT_EQ(market.segment(job, 0).state, SegmentState::l0);
    const auto auditors = market.auditors(job, 0);
    ASSERT_EQ(auditors.size(), 3u);
    for (const Address& a : auditors) {
        EXPECT_FALSE(gone.contains(a));
        EXPECT_GT(market.stake_of(a), 0);
    }
    ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
    const Uint256 before = market.stake_of(auditors[0]);
    market.run_round(job, 0, honest(0), {{auditors[0], Manners::silent}});
    EXPECT_EQ(before - market.stake_of(auditors[0]), spec.audit_fee * 2) << "silence costs";
    expect_solvent(1);
}

TEST_F(late_audit, is_opened_as_it_was_drawn_up_to_the_last_block_in_which_all_stake_is_there) {
    for (const Address& v : market.validators) ASSERT_TRUE(leave(v).ok);
    mine_to(100);
    const uint64_t job = committed_job();
    const uint64_t seed_epoch = market.segment(job, 0).seed_epoch;
    const uint64_t end = backed_until(seed_epoch);
    EXPECT_EQ(end, 400u) << "the sets of the first two epochs are those of genesis";
    mine_to(end - 1);
    for (const Address& v : market.validators) EXPECT_EQ(*taken_out(v), 0);
    ASSERT_TRUE(open_audit(job).ok);
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::l0);
    EXPECT_EQ(market.segment(job, 0).seed_epoch, seed_epoch);
    market.chain.mine(10);
    size_t held = 0;
    for (const Address& v : market.validators)
        if (!taken_out(v)) ++held;
    EXPECT_EQ(held, 9u) << "level 0 with all its substitutes, of whom the committee is a part";
}

TEST_F(late_audit, is_postponed_from_that_block_on_as_often_as_need_be) {
    const uint64_t job = committed_job();
    for (int i = 0; i < 3; ++i) {
        const uint64_t seed_epoch = market.segment(job, 0).seed_epoch;
        mine_to(backed_until(seed_epoch));
        // By `advance` too, which opens what is committed.
        ASSERT_TRUE(market.on_segment(kAnyone, i == 1 ? "advance" : "openAudit", job, 0).ok);
        EXPECT_EQ(market.segment(job, 0).state, SegmentState::committed);
        EXPECT_GT(market.segment(job, 0).seed_epoch, seed_epoch);
    }
    market.audit_honestly(job, 0, honest(0));
    ASSERT_TRUE(market.finalize(job).ok);
    expect_solvent(1);
}

TEST_F(late_audit, leaves_the_bond_of_its_provider_reserved) {
    const uint64_t job = committed_job();
    const Address& registry = market.chain.address("ProviderRegistry");
    const Uint256 bond = reserved(kProvider);
    ASSERT_GT(bond, 0);
    const auto unstake = [&](const Uint256& wei) {
        return market.chain.send(kProvider, registry,
                                 call_data("requestUnstake(uint256)", Abi().word(wei)));
    };
    ASSERT_TRUE(market.simple(kProvider, "release", job).ok);
    ASSERT_TRUE(unstake(stake(kProvider) - reserved(kProvider)).ok) << "what is free may leave";
    market.chain.mine(2000);
    const Uint256 left = reserved(kProvider);
    EXPECT_EQ(unstake(1).error(), "NotEnoughStake");
    market.call(kAnyone, "freeBond(uint256,address)", Abi().word(job).address(kProvider));
    EXPECT_EQ(reserved(kProvider), left) << "its segment is neither Final nor Void";
    EXPECT_EQ(stake(kProvider), left);
    market.open_audit(job, 0);
    ASSERT_TRUE(market.serve(kProvider, job, 0).ok);
    market.run_round(job, 0, fake(0));  // they compute something else than was committed
    ASSERT_TRUE(market.open(kProvider, job, 0, honest(0)).ok);
    market.run_level1(job, 0, fake(0));
    EXPECT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    EXPECT_EQ(stake(kProvider), 0) << "all of it was there to be slashed";
}

/// With the shortest delay that Staking takes the seed of each commitment is known in time.
TEST(late_audit_parameters, leave_time_to_open_every_audit) {
    Market market(4, {{"unbondBlocks", 4 * 64}});
    const Address& staking = market.chain.address("Staking");
    for (uint64_t mini_epoch = 0; mini_epoch < 64; ++mini_epoch) {
        const Bytes out =
            market.chain.call(staking, call_data("backedUntil(uint256)", Abi().word(mini_epoch)));
        const uint64_t known = (mini_epoch + 3) * 8 + 1;
        EXPECT_GE(word_at(out, 0).low(), known + 64) << mini_epoch;
    }
}

}  // namespace
}  // namespace trainyard::contracts
