// SPDX-License-Identifier: Apache-2.0
// A provider's story from its first job to its fall, and what `trainyard provider earnings` makes
// of it. tests/contracts/market_model.cpp compares the same sums along random calls.
#include "appeal_fixture.hpp"
#include "books.hpp"

namespace trainyard::contracts {
namespace {

using node::wallet::BookingKind;
using node::wallet::Earnings;

struct provider_books : MarketAppeal {
    explicit provider_books(uint64_t window = kWindow) : MarketAppeal({{"windowBlocks", window}}) {}
    const Uint256 endowed = wealth_of(market, kProvider);
    const Uint256 pay = kCoin - kCoin / 20;

    /// The provider shows its steps, and the challenger has nothing to say.
    void lose_dispute(const Address& by, uint64_t job) {
        const Sent begun = contest(by, job);
        ASSERT_TRUE(begun.ok);
        const Bytes state = moved_in(begun)->state;
        ASSERT_TRUE(market.play(kProvider, job, 0, state, honest(0).show_steps()).ok);
        let_deadline_pass(job, 0);
        ASSERT_TRUE(market.timeout(job, 0).ok);
    }
    /// Each booking's kind and amount.
    static std::vector<std::pair<BookingKind, Uint256>> moved(const Earnings& earnings) {
        std::vector<std::pair<BookingKind, Uint256>> out;
        for (const auto& booking : earnings.bookings) out.emplace_back(booking.kind, booking.wei);
        return out;
    }
    Earnings earnings() { return earnings_of(market, kProvider, spec); }
    /// `given` for its appeals.
    void expect_balanced(const Uint256& given) {
        const auto flow = node::wallet::flow_of(earnings());
        EXPECT_EQ(to_decimal(endowed + given + flow.in_wei),
                  to_decimal(wealth_of(market, kProvider) + flow.out_wei));
    }
};

struct provider_books_with_time : provider_books {
    provider_books_with_time() : provider_books(1000) {}
};

TEST_F(provider_books, of_a_whole_story_are_the_change_of_what_it_has) {
    // A committee that was bought convicts it; who disputes its appeal loses, and so does the
    // committee.
    const uint64_t right = convicted_job(honest(0), kAgreed);
    make_appeal(right);
    expect_balanced(bond);
    lose_dispute(kRival, right);
    acquit(right);
    ASSERT_TRUE(market.finalize(right).ok);
    // It comes too late with the next segment, and its next job is a fraud.
    market.chain.mine(spec.segment_blocks * 4);
    ASSERT_TRUE(market.simple(kAnyone, "evict", right).ok);
    expect_balanced(bond);
    const uint64_t wrong = convicted_job(liar(), honest(0).digest());
    make_appeal(wrong);
    prove(kRival, wrong);

    const Uint256 halves = deviation * 3;  // of six fines; the seventh said Match
    EXPECT_EQ(moved(earnings()), (std::vector<std::pair<BookingKind, Uint256>>{
                                     {BookingKind::appeal_bond, bond},
                                     {BookingKind::dispute_half, bond / 2},
                                     {BookingKind::challenge_half, kCoin},
                                     {BookingKind::appeal_return, bond},
                                     {BookingKind::fine_half, halves},
                                     {BookingKind::fine, kCoin / 2},
                                     {BookingKind::appeal_bond, bond},
                                     {BookingKind::slash, provider_bond},
                                 }));
    ASSERT_EQ(earnings().segments.size(), 2u);
    EXPECT_EQ(earnings().segments[0].wei, pay);
    expect_balanced(bond * 2);
    ASSERT_TRUE(market.withdraw(kProvider).ok);
    expect_balanced(bond * 2);
}

TEST_F(provider_books, know_nothing_of_fines_that_all_burn) {
    const uint64_t job = served_job(liar());
    finish_level0(job, liar());
    challenge_and_draw(job);
    std::map<Address, Said> said;  // a minority that said Match, and one that is silent
    for (size_t i = 0; i < 5; ++i) said[committee[i]] = {Verdict::mismatch, honest(0).digest()};
    said[committee[5]] = {Verdict::match, liar().digest()};
    answer(job, 0, said);
    let_conviction_stand(job, 0, kWindow);
    ASSERT_GT(market.burned(), 0);
    EXPECT_EQ(moved(earnings()),
              (std::vector<std::pair<BookingKind, Uint256>>{{BookingKind::slash, provider_bond}}));
    expect_balanced(0);
}

TEST_F(provider_books_with_time,
       have_the_bond_of_an_appeal_whose_segment_fell_once_it_is_reclaimed) {
    const uint64_t job = taken_job();
    for (uint32_t seg : {0U, 1U}) {
        const FakeSegment made = seg == 0 ? liar() : FakeSegment(spec, 1, "truth", liar().last());
        ASSERT_TRUE(market.commit(kProvider, job, seg, made).ok);
        market.audit_honestly(job, seg, made);
    }
    challenge_and_draw(job, 1);
    convict(job, 1, kAgreed);
    make_appeal(job, 1);
    ASSERT_TRUE(market.simple(kClient, "cancel", job).ok);
    ASSERT_TRUE(market.dispute(kRival, job, 0, bond).ok);
    let_deadline_pass(job, 0);
    ASSERT_TRUE(market.timeout(job, 0).ok);
    ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
    const std::vector<std::pair<BookingKind, Uint256>> fallen = {
        {BookingKind::appeal_bond, bond}, {BookingKind::slash, provider_bond}};
    EXPECT_EQ(moved(earnings()), fallen);
    expect_balanced(bond);
    const auto put_up = node::wallet::put_up_in(events_of(market).at(job), kProvider);
    ASSERT_EQ(put_up, (std::set<node::wallet::PutUp>{{job, 1, 0}}));
    ASSERT_TRUE(has_fallen(market, *put_up.begin()));
    ASSERT_TRUE(market.reclaim(job, 1, 0).ok);
    EXPECT_EQ(moved(earnings()).back(), (std::pair{BookingKind::appeal_return, bond}));
    expect_balanced(bond);
}

}  // namespace
}  // namespace trainyard::contracts
