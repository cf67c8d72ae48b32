// SPDX-License-Identifier: Apache-2.0
// Evidence as bytes, and the precompile that judges it.
#include "consensus/bft/evidence.hpp"

#include <gtest/gtest.h>

#include "consensus/transition/own_precompiles.hpp"
#include "core/hash.hpp"

namespace trainyard::consensus::bft {
namespace {

const ChainIdentity kChain{7, keccak256(as_bytes("genesis"))};

SecretKey secret(uint8_t n) {
    SecretKey key;
    key[31] = n;
    return key;
}

Vote vote(VoteKind kind, std::string_view block, uint64_t view = 3, uint8_t key = 1,
          const ChainIdentity& chain = kChain) {
    Vote v{kind, {2}, {view}, keccak256(as_bytes(block)), 9, {}};
    if (kind == VoteKind::nullify) v.block = {};
    v.signature = sign(secret(key), vote_digest(chain, v)).rs;
    return v;
}

std::optional<Offence> judge(const Vote& a, const Vote& b) {
    return judge_evidence(encode_evidence(a, b), *public_key(secret(1)), kChain);
}

TEST(evidence, proves_the_three_offences_and_nothing_legal) {
    using enum VoteKind;
    EXPECT_EQ(judge(vote(notarize, "a"), vote(notarize, "b")), Offence::two_notarize);
    EXPECT_EQ(judge(vote(finalize, "a"), vote(finalize, "b")), Offence::two_finalize);
    EXPECT_EQ(judge(vote(finalize, "a"), vote(nullify, "")), Offence::nullify_and_finalize);
    EXPECT_EQ(judge(vote(nullify, ""), vote(finalize, "a")), Offence::nullify_and_finalize);
    EXPECT_EQ(judge(vote(notarize, "a"), vote(nullify, "")), std::nullopt);
    EXPECT_EQ(judge(vote(notarize, "a"), vote(finalize, "b")), std::nullopt);
    EXPECT_EQ(judge(vote(notarize, "a"), vote(notarize, "a")), std::nullopt);
    EXPECT_EQ(judge(vote(nullify, ""), vote(nullify, "")), std::nullopt);
    EXPECT_EQ(judge(vote(notarize, "a", 3), vote(notarize, "b", 4)), std::nullopt);
}

TEST(evidence, counts_only_when_both_are_signed_by_the_accused_for_this_chain) {
    using enum VoteKind;
    EXPECT_EQ(judge(vote(notarize, "a", 3, 2), vote(notarize, "b")), std::nullopt);
    EXPECT_EQ(judge(vote(notarize, "a"), vote(notarize, "b", 3, 2)), std::nullopt);
    const ChainIdentity other{7, keccak256(as_bytes("other genesis"))};
    EXPECT_EQ(judge(vote(notarize, "a", 3, 1, other), vote(notarize, "b", 3, 1, other)),
              std::nullopt);
}

TEST(evidence, any_flipped_bit_but_those_of_the_signer_indexes_makes_it_worthless) {
    const Bytes good =
        encode_evidence(vote(VoteKind::notarize, "a"), vote(VoteKind::notarize, "b"));
    ASSERT_EQ(good.size(), kEvidenceBytes);
    for (size_t at = 0; at < good.size(); ++at) {
        Bytes bad = good;
        bad[at] ^= 0x40;
        const size_t in_vote = at % kVoteBytes;
        const bool is_index = in_vote == 50 || in_vote == 51;
        EXPECT_EQ(judge_evidence(bad, *public_key(secret(1)), kChain).has_value(), is_index) << at;
    }
}

TEST(own_precompile, judges_at_a_fixed_price_and_exists_only_on_our_chains) {
    ChainConfig config;
    config.chain_id = kChain.chain_id;
    config.genesis_hash = kChain.genesis_hash;
    Bytes input = encode_evidence(vote(VoteKind::finalize, "a"), vote(VoteKind::finalize, "b"));
    append(input, public_key(secret(1))->bytes);
    const auto run = [&](const Bytes& in, int64_t gas) {
        return run_own_precompile(kDoubleVoteAddress, config, in, gas);
    };
    const auto exact = run(input, kDoubleVoteGas);
    EXPECT_EQ(exact.status, vm::Status::success);
    EXPECT_EQ(exact.gas_left, 0);
    ASSERT_EQ(exact.output.size(), 32u);
    EXPECT_EQ(exact.output[31], 2);
    EXPECT_EQ(run(input, kDoubleVoteGas - 1).status, vm::Status::out_of_gas);
    EXPECT_EQ(run(Bytes(input.begin(), input.end() - 1), 9000).output, Bytes(32, 0));
    EXPECT_EQ(run({}, 9000).output, Bytes(32, 0));
    input.back() ^= 1;
    EXPECT_EQ(run(input, 9000).output, Bytes(32, 0));
    EXPECT_TRUE(is_own_precompile(kDoubleVoteAddress, config));
    config.staking_contract = false;
    EXPECT_FALSE(is_own_precompile(kDoubleVoteAddress, config));
}

}  // namespace
}  // namespace trainyard::consensus::bft
