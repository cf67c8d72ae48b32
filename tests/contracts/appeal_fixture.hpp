// SPDX-License-Identifier: Apache-2.0
// Segments that a committee has convicted, rightly or not, and what their providers can do.
#pragma once

#include "core/hash.hpp"
#include "market_fixture.hpp"

namespace trainyard::contracts {

inline constexpr uint64_t kWindow = 16;
inline const Hash kAgreed = keccak256(as_bytes("agreed beforehand"));

struct MarketAppeal : MarketFixture {
    explicit MarketAppeal(std::map<std::string, Uint256> parameters = {{"windowBlocks", kWindow}})
        : MarketFixture(std::move(parameters)) {}
    const Uint256 fee = spec.audit_fee;
    const Uint256 deviation = fee * 10, silence = fee * 2;
    const Uint256 first_challenge = kCoin * 2 + fee * 7;
    const Uint256 bond = kCoin * 2;  ///< of an appeal, and of a first dispute
    const Uint256 provider_bond = kCoin * 8;

    /// Right units, wrong sums: level 0 finds nothing.
    FakeSegment liar(uint32_t seg = 0) const { return honest(seg).with_other_sums(); }
    /// Served, answered as in `manners` and opened.
    void finish_level0(uint64_t job, const FakeSegment& made,
                       const std::map<Address, Manners>& manners = {}) {
        level0 = market.auditors(job, 0);
        market.run_round(job, 0, made, manners);
        if (market.phase(job, 0) == Phase::open) {
            ASSERT_TRUE(market.open(kProvider, job, 0, made).ok);
        }
        committee = market.auditors(job, 0);
    }
    void challenge_and_draw(uint64_t job, uint32_t seg = 0, const Address& by = kOutsider) {
        ASSERT_TRUE(market.challenge(by, job, seg, market.challenge_bond(job, seg)).ok);
        market.open_audit(job, seg);
        committee = market.auditors(job, seg);
        ASSERT_EQ(committee.size(), 7u);
    }
    /// Of the seven that are seated five say Mismatch with `digest`, the sixth Match, the seventh
    /// Mismatch with a digest of its own.
    void convict(uint64_t job, uint32_t seg, const Hash& digest) {
        std::map<Address, Said> said;
        for (const Address& a : committee) said[a] = {Verdict::mismatch, digest};
        said[committee[5]] = {Verdict::match, honest(seg).digest()};
        said[committee[6]] = {Verdict::mismatch, keccak256(as_bytes("its own"))};
        const Sent decided = answer(job, seg, said);
        ASSERT_EQ(market.segment(job, seg).state, SegmentState::convicted);
        EXPECT_EQ(told(decided, "SegmentConvicted(uint256,uint32,address,uint64)", kProvider),
                  Words{market.segment(job, seg).phase_deadline});
    }
    /// Accepted, challenged and convicted.
    uint64_t convicted_job(const FakeSegment& made, const Hash& digest) {
        const uint64_t job = served_job(made);
        finish_level0(job, made);
        challenge_and_draw(job);
        convict(job, 0, digest);
        return job;
    }
    void make_appeal(uint64_t job, uint32_t seg = 0) {
        ASSERT_TRUE(market.appeal(kProvider, job, seg, bond).ok);
        ASSERT_EQ(market.segment(job, seg).state, SegmentState::appealed);
    }
    Sent contest(const Address& by, uint64_t job, uint32_t seg = 0) {
        return market.dispute(by, job, seg, market.dispute_bond(job, seg, by));
    }
    /// Nobody has disputed.
    void acquit(uint64_t job) {
        let_deadline_pass(job, 0);
        ASSERT_TRUE(market.on_segment(kAnyone, "advance", job, 0).ok);
        ASSERT_EQ(market.segment(job, 0).state, SegmentState::accepted);
    }
    /// The provider has no move.
    void prove(const Address& by, uint64_t job) {
        ASSERT_TRUE(contest(by, job).ok);
        let_deadline_pass(job, 0);
        ASSERT_TRUE(market.timeout(job, 0).ok);
        ASSERT_EQ(market.segment(job, 0).state, SegmentState::void_proven);
    }
    void expect_fined(const std::map<Address, Uint256>& before,
                      const std::map<Address, Uint256>& fines) {
        for (const Address& v : market.validators) {
            const auto fine = fines.find(v);
            EXPECT_EQ(before.at(v) - market.stake_of(v),
                      fine == fines.end() ? Uint256(0) : fine->second);
        }
    }
    /// What validators have been credited, `each` for every mention in `earners`.
    void expect_earned(const std::vector<Address>& earners, const Uint256& each) {
        for (const Address& v : market.validators)
            EXPECT_EQ(market.credit(v), each * std::count(earners.begin(), earners.end(), v));
    }

    std::vector<Address> level0, committee;
};
}  // namespace trainyard::contracts
