// SPDX-License-Identifier: Apache-2.0
// Voting on a header while its body is on its way, certifying with the body, and building early.
#include "consensus/bft/relay.hpp"
#include "tests/consensus/bft/scene.hpp"

#include <gtest/gtest.h>

#include <map>

namespace trainyard::consensus::bft {
namespace {

/// A scene in which every body travels as shards; `self` leads neither of the first views.
struct ShardScene : Scene {
    ShardScene() : self(follower()) {
        params.whole_body_max_bytes = 0;
        params.dispersal_set_min = 1;
        proposed = proposal(1);
        leader = proposed.leader;
        for (auto& [to, part] : relay(leader).scatter(proposed)) parts.emplace(to, part);
    }
    Relay relay(ValidatorIndex owner) const {
        return Relay({}, std::make_shared<const ValidatorSet>(set), owner, params);
    }
    /// What `holder` passes on of the proposal.
    Shards shards_of(ValidatorIndex holder) const {
        const auto& part = parts.at(holder);
        return {{}, {1}, hash(), part.commitment, part.shards};
    }
    Hash hash() const { return proposed.block->hash; }
    Effects hear_shards(Bft& machine) const {
        Effects out;
        for (const auto& [holder, part] : parts) {
            if (holder == self || holder == kNoValidator) continue;
            for (auto& effect : hear(machine, holder, shards_of(holder))) out.push_back(effect);
        }
        return out;
    }
    Effects notarized(Bft& machine) {
        return hear(machine, 0, Cert{certificate(VoteKind::notarize, 1, others(self), hash())});
    }

    ValidatorIndex self, leader = 0;
    Propose proposed;
    std::map<ValidatorIndex, Scatter> parts;
};

std::vector<Peer> asked_for_blocks(const Effects& effects) {
    std::vector<Peer> out;
    for (const auto& send : all<Send>(effects))
        if (std::holds_alternative<GetBlock>(send.message)) out.push_back(send.to);
    return out;
}

bool has_block(const std::vector<Bytes>& records) {
    return std::any_of(records.begin(), records.end(), [](const Bytes& record) {
        return std::holds_alternative<BlockMessage>(*decode_message(record));
    });
}

TEST(shard_vote, the_own_shards_leave_before_the_vote_and_the_vote_before_the_body_is_here) {
    ShardScene s;
    auto machine = s.machine(s.self);
    (void)machine.step(Start{});
    const auto effects = hear(machine, s.leader, s.parts.at(s.self));
    const auto sent = all<Broadcast>(effects);
    ASSERT_EQ(sent.size(), 2u);
    EXPECT_EQ(std::get<Shards>(sent[0].message), s.shards_of(s.self));
    EXPECT_EQ(std::get<Vote>(sent[1].message).kind, VoteKind::notarize);
    EXPECT_TRUE(all<Execute>(effects).empty());
    EXPECT_FALSE(has_block(records_of(effects)));
    EXPECT_EQ(machine.find_block(s.hash()), nullptr);
    const auto later = s.hear_shards(machine);
    ASSERT_EQ(all<Execute>(later).size(), 1u);
    EXPECT_EQ(all<Execute>(later)[0].block->body, s.proposed.block->body);
    EXPECT_TRUE(has_block(records_of(later))) << "before any FINALIZE";
}

TEST(shard_vote, a_notarization_without_the_body_certifies_nothing) {
    ShardScene s;
    auto machine = s.machine(s.self);
    (void)machine.step(Start{});
    (void)hear(machine, s.leader, s.parts.at(s.self));
    auto effects = s.notarized(machine);
    EXPECT_TRUE(all<Certified>(effects).empty());
    EXPECT_TRUE(asked_for_blocks(effects).empty()) << "its shards are on their way";
    EXPECT_EQ(machine.standing().view.value, 1u);
    EXPECT_EQ(machine.waiting().need, Need::block);
    (void)s.hear_shards(machine);
    effects = machine.step(BlockVerdict{s.hash(), Verdict::valid});
    EXPECT_EQ(all<Certified>(effects).size(), 1u);
    EXPECT_EQ(votes_sent(effects, VoteKind::finalize).size(), 1u);
    EXPECT_EQ(machine.standing().view.value, 2u);
}

TEST(shard_vote, wrong_roots_are_found_at_certify_and_the_view_is_nullified) {
    ShardScene s;
    auto machine = s.machine(s.self);
    (void)machine.step(Start{});
    (void)hear(machine, s.leader, s.parts.at(s.self));
    (void)s.notarized(machine);
    (void)s.hear_shards(machine);
    const auto effects = machine.step(BlockVerdict{s.hash(), Verdict::invalid});
    EXPECT_TRUE(all<Certified>(effects).empty());
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
    EXPECT_EQ(all<GaveUp>(effects).at(0).cause, Cause::bad_block);
}

TEST(shard_vote, shards_that_do_not_come_are_made_up_for_by_asking_who_finalized) {
    ShardScene s;
    auto machine = s.machine(s.self);
    (void)machine.step(Start{});
    (void)hear(machine, s.leader, s.parts.at(s.self));
    (void)s.notarized(machine);
    const auto holder = s.others(s.self)[2];
    (void)hear(machine, holder, s.vote(VoteKind::finalize, holder, 1, s.hash()));
    const Timeout repair{timer(TimerKind::repair, kEveryView)};
    EXPECT_TRUE(asked_for_blocks(machine.step(repair)).empty());
    std::vector<Peer> asked;
    for (int i = 0; i < 3; ++i)
        for (const auto& to : asked_for_blocks(machine.step(repair))) asked.push_back(to);
    EXPECT_EQ(asked.size(), 3u);
    EXPECT_NE(std::find(asked.begin(), asked.end(), peer(holder)), asked.end());
    EXPECT_EQ(all<Execute>(hear(machine, holder, BlockMessage{s.proposed.block})).size(), 1u);
}

TEST(shard_vote, rejects_shards_of_another_body_as_the_leaders_fault) {
    ShardScene s;
    auto other = s.proposed;
    other.block =
        std::make_shared<BlockData>(BlockData{s.proposed.block->header, Bytes{7, 7}, s.hash()});
    s.parts.clear();
    for (auto& [to, part] : s.relay(s.leader).scatter(other)) s.parts.emplace(to, part);
    auto machine = s.machine(s.self);
    (void)machine.step(Start{});
    EXPECT_EQ(votes_sent(hear(machine, s.leader, s.parts.at(s.self)), VoteKind::notarize).size(),
              1u);
    const auto effects = s.hear_shards(machine);
    EXPECT_TRUE(all<Execute>(effects).empty());
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
    // Others may have got the true body: then it is certified here, too, and not finalized.
    EXPECT_FALSE(asked_for_blocks(s.notarized(machine)).empty());
    (void)hear(machine, 0, BlockMessage{s.proposed.block});
    const auto certified = machine.step(BlockVerdict{s.hash(), Verdict::valid});
    EXPECT_EQ(all<Certified>(certified).size(), 1u);
    EXPECT_TRUE(votes_sent(certified, VoteKind::finalize).empty());
}

TEST(shard_vote, shards_of_no_body_that_come_before_their_view_are_not_voted_for_in_it) {
    ShardScene s;
    auto machine = s.machine(s.self);
    (void)machine.step(Start{});
    auto next = s.proposal(2);
    next.justification.clear();
    auto other = next;
    other.block =
        std::make_shared<BlockData>(BlockData{next.block->header, Bytes{7, 7}, next.block->hash});
    for (const auto& [to, part] : s.relay(next.leader).scatter(other))
        if (to == s.self) (void)hear(machine, next.leader, part);
    for (const auto& [holder, part] : s.relay(next.leader).scatter(other))
        if (holder != s.self && holder != kNoValidator)
            (void)hear(machine, holder,
                       Shards{{}, {2}, next.block->hash, part.commitment, part.shards});
    EXPECT_EQ(machine.standing().view.value, 1u);
    const auto effects =
        hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 1, s.others(s.self))});
    EXPECT_EQ(machine.standing().view.value, 2u);
    EXPECT_TRUE(votes_sent(effects, VoteKind::notarize).empty());
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
}

TEST(shard_vote, rejects_a_scattered_block_of_one_who_does_not_lead_and_passes_nothing_on) {
    ShardScene s;
    auto machine = s.machine(s.self);
    (void)machine.step(Start{});
    const auto stranger =
        s.others(s.leader)[0] == s.self ? s.others(s.leader)[1] : s.others(s.leader)[0];
    auto part = s.parts.at(s.self);
    part.leader = stranger;
    part.signature = s.vote(VoteKind::notarize, stranger, 1, s.hash()).signature;
    EXPECT_TRUE(all<Broadcast>(hear(machine, stranger, part)).empty());
}

TEST(shard_vote, a_vote_on_shards_survives_a_restart_without_the_body) {
    ShardScene s;
    std::vector<Bytes> disk;
    {
        auto machine = s.machine(s.self);
        (void)machine.step(Start{});
        disk = records_of(hear(machine, s.leader, s.parts.at(s.self)));
    }
    auto machine = s.machine(s.self, disk);
    (void)machine.step(Start{});
    const auto effects = hear(machine, s.leader, s.proposal(1, 9));
    EXPECT_TRUE(votes_sent(effects, VoteKind::notarize).empty());
    EXPECT_EQ(votes_sent(machine.step(Timeout{timer(TimerKind::retry, {1})}), VoteKind::notarize)
                  .at(0)
                  .block,
              s.hash());
    EXPECT_FALSE(asked_for_blocks(s.notarized(machine)).empty()) << "no shards come any more";
}

/// The machine of the leader of view 2, which is not the leader of view 1, in view 1.
struct EarlyScene : Scene {
    EarlyScene() {
        // Another seed until two validators lead the first two views.
        for (uint8_t salt = 0; leader(1) == leader(2); ++salt) {
            genesis.prev_randao = keccak256(Bytes{salt});
            genesis_hash = hash_header(genesis);
            params.chain = {7, genesis_hash};
        }
        self = leader(2);
        proposed = proposal(1);
    }
    Hash hash() const { return proposed.block->hash; }
    BuiltBlock answer(const Build& asked) const {
        Header header;
        header.parent_hash = asked.parent_hash;
        header.number = asked.parent.number + 1;
        header.extra_data = asked.extra_data;
        header.prev_randao = asked.prev_randao;
        header.transactions_root = keccak256({});
        return {asked.epoch, asked.view, asked.parent_hash, make_block(header, {})};
    }
    /// Voted for and executed; the answer is what was asked of the node by then.
    std::vector<Build> executed(Bft& machine) {
        (void)machine.step(Start{});
        EXPECT_TRUE(all<Build>(hear(machine, proposed.leader, proposed)).empty());
        return all<Build>(machine.step(BlockVerdict{hash(), Verdict::valid}));
    }
    Effects notarized(Bft& machine) {
        return hear(machine, 0, Cert{certificate(VoteKind::notarize, 1, others(self), hash())});
    }
    static unsigned proposals(const Effects& effects) {
        unsigned out = 0;
        for (const auto& sent : all<Broadcast>(effects))
            out += std::holds_alternative<Propose>(sent.message) ? 1 : 0;
        return out;
    }
    ValidatorIndex self = 0;
    Propose proposed;
};

TEST(early_build, the_next_leader_builds_before_the_parent_is_notarized_and_proposes_after_it) {
    EarlyScene s;
    auto machine = s.machine(s.self);
    const auto asked = s.executed(machine);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].view.value, 2u);
    EXPECT_EQ(asked[0].parent_hash, s.hash());
    const auto built = machine.step(s.answer(asked[0]));
    EXPECT_TRUE(all<Broadcast>(built).empty());
    const auto effects = s.notarized(machine);
    EXPECT_TRUE(all<Build>(effects).empty());
    EXPECT_EQ(s.proposals(effects), 1u);
    EXPECT_EQ(machine.standing().view.value, 2u);
}

TEST(early_build, an_answer_that_comes_later_is_proposed_at_once) {
    EarlyScene s;
    auto machine = s.machine(s.self);
    const auto asked = s.executed(machine);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(s.proposals(s.notarized(machine)), 0u);
    EXPECT_EQ(s.proposals(machine.step(s.answer(asked[0]))), 1u);
}

TEST(early_build, a_nullified_parent_makes_it_void_and_another_is_built) {
    EarlyScene s;
    auto machine = s.machine(s.self);
    const auto early = s.executed(machine);
    ASSERT_EQ(early.size(), 1u);
    const auto effects =
        hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 1, s.others(s.self))});
    const auto asked = all<Build>(effects);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].parent_hash, s.genesis_hash);
    EXPECT_TRUE(machine.step(s.answer(early[0])).empty()) << "the answer to the void one";
    const BuiltBlock none{{}, {2}, s.hash(), nullptr};
    EXPECT_TRUE(machine.step(none).empty());
    EXPECT_EQ(s.proposals(machine.step(s.answer(asked[0]))), 1u);
}

TEST(early_build, the_block_interval_comes_first) {
    EarlyScene s;
    s.params.block_interval_ms = 1000;
    auto machine = s.machine(s.self);
    EXPECT_TRUE(s.executed(machine).empty());
    const auto asked = all<Build>(machine.step(Timeout{timer(TimerKind::pace, {2})}));
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].parent_hash, s.hash());
}

TEST(early_build, nothing_is_built_on_a_block_not_voted_for) {
    EarlyScene s;
    auto machine = s.machine(s.self);
    (void)machine.step(Start{});
    (void)machine.step(Timeout{timer(TimerKind::lead, {1})});
    (void)hear(machine, s.proposed.leader, s.proposed);
    EXPECT_TRUE(all<Build>(machine.step(BlockVerdict{s.hash(), Verdict::valid})).empty());
}

}  // namespace
}  // namespace trainyard::consensus::bft
