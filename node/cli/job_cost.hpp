// SPDX-License-Identifier: Apache-2.0
// What a job costs its client, before it is paid.
#pragma once

#include <string>

#include <boost/json.hpp>

#include "node/wallet/market.hpp"

namespace trainyard::node::cli {

struct JobCost {
    wallet::JobSpec spec;
    wallet::MarketTerms terms;
    Uint256 escrow_wei;
    Address client;
    Uint256 balance_wei;       ///< of the client
    double block_seconds = 0;  ///< 0: nobody knows
    uint64_t now_s = 0;
};
[[nodiscard]] wallet::Answer<JobCost> cost_of(wallet::MarketApi& market,
                                              const wallet::JobSpec& spec);
/// Prices of all segments, and the fees of those auditors that each of them has in any case.
[[nodiscard]] Uint256 least_spent_wei(const JobCost& cost);
/// A line for each of escrow, what comes back, balance, time, deadline and provider.
[[nodiscard]] std::string to_text(const JobCost& cost);
[[nodiscard]] boost::json::object to_json(const JobCost& cost);

}  // namespace trainyard::node::cli
