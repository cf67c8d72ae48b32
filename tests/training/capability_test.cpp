// SPDX-License-Identifier: Apache-2.0
// The capability challenge: what is proven, what drawn rows catch, and what is refused.
#include "training/capability.hpp"

#include <gtest/gtest.h>

#include "tests/training/small_program.hpp"

namespace trainyard::training {
namespace {

struct Proven {
    Challenge challenge{seed_of(4), 64, 3};
    ChallengeChain chain = make_cpu_chain(challenge, 2);
    ChallengeProof proof = *prove(challenge, chain);
    Hash beacon = seed_of(9);
    ChallengeOpening opening = open_rows(proof, drawn_rows(challenge, beacon));

    [[nodiscard]] bool verify(const Challenge& c, const Hash& root,
                              const ChallengeOpening& o) const {
        return *verify_rows(c, root, beacon, o, make_cpu_chain(c, 1));
    }
};

/// The chain once more, product by product, without blocks or threads.
std::vector<int8_t> plain_row(const Challenge& c, uint32_t row) {
    auto x = challenge_rows(c, {row});
    const auto columns = challenge_columns(c);
    for (uint32_t link = 0; link < c.links; ++link) {
        std::vector<int8_t> next(c.size);
        for (uint32_t j = 0; j < c.size; ++j) {
            int64_t sum = 0;
            for (uint32_t k = 0; k < c.size; ++k) sum += int64_t{x[k]} * columns[j * c.size + k];
            next[j] = fold(static_cast<int32_t>(sum));
        }
        x = next;
    }
    return x;
}

TEST(capability, the_chain_is_its_definition_for_any_number_of_rows) {
    const Proven p;
    auto rows = challenge_rows(p.challenge, {0, 63, 5});
    ASSERT_TRUE(p.chain(rows));
    for (const auto& [at, row] : {std::pair{0, 0U}, {1, 63U}, {2, 5U}}) {
        const auto due = plain_row(p.challenge, row);
        EXPECT_TRUE(std::equal(due.begin(), due.end(), rows.begin() + at * 64)) << row;
    }
}

/// Computed by a second implementation, in Python; changing it changes what provers must answer.
TEST(capability, the_root_of_a_fixed_challenge_is_frozen) {
    EXPECT_EQ(to_hex(Proven().proof.root.bytes),
              "4d2d5dd9ca6ec55e75242f5887887e9d38f964a4efa3cdbd5c80d9785728c376");
}

TEST(capability, folds_into_127_and_never_minus_128) {
    EXPECT_EQ(fold(0), -127);
    bool seen[256] = {};
    for (int32_t sum = -40000; sum < 40000; ++sum) seen[fold(sum) + 128] = true;
    EXPECT_FALSE(seen[0]);
    for (int i = 1; i < 256; ++i) EXPECT_TRUE(seen[i]) << i;
}

TEST(capability, an_honest_proof_is_accepted_and_a_changed_one_is_not) {
    const Proven p;
    EXPECT_TRUE(p.verify(p.challenge, p.proof.root, p.opening));
    Hash root = p.proof.root;
    root.bytes[31] ^= 1;
    EXPECT_FALSE(p.verify(p.challenge, root, p.opening));
    auto opening = p.opening;
    opening.pop_back();
    EXPECT_FALSE(p.verify(p.challenge, p.proof.root, opening));
    opening = p.opening;
    opening[3].pop_back();
    EXPECT_FALSE(p.verify(p.challenge, p.proof.root, opening));
    Challenge other = p.challenge;
    other.links = 2;
    EXPECT_FALSE(p.verify(other, p.proof.root, p.opening));
    other.seed = seed_of(5);
    EXPECT_FALSE(p.verify(other, p.proof.root, p.opening));
}

TEST(capability, a_prover_that_left_out_half_of_the_rows_is_caught) {
    const Proven p;
    const auto lazy = prove(
        p.challenge, [&p](std::span<int8_t> rows) { return p.chain(rows.first(rows.size() / 2)); });
    const auto opening = open_rows(*lazy, drawn_rows(p.challenge, p.beacon));
    EXPECT_FALSE(p.verify(p.challenge, lazy->root, opening));
}

TEST(capability, a_prover_that_left_out_one_link_is_caught) {
    const Proven p;
    Challenge shorter = p.challenge;
    shorter.links -= 1;
    const auto lazy = prove(shorter, make_cpu_chain(shorter, 1));
    const auto opening = open_rows(*lazy, drawn_rows(p.challenge, p.beacon));
    EXPECT_FALSE(p.verify(p.challenge, lazy->root, opening));
}

TEST(capability, rejects_sizes_that_no_machine_should_compute) {
    for (const auto& [size, links] : {std::pair{0U, 1U},
                                      {64U, 0U},
                                      {65U, 1U},
                                      {kChallengeSizeMax + 64, 1U},
                                      {64U, kChallengeLinksMax + 1}}) {
        EXPECT_FALSE(is_valid({Hash{}, size, links}));
        EXPECT_FALSE(*verify_rows({Hash{}, size, links}, Hash{}, Hash{}, {}, {}));
    }
}

}  // namespace
}  // namespace trainyard::training
