// SPDX-License-Identifier: Apache-2.0
// What the long runs print.
#include "tests/sim/modes.hpp"

#include <cstdio>

namespace trainyard::sim {
namespace {

constexpr uint64_t kHourMs = 3'600'000;

unsigned long long plain(uint64_t number) {
    return number;
}

}  // namespace

Options long_churn() {
    Options options;
    options.nodes = 7;
    options.churn = true;
    options.faults = Faults::none();
    options.interval_ms = 1000;
    options.epoch_length = 60;
    return options;
}

int run_churn(Options options, uint64_t hours) {
    options.calm_ms = hours * kHourMs;
    const Outcome outcome = simulate(options);
    const auto& changes = outcome.changes;
    std::printf("%llu h of simulated time: %llu final blocks, %llu events, %llu restarts\n",
                plain(hours), plain(outcome.final_height), plain(outcome.events),
                plain(outcome.crashes));
    std::printf(
        "%llu epochs; validators: %llu joined, %llu left or were jailed, %llu were slashed, "
        "%llu raised\n",
        plain(outcome.epochs), plain(changes.joined), plain(changes.gone), plain(changes.slashed),
        plain(changes.raised));
    std::printf("longest time without a final block: %llu ms; %llu stalls (above %llu ms)\n",
                plain(outcome.gap_ms), plain(outcome.stalls), plain(kStallMs));
    if (!outcome.passed()) std::printf("failed: %s\n", outcome.failure.c_str());
    return outcome.passed() && outcome.stalls == 0 ? 0 : 1;
}

}  // namespace trainyard::sim
