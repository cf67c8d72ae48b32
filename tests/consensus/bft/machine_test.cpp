// SPDX-License-Identifier: Apache-2.0
// Single steps of the vote machine: what it says, when it is silent, and what it remembers after a
// crash.
#include <gtest/gtest.h>

#include <algorithm>

#include "consensus/bft/bft.hpp"
#include "core/hash.hpp"

namespace trainyard::consensus::bft {
namespace {

constexpr size_t kNodes = 4;

SecretKey secret(size_t owner, uint8_t purpose) {
    SecretKey key;
    key[0] = purpose;
    key[31] = static_cast<uint8_t>(owner + 1);
    return key;
}

class TestChecks : public RealChecks {
public:
    bool is_body_of(const Header& header, BytesView body) const override {
        return header.transactions_root == keccak256(body);
    }
    bool is_plausible(const Header&, const Header& header, BytesView) const override {
        return header.gas_used == 0;
    }
    bool may_vote_for(const Header& header) const override { return header.number <= height_max; }
    uint64_t height_max = UINT64_MAX;
};

/// Four validators with real keys; tests speak for the others and watch one machine.
struct Scene {
    Scene() : set(make_set()) {
        for (size_t i = 0; i < kNodes; ++i)
            signers.push_back(std::make_unique<KeySigner>(secret(i, 1), secret(i, 2)));
        genesis.prev_randao = keccak256(as_bytes("seed"));
        genesis_hash = hash_header(genesis);
        params.chain = {7, genesis_hash};
        params.block_interval_ms = 0;
    }

    static ValidatorSet make_set() {
        std::vector<Validator> validators;
        for (size_t i = 0; i < kNodes; ++i) {
            Address address;
            address[0] = static_cast<uint8_t>(i + 1);
            validators.push_back({address, *public_key(secret(i, 1)), *public_key(secret(i, 2)),
                                  *public_key(secret(i, 3)), 10});
        }
        return *ValidatorSet::make(validators);
    }

    ValidatorIndex leader(uint64_t view) const {
        return leader_of(set, genesis.prev_randao, {view});
    }
    /// Somebody who does not lead the views 1 to 3.
    ValidatorIndex follower() const {
        for (ValidatorIndex i = 0; i < kNodes; ++i)
            if (i != leader(1) && i != leader(2) && i != leader(3)) return i;
        return 0;
    }
    /// Three validators besides `self`, or all of them.
    std::vector<ValidatorIndex> others(ValidatorIndex self) const {
        std::vector<ValidatorIndex> out;
        for (ValidatorIndex i = 0; i < kNodes; ++i)
            if (i != self) out.push_back(i);
        return out;
    }

    Bft machine(ValidatorIndex self, std::vector<Bytes> records = {}) {
        return machine(self, *signers[self], std::move(records));
    }
    Bft machine(ValidatorIndex self, Signer& signer, std::vector<Bytes> records = {}) {
        Params mine = params;
        mine.self = self;
        const FinalPoint point{genesis, genesis_hash, BeaconTrail(256, genesis.prev_randao), {}};
        return Bft(mine, set, {point, std::move(records)}, &signer, checks);
    }
    Vote vote(VoteKind kind, ValidatorIndex who, uint64_t view, const Hash& block = {}) {
        Vote out{kind, {}, {view}, block, who, {}};
        out.signature = *signers[who]->sign(params.chain, out);
        return out;
    }
    CertPtr certificate(VoteKind kind, uint64_t view, const std::vector<ValidatorIndex>& who,
                        const Hash& block = {}) {
        Certificate out;
        out.kind = kind;
        out.view = {view};
        out.block = block;
        out.set_size = kNodes;
        out.signers = {0};
        for (const auto i : who) {
            out.signers[0] |= static_cast<uint8_t>(1u << i);
            out.signatures.push_back(vote(kind, i, view, block).signature);
        }
        return std::make_shared<Certificate>(out);
    }
    /// A right proposal on genesis by the leader of `view`, with nullifications from 1 on.
    Propose proposal(uint64_t view, uint8_t salt = 0) {
        const auto who = leader(view);
        const auto vrf = *signers[who]->prove(
            beacon_alpha(params.chain.chain_id, genesis_hash, {1}, genesis.prev_randao));
        Header header;
        header.parent_hash = genesis_hash;
        header.number = 1;
        header.prev_randao = next_beacon(genesis.prev_randao, vrf.beta);
        header.extra_data = encode_seal({{}, {view}, {}, vrf.proof});
        return seal(header, Bytes{salt}, view);
    }
    Propose seal(Header header, Bytes body, uint64_t view) {
        header.transactions_root = keccak256(body);
        Propose out{make_block(header, body), {}, leader(view), {}};
        for (uint64_t v = 1; v < view; ++v)
            out.justification.push_back(certificate(VoteKind::nullify, v, {0, 1, 2}));
        out.signature = vote(VoteKind::notarize, out.leader, view, out.block->hash).signature;
        return out;
    }

    ValidatorSet set;
    std::vector<std::unique_ptr<KeySigner>> signers;
    TestChecks checks;
    Header genesis;
    Hash genesis_hash;
    Params params;
};

using Effects = std::vector<Effect>;

template <class T>
std::vector<T> all(const Effects& effects) {
    std::vector<T> out;
    for (const auto& effect : effects)
        if (const auto* found = std::get_if<T>(&effect)) out.push_back(*found);
    return out;
}

std::vector<Vote> votes_sent(const Effects& effects, VoteKind kind) {
    std::vector<Vote> out;
    for (const auto& broadcast : all<Broadcast>(effects))
        if (const auto* vote = std::get_if<Vote>(&broadcast.message))
            if (vote->kind == kind) out.push_back(*vote);
    return out;
}

std::vector<Bytes> records_of(const Effects& effects) {
    std::vector<Bytes> out;
    for (const auto& persist : all<Persist>(effects)) out.push_back(persist.record);
    return out;
}

Effects hear(Bft& machine, ValidatorIndex from, Message message) {
    return machine.step(Received{from, std::move(message)});
}

TEST(bft, a_vote_is_durable_before_it_leaves) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto effects = hear(machine, s.leader(1), s.proposal(1));
    ASSERT_EQ(votes_sent(effects, VoteKind::notarize).size(), 1u);
    size_t synced_at = effects.size(), sent_at = 0;
    for (size_t i = 0; i < effects.size(); ++i) {
        const auto* persist = std::get_if<Persist>(&effects[i]);
        if (persist && persist->sync) synced_at = std::min(synced_at, i);
        if (std::holds_alternative<Broadcast>(effects[i])) sent_at = i;
    }
    EXPECT_LT(synced_at, sent_at);
    EXPECT_EQ(all<Execute>(effects).size(), 1u);
}

TEST(bft, a_block_becomes_final_after_three_steps) {
    Scene s;
    const auto self = s.follower();
    auto machine = s.machine(self);
    (void)machine.step(Start{});
    const auto proposal = s.proposal(1);
    const Hash hash = proposal.block->hash;
    (void)hear(machine, proposal.leader, proposal);
    EXPECT_TRUE(
        votes_sent(machine.step(BlockVerdict{hash, Verdict::valid}), VoteKind::finalize).empty());
    Effects effects;
    for (const auto other : s.others(self))
        for (auto& e : hear(machine, other, s.vote(VoteKind::notarize, other, 1, hash)))
            effects.push_back(e);
    EXPECT_EQ(all<Certified>(effects).size(), 1u);
    EXPECT_EQ(votes_sent(effects, VoteKind::finalize).size(), 1u);
    EXPECT_EQ(machine.standing().view.value, 2u);
    effects.clear();
    for (const auto other : s.others(self))
        for (auto& e : hear(machine, other, s.vote(VoteKind::finalize, other, 1, hash)))
            effects.push_back(e);
    ASSERT_EQ(all<Finalized>(effects).size(), 1u);
    EXPECT_EQ(all<Finalized>(effects)[0].block->hash, hash);
    EXPECT_EQ(machine.standing().final_hash, hash);
    EXPECT_EQ(all<Forget>(effects).at(0).below.value, 2u);
}

TEST(bft, the_leader_asks_for_a_block_and_proposes_it_once) {
    Scene s;
    auto machine = s.machine(s.leader(1));
    const auto asked = all<Build>(machine.step(Start{}));
    ASSERT_EQ(asked.size(), 1u);
    Header header;
    header.parent_hash = asked[0].parent_hash;
    header.number = 1;
    header.extra_data = asked[0].extra_data;
    header.prev_randao = asked[0].prev_randao;
    header.transactions_root = keccak256({});
    const BuiltBlock built{{1}, make_block(header, {})};
    const auto effects = machine.step(built);
    const auto sent = all<Broadcast>(effects);
    ASSERT_EQ(sent.size(), 1u);
    const auto* proposal = std::get_if<Propose>(&sent[0].message);
    ASSERT_NE(proposal, nullptr);
    EXPECT_EQ(proposal->block->hash, built.block->hash);
    EXPECT_TRUE(machine.step(built).empty());
}

TEST(bft, a_leader_that_cannot_build_gives_its_view_up) {
    Scene s;
    auto machine = s.machine(s.leader(1));
    (void)machine.step(Start{});
    EXPECT_EQ(votes_sent(machine.step(BuiltBlock{{1}, nullptr}), VoteKind::nullify).size(), 1u);
}

TEST(bft, silence_is_nullified_and_no_notarize_follows) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto effects = machine.step(Timeout{{TimerKind::lead, {1}}});
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
    const auto late = hear(machine, s.leader(1), s.proposal(1));
    EXPECT_TRUE(votes_sent(late, VoteKind::notarize).empty());
    EXPECT_TRUE(machine.step(Timeout{{TimerKind::lead, {1}}}).empty());
}

/// Signs nothing while it is shut.
class ShutSigner final : public Signer {
public:
    explicit ShutSigner(Signer& inner) : inner_(inner) {}
    std::optional<CompactSig> sign(const ChainIdentity& chain, const Vote& vote) override {
        ++asked;
        return is_open ? inner_.sign(chain, vote) : std::nullopt;
    }
    std::optional<VrfOutput> prove(BytesView alpha) override {
        ++asked;
        return is_open ? inner_.prove(alpha) : std::nullopt;
    }
    bool is_open = false;
    int asked = 0;

private:
    Signer& inner_;
};

TEST(bft, votes_that_the_signer_withholds_are_asked_for_again_with_the_next_retry) {
    Scene s;
    const auto self = s.follower();
    ShutSigner signer(*s.signers[self]);
    auto machine = s.machine(self, signer);
    (void)machine.step(Start{});
    const auto proposal = s.proposal(1);
    auto effects = hear(machine, proposal.leader, proposal);
    EXPECT_TRUE(votes_sent(effects, VoteKind::notarize).empty());
    (void)machine.step(Timeout{{TimerKind::advance, {1}}});
    EXPECT_EQ(signer.asked, 2) << "a notarize and a nullify, each once";
    signer.is_open = true;
    effects = machine.step(Timeout{{TimerKind::retry, {1}}});
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
    EXPECT_TRUE(votes_sent(effects, VoteKind::notarize).empty());
}

TEST(bft, without_a_signer_the_machine_follows_the_others) {
    Scene s;
    const auto self = s.leader(1);
    ShutSigner signer(*s.signers[self]);
    auto machine = s.machine(self, signer);
    EXPECT_TRUE(all<Build>(machine.step(Start{})).empty()) << "no proof, no block";
    (void)hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 1, s.others(self))});
    EXPECT_EQ(machine.standing().view.value, 2u);
    const auto proposal = s.proposal(2);
    (void)hear(machine, proposal.leader, proposal);
    const auto certificate =
        s.certificate(VoteKind::finalize, 2, s.others(self), proposal.block->hash);
    (void)hear(machine, 0, Cert{certificate});
    const auto effects = machine.step(BlockVerdict{proposal.block->hash, Verdict::valid});
    EXPECT_EQ(all<Finalized>(effects).size(), 1u);
}

TEST(bft, no_vote_is_cast_for_a_block_above_the_halt_height) {
    Scene s;
    const auto self = s.follower();
    s.checks.height_max = 0;
    auto machine = s.machine(self);
    (void)machine.step(Start{});
    const auto proposal = s.proposal(1);
    (void)hear(machine, proposal.leader, proposal);
    const auto certificate =
        s.certificate(VoteKind::notarize, 1, s.others(self), proposal.block->hash);
    (void)hear(machine, 0, Cert{certificate});
    const auto effects = machine.step(BlockVerdict{proposal.block->hash, Verdict::valid});
    EXPECT_EQ(all<Certified>(effects).size(), 1u);
    EXPECT_TRUE(votes_sent(effects, VoteKind::finalize).empty());
    auto leader = s.machine(s.leader(1));
    EXPECT_TRUE(all<Build>(leader.step(Start{})).empty());
}

TEST(bft, says_what_it_waits_for_and_why_it_gave_up) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    EXPECT_EQ(machine.waiting().need, Need::proposal);
    (void)hear(machine, s.leader(1), s.proposal(1));
    const auto votes = machine.waiting();
    EXPECT_EQ(votes.need, Need::notarizes);
    EXPECT_EQ(votes.weight_gwei, 20u);  // the leader's and its own
    EXPECT_EQ(votes.quorum_gwei, 27u);
    EXPECT_EQ(votes.missing.size(), 2u);
    const auto effects = machine.step(Timeout{{TimerKind::advance, {1}}});
    ASSERT_EQ(all<GaveUp>(effects).size(), 1u);
    EXPECT_EQ(all<GaveUp>(effects)[0].cause, Cause::too_slow);
    EXPECT_EQ(machine.waiting().need, Need::nullifies);
}

TEST(bft, a_nullified_view_is_not_finalized_though_certified) {
    Scene s;
    const auto self = s.follower();
    auto machine = s.machine(self);
    (void)machine.step(Start{});
    const auto proposal = s.proposal(1);
    const Hash hash = proposal.block->hash;
    (void)hear(machine, proposal.leader, proposal);
    (void)machine.step(Timeout{{TimerKind::advance, {1}}});
    (void)machine.step(BlockVerdict{hash, Verdict::valid});
    const auto certificate = s.certificate(VoteKind::notarize, 1, s.others(self), hash);
    const auto effects = hear(machine, 0, Cert{certificate});
    EXPECT_EQ(all<Certified>(effects).size(), 1u);
    EXPECT_TRUE(votes_sent(effects, VoteKind::finalize).empty());
    EXPECT_EQ(machine.standing().view.value, 2u);
}

TEST(bft, votes_survive_a_restart_and_are_never_contradicted) {
    Scene s;
    const auto self = s.follower();
    const auto first = s.proposal(1, 1), second = s.proposal(1, 2);
    std::vector<Bytes> disk;
    {
        auto machine = s.machine(self);
        (void)machine.step(Start{});
        disk = records_of(hear(machine, first.leader, first));
    }
    auto machine = s.machine(self, disk);
    (void)machine.step(Start{});
    EXPECT_TRUE(votes_sent(hear(machine, first.leader, second), VoteKind::notarize).empty());
    const auto again = machine.step(Timeout{{TimerKind::retry, {1}}});
    const auto sent = votes_sent(again, VoteKind::notarize);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].block, first.block->hash);
    EXPECT_NE(machine.find_block(first.block->hash), nullptr);
}

TEST(bft, a_restart_after_finalize_never_nullifies_that_view) {
    Scene s;
    const auto self = s.follower();
    const std::vector<Bytes> disk{
        encode_message(s.vote(VoteKind::finalize, self, 1, s.genesis_hash))};
    auto machine = s.machine(self, disk);
    (void)machine.step(Start{});
    EXPECT_TRUE(machine.step(Timeout{{TimerKind::lead, {1}}}).empty());
    EXPECT_TRUE(machine.step(Timeout{{TimerKind::advance, {1}}}).empty());
}

TEST(bft, nullifications_jump_and_notarizations_wait_for_execution) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    (void)hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 5, {0, 1, 2})});
    EXPECT_EQ(machine.standing().view.value, 6u);
    const auto unknown = keccak256(as_bytes("unknown"));
    const auto effects =
        hear(machine, 0, Cert{s.certificate(VoteKind::notarize, 8, {0, 1, 2}, unknown)});
    EXPECT_EQ(machine.standing().view.value, 6u);
    const auto asked = all<Send>(effects);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(std::get<GetBlock>(asked[0].message).hash, unknown);
}

TEST(bft, a_proposal_over_a_gap_waits_for_its_nullifications) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    (void)hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 2, {0, 1, 2})});
    auto proposal = s.proposal(3);
    proposal.justification.clear();
    const auto pending = hear(machine, proposal.leader, proposal);
    EXPECT_TRUE(votes_sent(pending, VoteKind::notarize).empty());
    const auto asked = all<Send>(pending);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].to, proposal.leader);
    EXPECT_EQ(std::get<GetCert>(asked[0].message).from.value, 1u);
    const auto effects = hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 1, {0, 1, 2})});
    EXPECT_EQ(votes_sent(effects, VoteKind::notarize).size(), 1u);
}

TEST(bft, rejects_invalid_proposals_of_the_leader_by_nullifying) {
    Scene s;
    auto beacon = s.proposal(1).block->header;
    beacon.prev_randao[0] ^= 1;
    auto number = s.proposal(1).block->header;
    number.number = 2;
    auto implausible = s.proposal(1).block->header;
    implausible.gas_used = 1;
    for (const auto& header : {beacon, number, implausible}) {
        auto machine = s.machine(s.follower());
        (void)machine.step(Start{});
        const auto effects = hear(machine, s.leader(1), s.seal(header, {}, 1));
        EXPECT_TRUE(votes_sent(effects, VoteKind::notarize).empty());
        EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
    }
}

TEST(bft, rejects_a_strange_body_from_a_stranger_without_blaming_the_leader) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    auto forged = s.proposal(1);
    forged.block = std::make_shared<BlockData>(
        BlockData{forged.block->header, Bytes{9, 9}, forged.block->hash});
    const auto stranger = s.others(s.leader(1))[0];
    EXPECT_TRUE(hear(machine, stranger, forged).empty());
    const auto effects = hear(machine, s.leader(1), s.proposal(1));
    EXPECT_EQ(votes_sent(effects, VoteKind::notarize).size(), 1u);
}

TEST(bft, rejects_proposals_of_validators_that_do_not_lead) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    auto proposal = s.proposal(1);
    proposal.leader = s.others(s.leader(1))[0];
    proposal.signature =
        s.vote(VoteKind::notarize, proposal.leader, 1, proposal.block->hash).signature;
    const auto effects = hear(machine, proposal.leader, proposal);
    EXPECT_TRUE(all<Broadcast>(effects).empty());
}

TEST(bft, rejects_wrong_signatures_foreign_epochs_and_unknown_signers) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    auto wrong = s.vote(VoteKind::nullify, 1, 1);
    wrong.signature[5] ^= 1;
    EXPECT_TRUE(hear(machine, 1, wrong).empty());
    auto stranger = s.vote(VoteKind::nullify, 1, 1);
    stranger.signer = kNodes;
    EXPECT_TRUE(hear(machine, 1, stranger).empty());
    auto certificate = *s.certificate(VoteKind::nullify, 1, {0, 1, 2});
    certificate.signatures[2] = certificate.signatures[1];
    (void)hear(machine, 1, Cert{std::make_shared<Certificate>(certificate)});
    auto foreign = *s.certificate(VoteKind::nullify, 1, {0, 1, 2});
    foreign.epoch = {1};
    (void)hear(machine, 1, Cert{std::make_shared<Certificate>(foreign)});
    (void)hear(machine, 1, Cert{s.certificate(VoteKind::nullify, 1, {0, 1})});
    EXPECT_EQ(machine.standing().view.value, 1u);
    (void)hear(machine, 1, Cert{s.certificate(VoteKind::nullify, 1, {0, 1, 2})});
    EXPECT_EQ(machine.standing().view.value, 2u);
}

TEST(bft, rejects_votes_of_far_views_and_asks_for_help_instead) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto peer = s.others(s.follower())[0];
    unsigned answers = 0;
    for (uint64_t view = 1000; view < 1200; ++view) {
        const auto effects = hear(machine, peer, s.vote(VoteKind::nullify, peer, view));
        for (const auto& send : all<Send>(effects)) answers += send.to == peer;
    }
    EXPECT_GT(answers, 0u);
    EXPECT_LE(answers, 32u);  // a flood is not answered for ever
}

TEST(bft, equivocation_is_proven_once) {
    Scene s;
    const auto self = s.follower();
    const auto liar = s.leader(1);
    auto machine = s.machine(self);
    (void)machine.step(Start{});
    (void)hear(machine, liar, s.proposal(1, 1));
    const auto effects = hear(machine, liar, s.proposal(1, 2));
    const auto evidence = all<Evidence>(effects);
    ASSERT_EQ(evidence.size(), 1u);
    EXPECT_EQ(evidence[0].offence, Offence::two_notarize);
    EXPECT_EQ(evidence[0].first.signer, liar);
    EXPECT_NE(evidence[0].first.block, evidence[0].second.block);
    EXPECT_TRUE(all<Evidence>(hear(machine, liar, s.proposal(1, 3))).empty());
}

TEST(bft, nullify_with_finalize_is_an_offence_and_nullify_with_notarize_is_none) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto liar = s.others(s.follower())[0];
    const Hash block = keccak256(as_bytes("block"));
    (void)hear(machine, liar, s.vote(VoteKind::notarize, liar, 1, block));
    EXPECT_TRUE(all<Evidence>(hear(machine, liar, s.vote(VoteKind::nullify, liar, 1))).empty());
    const auto effects = hear(machine, liar, s.vote(VoteKind::finalize, liar, 1, block));
    ASSERT_EQ(all<Evidence>(effects).size(), 1u);
    EXPECT_EQ(all<Evidence>(effects)[0].offence, Offence::nullify_and_finalize);
}

TEST(bft, the_leaders_own_nullify_is_followed_at_once) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto effects = hear(machine, s.leader(1), s.vote(VoteKind::nullify, s.leader(1), 1));
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
}

TEST(bft, an_invalid_block_is_never_certified_and_its_view_is_nullified) {
    Scene s;
    const auto self = s.follower();
    auto machine = s.machine(self);
    (void)machine.step(Start{});
    const auto proposal = s.proposal(1);
    (void)hear(machine, proposal.leader, proposal);
    (void)machine.step(BlockVerdict{proposal.block->hash, Verdict::invalid});
    const auto effects =
        hear(machine, 0,
             Cert{s.certificate(VoteKind::notarize, 1, s.others(self), proposal.block->hash)});
    EXPECT_TRUE(all<Certified>(effects).empty());
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
}

TEST(bft, a_final_block_that_is_invalid_here_stops_the_machine) {
    Scene s;
    const auto self = s.follower();
    auto machine = s.machine(self);
    (void)machine.step(Start{});
    const auto proposal = s.proposal(1);
    (void)hear(machine, proposal.leader, proposal);
    (void)machine.step(BlockVerdict{proposal.block->hash, Verdict::invalid});
    const auto effects =
        hear(machine, 0,
             Cert{s.certificate(VoteKind::finalize, 1, s.others(self), proposal.block->hash)});
    EXPECT_EQ(all<Diverged>(effects).size(), 1u);
    EXPECT_TRUE(all<Finalized>(effects).empty());
}

TEST(bft, an_unavailable_verdict_is_asked_for_again) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto proposal = s.proposal(1);
    (void)hear(machine, proposal.leader, proposal);
    EXPECT_TRUE(all<Execute>(machine.step(BlockVerdict{proposal.block->hash, Verdict::unavailable}))
                    .empty());
    EXPECT_EQ(all<Execute>(machine.step(Timeout{{TimerKind::repair, kEveryView}})).size(), 1u);
}

TEST(bft, timers_grow_linearly_and_no_further_than_eight_times) {
    Scene s;
    auto machine = s.machine(s.follower());
    const auto lead_ms = [](const Effects& effects) {
        uint64_t out = 0;
        for (const auto& timer : all<SetTimer>(effects))
            if (timer.id.kind == TimerKind::lead) out = timer.after_ms;
        return out;
    };
    EXPECT_EQ(lead_ms(machine.step(Start{})), 800u);
    for (uint64_t view = 1; view <= 10; ++view) {
        const auto effects =
            hear(machine, 0, Cert{s.certificate(VoteKind::nullify, view, {0, 1, 2})});
        EXPECT_EQ(lead_ms(effects), 800 + view * 200);
    }
    const auto far = hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 500, {0, 1, 2})});
    const bool silent = lead_ms(far) == 0;  // the fourth validator did not sign for 500 views
    EXPECT_TRUE(silent || lead_ms(far) == 8 * 800u);
}

TEST(bft, a_follower_without_keys_says_nothing_and_learns_what_is_final) {
    Scene s;
    const FinalPoint point{s.genesis, s.genesis_hash, BeaconTrail(256, s.genesis.prev_randao), {}};
    Bft machine(s.params, s.set, {point, {}}, nullptr, s.checks);
    (void)machine.step(Start{});
    const auto proposal = s.proposal(1);
    const Hash hash = proposal.block->hash;
    (void)hear(machine, proposal.leader, proposal);
    auto effects = hear(machine, 0, Cert{s.certificate(VoteKind::finalize, 1, {0, 1, 2}, hash)});
    ASSERT_EQ(all<Execute>(effects).size(), 1u);
    effects = machine.step(BlockVerdict{hash, Verdict::valid});
    EXPECT_EQ(all<Finalized>(effects).size(), 1u);
    EXPECT_TRUE(votes_sent(effects, VoteKind::finalize).empty());
}

TEST(bft, a_wanted_block_is_asked_of_another_peer_until_it_comes) {
    Scene s;
    const auto self = s.follower();
    auto machine = s.machine(self);
    (void)machine.step(Start{});
    const auto block = s.proposal(1).block;
    (void)hear(machine, 0, Cert{s.certificate(VoteKind::notarize, 1, s.others(self), block->hash)});
    std::vector<ValidatorIndex> asked;
    for (int i = 0; i < 8; ++i)
        for (const auto& send : all<Send>(machine.step(Timeout{{TimerKind::repair, kEveryView}})))
            if (std::holds_alternative<GetBlock>(send.message)) asked.push_back(send.to);
    EXPECT_EQ(asked.size(), 8u);
    std::sort(asked.begin(), asked.end());
    asked.erase(std::unique(asked.begin(), asked.end()), asked.end());
    EXPECT_EQ(asked, s.others(self));
    EXPECT_EQ(all<Execute>(hear(machine, 0, BlockMessage{block})).size(), 1u);
    EXPECT_TRUE(all<Execute>(hear(machine, 0, BlockMessage{block})).empty());
}

}  // namespace
}  // namespace trainyard::consensus::bft
