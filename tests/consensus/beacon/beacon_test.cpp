// SPDX-License-Identifier: Apache-2.0
// The beacon: seeds two mini-epochs ahead, leaders by stake, audit seeds after the commitment.
#include "consensus/beacon/beacon.hpp"

#include <gtest/gtest.h>

#include "core/hash.hpp"

namespace trainyard::consensus {
namespace {

Hash beacon_of(Height height) {
    Bytes bytes;
    append_le<uint64_t>(bytes, height.value);
    return keccak256(bytes);
}

ValidatorSet set_of(const std::vector<uint64_t>& stakes_gwei) {
    std::vector<Validator> validators;
    for (const uint64_t stake_gwei : stakes_gwei) {
        Validator v;
        const auto number = static_cast<uint8_t>(validators.size() + 1);
        v.address[0] = number;
        v.consensus_key[1] = v.vrf_key[2] = v.p2p_key[3] = number;
        v.stake_gwei = stake_gwei;
        validators.push_back(v);
    }
    return *ValidatorSet::make(validators);
}

TEST(beacon, mini_epochs_hold_length_blocks_and_genesis_is_in_none) {
    EXPECT_EQ(mini_epoch_of({1}, 8).value, 0u);
    EXPECT_EQ(mini_epoch_of({8}, 8).value, 0u);
    EXPECT_EQ(mini_epoch_of({9}, 8).value, 1u);
    EXPECT_EQ(last_height_of({1}, 8).value, 16u);
}

TEST(beacon, leaders_are_seeded_two_mini_epochs_back_and_the_first_two_by_genesis) {
    EXPECT_EQ(schedule_seed_height({0}, 8).value, 0u);
    EXPECT_EQ(schedule_seed_height({1}, 8).value, 0u);
    EXPECT_EQ(schedule_seed_height({2}, 8).value, 8u);
    EXPECT_EQ(schedule_seed_height({5}, 8).value, 32u);
}

TEST(beacon, a_trail_grown_block_by_block_equals_one_read_from_the_chain) {
    for (const uint64_t length : {1u, 2u, 3u, 8u}) {
        BeaconTrail grown(length, beacon_of({0}));
        for (uint64_t height = 0; height < 50; ++height) {
            EXPECT_EQ(grown, BeaconTrail::at(length, {height}, beacon_of));
            const auto next = mini_epoch_of({height + 1}, length);
            EXPECT_EQ(grown.next_seed(), beacon_of(schedule_seed_height(next, length)));
            grown = grown.extended(beacon_of({height + 1}));
        }
    }
}

TEST(beacon, the_audit_seed_is_unknown_to_everyone_who_commits) {
    // Length 256, cutoff 32: heights 1..224 belong to mini-epoch 0, 225..480 to 1.
    EXPECT_EQ(audit_epoch_of({224}, 256, 32).value, 0u);
    EXPECT_EQ(audit_epoch_of({225}, 256, 32).value, 1u);
    EXPECT_EQ(audit_seed_height({0}, 256).value, 768u);
    for (uint64_t height = 1; height < 3000; ++height) {
        const auto seed_height = audit_seed_height(audit_epoch_of({height}, 256, 32), 256);
        EXPECT_GE(seed_height.value, height + 512 + 32);
    }
}

TEST(beacon, leaders_follow_stake) {
    const auto set = set_of({1, 2, 7});
    std::array<unsigned, 3> led{};
    for (uint64_t view = 1; view <= 10'000; ++view) ++led[leader_of(set, beacon_of({5}), {view})];
    EXPECT_NEAR(led[0], 1000, 150);
    EXPECT_NEAR(led[1], 2000, 200);
    EXPECT_NEAR(led[2], 7000, 250);
}

TEST(beacon, leaders_depend_on_seed_and_view_only) {
    const auto set = set_of({5, 5, 5, 5});
    EXPECT_EQ(leader_of(set, beacon_of({1}), {9}), leader_of(set, beacon_of({1}), {9}));
    unsigned same = 0;
    for (uint64_t view = 1; view <= 1000; ++view)
        same += leader_of(set, beacon_of({1}), {view}) == leader_of(set, beacon_of({2}), {view});
    EXPECT_NEAR(same, 250, 70);
}

TEST(beacon, next_value_mixes_parent_and_proof_output) {
    const Hash a = beacon_of({1}), b = beacon_of({2});
    EXPECT_NE(next_beacon(a, b), next_beacon(b, a));
    Bytes bytes;
    append(bytes, as_bytes("beacon"));
    append(bytes, a.bytes);
    append(bytes, b.bytes);
    EXPECT_EQ(next_beacon(a, b), keccak256(bytes));
}

TEST(beacon, alpha_differs_by_chain_height_and_parent) {
    const Hash a = beacon_of({1}), b = beacon_of({2});
    const Bytes base = beacon_alpha(1, a, {5}, b);
    EXPECT_EQ(base.size(), 19u + 8 + 32 + 8 + 32);
    EXPECT_NE(base, beacon_alpha(2, a, {5}, b));
    EXPECT_NE(base, beacon_alpha(1, b, {5}, b));
    EXPECT_NE(base, beacon_alpha(1, a, {6}, b));
    EXPECT_NE(base, beacon_alpha(1, a, {5}, a));
}

}  // namespace
}  // namespace trainyard::consensus
