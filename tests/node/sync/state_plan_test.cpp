// SPDX-License-Identifier: Apache-2.0
// Which snapshot is taken and whom its parts are asked from, with slow, poor and lying peers.
#include "node/sync/state_plan.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace trainyard::sync {
namespace {

using What = StateAsk::What;
using Asks = std::vector<StateAsk>;

PublicKey peer(uint8_t n) {
    PublicKey key;
    key[0] = n;
    return key;
}
Hash hash(uint8_t n) {
    Hash out;
    out[0] = n;
    return out;
}
p2p::SnapshotOffer offer(uint8_t id, uint64_t height, uint32_t chunks = 5) {
    return {hash(id), hash(static_cast<uint8_t>(height)), Height{height}, chunks, chunks * 1000,
            10};
}
size_t count(const Asks& asks, What what) {
    return static_cast<size_t>(
        std::count_if(asks.begin(), asks.end(), [&](const auto& ask) { return ask.what == what; }));
}

/// A plan with peers 1 to n, whose boundaries are proven up to epoch 3; heights 4, 8 and 12.
struct Scene {
    explicit Scene(uint8_t n, StateLimits l = {}) : plan(l, Epoch{}) {
        for (uint8_t i = 1; i <= n; ++i) peers.push_back(peer(i));
        for (const uint8_t height : {4, 8, 12}) plan.on_proven({height}, hash(height));
    }
    /// Answers questions for offers and boundaries; returns the others.
    Asks step(const std::map<PublicKey, std::vector<p2p::SnapshotOffer>>& offers) {
        Asks rest;
        for (const auto& ask : plan.next(peers, now_ms)) {
            const auto found = offers.find(ask.peer);
            if (ask.what == What::offers)
                plan.on_offers(
                    ask, Outcome::good,
                    found == offers.end() ? std::vector<p2p::SnapshotOffer>{} : found->second,
                    now_ms);
            else if (ask.what == What::boundaries)
                plan.on_boundaries(ask, Outcome::good, {ask.index}, now_ms);
            else
                rest.push_back(ask);
        }
        now_ms += 500;
        return rest;
    }
    /// Until a target is chosen and its manifest is asked for.
    std::optional<StateAsk> to_manifest(
        const std::map<PublicKey, std::vector<p2p::SnapshotOffer>>& offers) {
        for (int i = 0; i < 40; ++i)
            if (const auto rest = step(offers); !rest.empty()) return rest.front();
        return std::nullopt;
    }
    void give_manifest(const StateAsk& ask, std::set<uint64_t> missing) {
        plan.on_manifest_part(ask, Outcome::good, 10, now_ms);
        ASSERT_TRUE(plan.has_manifest_parts());
        plan.on_manifest(std::move(missing));
    }

    StatePlan plan;
    std::vector<PublicKey> peers;
    uint64_t now_ms = 1'000;
};

TEST(state_plan, proves_boundaries_one_question_after_the_other_before_it_takes_a_snapshot) {
    StatePlan plan({}, Epoch{});
    const std::vector<PublicKey> peers{peer(1), peer(2)};
    auto asks = plan.next(peers, 0);
    ASSERT_EQ(count(asks, What::boundaries), 1u);
    EXPECT_EQ(count(asks, What::offers), 2u);
    EXPECT_EQ(count(plan.next(peers, 10), What::boundaries), 0u) << "one is open";
    plan.on_boundaries(asks.back(), Outcome::good, {7}, 20);
    asks = plan.next(peers, 30);
    ASSERT_EQ(asks.size(), 1u);
    EXPECT_EQ(asks[0].index, 7u);
    plan.on_boundaries(asks[0], Outcome::good, {7}, 40);
    asks = plan.next(peers, 50);
    ASSERT_EQ(asks.size(), 1u);
    EXPECT_NE(asks[0].peer, peer(1)) << "that one has no more";
    EXPECT_EQ(plan.next_epoch(), Epoch{7});
}

TEST(state_plan, takes_the_highest_snapshot_of_a_proven_block) {
    Scene scene(3);
    const auto ask = scene.to_manifest(
        {{peer(1), {offer(1, 4)}}, {peer(2), {offer(2, 8)}}, {peer(3), {offer(3, 1000)}}});
    ASSERT_TRUE(ask);
    EXPECT_EQ(ask->what, What::manifest);
    EXPECT_EQ(ask->peer, peer(2));
    EXPECT_EQ(scene.plan.target()->id, hash(2)) << "1000 may be a lie";
}

TEST(state_plan, takes_what_most_peers_offer_at_one_height) {
    Scene scene(3);
    const auto ask = scene.to_manifest(
        {{peer(1), {offer(9, 8)}}, {peer(2), {offer(5, 8)}}, {peer(3), {offer(5, 8)}}});
    ASSERT_TRUE(ask);
    EXPECT_EQ(scene.plan.target()->id, hash(5));
}

TEST(state_plan, takes_up_what_was_begun_while_somebody_has_it) {
    Scene scene(2);
    scene.plan.prefer(hash(1));
    ASSERT_TRUE(
        scene.to_manifest({{peer(1), {offer(2, 8), offer(1, 4)}}, {peer(2), {offer(2, 8)}}}));
    EXPECT_EQ(scene.plan.target()->id, hash(1));
}

TEST(state_plan, rejects_who_offers_another_block_than_the_final_one) {
    Scene scene(2);
    auto lie = offer(1, 8);
    lie.block = hash(99);
    scene.plan.on_proven({16}, hash(16));
    const auto ask = scene.to_manifest({{peer(1), {lie}}, {peer(2), {offer(2, 8)}}});
    ASSERT_TRUE(ask);
    EXPECT_EQ(ask->peer, peer(2));
    EXPECT_EQ(scene.plan.take_liars(), std::vector{peer(1)});
    EXPECT_TRUE(scene.plan.take_liars().empty()) << "told once";
}

TEST(state_plan, rejects_a_lie_that_is_found_out_later) {
    StatePlan plan({}, Epoch{});
    const auto asks = plan.next({peer(1)}, 0);
    plan.on_offers(asks[0], Outcome::good, {offer(1, 40)}, 0);
    EXPECT_TRUE(plan.take_liars().empty());
    plan.on_proven({40}, hash(41));
    EXPECT_EQ(plan.take_liars(), std::vector{peer(1)});
}

TEST(state_plan, passes_over_offers_that_the_disk_cannot_hold_or_that_are_empty) {
    StateLimits limits;
    limits.chunks_max = 10;
    Scene scene(2, limits);
    const auto ask = scene.to_manifest(
        {{peer(1), {offer(1, 12, 11), offer(2, 8, 0)}}, {peer(2), {offer(3, 4)}}});
    ASSERT_TRUE(ask);
    EXPECT_EQ(scene.plan.target()->id, hash(3));
}

TEST(state_plan, asks_all_who_offer_it_for_chunks_at_once_and_within_bounds) {
    StateLimits limits;
    limits.in_flight_per_peer = 2;
    limits.in_flight_max = 5;
    Scene scene(4, limits);
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{
        {peer(1), {offer(1, 8)}}, {peer(2), {offer(1, 8)}}, {peer(3), {offer(1, 8)}}};
    const auto ask = scene.to_manifest(offers);
    ASSERT_TRUE(ask);
    std::set<uint64_t> missing;
    for (uint64_t i = 0; i < 20; ++i) missing.insert(i);
    scene.give_manifest(*ask, missing);
    const Asks asks = scene.step(offers);
    EXPECT_EQ(asks.size(), 5u);
    std::map<PublicKey, size_t> per_peer;
    std::set<uint64_t> indices;
    for (const auto& chunk : asks) {
        ++per_peer[chunk.peer];
        indices.insert(chunk.index);
    }
    EXPECT_EQ(per_peer.size(), 3u) << "not from peer 4, which has none";
    EXPECT_EQ(indices.size(), 5u) << "each once";
    EXPECT_EQ(scene.plan.chunks_missing(), 20u);
    for (const auto& chunk : asks) scene.plan.on_chunk(chunk, Outcome::good, scene.now_ms);
    EXPECT_EQ(scene.plan.chunks_missing(), 15u);
}

TEST(state_plan, a_lost_or_wrong_chunk_is_asked_from_another) {
    Scene scene(2);
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{{peer(1), {offer(1, 8)}},
                                                                      {peer(2), {offer(1, 8)}}};
    const auto manifest = scene.to_manifest(offers);
    ASSERT_TRUE(manifest);
    scene.give_manifest(*manifest, {0});
    auto asks = scene.step(offers);
    ASSERT_EQ(asks.size(), 1u);
    const PublicKey liar = asks[0].peer;
    scene.plan.on_chunk(asks[0], Outcome::wrong, scene.now_ms);
    asks = scene.step(offers);
    ASSERT_EQ(asks.size(), 1u);
    EXPECT_NE(asks[0].peer, liar);
    EXPECT_FALSE(scene.plan.is_complete());
    scene.plan.on_chunk(asks[0], Outcome::lost, scene.now_ms);
    asks = scene.step(offers);
    ASSERT_EQ(asks.size(), 1u) << "once lost is no reason to leave the last one";
    scene.plan.on_chunk(asks[0], Outcome::good, scene.now_ms);
    EXPECT_TRUE(scene.plan.is_complete());
}

TEST(state_plan, rests_from_a_peer_that_loses_answers_and_heeds_one_that_is_busy) {
    StateLimits limits;
    limits.in_flight_per_peer = 1;
    Scene scene(1, limits);
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{{peer(1), {offer(1, 8)}}};
    const auto manifest = scene.to_manifest(offers);
    ASSERT_TRUE(manifest);
    scene.give_manifest(*manifest, {0, 1, 2});
    for (unsigned i = 0; i < limits.strikes_max; ++i) {
        const auto asks = scene.step(offers);
        ASSERT_EQ(asks.size(), 1u);
        scene.plan.on_chunk(asks[0], Outcome::lost, scene.now_ms);
    }
    EXPECT_TRUE(scene.step(offers).empty());
    scene.now_ms += limits.rest_ms;
    const auto asks = scene.step(offers);
    ASSERT_EQ(asks.size(), 1u);
    scene.plan.on_chunk(asks[0], Outcome::throttled, scene.now_ms);
    EXPECT_TRUE(scene.plan.next(scene.peers, scene.now_ms).empty());
    scene.now_ms += limits.throttle_ms;
    EXPECT_EQ(scene.step(offers).size(), 1u);
}

TEST(state_plan, peers_that_drip_cannot_hold_all_questions) {
    StateLimits limits;
    limits.in_flight_max = 8;
    Scene scene(3, limits);
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{
        {peer(1), {offer(7, 8, 30)}}, {peer(2), {offer(7, 8, 30)}}, {peer(3), {offer(7, 8, 30)}}};
    const auto manifest = scene.to_manifest(offers);
    ASSERT_TRUE(manifest);
    std::set<uint64_t> chunks;
    for (uint64_t i = 0; i < 30; ++i) chunks.insert(i);
    scene.give_manifest(*manifest, chunks);
    Asks slow;
    std::map<PublicKey, size_t> open;
    for (int i = 0; i < 200 && !scene.plan.is_complete(); ++i) {
        for (const auto& ask : scene.step(offers)) {
            ++open[ask.peer];
            if (ask.peer != peer(3)) {
                slow.push_back(ask);
                continue;
            }
            scene.plan.on_chunk(ask, Outcome::good, scene.now_ms);
            --open[ask.peer];
        }
        // Peers 1 and 2 give each chunk after 30 s, which is in time.
        for (auto it = slow.begin(); it != slow.end();)
            if (i % 60 == 59) {
                scene.plan.on_chunk(*it, Outcome::good, scene.now_ms);
                --open[it->peer];
                it = slow.erase(it);
            } else {
                ++it;
            }
        if (scene.now_ms > 35'000) {
            EXPECT_LE(open[peer(1)], 1u) << "slow";
        }
    }
    EXPECT_TRUE(scene.plan.is_complete());
    EXPECT_LT(scene.now_ms, 40'000u) << "what the slow ones owed came from the fast one";
    for (const auto& ask : slow) scene.plan.on_chunk(ask, Outcome::good, scene.now_ms);
}

TEST(state_plan, all_that_is_slow_is_asked_all_the_same_and_once) {
    Scene scene(2);
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{{peer(1), {offer(7, 8)}},
                                                                      {peer(2), {offer(7, 8)}}};
    const auto manifest = scene.to_manifest(offers);
    ASSERT_TRUE(manifest);
    std::set<uint64_t> chunks;
    for (uint64_t i = 0; i < 18; ++i) chunks.insert(i);
    scene.give_manifest(*manifest, chunks);
    const auto give = [&](const Asks& asks) {
        for (const auto& ask : asks) scene.plan.on_chunk(ask, Outcome::good, scene.now_ms);
    };
    const Asks first = scene.step(offers);
    EXPECT_EQ(first.size(), 8u);
    scene.now_ms += 30'000;
    EXPECT_TRUE(scene.step(offers).empty()) << "nobody is faster";
    give(first);
    const Asks slowly = scene.step(offers);
    ASSERT_EQ(slowly.size(), 2u);
    EXPECT_NE(slowly[0].peer, slowly[1].peer) << "one at a time";
    give(slowly);
    const Asks rest = scene.step(offers);
    EXPECT_EQ(rest.size(), 8u) << "no longer slow";
    give(rest);
    EXPECT_TRUE(scene.plan.is_complete());
}

TEST(state_plan, what_a_slow_peer_owes_is_asked_from_a_faster_one) {
    Scene scene(2);
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{{peer(1), {offer(7, 8)}},
                                                                      {peer(2), {offer(7, 8)}}};
    const auto manifest = scene.to_manifest(offers);
    ASSERT_TRUE(manifest);
    scene.give_manifest(*manifest, {0, 1, 2, 3});
    const Asks first = scene.step(offers);
    ASSERT_EQ(first.size(), 4u);
    const auto give = [&](const Asks& asks, const PublicKey& of) {
        for (const auto& ask : asks)
            if (ask.peer == of) scene.plan.on_chunk(ask, Outcome::good, scene.now_ms);
    };
    give(first, peer(2));
    EXPECT_TRUE(scene.step(offers).empty());
    scene.now_ms += 21'000;
    const Asks again = scene.step(offers);
    ASSERT_EQ(again.size(), 2u);
    for (const auto& ask : again) EXPECT_EQ(ask.peer, peer(2));
    give(again, peer(2));
    EXPECT_TRUE(scene.plan.is_complete());
    EXPECT_FALSE(scene.plan.wants_chunk(first[0].index));
    give(first, peer(1));
    EXPECT_TRUE(scene.plan.is_complete()) << "what comes late is there already";
}

TEST(state_plan, a_slow_manifest_is_asked_from_another) {
    Scene scene(2);
    p2p::SnapshotOffer long_one = offer(7, 8);
    long_one.manifest_bytes = 3 * p2p::kSnapshotPartBytes;
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{{peer(1), {long_one}},
                                                                      {peer(2), {long_one}}};
    const auto ask = scene.to_manifest(offers);
    ASSERT_TRUE(ask);
    EXPECT_EQ(ask->peer, peer(1));
    scene.now_ms += 30'000;
    scene.plan.on_manifest_part(*ask, Outcome::good, p2p::kSnapshotPartBytes, scene.now_ms);
    const auto next = scene.to_manifest(offers);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->peer, peer(2));
    EXPECT_EQ(next->index, 0u);
}

TEST(state_plan, a_wrong_manifest_costs_its_peer_and_another_is_asked) {
    Scene scene(2);
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{{peer(1), {offer(1, 8)}},
                                                                      {peer(2), {offer(1, 8)}}};
    const auto first = scene.to_manifest(offers);
    ASSERT_TRUE(first);
    scene.plan.on_manifest_part(*first, Outcome::good, 10, scene.now_ms);
    ASSERT_TRUE(scene.plan.has_manifest_parts());
    EXPECT_EQ(scene.plan.manifest_peer(), first->peer);
    scene.plan.on_wrong_manifest();
    const auto second = scene.to_manifest(offers);
    ASSERT_TRUE(second);
    EXPECT_NE(second->peer, first->peer);
}

TEST(state_plan, a_manifest_of_several_parts_comes_from_one_peer) {
    Scene scene(2);
    auto large = offer(1, 8);
    large.manifest_bytes = 2 * p2p::kSnapshotPartBytes + 1;
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{{peer(1), {large}},
                                                                      {peer(2), {large}}};
    auto ask = scene.to_manifest(offers);
    ASSERT_TRUE(ask);
    const PublicKey giver = ask->peer;
    for (uint64_t part = 0; part < 2; ++part) {
        EXPECT_EQ(ask->index, part);
        EXPECT_EQ(ask->peer, giver);
        scene.plan.on_manifest_part(*ask, Outcome::good, p2p::kSnapshotPartBytes, scene.now_ms);
        EXPECT_FALSE(scene.plan.has_manifest_parts());
        ask = scene.to_manifest(offers);
        ASSERT_TRUE(ask);
    }
    scene.plan.on_manifest_part(*ask, Outcome::lost, 0, scene.now_ms);
    ask = scene.to_manifest(offers);
    ASSERT_TRUE(ask);
    EXPECT_EQ(ask->index, 0u) << "parts of two peers do not fit";
}

TEST(state_plan, a_manifest_with_nothing_in_its_parts_holds_nobody_up) {
    Scene scene(2);
    auto hollow = offer(1, 8);
    hollow.manifest_bytes = 40 * p2p::kSnapshotPartBytes;
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{{peer(1), {hollow}},
                                                                      {peer(2), {hollow}}};
    const auto first = scene.to_manifest(offers);
    ASSERT_TRUE(first);
    scene.plan.on_manifest_part(*first, Outcome::good, 0, scene.now_ms);
    const auto second = scene.to_manifest(offers);
    ASSERT_TRUE(second);
    EXPECT_NE(second->peer, first->peer);
    EXPECT_EQ(second->index, 0u);
}

TEST(state_plan, passes_over_snapshots_whose_manifest_is_too_long_or_none) {
    Scene scene(3);
    auto endless = offer(1, 12), empty = offer(2, 12);
    endless.manifest_bytes = UINT32_MAX;
    empty.manifest_bytes = 0;
    ASSERT_TRUE(
        scene.to_manifest({{peer(1), {endless}}, {peer(2), {empty}}, {peer(3), {offer(3, 4)}}}));
    EXPECT_EQ(scene.plan.target()->id, hash(3));
}

TEST(state_plan, a_target_that_is_a_lie_is_not_taken_again) {
    Scene scene(3);
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{
        {peer(1), {offer(1, 8)}}, {peer(2), {offer(1, 8)}}, {peer(3), {offer(2, 8)}}};
    const auto manifest = scene.to_manifest(offers);
    ASSERT_TRUE(manifest);
    scene.give_manifest(*manifest, {0});
    const auto chunk = scene.step(offers);
    ASSERT_EQ(chunk.size(), 1u);
    EXPECT_EQ(scene.plan.reject_target(), (std::vector{peer(1), peer(2)}));
    scene.plan.on_chunk(chunk[0], Outcome::good, scene.now_ms);  // of a target that is gone
    EXPECT_FALSE(scene.plan.is_complete());
    const auto next = scene.to_manifest(offers);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->peer, peer(3));
    EXPECT_EQ(scene.plan.target()->id, hash(2));
}

TEST(state_plan, a_target_that_nobody_has_any_more_gives_way_to_a_newer_one) {
    Scene scene(1);
    const auto manifest = scene.to_manifest({{peer(1), {offer(1, 4)}}});
    ASSERT_TRUE(manifest);
    scene.give_manifest(*manifest, {0, 1});
    const auto has_moved = [&] {
        return scene.plan.target() && scene.plan.target()->id == hash(2);
    };
    for (int i = 0; i < 200 && !has_moved(); ++i)
        for (const auto& ask : scene.step({{peer(1), {offer(2, 8)}}}))
            if (ask.what == What::chunk) scene.plan.on_chunk(ask, Outcome::lost, scene.now_ms);
    EXPECT_TRUE(has_moved());
}

TEST(state_plan, is_hopeless_only_when_peers_were_there_and_had_nothing) {
    StatePlan alone({}, Epoch{});
    for (uint64_t now = 0; now < 100'000; now += 1'000) (void)alone.next({}, now);
    EXPECT_FALSE(alone.is_hopeless(100'000)) << "peers may still come";
    Scene scene(2);
    for (int i = 0; i < 40; ++i) (void)scene.step({});
    EXPECT_FALSE(scene.plan.is_hopeless(scene.now_ms));
    for (int i = 0; i < 40; ++i) (void)scene.step({});
    EXPECT_TRUE(scene.plan.is_hopeless(scene.now_ms));
}

TEST(state_plan, is_not_hopeless_after_a_long_lie_while_another_has_a_snapshot) {
    Scene scene(3);
    const std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{
        {peer(1), {offer(1, 8)}}, {peer(2), {offer(1, 8)}}, {peer(3), {offer(2, 8)}}};
    const auto manifest = scene.to_manifest(offers);
    ASSERT_TRUE(manifest);
    scene.give_manifest(*manifest, {});
    EXPECT_TRUE(scene.plan.is_complete());
    scene.now_ms += 10 * StateLimits{}.patience_ms;  // the import takes its time
    (void)scene.plan.reject_target();
    EXPECT_TRUE(scene.to_manifest(offers));
    EXPECT_FALSE(scene.plan.is_hopeless(scene.now_ms));
    EXPECT_EQ(scene.plan.target()->id, hash(2));
    scene.now_ms += 10 * StateLimits{}.patience_ms;
    (void)scene.plan.reject_target();
    (void)scene.step(offers);
    EXPECT_FALSE(scene.plan.is_hopeless(scene.now_ms)) << "others may still come";
}

TEST(state_plan, nobody_holds_the_others_up_by_being_busy_with_boundaries) {
    StatePlan plan({}, Epoch{4});
    const std::vector<PublicKey> peers{peer(1), peer(2)};
    plan.on_proven({8}, hash(8));
    for (uint64_t now = 0; now < 60'000 && !plan.target(); now += 100) {
        for (const auto& ask : plan.next(peers, now)) {
            if (ask.what == What::offers)
                plan.on_offers(ask, Outcome::good, {offer(1, 8)}, now);
            else if (ask.what == What::boundaries)
                plan.on_boundaries(ask, ask.peer == peer(1) ? Outcome::throttled : Outcome::good,
                                   Epoch{ask.index}, now);
        }
    }
    EXPECT_TRUE(plan.target());
}

TEST(state_plan, a_target_of_which_nothing_comes_gives_way_to_that_of_who_was_here_before) {
    Scene scene(3);
    std::map<PublicKey, std::vector<p2p::SnapshotOffer>> offers{
        {peer(1), {offer(1, 8)}}, {peer(2), {offer(2, 4)}}, {peer(3), {offer(2, 4)}}};
    ASSERT_TRUE(scene.to_manifest(offers));
    ASSERT_EQ(scene.plan.target()->id, hash(1)) << "the highest";
    const auto has_moved = [&] {
        return scene.plan.target() && scene.plan.target()->id == hash(2);
    };
    const uint64_t begun_ms = scene.now_ms;
    for (int i = 0; i < 500 && !has_moved(); ++i) {
        for (const auto& ask : scene.step(offers))
            if (ask.what == What::manifest)
                scene.plan.on_manifest_part(ask, Outcome::throttled, 0, scene.now_ms);
        if (scene.now_ms - begun_ms < 50'000) continue;
        scene.peers.push_back(peer(4));  // the idle one again, by another name
        offers[peer(4)] = {offer(4, 8)};
    }
    EXPECT_TRUE(has_moved());
    EXPECT_LT(scene.now_ms - begun_ms, 70'000u);
    EXPECT_TRUE(scene.plan.take_liars().empty());
}

}  // namespace
}  // namespace trainyard::sync
