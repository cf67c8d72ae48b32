// SPDX-License-Identifier: Apache-2.0
// Which jobs a provider takes, and for each other one the first rule that rules it out.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "node/wallet/market.hpp"
#include "training/plan.hpp"
#include "training/program.hpp"

namespace trainyard::node::provider {

struct OfferRules {
    Uint256 price_wei_min;  ///< per segment
    uint64_t memory_bytes_max = 8ull << 30;
    uint64_t data_bytes_max = 4ull << 30;
    /// Seconds of a step on this machine, its roots included; not asked where empty.
    std::function<double(const training::Program&, const training::Plan&)> step_seconds;
    std::function<uint64_t()> disk_bytes_free;  ///< where jobs are kept; not asked where empty
};

/// What a program asks of a machine; zero where the rules do not ask.
struct Demand {
    double step_s = 0;
    uint64_t disk_bytes = 0;  ///< states and logs of the segments that are on their way
};

/// What time there is.
struct Clock {
    double block_s = 0;  ///< between two blocks; 0: not known
    uint64_t now_s = 0;  ///< unix time
};

/// Program and data of a job, checked against its spec.
struct JobMaterial {
    training::Program program;
    Bytes data;
};

/// What can be told from the chain alone; empty if nothing speaks against it.
[[nodiscard]] std::string why_not(const wallet::JobSpec& spec, const OfferRules& rules,
                                  const Address& self, uint64_t now_s);

/// Downloads the program alone and checks it against the spec, the memory that it needs, and what
/// the auditors of the chain can check. The error is the reason for people.
[[nodiscard]] Result<training::Program, std::string> fetch_program(wallet::MarketApi& market,
                                                                   const wallet::JobSpec& spec,
                                                                   const OfferRules& rules);

[[nodiscard]] Demand demand_of(const training::Program& program, const OfferRules& rules);

/// Empty if the machine trains each segment and the whole job in time, by its forecast.
[[nodiscard]] std::string why_too_slow(const wallet::JobSpec& spec, const Demand& demand,
                                       const Clock& clock);
/// Empty if there is room on the disk.
[[nodiscard]] std::string why_no_room(const Demand& demand, const OfferRules& rules);

/// The data set as well.
[[nodiscard]] Result<JobMaterial, std::string> fetch_material(wallet::MarketApi& market,
                                                              const wallet::JobSpec& spec,
                                                              const OfferRules& rules);

}  // namespace trainyard::node::provider
