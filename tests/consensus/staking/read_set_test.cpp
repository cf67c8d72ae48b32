// SPDX-License-Identifier: Apache-2.0
// Sets read from a contract that answers whatever the test wants.
#include "consensus/staking/read_set.hpp"

#include <gtest/gtest.h>

#include "fake_staking.hpp"

namespace trainyard::consensus {
namespace {

Result<ValidatorSet, ReadSetError> read(const Bytes& answer) {
    TestWorld world;
    world.deploy(address::kStaking, to_hex(code_that_answers(answer)));
    return read_set(world.view(), world.config, {0});
}

TEST(read_set, gives_the_validators_that_the_contract_names) {
    const std::vector<Validator> members = {member(1), member(2), member(5)};
    const auto set = read(encode(members));
    ASSERT_TRUE(set.has_value());
    EXPECT_EQ(set->all(), members);
    const TestWorld without;
    EXPECT_EQ(read_set(without.view(), without.config, {0}).error(), ReadSetError::refused);
}

TEST(read_set, refuses_too_many_before_it_reads_them) {
    Bytes answer;
    append_word(answer, 32);
    append_word(answer, Uint256(201));
    EXPECT_EQ(read(answer).error(), ReadSetError::too_many);
    append_word(answer, 0);
    std::fill(answer.begin() + 32, answer.begin() + 64, 0xff);
    EXPECT_EQ(read(answer).error(), ReadSetError::too_many);
}

TEST(read_set, refuses_what_no_set_may_be) {
    EXPECT_EQ(read(encode({})).error(), ReadSetError::bad_set);
    EXPECT_EQ(read(encode({member(1), member(1)})).error(), ReadSetError::bad_set);
    auto idle = member(1);
    idle.stake_gwei = 0;
    EXPECT_EQ(read(encode({idle})).error(), ReadSetError::bad_set);
}

TEST(read_set, a_flipped_byte_gives_an_error_or_another_key_or_weight) {
    const std::vector<Validator> members = {member(1), member(2)};
    const Bytes good = encode(members);
    for (size_t at = 0; at < good.size(); ++at) {
        Bytes bad = good;
        bad[at] ^= 0x10;
        const auto set = read(bad);
        EXPECT_TRUE(!set || set->all() != members) << at;
    }
    for (const size_t cut : {1u, 32u, 33u, 500u}) {
        EXPECT_EQ(read(Bytes(good.begin(), good.end() - cut)).error(), ReadSetError::malformed);
        Bytes longer = good;
        longer.resize(good.size() + cut);
        EXPECT_EQ(read(longer).error(), ReadSetError::malformed);
    }
}

}  // namespace
}  // namespace trainyard::consensus
