// SPDX-License-Identifier: Apache-2.0
// What a provider has, beside what `trainyard provider earnings` makes of the market's events.
#pragma once

#include "market.hpp"
#include "node/wallet/earnings.hpp"

namespace trainyard::contracts {

/// Wherever it lies: balance, credit, stake.
[[nodiscard]] inline Uint256 wealth_of(Market& market, const Address& provider) {
    const std::vector<Uint256> money = market.provider_money(provider);
    return market.chain.balance(provider) + market.credit(provider) + money[0] + money[2];
}

/// Of all jobs, whose terms are one spec's; `committee` members decide, `fee_bps` are burned.
[[nodiscard]] inline node::wallet::Earnings earnings_of(const Market& market,
                                                        const Address& provider,
                                                        const JobSpec& spec,
                                                        const Uint256& committee = 7,
                                                        const Uint256& fee_bps = 500) {
    namespace wallet = node::wallet;
    std::map<uint64_t, std::vector<wallet::MarketEvent>> jobs;
    for (size_t call = 0; call < market.told().size(); ++call)
        for (const Log& log : market.told()[call])
            if (auto event = wallet::read_event({log, call, to_hash(Uint256(call + 1))}))
                jobs[event->job].push_back(std::move(*event));
    const wallet::JobTerms terms{spec.price - spec.price * fee_bps / Uint256(10'000),
                                 spec.audit_fee * committee};
    wallet::Earnings out;
    for (const auto& [id, events] : jobs) wallet::add_job(out, provider, events, terms);
    return out;
}

}  // namespace trainyard::contracts
