// SPDX-License-Identifier: Apache-2.0
// Large proposals as shards: who gets what, what is passed on, and what a liar can do.
#include "consensus/bft/relay.hpp"

#include <gtest/gtest.h>

#include "core/merkle.hpp"
#include "tests/consensus/bft/scene.hpp"

namespace trainyard::consensus::bft {
namespace {

constexpr size_t kMany = 12;

SetPtr many_validators() {
    std::vector<Validator> validators;
    for (size_t i = 0; i < kMany; ++i) {
        Address address;
        address[0] = static_cast<uint8_t>(i + 1);
        validators.push_back({address, *public_key(secret(i, 1)), *public_key(secret(i, 2)),
                              *public_key(secret(i, 3)), 10 + i});
    }
    return std::make_shared<const ValidatorSet>(*ValidatorSet::make(validators));
}

/// Twelve relays; the proposal's leader is 3, its view 5.
struct Yard {
    Yard() {
        for (ValidatorIndex i = 0; i < kMany; ++i) relays.emplace_back(epoch, set, i, Params{});
        proposal = make_proposal(100'000);
    }
    Propose make_proposal(size_t body_size_bytes) const {
        Header header;
        header.number = 9;
        header.extra_data = encode_seal({epoch, view, {4}, {}});
        Bytes body(body_size_bytes);
        for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<uint8_t>(i * i >> 5);
        return {make_block(header, body), {}, kLeader, {}};
    }
    /// What the leader sends to `to`.
    Scatter part(ValidatorIndex to) const {
        for (auto& [receiver, scatter] : relays[kLeader].scatter(proposal))
            if (receiver == to) return scatter;
        return {};
    }
    Shards shards_of(ValidatorIndex holder) {
        return *Relay(epoch, set, holder, {}).on(kLeader, part(holder), view, true).forward;
    }

    /// Gives the relay of validator 0 what all others but the leader pass on.
    bool rebuilds_from_the_others(Relay& relay) {
        bool done = false;
        for (ValidatorIndex from = 1; from < kMany; ++from)
            if (from != kLeader) done |= relay.on(from, shards_of(from), view).rebuilt.has_value();
        return done;
    }

    static constexpr ValidatorIndex kLeader = 3;
    Epoch epoch{2};
    View view{5};
    SetPtr set = many_validators();
    std::vector<Relay> relays;
    Propose proposal;
};

TEST(relay, small_bodies_and_small_sets_are_sent_whole) {
    const Yard yard;
    EXPECT_TRUE(yard.relays[3].scatter(yard.make_proposal(64 * 1024)).empty());
    EXPECT_FALSE(yard.relays[3].scatter(yard.make_proposal(64 * 1024 + 1)).empty());
    const Scene scene;
    const Relay four({}, std::make_shared<const ValidatorSet>(scene.set), 3, Params{});
    EXPECT_TRUE(four.scatter(yard.make_proposal(1'000'000)).empty());
}

TEST(relay, everybody_rebuilds_the_body_from_what_the_others_pass_on) {
    Yard yard;
    const auto parts = yard.relays[3].scatter(yard.proposal);
    ASSERT_EQ(parts.size(), kMany);  // eleven others and the followers' head
    EXPECT_EQ(parts.back().first, kNoValidator);
    EXPECT_TRUE(parts.back().second.shards.empty());
    std::vector<std::pair<ValidatorIndex, Shards>> passed_on;
    std::vector<bool> has_body(kMany, false);
    has_body[Yard::kLeader] = true;
    const auto note = [&](ValidatorIndex at, const Relay::Outcome& outcome) {
        if (outcome.forward) passed_on.emplace_back(at, *outcome.forward);
        if (!outcome.rebuilt) return;
        EXPECT_FALSE(has_body[at]) << "once only";
        EXPECT_EQ(outcome.rebuilt->block->body, yard.proposal.block->body);
        EXPECT_EQ(outcome.rebuilt->block->hash, yard.proposal.block->hash);
        EXPECT_EQ(outcome.rebuilt->leader, Yard::kLeader);
        has_body[at] = true;
    };
    for (const auto& [to, part] : parts)
        if (to != kNoValidator) note(to, yard.relays[to].on(Yard::kLeader, part, yard.view, true));
    EXPECT_EQ(passed_on.size(), kMany - 1);
    Relay follower(yard.epoch, yard.set, std::nullopt, Params{});
    bool follower_has_it = follower.on(3, parts.back().second, yard.view, true).rebuilt.has_value();
    const auto messages = passed_on;
    for (const auto& [from, shards] : messages) {
        for (ValidatorIndex to = 0; to < kMany; ++to)
            if (to != from && to != Yard::kLeader)
                note(to, yard.relays[to].on(from, shards, yard.view));
        follower_has_it |= follower.on(from, shards, yard.view).rebuilt.has_value();
    }
    EXPECT_EQ(has_body, std::vector<bool>(kMany, true));
    EXPECT_TRUE(follower_has_it);
}

TEST(relay, shards_may_come_before_the_head) {
    Yard yard;
    auto& relay = yard.relays[0];
    for (ValidatorIndex from = 1; from < kMany; ++from)
        if (from != Yard::kLeader) {
            EXPECT_FALSE(relay.on(from, yard.shards_of(from), yard.view).rebuilt);
        }
    const auto outcome = relay.on(Yard::kLeader, yard.part(0), yard.view, true);
    EXPECT_TRUE(outcome.forward);
    ASSERT_TRUE(outcome.rebuilt);
    EXPECT_EQ(outcome.rebuilt->block->body, yard.proposal.block->body);
}

TEST(relay, rejects_shards_that_the_sender_does_not_hold_or_that_are_not_good) {
    Yard yard;
    auto& relay = yard.relays[0];
    ASSERT_TRUE(relay.on(Yard::kLeader, yard.part(0), yard.view, true).forward);
    std::vector<Shards> bad;
    bad.push_back(yard.shards_of(2));  // 1 says that it holds them
    auto wrong = yard.shards_of(1);
    wrong.shards[0].data[0] ^= 1;
    bad.push_back(wrong);
    wrong = yard.shards_of(1);
    wrong.shards.pop_back();
    bad.push_back(wrong);
    wrong = yard.shards_of(1);
    wrong.epoch = Epoch{3};
    bad.push_back(wrong);
    for (const auto& message : bad) {
        const auto outcome = relay.on(1, message, yard.view);
        EXPECT_FALSE(outcome.rebuilt);
        EXPECT_EQ(outcome.is_bad_gift, message.epoch == yard.epoch) << "who sends them is to blame";
    }
    EXPECT_FALSE(relay.on(kMany, yard.shards_of(1), yard.view).rebuilt);  // no validator
    // None of it shuts out the good ones.
    EXPECT_TRUE(yard.rebuilds_from_the_others(relay));
}

TEST(relay, a_commitment_that_is_not_the_leaders_gathers_nothing) {
    Yard yard;
    auto& relay = yard.relays[0];
    Yard other;
    other.proposal = other.make_proposal(90'000);
    for (ValidatorIndex from = 4; from < kMany; ++from) {
        auto false_shards = other.shards_of(from);
        false_shards.block = yard.proposal.block->hash;
        EXPECT_FALSE(relay.on(from, false_shards, yard.view).rebuilt);
    }
    // They came before the head, and their senders have to answer again.
    EXPECT_FALSE(relay.on(Yard::kLeader, yard.part(0), yard.view, true).rebuilt);
    EXPECT_TRUE(yard.rebuilds_from_the_others(relay));
}

TEST(relay, only_the_leader_scatters_and_only_once) {
    Yard yard;
    auto& relay = yard.relays[0];
    EXPECT_FALSE(relay.on(1, yard.part(0), yard.view, true).forward);
    EXPECT_TRUE(relay.on(Yard::kLeader, yard.part(0), yard.view, true).forward);
    EXPECT_FALSE(relay.on(Yard::kLeader, yard.part(0), yard.view, true).forward);
}

TEST(relay, one_sender_can_speak_of_a_bounded_number_of_blocks_near_the_view) {
    Yard yard;
    auto& relay = yard.relays[0];
    auto message = yard.shards_of(1);
    const auto true_hash = message.block;
    for (uint8_t i = 0; i < kRelayBlocksPerSender; ++i) {
        message.block[0] = i;
        message.block[1] = 0xee;
        EXPECT_FALSE(relay.on(1, message, yard.view).rebuilt);
    }
    message.block = true_hash;
    // Others are not hindered, nor is the one who talked too much once the views have gone on.
    const View later{yard.view.value + kRelayViewsKept + 1};
    auto scatter = yard.part(0);
    scatter.header.extra_data = encode_seal({yard.epoch, later, {4}, {}});
    EXPECT_TRUE(relay.on(Yard::kLeader, scatter, later, true).forward);
    message.view = later;
    message.block = hash_header(scatter.header);
    EXPECT_FALSE(relay.on(1, message, later).rebuilt);
    bool done = false;
    for (ValidatorIndex from = 2; from < kMany && !done; ++from) {
        if (from == Yard::kLeader) continue;
        auto shards = yard.shards_of(from);
        shards.view = later;
        shards.block = message.block;
        done = relay.on(from, shards, later).rebuilt.has_value();
    }
    EXPECT_TRUE(done);
    // Too far ahead, or too old.
    message.view = View{later.value + kRelayViewsKept + 1};
    EXPECT_FALSE(relay.on(4, message, later).rebuilt);
    message.view = View{later.value - kRelayViewsKept - 1};
    EXPECT_FALSE(relay.on(4, message, later).rebuilt);
}

TEST(relay, a_commitment_to_no_body_costs_the_view_and_nothing_else) {
    Yard yard;
    auto parts = yard.relays[3].scatter(yard.proposal);
    // The leader's shards come from two bodies: those of the first six validators from one.
    Yard other;
    other.proposal = yard.make_proposal(100'000);
    auto body = other.proposal.block->body;
    body[0] ^= 1;
    other.proposal.block = make_block(yard.proposal.block->header, body);
    std::vector<Hash> leaves;
    std::vector<dispersal::Shard> mixed;
    const auto plan = dispersal::plan_shards(*yard.set);
    const auto one = dispersal::disperse(yard.proposal.block->body, plan);
    const auto two = dispersal::disperse(body, plan);
    for (uint16_t i = 0; i < plan.total(); ++i) {
        mixed.push_back(plan.holder_of(i) < 6 ? one.shards[i] : two.shards[i]);
        leaves.push_back(merkle::leaf(mixed.back().data));
    }
    const dispersal::Commitment lie{one.commitment.body_size_bytes, merkle::root(leaves)};
    auto paths = merkle::paths(leaves);
    for (uint16_t i = 0; i < plan.total(); ++i) mixed[i].path = std::move(paths[i]);
    for (auto& [to, scatter] : parts) {
        scatter.commitment = lie;
        for (auto& shard : scatter.shards) shard = mixed[shard.index];
    }
    auto& relay = yard.relays[0];
    std::vector<Shards> passed_on(kMany);
    for (const auto& [to, scatter] : parts) {
        if (to == kNoValidator) continue;
        const auto outcome = yard.relays[to].on(Yard::kLeader, scatter, yard.view, true);
        ASSERT_TRUE(outcome.forward) << "each shard is good by itself";
        passed_on[to] = *outcome.forward;
    }
    unsigned refused = 0;
    for (ValidatorIndex from = 1; from < kMany; ++from)
        if (from != Yard::kLeader) {
            const auto outcome = relay.on(from, passed_on[from], yard.view);
            EXPECT_FALSE(outcome.rebuilt);
            EXPECT_FALSE(outcome.is_bad_gift) << "they did not make them";
            refused += outcome.refused ? 1 : 0;
        }
    EXPECT_EQ(refused, 1u);
}

TEST(relay, only_the_first_block_of_the_leader_of_a_view_is_passed_on_and_spoken_of) {
    Yard yard;
    const auto strange = yard.relays[0].on(Yard::kLeader, yard.part(0), yard.view, false);
    EXPECT_FALSE(strange.forward || strange.head);
    const auto first = yard.relays[1].on(Yard::kLeader, yard.part(1), yard.view, true);
    ASSERT_TRUE(first.forward && first.head);
    EXPECT_TRUE(first.head->shards.empty());
    auto second = yard.part(1);
    second.header.gas_used = 1;
    const auto again = yard.relays[1].on(Yard::kLeader, second, yard.view, true);
    EXPECT_FALSE(again.forward || again.head);
}

TEST(relay, a_head_for_followers_does_not_shut_out_the_own_shards) {
    Yard yard;
    auto head = yard.part(0);
    head.shards.clear();
    EXPECT_FALSE(yard.relays[0].on(Yard::kLeader, head, yard.view, true).forward);
    EXPECT_TRUE(yard.relays[0].on(Yard::kLeader, yard.part(0), yard.view, true).forward);
}

}  // namespace
}  // namespace trainyard::consensus::bft
