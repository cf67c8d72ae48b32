// SPDX-License-Identifier: Apache-2.0
// No sequence of votes, restarts and merges lets a key sign an offence.
#include "node/signer/history.hpp"

#include <gtest/gtest.h>

#include <random>

#include "core/hash.hpp"
#include "tests/node/signer/votes.hpp"

namespace trainyard::node::signer {
namespace {

TEST(signing_history, two_votes_that_differ_in_one_view_are_refused) {
    History h;
    h.record(vote(VoteKind::notarize, 5, 1));
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, 5, 2)), Refusal::two_notarize);
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, 5, 1)), std::nullopt) << "the same vote again";
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, 6, 2)), std::nullopt) << "another view";
    h.record(vote(VoteKind::finalize, 5, 1));
    EXPECT_EQ(h.objection(vote(VoteKind::finalize, 5, 2)), Refusal::two_finalize);
    EXPECT_EQ(h.objection(vote(VoteKind::nullify, 5)), Refusal::nullify_and_finalize);
}

TEST(signing_history, finalize_after_nullify_is_refused_and_notarize_with_nullify_is_not) {
    History h;
    h.record(vote(VoteKind::nullify, 5));
    EXPECT_EQ(h.objection(vote(VoteKind::finalize, 5, 1)), Refusal::nullify_and_finalize);
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, 5, 1)), std::nullopt);
    EXPECT_EQ(h.objection(vote(VoteKind::nullify, 5)), std::nullopt);
}

TEST(signing_history, epochs_are_apart_and_views_start_again_with_each) {
    History h;
    h.record(vote(VoteKind::notarize, 5, 1, 0));
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, 5, 2, 1)), std::nullopt);
    h.raise_mark({{1}, {1}});
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, 9, 1, 0)), Refusal::below_mark);
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, 1, 1, 1)), std::nullopt);
}

TEST(signing_history, nothing_below_the_mark_is_signed_not_even_again) {
    History h;
    for (uint64_t view = 1; view <= 10; ++view) h.record(vote(VoteKind::notarize, view, 1));
    h.prune(3);
    EXPECT_EQ(h.views.size(), 3u);
    EXPECT_EQ(h.mark, (Position{{0}, {8}}));
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, 7, 1)), Refusal::below_mark);
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, 8, 1)), std::nullopt);
    h.raise_mark({{0}, {2}});
    EXPECT_EQ(h.mark, (Position{{0}, {8}})) << "a mark never falls";
    h.raise_mark(kNoMore);
    EXPECT_EQ(h.objection(vote(VoteKind::notarize, UINT64_MAX, 1, UINT64_MAX)), Refusal::below_mark)
        << "a retired key signs nothing at all";
}

TEST(signing_history, a_merge_that_shows_an_offence_raises_the_mark_above_it) {
    History a, b;
    a.record(vote(VoteKind::finalize, 5, 1));
    b.record(vote(VoteKind::nullify, 5));
    b.record(vote(VoteKind::notarize, 6, 1));
    EXPECT_EQ(merge(a, b), (std::vector<Position>{{{0}, {5}}}));
    EXPECT_EQ(a.mark, (Position{{0}, {6}}));
    EXPECT_EQ(a.objection(vote(VoteKind::notarize, 6, 2)), Refusal::two_notarize);
}

/// Whatever either of two histories refused is refused after a merge, in both orders.
TEST(signing_history, a_merge_never_loosens) {
    std::mt19937_64 random(1);
    const auto draw = [&](uint64_t below) { return random() % below; };
    const auto any_vote = [&] {
        const auto kind = static_cast<VoteKind>(1 + draw(3));
        return vote(kind, draw(12), kind == VoteKind::nullify ? 0 : 1 + draw(2), draw(2));
    };
    for (int round = 0; round < 2000; ++round) {
        History a, b;
        for (int i = 0; i < 12; ++i) {
            History& h = draw(2) == 0 ? a : b;
            const auto v = any_vote();
            if (!h.objection(v)) h.record(v);
            if (draw(8) == 0) h.raise_mark({{draw(2)}, {draw(12)}});
            if (draw(8) == 0) h.prune(1 + draw(4));
        }
        History ab = a, ba = b;
        EXPECT_EQ(merge(ab, b), merge(ba, a));
        ASSERT_EQ(ab, ba);
        for (const auto& [at, view] : ab.views) ASSERT_GE(at, ab.mark);
        for (uint64_t epoch = 0; epoch < 2; ++epoch)
            for (uint64_t view = 0; view < 13; ++view)
                for (const auto& v : {vote(VoteKind::notarize, view, 1, epoch),
                                      vote(VoteKind::notarize, view, 2, epoch),
                                      vote(VoteKind::finalize, view, 1, epoch),
                                      vote(VoteKind::finalize, view, 2, epoch),
                                      vote(VoteKind::nullify, view, 0, epoch)})
                    ASSERT_TRUE(ab.objection(v) || !(a.objection(v) || b.objection(v)))
                        << "round " << round << " view " << view;
        const History once = ab;
        (void)merge(ab, b);
        ASSERT_EQ(ab, once) << "a second import of the same file changes nothing";
    }
}

}  // namespace
}  // namespace trainyard::node::signer
