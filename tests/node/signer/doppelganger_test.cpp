// SPDX-License-Identifier: Apache-2.0
// Whose votes are heard, how long a validator listens, and what a liar can make of it.
#include "node/signer/doppelganger.hpp"

#include <gtest/gtest.h>

#include "consensus/bft/bft.hpp"
#include "tests/node/signer/votes.hpp"

namespace trainyard::node::signer {
namespace {

namespace cb = consensus::bft;
using State = Doppelganger::State;

constexpr uint64_t kListenMs = 4000;
constexpr uint64_t kContentionMs = 40'000;

/// Four validators of equal stake; validator 1 is this one.
struct Scene {
    Scene() : set(make_set()) {}
    static consensus::SetPtr make_set() {
        std::vector<consensus::Validator> all;
        for (uint8_t i = 0; i < 4; ++i) {
            Address address;
            address[0] = static_cast<uint8_t>(i + 1);
            const auto key = [&](int purpose) {
                return *public_key(secret(static_cast<uint8_t>(10 * (i + 1) + purpose)));
            };
            all.push_back({address, key(1), key(2), key(3), 10});
        }
        return std::make_shared<consensus::ValidatorSet>(
            std::move(*consensus::ValidatorSet::make(std::move(all))));
    }
    Doppelganger check(bool is_new = false) {
        return Doppelganger({test_chain(), *public_key(secret(21)), kListenMs, kContentionMs,
                             is_new, false, [this] { return newest; }});
    }
    Doppelganger::Moment at(uint64_t now_ms) const { return {now_ms, epoch, set, set}; }
    /// Validators connect and say where they stand.
    void meet(Doppelganger& check, std::initializer_list<consensus::ValidatorIndex> who,
              uint64_t now_ms) const {
        for (const auto index : who) {
            check.meet(set->at(index).p2p_key, at(now_ms));
            hear(check, index, status(51, 40), now_ms);
        }
    }
    void lose(Doppelganger& check, consensus::ValidatorIndex who, bool to_another) const {
        check.lose(set->at(who).p2p_key, to_another);
    }
    /// A message of the validator with this index, or of a stranger.
    void hear(Doppelganger& check, consensus::ValidatorIndex from, const cb::Message& message,
              uint64_t now_ms) const {
        check.hear(from < 4 ? set->at(from).p2p_key : *public_key(secret(99)), message, at(now_ms));
    }
    Vote signed_vote(consensus::ValidatorIndex who, uint64_t view,
                     VoteKind kind = VoteKind::notarize) {
        Vote v = vote(kind, view, kind == VoteKind::nullify ? 0 : 1);
        v.signer = who;
        v.signature =
            sign(secret(static_cast<uint8_t>(10 * (who + 1) + 1)), cb::vote_digest(test_chain(), v))
                .rs;
        return v;
    }
    static cb::Status status(uint64_t view, uint64_t height) { return {{}, {view}, {}, {height}}; }

    consensus::SetPtr set;
    Epoch epoch;
    std::optional<Position> newest = Position{{0}, {50}};
};

TEST(doppelganger, listens_once_a_quorum_is_heard_and_then_for_its_time) {
    Scene s;
    auto check = s.check();
    EXPECT_EQ(check.update(s.at(100'000)), State::connecting);
    s.hear(check, 0, Scene::status(51, 40), 100'000);
    s.hear(check, 0, Scene::status(51, 40), 100'001);
    EXPECT_EQ(check.update(s.at(200'000)), State::connecting)
        << "one peer and itself are no quorum";
    s.hear(check, 2, Scene::status(51, 40), 200'000);
    EXPECT_EQ(check.update(s.at(200'000 + kListenMs - 1)), State::listening);
    EXPECT_EQ(check.update(s.at(200'000 + kListenMs)), State::clear);
    auto by_votes = s.check(true);  // a spare, to which nobody sends a STATUS
    s.hear(by_votes, 0, s.signed_vote(0, 70), 0);
    s.hear(by_votes, 2, s.signed_vote(2, 71), 0);
    EXPECT_EQ(by_votes.update(s.at(1)), State::listening);
    EXPECT_EQ(by_votes.beyond_old_votes(*s.set), (Position{{0}, {72}}));
    EXPECT_EQ(by_votes.update(s.at(kListenMs)), State::clear);
    EXPECT_FALSE(by_votes.is_chain_new()) << "nobody has said so";
}

TEST(doppelganger, votes_of_a_key_that_is_vouched_for_are_old_ones) {
    Scene s;
    s.newest = Position{};
    Doppelganger check({test_chain(), *public_key(secret(21)), kListenMs, kContentionMs, true, true,
                        [&] { return s.newest; }});
    s.hear(check, 0, s.signed_vote(1, 60), 0);
    s.hear(check, 0, Scene::status(61, 40), 0);
    EXPECT_EQ(check.update(s.at(kListenMs)), State::connecting);
    s.hear(check, 2, Scene::status(60, 40), 0);
    EXPECT_EQ(check.update(s.at(kListenMs - 1)), State::listening);
    EXPECT_EQ(check.update(s.at(kListenMs)), State::clear);
    EXPECT_FALSE(check.is_chain_new());
    EXPECT_EQ(check.beyond_old_votes(*s.set), (Position{{0}, {62}}));
}

TEST(doppelganger, a_chain_where_nobody_has_a_final_block_needs_no_listening) {
    Scene s;
    auto check = s.check(true);
    s.hear(check, 0, Scene::status(1, 0), 0);
    EXPECT_EQ(check.update(s.at(0)), State::connecting);
    s.hear(check, 2, Scene::status(1, 0), 0);
    EXPECT_EQ(check.update(s.at(0)), State::clear);
    auto late = s.check(true);
    s.hear(late, 0, Scene::status(60, 55), 0);
    s.hear(late, 2, Scene::status(1, 0), 0);
    EXPECT_EQ(late.update(s.at(1)), State::listening) << "one who has a final block is enough";
    EXPECT_FALSE(late.is_chain_new());
}

TEST(doppelganger, a_vote_newer_than_the_database_is_another_machines) {
    for (const auto kind : {VoteKind::notarize, VoteKind::finalize, VoteKind::nullify}) {
        Scene s;
        auto check = s.check();
        s.hear(check, 2, s.signed_vote(1, 50, kind), 0);
        EXPECT_EQ(check.update(s.at(0)), State::connecting) << "as new as the database, so our own";
        s.hear(check, 2, s.signed_vote(1, 51, kind), 0);
        EXPECT_EQ(check.update(s.at(0)), State::found);
        EXPECT_EQ(check.evidence()->view.value, 51u);
        EXPECT_EQ(check.update(s.at(1'000'000)), State::found) << "it stays found";
    }
}

TEST(doppelganger, finds_its_share_of_certificates_and_proposals) {
    Scene s;
    auto certificate = std::make_shared<cb::Certificate>();
    certificate->kind = VoteKind::nullify;
    certificate->view = {60};
    certificate->set_size = 4;
    certificate->signers = {0b0011};
    for (const uint16_t who : {0, 1})
        certificate->signatures.push_back(s.signed_vote(who, 60, VoteKind::nullify).signature);
    auto by_certificate = s.check();
    s.hear(by_certificate, 3, cb::Cert{certificate}, 0);
    EXPECT_EQ(by_certificate.update(s.at(0)), State::found);

    Header header;
    header.number = 1;
    header.extra_data = cb::encode_seal({{}, {70}, {}, {}});
    cb::Propose propose{cb::make_block(header, {}), {}, 1, {}};
    Vote v = vote(VoteKind::notarize, 70);
    v.block = propose.block->hash;
    propose.signature = sign(secret(21), cb::vote_digest(test_chain(), v)).rs;
    auto by_proposal = s.check();
    s.hear(by_proposal, 3, propose, 0);
    EXPECT_EQ(by_proposal.update(s.at(0)), State::found);
    propose.leader = 0;
    auto by_other = s.check();
    s.hear(by_other, 3, propose, 0);
    EXPECT_EQ(by_other.update(s.at(0)), State::connecting);
}

TEST(doppelganger, forged_votes_and_votes_of_others_prove_nothing) {
    Scene s;
    auto check = s.check();
    Vote forged = s.signed_vote(0, 99);
    forged.signer = 1;
    s.hear(check, 2, forged, 0);
    s.hear(check, 2, s.signed_vote(2, 99), 0);
    auto unsigned_vote = vote(VoteKind::notarize, 99, 1);
    unsigned_vote.signer = 1;
    s.hear(check, 2, unsigned_vote, 0);
    s.hear(check, consensus::kNoValidator, Scene::status(1, 1), 0);
    s.hear(check, 77, Scene::status(1, 1), 0);
    EXPECT_EQ(check.update(s.at(0)), State::connecting);
    s.newest = std::nullopt;  // the signer process does not answer
    s.hear(check, 2, s.signed_vote(1, 99), 0);
    EXPECT_EQ(check.update(s.at(0)), State::connecting);
}

TEST(doppelganger, is_found_at_any_later_time) {
    Scene s;
    auto check = s.check();
    for (const consensus::ValidatorIndex who : {0, 2, 3})
        s.hear(check, who, Scene::status(51, 40), 0);
    ASSERT_EQ(check.update(s.at(kListenMs)), State::clear);
    s.hear(check, 2, s.signed_vote(1, 51), 1'000'000);
    EXPECT_EQ(check.update(s.at(1'000'000)), State::found);
}

TEST(doppelganger, silence_counts_while_each_of_a_quorum_stays_in_contact) {
    Scene s;
    auto check = s.check();
    s.meet(check, {0, 2}, 0);
    s.lose(check, 2, false);
    EXPECT_EQ(check.update(s.at(3000)), State::connecting) << "one peer and itself are no quorum";
    s.meet(check, {2}, 3000);
    EXPECT_EQ(check.update(s.at(kListenMs)), State::listening) << "who was away may have missed it";
    EXPECT_EQ(check.update(s.at(3000 + kListenMs - 1)), State::listening);
    EXPECT_EQ(check.update(s.at(3000 + kListenMs)), State::clear);
    auto silent = s.check();
    s.meet(silent, {0}, 0);
    silent.meet(s.set->at(2).p2p_key, s.at(0));
    EXPECT_EQ(silent.update(s.at(100'000)), State::connecting) << "a peer that says nothing";
}

/// A copy with the P2P key: the original's votes never reach it, and either takes the other's
/// connections.
TEST(doppelganger, who_loses_a_connection_to_another_machine_listens_until_nobody_dials_any_more) {
    Scene s;
    auto check = s.check(true);
    s.meet(check, {0, 2, 3}, 0);
    s.lose(check, 3, true);
    EXPECT_TRUE(check.is_in_contention());
    EXPECT_EQ(check.update(s.at(kListenMs)), State::listening);
    s.lose(check, 2, true);  // the other one dials again
    EXPECT_EQ(check.update(s.at(20'000)), State::connecting);
    s.meet(check, {2, 3}, 20'000);
    EXPECT_EQ(check.update(s.at(20'000 + kContentionMs - 1)), State::listening);
    EXPECT_EQ(check.update(s.at(20'000 + kContentionMs)), State::clear) << "it was stopped";
}

TEST(doppelganger, the_contention_of_a_running_copy_never_ends_in_votes) {
    Scene s;
    auto check = s.check();
    s.meet(check, {0, 2, 3}, 0);
    for (uint64_t now_ms = 500; now_ms < 600'000; now_ms += 15'000) {  // the longest backoff
        for (const consensus::ValidatorIndex who : {0, 2, 3}) s.lose(check, who, true);
        s.meet(check, {0, 2, 3}, now_ms + 10);
        EXPECT_EQ(check.update(s.at(now_ms + 14'999)), State::listening);
    }
    s.hear(check, 3, s.signed_vote(1, 80), 600'000);
    EXPECT_EQ(check.update(s.at(600'000)), State::found) << "a vote still proves it";
}

TEST(doppelganger, one_liar_of_four_cannot_keep_a_validator_from_voting) {
    Scene s;
    auto check = s.check();
    s.meet(check, {0, 2, 3}, 0);
    for (uint64_t now_ms = 100; now_ms < kContentionMs; now_ms += 1000) {
        s.lose(check, 3, true);
        s.meet(check, {3}, now_ms);
        s.hear(check, 3, Scene::status(UINT64_MAX, 1), now_ms);
    }
    EXPECT_EQ(check.update(s.at(kContentionMs)), State::clear) << "the other two have stayed";
}

TEST(doppelganger, a_stranger_that_leaves_interrupts_nobody_but_those_it_may_have_carried) {
    Scene s;
    auto check = s.check();
    s.meet(check, {0}, 0);
    s.hear(check, 2, Scene::status(51, 40), 0);  // through a sentry
    check.lose(*public_key(secret(99)), false);
    EXPECT_EQ(check.update(s.at(100)), State::connecting);
    s.hear(check, 2, Scene::status(51, 40), 1000);
    EXPECT_EQ(check.update(s.at(kListenMs)), State::listening);
    EXPECT_EQ(check.update(s.at(1000 + kListenMs)), State::clear);
}

TEST(doppelganger, time_does_not_count_while_the_others_stand_in_epochs_that_it_cannot_judge) {
    Scene s;
    s.epoch = {5};
    auto check = s.check();
    const auto tell = [&](consensus::ValidatorIndex who, uint64_t epoch, uint64_t now_ms) {
        s.hear(check, who, cb::Status{{epoch}, {3}, {2}, {400}}, now_ms);
    };
    tell(0, 7, 0);
    tell(2, 7, 0);
    EXPECT_EQ(check.update(s.at(10'000)), State::listening);
    tell(2, 6, 20'000);  // one of four may lie
    EXPECT_EQ(check.update(s.at(20'000 + kListenMs)), State::clear);
    auto ahead = s.check();
    Vote v = vote(VoteKind::nullify, 2, 0);
    v.epoch = {6};
    v.signer = 1;
    v.signature = sign(secret(21), cb::vote_digest(test_chain(), v)).rs;
    s.hear(ahead, 2, v, 0);
    EXPECT_EQ(ahead.update(s.at(0)), State::found) << "a vote of the next epoch counts at once";
}

TEST(doppelganger, one_liar_of_four_does_not_move_the_place_where_a_lost_key_begins_again) {
    Scene s;
    auto check = s.check();
    s.hear(check, 0, Scene::status(UINT64_MAX, 40), 0);
    s.hear(check, 2, Scene::status(80, 40), 0);
    s.hear(check, 3, Scene::status(79, 40), 0);
    EXPECT_EQ(check.beyond_old_votes(*s.set), (Position{{0}, {82}}));
    s.hear(check, 2, Scene::status(UINT64_MAX, 40), 0);
    EXPECT_LT(check.beyond_old_votes(*s.set), kNoMore);
}

}  // namespace
}  // namespace trainyard::node::signer
