// SPDX-License-Identifier: Apache-2.0
// A market with a client and two providers, for tests of single stories.
#pragma once

#include <gtest/gtest.h>

#include "market.hpp"

namespace trainyard::contracts {

inline const Address kClient = actor("client");
inline const Address kProvider = actor("provider");
inline const Address kRival = actor("rival");
inline const Address kAnyone = actor("anyone");
inline const Address kOutsider = actor("outsider");

struct MarketFixture : testing::Test {
    Market market;
    JobSpec spec;

    explicit MarketFixture(std::map<std::string, Uint256> overrides = {}, size_t validators = 10)
        : market(validators, std::move(overrides)) {
        market.add_provider(kProvider, kCoin * 100);
        market.add_provider(kRival, kCoin * 100);
    }
    FakeSegment honest(uint32_t seg) const { return {spec, seg, "truth"}; }
    FakeSegment fake(uint32_t seg) const { return {spec, seg, "lie"}; }
    uint64_t taken_job() {
        const uint64_t job = market.post(kClient, spec);
        EXPECT_TRUE(market.take(kProvider, job).ok);
        return job;
    }
    /// A job whose first segment is committed, drawn and served.
    uint64_t served_job(const FakeSegment& made) {
        const uint64_t job = taken_job();
        EXPECT_TRUE(market.commit(kProvider, job, 0, made).ok);
        market.open_audit(job, 0);
        EXPECT_TRUE(market.serve(kProvider, job, 0).ok);
        return job;
    }
    struct Said {
        Verdict verdict = Verdict::match;
        Hash digest;
    };
    /// Who sits in the committee or pair says this; the others of it stay silent. The last reveal.
    Sent answer(uint64_t job, uint32_t seg, const std::map<Address, Said>& said) {
        for (const auto& [a, it] : said)
            EXPECT_TRUE(market.commit_answer(a, job, seg, it.verdict, {it.digest}).ok);
        if (said.size() < market.auditors(job, seg).size()) market.pass_deadline(job, seg);
        Sent last;
        for (const auto& [a, it] : said)
            last = market.reveal_answer(a, job, seg, it.verdict, {it.digest});
        EXPECT_TRUE(last.ok) << last.error();
        return last;
    }
    /// Blocks until the first one in which whoever had time until the deadline has none.
    void let_deadline_pass(uint64_t job, uint32_t seg) {
        market.chain.mine(market.segment(job, seg).phase_deadline + 1 - market.chain.number());
    }
    std::map<Address, Uint256> stakes() {
        std::map<Address, Uint256> out;
        for (const Address& v : market.validators) out[v] = market.stake_of(v);
        return out;
    }
    /// All stake, of which an audit may take as long as it is held.
    Sent leave(const Address& who) {
        return market.chain.send(who, market.chain.address("Staking"),
                                 call_data("unbond(uint256)", Abi().word(market.stake_of(who))));
    }
    Sent take_out(const Address& who) {
        return market.chain.send(
            who, market.chain.address("Staking"),
            call_data("withdraw(address,uint256)", Abi().address(who).word(9)));
    }
    using Words = std::vector<Uint256>;
    /// The data of the event of this signature in a call that tells one, about `who` if that is an
    /// address; of plain words only.
    static Words told(const Sent& sent, std::string_view signature, const Address& who = {}) {
        Words words;
        size_t count = 0;
        for (const Log& log : sent.logs) {
            if (log.topics.at(0) != keccak256(as_bytes(signature))) continue;
            ++count;
            EXPECT_TRUE(who.is_zero() || from_hash(log.topics.at(3)) == to_word(who));
            for (size_t i = 0; i < log.data.size() / 32; ++i) words.push_back(word_at(log.data, i));
        }
        EXPECT_EQ(count, 1u) << signature;
        return words;
    }
    Uint256 reserved(const Address& p) { return market.provider_money(p)[1]; }
    Uint256 stake(const Address& p) { return market.provider_money(p)[0]; }
    /// A committee has just found the segment wrong, and its provider does not appeal: nobody's
    /// money moves while it may, then the segment is void.
    void let_conviction_stand(uint64_t job, uint32_t seg, uint64_t window) {
        const SegmentView s = market.segment(job, seg);
        EXPECT_EQ(s.state, SegmentState::convicted);
        EXPECT_EQ(s.phase_deadline, market.chain.number() + window);
        const Uint256 held = market.chain.balance(market.at()), burned = market.burned();
        const Uint256 bonded = reserved(s.provider);
        market.chain.mine(window);
        EXPECT_EQ(market.on_segment(kAnyone, "advance", job, seg).error(), "NotYet");
        EXPECT_EQ(market.segment(job, seg).state, SegmentState::convicted);
        EXPECT_EQ(market.chain.balance(market.at()), held);
        EXPECT_EQ(market.burned(), burned);
        EXPECT_EQ(reserved(s.provider), bonded);
        market.chain.mine();
        EXPECT_TRUE(market.on_segment(kAnyone, "advance", job, seg).ok);
        EXPECT_EQ(market.segment(job, seg).state, SegmentState::void_proven);
    }
    /// The balance of the market is what it owes: escrow of the jobs, credit of everyone known, and
    /// bonds of open challenges, disputes and appeals.
    void expect_solvent(uint64_t jobs, const Uint256& bonds = 0) {
        Uint256 owed = bonds;
        for (uint64_t job = 0; job < jobs; ++job) owed += market.job(job).escrow;
        for (const Address& v : market.validators) owed += market.credit(v);
        for (const Address& who : {kClient, kProvider, kRival, kOutsider})
            owed += market.credit(who);
        EXPECT_EQ(to_decimal(owed), to_decimal(market.chain.balance(market.at())));
    }
};

}  // namespace trainyard::contracts
