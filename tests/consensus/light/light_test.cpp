// SPDX-License-Identifier: Apache-2.0
// A light client over epochs of four blocks: what it takes, and what nobody can make it take.
#include "consensus/light/light.hpp"

#include <gtest/gtest.h>

#include "../staking/fake_staking.hpp"

namespace trainyard::consensus::light {
namespace {

constexpr uint64_t kEpochBlocks = 4;

/// Members by number; their consensus keys are those of fake_staking's `member`.
struct Electorate {
    std::vector<uint8_t> numbers;
    [[nodiscard]] ValidatorSet set() const {
        std::vector<Validator> out;
        for (const auto n : numbers) {
            out.push_back(member(n));
            out.back().stake_gwei = 100;
        }
        return *ValidatorSet::make(out);
    }
};

struct Scene {
    Scene() {
        config.epoch_length = kEpochBlocks;
        chain = {7, keccak256(as_bytes("genesis of a light test"))};
    }
    LightChain light() const {
        return LightChain(config, LightChain::at_genesis(chain, Electorate{{1, 2, 3, 4}}.set()));
    }
    /// A state in which Staking names `members`, and its nodes.
    state::StateUpdate state_with(const Bytes& code) const {
        state::StateDiff diff;
        state::AccountChange staking;
        staking.code_hash = keccak256(code);
        diff.accounts[address::kStaking] = staking;
        for (uint8_t i = 0; i < 50; ++i) {
            Address other;
            other[0] = i;
            diff.accounts[other] =
                state::AccountChange{i, Uint256(1000), kEmptyCodeHash, false, {}};
        }
        diff.codes[staking.code_hash] = code;
        return *state::state_root(kEmptyTrieRoot, diff, state::NoNodes());
    }
    state::StateUpdate state_with(const Electorate& next) const {
        return state_with(code_that_answers(encode(next.set().all())));
    }
    Header header(uint64_t epoch, uint64_t number, const Hash& state_root) const {
        Header h;
        h.number = number;
        h.state_root = state_root;
        h.extra_data = bft::encode_seal({{epoch}, {9}, {8}, {}});
        return h;
    }
    bft::Certificate certificate(const Header& header, uint64_t epoch, const Electorate& voters,
                                 const std::vector<uint8_t>& signers) const {
        bft::Certificate out;
        out.kind = bft::VoteKind::finalize;
        out.epoch = {epoch};
        out.view = {9};
        out.block = hash_header(header);
        const auto set = voters.set();
        out.set_size = static_cast<uint16_t>(set.size());
        out.signers.assign((set.size() + 7) / 8, 0);
        for (ValidatorIndex i = 0; i < set.size(); ++i) {
            const uint8_t number = set.at(i).address[19];
            if (std::find(signers.begin(), signers.end(), number) == signers.end()) continue;
            out.signers[i / 8] |= static_cast<uint8_t>(1u << i % 8);
            out.signatures.push_back(
                sign(key_number(static_cast<uint8_t>(3 * number)),
                     bft::vote_digest(chain, out.kind, out.epoch, out.view, out.block))
                    .rs);
        }
        return out;
    }
    /// The boundary of `epoch`, voted by `voters`, after which Staking names `next`.
    Boundary boundary(uint64_t epoch, const Electorate& voters, const Electorate& next) const {
        return boundary(epoch, voters, state_with(next));
    }
    Boundary boundary(uint64_t epoch, const Electorate& voters,
                      const state::StateUpdate& after) const {
        Boundary out;
        out.header = header(epoch, (epoch + 1) * kEpochBlocks, after.root);
        out.certificate = certificate(out.header, epoch, voters, voters.numbers);
        const state::NoNodes none;
        const state::LayeredNodes layered(none, after.new_nodes);
        out.witness = *witness_of_sets(layered, after.root, config, Epoch{epoch});
        return out;
    }

    ChainConfig config;
    bft::ChainIdentity chain;
};

const Electorate kFirst{{1, 2, 3, 4}}, kSecond{{3, 4, 5, 6}}, kThird{{7, 8, 9}};

TEST(light, follows_sets_that_change_every_epoch) {
    const Scene scene;
    auto light = scene.light();
    EXPECT_EQ(light.next_boundary(), Height{4});
    ASSERT_TRUE(light.advance(scene.boundary(0, kFirst, kSecond)));
    ASSERT_TRUE(light.advance(scene.boundary(1, kFirst, kThird)));
    ASSERT_TRUE(light.advance(scene.boundary(2, kSecond, kFirst)));
    EXPECT_EQ(light.at().epoch, Epoch{3});
    EXPECT_EQ(light.at().current->all(), kThird.set().all());
    EXPECT_EQ(light.at().next->all(), kFirst.set().all());
    const auto header = scene.header(3, 14, {});
    EXPECT_TRUE(light.verify_final(header, scene.certificate(header, 3, kThird, {7, 8, 9})));
}

TEST(light, a_set_that_is_none_leaves_the_one_before) {
    const Scene scene;
    auto light = scene.light();
    ASSERT_TRUE(light.advance(scene.boundary(0, kFirst, kSecond)));
    const auto broken = scene.state_with(Bytes{0x5f, 0x5f, 0xfd});  // reverts
    ASSERT_TRUE(light.advance(scene.boundary(1, kFirst, broken)));
    EXPECT_EQ(light.at().current->all(), kSecond.set().all());
    EXPECT_EQ(light.at().next->all(), kSecond.set().all());
}

TEST(light, rejects_blocks_that_are_not_the_next_boundary) {
    const Scene scene;
    auto light = scene.light();
    auto wrong = scene.boundary(0, kFirst, kSecond);
    wrong.header.number = 3;
    EXPECT_EQ(light.advance(wrong).error(), LightError::wrong_block);
    EXPECT_EQ(light.advance(scene.boundary(1, kFirst, kSecond)).error(), LightError::wrong_block);
    auto no_seal = scene.boundary(0, kFirst, kSecond);
    no_seal.header.extra_data = {1, 2};
    EXPECT_EQ(light.advance(no_seal).error(), LightError::wrong_block);
    const auto late = scene.header(0, 5, {});  // of epoch 1 by its height
    EXPECT_EQ(light.verify_final(late, scene.certificate(late, 0, kFirst, kFirst.numbers)).error(),
              LightError::wrong_block);
    EXPECT_EQ(light.at().epoch, Epoch{0});
}

TEST(light, rejects_certificates_of_too_few_of_strangers_or_of_another_kind) {
    const Scene scene;
    auto light = scene.light();
    const auto good = scene.boundary(0, kFirst, kSecond);
    auto bad = good;
    bad.certificate = scene.certificate(good.header, 0, kFirst, {1, 2});
    EXPECT_EQ(light.advance(bad).error(), LightError::wrong_certificate);
    bad.certificate = scene.certificate(good.header, 0, kSecond, kSecond.numbers);
    EXPECT_EQ(light.advance(bad).error(), LightError::wrong_certificate);
    bad.certificate = good.certificate;
    bad.certificate.kind = bft::VoteKind::notarize;
    EXPECT_EQ(light.advance(bad).error(), LightError::wrong_certificate);
    bad.certificate = good.certificate;
    bad.certificate.block[0] ^= 1;
    EXPECT_EQ(light.advance(bad).error(), LightError::wrong_certificate);
    bad.certificate = good.certificate;
    bad.certificate.signatures[1] = bad.certificate.signatures[0];
    EXPECT_EQ(light.advance(bad).error(), LightError::wrong_certificate);
    bad = good;
    bad.header.gas_used = 1;
    EXPECT_EQ(light.advance(bad).error(), LightError::wrong_certificate);
    EXPECT_TRUE(light.advance(good));
}

TEST(light, rejects_witnesses_that_leave_something_out_or_are_of_another_state) {
    const Scene scene;
    const auto good = scene.boundary(0, kFirst, kSecond);
    ASSERT_GE(good.witness.size(), 3u);
    for (size_t i = 0; i < good.witness.size(); ++i) {
        auto light = scene.light();
        auto bad = good;
        bad.witness.erase(bad.witness.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_EQ(light.advance(bad).error(), LightError::incomplete_witness) << i;
        bad = good;
        bad.witness[i][0] ^= 1;
        EXPECT_EQ(light.advance(bad).error(), LightError::incomplete_witness) << i;
    }
    auto light = scene.light();
    auto other = good;
    other.witness = scene.boundary(0, kFirst, kThird).witness;
    EXPECT_EQ(light.advance(other).error(), LightError::incomplete_witness);
    other.witness.assign(kWitnessNodesMax + 1, Bytes{});
    EXPECT_EQ(light.advance(other).error(), LightError::witness_too_large);
    other.witness.assign(9, Bytes(size_t{1} << 20));
    EXPECT_EQ(light.advance(other).error(), LightError::witness_too_large);
    EXPECT_EQ(light.at().epoch, Epoch{0});
    EXPECT_TRUE(light.advance(good));
}

TEST(light, begins_at_a_trusted_boundary_and_follows) {
    const Scene scene;
    const auto start = LightChain::at_boundary(scene.config, scene.light().at(),
                                               scene.boundary(4, kSecond, kSecond));
    ASSERT_TRUE(start);
    EXPECT_EQ(start->epoch, Epoch{5});
    LightChain light(scene.config, *start);
    EXPECT_EQ(light.next_boundary(), Height{24});
    EXPECT_EQ(light.advance(scene.boundary(5, kThird, kFirst)).error(),
              LightError::wrong_certificate);
    EXPECT_TRUE(light.advance(scene.boundary(5, kSecond, kFirst)));
}

TEST(light, begins_at_the_first_boundary_with_the_set_of_genesis) {
    const Scene scene;
    const auto start = LightChain::at_boundary(scene.config, scene.light().at(),
                                               scene.boundary(0, kFirst, kSecond));
    ASSERT_TRUE(start);
    EXPECT_EQ(start->current->all(), kFirst.set().all());
    EXPECT_EQ(start->next->all(), kSecond.set().all());
}

TEST(light, rejects_starts_that_are_no_boundary_or_not_signed_or_name_no_set) {
    const Scene scene;
    const auto good = scene.boundary(4, kSecond, kSecond);
    const auto fault = [&](const Boundary& boundary) {
        const auto start = LightChain::at_boundary(scene.config, scene.light().at(), boundary);
        return start ? std::nullopt : std::optional(start.error());
    };
    EXPECT_EQ(fault(good), std::nullopt);
    auto bad = good;
    bad.header.number = 0;
    EXPECT_EQ(fault(bad), LightError::wrong_block);
    bad.header.number = 21;
    EXPECT_EQ(fault(bad), LightError::wrong_block);
    EXPECT_EQ(fault(scene.boundary(4, kFirst, kSecond)), LightError::wrong_certificate);
    for (size_t i = 0; i < good.witness.size(); ++i) {
        bad = good;
        bad.witness.erase(bad.witness.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_EQ(fault(bad), LightError::incomplete_witness) << i;
    }
    EXPECT_EQ(fault(scene.boundary(4, kFirst, scene.state_with(Bytes{0x5f, 0x5f, 0xfd}))),
              LightError::no_set);
}

TEST(light, boundaries_have_one_encoding) {
    const Scene scene;
    const auto good = scene.boundary(0, kFirst, kSecond);
    const Bytes encoded = encode_boundary(good);
    const auto decoded = decode_boundary(encoded);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(encode_boundary(*decoded), encoded);
    EXPECT_EQ(decoded->header, good.header);
    EXPECT_EQ(decoded->witness, good.witness);
    for (size_t n = 0; n < encoded.size(); ++n)
        EXPECT_FALSE(decode_boundary(BytesView(encoded).first(n)));
    Bytes longer = encoded;
    longer.push_back(0);
    EXPECT_FALSE(decode_boundary(longer));
}

}  // namespace
}  // namespace trainyard::consensus::light
