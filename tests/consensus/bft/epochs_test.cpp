// SPDX-License-Identifier: Apache-2.0
// From one epoch to the next: the boundary, sets that change, early and late peers, and restarts.
#include <gtest/gtest.h>

#include "tests/consensus/bft/scene.hpp"

namespace trainyard::consensus::bft {
namespace {

/// Epochs of one block each, unless a test says otherwise: block 1 is the boundary of epoch 0.
struct EpochScene : Scene {
    EpochScene() { params.epoch_length = 1; }

    static size_t owner(const ValidatorSet& of, ValidatorIndex index) {
        return of.at(index).address[0] - 1u;
    }
    /// The beacon after block 1.
    BeaconTrail trail(const BlockPtr& first) const {
        return BeaconTrail(256, genesis.prev_randao).extended(first->header.prev_randao);
    }
    /// A right proposal on block 1: by the leader of view 1 in epoch 1 with the set `of`, or with
    /// `same_epoch` its child in epoch 0.
    Propose second(const BlockPtr& first, const ValidatorSet& of, bool same_epoch = false) {
        const View view{same_epoch ? 2u : 1u};
        const auto index = leader_of(of, trail(first).next_seed(), view);
        auto& signer = *signers[owner(of, index)];
        const auto vrf = *signer.prove(
            beacon_alpha(params.chain.chain_id, genesis_hash, {2}, first->header.prev_randao));
        Header header;
        header.parent_hash = first->hash;
        header.number = 2;
        header.prev_randao = next_beacon(first->header.prev_randao, vrf.beta);
        header.transactions_root = keccak256({});
        const Epoch in{same_epoch ? 0u : 1u};
        header.extra_data = encode_seal({in, view, {same_epoch ? 1u : 0u}, vrf.proof});
        Propose out{make_block(header, {}), {}, index, {}};
        const Vote vote{VoteKind::notarize, in, view, out.block->hash, index, {}};
        out.signature = *signer.sign(params.chain, vote);
        return out;
    }
    /// A machine that took block 1 and knows it notarized in view 1.
    Bft at_certified_boundary(ValidatorIndex self, const Propose& first, Effects* effects = {}) {
        auto out = machine(self);
        (void)out.step(Start{});
        (void)hear(out, first.leader, first);
        (void)out.step(BlockVerdict{first.block->hash, Verdict::valid});
        auto last =
            hear(out, 0, Cert{certificate(VoteKind::notarize, 1, others(self), first.block->hash)});
        if (effects) *effects = std::move(last);
        return out;
    }
    Cert finalization(const Propose& first, uint64_t view = 1) {
        return {certificate(VoteKind::finalize, view, {0, 1, 2}, first.block->hash)};
    }
    Repropose again(const Hash& hash, uint64_t view) {
        return {vote(VoteKind::notarize, leader(view), view, hash), {}};
    }
    /// Without the validator of one owner.
    ValidatorSet without(size_t who) const {
        auto members = set.all();
        members.erase(members.begin() + static_cast<std::ptrdiff_t>(who));
        return *ValidatorSet::make(members);
    }
};

template <class T>
std::vector<T> broadcasts(const Effects& effects) {
    std::vector<T> out;
    for (const auto& broadcast : all<Broadcast>(effects))
        if (const auto* found = std::get_if<T>(&broadcast.message)) out.push_back(*found);
    return out;
}

TEST(epochs, the_next_one_starts_at_view_1_when_the_last_block_is_final) {
    EpochScene s;
    const auto first = s.proposal(1);
    auto machine = s.at_certified_boundary(s.follower(), first);
    EXPECT_EQ(machine.standing().epoch.value, 0u);
    EXPECT_EQ(machine.standing().view.value, 2u);
    EXPECT_EQ(machine.waiting().need, Need::finalizes);
    const auto effects = hear(machine, 0, s.finalization(first));
    EXPECT_EQ(all<Finalized>(effects).size(), 1u);
    EXPECT_EQ(machine.standing().epoch.value, 1u);
    EXPECT_EQ(machine.standing().view.value, 1u);
    EXPECT_EQ(machine.standing().final_height.value, 1u);
    ASSERT_EQ(all<Forget>(effects).size(), 1u);
    EXPECT_EQ(all<Forget>(effects)[0].epoch.value, 1u);
    EXPECT_FALSE(all<SetTimer>(effects).empty());
    for (const auto& set : all<SetTimer>(effects)) EXPECT_EQ(set.id.epoch.value, 1u);
}

TEST(epochs, a_leader_proposes_the_last_block_again_until_it_is_final) {
    EpochScene s;
    const auto first = s.proposal(1);
    Effects effects;
    auto machine = s.at_certified_boundary(s.leader(2), first, &effects);
    EXPECT_TRUE(all<Build>(effects).empty());
    const auto sent = broadcasts<Repropose>(effects);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].vote.view.value, 2u);
    EXPECT_EQ(sent[0].vote.block, first.block->hash);
    ASSERT_EQ(sent[0].justification.size(), 1u);
    EXPECT_EQ(sent[0].justification[0]->kind, VoteKind::notarize);
    EXPECT_EQ(machine.standing().epoch.value, 0u);
}

TEST(epochs, votes_for_the_block_proposed_again_make_it_final) {
    EpochScene s;
    const auto self = s.follower();
    const auto first = s.proposal(1);
    const Hash hash = first.block->hash;
    auto machine = s.at_certified_boundary(self, first);
    const auto told = hear(machine, s.leader(2), s.again(hash, 2));
    ASSERT_EQ(votes_sent(told, VoteKind::notarize).size(), 1u);
    EXPECT_EQ(votes_sent(told, VoteKind::notarize)[0].view.value, 2u);
    const auto certified =
        hear(machine, 0, Cert{s.certificate(VoteKind::notarize, 2, s.others(self), hash)});
    EXPECT_TRUE(all<Certified>(certified).empty()) << "it was before";
    ASSERT_EQ(votes_sent(certified, VoteKind::finalize).size(), 1u);
    EXPECT_EQ(votes_sent(certified, VoteKind::finalize)[0].view.value, 2u);
    const auto final = hear(machine, 0, s.finalization(first, 2));
    EXPECT_EQ(all<Finalized>(final).size(), 1u);
    EXPECT_EQ(machine.standing().epoch.value, 1u);
}

TEST(epochs, a_block_proposed_again_over_a_gap_waits_for_its_nullifications) {
    EpochScene s;
    const auto self = s.follower();
    const auto first = s.proposal(1);
    auto machine = s.at_certified_boundary(self, first);
    (void)hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 3, {0, 1, 2})});
    const auto leader = leader_of(s.set, s.genesis.prev_randao, {4});
    const Repropose again{s.vote(VoteKind::notarize, leader, 4, first.block->hash), {}};
    const auto waits = hear(machine, leader, again);
    EXPECT_TRUE(votes_sent(waits, VoteKind::notarize).empty());
    const auto effects = hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 2, {0, 1, 2})});
    EXPECT_EQ(votes_sent(effects, VoteKind::notarize).size(), 1u);
}

TEST(epochs, rejects_a_block_after_the_last_one_of_its_epoch) {
    EpochScene s;
    const auto first = s.proposal(1);
    auto machine = s.at_certified_boundary(s.follower(), first);
    auto child = s.second(first.block, s.set, true);
    child.leader = s.leader(2);  // whoever may propose the last block again
    child.signature = s.vote(VoteKind::notarize, child.leader, 2, child.block->hash).signature;
    const auto effects = hear(machine, child.leader, child);
    EXPECT_TRUE(votes_sent(effects, VoteKind::notarize).empty());
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
}

TEST(epochs, rejects_proposing_again_what_is_not_the_last_block_or_by_another_than_the_leader) {
    EpochScene s;
    s.params.epoch_length = 2;
    const auto self = s.follower();
    const auto first = s.proposal(1);
    auto early = s.at_certified_boundary(self, first);
    const auto leader = leader_of(s.set, s.trail(first.block).next_seed(), {2});
    const Repropose wrong{s.vote(VoteKind::notarize, leader, 2, first.block->hash), {}};
    const auto effects = hear(early, leader, wrong);
    EXPECT_TRUE(votes_sent(effects, VoteKind::notarize).empty());
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), leader == self ? 0u : 1u);
    s.params.epoch_length = 1;
    auto machine = s.at_certified_boundary(self, first);
    for (const auto other : s.others(s.leader(2))) {
        if (other == self) continue;
        const Repropose stolen{s.vote(VoteKind::notarize, other, 2, first.block->hash), {}};
        EXPECT_TRUE(broadcasts<Vote>(hear(machine, other, stolen)).empty());
    }
}

TEST(epochs, what_is_said_about_the_next_one_early_is_kept) {
    EpochScene s;
    const auto self = s.follower();
    const auto first = s.proposal(1);
    const auto second = s.second(first.block, s.set);
    auto machine = s.at_certified_boundary(self, first);
    (void)hear(machine, second.leader, second);
    s.epoch = {1};
    for (const auto other : s.others(self))
        (void)hear(machine, other, s.vote(VoteKind::notarize, other, 1, second.block->hash));
    EXPECT_EQ(machine.standing().epoch.value, 0u);
    s.epoch = {0};
    auto effects = hear(machine, 0, s.finalization(first));
    EXPECT_EQ(all<Execute>(effects).size(), 1u);
    EXPECT_EQ(votes_sent(effects, VoteKind::notarize).size(), second.leader == self ? 0u : 1u);
    effects = machine.step(BlockVerdict{second.block->hash, Verdict::valid});
    EXPECT_EQ(all<Certified>(effects).size(), 1u) << "the early votes count";
    EXPECT_EQ(machine.standing().view.value, 2u);
}

TEST(epochs, a_proposal_of_the_next_one_brings_what_ends_this_one) {
    EpochScene s;
    const auto first = s.proposal(1);
    auto second = s.second(first.block, s.set);
    second.justification = {s.finalization(first).certificate};
    auto machine = s.at_certified_boundary(s.follower(), first);
    const auto effects = hear(machine, second.leader, second);
    EXPECT_EQ(all<Finalized>(effects).size(), 1u);
    EXPECT_EQ(machine.standing().epoch.value, 1u);
    EXPECT_EQ(all<Execute>(effects).size(), 1u);
}

TEST(epochs, what_strangers_say_about_the_next_one_is_not_kept_and_what_members_say_is_bounded) {
    EpochScene s;
    const auto first = s.proposal(1);
    s.sets.sets.push_back(std::make_shared<const ValidatorSet>(s.without(3)));
    auto machine = s.at_certified_boundary(0, first);
    s.epoch = {1};
    unsigned asked = 0;
    for (uint64_t view = 1; view <= 4; ++view)
        for (int i = 0; i < 100; ++i)
            for (const ValidatorIndex from : {1, 3})
                asked += all<Send>(hear(machine, from, s.vote(VoteKind::nullify, 1, view))).size();
    EXPECT_GE(asked, 1u) << "telling where it stands makes the others help";
    EXPECT_LE(asked, 4u);
}

TEST(epochs, votes_are_counted_by_the_set_of_their_own_epoch) {
    EpochScene s;
    const auto first = s.proposal(1);
    auto heavy = s.set.all();
    heavy[3].stake_gwei = 1000;  // from epoch 1 on, the fourth has nearly all the weight
    s.sets.sets.push_back(std::make_shared<const ValidatorSet>(*ValidatorSet::make(heavy)));
    auto machine = s.at_certified_boundary(0, first);
    (void)hear(machine, 1, s.finalization(first));
    ASSERT_EQ(machine.standing().epoch.value, 1u);
    EXPECT_EQ(machine.standing().total_gwei, 1030u);
    EXPECT_EQ(machine.standing().own_gwei, 10u);
    s.epoch = {1};
    (void)hear(machine, 1, Cert{s.certificate(VoteKind::nullify, 1, {0, 1, 2})});
    EXPECT_EQ(machine.standing().view.value, 1u) << "three of four, and no quorum";
    (void)hear(machine, 1, Cert{s.certificate(VoteKind::nullify, 1, {3})});
    EXPECT_EQ(machine.standing().view.value, 2u);
}

TEST(epochs, who_leaves_follows_and_who_joins_votes) {
    EpochScene s;
    const auto gone = s.follower();
    const auto first = s.proposal(1);
    const auto small = s.without(gone);
    s.sets.sets = {s.sets.sets[0], std::make_shared<const ValidatorSet>(small), s.sets.sets[0]};
    auto machine = s.at_certified_boundary(gone, first);
    (void)hear(machine, 0, s.finalization(first));
    ASSERT_EQ(machine.standing().epoch.value, 1u);
    EXPECT_EQ(machine.standing().own_gwei, 0u);
    const auto second = s.second(first.block, small);
    auto effects = hear(machine, second.leader, second);
    EXPECT_TRUE(broadcasts<Vote>(effects).empty()) << "it has no vote in epoch 1";
    Certificate certificate{VoteKind::finalize, {1}, {1}, second.block->hash, 3, Bytes{0b111}, {}};
    for (ValidatorIndex i = 0; i < 3; ++i) {
        const Vote vote{VoteKind::finalize, {1}, {1}, second.block->hash, i, {}};
        auto& signer = *s.signers[EpochScene::owner(small, i)];
        certificate.signatures.push_back(*signer.sign(s.params.chain, vote));
    }
    (void)hear(machine, 0, Cert{std::make_shared<Certificate>(certificate)});
    effects = machine.step(BlockVerdict{second.block->hash, Verdict::valid});
    EXPECT_EQ(all<Finalized>(effects).size(), 1u);
    EXPECT_EQ(machine.standing().epoch.value, 2u);
    EXPECT_EQ(machine.standing().own_gwei, 10u);
    effects = machine.step(Timeout{{TimerKind::lead, {2}, {1}}});
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u) << "it is back";
}

TEST(epochs, timers_of_the_last_one_do_nothing) {
    EpochScene s;
    const auto first = s.proposal(1);
    auto machine = s.at_certified_boundary(s.follower(), first);
    (void)hear(machine, 0, s.finalization(first));
    for (const auto kind : {TimerKind::lead, TimerKind::advance, TimerKind::retry})
        EXPECT_TRUE(machine.step(Timeout{timer(kind, {1})}).empty());
    EXPECT_TRUE(machine.step(Timeout{timer(TimerKind::repair, kEveryView)}).empty());
}

TEST(epochs, the_block_interval_holds_over_the_boundary) {
    EpochScene s;
    s.params.block_interval_ms = 500;
    const auto first = s.proposal(1);
    const auto self = s.follower();
    auto heavy = s.set.all();
    heavy[self].stake_gwei = 1'000'000;  // leads epoch 1
    s.sets.sets.push_back(std::make_shared<const ValidatorSet>(*ValidatorSet::make(heavy)));
    auto machine = s.at_certified_boundary(self, first);
    EXPECT_TRUE(all<Build>(hear(machine, 0, s.finalization(first))).empty());
    const auto effects = machine.step(Timeout{timer(TimerKind::pace, {2})});
    ASSERT_EQ(all<Build>(effects).size(), 1u);
    EXPECT_EQ(all<Build>(effects)[0].epoch.value, 1u);
}

TEST(epochs, who_is_behind_is_told_what_ended_its_epoch_and_no_more_often_than_bearable) {
    EpochScene s;
    const auto first = s.proposal(1);
    auto machine = s.at_certified_boundary(0, first);
    (void)hear(machine, 1, s.finalization(first));
    const auto asked = hear(machine, 2, Status{{0}, {2}, {0}, {0}});
    ASSERT_EQ(all<ServeBoundary>(asked).size(), 1u);
    EXPECT_EQ(all<ServeBoundary>(asked)[0].to, peer(2));
    EXPECT_EQ(all<ServeBoundary>(asked)[0].epoch.value, 0u);
    size_t answers = 0;
    for (int i = 0; i < 1000; ++i) {
        answers += all<ServeBoundary>(hear(machine, 2, GetCert{{0}, {1}, 8})).size();
        const Received stranger{*public_key(secret(50, 3)), Status{{0}, {2}, {0}, {0}}};
        answers += all<ServeBoundary>(machine.step(stranger)).size();
    }
    EXPECT_LE(answers, 32u + 2 * 64u);
    EXPECT_TRUE(hear(machine, 2, s.vote(VoteKind::nullify, 2, 2)).empty()) << "an old vote";
}

TEST(epochs, a_status_of_a_later_one_is_answered_with_the_own_one) {
    EpochScene s;
    auto machine = s.machine(0);
    (void)machine.step(Start{});
    const auto sent = all<Send>(hear(machine, 2, Status{{9}, {1}, {0}, {9}}));
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].to, peer(2));
    EXPECT_EQ(std::get<Status>(sent[0].message).epoch.value, 0u);
}

TEST(epochs, synced_blocks_lead_into_their_epoch) {
    EpochScene s;
    const auto first = s.proposal(1);
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto effects =
        machine.step(Synced{{first.block->header, first.block->hash, s.trail(first.block),
                             s.finalization(first).certificate}});
    EXPECT_EQ(machine.standing().epoch.value, 1u);
    EXPECT_EQ(broadcasts<Status>(effects).size(), 1u);
    EXPECT_EQ(all<Forget>(effects).size(), 1u);
}

TEST(epochs, a_restart_on_either_side_of_the_boundary_contradicts_no_vote) {
    EpochScene s;
    const auto self = s.follower();
    const auto first = s.proposal(1);
    const auto second = s.second(first.block, s.set);
    std::vector<Bytes> disk;
    const auto remember = [&](const Effects& effects) {
        for (const auto& record : records_of(effects)) disk.push_back(record);
    };
    {
        Effects effects;
        auto machine = s.at_certified_boundary(self, first, &effects);
        remember(effects);
        remember(hear(machine, 0, s.finalization(first)));
        s.epoch = {1};
        remember(machine.step(Timeout{{TimerKind::lead, {1}, {1}}}));
    }
    const FinalPoint boundary{first.block->header, first.block->hash, s.trail(first.block),
                              s.finalization(first).certificate};
    Params mine = s.params;
    mine.self = s.set.at(self).consensus_key;
    for (const auto& point : {boundary, s.genesis_point()}) {
        Bft machine(mine, s.sets, {point, disk}, s.signers[self].get(), s.checks);
        (void)machine.step(Start{});
        s.epoch = {0};
        if (machine.standing().epoch.value == 0) {
            EXPECT_TRUE(machine.step(Timeout{timer(TimerKind::lead, {1})}).empty())
                << "FINALIZE was cast in view 1";
            (void)hear(machine, first.leader, first);
            (void)machine.step(BlockVerdict{first.block->hash, Verdict::valid});
            (void)hear(machine, 0, s.finalization(first));
        }
        ASSERT_EQ(machine.standing().epoch.value, 1u);
        const auto late = hear(machine, second.leader, second);
        EXPECT_TRUE(votes_sent(late, VoteKind::notarize).empty()) << "NULLIFY was cast in view 1";
        const auto again = machine.step(Timeout{{TimerKind::retry, {1}, {1}}});
        EXPECT_EQ(votes_sent(again, VoteKind::nullify).size(), 1u);
    }
}

TEST(epochs, blocks_and_heights_are_in_the_epoch_that_their_length_gives) {
    EXPECT_EQ(epoch_of({1}, 4).value, 0u);
    EXPECT_EQ(epoch_of({4}, 4).value, 0u);
    EXPECT_EQ(epoch_of({5}, 4).value, 1u);
    EXPECT_EQ(boundary_of({0}, 4).value, 4u);
    EXPECT_EQ(boundary_of({2}, 4).value, 12u);
}

}  // namespace
}  // namespace trainyard::consensus::bft
