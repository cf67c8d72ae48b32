// SPDX-License-Identifier: Apache-2.0
// Validator sets: order, quorum, and what is refused.
#include "consensus/staking/validator_set.hpp"

#include <gtest/gtest.h>

namespace trainyard::consensus {
namespace {

Validator validator(uint8_t number, uint64_t stake_gwei = 1) {
    Validator v;
    v.address[19] = number;
    for (auto* key : {&v.consensus_key, &v.vrf_key, &v.p2p_key}) (*key)[1] = number;
    v.consensus_key[0] = 4;
    v.vrf_key[0] = 5;
    v.p2p_key[0] = 6;
    v.stake_gwei = stake_gwei;
    return v;
}

ValidatorSetError error_of(std::vector<Validator> validators) {
    return ValidatorSet::make(std::move(validators)).error();
}

TEST(validator_set, is_sorted_by_address_whatever_the_order_given) {
    const auto set = ValidatorSet::make({validator(3), validator(1), validator(2)});
    ASSERT_TRUE(set.has_value());
    for (ValidatorIndex i = 0; i < 3; ++i) EXPECT_EQ(set->at(i).address[19], i + 1);
    EXPECT_EQ(set->find_address(validator(2).address), 1);
    EXPECT_EQ(set->find_p2p_key(validator(3).p2p_key), 2);
    EXPECT_EQ(set->find_consensus_key(validator(9).consensus_key), std::nullopt);
}

TEST(validator_set, two_quorums_share_more_than_the_fault_bound) {
    for (uint64_t total = 1; total < 2000; ++total) {
        const uint64_t quorum = ValidatorSet::quorum_weight(total);
        EXPECT_EQ(quorum, 2 * total / 3 + 1);
        EXPECT_GT(2 * quorum - total, (total - 1) / 3);
        EXPECT_GE(total - (total - 1) / 3, quorum);  // the honest alone can decide
    }
}

TEST(validator_set, quorum_of_the_greatest_total_does_not_overflow) {
    const uint64_t total = kTotalStakeGweiMax - 1;
    const auto set = ValidatorSet::make({validator(1, total)});
    ASSERT_TRUE(set.has_value());
    EXPECT_EQ(set->quorum(),
              static_cast<uint64_t>(static_cast<unsigned __int128>(total) * 2 / 3 + 1));
}

TEST(validator_set, rejects_sets_that_are_empty_or_too_large) {
    EXPECT_EQ(error_of({}), ValidatorSetError::empty);
    std::vector<Validator> many;
    for (unsigned i = 0; i <= kValidatorsMax; ++i)
        many.push_back(validator(static_cast<uint8_t>(i + 1)));
    EXPECT_EQ(error_of(many), ValidatorSetError::too_many);
    many.pop_back();
    EXPECT_TRUE(ValidatorSet::make(many).has_value());
}

TEST(validator_set, rejects_repeated_addresses_and_keys) {
    auto twin = validator(1);
    EXPECT_EQ(error_of({validator(1), twin}), ValidatorSetError::duplicate_address);
    twin.address[0] = 7;
    EXPECT_EQ(error_of({validator(1), twin}), ValidatorSetError::duplicate_key);
    auto lazy = validator(2);
    lazy.vrf_key = lazy.consensus_key;
    EXPECT_EQ(error_of({lazy}), ValidatorSetError::duplicate_key);
}

TEST(validator_set, rejects_an_operator_that_spends_with_its_consensus_key) {
    SecretKey secret;
    secret[31] = 5;
    auto v = validator(1);
    v.consensus_key = *public_key(secret);
    v.address = address_of(v.consensus_key);
    EXPECT_EQ(error_of({v}), ValidatorSetError::duplicate_key);
}

TEST(validator_set, rejects_no_stake_and_too_much_stake) {
    EXPECT_EQ(error_of({validator(1, 0)}), ValidatorSetError::no_stake);
    EXPECT_EQ(error_of({validator(1, kTotalStakeGweiMax)}), ValidatorSetError::too_much_stake);
    EXPECT_EQ(
        error_of({validator(1, kTotalStakeGweiMax / 2), validator(2, kTotalStakeGweiMax / 2)}),
        ValidatorSetError::too_much_stake);
    EXPECT_EQ(error_of({validator(1, UINT64_MAX), validator(2, 2)}),
              ValidatorSetError::too_much_stake);
}

}  // namespace
}  // namespace trainyard::consensus
