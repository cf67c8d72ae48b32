// SPDX-License-Identifier: Apache-2.0
// Single steps of the vote machine: what it says, when it is silent, and what it remembers after a
// crash.
#include "tests/consensus/bft/scene.hpp"

#include <gtest/gtest.h>

namespace trainyard::consensus::bft {
namespace {

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
    const BuiltBlock built{{}, {1}, asked[0].parent_hash, make_block(header, {})};
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
    const BuiltBlock none{{}, {1}, s.genesis_hash, nullptr};
    EXPECT_EQ(votes_sent(machine.step(none), VoteKind::nullify).size(), 1u);
}

TEST(bft, silence_is_nullified_and_no_notarize_follows) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto effects = machine.step(Timeout{timer(TimerKind::lead, {1})});
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
    const auto late = hear(machine, s.leader(1), s.proposal(1));
    EXPECT_TRUE(votes_sent(late, VoteKind::notarize).empty());
    EXPECT_TRUE(machine.step(Timeout{timer(TimerKind::lead, {1})}).empty());
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
    (void)machine.step(Timeout{timer(TimerKind::advance, {1})});
    EXPECT_EQ(signer.asked, 2) << "a notarize and a nullify, each once";
    signer.is_open = true;
    effects = machine.step(Timeout{timer(TimerKind::retry, {1})});
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

TEST(bft, a_block_ahead_of_the_clock_is_voted_for_when_its_time_has_come) {
    Scene s;
    const auto self = s.follower();
    auto early = s.proposal(1);
    Header header = early.block->header;
    header.timestamp = 100;
    early = s.seal(header, Bytes{0}, 1);
    s.checks.time_max_s = 99;
    auto machine = s.machine(self);
    (void)machine.step(Start{});
    EXPECT_TRUE(votes_sent(hear(machine, early.leader, early), VoteKind::notarize).empty());
    auto patient = s.machine(self);
    (void)patient.step(Start{});
    (void)hear(patient, early.leader, early);
    s.checks.time_max_s = 100;
    const auto then = hear(patient, 0, s.vote(VoteKind::nullify, 0, 5));
    EXPECT_EQ(votes_sent(then, VoteKind::notarize).size(), 1u);
    s.checks.time_max_s = 99;
    const auto others = s.others(self);
    (void)hear(machine, 0, Cert{s.certificate(VoteKind::notarize, 1, others, early.block->hash)});
    const auto certified = machine.step(BlockVerdict{early.block->hash, Verdict::valid});
    EXPECT_EQ(votes_sent(certified, VoteKind::finalize).size(), 1u) << "others' clocks say so";
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
    const auto effects = machine.step(Timeout{timer(TimerKind::advance, {1})});
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
    (void)machine.step(Timeout{timer(TimerKind::advance, {1})});
    (void)machine.step(BlockVerdict{hash, Verdict::valid});
    const auto certificate = s.certificate(VoteKind::notarize, 1, s.others(self), hash);
    const auto effects = hear(machine, 0, Cert{certificate});
    EXPECT_EQ(all<Certified>(effects).size(), 1u);
    EXPECT_TRUE(votes_sent(effects, VoteKind::finalize).empty());
    EXPECT_EQ(machine.standing().view.value, 2u);
}

TEST(bft, what_is_certified_late_beside_the_chain_is_no_new_head) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto late = s.proposal(1), next = s.proposal(2);
    (void)hear(machine, late.leader, late);
    (void)hear(machine, 0, Cert{s.certificate(VoteKind::nullify, 1, {0, 1, 2})});
    (void)hear(machine, next.leader, next);
    (void)hear(machine, 0, Cert{s.certificate(VoteKind::notarize, 2, {0, 1, 2}, next.block->hash)});
    const auto head = machine.step(BlockVerdict{next.block->hash, Verdict::valid});
    EXPECT_EQ(all<Certified>(head).size(), 1u);
    (void)machine.step(BlockVerdict{late.block->hash, Verdict::valid});
    const auto beside =
        hear(machine, 0, Cert{s.certificate(VoteKind::notarize, 1, {0, 1, 2}, late.block->hash)});
    EXPECT_TRUE(all<Certified>(beside).empty());
    EXPECT_EQ(machine.standing().certified_hash, next.block->hash);
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
    const auto again = machine.step(Timeout{timer(TimerKind::retry, {1})});
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
    EXPECT_TRUE(machine.step(Timeout{timer(TimerKind::lead, {1})}).empty());
    EXPECT_TRUE(machine.step(Timeout{timer(TimerKind::advance, {1})}).empty());
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
    EXPECT_EQ(asked[0].to, peer(proposal.leader));
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
    const auto forging = hear(machine, stranger, forged);
    ASSERT_EQ(forging.size(), 1u);
    EXPECT_EQ(all<Misbehaved>(forging).at(0).peer, peer(stranger));
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
    const auto blamed = [](const Effects& effects) {
        const auto found = all<Misbehaved>(effects);
        return effects.size() == 1 && found.size() == 1 && found[0].peer == peer(1);
    };
    auto wrong = s.vote(VoteKind::nullify, 1, 1);
    wrong.signature[5] ^= 1;
    EXPECT_TRUE(blamed(hear(machine, 1, wrong)));
    auto proposal = s.proposal(1);
    proposal.signature[5] ^= 1;
    EXPECT_TRUE(blamed(hear(machine, 1, proposal)));
    auto stranger = s.vote(VoteKind::nullify, 1, 1);
    stranger.signer = kNodes;
    EXPECT_TRUE(hear(machine, 1, stranger).empty());
    auto certificate = *s.certificate(VoteKind::nullify, 1, {0, 1, 2});
    certificate.signatures[2] = certificate.signatures[1];
    EXPECT_TRUE(blamed(hear(machine, 1, Cert{std::make_shared<Certificate>(certificate)})));
    auto foreign = *s.certificate(VoteKind::nullify, 1, {0, 1, 2});
    foreign.epoch = {1};
    (void)hear(machine, 1, Cert{std::make_shared<Certificate>(foreign)});
    EXPECT_TRUE(blamed(hear(machine, 1, Cert{s.certificate(VoteKind::nullify, 1, {0, 1})})));
    EXPECT_EQ(machine.standing().view.value, 1u);
    (void)hear(machine, 1, Cert{s.certificate(VoteKind::nullify, 1, {0, 1, 2})});
    EXPECT_EQ(machine.standing().view.value, 2u);
}

TEST(bft, rejects_votes_of_far_views_and_asks_for_help_instead) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto other = s.others(s.follower())[0];
    unsigned answers = 0;
    for (uint64_t view = 1000; view < 1200; ++view) {
        const auto effects = hear(machine, other, s.vote(VoteKind::nullify, other, view));
        for (const auto& send : all<Send>(effects)) answers += send.to == peer(other);
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

TEST(bft, what_was_said_is_not_checked_again_however_it_is_signed) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto liar = s.others(s.follower())[0];
    const auto signed_anew = [&](VoteKind kind, const Hash& block) {
        auto vote = s.vote(kind, liar, 1, block);
        vote.signature[5] ^= 1;  // stands for one that is right: a key has any number of them
        return vote;
    };
    const Hash one = keccak256(as_bytes("1")), two = keccak256(as_bytes("2"));
    const auto finalize = VoteKind::finalize;
    (void)hear(machine, liar, s.vote(finalize, liar, 1, one));
    EXPECT_TRUE(hear(machine, liar, signed_anew(finalize, one)).empty());
    EXPECT_EQ(all<Misbehaved>(hear(machine, liar, signed_anew(finalize, two))).size(), 1u);
    EXPECT_EQ(all<Evidence>(hear(machine, liar, s.vote(finalize, liar, 1, two))).size(), 1u);
    const Hash three = keccak256(as_bytes("3"));
    EXPECT_TRUE(hear(machine, liar, signed_anew(finalize, three)).empty()) << "convicted already";
}

TEST(bft, proposals_of_a_convicted_leader_are_not_checked) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    const auto liar = s.leader(1);
    (void)hear(machine, liar, s.proposal(1, 1));
    auto first = s.proposal(1, 2), next = s.proposal(1, 3);
    ASSERT_EQ(all<Evidence>(hear(machine, liar, first)).size(), 1u);
    first.signature[5] ^= 1;
    next.signature[5] ^= 1;
    EXPECT_TRUE(hear(machine, liar, first).empty());
    EXPECT_TRUE(hear(machine, liar, next).empty());
}

TEST(bft, a_leader_that_sends_a_wrong_body_loses_points) {
    Scene s;
    auto machine = s.machine(s.follower());
    (void)machine.step(Start{});
    auto wrong = s.proposal(1);
    wrong.block = std::make_shared<BlockData>(
        BlockData{wrong.block->header, Bytes{9, 9}, wrong.block->hash});
    const auto effects = hear(machine, s.leader(1), wrong);
    EXPECT_EQ(votes_sent(effects, VoteKind::nullify).size(), 1u);
    ASSERT_EQ(all<Misbehaved>(effects).size(), 1u);
    EXPECT_EQ(all<Misbehaved>(effects)[0].peer, peer(s.leader(1)));
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
    EXPECT_EQ(all<Execute>(machine.step(Timeout{timer(TimerKind::repair, kEveryView)})).size(), 1u);
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
    Bft machine(s.params, s.sets, {s.genesis_point(), {}}, nullptr, s.checks);
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
    std::vector<Peer> asked;
    for (int i = 0; i < 12; ++i)
        for (const auto& send :
             all<Send>(machine.step(Timeout{timer(TimerKind::repair, kEveryView)})))
            if (std::holds_alternative<GetBlock>(send.message)) asked.push_back(send.to);
    EXPECT_EQ(asked.size(), 12u);
    std::sort(asked.begin(), asked.end());
    asked.erase(std::unique(asked.begin(), asked.end()), asked.end());
    std::vector<Peer> others;
    for (const auto other : s.others(self)) others.push_back(peer(other));
    std::sort(others.begin(), others.end());
    EXPECT_EQ(asked, others);
    const auto forged =
        std::make_shared<BlockData>(BlockData{block->header, Bytes{9, 9}, block->hash});
    const auto forging = hear(machine, 1, BlockMessage{forged});
    ASSERT_EQ(forging.size(), 1u) << "it is still asked for";
    EXPECT_EQ(all<Misbehaved>(forging).at(0).peer, peer(1));
    EXPECT_EQ(all<Execute>(hear(machine, 0, BlockMessage{block})).size(), 1u);
    EXPECT_TRUE(all<Execute>(hear(machine, 0, BlockMessage{block})).empty());
}

}  // namespace
}  // namespace trainyard::consensus::bft
