// SPDX-License-Identifier: Apache-2.0
// What providers and validators have, beside what the market's events and the contracts say of it.
#pragma once

#include <gtest/gtest.h>

#include "market.hpp"
#include "node/wallet/dues.hpp"
#include "node/wallet/earnings.hpp"

namespace trainyard::contracts {

/// Wherever it lies: balance, credit, stake.
[[nodiscard]] inline Uint256 wealth_of(Market& market, const Address& provider) {
    const std::vector<Uint256> money = market.provider_money(provider);
    return market.chain.balance(provider) + market.credit(provider) + money[0] + money[2];
}

/// By job, as a node's logs tell them.
[[nodiscard]] inline std::map<uint64_t, std::vector<node::wallet::MarketEvent>> events_of(
    const Market& market) {
    std::map<uint64_t, std::vector<node::wallet::MarketEvent>> out;
    for (size_t call = 0; call < market.told().size(); ++call)
        for (const Log& log : market.told()[call])
            if (auto event = node::wallet::read_event({log, call, to_hash(Uint256(call + 1))}))
                out[event->job].push_back(std::move(*event));
    return out;
}

/// Of all jobs, whose terms are one spec's; `committee` members decide, `fee_bps` are burned.
[[nodiscard]] inline node::wallet::Earnings earnings_of(const Market& market,
                                                        const Address& provider,
                                                        const JobSpec& spec,
                                                        const Uint256& committee = 7,
                                                        const Uint256& fee_bps = 500) {
    namespace wallet = node::wallet;
    const wallet::JobTerms terms{spec.price, fee_bps, spec.steps, spec.audit_fee * committee};
    wallet::Earnings out;
    for (const auto& [id, events] : events_of(market))
        wallet::add_job(out, provider, events, terms);
    return out;
}

/// What validators have at stake, and what leaves it, is there.
inline void expect_stakes_backed(Market& market) {
    const Address& staking = market.chain.address("Staking");
    Uint256 active, leaving;
    for (const Address& v : market.validators) {
        active += market.stake_of(v);
        const Bytes queue = market.chain.call(
            staking, call_data("unbonding(address,address)", Abi().address(v).address(v)));
        const size_t count = array_at(queue, 0).size();
        for (size_t i = 0; i < count; ++i) leaving += word_at(queue, 2 + 2 * i);
    }
    EXPECT_EQ(active, word_at(market.chain.call(staking, call_data("totalStake()")), 0));
    EXPECT_EQ(active + leaving, market.chain.balance(staking));
}

/// As those judge who have put something up.
[[nodiscard]] inline bool has_fallen(Market& market, const node::wallet::PutUp& bond) {
    namespace wallet = node::wallet;
    const JobView job_view = market.job(bond.job);
    const SegmentView segment_view = market.segment(bond.job, bond.seg);
    wallet::Job job;
    job.state = static_cast<wallet::JobState>(job_view.state);
    job.tip = static_cast<uint32_t>(job_view.tip);
    job.attempt = static_cast<uint32_t>(job_view.attempt);
    wallet::Segment segment;
    segment.state = static_cast<wallet::SegmentState>(segment_view.state);
    segment.attempt = static_cast<uint32_t>(segment_view.attempt);
    return fate_of(bond, job, segment) == wallet::BondFate::fell;
}

}  // namespace trainyard::contracts
