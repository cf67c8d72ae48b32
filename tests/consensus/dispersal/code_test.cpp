// SPDX-License-Identifier: Apache-2.0
// Bodies as shards: any `data` of them rebuild, and a lie is seen by all.
#include "consensus/dispersal/code.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "core/merkle.hpp"

namespace trainyard::consensus::dispersal {
namespace {

ValidatorSet set_of(const std::vector<uint64_t>& stakes) {
    std::vector<Validator> validators;
    for (size_t i = 0; i < stakes.size(); ++i) {
        Validator v;
        v.address[0] = 1;
        v.address[18] = static_cast<uint8_t>(i >> 8);
        v.address[19] = static_cast<uint8_t>(i);
        uint8_t kind = 4;
        for (auto* key : {&v.consensus_key, &v.vrf_key, &v.p2p_key}) {
            (*key)[0] = kind++;
            (*key)[1] = static_cast<uint8_t>(i >> 8);
            (*key)[2] = static_cast<uint8_t>(i);
        }
        v.stake_gwei = stakes[i];
        validators.push_back(v);
    }
    return *ValidatorSet::make(std::move(validators));
}

Bytes body_of(size_t size_bytes, uint32_t seed = 1) {
    std::mt19937 dice(seed);
    Bytes body(size_bytes);
    for (auto& byte : body) byte = static_cast<uint8_t>(dice());
    return body;
}

std::vector<uint16_t> shares_of(const ShardPlan& plan) {
    std::vector<uint16_t> shares(plan.first.size());
    std::adjacent_difference(plan.first.begin(), plan.first.end(), shares.begin());
    return {shares.begin() + 1, shares.end()};
}

/// The shards of the given indices, in that order.
std::vector<Shard> pick(const Dispersed& all, const std::vector<uint16_t>& indices) {
    std::vector<Shard> out;
    for (const auto i : indices) out.push_back(all.shards[i]);
    return out;
}

TEST(shard_plan, equal_validators_hold_one_each) {
    const auto plan = plan_shards(set_of({5, 5, 5, 5}));
    EXPECT_EQ(shares_of(plan), (std::vector<uint16_t>{1, 1, 1, 1}));
    // W = 20, Q = 14, F = 6: the honest part of a quorum weighs 8, more than one validator.
    EXPECT_EQ(plan.data, 2);
    EXPECT_EQ(plan.holder_of(0), 0);
    EXPECT_EQ(plan.holder_of(3), 3);
    const auto many = plan_shards(set_of(std::vector<uint64_t>(kValidatorsMax, 7)));
    EXPECT_EQ(many.total(), kValidatorsMax);
    EXPECT_EQ(many.data, 67);
}

TEST(shard_plan, shares_follow_stake_and_nobody_goes_without) {
    const auto plan = plan_shards(set_of({1, 1'000'000, 1'000'000, 2'000'000}));
    EXPECT_EQ(shares_of(plan), (std::vector<uint16_t>{1, 1, 1, 2}));
    EXPECT_LE(plan.total(), kShardsMax);
}

TEST(shard_plan, every_set_as_heavy_as_the_honest_part_of_a_quorum_can_rebuild) {
    std::mt19937 dice(7);
    for (int round = 0; round < 300; ++round) {
        std::vector<uint64_t> stakes(1 + dice() % 12);
        for (auto& stake : stakes) stake = 1 + (dice() % 3 == 0 ? dice() % 1000 : dice() % 10);
        const auto set = set_of(stakes);
        const auto plan = plan_shards(set);
        const auto shares = shares_of(plan);
        const uint64_t honest = set.quorum() - set.fault_bound();
        for (uint32_t members = 0; members < 1u << stakes.size(); ++members) {
            uint64_t weight = 0, shards = 0;
            for (size_t i = 0; i < stakes.size(); ++i) {
                if ((members >> i & 1) == 0) continue;
                weight += stakes[i];
                shards += shares[i];
            }
            if (weight >= honest) {
                ASSERT_GE(shards, plan.data) << "round " << round;
            }
        }
    }
}

TEST(dispersal, any_data_shards_in_any_order_rebuild_the_body) {
    std::mt19937 dice(3);
    for (const size_t size_bytes : {size_t{1}, size_t{12}, size_t{13}, size_t{100'003}}) {
        const auto plan = plan_shards(set_of({3, 4, 5, 6, 7}));
        const Bytes body = body_of(size_bytes);
        const auto all = disperse(body, plan);
        ASSERT_EQ(all.shards.size(), plan.total());
        for (const auto& shard : all.shards) EXPECT_TRUE(verify_shard(all.commitment, plan, shard));
        std::vector<uint16_t> order(plan.total());
        std::iota(order.begin(), order.end(), uint16_t{0});
        for (int round = 0; round < 20; ++round) {
            std::shuffle(order.begin(), order.end(), dice);
            const std::vector<uint16_t> some(order.begin(), order.begin() + plan.data);
            const auto rebuilt = rebuild(all.commitment, plan, pick(all, some));
            ASSERT_TRUE(rebuilt.has_value());
            EXPECT_EQ(*rebuilt, body);
        }
    }
}

TEST(dispersal, one_shard_less_than_needed_is_too_few_however_often_it_is_repeated) {
    const auto plan = plan_shards(set_of(std::vector<uint64_t>(16, 1)));
    const auto all = disperse(body_of(1000), plan);
    std::vector<uint16_t> some(plan.data - 1u);
    std::iota(some.begin(), some.end(), uint16_t{3});
    some.insert(some.end(), 40, uint16_t{3});
    EXPECT_EQ(rebuild(all.commitment, plan, pick(all, some)).error(), RebuildError::too_few);
}

TEST(dispersal, rejects_shards_of_another_place_size_body_or_path) {
    const auto plan = plan_shards(set_of(std::vector<uint64_t>(16, 1)));
    const auto all = disperse(body_of(1000), plan);
    const auto refused = [&](auto change) {
        Shard shard = all.shards[5];
        change(shard);
        return !verify_shard(all.commitment, plan, shard);
    };
    EXPECT_TRUE(refused([](Shard& s) { s.index = 6; }));
    EXPECT_TRUE(refused([&](Shard& s) { s.index = plan.total(); }));
    EXPECT_TRUE(refused([](Shard& s) { s.data[0] ^= 1; }));
    EXPECT_TRUE(refused([](Shard& s) { s.data.push_back(0); }));
    EXPECT_TRUE(refused([](Shard& s) { s.path.pop_back(); }));
    EXPECT_TRUE(refused([](Shard& s) { s.path.push_back(Hash{}); }));
    EXPECT_TRUE(refused([](Shard& s) { s.path[0][0] ^= 1; }));
    Commitment other = all.commitment;
    other.body_size_bytes = 0;
    EXPECT_FALSE(verify_shard(other, plan, all.shards[5]));
    other.body_size_bytes = kBodySizeMax_bytes + 1;
    EXPECT_FALSE(verify_shard(other, plan, all.shards[5]));
}

/// What a disperser that lies would send: shards of its choice under a root that fits them.
Dispersed forged(std::vector<Bytes> data, uint32_t body_size_bytes) {
    std::vector<Hash> leaves;
    for (const auto& shard : data) leaves.push_back(merkle::leaf(shard));
    Dispersed out;
    out.commitment = {body_size_bytes, merkle::root(leaves)};
    for (uint16_t i = 0; i < data.size(); ++i)
        out.shards.push_back({i, std::move(data[i]), merkle::path(leaves, i)});
    return out;
}

TEST(dispersal, shards_that_come_from_no_single_body_are_inconsistent_for_everybody) {
    const auto plan = plan_shards(set_of(std::vector<uint64_t>(16, 1)));
    const auto honest = disperse(body_of(1000), plan);
    std::vector<Bytes> data;
    for (const auto& shard : honest.shards) data.push_back(shard.data);
    data[12][3] ^= 1;
    const auto lie = forged(data, 1000);
    std::mt19937 dice(5);
    std::vector<uint16_t> order(plan.total());
    std::iota(order.begin(), order.end(), uint16_t{0});
    for (int round = 0; round < 50; ++round) {
        std::shuffle(order.begin(), order.end(), dice);
        const std::vector<uint16_t> some(order.begin(), order.begin() + plan.data);
        EXPECT_EQ(rebuild(lie.commitment, plan, pick(lie, some)).error(),
                  RebuildError::inconsistent);
    }
}

TEST(dispersal, padding_that_is_not_zero_is_inconsistent) {
    const auto plan = plan_shards(set_of(std::vector<uint64_t>(16, 1)));
    const auto longer = disperse(body_of(1044), plan);  // 6 shards of 174 bytes
    ASSERT_EQ(shard_size_bytes(plan, 1039), shard_size_bytes(plan, 1044));
    Dispersed lie = longer;
    lie.commitment.body_size_bytes = 1039;
    ASSERT_TRUE(verify_shard(lie.commitment, plan, lie.shards[0]));
    EXPECT_EQ(rebuild(lie.commitment, plan, lie.shards).error(), RebuildError::inconsistent);
}

TEST(dispersal, commitment_is_frozen) {
    // Computed by this implementation on 2026-11-26; a change here is a change of the protocol.
    const auto plan = plan_shards(set_of({1, 2, 3, 4}));
    Bytes body(70'000);
    for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<uint8_t>(i * 7);
    EXPECT_EQ(commitment_of(body, plan), disperse(body, plan).commitment);
    EXPECT_EQ(to_hex(commitment_of(body, plan).root),
              "456b7004f74a67c8d7a47f899863cf490b6981ed1449d203a2d1e6c2bbaa1756");
}

}  // namespace
}  // namespace trainyard::consensus::dispersal
