// SPDX-License-Identifier: Apache-2.0
// Steps, the end of all jobs, and what money and segments must look like in between.
#include "market_model.hpp"

#include <gtest/gtest.h>

namespace trainyard::contracts {

MarketModel::MarketModel(uint64_t seed)
    : market_(5, {{"serveBlocks", 24},
                  {"commitBlocks", 24},
                  {"commitBlocksL1", 24},
                  {"revealBlocks", 24},
                  {"openBlocks", 24},
                  {"maxInFlight", 3},
                  {"replayBps", 5000},
                  {"moveBlocks", 10},
                  {"workPerBlock", seed % 3 == 0 ? 500'000 : 10'000'000'000},
                  {"windowBlocks", seed % 4 == 0 ? 0 : 20}}),
      random_(seed),
      seed_(seed) {
    for (int i = 0; i < 3; ++i) {
        clients_.push_back(actor("client " + std::to_string(i)));
        providers_.push_back(actor("provider " + std::to_string(i)));
        market_.add_provider(providers_.back(), kCoin * 40);
        endowed_[providers_.back()] = wealth_of(market_, providers_.back());
        outsiders_.push_back(actor("outsider " + std::to_string(i)));
    }
    market_.chain.give(kAnyone, kCoin);
    given_ = market_.chain.supply();
    spec_.segment_blocks = 60;
}

void MarketModel::step() {
    const uint64_t dice = pick(100);
    if (dice < 16)  // now and then for so long that what is committed must be drawn anew
        wait(pick(100) == 0 ? 450 : 1 + pick(6));
    else if (dice < 20)
        post();
    else if (dice < 26)
        take();
    else if (dice < 40)
        commit();
    else if (dice < 78)
        audit_something();
    else if (dice < 88)
        contest();
    else if (dice < 96)
        on_job();
    else
        move_stake();
}

void MarketModel::check() {
    check_money();
    queues_.check(market_);
    for (uint64_t job = 0; job < jobs_; ++job) check_job(job);
}

void MarketModel::check_earnings() {
    for (const Address& p : providers_) {
        const auto flow = node::wallet::flow_of(earnings_of(market_, p, spec_));
        EXPECT_EQ(to_decimal(endowed_.at(p) + flow.in_wei),
                  to_decimal(wealth_of(market_, p) + flow.out_wei));
    }
}

void MarketModel::check_put_up() {
    const auto events = events_of(market_);
    for (const auto& [who, expected] : put_up_) {
        std::set<PutUp> told;
        for (const auto& [job, list] : events) told.merge(node::wallet::put_up_in(list, who));
        EXPECT_EQ(told, expected);
    }
}

void MarketModel::wind_up() {
    diligent_.clear();
    for (auto& [key, game] : games_) game.is_faithful = false;
    market_.chain.skip_seconds(100'000);
    for (int round = 0; round < 400 && !all_closed(); ++round) {
        for (uint64_t job = 0; job < jobs_; ++job) {
            for (uint32_t seg = 0; seg < spec_.segments; ++seg)
                for (const char* call : {"advance", "timeout"})
                    note(market_.on_segment(kAnyone, call, job, seg));
            finalize(job, spec_.segments);
            note(market_.simple(kAnyone, "expire", job));
            note(market_.simple(kAnyone, "close", job));
        }
        wait(8);
    }
    ASSERT_TRUE(all_closed());
    for (uint64_t job = 0; job < jobs_; ++job)
        for (uint32_t seg = 0; seg < spec_.segments; ++seg)
            for (uint64_t attempt = 0; attempt <= market_.job(job).attempt; ++attempt)
                reclaim({job, seg, attempt});
    EXPECT_TRUE(open_bonds_.empty()) << "a bond is locked";
    check();
    for (uint64_t job = 0; job < jobs_; ++job) {
        EXPECT_EQ(market_.job(job).escrow, 0);
        for (const Address& p : providers_) free_bond(job, p);
    }
    check_earnings();
    check_put_up();
    for (const Address& p : providers_)
        for (const auto& booking : earnings_of(market_, p, spec_).bookings)
            ++counts_[std::string(node::wallet::to_text(booking.kind))];
    for (const Address& p : providers_) EXPECT_EQ(market_.provider_money(p)[1], 0) << "reserved";
    for (const std::vector<Address>* group : groups())
        for (const Address& who : *group) market_.withdraw(who);
    EXPECT_EQ(market_.chain.balance(market_.at()), 0);
}

bool MarketModel::all_closed() {
    for (uint64_t job = 0; job < jobs_; ++job)
        if (market_.job(job).state != JobState::closed) return false;
    return true;
}

void MarketModel::check_money() {
    EXPECT_EQ(market_.chain.supply(), given_);
    Uint256 owed;
    for (uint64_t job = 0; job < jobs_; ++job) owed += market_.job(job).escrow;
    for (const auto& [key, bond] : open_bonds_) owed += bond;
    for (const std::vector<Address>* group : groups())
        for (const Address& who : *group) owed += market_.credit(who);
    EXPECT_EQ(to_decimal(owed), to_decimal(market_.chain.balance(market_.at())));
    Uint256 stakes, reserved_all;
    for (const Address& p : providers_) {
        const std::vector<Uint256> money = market_.provider_money(p);
        stakes += money[0] + money[2];
        reserved_all += money[1];
        EXPECT_LE(money[1], money[0]);
    }
    EXPECT_EQ(stakes, market_.chain.balance(market_.chain.address("ProviderRegistry")));
    Uint256 bonds;
    for (uint64_t job = 0; job < jobs_; ++job)
        for (const Address& p : providers_) bonds += market_.bond_of(job, p);
    EXPECT_EQ(bonds, reserved_all);
    expect_stakes_backed(market_);
}

void MarketModel::check_job(uint64_t job) {
    const JobView j = market_.job(job);
    EXPECT_LE(j.final_segments, j.tip);
    EXPECT_LE(j.escrow, market_.quote(spec_) + paid_in_[job]);
    const Uint256 due = market_.quote(spec_) / spec_.segments * (spec_.segments - j.final_segments);
    EXPECT_TRUE(j.state == JobState::closed || j.escrow >= due) << "later segments are not covered";
    Hash last;
    bool has_end = true;
    for (uint32_t seg = 0; seg < j.tip; ++seg) {
        const SegmentView s = market_.segment(job, seg);
        EXPECT_TRUE(has_end) << "something follows a divergence";
        has_end = s.diverges_at == 0;
        EXPECT_EQ(s.state == SegmentState::final_paid, seg < j.final_segments);
        EXPECT_TRUE(seg == 0 || s.first == last);
        EXPECT_TRUE(seg >= j.final_segments || (s.root == roots_[{job, seg}]));
        last = s.last;
    }
    EXPECT_EQ(j.outcome == Outcome::diverged, !has_end);
    if (j.state == JobState::closed) check_token(j, j.final_segments - (has_end ? 0 : 1));
}

void MarketModel::check_token(const JobView& j, uint64_t trained) {
    ASSERT_EQ(j.model_token > 0, trained > 0);
    if (trained == 0) return;
    EXPECT_EQ(market_.segments_of_model(j.model_token - 1), trained);
}

}  // namespace trainyard::contracts
