// SPDX-License-Identifier: Apache-2.0
// What this machine is worth: rates measured here and now.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "node/provider/offers.hpp"
#include "training/backend.hpp"
#include "training/plan.hpp"

namespace trainyard::node::cli {

/// Seconds of one step, from a small product and a pass over memory.
[[nodiscard]] double forecast_step(training::Backend& backend, const training::Plan& plan,
                                   uint32_t micro_batches);

/// Seconds that the roots of a step cost in a job, from hashing as many numbers as the model has.
[[nodiscard]] double forecast_roots(training::Backend& backend, const training::Program& program,
                                    const training::Plan& plan);

/// Seconds of one step of a job: both together.
[[nodiscard]] double forecast_job_step(training::Backend& backend, const training::Program& program,
                                       const training::Plan& plan);

struct ProductRate {
    uint32_t m = 0, k = 0, n = 0;
    double tops = 0;                  ///< int8 operations, 10^12 per second; 0: the backend failed
    std::optional<size_t> wrong_row;  ///< found by Freivalds' check with secret vectors
};
/// Times a large product, quantising included, and checks it for a fraction of its cost.
[[nodiscard]] ProductRate measure_product(training::Backend& backend);
/// 10^9 bytes per second of a sum of two tensors; 0: the backend failed.
[[nodiscard]] double measure_bandwidth(training::Backend& backend);

/// The folder itself or, where it does not exist yet, the one above it that does.
[[nodiscard]] std::string existing_folder(const std::string& folder);
/// Bytes that a folder which may not exist yet has to grow; nullopt where the system does not say.
[[nodiscard]] std::optional<uint64_t> free_disk_bytes(const std::string& folder);
/// Rules for jobs that are kept in `datadir`, whose disk may not fill.
[[nodiscard]] provider::OfferRules offer_rules(uint32_t memory_mb, const std::string& datadir);
[[nodiscard]] double seconds_now();
/// Memory that the kernel says is available to programs; 0 where it does not say.
[[nodiscard]] uint64_t available_memory_bytes();

}  // namespace trainyard::node::cli
