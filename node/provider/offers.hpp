// SPDX-License-Identifier: Apache-2.0
// Which jobs a provider takes, and for each other one the first rule that rules it out.
#pragma once

#include <optional>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "node/wallet/market.hpp"
#include "training/program.hpp"

namespace trainyard::node::provider {

struct OfferRules {
    Uint256 price_wei_min;  ///< per segment
    uint64_t memory_bytes_max = 8ull << 30;
    uint64_t data_bytes_max = 4ull << 30;
};

/// Program and data of a job, checked against its spec.
struct JobMaterial {
    training::Program program;
    Bytes data;
};

/// What can be told from the chain alone; empty if nothing speaks against it.
[[nodiscard]] std::string why_not(const wallet::JobSpec& spec, const OfferRules& rules,
                                  const Address& self, uint64_t now_s);

/// Downloads the program alone and checks it against the spec and the memory that it needs. The
/// error is the reason for people.
[[nodiscard]] Result<training::Program, std::string> fetch_program(wallet::MarketApi& market,
                                                                   const wallet::JobSpec& spec,
                                                                   const OfferRules& rules);

/// The data set as well.
[[nodiscard]] Result<JobMaterial, std::string> fetch_material(wallet::MarketApi& market,
                                                              const wallet::JobSpec& spec,
                                                              const OfferRules& rules);

}  // namespace trainyard::node::provider
